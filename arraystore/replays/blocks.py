"""Rows in the blocks that they are read in, the earliest first: the zone indexes tell how far back each block reaches.

A heap holds all that isn't read yet by the earliest time it can have: whole windows first, known by the commit alone; then their
segments' blocks. What comes off it is read, and the time on its top is where the merge may safely go to.
"""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from arraystore import arguments
from arraystore.datasets.parts import load_parts
from arraystore.errors import InvalidInput
from arraystore.frames.rows import Rows
from arraystore.replays.runs import Run, sorted_run
from arraystore.replays.streams import Input, null_problem
from arraystore.segments.assembly import Source, assemble, decode_chunks, read_array
from arraystore.segments.plan import (
    INT64_MIN,
    NOTHING,
    Runs,
    arrange,
    intersect_runs,
    match_labels,
    possible_rows,
    run,
    wanted_codes,
)
from arraystore.segments.reader import open_sources
from layouts.schema import Schema

ROUND_BYTES = 16 << 20  # decoded; what is read at once over all streams
LEAST_BLOCK_BYTES = 1 << 18
NULL_ROWS = 1 << 20  # looked at together when nulls are counted


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Window:
    """A window that nothing is read of yet."""

    input: Input
    number: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Block:
    """Rows `first` to `last` of a part, about `weight` bytes when decoded."""

    input: Input
    window: str
    source: Source
    schema: Schema
    place: tuple[int, ...]
    first: int
    last: int
    weight: int
    mixed: bool


@dataclass(slots=True)
class Frontier:
    """All that isn't read yet of rows from `start` to `stop` (ns; None: open). Of nulls on the clock it tells, or counts them."""

    inputs: Sequence[Input]
    start: int | None
    stop: int | None
    skip_nulls: bool
    threads: int | None
    skipped: list[int] = field(init=False)
    _heap: list[tuple[int, int, _Window | Block]] = field(init=False, default_factory=list)
    _pushed: int = field(init=False, default=0)
    _block_bytes: int = field(init=False)

    def __post_init__(self) -> None:
        self.skipped = [0] * len(self.inputs)
        self._block_bytes = max(LEAST_BLOCK_BYTES, ROUND_BYTES // max(2, len(self.inputs)))
        for each in self.inputs:
            for number, name in enumerate(each.windows):
                summary = each.state.summary(name)
                spans = [summary.clocks[clock] for clock in {each.clock, each.schema.axis} if clock in summary.clocks]
                met = [span[0] for span in spans if arguments.overlaps(span, self.start, self.stop)]
                if summary.rows and met:
                    self._push(min(met), _Window(input=each, number=number))

    def _push(self, low: int, item: _Window | Block) -> None:
        self._pushed += 1  # tells items of one time apart
        heapq.heappush(self._heap, (low, self._pushed, item))

    @property
    def low(self) -> int | None:
        """No row that isn't taken yet is earlier; None where there is none."""
        return self._heap[0][0] if self._heap else None

    def take(self, weight: int) -> list[Block]:
        """The earliest blocks, of at least so many bytes together if there are as many."""
        taken: list[Block] = []
        size = 0
        while self._heap and size < weight:
            item = heapq.heappop(self._heap)[2]
            if isinstance(item, Block):
                taken.append(item)
                size += item.weight
            else:
                self._open(item)
        return taken

    def _open(self, window: _Window) -> None:
        """Put a window's blocks in its place."""
        each, name = window.input, window.input.windows[window.number]
        with each.log.explained(each.state.version, [name]):
            parts = load_parts(each.log, each.state, each.state.window(name))
            sources = open_sources(each.storage, parts)
            self._count_nulls(each, name, sources)
        for cluster_number, cluster in enumerate(arrange([part.entry for part in parts], each.schema)):
            for number in cluster.parts:
                place = (window.number, cluster_number, number)
                self._cut(each, name, sources[number], place, mixed=cluster.merge and each.needs_axis)

    def _cut(self, each: Input, window: str, source: Source, place: tuple[int, ...], *, mixed: bool) -> None:
        """Put a part's blocks in its place: whole chunks of the clock, of about as many bytes as a block should have."""
        span = source.part.entry.clocks.get(each.clock)
        if span is None or not arguments.overlaps(span, self.start, self.stop):
            return
        schema, rows = each.read_schema, source.part.entry.rows
        row_bytes = _row_bytes(source, schema)
        if source.index is None:
            firsts, lows, highs = np.zeros(1, np.int64), np.array([span[0]]), np.array([span[1]])
        else:
            length = source.index.tables[each.clock].entry.chunk
            chunks = max(1, self._block_bytes // max(1, row_bytes * length))
            low, high = source.index.bounds[each.clock]
            starts = np.arange(0, len(low), chunks)
            firsts, lows, highs = starts * length, np.minimum.reduceat(low, starts), np.maximum.reduceat(high, starts)
        lasts = np.append(firsts[1:], rows)
        chosen = (lows <= highs) & (highs >= (INT64_MIN if self.start is None else self.start))
        if self.stop is not None:
            chosen &= lows < self.stop
        wanted = _rows_with_labels(source, each)
        for number in np.flatnonzero(chosen).tolist():
            first, last = int(firsts[number]), int(lasts[number])
            if wanted is not None and not intersect_runs(run(first, last), wanted).count:
                continue
            block = Block(
                input=each,
                window=window,
                source=source,
                schema=schema,
                place=(*place, first),
                first=first,
                last=last,
                weight=row_bytes * (last - first),
                mixed=mixed,
            )
            self._push(int(lows[number]), block)

    def _count_nulls(self, each: Input, window: str, sources: Iterable[Source]) -> None:
        """Rows in the range by the axis clock whose time on the replay's clock is null."""
        nulls = 0
        for source in sources:
            if each.clock in source.arrays and f"{each.clock}_valid" not in source.arrays:
                continue
            for first in range(0, source.part.entry.rows, NULL_ROWS):
                part = replace(source, runs=run(first, min(first + NULL_ROWS, source.part.entry.rows)), decoded={})
                null = self._inside(read_array(each.storage, part, each.schema.axis, self.threads))
                if each.clock in source.arrays:
                    null &= ~read_array(each.storage, part, f"{each.clock}_valid", self.threads)
                if each.labels is not None:
                    null &= _has_label(each, part, self.threads)
                nulls += int(null.sum())
        if nulls and not self.skip_nulls:
            raise InvalidInput(null_problem(each, window, f"{nulls:,} rows"))
        self.skipped[each.rank] += nulls

    def _inside(self, times: np.ndarray) -> np.ndarray:
        """Which times lie in the range."""
        mask = np.ones(len(times), np.bool_) if self.start is None else times >= self.start
        return mask if self.stop is None else mask & (times < self.stop)

    def load(self, block: Block) -> Run | None:
        """A block's rows that lie in the range, in the order of the merge; None where there are none. May run in any thread."""
        each = block.input
        with each.log.explained(each.state.version, [block.window]):
            rows = read_block(block, self.threads)
        times, valid = rows.arrays[each.clock], rows.validity(each.clock)
        keep = self._inside(times)
        if valid is not None:
            keep &= valid
        if each.labels is not None:
            keep &= _matches(rows.labels.get(each.labels[0], ()), rows.arrays.get(each.labels[0]), rows.count, each.labels[1])
        chosen = np.flatnonzero(keep) if not keep.all() else None
        if chosen is not None and not len(chosen):
            return None
        found = Run(
            rank=each.rank,
            place=block.place,
            rows=rows.project(each.columns),
            times=times,
            ties=tuple(array for tie, dtype in zip(each.ties, each.tie_dtypes, strict=True) for array in _tie(rows, tie, dtype)),
            axis=rows.arrays[each.schema.axis] if each.needs_axis else None,
            mixed=block.mixed,
        )
        if chosen is not None:
            first, last = int(chosen[0]), int(chosen[-1]) + 1
            found = found.slice(first, last) if last - first == len(chosen) else found.take(chosen)
        return sorted_run(found)


def _row_bytes(source: Source, schema: Schema) -> int:
    """About how many bytes a row has when decoded."""
    fixed = sum(spec.element_bytes for spec in schema.arrays() if not spec.is_payload)
    rows = source.part.entry.rows
    for column in schema.columns:
        if column.is_ragged and column.name in source.arrays:
            stored = len(source.rows.arrays[column.name]) if source.index is None else source.index.tables[column.name].elements
            fixed += -(-stored // rows)
    return fixed


def _rows_with_labels(source: Source, each: Input) -> Runs | None:
    """The rows that can have a wanted label, by what the index tells; None: any."""
    if each.labels is None or source.index is None:
        return None
    if each.labels[0] not in source.arrays:
        return NOTHING
    return possible_rows(match_labels(source.index, *each.labels), source.index.tables[each.labels[0]])


def _has_label(each: Input, source: Source, threads: int | None) -> np.ndarray:
    """Which of a source's rows have a wanted label."""
    assert each.labels is not None
    column, wanted = each.labels
    if column not in source.arrays:
        return np.zeros(source.runs.count, np.bool_)
    return _matches(source.labels(column), read_array(each.storage, source, column, threads), source.runs.count, wanted)


def _matches(labels: tuple[str, ...], codes: np.ndarray | None, rows: int, wanted: frozenset[str]) -> np.ndarray:
    if codes is None:
        return np.zeros(rows, np.bool_)
    found: np.ndarray = np.take(wanted_codes(labels, wanted), codes, mode="wrap")  # code -1, a null, wraps to the last
    return found


def _tie(rows: Rows, tie: str | None, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Of each row whether it has no value to compare, which comes after all that have one; and the value."""
    if tie is None or tie not in rows.arrays:
        return np.ones(rows.count, np.bool_), np.zeros(rows.count, dtype)
    values, valid = rows.arrays[tie].astype(dtype, copy=False), rows.validity(tie)
    if valid is None:
        return np.zeros(rows.count, np.bool_), values
    return ~valid, np.where(valid, values, dtype.type(0))


def read_block(block: Block, threads: int | None) -> Rows:
    """A block's rows. Chunks longer than a block are decoded once: the part keeps them until what is read passes them."""
    source, wide = block.source, []
    own = replace(source, runs=run(block.first, block.last), decoded=dict(source.decoded))
    if source.index is not None:
        for spec in block.schema.arrays():
            table = source.index.tables.get(spec.name)
            if table is not None and not spec.is_payload and table.entry.chunk > block.last - block.first:
                length = table.entry.chunk
                wide += [((spec.name, chunk), (chunk + 1) * length) for chunk in range(block.first // length, -(-block.last // length))]
    decode_chunks(block.input.storage, ((own, array, chunk) for (array, chunk), _ in wide), threads)
    rows = assemble(block.input.storage, [own], block.schema, threads)
    for key, stop in wide:
        if stop > block.last:
            source.decoded[key] = own.decoded[key]
        else:
            source.decoded.pop(key, None)
    return rows
