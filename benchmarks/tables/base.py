"""What a way to keep a table does, and the proof that what it gives back is what it was given."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

type Columns = Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Data:
    """Named columns of one length; `time` (int64 ns since 1970 UTC) comes first and ascends."""

    name: str
    columns: dict[str, np.ndarray]

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.columns["time"])

    @property
    def decoded(self) -> int:
        """Bytes of all columns as arrays."""
        return sum(column.nbytes for column in self.columns.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What to read: rows whose time lies in `[start, stop)` (None: all), of these columns (None: all)."""

    columns: tuple[str, ...] | None = None
    start: int | None = None
    stop: int | None = None

    def of(self, data: Data) -> dict[str, np.ndarray]:
        """The right answer."""
        names = data.columns if self.columns is None else self.columns
        if self.start is None or self.stop is None:
            return {name: data.columns[name] for name in names}
        first, last = np.searchsorted(data.columns["time"], (self.start, self.stop))
        return {name: data.columns[name][first:last] for name in names}


EVERYTHING = Query()


class Opened(Protocol):
    """A table that is open, so that what is done once isn't timed with each read."""

    def read(self, query: Query) -> Any:
        """What is asked for, decoded, in whatever form the library gives it; nothing is left to be done lazily."""
        ...

    def arrays(self, result: Any) -> dict[str, np.ndarray]:
        """That result as plain arrays, times as int64 ns; not timed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to keep a table: how it is written below a folder, and opened from there.

    `group` is what a goal is about: ours, parquet, zarr (on the very bytes that we wrote), or peer. `kept` names the folder: ways that
    read the same files share it. `two_dimensional` ways keep columns of several levels as they are.
    """

    name: str
    kept: str
    write: Callable[[Path, Data], None]
    open: Callable[[Path], Opened]
    group: str = "peer"
    two_dimensional: bool = False


class WrongValues(AssertionError):
    """A contestant gave back other values than it was given: it is refused, and no figure is told."""


def check(name: str, found: Columns, wanted: Columns) -> None:
    """Compare bit for bit: names, lengths, types and values, NaNs and signs of zeros included."""
    missing = [column for column in wanted if column not in found]
    if missing:
        raise WrongValues(f"{name}: it has no columns {missing}; it has {sorted(found)}")
    for column, values in wanted.items():
        got = found[column]
        if got.dtype != values.dtype or got.shape != values.shape:
            raise WrongValues(f"{name}: {column} is {got.dtype} {got.shape}, where {values.dtype} {values.shape} was written")
        if not np.array_equal(_bits(got), _bits(values)):
            row = int(np.flatnonzero((_bits(got) != _bits(values)).reshape(len(values), -1).any(axis=1))[0])
            raise WrongValues(f"{name}: {column}[{row}] is {got[row]!r}, where {values[row]!r} was written")


def _bits(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values).view(f"u{values.dtype.itemsize}")


def wanted_rows(time: np.ndarray, query: Query) -> slice:
    """Which rows a query wants, where a peer leaves finding them to its user, who has the times in memory."""
    if query.start is None or query.stop is None:
        return slice(0, len(time))
    first, last = np.searchsorted(time, (query.start, query.stop))
    return slice(int(first), int(last))


def wanted_names(there: Sequence[str], query: Query) -> list[str]:
    """The columns that a query wants of those there are."""
    return list(there if query.columns is None else query.columns)


def from_arrow(table: Any) -> dict[str, np.ndarray]:
    """An Arrow table's columns as arrays: timestamps as int64, fixed-size lists as two dimensions."""
    import pyarrow as pa

    arrays = {}
    for name in table.column_names:
        column = table.column(name).combine_chunks()
        column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        if pa.types.is_fixed_size_list(column.type):
            arrays[name] = column.flatten().to_numpy().reshape(-1, column.type.list_size)
        elif pa.types.is_timestamp(column.type):
            arrays[name] = column.cast(pa.int64()).to_numpy()
        else:
            arrays[name] = column.to_numpy(zero_copy_only=False)
    return arrays


def to_arrow(columns: Columns) -> Any:
    """Columns as an Arrow table: of several levels, as lists of a fixed size."""
    import pyarrow as pa

    table = {}
    for name, values in columns.items():
        if values.ndim == 2:
            table[name] = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])
        else:
            table[name] = pa.array(values)
    return pa.table(table)


def tree_bytes(folder: Path) -> int:
    """Bytes of all files below, whatever they are for; of files with holes, the blocks that they fill."""
    sizes = [path.stat() for path in folder.rglob("*") if path.is_file()]
    return sum(min(size.st_size, size.st_blocks * 512) for size in sizes)
