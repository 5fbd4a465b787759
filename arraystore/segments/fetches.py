"""What is fetched of each object, and which elements of its chunks go where. Pure arithmetic, no bytes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from arraystore.segments.index import ChunkTable
from arraystore.segments.plan import INT64_MAX, Runs, run, spread_runs


class Take(NamedTuple):
    """What a read takes of one chunk: the elements `source` of it go to the result from `target` on, `elements` of them."""

    chunk: int
    source: slice | Runs
    target: int
    elements: int

    @property
    def chosen(self) -> slice | np.ndarray:
        """What takes them out of the decoded chunk; made when it is needed, since it may be larger than they are."""
        return self.source if isinstance(self.source, slice) else self.source.positions()

    @property
    def end(self) -> int:
        """How many elements of the chunk must be decoded."""
        return int(self.source.stop if isinstance(self.source, slice) else self.source.stops[-1])


def plan_takes(runs: Runs, table: ChunkTable, target: int) -> list[Take]:
    """Which chunks hold the runs' elements, and where these go when packed one after another from `target` on."""
    length = table.entry.chunk
    if len(runs.starts) == 1:
        return _plan_steps(int(runs.starts[0]), int(runs.stops[0]), runs.step, length, target)
    return _plan_many(runs, length, target)


def _plan_steps(first: int, last: int, step: int, length: int, target: int) -> list[Take]:
    """The takes of one run, of which each `step`-th element is wanted."""
    if step == 1:
        return _plan_stretch(first, last, length, target)
    takes = []
    for chunk in range(first // length, (last - 1) // length + 1):
        base = chunk * length
        low, high = first - base if first > base else (first - base) % step, min(last - base, length)
        if low < high:
            takes.append(Take(chunk, slice(low, high, step), target + (base + low - first) // step, -((low - high) // step)))
    return takes


def _plan_stretch(first: int, last: int, length: int, target: int) -> list[Take]:
    """The takes of one run without gaps: whole chunks, but for what is cut off the first and the last."""
    chunk, low = divmod(first, length)
    final, high = divmod(last, length)
    if chunk == final:
        return [Take(chunk, slice(low, high, 1), target, last - first)]
    takes = []
    if low:
        takes.append(Take(chunk, slice(low, length, 1), target, length - low))
        chunk, target = chunk + 1, target + length - low
    whole = slice(0, length, 1)
    takes += [Take(number, whole, target + (number - chunk) * length, length) for number in range(chunk, final)]
    if high:
        takes.append(Take(final, slice(0, high, 1), target + (final - chunk) * length, high))
    return takes


def _plan_many(runs: Runs, length: int, target: int) -> list[Take]:
    """The takes of many runs, which are cut where chunks end, all at once: there may be tens of thousands of them."""
    first, last = runs.starts // length, (runs.stops - 1) // length
    chunks, whole = spread_runs(first, last + 1), np.repeat(np.arange(len(first)), last + 1 - first)
    starts = np.maximum(runs.starts[whole] - chunks * length, 0)
    stops = np.minimum(runs.stops[whole] - chunks * length, length)
    before = np.concatenate(([target], target + np.cumsum(stops - starts)))
    borders = np.append(np.flatnonzero(np.diff(chunks, prepend=-1)), len(chunks))
    places, found = borders.tolist(), chunks[borders[:-1]].tolist()
    targets = before[borders].tolist()
    takes = []
    for number, chunk in enumerate(found):
        low, high = places[number], places[number + 1]
        source = slice(int(starts[low]), int(stops[low])) if high - low == 1 else Runs(starts[low:high], stops[low:high])
        takes.append(Take(chunk, source, targets[number], targets[number + 1] - targets[number]))
    return takes


def touched_chunks(runs: Runs, length: int) -> list[int]:
    """The chunks of `length` elements that hold any of the runs' positions."""
    if len(runs.starts) == 1 and runs.step <= length:
        return list(range(int(runs.starts[0]) // length, (int(runs.stops[0]) - 1) // length + 1))
    runs = runs.spelled()
    first, last = runs.starts // length, (runs.stops - 1) // length
    return [int(chunk) for chunk in np.unique(spread_runs(first, last + 1))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """One request for chunks of one object, and where their elements go: small until it is carried out, since there are many."""

    table: ChunkTable
    shard: int
    runs: Runs
    target: int
    held: frozenset[int] = frozenset()  # chunks that aren't needed

    def takes(self) -> list[Take]:
        """What is taken of each chunk."""
        takes = plan_takes(self.runs, self.table, self.target)
        return [take for take in takes if take.chunk not in self.held] if self.held else takes

    def places(self, takes: Sequence[Take]) -> tuple[list[tuple[int, int]], list[int]]:
        """Where each take's chunk lies, and its checksum; chunk by chunk, since codecs want each in an object of its own."""
        table = self.table
        first, last = takes[0].chunk, takes[-1].chunk
        consecutive = last - first + 1 == len(takes)
        chosen = slice(first, last + 1) if consecutive else [take.chunk for take in takes]  # a slice is ten times as quick
        starts = table.offset[chosen]
        ranges = list(zip(starts.tolist(), (starts + table.length[chosen]).tolist(), strict=True))
        return ranges, table.crc32c[chosen].tolist()


def plan_fetches(
    table: ChunkTable,
    runs: Runs,
    target: int,
    at_most_bytes: int,
    held: frozenset[int] = frozenset(),
    portion: Callable[[int], int] | None = None,
) -> list[Fetch]:
    """Group the runs' chunks by object, and cut groups where they pass a size (stored), so that threads find work to share.

    `portion` tells how many chunks a group has at most where so many are left.
    """
    if not len(runs.starts):
        return []
    per_shard, length = table.entry.shard // table.entry.chunk, table.entry.chunk
    chunks = touched_chunks(runs, length)
    borders = [0]
    size = 0
    full = portion(len(chunks)) if portion else len(chunks)
    consecutive = chunks[-1] - chunks[0] + 1 == len(chunks)
    for place, stored in enumerate(table.length[slice(chunks[0], chunks[-1] + 1) if consecutive else chunks].tolist()):
        if place > borders[-1] and (size >= at_most_bytes or place >= full or chunks[place] // per_shard != chunks[place - 1] // per_shard):
            borders.append(place)
            size = 0
            full = place + portion(len(chunks) - place) if portion else len(chunks)
        size += stored
    if len(borders) == 1:
        return [Fetch(table=table, shard=chunks[0] // per_shard, runs=runs, target=target, held=held)]
    if len(runs.starts) == 1 and runs.step == 1:
        begin, end = int(runs.starts[0]), int(runs.stops[0])
        lows = [begin, *(chunks[place] * length for place in borders[1:])]
        return [
            Fetch(table=table, shard=chunks[place] // per_shard, runs=run(low, high), target=target + low - begin, held=held)
            for place, low, high in zip(borders, lows, [*lows[1:], end], strict=True)
        ]
    cuts = np.array([*(chunks[place] * length for place in borders), INT64_MAX])
    targets = (target + runs.counts_before(cuts)).tolist()
    return [
        Fetch(table=table, shard=chunks[place] // per_shard, runs=runs.between(int(low), int(high)), target=first, held=held)
        for place, low, high, first in zip(borders, cuts[:-1], cuts[1:], targets, strict=False)
    ]
