"""Rows of a few instruments are found without reading the chunks of others."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arraystore.errors import Corrupt
from arraystore.frames.rows import Rows, concat
from arraystore.segments import index
from arraystore.segments.plan import Selection, chunks_met, intersect_runs, runs_of
from arraystore.segments.reader import read
from arraystore.storage.memory import MemoryStorage
from arraystore.testing.parts import segment_part, tail_part
from arraystore.testing.strategies import LABELS, START, differences, rows_of, schemas, small_chunks
from layouts.schema import Column, Kind, Order, Schema

positions = st.sets(st.integers(0, 60)).map(lambda found: np.array(sorted(found), np.int64))


@given(positions, positions)
def test_runs_intersect_as_sets_do(left, right):
    both = intersect_runs(runs_of(left), runs_of(right))
    assert both.positions().tolist() == sorted(set(left.tolist()) & set(right.tolist()))
    assert bool((both.starts < both.stops).all())


@given(positions, positions, st.integers(1, 20))
def test_chunks_are_met_where_they_hold_a_position(chosen, chunks, length):
    held = {position // length for position in chosen.tolist()}
    assert chunks_met(chunks, runs_of(chosen), length) == [chunk for chunk in chunks.tolist() if chunk in held]


@st.composite
def histories(draw):
    """A schema with a dictionary column, and the rows of several parts, in time order where the schema is."""
    schema = draw(schemas().filter(lambda found: any(column.kind is Kind.DICTIONARY for column in found.columns)))
    parts = draw(st.lists(rows_of(schema, least=1, most=120), min_size=1, max_size=4))
    if schema.order is Order.TIME:
        parts = [rows.take(np.argsort(rows.arrays["time"], kind="stable")) for rows in parts]
    return schema, parts


def expected(schema, parts, column, labels, start, stop):
    """The model: all rows, sorted if due, of which a mask is taken."""
    rows = concat(parts, schema)
    if schema.order is Order.TIME:
        rows = rows.take(np.argsort(rows.arrays["time"], kind="stable"))
    names = np.array([*rows.labels.get(column, ()), None], object)
    codes = rows.arrays.get(column, np.full(rows.count, -1))
    times = rows.arrays["time"]
    mask = np.isin(names[codes], list(labels)) if labels else np.zeros(rows.count, bool)
    mask &= (times >= start) if start is not None else True
    mask &= (times < stop) if stop is not None else True
    return rows.take(np.flatnonzero(mask))


budgets = st.tuples(st.integers(1, 600), st.integers(1, 600), st.integers(1, 3000))


@given(histories(), budgets, st.integers(0, 4), st.booleans(), st.data())
def test_rows_with_one_of_the_labels_read_in_order_also_within_a_time_range(history, sizes, tails, many_labels, data):
    schema, parts = history
    column = data.draw(st.sampled_from([each.name for each in schema.columns if each.kind is Kind.DICTIONARY]))
    labels = data.draw(st.frozensets(st.sampled_from((*LABELS, "unheard of"))))
    bound = st.one_of(st.none(), st.integers(START - 70, START + 700))
    start, stop = data.draw(bound), data.draw(bound)
    columns = data.draw(st.one_of(st.none(), st.sets(st.sampled_from(schema.names), min_size=1)))
    storage = MemoryStorage()
    with small_chunks(*sizes), pytest.MonkeyPatch.context() as patch:
        if many_labels:
            patch.setattr("arraystore.segments.segment.CODE_SET_LABELS", 0)
            patch.setattr(index, "CODE_SET_LABELS", 0)
        written = [
            tail_part(rows, number) if number >= len(parts) - tails else segment_part(storage, rows, number)
            for number, rows in enumerate(parts)
        ]
        found = read(storage, written, schema, Selection(start=start, stop=stop, labels=(column, labels)), columns, threads=1)
    wanted = expected(schema, parts, column, labels, start, stop).project(schema.names if columns is None else columns)
    assert differences(found, wanted) == []


SCHEMA = Schema(
    name="ticks",
    order="arrival",
    columns=(Column(name="time", kind="time"), Column(name="instrument", kind="dictionary"), Column(name="mark", dtype="int64")),
)


def ticks(codes, labels, first=0):
    """Rows a nanosecond apart, told apart by their mark."""
    marks = np.arange(first, first + len(codes))
    arrays = {"time": marks.copy(), "instrument": np.asarray(codes, np.int32), "mark": marks}
    return Rows(schema=SCHEMA, count=len(codes), arrays=arrays, labels={"instrument": labels})


class Watched(MemoryStorage):
    """Remembers which bytes of which object were asked for."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def get_ranges(self, key, ranges):
        self.asked += [(key, start, stop) for start, stop in ranges if not key.endswith("/_index")]
        return super().get_ranges(key, ranges)


def read_of(codes, labels, wanted, *, columns=("instrument", "mark"), **times):
    """The marks that are found in a segment of chunks of ten rows, and the chunks that were fetched for it, by array."""
    storage = Watched()
    with small_chunks(10 * 8, 1000, 1 << 20):
        part = segment_part(storage, ticks(codes, labels))
    frame = read(storage, [part], SCHEMA, Selection(labels=("instrument", frozenset(wanted)), **times), columns, threads=1)
    tables = index.load_index(storage, part.prefix, part.entry, part.schema).tables
    fetched = {}
    for key, start, stop in storage.asked:
        name = key.split("/")[-2]
        table = tables[name]
        fetched.setdefault(name, set()).update(np.flatnonzero((table.offset >= start) & (table.offset < stop)).tolist())
    return frame.arrays["mark"].tolist(), fetched


def test_chunks_without_the_instrument_are_not_read():
    # chunks of codes hold 20 rows, of marks 10
    codes = np.zeros(200, np.int32)
    codes[[45, 47, 130]] = 1
    marks, fetched = read_of(codes, ("BTC", "ETH"), ["ETH"])
    assert marks == [45, 47, 130]
    assert fetched == {"instrument": {2, 6}, "mark": {4, 13}}


def test_chunks_of_the_instrument_alone_need_no_look_at_its_column():
    codes = np.repeat([0, 1, 2], [60, 80, 60])
    marks, fetched = read_of(codes, ("BTC", "ETH", "SOL"), ["ETH"], columns=["mark"])
    assert marks == list(range(60, 140))
    assert fetched == {"mark": set(range(6, 14))}


def test_a_time_range_and_an_instrument_narrow_each_other():
    codes = np.tile([0, 1], 100)
    codes[100:] = 0
    marks, fetched = read_of(codes, ("BTC", "ETH"), ["ETH"], start=85, stop=150)
    assert marks == [85, 87, 89, 91, 93, 95, 97, 99]
    assert fetched == {"time": {8}, "instrument": {4}, "mark": {8, 9}}


def test_a_segment_that_knows_none_of_the_instruments_costs_its_index_only():
    assert read_of(np.zeros(50, np.int32), ("BTC",), ["DOGE", "ETH"], start=3) == ([], {})
    assert read_of(np.zeros(50, np.int32), ("BTC",), []) == ([], {})


def test_labels_of_several_segments_are_matched_by_name_not_by_code():
    storage = MemoryStorage()
    parts = [
        segment_part(storage, ticks([0, 1, 0], ("BTC", "ETH")), 0),
        segment_part(storage, ticks([0, 1, 0], ("ETH", "BTC"), 3), 1),
        tail_part(ticks([0, 1, 0], ("SOL", "ETH"), 6), 2),
    ]
    found = read(storage, parts, SCHEMA, Selection(labels=("instrument", frozenset({"ETH"}))))
    assert found.arrays["mark"].tolist() == [1, 3, 5, 7]
    assert {found.labels["instrument"][code] for code in found.arrays["instrument"].tolist()} == {"ETH"}


def test_a_null_among_rows_of_one_label_has_none():
    schema = Schema(name="s", order="arrival", columns=(SCHEMA.columns[0], Column(name="instrument", kind="dictionary", nullable=True)))
    valid = np.array([True, False, True])
    arrays = {"time": np.arange(3), "instrument": np.array([0, -1, 0], np.int32), "instrument_valid": valid}
    rows = Rows(schema=schema, count=3, arrays=arrays, labels={"instrument": ("BTC",)})
    storage = MemoryStorage()
    for part in (segment_part(storage, rows), tail_part(rows)):
        found = read(storage, [part], schema, Selection(labels=("instrument", frozenset({"BTC"}))))
        assert found.arrays["time"].tolist() == [0, 2]


def test_a_code_without_a_label_is_damage_also_where_it_is_only_looked_at(monkeypatch):
    storage = MemoryStorage()
    part = segment_part(storage, ticks([0, 1, 0], ("BTC", "ETH")))
    monkeypatch.setattr("arraystore.segments.chunkreads.decode_chunk", lambda *_, **__: _[3].fill(7))
    with pytest.raises(Corrupt, match="instrument/0: chunk 0 is damaged: it has codes from 7 to 7, where there are 2 labels"):
        read(storage, [part], SCHEMA, Selection(labels=("instrument", frozenset({"ETH"}))), ["mark"])
