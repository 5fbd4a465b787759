"""Whether a segment still is what was written, down to every byte of it."""

import hashlib
from collections.abc import Iterator

import numpy as np

from arraystore.digest import LogicalDigest, combine
from arraystore.errors import Corrupt, NotFound
from arraystore.segments.index import ChunkTable, ZoneIndex, check_entry, decode_index, index_key
from arraystore.segments.logical import digest_elements, digest_of_absent, is_codes, label_hashes
from arraystore.segments.valuecheck import watched
from arraystore.storage.base import Storage
from arraystore.versions.commit import SegmentEntry
from arraystore.versions.fetch import fetch_record
from layouts.schema import ArraySpec, Schema

PIECE_BYTES = 8 << 20


def verify_segment(
    storage: Storage, prefix: str, entry: SegmentEntry, schema: Schema, *, deep: bool, threads: int | None = None
) -> list[str]:
    """Everything that isn't as its commit says: index, documents, sizes and shard indexes; `deep`: every chunk and all values too."""
    where = index_key(prefix, schema)
    try:
        data = fetch_record(storage, where)
        index, digest = decode_index(data, schema, where)
        if digest != entry.index:
            return [f"{where}: the digest is {digest}, where the commit says {entry.index}"]
        check_entry(index, entry, schema, where)
    except (Corrupt, NotFound) as error:
        return [str(error)]
    problems: list[str] = []
    size = len(data) + _check_documents(storage, prefix, index, problems, entry.bytes) + _check_shards(storage, prefix, index, problems)
    if not problems and size != entry.bytes:
        problems.append(f"{prefix}: its objects have {size} bytes, where the commit says {entry.bytes}")
    if deep:
        if not problems:
            shards = [table.object_name(number) for table in index.tables.values() for number in range(len(table.shards()))]
            problems += [problem for path in shards for problem in _check_object(storage, prefix, path, index)]
        problems += _values(storage, prefix, index, threads)
    return problems


def _check_documents(storage: Storage, prefix: str, index: ZoneIndex, problems: list[str], most: int) -> int:
    """Note every `zarr.json` that isn't the one that was written, and return the bytes of all."""
    size = 0
    for path in ("zarr.json", *(f"{array}/zarr.json" for array in index.tables)):
        try:
            found = storage.size(f"{prefix}/{path}")
        except NotFound:
            problems.append(f"{prefix}/{path}: it is missing")
            continue
        size += found
        if found > most:
            problems.append(f"{prefix}/{path}: it has {found} bytes, where the commit says {most} of the whole segment")
        else:
            problems += _check_object(storage, prefix, path, index)
    return size


def _check_object(storage: Storage, prefix: str, path: str, index: ZoneIndex) -> list[str]:
    """Whether an object, which is there, has the bytes that were written."""
    key, digest, start = f"{prefix}/{path}", hashlib.sha256(), 0
    while piece := storage.get_ranges(key, [(start, start + PIECE_BYTES)])[0]:
        digest.update(piece)
        start += len(piece)
    if digest.hexdigest() == index.objects[path]:
        return []
    return [f"{key}: the digest is {digest.hexdigest()}, where the index says {index.objects[path]}"]


def _check_shards(storage: Storage, prefix: str, index: ZoneIndex, problems: list[str]) -> int:
    """Note every shard whose size or own index isn't what the zone index says, and return the bytes of all."""
    total = 0
    for table in index.tables.values():
        for number, chunks in enumerate(table.shards()):
            key = f"{prefix}/{table.object_name(number)}"
            own = table.shard_index(chunks)
            wanted = int(table.length[chunks.start : chunks.stop].sum(dtype=np.int64)) + len(own)
            try:
                size = storage.size(key)
                ending = storage.get_ranges(key, [(wanted - len(own), wanted)])[0]
            except NotFound:
                problems.append(f"{key}: it is missing")
                continue
            total += size
            if size != wanted:
                problems.append(f"{key}: it has {size} bytes, where the index says {wanted}")
            elif ending != own:
                problems.append(f"{key}: the shard's own index isn't what the zone index says")
    return total


def _values(storage: Storage, prefix: str, index: ZoneIndex, threads: int | None) -> Iterator[str]:
    """Every array whose chunks can't be decoded, or whose values aren't those that were written."""
    for spec in index.schema.arrays():
        table = index.tables.get(spec.name)
        wanted = index.digests[spec.name]
        problems: list[str] = []
        try:
            digest = _digest_of(table, index, spec, watched(storage, prefix, index, spec, problems, threads) if table else iter(()))
        except Corrupt as error:
            yield str(error)
            continue
        yield from problems
        if digest != wanted:
            yield f"{prefix}/{spec.name}: the logical digest is {digest}, where the index says {wanted}"


def _digest_of(table: ChunkTable | None, index: ZoneIndex, spec: ArraySpec, chunks: Iterator[np.ndarray]) -> LogicalDigest:
    if table is None:
        return digest_of_absent(spec, index.schema, index.rows, column_is_there=spec.column in index.tables)
    hashes = label_hashes(index.labels[spec.name]) if is_codes(index.schema, spec) else None
    return combine(digest_elements(chunk, hashes) for chunk in chunks)
