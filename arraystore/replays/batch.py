"""Rows in the order of a replay: which stream each is of, slices of each stream's columns, and what they give when gathered."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import accumulate
from typing import Any, NamedTuple

import msgspec
import numpy as np

from arraystore import arguments
from arraystore.errors import InvalidInput, NotFound
from arraystore.frames.columns import Value
from arraystore.frames.frame import Frame
from arraystore.frames.rows import Rows, concat, empty
from arraystore.replays.position import ReplayPosition
from layouts.schema import Column, Kind, Schema

FEW_OWNERS = 8  # told one after another in less time than a sort takes


class ReplayRecord(NamedTuple):
    """One row of a replay, for strategies that take one at a time.

    `time` is the clock (int ns since 1970 UTC), `stream` the stream's rank, `name` its name, and `values` has its columns as Python
    objects: None where null, times in int ns, codes of vocabularies and flags as numbers, labels as text.
    """

    time: int
    stream: int
    name: str
    values: Mapping[str, Any]


class Piece(NamedTuple):
    """What a batch has of a run: rows `start` to `stop` of it, and the stream they are of."""

    rank: int
    run: Rows
    start: int
    stop: int

    @property
    def rows(self) -> Rows:
        """The rows, as views."""
        return self.run.slice(self.start, self.stop)

    def __len__(self) -> int:
        return self.stop - self.start


class ReplayBatch:
    """Some consecutive rows of a replay. Nothing in it is ever changed; safe to share between threads.

    Row i of the batch is row `row[i]` of `frames[stream[i]]`, and is at `time[i]`. Nothing is copied until it is asked for: a
    stream's frame is a view of what was read where the stream's rows lie in order, and `gather` brings columns of all streams
    into one.
    """

    def __init__(
        self,
        names: tuple[str, ...],
        schemas: tuple[Schema, ...],
        pieces: Sequence[Piece],
        owners: np.ndarray,
        times: np.ndarray,
        streams: np.ndarray,
        position: ReplayPosition,
    ) -> None:
        self.names = names
        self.position = position
        self._schemas = schemas
        self._pieces = pieces
        self._owners = owners
        self._times = times
        self._streams = streams

    def __len__(self) -> int:
        return len(self._times)

    def __repr__(self) -> str:
        return f"<ReplayBatch of {len(self):,} rows of {len(self.names)} streams, from {self.time[0]} to {self.time[-1]}>"

    @property
    def time(self) -> np.ndarray:
        """The clock of each row, datetime64[ns], never decreasing."""
        return self._times.view("datetime64[ns]")

    @property
    def stream(self) -> np.ndarray:
        """Which stream each row is of, by its rank from 0: uint16."""
        return self._streams

    @cached_property
    def row(self) -> np.ndarray:
        """Where each row is in its stream's frame: int64."""
        return _places(self.stream, len(self.names))[0]

    @cached_property
    def frames(self) -> tuple[Frame, ...]:
        """Each stream's rows of this batch in the order of the replay, without a pin."""
        return tuple(map(self._frame, range(len(self.names))))

    def __getitem__(self, name: str) -> Frame:
        """The frame of the stream of this name."""
        if name not in self.names:
            raise NotFound(f"no stream {name!r}; there are {arguments.some(self.names)}")
        return self.frames[self.names.index(name)]

    def gather(self, columns: str | Iterable[str]) -> Value | Frame:
        """Columns of all streams in the order of the replay: the values of one, or a frame of several.

        A row is null where its stream has no such column (NaN under a null float, see `Frame`; of several columns, `valid(name)`
        tells nulls from values). Numbers become the type that holds all streams' values. InvalidInput where columns of one name
        aren't the same kind of thing, NotFound where no stream has one.
        """
        if isinstance(columns, str):
            value: Value = self._gathered((columns,))[columns]
            return value
        return self._gathered(arguments.texts(columns, "columns"))

    def _gathered(self, names: tuple[str, ...]) -> Frame:
        having = {name: [schema.column(name) for schema in self._schemas if name in schema] for name in names}
        schema = Schema(name="replay", columns=tuple(_united(name, columns, len(self.names)) for name, columns in having.items()))
        parts = [piece.rows.project(name for name in names if name in piece.run.schema) for piece in self._pieces]
        rows = concat(parts, schema)
        return Frame(rows if len(parts) == 1 else rows.take(_order(self._owners, list(map(len, self._pieces)))))

    def records(self) -> Iterator[ReplayRecord]:
        """Its rows one by one."""
        sources = [_values(frame) for frame in self.frames]
        for time, rank in zip(self._times.tolist(), self.stream.tolist(), strict=True):
            yield ReplayRecord(time, rank, self.names[rank], next(sources[rank]))

    def _frame(self, rank: int) -> Frame:
        schema = self._schemas[rank]
        numbers = [number for number, piece in enumerate(self._pieces) if piece.rank == rank]
        if not any(self._pieces[number].start < self._pieces[number].stop for number in numbers):
            return Frame(empty(schema))
        rows = concat([self._pieces[number].rows for number in numbers])
        if len(numbers) > 1:
            low, high = numbers[0], numbers[-1]  # a stream's pieces come one after another
            owners = self._owners[(self._owners >= low) & (self._owners <= high)] - self._owners.dtype.type(low)
            if bool((owners[1:] < owners[:-1]).any()):
                rows = rows.take(_order(owners, [len(self._pieces[number]) for number in numbers]))
        return Frame(rows.reorder(schema.names))


def _places(owners: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """How many rows of the same owner come before each row, and how many rows each owner has."""
    places = np.empty(len(owners), np.int64)
    if count <= FEW_OWNERS:
        rows = [np.flatnonzero(owners == owner) for owner in range(count)]
        for own in rows:
            places[own] = np.arange(len(own))
        return places, np.array(list(map(len, rows)))
    counts = np.bincount(owners, minlength=count)
    places[np.argsort(owners, kind="stable")] = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
    return places, counts


def _order(owners: np.ndarray, lengths: Sequence[int]) -> np.ndarray:
    """Which of all pieces' rows, one piece after another, comes where."""
    before = np.array([0, *accumulate(lengths)][:-1], np.int64)
    order: np.ndarray = before[owners] + _places(owners, len(lengths))[0]
    return order


def _united(name: str, columns: Sequence[Column], streams: int) -> Column:
    """One column that holds the values of all streams' columns of a name."""
    if not columns:
        raise NotFound(f"no stream of this replay has a column {name!r} among those that are read")
    first = columns[0]
    for other in columns[1:]:
        if (other.kind, other.vocabulary, other.places, other.levels) != (first.kind, first.vocabulary, first.places, first.levels):
            told = f"streams have it as {first.kind} and as {other.kind}, of different meaning: take it from each stream's frame"
            raise InvalidInput(told, name)
    dtype = np.result_type(*(np.dtype(column.dtype) for column in columns))
    if first.kind is not Kind.NUMBER or dtype.kind != "f" or any(column.dtype.startswith("float") for column in columns):
        nullable = len(columns) < streams or any(column.nullable for column in columns)
        return msgspec.structs.replace(first, dtype=str(dtype), nullable=nullable)
    told = f"no whole number holds {' and '.join(sorted({column.dtype for column in columns}))}: take it from each stream's frame"
    raise InvalidInput(told, name)


def _values(frame: Frame) -> Iterator[dict[str, Any]]:
    """Each row's values as Python objects, None where null."""
    names = tuple(frame)
    columns: list[list[Any]] = []
    for name in names:
        values, valid = frame[name].tolist(), frame.valid(name)
        if valid is not None:
            values = [value if ok else None for value, ok in zip(values, valid.tolist(), strict=True)]
        columns.append(values)
    if not names:
        return ({} for _ in range(frame.row_count))
    return (dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True))
