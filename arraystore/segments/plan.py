"""What a read will touch and where it goes: which rows match, which chunks hold them, in which order. Pure arithmetic, no bytes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from arraystore.frames.rows import Rows
from arraystore.segments.index import ChunkTable, ZoneIndex
from arraystore.versions.commit import SegmentEntry
from layouts.schema import Order, Schema

INT64_MIN = -(1 << 63)
INT64_MAX = (1 << 63) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A segment as a read sees it: its own place, what its commit says of it, and its rows if it is a tail."""

    prefix: str
    entry: SegmentEntry
    rows: Rows | None
    schema: Schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which rows: those whose `clock` (None: the axis) lies in `start` ≤ … < `stop` (None: open), or rows `rows` in reading order.

    A row whose clock is null lies in no range, not even in one that is open at both ends. With `labels`, a dictionary column and
    labels of it, only the rows that have one of these in it (of `rows`: rows are counted before). Of all that is left, each
    `every`-th is taken, the first one first.
    """

    start: int | None = None
    stop: int | None = None
    clock: str | None = None
    rows: tuple[int, int] | None = None
    labels: tuple[str, frozenset[str]] | None = None
    every: int = 1

    def __post_init__(self) -> None:
        assert self.rows is None or not self.by_clock, "rows by their time or by their number, not both"

    @property
    def by_clock(self) -> bool:
        """Whether a clock decides."""
        return self.start is not None or self.stop is not None or self.clock is not None


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """Positions as ascending, disjoint, non-empty runs from `starts` to `stops` (int64); where there is but one, each `step`-th of it."""

    starts: np.ndarray
    stops: np.ndarray
    step: int = 1

    def __post_init__(self) -> None:
        assert self.step == 1 or len(self.starts) == 1, "several runs have no step"

    @property
    def count(self) -> int:
        """Number of positions."""
        if len(self.starts) == 1:  # nearly always, and three times as fast
            return -((int(self.starts[0]) - int(self.stops[0])) // self.step)
        return int((self.stops - self.starts).sum())

    def indices(self) -> slice | np.ndarray:
        """The positions, to index an array with."""
        if len(self.starts) == 1:
            return slice(int(self.starts[0]), int(self.stops[0]), self.step)
        return self.positions()

    def positions(self) -> np.ndarray:
        """The positions themselves."""
        return spread_runs(self.starts, self.stops) if self.step == 1 else np.arange(int(self.starts[0]), int(self.stops[0]), self.step)

    def spelled(self) -> "Runs":
        """The same positions without a step."""
        return self if self.step == 1 else Runs(positions := self.positions(), positions + 1)

    def between(self, low: int, high: int) -> "Runs":
        """The positions from `low` to before `high`, of which there are some."""
        if len(self.starts) == 1:
            first, last = int(self.starts[0]), min(int(self.stops[0]), high)
            first = first if first >= low else low + (first - low) % self.step
            return Runs(np.array([first]), np.array([last]), self.step)
        runs = slice(np.searchsorted(self.stops, low, side="right"), np.searchsorted(self.starts, high))
        return Runs(np.maximum(self.starts[runs], low), np.minimum(self.stops[runs], high))

    def counts_before(self, borders: np.ndarray) -> np.ndarray:
        """How many positions lie before each border."""
        if len(self.starts) == 1:
            within = np.clip(borders, self.starts[0], self.stops[0]) - self.starts[0]
            single: np.ndarray = -(-within // self.step)
            return single
        runs = self
        before = np.concatenate(([0], np.cumsum(runs.stops - runs.starts)))
        place = np.searchsorted(runs.stops, borders, side="right")
        starts = np.concatenate((runs.starts, [INT64_MAX]))
        result: np.ndarray = before[place] + np.maximum(borders - starts[place], 0)
        return result

    def nth(self, ordinals: np.ndarray) -> np.ndarray:
        """The positions at these places among them, counted from 0."""
        ends = np.cumsum(self.stops - self.starts)
        place = np.searchsorted(ends, ordinals * self.step, side="right")
        result: np.ndarray = self.stops[place] - ends[place] + ordinals * self.step
        return result

    def every(self, start: int, stop: int, step: int) -> "Runs":
        """Each `step`-th of the positions from the `start`-th to before the `stop`-th."""
        assert self.step == 1, "a step of a step"
        if start >= stop:
            return NOTHING
        if step > 1 and len(self.starts) > 1:
            return runs_of(self.nth(np.arange(start, stop, step)))
        first, last = self.nth(np.array([start, stop - 1]))
        if len(self.starts) == 1:
            return Runs(np.array([first]), np.array([last + 1]), step if stop - start > 1 else 1)
        runs = slice(np.searchsorted(self.stops, first, side="right"), np.searchsorted(self.starts, last, side="right"))
        return Runs(np.maximum(self.starts[runs], first), np.minimum(self.stops[runs], last + 1))


NOTHING = Runs(np.zeros(0, np.int64), np.zeros(0, np.int64))


def run(start: int, stop: int) -> Runs:
    """The one run from `start` to `stop`."""
    return Runs(np.array([start], np.int64), np.array([stop], np.int64)) if start < stop else NOTHING


def runs_where(mask: np.ndarray, first: int = 0) -> Runs:
    """The runs of True in a mask whose first element stands for position `first`."""
    if not len(mask):
        return NOTHING
    edges = np.flatnonzero(mask[1:] != mask[:-1]) + 1
    ends = ([0] if mask[0] else [], [len(mask)] if mask[-1] else [])
    edges = (np.concatenate((ends[0], edges, ends[1])).astype(np.int64) if ends[0] or ends[1] else edges) + first
    return Runs(edges[::2], edges[1::2])


def runs_of(positions: np.ndarray) -> Runs:
    """The runs that ascending positions make."""
    if not len(positions):
        return NOTHING
    breaks = np.flatnonzero(np.diff(positions) != 1)
    return Runs(positions[np.concatenate(([0], breaks + 1))], positions[np.concatenate((breaks, [-1]))] + 1)


def join_runs(pieces: Iterable[Runs]) -> Runs:
    """Disjoint pieces as one, in ascending order."""
    pieces = [piece for piece in pieces if len(piece.starts)]
    if len(pieces) < 2:
        return pieces[0] if pieces else NOTHING
    starts = np.concatenate([piece.starts for piece in pieces])
    order = np.argsort(starts)
    return tidy_runs(starts[order], np.concatenate([piece.stops for piece in pieces])[order])


def intersect_runs(left: Runs, right: Runs) -> Runs:
    """The positions that are in both."""
    if len(left.starts) == 1 and len(right.starts) and left.starts[0] <= right.starts[0] and left.stops[0] >= right.stops[-1]:
        return right
    first = np.searchsorted(right.stops, left.starts, side="right")
    last = np.maximum(np.searchsorted(right.starts, left.stops, side="left"), first)
    pieces, whole = spread_runs(first, last), np.repeat(np.arange(len(left.starts)), last - first)
    return Runs(np.maximum(left.starts[whole], right.starts[pieces]), np.minimum(left.stops[whole], right.stops[pieces]))


def tidy_runs(starts: np.ndarray, stops: np.ndarray) -> Runs:
    """Runs from ascending, disjoint bounds, neighbours that touch merged and empty ones dropped."""
    filled = starts < stops
    starts, stops = starts[filled], stops[filled]
    if not len(starts):
        return NOTHING
    apart = starts[1:] != stops[:-1]
    return Runs(starts[np.concatenate(([True], apart))], stops[np.concatenate((apart, [True]))])


class Matches(NamedTuple):
    """Rows that match by what the index tells of their chunks (unless null, for times), and chunks that must be looked into."""

    whole: Runs
    doubtful: np.ndarray


NO_MATCHES = Matches(NOTHING, np.zeros(0, np.int64))


def match_chunks(index: ZoneIndex, clock: str, selection: Selection) -> Matches:
    """Match a clock's chunks by the bounds of their valid times; of nulls among them these tell nothing."""
    if clock not in index.tables:
        return NO_MATCHES
    low, high = index.bounds[clock]
    start = INT64_MIN if selection.start is None else selection.start
    stop = selection.stop
    possible = (low <= high) & (high >= start)
    certain = low >= start
    if stop is not None:
        possible &= low < stop
        certain &= high < stop
    return _matches(index.tables[clock], possible, certain)


def match_labels(index: ZoneIndex, column: str, wanted: frozenset[str]) -> Matches:
    """Match a dictionary column's chunks by the sets of codes in them, where the index has these."""
    if column not in index.tables:
        return NO_MATCHES
    table, listed = index.tables[column], wanted_codes(index.labels[column], wanted)[:-1]
    if column in index.codes:
        sets, bits = index.codes[column], np.packbits(listed, bitorder="little")
        possible, certain = (sets & bits).any(axis=1), ~(sets & ~bits).any(axis=1)
    else:
        possible, certain = np.full(table.count, listed.any()), np.full(table.count, listed.all())
    return _matches(table, possible, certain & (f"{column}_valid" not in index.tables))  # a set tells nothing of nulls


def wanted_codes(labels: Sequence[str], wanted: frozenset[str]) -> np.ndarray:
    """Which codes stand for a label that is wanted: bool per label, and False at the end, which the code −1 finds."""
    return np.array([*(label in wanted for label in labels), False], np.bool_)


def _matches(table: ChunkTable, possible: np.ndarray, certain: np.ndarray) -> Matches:
    whole = runs_where(possible & certain)
    return Matches(rows_of_chunks(whole, table.entry.chunk, table.elements), np.flatnonzero(possible & ~certain))


def rows_of_chunks(chunks: Runs, length: int, rows: int) -> Runs:
    """The rows that chunks of `length` of them hold; there are `rows` in all."""
    return Runs(chunks.starts * length, np.minimum(chunks.stops * length, rows))


def possible_rows(matches: Matches, table: ChunkTable) -> Runs:
    """The rows of all chunks that hold any that match, or may."""
    return join_runs([matches.whole, rows_of_chunks(runs_of(matches.doubtful), table.entry.chunk, table.elements)])


def chunks_met(chunks: np.ndarray, runs: Runs, length: int) -> list[int]:
    """Those of some ascending chunks, of `length` elements each, that hold any of the runs' positions."""
    starts = np.concatenate((runs.starts, [INT64_MAX]))
    following = starts[np.searchsorted(runs.stops, chunks * length, side="right")]
    met: list[int] = chunks[following < (chunks + 1) * length].tolist()
    return met


def match_times(times: np.ndarray, selection: Selection) -> np.ndarray:
    """Match rows by their times: bool per row."""
    mask = np.ones(len(times), np.bool_) if selection.start is None else times >= selection.start
    if selection.stop is not None:
        mask &= times < selection.stop
    return mask


def may_match(entry: SegmentEntry, clock: str, selection: Selection) -> bool:
    """Whether a segment can have rows that match, by what its commit says."""
    if clock not in entry.clocks:
        return False
    first, last = entry.clocks[clock]
    return (selection.stop is None or first < selection.stop) and (selection.start is None or last >= selection.start)


def spread_runs(starts: np.ndarray, stops: np.ndarray) -> np.ndarray:
    """All positions of many runs."""
    lengths = stops - starts
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()))


class Cluster(NamedTuple):
    """Parts, by their number, whose rows are read one after another and then, if `merge`, sorted by the axis, ties in that order."""

    parts: tuple[int, ...]
    merge: bool


def arrange(entries: Sequence[SegmentEntry], schema: Schema) -> list[Cluster]:
    """The order in which parts, given by order key, are read: as they are, or by time where times of rows decide.

    Parts whose times don't overlap only need to follow each other; those that do make a cluster that is merged.
    """
    if schema.order is not Order.TIME or len(entries) < 2:
        return [Cluster((number,), merge=False) for number in range(len(entries))]
    bounds = [entry.clocks.get(schema.axis, (INT64_MIN, INT64_MAX)) for entry in entries]
    clusters: list[list[int]] = []
    latest = (INT64_MIN, -1)
    # at the very same time, rows of the part with the smaller order key come first
    for first, number, last in sorted((first, number, last) for number, (first, last) in enumerate(bounds)):
        if clusters and (first, number) < latest:
            clusters[-1].append(number)
            latest = max(latest, (last, number))
        else:
            clusters.append([number])
            latest = (last, number)
    return [Cluster(tuple(sorted(parts)), merge=len(parts) > 1) for parts in clusters]
