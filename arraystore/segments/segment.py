"""Writes a segment: a plain Zarr v3 group of one sharded array per column, and the index of all its chunks.

Chunks are encoded on all processors and written in order as they come, so that a segment costs its contents' memory and a few
chunks, whatever its size; and contents may be a stream.
"""

import hashlib
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import batched, chain, islice
from typing import Any, Protocol

import msgspec
import numpy as np

from arraystore.digest import LogicalDigest, combine
from arraystore.frames.rows import Rows
from arraystore.pool import map_in_order
from arraystore.segments.codec import CHECKSUM_BYTES
from arraystore.segments.index import CODE_SET_LABELS, ArrayEntry, Bounds, ChunkTable, ZoneIndex, encode_index, index_key
from arraystore.segments.levels import Encoder, Encoders
from arraystore.segments.logical import digest_elements, digest_of_absent, is_codes, label_hashes, time_bounds
from arraystore.storage.base import Batch
from arraystore.versions.commit import Interval, SegmentEntry
from layouts import chunking
from layouts.codecs import CONVENTIONS, CodecSpec, array_metadata, codec_for, column_attributes, group_metadata
from layouts.naming import new_segment_name
from layouts.schema import ArraySpec, Schema

FORMAT = 1

TASKS_AT_ONCE = 8
"""So many chunks of a long array are handed to a thread together, since a hand-over takes as long as a tenth of encoding one;"""
LEAST_TASKS = 16
"""but no array in fewer pieces than these, so that threads end together."""


def write_segments(
    batch: Batch, window_prefix: str, rows: Rows, *, base_version: int, schema_number: int, profile: str
) -> list[SegmentEntry]:
    """Write at least one row of a window as new segments below `window_prefix`: one, or as many as their rows need."""
    entries = []
    for start in range(0, rows.count, chunking.SEGMENT_ROWS):
        part = rows.slice(start, min(start + chunking.SEGMENT_ROWS, rows.count))
        name = new_name(base_version)
        entries.append(write_segment(batch, f"{window_prefix}/{name}", name, part, schema_number=schema_number, profile=profile))
    return entries


def new_name(base_version: int) -> str:
    """A name that no segment has, for one whose writer plans on that version."""
    return new_segment_name(base_version, secrets.randbits(128))


class Contents(Protocol):
    """What a segment is made of: at least one row, as `Rows.tidy` has them, whose arrays are told piece by piece."""

    @property
    def schema(self) -> Schema:
        """The schema of the rows."""
        ...

    @property
    def count(self) -> int:
        """Number of rows."""
        ...

    @property
    def labels(self) -> Mapping[str, tuple[str, ...]]:
        """The labels of each dictionary column that is there; all of them occur."""
        ...

    @property
    def lengths(self) -> Mapping[str, int]:
        """Elements along the first dimension of each array that is there."""
        ...

    def pieces(self, array: str, length: int) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        """An array cut into pieces of `length` elements, in order, and beside those of a clock which of them are valid (None: all)."""
        ...


@dataclass(frozen=True, slots=True)
class _InMemory:
    """Rows as contents."""

    rows: Rows

    @property
    def schema(self) -> Schema:
        return self.rows.schema

    @property
    def count(self) -> int:
        return self.rows.count

    @property
    def labels(self) -> Mapping[str, tuple[str, ...]]:
        return {column: labels for column, labels in self.rows.labels.items() if column in self.rows.arrays}

    @property
    def lengths(self) -> Mapping[str, int]:
        return {name: len(values) for name, values in self.rows.arrays.items()}

    def pieces(self, array: str, length: int) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        values, valid = self.rows.arrays[array], self.rows.arrays.get(f"{array}_valid")
        for start in range(0, len(values), length):
            yield values[start : start + length], None if valid is None else valid[start : start + length]


def write_segment(
    batch: Batch, prefix: str, name: str, rows: Rows, *, schema_number: int, profile: str, threads: int | None = None
) -> SegmentEntry:
    """Write at least one row as the segment `name` at the new place `prefix`, and return what its commit says of it.

    It is whole and durable once the batch is. `threads` encode (default: one per processor).
    """
    assert rows.count, "a segment has rows"
    entry, _ = write_contents(batch, prefix, name, _InMemory(rows.tidy()), schema_number=schema_number, profile=profile, threads=threads)
    return entry


def write_contents(
    batch: Batch, prefix: str, name: str, contents: Contents, *, schema_number: int, profile: str, threads: int | None = None
) -> tuple[SegmentEntry, ZoneIndex]:
    """Write contents as `write_segment` writes rows; the segment's index comes back too."""
    schema = contents.schema
    plans = [_plan_array(contents, spec, profile) for spec in schema.arrays() if spec.name in contents.lengths]
    tasks = (some for plan in plans for some in batched(_tasks(contents, plan), plan.at_once))
    encoded = chain.from_iterable(map_in_order(_encode_all, tasks, threads))
    objects: dict[str, str] = {}
    size = 0

    def put_document(path: str, document: dict[str, Any]) -> int:
        data = msgspec.json.encode(document)
        objects[path] = hashlib.sha256(data).hexdigest()
        return batch.put(f"{prefix}/{path}", data)

    written: dict[str, _Written] = {}
    for plan in plans:
        size += put_document(f"{plan.spec.name}/zarr.json", _array_document(plan, contents, profile))
        written[plan.spec.name] = _write_array(batch, prefix, plan, encoded, objects)
        size += written[plan.spec.name].bytes
    about = {"format": FORMAT, "schema": msgspec.to_builtins(schema), "segment": name}
    size += put_document("zarr.json", group_metadata({"Conventions": CONVENTIONS, "arraystore": about}))
    index = ZoneIndex(
        segment=name,
        rows=contents.count,
        schema=schema,
        profile=str(profile),
        objects=objects,
        labels=contents.labels,
        digests={spec.name: _digest_of(spec, contents, written) for spec in schema.arrays()},
        tables={array: done.table for array, done in written.items()},
        bounds={clock: written[clock].bounds for clock in schema.clocks if clock in written},
        elements={
            column.name: _first_bytes(written[f"{column.name}_count"])
            for column in schema.columns
            if column.is_ragged and column.name in written
        },
        codes={column: np.stack(done.codes) for column, done in written.items() if done.codes},
    )
    data, index_digest = encode_index(index)
    size += batch.put(index_key(prefix, schema), data)
    entry = SegmentEntry(schema=schema_number, rows=contents.count, clocks=index.clocks, bytes=size, segment=name, index=index_digest)
    return entry, index


@dataclass(frozen=True, slots=True, kw_only=True)
class _ArrayPlan:
    """How one array is cut, and what is computed of each of its chunks."""

    spec: ArraySpec
    codec: CodecSpec
    length: int
    chunk: int
    shard: int
    is_clock: bool
    hashes: np.ndarray | None  # of each label, then of null, for dictionary columns

    @property
    def count(self) -> int:
        return -(-self.length // self.chunk)

    @property
    def at_once(self) -> int:
        return 1 if self.spec.is_payload else min(max(self.count // LEAST_TASKS, 1), TASKS_AT_ONCE)


type _Encoded = tuple[bytes, _Told]  # what is stored of a chunk, but for its checksum
type _Task = tuple[_ArrayPlan, Encoder, np.ndarray, np.ndarray | None]


@dataclass(frozen=True, slots=True)
class _Told:
    """What the index tells of a chunk."""

    checksum: int
    digest: LogicalDigest
    bounds: Interval | None
    codes: np.ndarray | None
    total: int  # of a count: the bytes that its rows have


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """What became of an array."""

    table: ChunkTable
    bytes: int
    digest: LogicalDigest
    bounds: Bounds
    codes: list[np.ndarray]
    totals: list[int]


def _plan_array(contents: Contents, spec: ArraySpec, profile: str) -> _ArrayPlan:
    length = contents.lengths[spec.name]
    budget = chunking.PAYLOAD_CHUNK_BYTES if spec.is_payload else chunking.CHUNK_BYTES
    chunk = chunking.chunk_length(length, spec.element_bytes, budget)
    return _ArrayPlan(
        spec=spec,
        codec=codec_for(profile, spec.dtype, payload=spec.is_payload),
        length=length,
        chunk=chunk,
        shard=chunking.shard_length(length, chunk, spec.element_bytes),
        is_clock=spec.role == "values" and spec.name in contents.schema.clocks,
        hashes=label_hashes(contents.labels[spec.name]) if is_codes(contents.schema, spec) else None,
    )


def _tasks(contents: Contents, plan: _ArrayPlan) -> Iterator[_Task]:
    if plan.length:
        encoders = Encoders(plan.codec, plan.count)
        for elements, valid in contents.pieces(plan.spec.name, plan.chunk):
            yield plan, encoders.next(elements), elements, valid if plan.is_clock else None


def _encode_all(tasks: Sequence[_Task]) -> list[_Encoded]:
    return [_encode(task) for task in tasks]


def _encode(task: _Task) -> _Encoded:
    """Everything that is computed of one chunk."""
    plan, encode, elements, valid = task
    elements = np.ascontiguousarray(elements)
    codes = None
    if plan.hashes is not None and len(plan.hashes) - 1 <= CODE_SET_LABELS:
        used = np.zeros(len(plan.hashes), np.bool_)
        used[elements] = True
        codes = np.packbits(used[:-1], bitorder="little")
    missing = plan.chunk - len(elements)
    padded = np.concatenate([elements, np.repeat(elements[-1:], missing, axis=0)]) if missing else elements
    payload, checksum = encode(padded)
    return payload, _Told(
        checksum=checksum,
        digest=digest_elements(elements, plan.hashes),
        bounds=time_bounds(elements, valid) if plan.is_clock else None,
        codes=codes,
        total=int(elements.sum(dtype=np.int64)) if plan.spec.role == "count" else 0,
    )


def _write_array(batch: Batch, prefix: str, plan: _ArrayPlan, encoded: Iterator[_Encoded], objects: dict[str, str]) -> _Written:
    """Put the array's shards, taking its chunks from the stream of all; notes the digest of each object."""
    entry = ArrayEntry(
        array=plan.spec.name,
        dtype=plan.spec.dtype,
        shape=(plan.length, *plan.spec.inner_shape),
        chunk=plan.chunk,
        shard=plan.shard,
        codec=plan.codec.name,
    )
    table = ChunkTable(
        entry=entry, offset=np.zeros(plan.count, np.int64), length=np.zeros(plan.count, np.uint32), crc32c=np.zeros(plan.count, np.uint32)
    )
    done: list[_Told] = []
    size = 0
    for number, chunks in enumerate(table.shards()):
        path, digest = table.object_name(number), hashlib.sha256()
        size += batch.put(f"{prefix}/{path}", _hashed(_shard(table, chunks, encoded, done), digest))
        objects[path] = digest.hexdigest()
    return _Written(
        table=table,
        bytes=size,
        digest=combine(each.digest for each in done),
        bounds=(
            np.array([each.bounds[0] for each in done if each.bounds], np.int64),
            np.array([each.bounds[1] for each in done if each.bounds], np.int64),
        ),
        codes=[each.codes for each in done if each.codes is not None],
        totals=[each.total for each in done],
    )


def _hashed(pieces: Iterator[bytes], digest: "hashlib._Hash") -> Iterator[bytes]:
    for piece in pieces:
        digest.update(piece)
        yield piece


def _shard(table: ChunkTable, chunks: range, encoded: Iterator[_Encoded], done: list[_Told]) -> Iterator[bytes]:
    """The shard's bytes: its chunks back to back, then where each lies; notes the same in the table."""
    offset = 0
    for chunk, (payload, told) in zip(chunks, islice(encoded, len(chunks)), strict=True):
        length = len(payload) + CHECKSUM_BYTES
        table.offset[chunk], table.length[chunk], table.crc32c[chunk] = offset, length, told.checksum
        offset += length
        yield payload
        yield told.checksum.to_bytes(CHECKSUM_BYTES, "little")
        done.append(told)
    yield table.shard_index(chunks)


def _array_document(plan: _ArrayPlan, contents: Contents, profile: str) -> dict[str, Any]:
    column = contents.schema.column(plan.spec.column)
    return array_metadata(
        plan.spec,
        length=plan.length,
        chunk=plan.chunk,
        shard=plan.shard,
        profile=profile,
        attributes=column_attributes(column, contents.labels.get(column.name, ()), role=plan.spec.role),
    )


def _first_bytes(counts: _Written) -> np.ndarray:
    """Of each chunk of a column's count, the first byte in its values; then where they end."""
    return np.concatenate(([0], np.cumsum(np.array(counts.totals, np.int64))))


def _digest_of(spec: ArraySpec, contents: Contents, written: Mapping[str, _Written]) -> LogicalDigest:
    return (
        written[spec.name].digest
        if spec.name in written
        else digest_of_absent(spec, contents.schema, contents.count, column_is_there=spec.column in written)
    )
