"""What a segment and its index hold follows from the rows alone, whoever encodes them and however they are cut."""

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arraystore.digest import combine, crc32c
from arraystore.frames.rows import Rows, concat
from arraystore.segments.codec import CHECKSUM_BYTES, decode_chunk
from arraystore.segments.index import CODE_SET_LABELS, forget_indexes, load_index
from arraystore.segments.reader import read
from arraystore.segments.segment import write_segment
from arraystore.segments.segmentcheck import verify_segment
from arraystore.storage.memory import MemoryStorage
from arraystore.testing.parts import segment_part
from arraystore.testing.strategies import differences, rows_of, schemas, small_chunks
from layouts.schema import Column, Schema

budgets = st.tuples(st.integers(1, 600), st.integers(1, 600), st.integers(1, 3000))


@st.composite
def drawn_rows(draw, least=1, most=80):
    return draw(rows_of(draw(schemas()), least=least, most=most))


def index_of(storage, part):
    forget_indexes()
    return load_index(storage, part.prefix, part.entry, part.schema)


@given(drawn_rows(), budgets, st.sampled_from(("dense", "portable")))
def test_threads_dont_change_a_byte_and_all_bytes_are_accounted_for(rows, sizes, profile):
    one, two = MemoryStorage(), MemoryStorage()
    with small_chunks(*sizes):
        part = segment_part(one, rows, profile=profile, threads=1)
        segment_part(two, rows, profile=profile, threads=3)
    assert one._space.objects == two._space.objects
    assert part.entry.bytes == sum(map(len, one._space.objects.values()))
    assert verify_segment(one, part.prefix, part.entry, part.schema, deep=True, threads=1) == []


@given(drawn_rows(least=2), budgets, budgets, st.data())
def test_logical_digests_combine_and_dont_depend_on_chunks_or_codecs(rows, first, second, data):
    storage = MemoryStorage()
    cut = data.draw(st.integers(1, rows.count - 1))
    with small_chunks(*first):
        whole = index_of(storage, segment_part(storage, rows, 0))
        left = index_of(storage, segment_part(storage, rows.slice(0, cut), 1, profile="portable"))
    with small_chunks(*second):
        right = index_of(storage, segment_part(storage, rows.slice(cut, rows.count), 2))
    assert whole.digests == {name: combine((left.digests[name], right.digests[name])) for name in whole.digests}


@given(drawn_rows(), budgets)
def test_the_index_tells_of_each_chunk_what_it_holds(rows, sizes):
    storage = MemoryStorage()
    with small_chunks(*sizes):
        part = segment_part(storage, rows)
    index = index_of(storage, part)
    for name, table in index.tables.items():
        values = rows.arrays[name]
        chunks = [values[start : start + table.entry.chunk] for start in range(0, len(values), table.entry.chunk)]
        assert len(chunks) == table.count
        for shard, numbers in enumerate(table.shards()):
            data = storage.get(f"{part.prefix}/{table.object_name(shard)}")
            for number in numbers:
                stored = data[int(table.offset[number]) :][: int(table.length[number])]
                assert crc32c(stored[:-CHECKSUM_BYTES]) == table.crc32c[number] == int.from_bytes(stored[-CHECKSUM_BYTES:], "little")
    for clock, (low, high) in index.bounds.items():
        valid = rows.validity(clock)
        valid = np.ones(rows.count, bool) if valid is None else valid
        times = [rows.arrays[clock][start:stop][valid[start:stop]] for start, stop in spans(index, clock, rows)]
        told = [(int(least), int(most)) for least, most in zip(low, high, strict=True) if least <= most]
        assert told == [(each.min(), each.max()) for each in times if len(each)]
    for column, first in index.elements.items():
        counts = rows.arrays[f"{column}_count"]
        assert first.tolist() == [0, *(int(counts[:stop].sum()) for _, stop in spans(index, f"{column}_count", rows))]
    for column, sets in index.codes.items():
        codes = rows.tidy().arrays[column]
        found = [set(np.flatnonzero(np.unpackbits(bits, bitorder="little")).tolist()) for bits in sets]
        assert found == [set(codes[start:stop].tolist()) - {-1} for start, stop in spans(index, column, rows)]


def spans(index, array, rows):
    return list(pairwise([*range(0, rows.count, index.tables[array].entry.chunk), rows.count]))


def test_what_is_null_or_valid_throughout_has_no_array():
    columns = (Column(name="time", kind="time"), Column(name="gone", nullable=True), Column(name="full", nullable=True))
    arrays = {"time": np.arange(2), "gone": np.full(2, np.nan), "full": np.ones(2)}
    validity = {"gone_valid": np.zeros(2, bool), "full_valid": np.ones(2, bool)}
    rows = Rows(schema=Schema(name="s", columns=columns), count=2, arrays=arrays | validity)
    storage = MemoryStorage()
    part = segment_part(storage, rows)
    assert set(storage.list(part.prefix).prefixes) == {"time", "full"}
    assert differences(read(storage, [part], rows.schema), rows) == []


def test_the_entry_names_the_span_of_every_clock_that_has_valid_times():
    columns = (
        Column(name="time", kind="time"),
        *(Column(name=name, kind="time", clock="other", nullable=True) for name in ("some", "none")),
        Column(name="no_clock", kind="time"),
    )
    times = np.array([5, 9, 7])
    some = {"some": np.array([np.iinfo(np.int64).min, 3, 4]), "some_valid": np.array([False, True, True])}
    schema = Schema(name="s", order="arrival", columns=columns)
    entry = segment_part(MemoryStorage(), Rows(schema=schema, count=3, arrays={"time": times, "no_clock": times, **some})).entry
    assert entry.clocks == {"time": (5, 9), "some": (3, 4)}
    assert (entry.rows, entry.schema) == (3, 0)


def test_a_last_chunk_that_isnt_full_repeats_its_last_element():
    rows = Rows(schema=Schema(name="s", columns=(Column(name="time", kind="time"),)), count=7, arrays={"time": np.arange(7)})
    storage = MemoryStorage()
    with small_chunks(40, 40, 80):
        part = segment_part(storage, rows)
    table = index_of(storage, part).tables["time"]
    assert (table.entry.chunk, table.entry.shard, table.count) == (4, 8, 2)
    stored = storage.get(f"{part.prefix}/time/0")[int(table.offset[1]) :][: int(table.length[1])]
    out = np.empty(4, np.int64)
    decode_chunk("pcodec", stored, int(table.crc32c[1]), out)
    assert out.tolist() == [4, 5, 6, 6]


def test_many_labels_have_no_code_sets():
    schema = Schema(name="s", columns=(Column(name="time", kind="time"), Column(name="name", kind="dictionary")))
    storage = MemoryStorage()
    for count in (CODE_SET_LABELS, CODE_SET_LABELS + 1):
        labels = {"name": tuple(map(str, range(count)))}
        rows = Rows(schema=schema, count=count, arrays={"time": np.arange(count), "name": np.arange(count, dtype=np.int32)}, labels=labels)
        part = segment_part(storage, rows, count)
        assert ("name" in index_of(storage, part).codes) == (count == CODE_SET_LABELS)
        assert differences(read(storage, [part], schema), rows) == []


def test_a_chunk_is_about_256_kib_and_a_payload_chunk_a_mebibyte():
    schema = Schema(name="s", columns=(Column(name="time", kind="time"), Column(name="payload", kind="bytes")))
    count = 100_000
    arrays = {"time": np.arange(count), "payload": np.zeros(count * 40, np.uint8), "payload_count": np.full(count, 40, np.uint32)}
    storage = MemoryStorage()
    index = index_of(storage, segment_part(storage, Rows(schema=schema, count=count, arrays=arrays), threads=None))
    assert {name: table.entry.chunk for name, table in index.tables.items()} == {
        "time": 25_000,
        "payload": 1_000_000,
        "payload_count": 50_000,
    }


def test_a_segment_tells_its_schema_to_whoever_opens_it():
    rows = Rows(schema=Schema(name="s", columns=(Column(name="time", kind="time"),)), count=1, arrays={"time": np.arange(1)})
    storage = MemoryStorage()
    part = segment_part(storage, rows)
    document = json.loads(storage.get(f"{part.prefix}/zarr.json"))
    assert document["attributes"]["Conventions"] == "CF-1.11"
    told = document["attributes"]["arraystore"]
    assert (told["format"], told["segment"], told["schema"]["name"]) == (1, part.entry.segment, "s")


class CountingBatch:
    """A batch that looks at how far encoding runs ahead of writing."""

    def __init__(self):
        self.stored = 0

    def put(self, key, data):
        pieces = [data] if isinstance(data, bytes) else data
        size = sum(map(len, pieces))
        self.stored += size
        return size


class FullBatch(CountingBatch):
    def put(self, key, data):
        if key.endswith("price/0"):
            next(iter(data))
            raise OSError("no space left")
        return super().put(key, data)


def test_an_error_of_the_medium_ends_the_write():
    schema = Schema(name="s", columns=(Column(name="time", kind="time"), Column(name="price")))
    rows = Rows(schema=schema, count=100_000, arrays={"time": np.arange(100_000), "price": np.random.default_rng(0).normal(size=100_000)})
    with pytest.raises(OSError, match="no space left"):
        write_segment(FullBatch(), "here", "0-" + "0" * 32, rows, schema_number=0, profile="dense", threads=2)
    assert write_segment(CountingBatch(), "here", "0-" + "0" * 32, rows, schema_number=0, profile="dense", threads=2).rows == 100_000


def test_segments_read_together_are_their_concatenation():
    schema = Schema(name="s", columns=(Column(name="time", kind="time"), Column(name="venue", kind="dictionary", nullable=True)))
    pieces = []
    for labels, listed in ((("a", "b"), [0, 1, -1]), (("c", "b"), [1, 0, 1]), (("b",), [-1, 0, 0])):
        base = len(pieces) * 10
        codes = np.array(listed, np.int32)
        arrays = {"time": base + np.arange(3), "venue": codes, "venue_valid": codes >= 0}
        pieces.append(Rows(schema=schema, count=3, arrays=arrays, labels={"venue": labels}))
    storage = MemoryStorage()
    found = read(storage, [segment_part(storage, rows, number) for number, rows in enumerate(pieces)], schema)
    assert differences(found, concat(pieces)) == []
    assert found.labels["venue"] == ("a", "b", "c")
    assert found.arrays["venue"].tolist() == [0, 1, -1, 1, 2, 1, -1, 1, 1]
