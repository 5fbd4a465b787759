"""The one door to Dask: arrays and data frames whose tasks each read a stretch of rows, along windows and chunks."""

# mypy: disable-error-code="import-untyped, no-untyped-call, no-any-return"

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import dask
import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.utils import parse_bytes

from arraystore.errors import InvalidInput
from arraystore.frames.frame import Frame
from arraystore.frames.rows import Rows, concat, empty
from arraystore.labelled.arrays import ColumnArray
from arraystore.labelled.members import Members, within
from arraystore.labelled.source import Source
from arraystore.segments.plan import run
from layouts.schema import ArraySpec, Kind, Schema

PARTITION_BYTES = 128 << 20  # of all columns
CELL_BYTES = 32 << 20  # of a panel's array: so that few datasets keep all processors busy


class _Column:
    """One of the arrays of a source, for tasks: each slice of it is read on the thread that asks, as Dask has threads of its own."""

    def __init__(self, source: Source, spec: ArraySpec, rows: int) -> None:
        self.array = ColumnArray(source, spec, 0, rows)
        self.shape = self.array.shape
        self.ndim = len(self.shape)
        self.dtype = self.array.dtype

    def __getitem__(self, key: tuple[Any, ...]) -> np.ndarray:
        """What integers, slices and arrays of integers choose: Dask hands on what is taken of a piece."""
        values: np.ndarray = self.array.read((*key, *(slice(None),) * (self.ndim - len(key))))
        return values


def dask_array(source: Source, spec: ArraySpec, chunks: tuple[int, ...]) -> da.Array:
    """One of the arrays of a source in pieces of so many rows: one layer, whatever their number."""
    column = _Column(source, spec, sum(chunks))
    whole = tuple((size,) for size in spec.inner_shape)
    name = f"arraystore-{spec.name}-{tokenize(source, spec.name, chunks)}"
    meta = np.empty((0,) * column.ndim, column.dtype)
    return da.from_array(
        column, (chunks, *whole), name=name, meta=meta, inline_array=True, asarray=False, fancy=_takes_any_index(column.dtype)
    )


def _takes_any_index(dtype: np.dtype) -> bool:
    """Whether Dask may hand on what is selected, so that only this is read: of one object it would make an array of another type."""
    return dtype.kind != "O"


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
    return _text_labels(frame, frame.to_pandas())


def _text_labels(frame: Frame, data: Any) -> Any:
    for column in frame.schema.columns:
        if column.kind is Kind.DICTIONARY:
            data[column.name] = data[column.name].astype("string[pyarrow]")
    return data


# --- many datasets -----------------------------------------------------------------------------------------------


class _Cells:
    """One of the arrays of a panel, for tasks."""

    def __init__(self, members: Members, spec: ArraySpec) -> None:
        self.members = members
        self.spec = spec
        self.shape = (len(members.grid), len(members.sources), *spec.inner_shape)
        self.ndim = len(self.shape)
        self.dtype = np.dtype(spec.dtype)

    def __getitem__(self, key: tuple[Any, ...]) -> np.ndarray:
        """What integers, slices and at most one array of integers choose: Dask hands on what is taken of a piece."""
        key = (*key, *(slice(None),) * (self.ndim - len(key)))
        times, members = (np.atleast_1d(np.arange(size)[each]) for size, each in zip(self.shape[:2], key[:2], strict=True))
        first, last = (int(times.min()), int(times.max()) + 1) if len(times) else (0, 0)
        block = self.members.block(self.spec, range(first, last), members.tolist())
        # What is dense along times needn't be taken out of the block; and a dimension that an integer chose goes last.
        if len(times) != last - first or bool((np.diff(times) != 1).any()):
            block = block[times - first]
        if len(key) > 2:
            block = block[:, :, key[2]]
        return block[tuple(0 if isinstance(each, int | np.integer) else slice(None) for each in key[:2])]


def panel_arrays(members: Members, specs: Sequence[ArraySpec], asked: Any, names: tuple[str, str]) -> list[da.Array]:
    """The arrays of a panel, all cut alike along times and members: as asked, or so that a piece of the widest has `CELL_BYTES`."""
    widest = max(np.dtype(spec.dtype).itemsize * int(np.prod(spec.inner_shape)) for spec in specs)
    shape = len(members.grid), len(members.sources)
    long = max(1, CELL_BYTES // widest)
    default = min(shape[0], long) or 1, max(1, long // max(shape[0], 1))
    told = asked if isinstance(asked, Mapping) else dict.fromkeys(names, asked)
    given = tuple(default[place] if told.get(name, "auto") in ("auto", None, True) else told[name] for place, name in enumerate(names))
    try:
        cut = da.core.normalize_chunks(given, shape, dtype=np.dtype("int64"))
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{asked!r} aren't chunks of {shape[0]} times and {shape[1]} instruments ({error})", "chunks") from error
    token = tokenize(members)
    found = []
    for spec in specs:
        cells = _Cells(members, spec)
        chunks = (*cut, *((size,) for size in spec.inner_shape))
        name = f"arraystore-panel-{spec.name}-{tokenize(token, spec.name, spec.role, cut)}"
        meta = np.empty((0,) * cells.ndim, cells.dtype)
        found.append(da.from_array(cells, chunks, name=name, meta=meta, asarray=False, fancy=_takes_any_index(cells.dtype)))
    return found


class _Instruments:
    """Makes a pandas frame of all rows of some datasets, one after another, on the thread that asks."""

    def __init__(self, sources: Sequence[Source], names: Sequence[str], schema: Schema, spans: Any) -> None:
        self.sources = sources
        self.names = names
        self.schema = schema
        self.spans = spans

    def __dask_tokenize__(self) -> object:
        told = tuple(source.__dask_tokenize__() for source in self.sources)
        return "arraystore-instruments", told, self.names, self.schema.names, self.spans

    def __call__(self, bounds: tuple[int, int]) -> Any:
        import pandas as pd

        parts = [self._one(place) for place in range(*bounds)]
        return parts[0] if len(parts) == 1 else pd.concat(parts)

    def _one(self, place: int) -> Any:
        source, columns = self.sources[place], self.schema.names
        rows = source.extent.read(run(0, source.extent.rows), columns, threads=1)
        if self.spans is not None:
            rows = rows.take(np.flatnonzero(within(rows.arrays[source.schema.axis], self.spans)))
        return _indexed(concat([rows.reorder(columns)], self.schema), self.names[place])


def panel_dataframe(sources: Sequence[Source], names: Sequence[str], schema: Schema, spans: Any, rows: int | None) -> Any:
    """Rows of many sources, sorted by what they are called, as a Dask data frame: all of an instrument in one partition."""
    import dask.dataframe as dd

    wide = sum(column.levels or 1 for column in schema.columns) * 8
    most = rows or max(PARTITION_BYTES // wide, 1)
    cuts, gathered = [0], 0
    for place, source in enumerate(sources):
        if gathered and gathered + source.extent.rows > most:
            cuts.append(place)
            gathered = 0
        gathered += source.extent.rows
    bounds = list(pairwise([*cuts, len(sources)]))
    meta = _indexed(empty(schema), names[0])
    divisions = (*(names[cut] for cut in cuts), names[-1])
    make = _Instruments(tuple(sources), tuple(names), schema, spans)
    return dd.from_map(make, bounds, meta=meta, divisions=divisions, label="arraystore-panel", enforce_metadata=False)


def _indexed(rows: Rows, name: str) -> Any:
    """Rows as a pandas frame of all columns, each row labelled by its instrument."""
    import pandas as pd

    data = _text_labels(Frame(rows), Frame(rows).to_pandas().reset_index())
    data.index = pd.Index(np.full(rows.count, name, object), name="instrument", dtype="str")
    return data
