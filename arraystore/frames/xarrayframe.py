"""The one door to xarray: rows as a Dataset of the variables a segment has, times decoded, and Datasets as given columns."""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from arraystore.errors import InvalidInput, Problem
from arraystore.frames.columns import Decimals, Labels, Ragged, value_of
from arraystore.frames.given import Given, given_from_objects
from arraystore.frames.rows import Rows
from layouts.codecs import CONVENTIONS, TIME_UNITS, column_attributes
from layouts.schema import LEVEL_DIMENSION, ArraySpec, Column, Kind, Schema

if TYPE_CHECKING:
    import xarray as xr

# Out


def dataset_from(rows: Rows) -> "xr.Dataset":
    """A Dataset over the same memory, with the names, dimensions and CF attributes that `xr.open_zarr` finds in a segment.

    Times are datetime64[ns], the axis is the coordinate of the row dimension. Text and bytes stay contiguous ragged arrays (`x` and
    `x_count`), labels stay codes with the attribute `labels`, decimals mantissas with `decimal_places`. Where rows are null there is
    `x_valid`.
    """
    import xarray as xr

    variables: dict[str, xr.Variable] = {}
    for column in rows.schema.columns:
        for spec in rows.schema.arrays_of(column):
            values = _array(rows, column, spec.role)
            if values is not None:
                attributes = column_attributes(column, rows.labels.get(column.name, ()), role=spec.role)
                decoded = ("units", "calendar") if values.dtype.kind == "M" else ()
                encoding = {name: attributes.pop(name) for name in decoded}
                variables[spec.name] = xr.Variable(spec.dimensions, values, attributes, encoding)
    axis = {rows.schema.axis: variables.pop(rows.schema.axis)} if rows.schema.axis in variables else {}
    return xr.Dataset(variables, coords=axis, attrs={"Conventions": CONVENTIONS})


def rowwise_dataset_from(rows: Rows) -> "xr.Dataset":
    """A Dataset whose every variable has the row dimension, so that a selection of rows selects all of it.

    As `dataset_from`, but text and bytes are a `str` or `bytes` per row, labels the texts that codes stand for, None where null; and
    every column that may be null has its `x_valid`.
    """
    import xarray as xr

    names = [spec.name for spec in rowwise_specs(rows.schema)]
    variables = {spec.name: rowwise_variable(spec, rows.schema, rowwise_values(rows, spec)) for spec in rowwise_specs(rows.schema)}
    axis = {name: variables.pop(name) for name in names if name == rows.schema.axis}
    return xr.Dataset(variables, coords=axis, attrs={"Conventions": CONVENTIONS})


def rowwise_specs(schema: Schema) -> tuple[ArraySpec, ...]:
    """The arrays of a Dataset by row."""
    return tuple(
        msgspec.structs.replace(spec, dimensions=(schema.row_dimension, *spec.dimensions[1:]), dtype=_rowwise_dtype(schema, spec))
        for column in schema.columns
        for spec in schema.arrays_of(column)
        if spec.role != "count"
    )


def _rowwise_dtype(schema: Schema, spec: ArraySpec) -> str:
    column = schema.column(spec.column)
    if spec.role == "values" and (column.is_ragged or column.kind is Kind.DICTIONARY):
        return "object"
    return "datetime64[ns]" if spec.role == "values" and column.kind is Kind.TIME else spec.dtype


def rowwise_variable(spec: ArraySpec, schema: Schema, data: Any) -> "xr.Variable":
    """One of the variables of a Dataset by row, around its data."""
    import xarray as xr

    column = schema.column(spec.column)
    attributes = column_attributes(column, role=spec.role)
    left_out = {"labels"} if column.kind is Kind.DICTIONARY else {"encoding"} if column.kind is Kind.TEXT else set()
    told = {name: value for name, value in attributes.items() if name not in left_out}
    decoded = ("units", "calendar") if spec.dtype == "datetime64[ns]" else ()
    encoding = {name: told.pop(name) for name in decoded}
    if encoding:
        encoding["dtype"] = np.dtype("int64")  # xarray writes chunked times only if it is told the type, too
    return xr.Variable(spec.dimensions, data, told, encoding, fastpath=True)


def rowwise_values(rows: Rows, spec: ArraySpec) -> np.ndarray:
    """The values of one of the arrays of a Dataset by row."""
    if spec.role == "valid":
        valid = rows.validity(spec.column)
        return np.ones(rows.count, np.bool_) if valid is None else valid
    match value_of(rows, spec.column):
        case Ragged() as value:
            return np.asarray(value, object)
        case Labels() as value:
            return np.take(np.array([*value.labels, None], object), value.codes, mode="wrap")  # code −1, a null, wraps to the last
        case Decimals() as value:
            return value.mantissa
        case value:
            return value


def _array(rows: Rows, column: Column, role: str) -> np.ndarray | None:
    if role == "valid":
        return rows.validity(column.name)
    match value_of(rows, column.name):
        case Ragged() as value:
            return value.content if role == "values" else rows.arrays.get(f"{column.name}_count", np.zeros(rows.count, np.uint32))
        case Labels() as value:
            return value.codes
        case Decimals() as value:
            return value.mantissa
        case value:
            return value


def grid_of(
    axes: Mapping[str, Sequence[Any]], names: Mapping[tuple[int, ...], str], cells: Mapping[str, Mapping[tuple[int, ...], float]]
) -> "xr.Dataset":
    """A Dataset of float variables over axes of plain values, NaN where no cell is given, and `run`, the name of each place."""
    import xarray as xr

    shape = tuple(map(len, axes.values()))
    runs = np.full(shape, "", object)
    for place, name in names.items():
        runs[place] = name
    variables: dict[str, tuple[tuple[str, ...], np.ndarray]] = {"run": (tuple(axes), runs)}
    for name, found in cells.items():
        values = np.full(shape, np.nan)
        for place, value in found.items():
            values[place] = value
        variables[name] = (tuple(axes), values)
    return xr.Dataset(variables, coords={name: _axis(values) for name, values in axes.items()})


def _axis(values: Sequence[Any]) -> np.ndarray:
    """Values of one type as an array of it, others as objects."""
    if len(set(map(type, values))) == 1 or all(type(value) in (int, float) for value in values):
        return np.array(values)
    mixed = np.empty(len(values), object)
    mixed[:] = values
    return mixed


# In


def is_dataset(data: Any) -> bool:
    """Whether this is a Dataset, told without loading xarray for those who don't use it."""
    xarray = sys.modules.get("xarray")
    return xarray is not None and isinstance(data, xarray.Dataset)


def is_dataarray(data: Any) -> bool:
    """Whether this is a DataArray or a Variable; newer ones also offer Arrow streams, which are tables with their coordinates."""
    xarray = sys.modules.get("xarray")
    return xarray is not None and isinstance(data, xarray.DataArray | xarray.Variable)


def givens_from_dataset(data: "xr.Dataset", schema: Schema, problems: list[Problem]) -> dict[str, Given]:
    """The variables of a Dataset, one of ours or not, decoded or not; coordinates of other dimensions than rows are left alone."""
    givens: dict[str, Given] = {}
    counts = {f"{column.name}_count" for column in schema.columns if column.is_ragged and f"{column.name}_count" in data.variables}
    for name, variable in data.variables.items():
        if name in counts or (name not in schema and name in data.coords and name in (LEVEL_DIMENSION, *variable.dims)):
            continue
        try:
            givens[str(name)] = _given(data, schema.column(str(name)) if name in schema else None, variable)
        except InvalidInput as error:
            problems += error.problems
    return givens


def _given(data: "xr.Dataset", column: Column | None, variable: "xr.Variable") -> Given:
    values = variable.to_numpy()
    if column is None or values.dtype.kind not in "iu":
        return given_from_objects(values) if values.dtype.kind == "O" else Given(values=values)
    attributes = variable.attrs
    if column.is_ragged and f"{column.name}_count" in data.variables:
        return Given(values=_ragged(column, values, data.variables[f"{column.name}_count"].to_numpy()))
    if column.kind is Kind.DICTIONARY and "labels" in attributes:
        return Given(values=Labels(values, tuple(np.atleast_1d(attributes["labels"]).tolist())))
    if column.kind is Kind.DECIMAL and "decimal_places" in attributes:
        return Given(values=Decimals(values, int(attributes["decimal_places"])))
    if column.kind is Kind.TIME and attributes.get("units", TIME_UNITS) != TIME_UNITS:
        what = f"counts {attributes['units']!r}, which must be decoded: pass it through xarray.decode_cf"
        raise InvalidInput(Problem(f"column {column.name!r}", what))
    if column.kind is Kind.VOCABULARY and "flag_values" in attributes:
        return Given(values=_by_meaning(column, values, attributes))
    return Given(values=values)


def _ragged(column: Column, content: np.ndarray, counts: np.ndarray) -> Ragged:
    if counts.dtype.kind not in "iu" or content.dtype != np.uint8 or int(counts.sum(dtype=np.int64)) != len(content):
        name = column.name
        what = f"'{name}_count' must be whole numbers that add up to the {len(content)} bytes of {name!r}, which must be uint8"
        raise InvalidInput(Problem(f"column {name!r}", what))
    return Ragged.from_counts(content, counts, text=column.kind is Kind.TEXT)


def _by_meaning(column: Column, values: np.ndarray, attributes: dict[str, Any]) -> np.ndarray | Labels:
    """Codes as they are where they mean the same in both vocabularies, else the labels they stand for."""
    theirs = dict(zip(str(attributes.get("flag_meanings", "")).split(), np.atleast_1d(attributes["flag_values"]).tolist(), strict=False))
    if theirs.items() <= dict(column.vocabulary).items():
        return values
    place_of = {value: place for place, value in enumerate(theirs.values())}
    found, places = np.unique(values, return_inverse=True)
    meanings = list(theirs)
    for value in found.tolist():
        if value not in place_of:
            place_of[value] = len(meanings)
            meanings.append(f"code {value}")  # means nothing to them, and so is no null but refused
    return Labels(np.array([place_of[value] for value in found.tolist()], np.int32)[places], tuple(meanings))
