"""What is read the short way is what is read the long way: any range of clocks that step back as they like, of columns of every kind."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arraystore.errors import Corrupt
from arraystore.frames.rows import Rows
from arraystore.segments import choice, reader, straight
from arraystore.segments.plan import Selection
from arraystore.storage.memory import MemoryStorage
from arraystore.testing.parts import segment_part
from arraystore.testing.strategies import differences, small_chunks
from layouts.schema import Column, Schema

SCHEMA = Schema(
    name="straight",
    order="arrival",
    columns=(
        Column(name="time", kind="time"),
        Column(name="other_time", kind="time", clock="exchange"),
        Column(name="price"),
        Column(name="side", kind="vocabulary", vocabulary=(("buy", 1), ("sell", -1))),
        Column(name="venue", kind="dictionary"),
        Column(name="depth", dtype="int16", levels=3),
        Column(name="is_late", dtype="bool", nullable=True),
        Column(name="never", nullable=True),
    ),
)
ROWS_OF_A_CHUNK = 4
walks = st.lists(st.integers(-3, 3) | st.integers(0, 3), min_size=1, max_size=20)
moments = st.none() | st.integers(-1, 16)


def rows_at(steps):
    times, count = np.maximum(np.cumsum(steps), 0), len(steps)
    ordinals = np.arange(count)
    arrays = {
        "time": times,
        "other_time": 16 - times,
        "price": ordinals / 8,
        "side": np.where(ordinals % 3, 1, -1).astype(np.int8),
        "venue": (ordinals % 2).astype(np.int32),
        "depth": (ordinals[:, None] + np.arange(3)).astype(np.int16),
        "is_late": (ordinals % 5 == 0) & (ordinals % 2 == 0),
        "is_late_valid": ordinals % 2 == 0,
    }
    return Rows(schema=SCHEMA, count=count, arrays=arrays, labels={"venue": ("here", "there")})


def written(rows):
    storage = MemoryStorage()
    with small_chunks(8 * ROWS_OF_A_CHUNK, 8 * ROWS_OF_A_CHUNK, 1 << 20):
        return storage, [segment_part(storage, rows, 0)]


@settings(max_examples=150)
@given(walks, moments, moments, st.sampled_from(("time", "other_time")), st.sets(st.sampled_from(SCHEMA.names), min_size=1))
def test_a_range_of_any_clock_is_what_numpy_selects(steps, start, stop, clock, columns):
    rows = rows_at(steps)
    storage, parts = written(rows)
    times = rows.arrays[clock]
    mask = np.ones(rows.count, np.bool_) if start is None else times >= start
    mask &= True if stop is None else times < stop
    found = reader.read(storage, parts, SCHEMA, Selection(start=start, stop=stop, clock=clock), columns)
    assert differences(found, rows.take(np.flatnonzero(mask)).project(columns)) == []


@pytest.mark.parametrize(
    "times",
    [
        [5, 0, 5, 9],
        [5, 5, 5, 5, 0, 0, 0, 0, 5, 5, 5, 5],
        [0, 5, 5, 5, 5, 1, 5, 5, 5, 5, 5, 9],
        [0, 5, 5, 5, 5, 5, 9, 5, 5, 5, 5, 9],
        [0, 5, 5, 0, 5, 5, 5, 9],
        [0, 5, 5, 5, 9, 5, 5, 9],
        [5, 5, 5, 5, 5, 5, 5, 5, 5],
        [0, 0, 0, 0, 9, 9, 9, 9],
    ],
)
def test_a_range_with_holes_is_read_without_what_lies_in_them(times):
    rows = rows_at(np.diff(times, prepend=0))
    storage, parts = written(rows)
    found = reader.read(storage, parts, SCHEMA, Selection(start=3, stop=8))
    assert differences(found, rows.take(np.flatnonzero((rows.arrays["time"] >= 3) & (rows.arrays["time"] < 8)))) == []


@given(walks, moments, moments)
def test_both_ways_give_the_same(steps, start, stop):
    rows = rows_at(steps)
    storage, parts = written(rows)
    selection = Selection(start=start, stop=stop, clock="time")
    short = reader.read(storage, parts, SCHEMA, selection)
    with mock.patch.object(choice, "load_straight", return_value=None), mock.patch.object(reader, "range_straight", return_value=None):
        long = reader.read(storage, parts, SCHEMA, selection)
    assert short.arrays.keys() == long.arrays.keys()
    assert short.labels == long.labels
    assert differences(short, long) == []


@pytest.mark.parametrize("start", [0, 1, 13, 40])
def test_the_short_way_is_taken_and_looks_into_two_chunks_at_most(start):
    rows = rows_at([1] * 50)
    storage, parts = written(rows)
    looked = []
    read_run = straight.read_run

    def noted(*arguments):
        looked.append(arguments[2].entry.array)
        read_run(*arguments)

    with mock.patch.object(straight, "read_run", noted):
        found = reader.read(storage, parts, SCHEMA, Selection(start=start, stop=start + 9), ["price"])
    assert found.count == 9 if start else 8
    assert looked.count("time") <= 2
    assert looked.count("price") == 1


@pytest.mark.parametrize("array", ["time", "price", "side", "is_late_valid"])
def test_a_flipped_bit_in_any_chunk_that_is_read_is_an_error(array):
    storage, parts = written(rows_at([1] * 50))
    key = f"{parts[0].prefix}/{array}/0"
    data = storage.get(key)
    for place in range(0, len(data) - 16, 7):
        storage.put(key, data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :], durable=True)
        chunks = np.cumsum([0, *reader.open_sources(storage, parts)[0].index.tables[array].length])
        if place < chunks[-1]:
            with pytest.raises(Corrupt, match=f"{array}/0: chunk {np.searchsorted(chunks, place, side='right') - 1} is damaged"):
                reader.read(storage, parts, SCHEMA)
    storage.put(key, data[: len(data) // 3], durable=True)
    with pytest.raises(Corrupt, match="the object ends after"):
        reader.read(storage, parts, SCHEMA)
    storage.delete(key)
    with pytest.raises(Corrupt, match=f"{array}/0: the object is missing"):
        reader.read(storage, parts, SCHEMA)
