"""Several parts of a window as the contents of one segment: streamed, in reading order, and proved to be the same rows.

Each array is read slice by slice from its sources, so that memory stays at a few slices and chunks, and two bytes a row where parts
overlap in time, however many rows there are.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby

import numpy as np

from arraystore.digest import LogicalDigest, combine
from arraystore.errors import Corrupt
from arraystore.frames.rows import Rows, concat, stand_ins
from arraystore.segments.assembly import Source, assemble
from arraystore.segments.index import ZoneIndex
from arraystore.segments.logical import digest_of_absent, digest_of_rows
from arraystore.segments.plan import Part, arrange, run
from arraystore.segments.reader import open_sources
from arraystore.storage.base import Storage
from layouts.schema import ArraySpec, Column, Kind, Schema

SLICE_BYTES = 16 << 20
RAGGED_SLACK = 4  # a slice of rows that are longer than most may have so many times more bytes


@dataclass(frozen=True, slots=True)
class _Slice:
    """Rows that are read at once: from each of some sources a range; `owners` has, per row of the result, which of these it is from."""

    ranges: tuple[tuple[int, int, int], ...]  # source, start, stop
    owners: np.ndarray | None = None  # None: one range after another

    @property
    def rows(self) -> int:
        return sum(stop - start for _, start, stop in self.ranges)


class Joined:
    """The rows of parts, given by order key, as `write_contents` wants them: rows of `schema`, whose older forms the parts may have."""

    def __init__(self, storage: Storage, parts: Sequence[Part], schema: Schema, threads: int | None = None) -> None:
        self.schema = schema
        self.count = sum(part.entry.rows for part in parts)
        self._storage = storage
        self._threads = threads
        self._sources = open_sources(storage, parts)
        self._slices = list(self._cut())
        self._seen: dict[tuple[str, int], LogicalDigest] = {}
        self._latest: int | None = None

    # --- what is there -------------------------------------------------------------------------------------------

    @cached_property
    def labels(self) -> Mapping[str, tuple[str, ...]]:
        """The union of the sources' labels, each of which some row of its source has."""
        found: dict[str, dict[str, None]] = {}
        for source in self._in_reading_order():
            listed = source.rows.labels if source.index is None else source.index.labels
            for column, labels in listed.items():
                if column in source.arrays:
                    found.setdefault(column, {}).update(dict.fromkeys(labels))
        return {column: tuple(labels) for column, labels in found.items()}

    @cached_property
    def lengths(self) -> Mapping[str, int]:
        """Elements of every array that the segment has."""
        lengths: dict[str, int] = {}
        for column in self.schema.columns:
            having = [source for source in self._sources if column.name in source.arrays]
            if not having:
                continue
            for spec in self.schema.arrays_of(column):
                if spec.is_payload:
                    lengths[spec.name] = sum(source.length(spec.name) for source in having)
                elif spec.role != "valid" or len(having) < len(self._sources) or any(spec.name in source.arrays for source in having):
                    lengths[spec.name] = self.count
        return lengths

    @cached_property
    def _in_turn(self) -> bool:
        """Whether the sources go out one after another, each whole. Where slices were cut at moments they may alternate, unmerged."""
        numbers = [number for number, _ in groupby(number for each in self._slices for number, _, _ in each.ranges)]
        return all(each.owners is None for each in self._slices) and len(set(numbers)) == len(numbers)

    def _in_reading_order(self) -> list[Source]:
        return [self._sources[number] for number in dict.fromkeys(number for each in self._slices for number, _, _ in each.ranges)]

    # --- cutting into slices ---------------------------------------------------------------------------------------

    def _cut(self) -> Iterator[_Slice]:
        """The slices, in reading order: parts that follow each other share one where they are small."""
        budget = self._rows_of_slice()
        held: list[tuple[int, int, int]] = []
        size = 0
        for cluster in arrange([source.part.entry for source in self._sources], self.schema):
            if cluster.merge:
                if held:
                    yield _Slice(tuple(held))
                held, size = [], 0
                yield from self._cut_overlapping(cluster.parts, budget)
                continue
            number = cluster.parts[0]
            start, rows = 0, self._sources[number].part.entry.rows
            while start < rows:
                stop = _fitting(self._sources[number], start, min(rows, start + budget - size))
                held.append((number, start, stop))
                size += stop - start
                start = stop
                if size >= budget or start < rows:
                    yield _Slice(tuple(held))
                    held, size = [], 0
        if held:
            yield _Slice(tuple(held))

    def _rows_of_slice(self) -> int:
        """Rows whose widest array has about the bytes that a slice may have."""
        widest = max(spec.element_bytes for spec in self.schema.arrays())
        for column in self.schema.columns:
            if column.is_ragged:
                stored = sum(source.length(column.name) for source in self._sources if column.name in source.arrays)
                widest = max(widest, -(-stored // self.count))
        return max(1, SLICE_BYTES // widest)

    def _cut_overlapping(self, parts: Sequence[int], budget: int) -> Iterator[_Slice]:
        """Slices of parts that overlap in time, cut at moments, so that rows of one moment stay together."""
        members = [self._sources[number] for number in parts]
        before = [0] * len(members)
        for moment in (*self._moments(members, budget), None):
            after = [
                source.part.entry.rows if moment is None else self._first_from(source, moment, start)
                for source, start in zip(members, before, strict=True)
            ]
            ranges = [(number, start, stop) for number, start, stop in zip(parts, before, after, strict=True) if start < stop]
            before = after
            if ranges:
                yield self._merged(ranges)

    def _moments(self, members: Sequence[Source], budget: int) -> list[int]:
        """Moments between which there are about as many rows as a slice may have, by what the indexes tell."""
        begins: list[tuple[int, int]] = []
        for source in members:
            if source.index is None:
                begins.append((source.part.entry.clocks[self.schema.axis][0], source.part.entry.rows))
            else:
                length = source.index.tables[self.schema.axis].entry.chunk
                begins += [(int(first), length) for first in source.index.bounds[self.schema.axis][0]]
        moments: list[int] = []
        size = 0
        for first, rows in sorted(begins):
            if size >= budget and (not moments or first > moments[-1]):
                moments.append(first)
                size = 0
            size += rows
        return moments

    def _first_from(self, source: Source, moment: int, start: int) -> int:
        """The first row at or after a moment, which isn't before `start`; axis times never decrease within a part."""
        axis = self.schema.axis
        if source.index is None:
            return max(start, int(np.searchsorted(source.rows.arrays[axis], moment)))
        length = source.index.tables[axis].entry.chunk
        chunk = int(np.searchsorted(source.index.bounds[axis][1], moment))
        first = chunk * length
        if first >= source.part.entry.rows:
            return source.part.entry.rows
        stop = min(first + length, source.part.entry.rows)
        times = self._assembled([replace(source, runs=run(first, stop), decoded={})], self.schema.column(axis)).arrays[axis]
        return max(start, first + int(np.searchsorted(times, moment)))

    def _merged(self, ranges: Sequence[tuple[int, int, int]]) -> _Slice:
        """The stable merge by time, as which range each row is from."""
        times = self._read(_Slice(tuple(ranges)), self.schema.column(self.schema.axis)).arrays[self.schema.axis]
        if (times[1:] >= times[:-1]).all():
            return _Slice(tuple(ranges))
        owners = np.repeat(np.arange(len(ranges)), [stop - start for _, start, stop in ranges])
        return _Slice(tuple(ranges), owners[np.argsort(times, kind="stable")].astype(np.min_scalar_type(len(ranges))))

    # --- reading -----------------------------------------------------------------------------------------------------

    def pieces(self, array: str, length: int) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        """See `Contents.pieces`; what goes out is noted, source by source, for `prove`."""
        spec = next(spec for spec in self.schema.arrays() if spec.name == array)
        with_validity = spec.role == "values" and array in self.schema.clocks and f"{array}_valid" in self.lengths
        yield from _rechunked(self._stream(spec, with_validity=with_validity), length)

    def _stream(self, spec: ArraySpec, *, with_validity: bool) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        column = self.schema.column(spec.column)
        valid = ArraySpec(name=f"{spec.name}_valid", column=spec.column, role="valid", dtype="bool", dimensions=spec.dimensions)
        for each in self._slices:
            rows = self._ordered(each, self._read(each, column))
            self._note(each, rows, spec)
            yield rows.arrays[spec.name], rows.arrays[valid.name] if with_validity else None

    def _read(self, each: _Slice, column: Column) -> Rows:
        """One column of a slice's ranges, one after another, with all the arrays and labels that the segment has of it."""
        sources = [replace(self._sources[number], runs=run(start, stop), decoded={}) for number, start, stop in each.ranges]
        rows = self._assembled(sources, column)
        name, arrays = column.name, dict(rows.arrays)
        if name not in arrays:
            arrays |= stand_ins(column, rows.count) | {f"{name}_valid": np.zeros(rows.count, np.bool_)}
        elif column.nullable and f"{name}_valid" not in arrays:
            arrays[f"{name}_valid"] = np.ones(rows.count, np.bool_)
        labels = rows.labels
        if column.kind is Kind.DICTIONARY:
            codes = {label: code for code, label in enumerate(self.labels[name])}
            renumbered = np.array([*(codes[label] for label in labels.get(name, ())), -1], np.int32)
            arrays[name] = np.take(renumbered, arrays[name], mode="wrap")  # code -1, a null, wraps to the last
            labels = {name: self.labels[name]}
        return Rows(schema=rows.schema, count=rows.count, arrays=arrays, labels=labels)

    def _assembled(self, sources: Sequence[Source], column: Column) -> Rows:
        return assemble(self._storage, sources, self.schema.only([column.name]), self._threads)

    def _ordered(self, each: _Slice, rows: Rows) -> Rows:
        if each.owners is None:
            return rows
        order = np.empty(rows.count, np.int64)
        order[np.argsort(each.owners, kind="stable")] = np.arange(rows.count)
        return rows.take(order)

    # --- proof -------------------------------------------------------------------------------------------------------

    def _note(self, each: _Slice, rows: Rows, spec: ArraySpec) -> None:
        """Add what goes out to the digests of the sources it came from, taken apart again by who owns which row."""
        if self._in_turn:
            return  # the digest of all follows from those of the sources
        if spec.name == self.schema.axis:
            times = rows.arrays[spec.name]
            if (times[1:] < times[:-1]).any() or (self._latest is not None and times[0] < self._latest):
                raise Corrupt("the merge by time isn't in order: report it; nothing was published")
            self._latest = int(times[-1])
        if each.owners is not None:
            rows = rows.take(np.argsort(each.owners, kind="stable"))
        start = 0
        for number, first, last in each.ranges:
            stop = start + last - first
            part = digest_of_rows(rows.slice(start, stop), self.schema, spec)
            self._seen[spec.name, number] = self._seen.get((spec.name, number), LogicalDigest()) + part
            start = stop

    def prove(self, index: ZoneIndex) -> None:
        """Raise `Corrupt` unless every array of the segment that was written from this holds what its sources hold.

        By logical digests: of the concatenation, or where rows were merged, of each source's rows as they went out.
        """
        for spec in self.schema.arrays():
            wanted = [self._digest_of(source, spec) for source in self._sources]
            merged = [self._seen.get((spec.name, number)) for number in range(len(self._sources))]
            if any(each is not None for each in merged):
                same = merged == wanted
            else:
                order = dict.fromkeys(number for each in self._slices for number, _, _ in each.ranges)
                same = combine(wanted[number] for number in order) == index.digests[spec.name]
            if not same or index.rows != self.count:
                where = self._sources[0].part.prefix
                told = f"compacted, array {spec.name!r} has the digest {index.digests[spec.name]}, which isn't that of its sources"
                raise Corrupt(f"{where} and {len(self._sources) - 1} more: {told}: nothing was published; verify them")

    def _digest_of(self, source: Source, spec: ArraySpec) -> LogicalDigest:
        """What a source's own index says of an array, in terms of the schema; decoded where its type was narrower."""
        schema = source.part.schema
        if source.index is None:
            return digest_of_rows(concat([source.rows], self.schema), self.schema, spec)
        column = self.schema.column(spec.column)
        if spec.column not in schema:
            return digest_of_absent(spec, self.schema, source.index.rows, column_is_there=False)
        if schema.column(spec.column).dtype != column.dtype and spec.role == "values":
            whole = replace(source, runs=run(0, source.index.rows), decoded={})
            return digest_of_rows(self._assembled([whole], column), self.schema, spec)
        if spec.name in source.index.digests:
            return source.index.digests[spec.name]
        return digest_of_absent(spec, self.schema, source.index.rows, column_is_there=True)


def _fitting(source: Source, start: int, stop: int) -> int:
    """Where a range of rows that begins at `start` ends at the latest, if none of its ragged columns is to have too many bytes."""
    if source.index is None:
        return stop
    for column, elements in source.index.elements.items():
        length = source.index.tables[f"{column}_count"].entry.chunk
        chunk = start // length
        last = int(np.searchsorted(elements, elements[chunk] + RAGGED_SLACK * SLICE_BYTES, side="right")) - 1
        stop = min(stop, max(last, chunk + 1) * length)
    return stop


def _rechunked(stream: Iterator[tuple[np.ndarray, np.ndarray | None]], length: int) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    """The same elements in pieces of `length`, but for the last."""
    held: list[tuple[np.ndarray, np.ndarray | None]] = []
    size = 0
    for values, valid in stream:
        start = 0
        while start < len(values):
            stop = min(len(values), start + length - size)
            held.append((values[start:stop], None if valid is None else valid[start:stop]))
            size += stop - start
            start = stop
            if size == length:
                yield _together(held)
                held, size = [], 0
    if held:
        yield _together(held)


def _together(held: Sequence[tuple[np.ndarray, np.ndarray | None]]) -> tuple[np.ndarray, np.ndarray | None]:
    if len(held) == 1:
        return held[0]
    validity = [valid for _, valid in held if valid is not None]
    return np.concatenate([values for values, _ in held]), np.concatenate(validity) if validity else None
