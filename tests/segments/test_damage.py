"""A segment that isn't what was written is an error that names the place, and never other data."""

import dataclasses

import msgspec
import numpy as np
import pytest

from arraystore.errors import Corrupt
from arraystore.frames.rows import Rows, empty
from arraystore.segments.codec import encode_chunk
from arraystore.segments.index import IndexHeader, forget_indexes, index_key
from arraystore.segments.reader import Selection, read
from arraystore.segments.segmentcheck import verify_segment
from arraystore.segments.tail import decode_tail, encode_tail
from arraystore.storage.memory import MemoryStorage
from arraystore.testing.parts import segment_part
from arraystore.testing.strategies import differences, small_chunks
from arraystore.versions.record import decode_record, encode_record, pack_arrays, unpack_arrays
from layouts.codecs import codec_for
from layouts.schema import Column, Schema

SCHEMA = Schema(
    name="damaged",
    columns=(
        Column(name="time", kind="time"),
        Column(name="exchange_time", kind="time", clock="exchange", nullable=True),
        Column(name="price"),
        Column(name="size"),
        Column(name="side", dtype="int8"),
        Column(name="venue", kind="dictionary"),
        Column(name="note", kind="text", nullable=True),
    ),
)
COUNT = 30


def sample_rows():
    random = np.random.default_rng(3)
    counts = random.integers(0, 4, COUNT).astype(np.uint32)
    valid = random.random(COUNT) < 0.8
    arrays = {
        "time": 1000 + np.arange(COUNT) * 10,
        "exchange_time": np.where(valid, 995 + np.arange(COUNT) * 10, np.iinfo(np.int64).min),
        "exchange_time_valid": valid,
        "price": random.normal(size=COUNT),
        "size": random.normal(size=COUNT),
        "side": random.integers(-1, 2, COUNT).astype(np.int8),
        "venue": random.integers(0, 2, COUNT).astype(np.int32),
        "note": random.integers(97, 123, int(counts.sum())).astype(np.uint8),
        "note_count": counts,
    }
    return Rows(schema=SCHEMA, count=COUNT, arrays=arrays, labels={"venue": ("a", "b")})


class Damaged:
    """A segment in memory whose objects can be replaced behind everyone's back."""

    def __init__(self):
        self.storage = MemoryStorage()
        self.rows = sample_rows()
        with small_chunks(100, 20, 200):
            self.part = segment_part(self.storage, self.rows)

    @property
    def objects(self):
        return self.storage._space.objects

    def key(self, name):
        return f"{self.part.prefix}/{name}"

    def read(self, **selection):
        forget_indexes()
        return read(self.storage, [self.part], SCHEMA, Selection(**selection), threads=1)

    def verify(self, *, deep):
        return verify_segment(self.storage, self.part.prefix, self.part.entry, SCHEMA, deep=deep, threads=1)

    def craft(self, change):
        """Replace the index by one that its writer changed, named by the commit as if it were right."""
        header, body, _ = decode_record("index", self.objects[index_key(self.part.prefix, SCHEMA)], IndexHeader, "here")
        tables = {name: array.copy() for name, array in unpack_arrays(header.tables, body, "here").items()}
        header = change(header, tables) or header
        refs, pieces = pack_arrays(tables)
        data, digest = encode_record("index", msgspec.structs.replace(header, tables=refs), pieces)
        self.objects[index_key(self.part.prefix, SCHEMA)] = data
        self.part = dataclasses.replace(self.part, entry=msgspec.structs.replace(self.part.entry, index=digest))


@pytest.fixture
def damaged():
    return Damaged()


def names(damaged):
    return sorted(key.removeprefix(damaged.part.prefix + "/") for key in damaged.objects)


def test_an_undamaged_segment_has_no_findings(damaged):
    assert differences(damaged.read(), damaged.rows) == []
    assert damaged.verify(deep=True) == []
    assert sum(map(len, damaged.objects.values())) == damaged.part.entry.bytes


def test_a_flipped_bit_anywhere_is_found_and_never_read_as_data(damaged):
    reads = 0
    for name in names(damaged):
        original = damaged.objects[damaged.key(name)]
        for position in range(0, len(original), 13):
            changed = bytearray(original)
            changed[position] ^= 1 << position % 8
            damaged.objects[damaged.key(name)] = bytes(changed)
            assert any(damaged.key(name) in text for text in damaged.verify(deep=True)), (name, position)
            try:
                assert differences(damaged.read(), damaged.rows) == []
                reads += 1
            except Corrupt as error:
                assert damaged.key(name) in str(error)  # noqa: PT017 - raising is one of two right answers
                assert not name.endswith("zarr.json")
        damaged.objects[damaged.key(name)] = original
    assert reads  # Zarr's documents and shard indexes are for others


def test_a_missing_object_is_named(damaged):
    for name in names(damaged):
        original = damaged.objects.pop(damaged.key(name))
        assert any(damaged.key(name) in text for text in damaged.verify(deep=False))
        if not name.endswith("zarr.json"):
            with pytest.raises(Corrupt, match=damaged.key(name)):
                damaged.read()
        damaged.objects[damaged.key(name)] = original


def test_an_object_that_ends_early_is_named(damaged):
    for name in names(damaged):
        original = damaged.objects[damaged.key(name)]
        damaged.objects[damaged.key(name)] = original[: len(original) // 3]
        assert any(damaged.key(name) in text for text in damaged.verify(deep=False))
        if not name.endswith("zarr.json"):
            with pytest.raises(Corrupt, match=damaged.key(name)):
                damaged.read()
        damaged.objects[damaged.key(name)] = original


def test_objects_and_chunks_that_changed_places_are_found(damaged):
    price, size = damaged.key("price/0"), damaged.key("size/0")
    damaged.objects[price], damaged.objects[size] = damaged.objects[size], damaged.objects[price]
    with pytest.raises(Corrupt, match="price/0: chunk 0 is damaged"):
        damaged.read()
    damaged = Damaged()
    header, body, _ = decode_record("index", damaged.objects[index_key(damaged.part.prefix, SCHEMA)], IndexHeader, "here")
    first = int(unpack_arrays(header.tables, body, "here")["price:length"][0])
    whole = damaged.objects[damaged.key("price/0")]
    damaged.objects[damaged.key("price/0")] = whole[first:] + whole[:first]
    with pytest.raises(Corrupt, match="price/0: chunk 0 is damaged"):
        damaged.read()


def test_an_index_may_write_its_schema_in_another_way(damaged):
    damaged.craft(lambda header, _: msgspec.structs.replace(header, schema=msgspec.Raw(b" " + bytes(header.schema) + b" ")))
    assert differences(damaged.read(), damaged.rows) == []


def test_the_index_of_another_segment_is_refused(damaged):
    other = segment_part(damaged.storage, damaged.rows, 1)
    damaged.objects[index_key(damaged.part.prefix, SCHEMA)] = damaged.objects[index_key(other.prefix, SCHEMA)]
    with pytest.raises(Corrupt, match="the digest is"):
        damaged.read()


def test_only_the_chunks_that_a_selection_needs_are_looked_at(damaged):
    key = damaged.key("price/0")
    damaged.objects[key] = bytes(len(damaged.objects[key]))
    assert differences(damaged.read(start=1290), damaged.rows.slice(29, 30)) == []
    with pytest.raises(Corrupt, match="price/0: chunk 0"):
        damaged.read(start=1000, stop=1001)


def as_told(schema):
    return msgspec.Raw(msgspec.json.encode(schema))


def array(header, name, **changes):
    """The header with one array told otherwise."""
    entries = [msgspec.structs.replace(entry, **changes) if entry.array == name else entry for entry in header.arrays]
    return msgspec.structs.replace(header, arrays=entries)


def drop(tables, *names):
    for name in names:
        for table in [table for table in tables if table.partition(":")[0] == name]:
            del tables[table]


def without(header, tables, *names):
    """The header and tables as if these arrays weren't there."""
    drop(tables, *names)
    objects = {path: digest for path, digest in header.objects.items() if path.partition("/")[0] not in names}
    return msgspec.structs.replace(header, arrays=[entry for entry in header.arrays if entry.array not in names], objects=objects)


def setting(name, index, value):
    def change(header, tables):
        tables[name][index] = value

    return change


CRAFTED = {
    "more rows than there are": lambda h, t: msgspec.structs.replace(h, rows=COUNT + 1),
    "rows without end": lambda h, t: msgspec.structs.replace(h, rows=1 << 40),
    "no rows": lambda h, t: msgspec.structs.replace(h, rows=0),
    "another segment": lambda h, t: msgspec.structs.replace(h, segment="1-" + "0" * 32),
    "a segment elsewhere": lambda h, t: msgspec.structs.replace(h, segment="../../raw/secret"),
    "an unknown profile": lambda h, t: msgspec.structs.replace(h, profile="fast"),
    "another schema": lambda h, t: msgspec.structs.replace(h, schema=as_told(msgspec.structs.replace(SCHEMA, name="other"))),
    "a schema that is none": lambda h, t: msgspec.structs.replace(h, schema=msgspec.Raw(b'{"name": 5}')),
    "a shape too large": lambda h, t: array(h, "price", shape=(1 << 50,)),
    "a shape below zero": lambda h, t: array(h, "note", shape=(-1,)),
    "no shape": lambda h, t: array(h, "price", shape=()),
    "a second dimension": lambda h, t: array(h, "price", shape=(COUNT, 1 << 40)),
    "another dtype": lambda h, t: array(h, "price", dtype="int64"),
    "a chunk too long": lambda h, t: array(h, "price", chunk=1 << 50),
    "a chunk of nothing": lambda h, t: array(h, "price", chunk=0),
    "a shard of half chunks": lambda h, t: array(h, "price", shard=13),
    "another codec": lambda h, t: array(h, "price", codec="zstd"),
    "an array elsewhere": lambda h, t: array(h, "price", array="../size"),
    "an array twice": lambda h, t: array(h, "price", array="size"),
    "an array missing": lambda h, t: without(h, t, "price"),
    "counts missing": lambda h, t: without(h, t, "note_count"),
    "values of nulls missing": lambda h, t: without(h, t, "exchange_time"),
    "a table missing": lambda h, t: drop(t, "price"),
    "a table too short": lambda h, t: t.update({"price:offset": t["price:offset"][:-1]}),
    "a table of floats": lambda h, t: t.update({"price:offset": t["price:offset"].astype(float)}),
    "an offset below zero": setting("price:offset", 0, -1),
    "an offset beyond": setting("price:offset", 1, 1 << 60),
    "a length of nothing": setting("price:length", 0, 0),
    "lengths that don't join": setting("price:length", 0, 1 << 30),
    "a length beyond all bytes": setting("price:length", -1, 1 << 30),
    "bytes that begin late": setting("note:element", 0, 1),
    "bytes that run backwards": setting("note:element", 1, 1 << 40),
    "a minimum too early": setting("time:min", 0, 0),
    "a maximum too late": setting("time:max", -1, 1 << 62),
    "labels twice": lambda h, t: msgspec.structs.replace(h, labels={"venue": ["a", "a"]}),
    "labels missing": lambda h, t: msgspec.structs.replace(h, labels={}),
    "labels of another": lambda h, t: msgspec.structs.replace(h, labels={"venue": ["a", "b"], "price": []}),
    "an object missing": lambda h, t: msgspec.structs.replace(h, objects={}),
    "a digest missing": lambda h, t: msgspec.structs.replace(h, digests={}),
    "a digest that is none": lambda h, t: msgspec.structs.replace(h, digests=h.digests | {"price": "1:2"}),
}


@pytest.mark.parametrize("change", CRAFTED.values(), ids=CRAFTED)
def test_an_index_that_contradicts_itself_schema_or_commit_is_refused(damaged, change):
    damaged.craft(change)
    with pytest.raises(Corrupt, match="_index: "):
        damaged.read()
    assert any("_index: " in text for text in damaged.verify(deep=False))


def test_an_index_that_says_more_than_is_known_here_is_taken(damaged):
    damaged.craft(lambda header, tables: tables.update(extra=np.zeros(1)))
    assert differences(damaged.read(), damaged.rows) == []


@pytest.mark.parametrize(
    ("name", "elements", "message"),
    [
        ("price", np.zeros(100_000), "holds 10 elements and then more, where 10 belong"),
        ("price", np.zeros(5), "holds 5 elements, where 10 belong"),
        ("price", np.zeros(10, np.int64), "pcodec can't decode it"),
        ("side", np.zeros(100_000, np.int8), "bytes become 100000"),
        ("side", np.zeros(5, np.int8), "bytes become 5"),
        ("note", np.zeros(1_000_000, np.uint8), "it holds 1000000 bytes"),
        ("note", np.zeros(1, np.uint8), "it holds 1 bytes"),
        ("venue", np.full(15, 2, np.int32), "codes from 2 to 2, where there are 2 labels"),
        ("venue", np.full(15, -2, np.int32), "codes from -2 to -2"),
    ],
)
def test_a_chunk_with_another_content_is_refused_though_its_checksums_are_right(damaged, name, elements, message):
    spec = next(spec for spec in SCHEMA.arrays() if spec.name == name)
    stored, checksum = encode_chunk(codec_for("dense", str(elements.dtype), payload=spec.is_payload), elements)

    def change(header, tables):
        length = int(tables[f"{name}:length"][0])
        key = damaged.key(f"{name}/0")
        damaged.objects[key] = stored + damaged.objects[key][length:]
        tables[f"{name}:length"][0], tables[f"{name}:crc32c"][0] = len(stored), checksum
        per_shard = next(entry.shard // entry.chunk for entry in header.arrays if entry.array == name)
        tables[f"{name}:offset"][1:per_shard] += len(stored) - length

    damaged.craft(change)
    with pytest.raises(Corrupt, match=message):
        damaged.read()


def test_rows_that_dont_add_up_to_their_bytes_are_refused(damaged):
    stored, checksum = encode_chunk(codec_for("dense", "uint32"), np.ones(15, np.uint32))

    def change(_, tables):
        key = damaged.key("note_count/0")
        damaged.objects[key] = stored + damaged.objects[key][int(tables["note_count:length"][0]) :]
        tables["note_count:length"][0], tables["note_count:crc32c"][0] = len(stored), checksum
        tables["note_count:offset"][1] = len(stored)

    damaged.craft(change)
    for rows in (None, (0, COUNT), (5, 20), (3, 4)):
        with pytest.raises(Corrupt, match="note_count"):
            damaged.read(rows=rows)


def test_a_document_or_size_that_differs_is_a_finding(damaged):
    key = damaged.key("price/zarr.json")
    damaged.objects[key] += b" "
    assert [text for text in damaged.verify(deep=False) if f"{key}: the digest is" in text]
    damaged = Damaged()
    damaged.objects[damaged.key("price/0")] += b"x"
    assert [text for text in damaged.verify(deep=False) if "price/0: it has" in text]
    entry = damaged.part.entry
    damaged = Damaged()
    wrong = msgspec.structs.replace(entry, bytes=entry.bytes + 1)
    assert [text for text in verify_segment(damaged.storage, damaged.part.prefix, wrong, SCHEMA, deep=False) if "the commit says" in text]


def test_values_that_differ_from_their_logical_digest_are_a_finding(damaged):
    damaged.craft(lambda header, tables: msgspec.structs.replace(header, digests=header.digests | {"price": header.digests["size"]}))
    assert damaged.verify(deep=False) == []
    assert [text for text in damaged.verify(deep=True) if "price: the logical digest is" in text]


def test_a_commit_that_tells_otherwise_than_the_index_is_refused(damaged):
    entry = damaged.part.entry
    for changes in ({"rows": COUNT - 1}, {"clocks": {}}, {"clocks": entry.clocks | {"time": (0, 1)}}, {"segment": "9-" + "0" * 32}):
        damaged.part = dataclasses.replace(damaged.part, entry=msgspec.structs.replace(entry, **changes))
        with pytest.raises(Corrupt, match="where the commit says"):
            damaged.read()


TAIL_CHANGES = {
    "no rows": {"rows": 0},
    "more rows": {"rows": COUNT + 1},
    "other clocks": {"clocks": {"time": (0, 1)}},
    "labels missing": {"labels": {}},
    "labels twice": {"labels": {"venue": ["a", "a"]}},
}


@pytest.mark.parametrize("changes", TAIL_CHANGES.values(), ids=TAIL_CHANGES)
def test_a_tail_that_contradicts_itself_is_refused(changes):
    tail, pieces = encode_tail(sample_rows(), 0)
    body = memoryview(b"".join(pieces))
    assert differences(decode_tail(tail, body, SCHEMA, "version 1"), sample_rows()) == []
    with pytest.raises(Corrupt, match="version 1: damaged tail"):
        decode_tail(msgspec.structs.replace(tail, **changes), body, SCHEMA, "version 1")


@pytest.mark.parametrize("name", ["time", "price", "note", "note_count", "venue", "exchange_time"])
def test_a_tail_whose_arrays_are_others_is_refused(name):
    tail, pieces = encode_tail(sample_rows(), 0)
    body = memoryview(b"".join(pieces))
    for arrays in (
        {key: ref for key, ref in tail.arrays.items() if key != name},
        tail.arrays | {name: msgspec.structs.replace(tail.arrays[name], dtype="<f4")},
        tail.arrays | {name: msgspec.structs.replace(tail.arrays[name], shape=(3,))},
        tail.arrays | {name: msgspec.structs.replace(tail.arrays[name], shape=(1 << 40,))},
        tail.arrays | {"other": tail.arrays[name]},
    ):
        with pytest.raises(Corrupt, match="version 1"):
            decode_tail(msgspec.structs.replace(tail, arrays=arrays), body, SCHEMA, "version 1")


def test_a_tail_without_rows_is_refused():
    tail, pieces = encode_tail(empty(SCHEMA), 0)
    with pytest.raises(Corrupt, match="it has no rows"):
        decode_tail(tail, memoryview(b"".join(pieces)), SCHEMA, "version 1")
