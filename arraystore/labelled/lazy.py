"""A dataset as an xarray Dataset that has read nothing yet."""

from collections.abc import Iterable
from typing import Any

import xarray as xr
from xarray.core import indexing

from arraystore import arguments
from arraystore.arguments import TimeLike
from arraystore.datasets.view import DatasetView
from arraystore.frames.xarrayframe import rowwise_specs, rowwise_variable
from arraystore.labelled.arrays import column_arrays
from arraystore.labelled.source import Source, source_of
from arraystore.labelled.timeindex import TimeIndex
from layouts.codecs import CONVENTIONS


def dataset_of(
    view: DatasetView,
    start: TimeLike | None,
    end: TimeLike | None,
    columns: Iterable[str] | None,
    *,
    clock: str | None,
    window: str | None,
    chunks: Any,
) -> xr.Dataset:
    """See `DatasetView.to_xarray`."""
    source = source_of(view, start, end, clock, window)
    wanted = arguments.columns(source.schema, columns)
    data = lazy_dataset(source, wanted)
    if chunks is None:
        return data.assign({name: _kept_once_read(data.variables[name]) for name in data.data_vars})
    return in_pieces(data, source, chunks)


def in_pieces(data: xr.Dataset, source: Source, chunks: Any) -> xr.Dataset:
    """The same with Dask arrays for values; the axis stays as it is."""
    from arraystore.labelled.daskreads import chunks_of, dask_array

    specs = {spec.name: spec for spec in rowwise_specs(source.schema)}
    lengths = chunks_of(source, [specs[str(name)] for name in data.variables], chunks)
    arrays = {
        name: (variable.dims, dask_array(source, specs[str(name)], lengths), variable.attrs, variable.encoding)
        for name, variable in data.data_vars.items()
    }
    return data.assign(arrays)


def lazy_dataset(source: Source, columns: Iterable[str]) -> xr.Dataset:
    """The rows of a source, nothing of them read: columns in the order given, the axis as an indexed coordinate."""
    schema = source.schema
    axis, names = schema.axis, tuple(columns)
    arrays = column_arrays(source, frozenset({axis, *names}))
    variables = {
        name: rowwise_variable(array.spec, schema, indexing.LazilyIndexedArray(array))
        for column in names
        for name, array in arrays.items()
        if array.spec.column == column != axis
    }
    index = TimeIndex(source, 0, source.extent.rows, axis, axis)
    model = rowwise_variable(arrays[axis].spec, schema, indexing.LazilyIndexedArray(arrays[axis]))
    coordinates = xr.Coordinates(index.create_variables({axis: model}), indexes={axis: index})
    return xr.Dataset(variables, coords=coordinates, attrs={"Conventions": CONVENTIONS})


def _kept_once_read(variable: xr.Variable) -> xr.Variable:
    protected = indexing.CopyOnWriteArray(variable._data)  # noqa: SLF001 - as xarray's own opening does
    data = indexing.MemoryCachedArray(protected)  # type: ignore[no-untyped-call]
    return xr.Variable(variable.dims, data, variable.attrs, variable.encoding, fastpath=True)


def dataframe_of(
    view: DatasetView,
    start: TimeLike | None,
    end: TimeLike | None,
    columns: Iterable[str] | None,
    *,
    clock: str | None,
    window: str | None,
    rows: int | None,
) -> Any:
    """See `DatasetView.to_dask_dataframe`."""
    from arraystore.labelled.daskreads import dask_dataframe

    source = source_of(view, start, end, clock, window)
    axis, wanted = source.schema.axis, arguments.columns(source.schema, columns)
    least = None if rows is None else arguments.whole(rows, "rows", 1)
    return dask_dataframe(source, tuple(dict.fromkeys((axis, *wanted))), least)
