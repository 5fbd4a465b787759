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
    labels of it, only the rows that have one of these in it.
    """

    start: int | None = None
    stop: int | None = None
    clock: str | None = None
    rows: tuple[int, int] | None = None
    labels: tuple[str, frozenset[str]] | None = None

    def __post_init__(self) -> None:
        assert self.rows is None or not (self.by_clock or self.labels), "rows by what is in them or by their number, not both"

    @property
    def by_clock(self) -> bool:
        """Whether a clock decides."""
        return self.start is not None or self.stop is not None or self.clock is not None


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """Positions as ascending, disjoint, non-empty runs from `starts` to `stops` (int64)."""

    starts: np.ndarray
    stops: np.ndarray

    @property
    def count(self) -> int:
        """Number of positions."""
        return int((self.stops - self.starts).sum())

    def indices(self) -> slice | np.ndarray:
        """The positions, to index an array with."""
        if len(self.starts) == 1:
            return slice(int(self.starts[0]), int(self.stops[0]))
        return self.positions()

    def positions(self) -> np.ndarray:
        """The positions themselves."""
        return _spread(self.starts, self.stops)


NOTHING = Runs(np.zeros(0, np.int64), np.zeros(0, np.int64))


def run(start: int, stop: int) -> Runs:
    """The one run from `start` to `stop`."""
    return Runs(np.array([start], np.int64), np.array([stop], np.int64)) if start < stop else NOTHING


def runs_where(mask: np.ndarray, first: int = 0) -> Runs:
    """The runs of True in a mask whose first element stands for position `first`."""
    edges = np.flatnonzero(np.diff(mask.view(np.int8), prepend=np.int8(0), append=np.int8(0))) + first
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
    pieces, whole = _spread(first, last), np.repeat(np.arange(len(left.starts)), last - first)
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
    return Matches(_rows_of(whole, table), np.flatnonzero(possible & ~certain))


def _rows_of(chunks: Runs, table: ChunkTable) -> Runs:
    length = table.entry.chunk
    return Runs(chunks.starts * length, np.minimum(chunks.stops * length, table.elements))


def possible_rows(matches: Matches, table: ChunkTable) -> Runs:
    """The rows of all chunks that hold any that match, or may."""
    return join_runs([matches.whole, _rows_of(runs_of(matches.doubtful), table)])


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


class Take(NamedTuple):
    """What a read takes of one chunk: the elements `source` of it go to the result from `target` on, `elements` of them."""

    chunk: int
    source: slice | np.ndarray
    target: int
    elements: int


def plan_takes(runs: Runs, table: ChunkTable, target: int) -> list[Take]:
    """Which chunks hold the runs' elements, and where these go when packed one after another from `target` on."""
    length = table.entry.chunk
    if len(runs.starts) == 1:
        first, last = int(runs.starts[0]), int(runs.stops[0])
        takes = []
        for chunk in range(first // length, (last - 1) // length + 1):
            low, high = max(first, chunk * length), min(last, (chunk + 1) * length)
            takes.append(Take(chunk, slice(low - chunk * length, high - chunk * length), target + low - first, high - low))
        return takes
    return _plan_many(runs, length, target)


def _plan_many(runs: Runs, length: int, target: int) -> list[Take]:
    lengths = runs.stops - runs.starts
    before = np.cumsum(lengths) - lengths
    takes = []
    for chunk in touched_chunks(runs, length):
        base = chunk * length
        first = int(np.searchsorted(runs.stops, base, side="right"))
        last = int(np.searchsorted(runs.starts, base + length, side="left"))
        starts = np.maximum(runs.starts[first:last] - base, 0)
        stops = np.minimum(runs.stops[first:last] - base, length)
        source = Runs(starts, stops)
        skipped = max(0, base - int(runs.starts[first]))
        takes.append(Take(chunk, source.indices(), target + int(before[first]) + skipped, source.count))
    return takes


def touched_chunks(runs: Runs, length: int) -> list[int]:
    """The chunks of `length` elements that hold any of the runs' positions."""
    first, last = runs.starts // length, (runs.stops - 1) // length
    return [int(chunk) for chunk in np.unique(_spread(first, last + 1))]


def _spread(starts: np.ndarray, stops: np.ndarray) -> np.ndarray:
    """All positions of many runs."""
    lengths = stops - starts
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()))


class Place(NamedTuple):
    """Where a chunk's bytes lie in what was fetched: in which range of it, and from where in that; and their checksum."""

    range: int
    start: int
    length: int
    crc32c: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """One request for chunks of one object, and what is done with them."""

    table: ChunkTable
    shard: int
    takes: Sequence[Take]

    def ranges(self) -> tuple[list[tuple[int, int]], list[Place]]:
        """The bytes to read, chunks that touch each other in one range; and where each take's chunk lies in them."""
        chunks = [take.chunk for take in self.takes]
        columns = (self.table.offset[chunks].tolist(), self.table.length[chunks].tolist(), self.table.crc32c[chunks].tolist())
        ranges: list[tuple[int, int]] = []
        places: list[Place] = []
        start = stop = -1
        for offset, length, checksum in zip(*columns, strict=True):
            if offset != stop:
                ranges.append((offset, offset))
                start = offset
            stop = offset + length
            ranges[-1] = (start, stop)
            places.append(Place(len(ranges) - 1, offset - start, length, checksum))
        return ranges, places


def plan_fetches(table: ChunkTable, takes: Sequence[Take], at_most_bytes: int) -> list[Fetch]:
    """Group ascending takes by object, and cut groups where they pass a size, so that threads find work to share."""
    per_shard = table.entry.shard // table.entry.chunk
    lengths = table.length[[take.chunk for take in takes]].tolist() if takes else []
    fetches: list[Fetch] = []
    begun = size = 0
    for place, (take, length) in enumerate(zip(takes, lengths, strict=True)):
        if place > begun and (size >= at_most_bytes or take.chunk // per_shard != takes[begun].chunk // per_shard):
            fetches.append(Fetch(table=table, shard=takes[begun].chunk // per_shard, takes=takes[begun:place]))
            begun, size = place, 0
        size += length
    if begun < len(takes):
        fetches.append(Fetch(table=table, shard=takes[begun].chunk // per_shard, takes=takes[begun:]))
    return fetches


class Cluster(NamedTuple):
    """Parts, by their number, whose rows are read one after another and then, if `merge`, sorted by the axis, ties in that order."""

    parts: tuple[int, ...]
    merge: bool


def arrange(entries: Sequence[SegmentEntry], schema: Schema) -> list[Cluster]:
    """The order in which parts, given by order key, are read: as they are, or by time where times of rows decide.

    Parts whose times don't overlap only need to follow each other; those that do make a cluster that is merged.
    """
    if schema.order is not Order.TIME:
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
