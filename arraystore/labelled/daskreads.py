"""The one door to Dask: arrays and data frames whose tasks each read a stretch of rows, along windows and chunks."""

# mypy: disable-error-code="import-untyped, no-untyped-call, no-any-return"

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

import dask
import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.utils import parse_bytes

from arraystore.errors import InvalidInput
from arraystore.frames.frame import Frame
from arraystore.frames.rows import empty
from arraystore.labelled.arrays import read_values
from arraystore.labelled.source import Source
from arraystore.segments.plan import run
from layouts.schema import ArraySpec, Kind

PARTITION_BYTES = 128 << 20  # of all columns


class _Column:
    """One of the arrays of a source, for tasks: each slice of it is read on the thread that asks, as Dask has threads of its own."""

    def __init__(self, source: Source, spec: ArraySpec, rows: int) -> None:
        self.source = source
        self.spec = spec
        self.shape = (rows, *spec.inner_shape)
        self.ndim = len(self.shape)
        self.dtype = np.dtype(spec.dtype)

    def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray:
        rows, *levels = key
        start, stop, _ = rows.indices(self.shape[0])
        values = read_values(self.source, self.spec, run(start, stop), threads=1)
        return values if not levels else values[:, levels[0]]


def dask_array(source: Source, spec: ArraySpec, chunks: tuple[int, ...]) -> da.Array:
    """One of the arrays of a source in pieces of so many rows: one layer, whatever their number."""
    column = _Column(source, spec, sum(chunks))
    whole = tuple((size,) for size in spec.inner_shape)
    name = f"arraystore-{spec.name}-{tokenize(source, spec.name, chunks)}"
    meta = np.empty((0,) * column.ndim, column.dtype)
    return da.from_array(column, (chunks, *whole), name=name, meta=meta, inline_array=True, asarray=False, fancy=False)


def chunks_of(source: Source, specs: Iterable[ArraySpec], asked: Any) -> tuple[int, ...]:
    """How many rows each piece has: as asked, or so many that the widest column has what Dask's `array.chunk-size` says (128 MiB)."""
    extent = source.extent
    if isinstance(asked, Mapping):
        asked = asked.get(extent.schema.row_dimension, "auto")
    if asked == "auto" or asked is True:
        widest = max(np.dtype(spec.dtype).itemsize * int(np.prod(spec.inner_shape)) for spec in specs)
        return extent.blocks(max(parse_bytes(dask.config.get("array.chunk-size")) // widest, 1))
    try:
        (rows,) = da.core.normalize_chunks((asked,), (extent.rows,), dtype=np.dtype("int64"))
    except (TypeError, ValueError) as error:
        raise InvalidInput(
            f"{asked!r} aren't chunks of {extent.rows} rows ({error}): give 'auto', a number of rows, or lengths", "chunks"
        ) from error
    return tuple(map(int, rows))


class _Partition:
    """Makes a pandas frame of rows `start` to `stop`, on the thread that asks."""

    def __init__(self, source: Source, columns: tuple[str, ...]) -> None:
        self.source = source
        self.columns = columns

    def __dask_tokenize__(self) -> object:
        return "arraystore", self.source.__dask_tokenize__(), self.columns

    def __call__(self, bounds: tuple[int, int]) -> Any:
        rows = self.source.extent.read(run(*bounds), self.columns, threads=1)
        return _pandas_of(Frame(rows.reorder(self.columns)))


def dask_dataframe(source: Source, columns: tuple[str, ...], rows: int | None) -> Any:
    """The rows of a source as a Dask data frame of partitions of about `rows` rows, indexed by the axis clock."""
    import dask.dataframe as dd

    extent = source.extent
    schema = extent.schema
    wide = sum(schema.column(name).levels or 1 for name in columns) * 8
    starts, times = extent.cut_between_times(extent.blocks(rows or max(PARTITION_BYTES // wide, 1)))
    bounds = list(pairwise([*starts, extent.rows]))
    meta = _pandas_of(Frame(empty(schema.only(columns)).reorder(columns)))
    divisions = None if times is None else tuple(_moments(times))
    return dd.from_map(_Partition(source, columns), bounds, meta=meta, divisions=divisions, label="arraystore", enforce_metadata=False)


def _moments(times: np.ndarray) -> Any:
    import pandas as pd

    return pd.DatetimeIndex(times.view("datetime64[ns]"), tz="UTC")


def _pandas_of(frame: Frame) -> Any:
    """As `Frame.to_pandas`, but labels are text: each partition has its own, and categories must be alike in all."""
    data = frame.to_pandas()
    for column in frame.schema.columns:
        if column.kind is Kind.DICTIONARY:
            data[column.name] = data[column.name].astype("string[pyarrow]")
    return data
