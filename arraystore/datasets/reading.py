"""What a caller wants to read of a dataset, checked, and the ways to read it: at once, from its end, or batch by batch."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Self

import msgspec
import numpy as np

from arraystore import arguments
from arraystore.arguments import TimeLike
from arraystore.datasets.parts import load_parts
from arraystore.errors import InvalidInput, Problem
from arraystore.frames.rows import Rows
from arraystore.pool import map_in_order
from arraystore.segments.choice import Choice, Shape
from arraystore.segments.reader import Selection, choose
from arraystore.versions.log import Log
from arraystore.versions.state import State
from layouts.schema import Column, Schema

type RowRange = tuple[int | None, int | None]
type Levels = int | tuple[int, int]

REACH_ROWS = 1 << 16
"""So many rows are looked through at first for an instrument's last ones, and each time so many times more,"""
REACH_GROWTH = 8
"""so that few are looked at twice."""

RAGGED_ROW_BYTES = 64
"""Taken for a row's text or payload before any index is open, to put small windows together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A reading as the engine takes it; `rows` in reading order, negative ones from the end; `columns` in the order wanted."""

    schema: Schema
    columns: tuple[str, ...]
    selection: Selection
    shape: Shape
    rows: RowRange | None = None

    @classmethod
    def parse(
        cls,
        schema: Schema,
        start: TimeLike | None,
        end: TimeLike | None,
        columns: Iterable[str] | None,
        clock: str | None,
        instruments: Iterable[str] | str | None,
        *,
        rows: RowRange | None = None,
        every: int = 1,
        levels: Levels | None = None,
        out: Mapping[str, np.ndarray] | None = None,
        memory: int | None = None,
        threads: int | None = None,
    ) -> Self:
        """A reading of rows of `schema`, or `InvalidInput` with what is wrong with it."""
        span, wanted = arguments.bounds(start, end), arguments.columns(schema, columns)
        ranged = {"start": start, "end": end, "clock": clock, "instruments": instruments}
        beside = [name for name, given in ranged.items() if given is not None]
        chosen = None if levels is None else _levels(schema, levels)
        chosen_clock = arguments.clock(schema, clock)
        shape = Shape(
            columns=frozenset(wanted),
            levels=chosen,
            out=None if out is None else _places(schema, wanted, chosen, out),
            memory=None if memory is None else arguments.whole(memory, "memory", 1),
            threads=arguments.threads(threads),
        )
        selection = Selection(
            clock=chosen_clock if span != (None, None) else None,
            start=span[0],
            stop=span[1],
            labels=arguments.instruments(schema, instruments),
            every=arguments.whole(every, "every", 1),
        )
        return cls(schema=schema, columns=wanted, selection=selection, shape=shape, rows=None if rows is None else _row_range(rows, beside))

    @property
    def span(self) -> tuple[int | None, int | None]:
        """The range of its clock, None where it is open."""
        return self.selection.start, self.selection.stop

    @property
    def clock(self) -> str:
        """The clock of the range."""
        return self.selection.clock or self.schema.axis

    @property
    def frame_schema(self) -> Schema:
        """The schema of what is read: the columns in the order wanted, those with levels with as many as are wanted."""
        levels = self.shape.levels
        columns = [self.schema.column(name) for name in self.columns]
        if levels is not None:
            wanted = levels.stop - levels.start
            columns = [each if each.levels is None else msgspec.structs.replace(each, levels=wanted) for each in columns]
        return msgspec.structs.replace(self.schema, columns=tuple(columns))

    @property
    def row_bytes(self) -> int:
        """About what a row takes."""
        wanted = [spec for spec in self.schema.arrays() if spec.column in self.shape.columns]
        return sum(RAGGED_ROW_BYTES if spec.is_payload else spec.element_bytes for spec in wanted)


def _row_range(given: Any, beside: Sequence[str]) -> RowRange:
    """First row and row to end before, None for open; not together with what chooses rows otherwise."""
    if beside:
        told = f"rows are numbered over the whole dataset or window, and not within {' and '.join(beside)}"
        raise InvalidInput(f"{told}: leave out one or the other, or take rows of the frame that is read", "rows")
    match given:
        case (first, last) if all(bound is None or _is_whole(bound) for bound in (first, last)):
            return None if first is None else int(first), None if last is None else int(last)
    raise InvalidInput(f"{given!r} isn't (start, stop): two whole numbers as in a slice, None for open", "rows")


def _is_whole(given: Any) -> bool:
    return isinstance(given, int | np.integer) and not isinstance(given, bool | np.timedelta64)


def _levels(schema: Schema, given: Any) -> slice | None:
    """The levels wanted, None for all of them."""
    count = next((column.levels for column in schema.columns if column.levels is not None), None)
    if count is None:
        raise InvalidInput(f"schema {schema.name!r} has no column with levels: leave it out", "levels")
    first, last = given if isinstance(given, tuple) and len(given) == 2 else (0, given)
    if not (_is_whole(first) and _is_whole(last) and 0 <= first < last <= count):
        told = f"{given!r} isn't among the {count} levels of schema {schema.name!r}"
        raise InvalidInput(f"{told}: give how many, or (from, to) with 0 <= from < to <= {count}", "levels")
    return None if (first, last) == (0, count) else slice(int(first), int(last))


def _places(schema: Schema, columns: Sequence[str], levels: slice | None, given: Any) -> dict[str, np.ndarray]:
    """Arrays to read into, times as int64; `InvalidInput` with every problem of them."""
    if not isinstance(given, Mapping):
        raise InvalidInput(f"a {type(given).__name__} isn't a mapping of columns to arrays: pass a dict", "out")
    problems = []
    for name, array in given.items():
        if name not in columns:
            problems.append(Problem(f"out[{name!r}]", f"it isn't among the columns that are read: {', '.join(columns)}"))
        elif told := _place_problem(schema.column(name), levels, array):
            problems.append(Problem(f"out[{name!r}]", told))
    if not problems and (shared := _sharing(given)):
        problems.append(Problem("out", f"{shared[0]!r} and {shared[1]!r} share memory: give each an array of its own"))
    if problems:
        raise InvalidInput(problems)
    return {name: array.view(np.int64) if array.dtype.kind == "M" else array for name, array in given.items()}


def _place_problem(column: Column, levels: slice | None, array: Any) -> str:
    """Why a column can't be read into an array; nothing if it can."""
    if column.is_ragged:
        return f"{column.kind} has no fixed size per row: leave it out of `out`, and take the frame's"
    if not isinstance(array, np.ndarray) or isinstance(array, np.ma.MaskedArray):
        return f"a {type(array).__name__} isn't a NumPy array: make one with numpy.empty"
    inner: tuple[int, ...] = ()
    if column.levels is not None:
        inner = (column.levels if levels is None else levels.stop - levels.start,)
    types = (column.dtype, "datetime64[ns]") if column.dtype == "int64" else (column.dtype,)
    if array.dtype not in map(np.dtype, types):
        return f"its dtype is {array.dtype}, where the column has {types[0]}"
    if array.ndim != 1 + len(inner) or array.shape[1:] != inner:
        return f"its shape is {array.shape}, where (rows{''.join(f', {length}' for length in inner)}) is read"
    if not array.flags.c_contiguous:
        return "it isn't C-contiguous: pass a whole array, or rows of one"
    return "" if array.flags.writeable else "it is read-only: pass one that can be written"


def _sharing(given: Mapping[str, np.ndarray]) -> tuple[str, str] | None:
    """Two columns whose arrays overlap."""
    spans = sorted((array.__array_interface__["data"][0], array.nbytes, name) for name, array in given.items() if array.nbytes)
    return next(((left[2], right[2]) for left, right in pairwise(spans) if left[0] + left[1] > right[0]), None)


def _all_met(state: State, request: Request) -> list[tuple[str, int]]:
    """The windows that have rows which may be wanted, and how many rows, by name; without a look at each, for there may be thousands."""
    spans, (start, stop) = state.spans(request.clock), request.span
    met = spans.rows > 0
    if start is not None:
        met &= spans.last >= start
    if stop is not None:
        met &= spans.first < stop
    places = met.nonzero()[0]
    return [(spans.names[place], rows) for place, rows in zip(places.tolist(), spans.rows[places].tolist(), strict=True)]


def _met(state: State, window: str, request: Request) -> list[tuple[str, int]]:
    """The same of one window."""
    summary = state.summary(window)
    is_met = summary.rows and arguments.overlaps(summary.clocks.get(request.clock), *request.span)
    return [(window, summary.rows)] if is_met else []


class Reading:
    """A request of all windows of a dataset at one version, or of one, which is named as on disk."""

    def __init__(self, log: Log, state: State, window: str | None, request: Request) -> None:
        self._log = log
        self._state = state
        self._request = request
        self._windows = _all_met(state, request) if window is None else _met(state, window, request)
        self._total = sum(rows for _, rows in self._windows)

    def read(self) -> Rows:
        """All rows at once."""
        first, last = self._row_range()
        names, before = self._holding(first, last)
        with self._log.explained(self._state.version, names):
            return self._load(self._choose(names, before, first, last, self._request.selection))

    def last(self, count: int) -> Rows:
        """The last `count` rows of all; of those that have a wanted label, if labels are wanted."""
        total, selection = self._total, self._request.selection
        reach = min(total, count if selection.labels is None else max(count, REACH_ROWS))
        while True:
            names, before = self._holding(total - reach, total)
            with self._log.explained(self._state.version, names):
                found = self._choose(names, before, total - reach, total, selection)
                if found.count >= count or reach == total:
                    return self._load(found.pick(max(found.count - count, 0), found.count))
            reach = min(total, reach * REACH_GROWTH)

    def batches(self, memory: int, prefetch: int) -> Iterator[Rows]:
        """All rows in batches, of which the caller's and `prefetch` that are under way take at most `memory` bytes together."""
        shape = replace(self._request.shape, memory=memory // (prefetch + 1))

        def load(piece: tuple[Sequence[str], Choice]) -> Rows:
            with self._log.explained(self._state.version, piece[0]):
                return self._load(piece[1], shape)

        return map_in_order(load, self._pieces(shape), 1, ahead=prefetch)

    def _pieces(self, shape: Shape) -> Iterator[tuple[Sequence[str], Choice]]:
        """Batches before they are loaded, beside the windows they are from: of many small windows at once, or of a part of a large one."""
        selection, done = self._request.selection, 0
        first, last = self._row_range()
        for start, stop in self._groups(max(1, (shape.memory or 0) // self._request.row_bytes)):
            low, high = max(first, start), min(last, stop)
            if low >= high:
                continue
            names, before = self._holding(low, high)
            with self._log.explained(self._state.version, names):
                found = self._choose(names, before, low, high, replace(selection, every=1))
                for piece in found.pieces(shape, -done % selection.every, selection.every):
                    yield names, piece
            done += found.count

    def _groups(self, most: int) -> Iterator[tuple[int, int]]:
        """The row ranges of windows: of so many together as have at most so many rows, or of one."""
        start = stop = 0
        for _, rows in self._windows:
            if stop > start and stop + rows - start > most:
                yield start, stop
                start = stop
            stop += rows
        if stop > start:
            yield start, stop

    def _row_range(self) -> tuple[int, int]:
        """First row and row to end before, in all windows that are touched."""
        if self._request.rows is None:
            return 0, self._total
        first, last, _ = slice(*self._request.rows).indices(self._total)
        return first, max(first, last)

    def _holding(self, start: int, stop: int) -> tuple[list[str], int]:
        """The windows that hold rows from `start` to `stop`, and how many rows come before them."""
        names: list[str] = []
        before = done = 0
        for name, rows in self._windows:
            if start < done + rows and done < stop:
                before = before if names else done
                names.append(name)
            done += rows
        return names, before

    def _choose(self, names: Sequence[str], before: int, start: int, stop: int, selection: Selection) -> Choice:
        """What is selected of the rows from `start` to `stop`, which lie in these windows."""
        parts = load_parts(self._log, self._state, *map(self._state.window, names))
        if (start - before, stop - before) != (0, sum(part.entry.rows for part in parts)):
            selection = replace(selection, rows=(start - before, stop - before))
        return choose(self._log.storage, parts, self._request.schema, selection, self._request.shape.threads)

    def _load(self, choice: Choice, shape: Shape | None = None) -> Rows:
        return choice.load(shape or self._request.shape).reorder(self._request.columns)
