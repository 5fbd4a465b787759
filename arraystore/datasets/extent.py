"""The rows of a range by their number in reading order, over all windows: reads any of them, and finds where among them a time lies."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from arraystore.datasets.parts import load_parts
from arraystore.errors import InvalidInput
from arraystore.frames.rows import Rows, empty
from arraystore.segments.picking import pick_rows, pick_validity, rows_within
from arraystore.segments.plan import Part, Runs, intersect_runs, run, runs_of, tidy_runs
from arraystore.storage.base import Storage
from arraystore.versions.log import Log
from arraystore.versions.state import Spans, State
from layouts.chunking import CHUNK_BYTES, chunk_length
from layouts.schema import Order, Schema
from layouts.times import format_time

LOOKED_UP_ROWS = 1 << 22  # times held at once
FEW = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Extent:
    """Rows of a dataset's version, numbered from 0 in the order in which they read. Immutable; safe to share between threads.

    Making one reads nothing but the chunks in which its range begins and ends.
    """

    storage: Storage
    log: Log
    state: State
    schema: Schema
    spans: Spans  # of the axis clock, of the windows that have rows in it
    stops: np.ndarray  # per window: rows up to its end
    kept: Mapping[int, Runs]  # windows, by place, of which not all rows are in it, and which are
    asked: tuple[int | None, int | None]  # the range

    @property
    def rows(self) -> int:
        """How many there are."""
        return int(self.stops[-1]) if len(self.stops) else 0

    def read(self, picked: Runs, columns: Iterable[str], threads: int | None = None) -> Rows:
        """The rows with these numbers, in order, with columns in the schema's order."""
        names = set(columns)
        if not picked.count:
            return empty(self.schema.only(names))
        with self._placed(picked) as (parts, runs):
            return pick_rows(self.storage, parts, self.schema, runs, names, threads)

    def read_validity(self, picked: Runs, column: str, threads: int | None = None) -> np.ndarray:
        """Which of the rows with these numbers aren't null in a column: bool."""
        if not picked.count:
            return np.zeros(0, np.bool_)
        with self._placed(picked) as (parts, runs):
            return pick_validity(self.storage, parts, self.schema, runs, column, threads)

    @contextmanager
    def _placed(self, picked: Runs) -> Iterator[tuple[list[Part], Runs]]:
        """The parts of the windows that hold some rows, and which of all rows of these they are; tells what became of what is missing."""
        touched = list(self._touched(picked))
        done, pieces = 0, []
        for window, own in touched:
            pieces.append((own.starts + done, own.stops + done))
            done += int(self.spans.rows[window])
        starts, stops = (np.concatenate(each) for each in zip(*pieces, strict=True))
        parts = self._parts([window for window, _ in touched])
        with self.log.explained(self.state.version, [self.spans.names[window] for window, _ in touched]):
            yield parts, tidy_runs(starts, stops)

    def times(self, start: int, stop: int, threads: int | None = None) -> np.ndarray:
        """The axis clock of rows `start` to `stop`, as int64 ns."""
        return self.read(run(start, stop), [self.schema.axis], threads).arrays[self.schema.axis]

    def rows_before(self, times: np.ndarray) -> np.ndarray:
        """How many rows come before each of these times (int64 ns, any order): int64.

        Raises `InvalidInput` where the axis clock steps back around one, as rows in order of arrival may, so that no number tells.
        """
        found = np.empty(len(times), np.int64)
        window = np.searchsorted(self.spans.last, times, side="left")
        begins = np.concatenate(([0], self.stops))
        outside = (window == len(self.stops)) | (np.append(self.spans.first, 0)[window] >= times)
        found[outside] = begins[window[outside]]
        for place in np.unique(window[~outside]).tolist():
            here = np.flatnonzero((window == place) & ~outside)
            sought, back = np.unique(times[here], return_inverse=True)
            found[here] = (begins[place] + self._rows_before_in(place, sought))[back]
        return found

    def check_ascending(self, start: int, stop: int) -> None:
        """Raise `InvalidInput` if the axis clock steps back between rows `start` and `stop`."""
        if self.schema.order is Order.TIME:
            return
        latest = None
        for first in range(start, stop, LOOKED_UP_ROWS):
            times = self.times(first, min(first + LOOKED_UP_ROWS, stop))
            if bool((times[1:] < times[:-1]).any()) or (latest is not None and times[0] < latest):
                raise self._steps_back(int(times[0]))
            latest = times[-1]

    def blocks(self, most_rows: int) -> tuple[int, ...]:
        """How many rows pieces of about `most_rows` at most have: windows that are shorter, else parts of one, cut between chunks."""
        lengths: list[int] = []
        gathered = 0
        for window, count in enumerate(np.diff(self.stops, prepend=0).tolist()):
            if gathered and gathered + count > most_rows:
                lengths.append(gathered)
                gathered = 0
            if count <= most_rows:
                gathered += count
                continue
            chunk = chunk_length(int(self.spans.rows[window]), 8, CHUNK_BYTES)  # of times, and of most other columns
            first = step = -(-count // -(-count // most_rows))
            if chunk <= most_rows:
                step = -(-step // chunk) * chunk
                kept = self.kept.get(window)
                first = step - (int(kept.starts[0]) % chunk if kept is not None else 0)
            cuts = [*range(first, count, step), count]
            lengths += np.diff(cuts, prepend=0).tolist()
        return (*lengths, gathered) if gathered or not lengths else tuple(lengths)

    def cut_between_times(self, lengths: Sequence[int]) -> tuple[list[int], np.ndarray | None]:
        """Where pieces of such lengths begin, moved so that rows of one time stay together; and times of first rows, and the last.

        No times, where the axis clock steps back at a cut, and the cuts as they are.
        """
        starts = np.concatenate(([0], np.cumsum(lengths)[:-1])).astype(np.int64)
        if not self.rows:
            return starts.tolist(), None
        begins = np.concatenate(([0], self.stops[:-1]))
        window = np.searchsorted(begins, starts, side="right") - 1
        times = self.spans.first[window]
        within = (begins[window] != starts) | np.isin(window, list(self.kept))
        try:
            times[within] = [int(self.times(start, start + 1)[0]) for start in starts[within].tolist()]
            starts[within] = self.rows_before(times[within])
        except InvalidInput:
            return np.cumsum([0, *lengths[:-1]]).tolist(), None
        first = np.append(True, starts[1:] > starts[:-1])
        last = self.times(self.rows - 1, self.rows)[0] if len(self.stops) - 1 in self.kept else self.spans.last[-1]
        return starts[first].tolist(), np.append(times[first], last)

    def _touched(self, picked: Runs) -> Iterator[tuple[int, Runs]]:
        """The windows that hold rows with these numbers, and which of all their rows these are."""
        first = int(np.searchsorted(self.stops, picked.starts[0], side="right"))
        last = int(np.searchsorted(self.stops, picked.stops[-1] - 1, side="right"))
        for window in range(first, last + 1):
            start, stop = (0 if window == 0 else int(self.stops[window - 1])), int(self.stops[window])
            own = intersect_runs(run(start, stop), picked)
            if not own.count:
                continue
            own = Runs(own.starts - start, own.stops - start)
            kept = self.kept.get(window)
            if kept is not None and len(kept.starts) == 1:
                own = Runs(own.starts + kept.starts[0], own.stops + kept.starts[0])
            elif kept is not None:
                own = runs_of(kept.positions()[own.positions()])
            yield window, own

    def _parts(self, windows: Iterable[int]) -> list[Part]:
        names = [self.spans.names[window] for window in windows]
        with self.log.explained(self.state.version, names):
            return load_parts(self.log, self.state, *map(self.state.window, names))

    def _rows_before_in(self, window: int, times: np.ndarray) -> np.ndarray:
        """How many of the rows of a window that are in it come before each of these ascending times."""
        parts = self._parts([window])
        if len(times) <= FEW:
            return np.array([self._one_before(window, parts, time) for time in times.tolist()], np.int64)
        low, high = (self._one_before(window, parts, int(time)) for time in (times[0], times[-1]))
        if high - low > LOOKED_UP_ROWS:
            half = len(times) // 2
            return np.concatenate([self._rows_before_in(window, each) for each in (times[:half], times[half:])])
        begins = 0 if window == 0 else int(self.stops[window - 1])
        self.check_ascending(begins + low, begins + high)
        return low + np.searchsorted(self.times(begins + low, begins + high), times, side="left")

    def _one_before(self, window: int, parts: list[Part], time: int) -> int:
        axis = self.schema.axis
        with self.log.explained(self.state.version, [self.spans.names[window]]):
            before = rows_within(self.storage, parts, self.schema, None, time, axis)
        kept = self.kept.get(window, run(0, int(self.spans.rows[window])))
        own = intersect_runs(kept, before)
        if own.count and intersect_runs(kept, run(0, int(own.stops[-1]))).count != own.count:
            raise self._steps_back(time)
        return own.count

    def _steps_back(self, time: int) -> InvalidInput:
        axis = self.schema.axis
        told = f"{axis!r} steps back around {format_time(time)}, for rows are in order of arrival, so that no slice holds this range"
        return InvalidInput(f"{told}: read(start, end) or to_xarray(start, end) selects every row in it", axis)


def extent_of(
    storage: Storage,
    log: Log,
    state: State,
    schema: Schema,
    *,
    start: int | None = None,
    stop: int | None = None,
    clock: str | None = None,
    window: str | None = None,
) -> Extent:
    """The rows whose `clock` (None: the axis) lies in `start` ≤ … < `stop` (None: open), of all windows or of one (by its name on disk)."""
    clock = clock or schema.axis
    spans = _of_windows(state.spans(schema.axis), window)
    kept: dict[int, Runs] = {}
    inside = spans.rows > 0
    if (start, stop) != (None, None):
        _, _, first, last = _of_windows(state.spans(clock), window)
        possible = (first <= last) & ((last >= start) if start is not None else True) & ((first < stop) if stop is not None else True)
        certain = possible & ((first >= start) if start is not None else True) & ((last < stop) if stop is not None else True)
        inside &= possible
        doubtful = possible if schema.column(clock).nullable else possible & ~certain
        for place in np.flatnonzero(doubtful & inside).tolist():
            name = spans.names[place]
            with log.explained(state.version, [name]):
                found = rows_within(storage, load_parts(log, state, state.window(name)), schema, start, stop, clock)
            if found.count != spans.rows[place]:
                kept[place] = found
                inside[place] = found.count > 0
    places = np.flatnonzero(inside)
    counts = spans.rows[places].copy()
    renumbered: dict[int, Runs] = {}
    for number, place in enumerate(places.tolist()):
        if place in kept:
            counts[number] = kept[place].count
            renumbered[number] = kept[place]
    return Extent(
        storage=storage,
        log=log,
        state=state,
        schema=schema,
        spans=Spans(tuple(spans.names[place] for place in places.tolist()), *(column[places] for column in spans[1:])),
        stops=np.cumsum(counts),
        kept=renumbered,
        asked=(start, stop),
    )


def _of_windows(spans: Spans, window: str | None) -> Spans:
    if window is None:
        return spans
    place = spans.names.index(window)
    return Spans((window,), *(column[place : place + 1] for column in spans[1:]))
