"""Whatever is written as segments and tails reads back: every byte, any selection, in the right order."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arraystore.errors import InvalidInput
from arraystore.frames.rows import Rows, concat, empty
from arraystore.segments.reader import Selection, read
from arraystore.storage.memory import MemoryStorage
from arraystore.testing.parts import segment_part, tail_part
from arraystore.testing.selecting import histories, in_reading_order, write
from arraystore.testing.strategies import differences
from layouts.schema import Column, Schema

budgets = st.tuples(st.integers(1, 600), st.integers(1, 600), st.integers(1, 3000))
profiles = st.sampled_from(("dense", "portable"))


@given(histories(), budgets, profiles, st.integers(0, 4), st.sampled_from((1, 2)))
def test_all_rows_read_back_bit_for_bit_in_order(history, sizes, profile, tails, threads):
    storage = MemoryStorage()
    parts = write(storage, history, sizes, profile, tails)
    found = read(storage, parts, history[0], threads=threads)
    assert differences(found, in_reading_order(history)) == []


def rows_at(times, schema=None, **columns):
    """Rows of an axis and of numbers that tell the rows apart."""
    schema = schema or Schema(name="small", columns=(Column(name="time", kind="time"), *(Column(name=name) for name in columns)))
    arrays = {name: np.asarray(values, schema.column(name).dtype) for name, values in columns.items()}
    return Rows(schema=schema, count=len(times), arrays={"time": np.asarray(times, np.int64), **arrays})


def marks_read(*pieces, **selection):
    """What `mark` reads as, when each piece is a segment of its own."""
    storage = MemoryStorage()
    parts = [segment_part(storage, rows, number) for number, rows in enumerate(pieces)]
    return read(storage, parts, pieces[0].schema, Selection(**selection)).arrays["mark"].tolist()


def test_rows_of_the_same_time_read_by_order_key_then_row():
    first, second = rows_at([10, 20, 20], mark=[0, 1, 2]), rows_at([5, 20, 30], mark=[3, 4, 5])
    assert marks_read(first, second) == [3, 0, 1, 2, 4, 5]
    assert marks_read(second, first) == [3, 0, 4, 1, 2, 5]


def test_segments_that_meet_at_one_time_keep_the_order_of_their_keys():
    early, late = rows_at([5, 10], mark=[0, 1]), rows_at([10, 20], mark=[2, 3])
    assert marks_read(early, late) == [0, 1, 2, 3]
    assert marks_read(late, early) == [0, 2, 1, 3]


def test_late_rows_take_their_place_in_time():
    assert marks_read(rows_at([100, 110], mark=[0, 1]), rows_at([1, 2], mark=[2, 3]), rows_at([105], mark=[4])) == [2, 3, 0, 4, 1]


def test_bounds_are_half_open():
    rows = rows_at([10, 20, 30], mark=[0, 1, 2])
    assert marks_read(rows, start=10, stop=30) == [0, 1]
    assert marks_read(rows, start=11, stop=31) == [1, 2]
    assert marks_read(rows, start=30, stop=30) == []


def test_a_null_clock_lies_in_no_range_not_even_an_open_one():
    clock = Column(name="exchange_time", kind="time", clock="exchange", nullable=True)
    schema = Schema(name="small", columns=(Column(name="time", kind="time"), clock, Column(name="mark")))
    rows = rows_at([1, 2, 3], schema, mark=[0, 1, 2], exchange_time=[7, np.iinfo(np.int64).min, 9])
    rows.arrays["exchange_time_valid"] = np.array([True, False, True])
    assert marks_read(rows, clock="exchange_time") == [0, 2]
    assert marks_read(rows, clock="exchange_time", stop=8) == [0]
    assert marks_read(rows) == [0, 1, 2]


def test_an_unknown_clock_or_column_is_the_callers_mistake():
    rows = rows_at([1], mark=[0])
    with pytest.raises(InvalidInput, match=r"'mark'.*there are time"):
        read(MemoryStorage(), [], rows.schema, Selection(clock="mark", start=1))
    with pytest.raises(InvalidInput, match="did you mean 'mark'"):
        read(MemoryStorage(), [], rows.schema, columns=["marc"])


def test_nothing_reads_as_no_rows_of_the_asked_columns():
    schema = rows_at([1], mark=[0]).schema
    assert differences(read(MemoryStorage(), [], schema), empty(schema)) == []
    assert read(MemoryStorage(), [], schema, columns=["mark"]).schema.names == ("mark",)


def test_older_segments_read_as_rows_of_the_newer_schema():
    axis, number = Column(name="time", kind="time"), Column(name="size", dtype="int16")
    vocabulary = Column(name="side", kind="vocabulary", vocabulary=(("buy", 1),))
    old = Schema(name="s", columns=(axis, number, vocabulary))
    new = Schema(
        name="s",
        columns=(
            axis,
            msgspec.structs.replace(number, dtype="int64", nullable=True),
            msgspec.structs.replace(vocabulary, vocabulary=(("buy", 1), ("sell", -1))),
            Column(name="note", kind="text", nullable=True),
            Column(name="book", levels=2, dtype="float32", nullable=True),
            Column(name="venue", kind="dictionary", nullable=True),
        ),
    )
    older = rows_at([1, 2], old, size=[-5, 300], side=[1, 1])
    newer = rows_at([3, 4], new, size=[1 << 40, 0], side=[-1, 1], book=[[1, 2], [3, 4]], venue=[1, 0])
    newer.arrays.update({"note": np.frombuffer(b"hi", np.uint8), "note_count": np.array([2, 0], np.uint32)})
    newer.labels["venue"] = ("b", "a")
    storage = MemoryStorage()
    wanted = concat([older, newer], new)
    for parts in (
        [segment_part(storage, older, 0), segment_part(storage, newer, 1)],
        [tail_part(older, 0), tail_part(newer, 1)],
        [segment_part(storage, older, 2), tail_part(newer, 1)],
    ):
        assert differences(read(storage, parts, new), wanted) == []
        assert differences(read(storage, parts[:1], new), wanted.slice(0, 2)) == []


def test_a_payload_of_sixteen_megabytes_and_empty_ones_read_back():
    schema = Schema(name="s", columns=(Column(name="time", kind="time"), Column(name="payload", kind="bytes")))
    counts = np.array([0, 16 << 20, 0, 3], np.uint32)
    data = np.random.default_rng(0).integers(0, 256, int(counts.sum()), dtype=np.uint8)
    rows = Rows(schema=schema, count=4, arrays={"time": np.arange(4), "payload": data, "payload_count": counts})
    storage = MemoryStorage()
    part = segment_part(storage, rows, threads=2)
    assert differences(read(storage, [part], schema), rows) == []
    assert differences(read(storage, [part], schema, Selection(start=2)), rows.slice(2, 4)) == []
