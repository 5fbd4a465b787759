"""Writes rows as a segment: a plain Zarr v3 group of one sharded array per column, and the index of all its chunks.

Chunks are encoded on all processors and written in order as they come, so that a segment costs its rows' memory and a few
chunks, whatever its size.
"""

import hashlib
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec
import numpy as np

from arraystore.codec import encode_chunk
from arraystore.commit import Interval, SegmentEntry
from arraystore.digest import LogicalDigest, combine
from arraystore.index import CODE_SET_LABELS, ArrayEntry, Bounds, ChunkTable, ZoneIndex, encode_index, index_key
from arraystore.logical import digest_elements, digest_of_absent, is_codes, label_hashes, time_bounds
from arraystore.pool import map_in_order
from arraystore.rows import Rows
from arraystore.storage.base import Batch
from layouts import chunking
from layouts.codecs import CONVENTIONS, CodecSpec, array_metadata, codec_for, column_attributes, group_metadata
from layouts.naming import new_segment_name
from layouts.schema import ArraySpec, Column

FORMAT = 1


def write_segments(
    batch: Batch, window_prefix: str, rows: Rows, *, base_version: int, schema_number: int, profile: str
) -> list[SegmentEntry]:
    """Write at least one row of a window as new segments below `window_prefix`: one, or as many as their rows need."""
    entries = []
    for start in range(0, rows.count, chunking.SEGMENT_ROWS):
        part = rows.slice(start, min(start + chunking.SEGMENT_ROWS, rows.count))
        name = new_segment_name(base_version, secrets.randbits(128))
        entries.append(write_segment(batch, f"{window_prefix}/{name}", name, part, schema_number=schema_number, profile=profile))
    return entries


def write_segment(
    batch: Batch, prefix: str, name: str, rows: Rows, *, schema_number: int, profile: str, threads: int | None = None
) -> SegmentEntry:
    """Write at least one row as the segment `name` at the new place `prefix`, and return what its commit says of it.

    It is whole and durable once the batch is. `threads` encode (default: one per processor).
    """
    assert rows.count, "a segment has rows"
    rows = rows.tidy()
    plans = [_plan_array(rows, spec, profile) for spec in rows.schema.arrays() if spec.name in rows.arrays]
    encoded = map_in_order(_encode, ((plan, chunk) for plan in plans for chunk in range(plan.count)), threads)
    objects: dict[str, str] = {}
    size = 0

    def put_document(path: str, document: dict[str, Any]) -> int:
        data = msgspec.json.encode(document)
        objects[path] = hashlib.sha256(data).hexdigest()
        return batch.put(f"{prefix}/{path}", data)

    written: dict[str, _Written] = {}
    for plan in plans:
        size += put_document(f"{plan.spec.name}/zarr.json", _array_document(plan, rows, profile))
        written[plan.spec.name] = _write_array(batch, prefix, plan, encoded, objects)
        size += written[plan.spec.name].bytes
    about = {"format": FORMAT, "schema": msgspec.to_builtins(rows.schema), "segment": name}
    size += put_document("zarr.json", group_metadata({"Conventions": CONVENTIONS, "arraystore": about}))
    index = ZoneIndex(
        segment=name,
        rows=rows.count,
        schema=rows.schema,
        profile=str(profile),
        objects=objects,
        labels={column: labels for column, labels in rows.labels.items() if column in rows.arrays},
        digests={spec.name: _digest_of(spec, rows, written) for spec in rows.schema.arrays()},
        tables={array: done.table for array, done in written.items()},
        bounds={clock: written[clock].bounds for clock in rows.schema.clocks if clock in written},
        elements={
            column.name: _first_bytes(rows, column, written)
            for column in rows.schema.columns
            if column.is_ragged and column.name in written
        },
        codes={column: np.stack(done.codes) for column, done in written.items() if done.codes},
    )
    data, index_digest = encode_index(index)
    size += batch.put(index_key(prefix, rows.schema), data)
    return SegmentEntry(schema=schema_number, rows=rows.count, clocks=index.clocks, bytes=size, segment=name, index=index_digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class _ArrayPlan:
    """How one array is cut, and what is computed of each of its chunks."""

    spec: ArraySpec
    codec: CodecSpec
    values: np.ndarray
    chunk: int
    shard: int
    valid: np.ndarray | None  # given for clocks
    is_clock: bool
    hashes: np.ndarray | None  # of each label, then of null, for dictionary columns

    @property
    def count(self) -> int:
        return -(-len(self.values) // self.chunk)


@dataclass(frozen=True, slots=True)
class _Encoded:
    """A chunk as it is stored, and what the index tells of it."""

    stored: bytes
    checksum: int
    digest: LogicalDigest
    bounds: Interval | None
    codes: np.ndarray | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """What became of an array."""

    table: ChunkTable
    bytes: int
    digest: LogicalDigest
    bounds: Bounds
    codes: list[np.ndarray]


def _plan_array(rows: Rows, spec: ArraySpec, profile: str) -> _ArrayPlan:
    values = rows.arrays[spec.name]
    budget = chunking.PAYLOAD_CHUNK_BYTES if spec.is_payload else chunking.CHUNK_BYTES
    chunk = chunking.chunk_length(len(values), spec.element_bytes, budget)
    is_clock = spec.role == "values" and spec.name in rows.schema.clocks
    return _ArrayPlan(
        spec=spec,
        codec=codec_for(profile, spec.dtype, payload=spec.is_payload),
        values=values,
        chunk=chunk,
        shard=chunking.shard_length(len(values), chunk, spec.element_bytes),
        valid=rows.arrays.get(f"{spec.name}_valid") if is_clock else None,
        is_clock=is_clock,
        hashes=label_hashes(rows.labels[spec.name]) if is_codes(rows.schema, spec) else None,
    )


def _encode(task: tuple[_ArrayPlan, int]) -> _Encoded:
    """Everything that is computed of one chunk."""
    plan, chunk = task
    start = chunk * plan.chunk
    elements = np.ascontiguousarray(plan.values[start : start + plan.chunk])
    codes = None
    if plan.hashes is not None and len(plan.hashes) - 1 <= CODE_SET_LABELS:
        used = np.zeros(len(plan.hashes), np.bool_)
        used[elements] = True
        codes = np.packbits(used[:-1], bitorder="little")
    missing = plan.chunk - len(elements)
    padded = np.concatenate([elements, np.repeat(elements[-1:], missing, axis=0)]) if missing else elements
    stored, checksum = encode_chunk(plan.codec, padded)
    valid = plan.valid[start : start + plan.chunk] if plan.valid is not None else None
    return _Encoded(
        stored=stored,
        checksum=checksum,
        digest=digest_elements(elements, plan.hashes),
        bounds=time_bounds(elements, valid) if plan.is_clock else None,
        codes=codes,
    )


def _write_array(batch: Batch, prefix: str, plan: _ArrayPlan, encoded: Iterator[_Encoded], objects: dict[str, str]) -> _Written:
    """Put the array's shards, taking its chunks from the stream of all; notes the digest of each object."""
    entry = ArrayEntry(
        array=plan.spec.name,
        dtype=plan.spec.dtype,
        shape=(len(plan.values), *plan.spec.inner_shape),
        chunk=plan.chunk,
        shard=plan.shard,
        codec=plan.codec.name,
    )
    table = ChunkTable(
        entry=entry, offset=np.zeros(plan.count, np.int64), length=np.zeros(plan.count, np.uint32), crc32c=np.zeros(plan.count, np.uint32)
    )
    done: list[_Encoded] = []
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
    )


def _hashed(pieces: Iterator[bytes], digest: "hashlib._Hash") -> Iterator[bytes]:
    for piece in pieces:
        digest.update(piece)
        yield piece


def _shard(table: ChunkTable, chunks: range, encoded: Iterator[_Encoded], done: list[_Encoded]) -> Iterator[bytes]:
    """The shard's bytes: its chunks back to back, then where each lies; notes the same in the table."""
    offset = 0
    for chunk, each in zip(chunks, islice(encoded, len(chunks)), strict=True):
        table.offset[chunk], table.length[chunk], table.crc32c[chunk] = offset, len(each.stored), each.checksum
        offset += len(each.stored)
        yield each.stored
        done.append(_Encoded(b"", each.checksum, each.digest, each.bounds, each.codes))
    yield table.shard_index(chunks)


def _array_document(plan: _ArrayPlan, rows: Rows, profile: str) -> dict[str, Any]:
    column = rows.schema.column(plan.spec.column)
    return array_metadata(
        plan.spec,
        length=len(plan.values),
        chunk=plan.chunk,
        shard=plan.shard,
        profile=profile,
        attributes=column_attributes(column, rows.labels.get(column.name, ()), role=plan.spec.role),
    )


def _first_bytes(rows: Rows, column: Column, written: Mapping[str, _Written]) -> np.ndarray:
    """Of each chunk of the column's count, the first byte in its values; then where they end."""
    counts = rows.arrays[f"{column.name}_count"]
    starts = np.arange(0, len(counts), written[f"{column.name}_count"].table.entry.chunk)
    return np.concatenate(([0], np.cumsum(np.add.reduceat(counts, starts, dtype=np.int64))))


def _digest_of(spec: ArraySpec, rows: Rows, written: Mapping[str, _Written]) -> LogicalDigest:
    return (
        written[spec.name].digest
        if spec.name in written
        else digest_of_absent(spec, rows.schema, rows.count, column_is_there=spec.column in written)
    )
