"""Puts a result together: allocates each of its arrays once, and has every source fill its place in it."""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from arraystore.domain import TRUTH, AsciiWatch, domain_of, invalid_utf8_row
from arraystore.errors import Corrupt, InvalidInput
from arraystore.frames.rows import Rows, empty, restore_stand_ins
from arraystore.pool import Job, default_threads, run_jobs, run_small_jobs
from arraystore.reuse import allocate
from arraystore.segments.chunkreads import Codes, Finish, fetch_into
from arraystore.segments.index import ChunkTable, ZoneIndex
from arraystore.segments.plan import NOTHING, Part, Runs, Take, plan_fetches, plan_takes, run, tidy_runs
from arraystore.storage.base import Storage
from layouts.schema import Column, Kind, Schema

SMALL_BYTES = 3 << 20  # decoded; handing less than this to other threads costs more than it saves
JOBS_PER_THREAD = 8
JOB_BYTES = (1 << 16, 1 << 21)  # stored; at least and at most


@dataclass(slots=True, kw_only=True, eq=False)
class Source:
    """A part whose rows `runs` go into the result: a segment with its index, or a tail with its rows."""

    part: Part
    index: ZoneIndex | None
    runs: Runs
    decoded: dict[tuple[str, int], np.ndarray] = field(default_factory=dict)  # chunks that the plan itself had to look into

    @property
    def arrays(self) -> Collection[str]:
        """Names of the arrays that are there."""
        return self.rows.arrays if self.index is None else self.index.tables

    @property
    def rows(self) -> Rows:
        """The rows of a tail."""
        assert self.part.rows is not None
        return self.part.rows

    def labels(self, column: str) -> tuple[str, ...]:
        """The labels of a dictionary column that is there."""
        return self.rows.labels[column] if self.index is None else self.index.labels[column]


class Fill(NamedTuple):
    """The runs of an array of a segment that go into `out` from `target` on."""

    source: Source
    table: ChunkTable
    runs: Runs
    out: np.ndarray
    target: int = 0
    finish: Finish | None = None


def assemble(storage: Storage, sources: Sequence[Source], schema: Schema, threads: int | None = None) -> Rows:
    """The rows of all sources' runs, one after another, as rows of `schema`."""
    total = sum(source.runs.count for source in sources)
    if not total:
        return empty(schema)
    ragged = [column.name for column in schema.columns if column.is_ragged]
    decode_chunks(storage, ((s, f"{name}_count", chunk) for s in sources for name in ragged for chunk in _cut_chunks(s, name)), threads)
    result = _Result(sources, total)
    for column in schema.columns:
        if any(column.name in source.arrays for source in sources):
            result.add(column)
    fill(storage, result.fills, threads)
    for column in schema.columns:
        if column.is_ragged and column.name in result.arrays:
            result.check_bytes(column)
    for column in schema.columns:
        if any(_widens_to_float(source, column) for source in sources):
            restore_stand_ins(result.arrays, column)
    return Rows(schema=schema, count=total, arrays=result.arrays, labels=result.labels)


def _room(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Memory for an array of the result; what can't be had is told as what it is: too much at once."""
    try:
        return allocate(shape, dtype)
    except (MemoryError, OverflowError, ValueError) as error:
        told = f"they need an array of {math.prod(shape) * np.dtype(dtype).itemsize} bytes ({error})"
        raise InvalidInput(f"{told}: read fewer columns or a shorter range, or scan()", "rows") from error


def _widens_to_float(source: Source, column: Column) -> bool:
    """Whether a source holds a float column as integers, as its schema once had it."""
    schema = source.part.schema
    was = schema.column(column.name).dtype if column.name in schema else column.dtype
    return column.dtype.startswith("float") and not was.startswith("float")


class _Result:
    """The arrays of a result, and what is still to be filled in."""

    def __init__(self, sources: Sequence[Source], total: int) -> None:
        self.arrays: dict[str, np.ndarray] = {}
        self.labels: dict[str, tuple[str, ...]] = {}
        self.fills: list[Fill] = []
        self._sources = sources
        self._total = total
        self._targets = list(accumulate((source.runs.count for source in sources), initial=0))
        self._byte_targets: dict[str, list[int]] = {}
        self._watches: dict[tuple[str, int], AsciiWatch] = {}

    def add(self, column: Column) -> None:
        """Make room for all arrays of a column that any source has."""
        name = column.name
        if column.is_ragged:
            self._add_bytes(column)
            self._add_rows(f"{name}_count", "uint32", column)
        else:
            self._add_rows(name, column.dtype, column)
        if any(name not in source.arrays or f"{name}_valid" in source.arrays for source in self._sources):
            valid = self.arrays[f"{name}_valid"] = _room((self._total,), "bool")
            for source, target in zip(self._sources, self._targets, strict=False):
                if not self._put(source, f"{name}_valid", source.runs, valid, target, TRUTH):
                    valid[target : target + source.runs.count] = name in source.arrays

    def check_bytes(self, column: Column) -> None:
        """The rows that came from a source must add up to the bytes that came with them, and text must be text."""
        name = column.name
        counts, targets = self.arrays[f"{name}_count"], self._byte_targets[name]
        for place, source in enumerate(self._sources):
            rows, there = slice(self._targets[place], self._targets[place + 1]), slice(targets[place], targets[place + 1])
            found = int(counts[rows].sum(dtype=np.int64))
            if found != there.stop - there.start:
                raise Corrupt(
                    f"{source.part.prefix}/{name}_count: these rows have {found} bytes, where there are {there.stop - there.start}"
                )
            if column.kind is Kind.TEXT and source.index is not None and name not in source.index.proven:
                if not self._watches[name, place].clean and (row := invalid_utf8_row(self.arrays[name][there], counts[rows])) is not None:
                    raise Corrupt(f"{source.part.prefix}/{name}: row {row} of those read isn't valid UTF-8")
                if source.runs.count == source.index.rows:
                    source.index.proven.add(name)

    def _add_rows(self, name: str, dtype: str, column: Column) -> None:
        inner = () if column.levels is None else (column.levels,)
        out = self.arrays[name] = _room((self._total, *inner), dtype)
        finishes = self._unite_labels(column) if column.kind is Kind.DICTIONARY else [_limits(each, column) for each in self._sources]
        for source, target, each in zip(self._sources, self._targets, finishes, strict=False):
            if not self._put(source, name, source.runs, out, target, each):
                out[target : target + source.runs.count] = column.null_stand_in

    def _add_bytes(self, column: Column) -> None:
        name = column.name
        runs = [_byte_runs(source, name) for source in self._sources]
        targets = self._byte_targets[name] = list(accumulate((each.count for each in runs), initial=0))
        out = self.arrays[name] = _room((targets[-1],), "uint8")
        for place, (source, target, each) in enumerate(zip(self._sources, targets, runs, strict=False)):
            watch = None
            if column.kind is Kind.TEXT and source.index is not None and name not in source.index.proven:
                watch = self._watches[name, place] = AsciiWatch()
            self._put(source, name, each, out, target, watch)

    def _put(self, source: Source, array: str, runs: Runs, out: np.ndarray, target: int, finish: Finish | None = None) -> bool:
        """Copy from a tail, or note what a segment is to fill in; False where the array isn't there."""
        if array not in source.arrays:
            return False
        if source.index is not None:
            self.fills.append(Fill(source, source.index.tables[array], runs, out, target, finish))
            return True
        place = out[target : target + runs.count]
        place[...] = source.rows.arrays[array][runs.indices()]
        if finish is not None:
            finish.apply(place)
        return True

    def _unite_labels(self, column: Column) -> list[Finish | None]:
        """The union of all sources' labels in order of first listing, and what becomes of each source's codes."""
        listed = [source.labels(column.name) if column.name in source.arrays else () for source in self._sources]
        code_of: dict[str, int] = {}
        for labels in listed:
            for label in labels:
                code_of.setdefault(label, len(code_of))
        united = self.labels[column.name] = tuple(code_of)
        codes: list[Finish | None] = []
        for source, labels in zip(self._sources, listed, strict=True):
            renumbered = None
            if labels != united[: len(labels)]:
                renumbered = np.array([*(code_of[label] for label in labels), -1], np.int32)
            codes.append(Codes(len(labels), renumbered, -1 if f"{column.name}_valid" in source.arrays else 0))
        return codes


def fill(storage: Storage, fills: Iterable[Fill], threads: int | None = None) -> None:
    """Fetch and decode all that is to be filled in."""
    planned: list[tuple[Fill, list[Take]]] = []
    stored = decoded = 0
    for each in fills:
        takes = plan_takes(each.runs, each.table, each.target) if len(each.runs.starts) else []
        if each.source.decoded:
            takes = [take for take in takes if not _copied(each, take)]
        if takes:
            planned.append((each, takes))
            stored += int(each.table.length[takes[0].chunk : takes[-1].chunk + 1].sum(dtype=np.int64))
            decoded += len(takes) * each.table.chunk_bytes
    threads = threads or default_threads()
    at_most = min(max(stored // (threads * JOBS_PER_THREAD), JOB_BYTES[0]), JOB_BYTES[1])
    jobs: list[Job] = [
        partial(fetch_into, storage, each.source.part.prefix, fetch, each.out, each.finish)
        for each, takes in planned
        for fetch in plan_fetches(each.table, takes, at_most)
    ]
    (run_small_jobs if decoded <= SMALL_BYTES else run_jobs)(jobs, threads)


def read_array(storage: Storage, source: Source, array: str, threads: int | None = None) -> np.ndarray:
    """The runs of one array of one source, which has it."""
    if source.index is None:
        return source.rows.arrays[array][source.runs.indices()]
    table = source.index.tables[array]
    out = np.empty((source.runs.count, *table.entry.shape[1:]), table.entry.dtype)
    fill(storage, [Fill(source, table, source.runs, out, finish=_first_look(source.index, array))], threads)
    return out


def _limits(source: Source, column: Column) -> Finish | None:
    """What the values of a source's column can be, by the schema it was written with."""
    if column.name not in source.arrays or column.dtype.startswith(("float", "int64")):
        return None
    return domain_of(source.part.schema.column(column.name), has_nulls=f"{column.name}_valid" in source.arrays)


def _first_look(index: ZoneIndex, array: str) -> Finish | None:
    """What an array's elements can be, where a plan looks into them before they become a result."""
    if array in index.labels:
        return Codes(len(index.labels[array]))
    return TRUTH if index.tables[array].entry.dtype == "bool" else None


def _copied(each: Fill, take: Take) -> bool:
    """Copy from a chunk that is decoded already, if it is."""
    chunk = each.source.decoded.get((each.table.entry.array, take.chunk))
    if chunk is None:
        return False
    target = each.out[take.target : take.target + take.elements]
    target[...] = chunk[take.source]
    if each.finish is not None:
        each.finish.apply(target)
    return True


def decode_chunks(storage: Storage, wanted: Iterable[tuple[Source, str, int]], threads: int | None = None) -> None:
    """Decode whole chunks that the plan has to look into; their sources keep them."""
    fills: list[tuple[Fill, int]] = []
    for source, array, chunk in wanted:
        assert source.index is not None
        if (array, chunk) not in source.decoded:
            table = source.index.tables[array]
            first = chunk * table.entry.chunk
            runs = run(first, min(first + table.entry.chunk, table.elements))
            out = np.empty((runs.count, *table.entry.shape[1:]), table.entry.dtype)
            fills.append((Fill(source, table, runs, out, finish=_first_look(source.index, array)), chunk))
    fill(storage, [each for each, _ in fills], threads)
    for each, chunk in fills:
        each.source.decoded[each.table.entry.array, chunk] = each.out


def _cut_chunks(source: Source, column: str) -> list[int]:
    """The chunks of a segment's counts that a run begins or ends within."""
    if source.index is None or column not in source.arrays:
        return []
    table = source.index.tables[f"{column}_count"]
    bounds = np.concatenate((source.runs.starts, source.runs.stops))
    within = (bounds % table.entry.chunk != 0) & (bounds != table.elements)
    return [int(chunk) for chunk in np.unique(bounds[within] // table.entry.chunk)]


def _byte_runs(source: Source, column: str) -> Runs:
    """Where the bytes of the source's runs lie."""
    if column not in source.arrays:
        return NOTHING
    if source.index is None:
        ends = np.concatenate(([0], np.cumsum(source.rows.arrays[f"{column}_count"], dtype=np.int64)))
        return tidy_runs(ends[source.runs.starts], ends[source.runs.stops])
    starts, stops = (_first_bytes(source, source.index, column, rows) for rows in (source.runs.starts, source.runs.stops))
    return tidy_runs(starts, stops)


def _first_bytes(source: Source, index: ZoneIndex, column: str, rows: np.ndarray) -> np.ndarray:
    """The first byte of each of these ascending rows; that of the end is the end of all bytes."""
    table, first = index.tables[f"{column}_count"], index.elements[column]
    length = table.entry.chunk
    result = first[np.where(rows == table.elements, table.count, rows // length)]
    for chunk in _cut_chunks(source, column):
        ends = np.cumsum(source.decoded[table.entry.array, chunk], dtype=np.int64)
        if ends[-1] != first[chunk + 1] - first[chunk]:
            where = f"{source.part.prefix}/{table.entry.array}: chunk {chunk}"
            raise Corrupt(f"{where} has rows of {ends[-1]} bytes, where its index says {first[chunk + 1] - first[chunk]}")
        base = chunk * length
        low, high = np.searchsorted(rows, (base + 1, min(base + length, table.elements)))
        result[low:high] += ends[rows[low:high] - base - 1]
    return result
