"""Rows that were chosen, in reading order, before any of them is loaded: they can be counted, cut and sampled by their number."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from arraystore.errors import InvalidInput
from arraystore.frames.rows import Rows
from arraystore.segments.assembly import Assembly, Source, assemble
from arraystore.segments.plan import NOTHING, Cluster, Runs, intersect_runs, rows_of_chunks, runs_of, runs_where
from arraystore.segments.straight import load_straight
from arraystore.storage.base import Storage
from layouts.schema import Schema

ORDER_BYTES = 16  # per row, to sort rows by time: their places, and the sort's own


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What is loaded of chosen rows: `columns`, of those with levels only `levels` (None: all), on so many `threads`.

    Columns that `out` has an array for, with room for as many rows or more, are loaded into that. `InvalidInput` for rows that need
    more than `memory` bytes besides.
    """

    columns: frozenset[str]
    levels: slice | None = None
    out: Mapping[str, np.ndarray] | None = None
    memory: int | None = None
    threads: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Choice:
    """Rows `source.runs` of sources; reading order is that of `clusters`, which number the sources (see `arrange`)."""

    storage: Storage
    schema: Schema
    sources: Sequence[Source]
    clusters: Sequence[Cluster]

    @property
    def count(self) -> int:
        """How many rows."""
        return sum(source.runs.count for source in self.sources)

    def pick(self, start: int, stop: int, step: int = 1, threads: int | None = None) -> "Choice":
        """Each `step`-th of the rows from number `start` to before `stop`, the first one first.

        Where parts overlap in time, the axis is decoded of those chunks that may hold such rows.
        """
        sources = [replace(source, runs=NOTHING, decoded=dict(source.decoded)) for source in self.sources]
        done = 0
        for cluster in self.clusters:
            members = [self.sources[number] for number in cluster.parts]
            total = sum(source.runs.count for source in members)
            low, high = start - done if start > done else (start - done) % step, min(stop - done, total)
            done += total
            if low >= high:
                continue
            if len(members) == 1:
                found = [members[0].runs.every(low, high, step)]
            elif (low, high, step) == (0, total, 1):
                found = [source.runs for source in members]
            else:
                found = self._pick_merged(members, low, high, step, threads)
            for number, runs in zip(cluster.parts, found, strict=True):
                sources[number].runs = runs
        return replace(self, sources=sources)

    def _pick_merged(self, members: Sequence[Source], low: int, high: int, step: int, threads: int | None) -> list[Runs]:
        """The same among sources that are merged by time."""
        near, skipped = _near(members, self.schema.axis, low, high)
        axis = assemble(self.storage, near, _narrowed(self.schema, {self.schema.axis}), threads).arrays[self.schema.axis]
        chosen = np.sort(np.argsort(axis, kind="stable")[max(low - skipped, 0) : high - skipped : step])
        found = []
        for source in near:
            own = np.searchsorted(chosen, source.runs.count)
            found.append(runs_of(source.runs.nth(chosen[:own])) if own else NOTHING)
            chosen = chosen[own:] - source.runs.count
        return found

    def needs(self, shape: Shape) -> int:
        """Bytes that loading takes, besides those of a few chunks."""
        return self._needs(*self._assembly(shape))

    def _assembly(self, shape: Shape) -> tuple[Assembly, bool]:
        """What loads the rows, and whether they must be sorted then."""
        merging = any(sum(len(self.sources[number].runs.starts) > 0 for number in cluster.parts) > 1 for cluster in self.clusters)
        schema = _narrowed(self.schema, shape.columns | {self.schema.axis} if merging else shape.columns, shape.levels)
        sources = [self.sources[number] for cluster in self.clusters for number in cluster.parts]
        out = None if merging else shape.out  # rows that are sorted first come from elsewhere
        return Assembly(self.storage, sources, schema, levels=shape.levels, out=out, threads=shape.threads), merging

    def _needs(self, assembly: Assembly, merging: bool) -> int:  # noqa: FBT001 - as `_assembly` tells it
        sizes = assembly.sizes().values()
        return sum(sizes) + (max(sizes, default=0) + ORDER_BYTES * assembly.count if merging else 0)

    def pieces(self, shape: Shape, start: int, step: int) -> Iterator["Choice"]:
        """Each `step`-th row from number `start` on, cut into pieces that load within `shape.memory`, as far as a row does."""
        assert shape.memory is not None
        rows = max(1, shape.memory // self._row_bytes(shape))
        chunk = max((source.index.tables[self.schema.axis].entry.chunk for source in self.sources if source.index is not None), default=1)
        rows -= rows % chunk if rows > chunk else 0  # a chunk that is cut is decoded twice
        count = self.count
        for low in range(start, count, rows * step):
            yield from self._fitting(shape, low, min(low + rows * step, count), step)

    def _fitting(self, shape: Shape, low: int, high: int, step: int) -> Iterator["Choice"]:
        assert shape.memory is not None
        piece = self.pick(low, high, step, shape.threads)
        if (half := piece.count // 2) and piece.needs(shape) > shape.memory:
            yield from self._fitting(shape, low, low + half * step, step)
            yield from self._fitting(shape, low + half * step, high, step)
        else:
            yield piece

    def _row_bytes(self, shape: Shape) -> int:
        """About what loading a row takes."""
        sizes = {}
        for spec in _narrowed(self.schema, shape.columns, shape.levels).arrays():
            sizes[spec.name] = spec.element_bytes
            if spec.is_payload:
                having = [source for source in self.sources if spec.name in source.arrays]
                rows = sum(source.part.entry.rows for source in having)
                sizes[spec.name] = -(-sum(source.length(spec.name) for source in having) // max(1, rows))
        merging = any(cluster.merge for cluster in self.clusters)
        return sum(sizes.values()) + (max(sizes.values(), default=0) + ORDER_BYTES if merging else 0)

    def load(self, shape: Shape) -> Rows:
        """The rows, decoded."""
        if not shape.out and shape.levels is None and shape.memory is None:
            rows = load_straight(self.storage, self.sources, self.schema.only(shape.columns), shape.threads)
            if rows is not None:
                return rows
        assembly, merging = self._assembly(shape)
        _check_room(shape, assembly.count)
        if shape.memory is not None and (needed := self._needs(assembly, merging)) > shape.memory:
            told = f"these {assembly.count} rows take {needed} bytes, more than {shape.memory}"
            raise InvalidInput(
                f"{told}: read fewer columns or a shorter range, allow more, or take them batch by batch with scan()", "memory"
            )
        rows = assembly.load()
        if merging:
            _arrange(rows, self._merge_order(rows.arrays[self.schema.axis]), shape)
        return rows.project(shape.columns)

    def _merge_order(self, axis: np.ndarray) -> np.ndarray | None:
        """Where each row of the result comes from, when rows of clusters are sorted by time; None if all are in order already."""
        order = None
        stop = 0
        for cluster in self.clusters:
            start, stop = stop, stop + sum(self.sources[number].runs.count for number in cluster.parts)
            times = axis[start:stop]
            if cluster.merge and bool((times[1:] < times[:-1]).any()):
                order = np.arange(len(axis)) if order is None else order
                order[start:stop] = start + np.argsort(times, kind="stable")
        return order


def _narrowed(schema: Schema, names: Iterable[str], levels: slice | None = None) -> Schema:
    """Only these columns, those with levels with as many as are wanted."""
    chosen = schema.only(names)
    if levels is None:
        return chosen
    columns = tuple(
        column if column.levels is None else msgspec.structs.replace(column, levels=levels.stop - levels.start) for column in chosen.columns
    )
    return msgspec.structs.replace(chosen, columns=columns)


def _check_room(shape: Shape, count: int) -> None:
    """The caller's arrays must hold all rows, which is known only now."""
    short = [f"{name!r} has room for {len(array)}" for name, array in (shape.out or {}).items() if len(array) < count]
    if short:
        raise InvalidInput(f"there are {count} rows, and {', '.join(short)}: pass longer arrays, or read a shorter range", "out")


def _arrange(rows: Rows, order: np.ndarray | None, shape: Shape) -> None:
    """Put rows that were just loaded in order, and some in the caller's place: column by column, so that one at most is held twice."""
    for column in rows.schema.columns:
        arrays = rows.project([column.name]).arrays if order is None else rows.project([column.name]).take(order).arrays
        if shape.out is not None and column.name in shape.out:
            place = shape.out[column.name][: rows.count]
            place[...] = arrays.get(column.name, column.null_stand_in)
            nothing = {} if column.name in arrays else {f"{column.name}_valid": np.zeros(rows.count, np.bool_)}
            arrays = arrays | nothing | {column.name: place}
        rows.arrays.update(arrays)


def _near(members: Sequence[Source], axis: str, start: int, stop: int) -> tuple[list[Source], int]:
    """The sources without chunks that lie wholly before or after their rows from `start` to `stop` by time; and how many come before."""
    pieces = [_pieces(source, axis) for source in members]
    first, last, counts = (np.concatenate([piece[place] for piece in pieces]) for place in range(3))
    low, high = _moments(first, last, counts, start, stop)
    near = []
    for source, (begins, ends, _) in zip(members, pieces, strict=True):
        kept = (begins <= high) & (ends >= low)
        length = source.part.entry.rows if source.index is None else source.index.tables[axis].entry.chunk
        rows = rows_of_chunks(runs_where(kept), length, source.part.entry.rows)
        near.append(replace(source, runs=intersect_runs(source.runs, rows), decoded=dict(source.decoded)))
    return near, int(counts[last < low].sum())


def _pieces(source: Source, axis: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First time, last time and number of chosen rows, of each chunk of a segment, or of a tail."""
    if source.index is None:
        first, last = source.part.entry.clocks[axis]
        return np.array([first]), np.array([last]), np.array([source.runs.count])
    table = source.index.tables[axis]
    borders = np.minimum(np.arange(table.count + 1) * table.entry.chunk, table.elements)
    return *source.index.bounds[axis], np.diff(source.runs.counts_before(borders))


def _moments(first: np.ndarray, last: np.ndarray, counts: np.ndarray, start: int, stop: int) -> tuple[int, int]:
    """Times between which the rows from `start` to `stop` of a merge must lie, by what is known of pieces of it."""
    begins, ends = np.argsort(first), np.argsort(last)
    before = np.cumsum(counts[begins]) - counts[begins]  # of a piece: at most so many rows come before its first time
    sure = before[np.searchsorted(first[begins], first[begins])] <= start
    within = np.cumsum(counts[ends])  # at least so many rows have come at its last time
    place = int(np.searchsorted(within, stop))
    return int(first[begins][sure][-1]), int(last[ends][place])
