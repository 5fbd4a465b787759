"""Parts of a window become one segment with the very rows in the very order they are read in; or nothing, if anything differs."""

from unittest import mock

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arraystore.datasets import joining
from arraystore.datasets.joining import Joined
from arraystore.digest import LogicalDigest
from arraystore.errors import Corrupt
from arraystore.frames.intake import rows_from
from arraystore.frames.rows import Rows, concat
from arraystore.segments.plan import Part
from arraystore.segments.reader import read
from arraystore.segments.segment import new_name, write_contents
from arraystore.segments.segmentcheck import verify_segment
from arraystore.storage.memory import MemoryStorage
from arraystore.testing.parts import segment_part, tail_part
from arraystore.testing.strategies import differences, rows_of, schemas, small_chunks
from layouts import schema_by_name
from layouts.schema import Column, Kind, Order, Schema
from tests.store.conftest import START
from tests.store.conftest import rows as trades

budgets = st.tuples(st.integers(1, 600), st.integers(1, 600), st.integers(1, 3000))


@st.composite
def evolving_histories(draw):
    """A schema, and rows of several parts, some of them of an earlier form of it: without a column, or with narrower ones."""
    schema = draw(schemas())
    narrower = {"float64": "float32", "int64": "int16", "uint32": "uint8"}
    earlier = msgspec.structs.replace(
        schema,
        columns=tuple(
            msgspec.structs.replace(column, dtype=narrower.get(column.dtype, column.dtype)) if column.kind == "number" else column
            for column in schema.columns
            if column.name == schema.axis or not column.nullable or draw(st.booleans())
        ),
    )
    pieces = [draw(rows_of(draw(st.sampled_from((earlier, schema))), least=1, most=80)) for _ in range(draw(st.integers(1, 6)))]
    if schema.order is Order.TIME:
        pieces = [rows.take(np.argsort(rows.arrays["time"], kind="stable")) for rows in pieces]
    return schema, pieces


def parts_of(storage, pieces, tails):
    return [
        tail_part(rows, number) if number >= len(pieces) - tails else segment_part(storage, rows, number)
        for number, rows in enumerate(pieces)
    ]


def join(storage, parts, schema):
    joined = Joined(storage, parts, schema, threads=1)
    name = new_name(7)
    with storage.batch() as batch:
        entry, index = write_contents(batch, name, name, joined, schema_number=0, profile="dense", threads=1)
    joined.prove(index)
    assert verify_segment(storage, name, entry, schema, deep=True) == []
    return Part(prefix=name, entry=entry, rows=None, schema=schema)


@settings(max_examples=15)
@given(evolving_histories(), budgets, st.integers(0, 6), st.sampled_from((1, 200, 3000, 1 << 24)))
def test_the_joined_segment_is_what_reading_the_parts_gave(history, sizes, tails, slice_bytes):
    schema, pieces = history
    storage = MemoryStorage()
    rows = concat(pieces, schema)
    if schema.order is Order.TIME:
        rows = rows.take(np.argsort(rows.arrays["time"], kind="stable"))
    with small_chunks(*sizes), mock.patch.object(joining, "SLICE_BYTES", slice_bytes):
        parts = parts_of(storage, pieces, tails)
        joined = join(storage, parts, schema)
    assert differences(read(storage, parts, schema), rows) == []
    assert differences(read(storage, [joined], schema), rows) == []


def test_parts_that_alternate_without_a_merge_are_proved_too():
    """Cut at the moment 2, the slices are in order as they come: the first part's 1, the second's, and the first's 2."""
    schema = Schema(name="times", order="time", columns=(Column(name="time", kind=Kind.TIME),))
    times = ([1, 2], [1])
    pieces = [Rows(schema=schema, count=len(each), arrays={"time": START + np.array(each)}, labels={}) for each in times]
    storage = MemoryStorage()
    with small_chunks(1, 1, 1), mock.patch.object(joining, "SLICE_BYTES", 1):
        joined = join(storage, parts_of(storage, pieces, 0), schema)
    assert read(storage, [joined], schema).arrays["time"].tolist() == [START + 1, START + 1, START + 2]


@settings(max_examples=8)
@given(evolving_histories(), st.data())
def test_it_is_stored_as_if_it_had_been_written_at_once(history, data):
    """No needless array, no needless label, the same chunks: byte for byte, but for the order of labels."""
    schema, pieces = history
    storage = MemoryStorage()
    parts = parts_of(storage, pieces, data.draw(st.integers(0, 3)))
    joined = join(storage, parts, schema)
    whole = segment_part(storage, read(storage, parts, schema), 99)
    assert (joined.entry.rows, joined.entry.clocks) == (whole.entry.rows, whole.entry.clocks)
    same_name = abs(len(joined.entry.segment) - len(whole.entry.segment))
    assert abs(joined.entry.bytes - whole.entry.bytes) <= 64 + 2 * same_name


@pytest.mark.parametrize("order", ["arrival", "time"])
def test_a_row_that_comes_out_otherwise_is_found(order):
    """Whatever goes wrong between the sources and the segment, nothing of it is ever published."""
    schema = msgspec.structs.replace(schema_by_name("trades"), order=order)
    storage = MemoryStorage()
    parts = [segment_part(storage, rows_from(trades(50, first=first), schema), first) for first in (0, 25)]

    def spoilt(self, each, rows):
        found = true(self, each, rows)
        for name in found.arrays:
            if name == "size":
                found.arrays[name] = np.roll(found.arrays[name], 1)
        return found

    true = Joined._ordered
    with mock.patch.object(Joined, "_ordered", spoilt), pytest.raises(Corrupt, match=r"'size'.*nothing was published"):
        join(storage, parts, schema)
    with mock.patch.object(Joined, "_digest_of", return_value=LogicalDigest()), pytest.raises(Corrupt, match="nothing was published"):
        join(storage, parts, schema)


def test_a_damaged_source_is_not_compacted_away():
    schema = schema_by_name("trades")
    storage = MemoryStorage()
    parts = [segment_part(storage, rows_from(trades(50, first=first), schema), first) for first in (0, 50)]
    key = f"{parts[0].prefix}/size/0"
    data = bytearray(storage.get(key))
    data[3] ^= 1
    storage.put(key, bytes(data), durable=True)
    with pytest.raises(Corrupt, match="size/0"):
        join(storage, parts, schema)
