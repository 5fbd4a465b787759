"""Puts a result together: allocates each of its arrays once, and has every source fill its place in it."""

import math
import operator
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import accumulate, chain, islice
from typing import NamedTuple

import numpy as np

from arraystore.domain import TRUTH, AsciiWatch, domain_of, invalid_utf8_row
from arraystore.errors import Corrupt, InvalidInput
from arraystore.frames.rows import Rows, empty, restore_stand_ins
from arraystore.pool import Job, default_threads, run_jobs, run_small_jobs
from arraystore.reuse import allocate
from arraystore.segments.chunkreads import Codes, Finish, fetch_into
from arraystore.segments.fetches import plan_fetches, plan_takes
from arraystore.segments.index import ChunkTable, ZoneIndex
from arraystore.segments.plan import NOTHING, Part, Runs, run, tidy_runs
from arraystore.storage.base import Storage
from layouts.schema import Column, Kind, Schema

SMALL_BYTES = 3 << 20  # decoded; handing less than this to other threads costs more than it saves
JOB_BYTES = 1 << 21  # stored, at most
PORTIONS = 2  # a job is a part of what is left: so many of what each thread would do of it,
PORTION_BYTES = 1 << 19  # decoded, but not less than this, which takes ten times as long as opening its object


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

    def length(self, array: str) -> int:
        """Elements of an array that is there."""
        return len(self.rows.arrays[array]) if self.index is None else self.index.tables[array].elements

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
    levels: slice | None = None


def assemble(storage: Storage, sources: Sequence[Source], schema: Schema, threads: int | None = None) -> Rows:
    """The rows of all sources' runs, one after another, as rows of `schema`."""
    return Assembly(storage, sources, schema, threads=threads).load()


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


class Assembly:
    """The rows of all sources' runs, one after another, as rows of `schema`: sized first, loaded then.

    Of columns with levels only `levels` are loaded, as many as `schema` has. `out` has arrays for some columns that hold as many rows or
    more; the result's are their first rows then. Before anything is loaded, the counts are decoded that tell where text and bytes lie.
    """

    def __init__(
        self,
        storage: Storage,
        sources: Sequence[Source],
        schema: Schema,
        *,
        levels: slice | None = None,
        out: Mapping[str, np.ndarray] | None = None,
        threads: int | None = None,
    ) -> None:
        self._storage = storage
        self._sources = [source for source in sources if len(source.runs.starts)]
        self._schema = schema
        self._levels = levels
        self._out = out or {}
        self._threads = threads
        self._targets = list(accumulate((source.runs.count for source in self._sources), initial=0))
        self.count = self._targets[-1]
        there = {name for source in self._sources for name in source.arrays}
        self._columns = [column for column in schema.columns if column.name in there or column.name in self._out]
        ragged = [column.name for column in self._columns if column.is_ragged]
        cut = ((source, f"{name}_count", chunk) for source in self._sources for name in ragged for chunk in _cut_chunks(source, name))
        decode_chunks(storage, cut, threads)
        self._byte_runs = {name: [_byte_runs(source, name) for source in self._sources] for name in ragged}
        self._byte_targets = {name: list(accumulate((each.count for each in runs), initial=0)) for name, runs in self._byte_runs.items()}
        self._rooms = dict(chain.from_iterable(map(self._rooms_of, self._columns)))
        self._fills: list[Fill] = []
        self._watches: dict[tuple[str, int], AsciiWatch] = {}
        self.arrays: dict[str, np.ndarray] = {}
        self.labels: dict[str, tuple[str, ...]] = {}

    def _rooms_of(self, column: Column) -> Iterator[tuple[str, tuple[tuple[int, ...], str]]]:
        """Shape and dtype of each array that a column needs."""
        name = column.name
        if column.is_ragged:
            yield name, ((self._byte_targets[name][-1],), "uint8")
            yield f"{name}_count", ((self.count,), "uint32")
        else:
            yield name, ((self.count,) if column.levels is None else (self.count, column.levels), column.dtype)
        if any(name not in source.arrays or f"{name}_valid" in source.arrays for source in self._sources):
            yield f"{name}_valid", ((self.count,), "bool")

    def sizes(self) -> dict[str, int]:
        """Bytes of each array that loading allocates."""
        needed = {name: math.prod(shape) * np.dtype(dtype).itemsize for name, (shape, dtype) in self._rooms.items()}
        return {name: size for name, size in needed.items() if name not in self._out}

    def load(self) -> Rows:
        """Allocate each array once, and have every source fill its place in it."""
        if not self.count:
            none = empty(self._schema)
            return replace(none, arrays=none.arrays | {name: array[:0] for name, array in self._out.items()})
        for name, (shape, dtype) in self._rooms.items():
            self.arrays[name] = self._out[name][: self.count] if name in self._out else _room(shape, dtype)
        for column in self._columns:
            self._plan(column)
        fill(self._storage, self._fills, self._threads)
        for column in self._columns:
            if column.is_ragged:
                self._check_bytes(column)
            if any(_widens_to_float(source, column) for source in self._sources):
                restore_stand_ins(self.arrays, column)
        return Rows(schema=self._schema, count=self.count, arrays=self.arrays, labels=self.labels)

    def _plan(self, column: Column) -> None:
        """Copy what tails have of a column, and note what segments are to fill in."""
        name = column.name
        if column.is_ragged:
            self._plan_bytes(column)
            self._plan_rows(f"{name}_count", column)
        else:
            self._plan_rows(name, column)
        valid = self.arrays.get(f"{name}_valid")
        if valid is not None:
            for source, target in zip(self._sources, self._targets, strict=False):
                if not self._put(source, f"{name}_valid", source.runs, valid, target, TRUTH):
                    valid[target : target + source.runs.count] = name in source.arrays

    def _check_bytes(self, column: Column) -> None:
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

    def _plan_rows(self, name: str, column: Column) -> None:
        out, levels = self.arrays[name], None if column.levels is None else self._levels
        finishes = self._unite_labels(column) if column.kind is Kind.DICTIONARY else [_limits(each, column) for each in self._sources]
        for source, target, each in zip(self._sources, self._targets, finishes, strict=False):
            if not self._put(source, name, source.runs, out, target, each, levels):
                out[target : target + source.runs.count] = column.null_stand_in

    def _plan_bytes(self, column: Column) -> None:
        name = column.name
        out, places = self.arrays[name], zip(self._sources, self._byte_targets[name], self._byte_runs[name], strict=False)
        for place, (source, target, each) in enumerate(places):
            watch = None
            if column.kind is Kind.TEXT and source.index is not None and name not in source.index.proven:
                watch = self._watches[name, place] = AsciiWatch()
            self._put(source, name, each, out, target, watch)

    def _put(
        self,
        source: Source,
        array: str,
        runs: Runs,
        out: np.ndarray,
        target: int,
        finish: Finish | None = None,
        levels: slice | None = None,
    ) -> bool:
        """Copy from a tail, or note what a segment is to fill in; False where the array isn't there."""
        if array not in source.arrays:
            return False
        if source.index is not None:
            self._fills.append(Fill(source, source.index.tables[array], runs, out, target, finish, levels))
            return True
        place = out[target : target + runs.count]
        chosen = source.rows.arrays[array][runs.indices()]
        place[...] = chosen if levels is None else chosen[:, levels]
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
    wanted = [(each, _decoded_bytes(each)) for each in fills if len(each.runs.starts)]
    decoded = sum(size for _, size in wanted)
    if decoded <= SMALL_BYTES:
        run_small_jobs([job for each, _ in wanted for job in _jobs(storage, each, 0, 1)], threads)
    else:
        threads = threads or default_threads()
        later = islice(accumulate((size for _, size in wanted), operator.sub, initial=decoded), 1, None)
        run_jobs((job for (each, _), left in zip(wanted, later, strict=True) for job in _jobs(storage, each, left, threads)), threads)


def _decoded_bytes(each: Fill) -> int:
    """Bytes of the chunks that are to be decoded, at most."""
    length = each.table.entry.chunk
    first, last = int(each.runs.starts[0]) // length, int(each.runs.stops[-1] - 1) // length
    return min(last + 1 - first, each.runs.count) * each.table.chunk_bytes


def _jobs(storage: Storage, each: Fill, later_bytes: int, threads: int) -> Iterator[Job]:
    """What is to be done to fill one array, after which so many bytes are left to be decoded.

    Each job is a part of what is left, so that the last ones are small and no thread waits long for another.
    """
    size = each.table.chunk_bytes

    def portion(chunks: int) -> int:
        return max((chunks * size + later_bytes) // (threads * PORTIONS), PORTION_BYTES) // size or 1

    for fetch in plan_fetches(each.table, each.runs, each.target, JOB_BYTES, _copy_decoded(each), portion if threads > 1 else None):
        yield partial(fetch_into, storage, each.source.part.prefix, fetch, each.out, each.finish, each.levels)


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


def _copy_decoded(each: Fill) -> frozenset[int]:
    """Copy from the chunks that are decoded already; which these are."""
    array = each.table.entry.array
    held = frozenset(chunk for name, chunk in each.source.decoded if name == array) if each.source.decoded else frozenset()
    if not held:
        return held
    for take in plan_takes(each.runs, each.table, each.target):
        if take.chunk in held:
            chunk = each.source.decoded[array, take.chunk]
            target = each.out[take.target : take.target + take.elements]
            target[...] = chunk[take.chosen] if each.levels is None else chunk[take.chosen, each.levels]
            if each.finish is not None:
                each.finish.apply(target)
    return held


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
    table, runs = source.index.tables[f"{column}_count"], source.runs.spelled()
    bounds = np.concatenate((runs.starts, runs.stops))
    within = (bounds % table.entry.chunk != 0) & (bounds != table.elements)
    return [int(chunk) for chunk in np.unique(bounds[within] // table.entry.chunk)]


def _byte_runs(source: Source, column: str) -> Runs:
    """Where the bytes of the source's runs lie."""
    if column not in source.arrays:
        return NOTHING
    runs = source.runs.spelled()
    if source.index is None:
        ends = np.concatenate(([0], np.cumsum(source.rows.arrays[f"{column}_count"], dtype=np.int64)))
        return tidy_runs(ends[runs.starts], ends[runs.stops])
    starts, stops = (_first_bytes(source, source.index, column, rows) for rows in (runs.starts, runs.stops))
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
