"""Rows are counted, sampled and cut by their number in reading order, as NumPy would of all rows, and no needless chunk is decoded."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arraystore.errors import InvalidInput
from arraystore.frames.rows import Rows, concat
from arraystore.segments import straight
from arraystore.segments.choice import Shape
from arraystore.segments.fetches import Fetch
from arraystore.segments.plan import NOTHING, Selection, run, runs_of
from arraystore.segments.reader import choose
from arraystore.segments.runreads import read_run
from arraystore.storage.memory import MemoryStorage
from arraystore.testing.parts import segment_part
from arraystore.testing.selecting import drawn_selections, histories, in_reading_order, selected, with_levels, write
from arraystore.testing.strategies import differences, small_chunks
from layouts.schema import Column, Schema

budgets = st.tuples(st.integers(1, 600), st.integers(1, 600), st.integers(1, 3000))
profiles = st.sampled_from(("dense", "portable"))
positions = st.sets(st.integers(0, 60)).map(lambda found: np.array(sorted(found), np.int64))


@given(positions, st.integers(0, 70), st.integers(0, 70), st.integers(1, 9))
def test_runs_are_cut_and_sampled_as_a_slice_of_their_positions(chosen, start, stop, step):
    found = runs_of(chosen).every(start, min(stop, len(chosen)), step)
    wanted = chosen[start:stop:step]
    assert found.positions().tolist() == wanted.tolist() == found.spelled().positions().tolist()
    assert found.count == len(wanted)
    assert np.arange(70)[found.indices()].tolist() == wanted.tolist()
    assert found.nth(np.arange(len(wanted))).tolist() == wanted.tolist()
    borders = np.arange(0, 75, 7)
    assert found.counts_before(borders).tolist() == [int((wanted < border).sum()) for border in borders]


def test_nothing_is_cut_into_nothing():
    assert NOTHING.every(0, 0, 2) is NOTHING
    assert run(3, 9).every(2, 2, 1) is NOTHING


@given(histories(), budgets, profiles, st.integers(0, 4), st.sampled_from((1, 2)), st.data())
def test_any_selection_loads_what_numpy_takes_of_all_rows(history, sizes, profile, tails, threads, data):
    storage, schema = MemoryStorage(), history[0]
    parts = write(storage, history, sizes, profile, tails)
    whole = in_reading_order(history)
    selection = data.draw(drawn_selections(schema, whole.count))
    columns = frozenset(data.draw(st.sets(st.sampled_from(schema.names), min_size=1)))
    levels = (
        data.draw(st.sampled_from((None, slice(0, 1), slice(1, 3), slice(2, 3)))) if any(c.levels == 3 for c in schema.columns) else None
    )
    wanted = with_levels(selected(whole, selection).project(columns), levels)

    choice = choose(storage, parts, schema, selection, threads)
    shape = Shape(columns=columns, levels=levels, threads=threads)
    assert choice.count == wanted.count
    assert differences(choice.load(shape), wanted) == []

    out = {}
    for column in wanted.schema.columns:
        if not column.is_ragged and data.draw(st.booleans()):
            inner = () if column.levels is None else (column.levels,)
            out[column.name] = np.full((wanted.count + data.draw(st.integers(0, 3)), *inner), 7).astype(column.dtype)
    placed = choice.load(replace(shape, out=out))
    assert differences(placed, wanted) == []
    assert all(np.shares_memory(placed.arrays[name], array) for name, array in out.items() if wanted.count)


def test_what_is_looked_into_is_held_a_few_chunks_at_a_time(monkeypatch):
    monkeypatch.setattr("arraystore.segments.reader.CHUNKS_AT_ONCE", 2)
    schema = Schema(name="s", columns=(Column(name="time", kind="time"), Column(name="who", kind="dictionary")))
    codes = (np.arange(500) % 3).astype(np.int32)
    rows = Rows(schema=schema, count=500, arrays={"time": np.arange(500), "who": codes}, labels={"who": ("a", "b", "c")})
    storage = MemoryStorage()
    with small_chunks(80, 80, 1 << 20):
        part = segment_part(storage, rows)
    choice = choose(storage, [part], schema, Selection(labels=("who", frozenset("b")), start=100), 2)
    assert not [name for name, _ in choice.sources[0].decoded if name == "who"]
    assert choice.load(Shape(columns=frozenset(schema.names))).arrays["time"].tolist() == [
        time for time in range(100, 500) if time % 3 == 1
    ]


@given(histories(), budgets, st.integers(0, 4), st.integers(1, 5), st.integers(1, 5000), st.data())
def test_pieces_follow_each_other_and_fit(history, sizes, tails, step, memory, data):
    storage, schema = MemoryStorage(), history[0]
    parts = write(storage, history, sizes, "dense", tails)
    whole = in_reading_order(history)
    selection = data.draw(drawn_selections(schema, whole.count, every=1))
    columns = frozenset(data.draw(st.sets(st.sampled_from(schema.names), min_size=1)))
    start = data.draw(st.integers(0, 10))
    wanted = selected(whole, selection).take(np.arange(start, selected(whole, selection).count, step)).project(columns)
    shape = Shape(columns=columns, memory=memory, threads=1)
    pieces = list(choose(storage, parts, schema, selection, 1).pieces(shape, start, step))
    assert all(piece.count == 1 or (piece.count and piece.needs(shape) <= memory) for piece in pieces)
    loaded = [piece.load(replace(shape, memory=None)) for piece in pieces]
    assert sum(rows.count for rows in loaded) == wanted.count
    if loaded:
        assert differences(concat(loaded, wanted.schema), wanted) == []


SCHEMA = Schema(name="book", columns=(Column(name="time", kind="time"), Column(name="mark", dtype="int64"), Column(name="bid", levels=4)))


def book(times, first=0):
    marks = np.arange(first, first + len(times))
    arrays = {"time": np.asarray(times, np.int64), "mark": marks, "bid": marks[:, None] + np.arange(4) / 4}
    return Rows(schema=SCHEMA, count=len(times), arrays=arrays)


@pytest.fixture
def decoded(monkeypatch):
    """The chunks that were decoded, by array."""
    found = {}
    takes = Fetch.takes

    def noted(fetch):
        taken = takes(fetch)
        found.setdefault(fetch.table.entry.array, []).extend(take.chunk for take in taken)
        return taken

    def noted_run(storage, prefix, table, span, out, finish=None, held=()):
        name, length = table.entry.array, table.entry.chunk
        chunks = range(span[0] // length, (span[1] - 1) // length + 1)
        found.setdefault(name, []).extend(chunk for chunk in chunks if (name, chunk) not in held)
        read_run(storage, prefix, table, span, out, finish, held)

    monkeypatch.setattr(Fetch, "takes", noted)
    monkeypatch.setattr(straight, "read_run", noted_run)
    return found


def segments(*times):
    """One segment per list of times, of chunks of ten rows."""
    storage = MemoryStorage()
    with small_chunks(80, 80, 1 << 20):
        first = np.cumsum([0, *map(len, times)])
        return storage, [segment_part(storage, book(each, first[number]), number) for number, each in enumerate(times)]


def test_a_sample_decodes_the_chunks_of_its_rows_only(decoded):
    storage, parts = segments(range(100))
    rows = choose(storage, parts, SCHEMA, Selection(every=25)).load(Shape(columns=frozenset(("mark",))))
    assert rows.arrays["mark"].tolist() == [0, 25, 50, 75]
    assert decoded == {"mark": [0, 2, 5, 7]}


def test_the_last_rows_of_one_part_decode_its_last_chunk_only(decoded):
    storage, parts = segments(range(100), range(100, 200))
    rows = choose(storage, parts, SCHEMA, Selection(rows=(195, 200))).load(Shape(columns=frozenset(("mark",))))
    assert rows.arrays["mark"].tolist() == [195, 196, 197, 198, 199]
    assert decoded == {"mark": [9]}


def test_the_last_rows_of_parts_that_overlap_decode_only_what_lies_late(decoded):
    even, odd = range(0, 2000, 2), range(1, 2001, 2)
    storage, parts = segments(even, odd)
    rows = choose(storage, parts, SCHEMA, Selection(rows=(1995, 2000))).load(Shape(columns=frozenset(("time",))))
    assert rows.arrays["time"].tolist() == [1995, 1996, 1997, 1998, 1999]
    assert set(decoded["time"]) == {99}
    decoded.clear()
    rows = choose(storage, parts, SCHEMA, Selection(rows=(1000, 1003))).load(Shape(columns=frozenset(("mark",))))
    assert rows.arrays["mark"].tolist() == [500, 1500, 501]
    assert set(decoded["time"]) <= {49, 50, 51}


def test_a_late_row_takes_its_place_among_the_last(decoded):
    storage, parts = segments(range(1000), [998])
    rows = choose(storage, parts, SCHEMA, Selection(rows=(998, 1001))).load(Shape(columns=frozenset(("mark",))))
    assert rows.arrays["mark"].tolist() == [998, 1000, 999]
    assert set(decoded["mark"]) == {99, 0}, "the first segment's last chunk, and the only one of the other"


def test_levels_are_loaded_into_arrays_of_their_size():
    storage, parts = segments(range(35))
    choice = choose(storage, parts, SCHEMA, Selection())
    shape = Shape(columns=frozenset(("bid",)), levels=slice(1, 3))
    assert choice.needs(shape) == 35 * 2 * 8
    rows = choice.load(shape)
    assert rows.arrays["bid"].tolist() == [[mark + 0.25, mark + 0.5] for mark in range(35)]
    assert rows.schema.column("bid").levels == 2


def test_too_much_for_the_memory_allowed_is_refused_before_anything_is_decoded(decoded):
    storage, parts = segments(range(100), range(50, 150))
    choice = choose(storage, parts, SCHEMA, Selection())
    with pytest.raises(InvalidInput, match=r"these 200 rows take \d+ bytes, more than 3000: read fewer columns .* scan\(\)"):
        choice.load(Shape(columns=frozenset(("mark",)), memory=3000))
    with pytest.raises(InvalidInput, match=r"there are 200 rows, and 'mark' has room for 199: pass longer arrays"):
        choice.load(Shape(columns=frozenset(("mark",)), out={"mark": np.zeros(199, np.int64)}))
    assert decoded == {}
    choice.load(Shape(columns=frozenset(("mark",)), memory=choice.needs(Shape(columns=frozenset(("mark",))))))
