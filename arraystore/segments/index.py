"""The zone index: where every chunk of a segment lies, what it must look like, and which times it spans (FORMAT.md section 10).

An index says of itself how much memory reading it will take, so nothing in it is believed before it agrees with itself,
with the schema and with the commit's entry.
"""

import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
import numpy as np

from arraystore.digest import LogicalDigest, crc32c, parse_digest
from arraystore.errors import Corrupt, NotFound
from arraystore.forks import Guard
from arraystore.segments.codec import CHECKSUM_BYTES
from arraystore.storage.base import Storage
from arraystore.versions.commit import Interval, SegmentEntry
from arraystore.versions.fetch import fetch_record
from arraystore.versions.record import ArrayRef, decode_record, encode_record, pack_arrays, unpack_arrays
from layouts.chunking import SEGMENT_ROWS
from layouts.codecs import Profile, codec_for
from layouts.naming import is_segment_name
from layouts.schema import ArraySpec, Kind, Schema

CODE_SET_LABELS = 4096
CHUNK_LIMIT_BYTES = 4 << 20
CHUNK_SLACK_BYTES = 1 << 16
CACHE_BYTES = 64 << 20
NO_CHUNK = np.uint64(0xFFFF_FFFF_FFFF_FFFF)

type Bounds = tuple[np.ndarray, np.ndarray]


class ArrayEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What the header tells of one Zarr array; `chunk` and `shard` count elements along the first dimension."""

    array: str
    dtype: str
    shape: tuple[int, ...]
    chunk: int
    shard: int
    codec: str


class IndexHeader(msgspec.Struct, frozen=True, kw_only=True):
    """The header of an `_index` record."""

    segment: str
    rows: int
    schema: msgspec.Raw
    profile: str
    objects: dict[str, str]
    labels: dict[str, list[str]]
    digests: dict[str, str]
    arrays: list[ArrayEntry]
    tables: dict[str, ArrayRef]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChunkTable:
    """One array's chunks: how long they are, and where each lies in its shard's object."""

    entry: ArrayEntry
    offset: np.ndarray
    length: np.ndarray
    crc32c: np.ndarray

    @property
    def count(self) -> int:
        """Number of chunks."""
        return len(self.offset)

    @property
    def elements(self) -> int:
        """Elements along the first dimension."""
        return self.entry.shape[0]

    @property
    def chunk_bytes(self) -> int:
        """Decoded bytes of a chunk."""
        return self.entry.chunk * math.prod(self.entry.shape[1:]) * np.dtype(self.entry.dtype).itemsize

    def object_name(self, shard: int) -> str:
        """The shard's object, below the segment."""
        return f"{self.entry.array}/{shard}" + ".0" * (len(self.entry.shape) - 1)

    def shards(self) -> list[range]:
        """The chunks of each shard."""
        per_shard = self.entry.shard // self.entry.chunk
        return [range(first, min(first + per_shard, self.count)) for first in range(0, self.count, per_shard)]

    def shard_index(self, chunks: range) -> bytes:
        """What Zarr has at a shard's end: offset and length of its chunks, and a checksum; those past the array's end are missing."""
        places = np.full((self.entry.shard // self.entry.chunk, 2), NO_CHUNK, "<u8")
        places[: len(chunks), 0] = self.offset[chunks.start : chunks.stop]
        places[: len(chunks), 1] = self.length[chunks.start : chunks.stop]
        data = places.tobytes()
        return data + crc32c(data).to_bytes(CHECKSUM_BYTES, "little")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ZoneIndex:
    """An `_index` as a value. An array without a table is one that the segment hasn't got (FORMAT.md section 5)."""

    segment: str
    rows: int
    schema: Schema
    profile: str
    objects: Mapping[str, str]  # the SHA-256 of every other object, by its name below the segment
    labels: Mapping[str, tuple[str, ...]]
    digests: Mapping[str, LogicalDigest]
    tables: Mapping[str, ChunkTable]
    bounds: Mapping[str, Bounds]  # per clock: minimum and maximum of each chunk's valid values
    elements: Mapping[str, np.ndarray]  # per ragged column: the first byte of each of its count's chunks, and the end
    codes: Mapping[str, np.ndarray]  # per dictionary column with few labels: a bit set of the codes in each chunk
    proven: set[str] = field(default_factory=set)  # text columns all of whose rows this process has found to be UTF-8
    agreed: list[tuple[SegmentEntry, Schema]] = field(default_factory=list)  # what it was last found to agree with, which states keep

    @property
    def clocks(self) -> dict[str, Interval]:
        """The smallest and the largest valid time of each clock that has any."""
        spans = {clock: (int(low.min()), int(high.max())) for clock, (low, high) in self.bounds.items()}
        return {clock: (first, last) for clock, (first, last) in spans.items() if first <= last}


def encode_index(index: ZoneIndex) -> tuple[bytes, str]:
    """The record's bytes and its digest."""
    arrays: dict[str, np.ndarray] = {}
    for name, table in index.tables.items():
        arrays |= {f"{name}:offset": table.offset, f"{name}:length": table.length, f"{name}:crc32c": table.crc32c}
    for clock, (low, high) in index.bounds.items():
        arrays |= {f"{clock}:min": low, f"{clock}:max": high}
    arrays |= {f"{column}:element": first for column, first in index.elements.items()}
    arrays |= {f"{column}:codes": sets for column, sets in index.codes.items()}
    refs, pieces = pack_arrays(arrays)
    header = IndexHeader(
        segment=index.segment,
        rows=index.rows,
        schema=msgspec.Raw(msgspec.json.encode(index.schema)),
        profile=index.profile,
        objects=dict(index.objects),
        labels={column: list(labels) for column, labels in index.labels.items()},
        digests={array: str(digest) for array, digest in index.digests.items()},
        arrays=[table.entry for table in index.tables.values()],
        tables=refs,
    )
    return encode_record("index", header, pieces)


def decode_index(data: bytes, schema: Schema, where: str) -> tuple[ZoneIndex, str]:
    """The index that a record's bytes hold, found to agree with itself and with the schema, and its digest."""
    header, body, digest = decode_record("index", data, IndexHeader, where)
    try:
        _require(_is_schema(header.schema, schema), "its schema isn't the one that the commit names")
        return _parse(header, schema, unpack_arrays(header.tables, body, where)), digest
    except (ValueError, msgspec.DecodeError, RecursionError, Corrupt) as error:
        raise Corrupt(f"{where}: damaged index: {error}") from error


def _is_schema(told: msgspec.Raw, schema: Schema) -> bool:
    """Whether an index tells a schema, which nearly always stands there as it is written today."""
    return bytes(told) == msgspec.json.encode(schema) or msgspec.json.decode(told, type=Schema) == schema


def index_key(prefix: str, schema: Schema) -> str:
    """Where the index of the segment at `prefix` lies: in the axis' array, since stock Zarr warns of what it doesn't know in a group."""
    return f"{prefix}/{schema.axis}/_index"


def load_index(storage: Storage, prefix: str, entry: SegmentEntry, schema: Schema) -> ZoneIndex:
    """The index of the segment at `prefix`, which must be the one that its entry in the commit names; kept for the next time."""
    where = index_key(prefix, schema)
    index = _cache.get(entry.index)
    if index is None:
        try:
            data = fetch_record(storage, where)
        except NotFound as error:
            raise Corrupt(f"{where}: the index is missing, though a commit names its segment") from error
        index, digest = decode_index(data, schema, where)
        if digest != entry.index:
            raise Corrupt(f"{where}: the digest is {digest}, where the commit says {entry.index}")
        _cache.put(digest, index, len(data))
    if not (index.agreed and index.agreed[0][0] is entry and index.agreed[0][1] is schema):
        check_entry(index, entry, schema, where)
        index.agreed[:] = [(entry, schema)]
    return index


def check_entry(index: ZoneIndex, entry: SegmentEntry, schema: Schema, where: str) -> None:
    """What the commit tells of a segment must be what its index tells, or pruning by the one would hide rows of the other."""
    for what, found, wanted in (
        ("segment", index.segment, entry.segment),
        ("number of rows", index.rows, entry.rows),
        ("span of clocks", index.clocks, {clock: tuple(span) for clock, span in entry.clocks.items()}),
    ):
        if found != wanted:
            raise Corrupt(f"{where}: its {what} is {found!r}, where the commit says {wanted!r}")
    stored = sum(int(table.length.sum(dtype=np.int64)) for table in index.tables.values())
    if stored >= entry.bytes:
        raise Corrupt(f"{where}: its chunks have {stored} bytes, where the commit says {entry.bytes} with all that is around them")
    if index.schema is not schema and index.schema != schema:
        raise Corrupt(f"{where}: its schema isn't the one that the commit names")


def _require(condition: object, what: str) -> None:
    if not condition:
        raise ValueError(what)


def _parse(header: IndexHeader, schema: Schema, arrays: Mapping[str, np.ndarray]) -> ZoneIndex:
    rows = header.rows
    _require(is_segment_name(header.segment), f"{header.segment!r} isn't a segment's name")
    _require(header.profile in set(Profile), f"the profile {header.profile!r} isn't known")
    _require(1 <= rows <= SEGMENT_ROWS, f"{rows} rows, where a segment has from 1 to {SEGMENT_ROWS}")
    specs = {spec.name: spec for spec in schema.arrays()}
    entries = {entry.array: entry for entry in header.arrays}
    _require(len(entries) == len(header.arrays) and entries.keys() <= specs.keys(), "its arrays aren't those of its schema")
    _check_presence(schema, set(entries))
    unread = dict(arrays)

    def take(name: str, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
        array = unread.pop(name, None)
        _require(array is not None and array.dtype == np.dtype(dtype) and array.shape == shape, f"table {name!r} isn't {dtype} {shape}")
        assert array is not None
        return array

    tables: dict[str, ChunkTable] = {}
    for name, entry in entries.items():
        count = _chunk_count(entry, specs[name], header)
        tables[name] = ChunkTable(
            entry=entry,
            offset=take(f"{name}:offset", "<i8", (count,)),
            length=take(f"{name}:length", "<u4", (count,)),
            crc32c=take(f"{name}:crc32c", "<u4", (count,)),
        )
        _check_places(tables[name])
    bounds = {
        clock: (take(f"{clock}:min", "<i8", (tables[clock].count,)), take(f"{clock}:max", "<i8", (tables[clock].count,)))
        for clock in schema.clocks
        if clock in tables
    }
    elements: dict[str, np.ndarray] = {}
    labels = {column: tuple(listed) for column, listed in header.labels.items()}
    codes: dict[str, np.ndarray] = {}
    dictionaries = {column.name for column in schema.columns if column.kind is Kind.DICTIONARY and column.name in tables}
    _require(labels.keys() == dictionaries, "it has labels of other columns than its dictionary columns")
    for column in schema.columns:
        name = column.name
        if column.is_ragged and name in tables:
            elements[name] = take(f"{name}:element", "<i8", (tables[f"{name}_count"].count + 1,))
            first = elements[name]
            whole = first[0] == 0 and first[-1] == tables[name].elements and bool((first[1:] >= first[:-1]).all())
            _require(whole, f"the bytes of {name!r} aren't cut into chunks of rows")
        if name in dictionaries:
            _require(len(set(labels[name])) == len(labels[name]), f"labels of {name!r} occur twice")
            if len(labels[name]) <= CODE_SET_LABELS:
                codes[name] = take(f"{name}:codes", "|u1", (tables[name].count, -(-len(labels[name]) // 8)))
    _check_digests(header, tables, set(specs))
    return ZoneIndex(
        segment=header.segment,
        rows=rows,
        schema=schema,
        profile=header.profile,
        objects=header.objects,
        labels=labels,
        digests={array: parse_digest(text) for array, text in header.digests.items()},
        tables=tables,
        bounds=bounds,
        elements=elements,
        codes=codes,
    )


def _check_presence(schema: Schema, present: set[str]) -> None:
    """A column has all its arrays or none, and none only if it may be null; its validity only beside its values."""
    for column in schema.columns:
        name = column.name
        _require(name in present or column.nullable, f"the column {name!r} is missing, and can't be null")
        _require(not column.is_ragged or (name in present) == (f"{name}_count" in present), f"the column {name!r} isn't whole")
        _require(name in present or f"{name}_valid" not in present, f"the column {name!r} has a validity and no values")


def _chunk_count(entry: ArrayEntry, spec: ArraySpec, header: IndexHeader) -> int:
    """How many chunks an array has, if what its entry says can be."""
    length = entry.shape[0] if entry.shape else -1
    _require(entry.dtype == spec.dtype and entry.shape == (length, *spec.inner_shape), f"{entry} isn't the schema's {spec}")
    _require(length >= 0 and (spec.is_payload or length == header.rows), f"{entry} hasn't {header.rows} rows")
    codec = codec_for(header.profile, spec.dtype, payload=spec.is_payload).name
    _require(entry.codec == codec, f"{entry} should have the codec {codec}")
    fits = entry.chunk == 1 or (1 <= entry.chunk <= length and entry.chunk * spec.element_bytes <= CHUNK_LIMIT_BYTES)
    _require(fits, f"{entry} has chunks of an impossible length")
    _require(entry.shard >= entry.chunk and entry.shard % entry.chunk == 0, f"{entry} has shards that aren't whole chunks")
    return -(-length // entry.chunk)


def _check_places(table: ChunkTable) -> None:
    """Chunks of a shard lie back to back in order from offset 0."""
    if not table.count:
        return
    _require(int(table.length.min()) > CHECKSUM_BYTES, f"{table.entry} has chunks without content")
    _require(int(table.length.max()) <= 2 * table.chunk_bytes + CHUNK_SLACK_BYTES, f"{table.entry} has chunks longer than their content")
    starts = np.cumsum(table.length, dtype=np.int64) - table.length
    per_shard = table.entry.shard // table.entry.chunk
    if per_shard < table.count:
        starts -= starts[np.arange(table.count) // per_shard * per_shard]
    back_to_back = bool((table.offset == starts).all())
    _require(back_to_back, f"{table.entry} has chunks that don't lie back to back")


def _check_digests(header: IndexHeader, tables: Mapping[str, ChunkTable], arrays: set[str]) -> None:
    objects = {"zarr.json", *(f"{array}/zarr.json" for array in tables)}
    objects |= {table.object_name(number) for table in tables.values() for number in range(len(table.shards()))}
    _require(header.objects.keys() == objects, "it has digests of other objects than its arrays'")
    _require(header.digests.keys() >= arrays, "it lacks logical digests of its schema's arrays")


class _Cache:
    """The indexes used last, by digest, up to so many bytes."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._held: OrderedDict[str, tuple[ZoneIndex, int]] = OrderedDict()
        self._bytes = 0
        self._guard = Guard()

    def get(self, digest: str) -> ZoneIndex | None:
        with self._guard:
            if digest not in self._held:
                return None
            self._held.move_to_end(digest)
            return self._held[digest][0]

    def put(self, digest: str, index: ZoneIndex, size: int) -> None:
        with self._guard:
            if digest not in self._held:
                self._held[digest] = (index, size)
                self._bytes += size
            while self._bytes > self._limit and len(self._held) > 1:
                self._bytes -= self._held.popitem(last=False)[1][1]

    def clear(self) -> None:
        with self._guard:
            self._held.clear()
            self._bytes = 0


_cache = _Cache(CACHE_BYTES)


def forget_indexes() -> None:
    """Empty the cache, as a new process would find it."""
    _cache.clear()
