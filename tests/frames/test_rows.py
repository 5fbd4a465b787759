"""Rows are cut, picked, joined and tidied like a list of tuples would be."""

from itertools import pairwise

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from arraystore.frames.frame import Frame
from arraystore.frames.rows import GATHER_BYTES, MARK_ROWS, Rows, concat, empty, gather_bytes
from arraystore.testing.strategies import differences, rows_of, schemas
from layouts.schema import Column, Kind, Schema

any_rows = schemas().flatmap(rows_of)


def as_list(rows):
    """One tuple of bytes, texts or None per row: what the rows say, however they say it."""
    columns = []
    for name, value in Frame(rows).items():
        valid = rows.validity(name)
        items = [item.tobytes() for item in value] if isinstance(value, np.ndarray) else value.tolist()
        columns.append([item if valid is None or valid[row] else None for row, item in enumerate(items)])
    return list(zip(*columns, strict=True))


@given(any_rows, st.data())
def test_a_slice_is_the_rows_between(rows, data):
    start = data.draw(st.integers(0, rows.count))
    stop = data.draw(st.integers(start, rows.count))
    assert as_list(rows.slice(start, stop)) == as_list(rows)[start:stop]


@given(any_rows, st.data())
def test_taking_rows_picks_them_in_the_order_asked_for(rows, data):
    indices = data.draw(st.lists(st.integers(0, rows.count - 1), max_size=50)) if rows.count else []
    listed = as_list(rows)
    assert as_list(rows.take(np.array(indices, np.int64))) == [listed[index] for index in indices]


@given(any_rows, st.lists(st.floats(0, 1), max_size=4))
def test_pieces_put_together_are_what_they_were_cut_from(rows, cuts):
    ends = [0, *sorted(round(cut * rows.count) for cut in cuts), rows.count]
    pieces = [rows.slice(start, stop).tidy() for start, stop in pairwise(ends)]
    assert differences(concat(pieces, rows.schema), rows) == []


@given(any_rows)
def test_tidy_rows_say_the_same_and_hold_nothing_needless(rows):
    tidy = rows.tidy()
    assert differences(tidy, rows) == []
    for column in rows.schema.columns:
        valid = tidy.arrays.get(f"{column.name}_valid")
        assert valid is None or (valid.any() and not valid.all())
        if column.kind is Kind.DICTIONARY and column.name in tidy.arrays:
            assert set(np.unique(tidy.arrays[column.name])) - {-1} == set(range(len(tidy.labels[column.name])))


def test_nulls_stay_null_where_unused_labels_are_dropped():
    schema = Schema(name="s", columns=(Column(name="time", kind="time"), Column(name="who", kind="dictionary", nullable=True)))
    arrays = {"time": np.arange(3), "who": np.array([-1, 2, 0], np.int32), "who_valid": np.array([False, True, True])}
    tidy = Rows(schema=schema, count=3, arrays=arrays, labels={"who": ("a", "b", "c")}).slice(0, 2).tidy()
    assert tidy.labels == {"who": ("c",)}
    assert tidy.arrays["who"].tolist() == [-1, 0]


def test_slices_share_memory_also_of_text():
    counts = np.arange(3 * MARK_ROWS) % 7
    schema = Schema(name="s", columns=(Column(name="time", kind="time"), Column(name="x", kind="bytes")))
    arrays = {"time": np.arange(len(counts)), "x": np.zeros(counts.sum(), np.uint8), "x_count": counts.astype(np.uint32)}
    part = Rows(schema=schema, count=len(counts), arrays=arrays).slice(MARK_ROWS - 1, 2 * MARK_ROWS + 1)
    assert all(np.shares_memory(part.arrays[name], arrays[name]) for name in arrays)
    assert len(part.arrays["x"]) == counts[MARK_ROWS - 1 : 2 * MARK_ROWS + 1].sum()


def test_concat_brings_older_rows_into_the_newer_schema():
    time = Column(name="time", kind="time")
    old = Schema(name="s", columns=(time, Column(name="n", dtype="int16", nullable=True), Column(name="who", kind="dictionary")))
    new = msgspec.structs.replace(
        old, columns=(time, Column(name="n", dtype="int64", nullable=True), *old.columns[2:], Column(name="fee", nullable=True))
    )
    first = Rows(schema=old, count=2, arrays={"time": np.array([1, 2]), "who": np.array([0, 1], "i4")}, labels={"who": ("a", "b")})
    second = Rows(
        schema=new,
        count=1,
        arrays={"time": np.array([3]), "n": np.array([9]), "who": np.array([0], "i4"), "fee": np.array([0.5])},
        labels={"who": ("b",)},
    )
    joined = concat([first, second])
    assert joined.schema == new
    assert joined.arrays["n"].dtype == np.int64
    assert joined.arrays["n_valid"].tolist() == [False, False, True]
    assert (joined.arrays["who"].tolist(), joined.labels["who"]) == ([0, 1, 1], ("a", "b"))
    assert np.array_equal(joined.arrays["fee"], [np.nan, np.nan, 0.5], equal_nan=True)


def test_under_a_null_that_was_an_integer_lies_nan_once_it_is_a_float():
    old = Schema(name="s", columns=(Column(name="time", kind="time"), Column(name="n", dtype="int16", nullable=True)))
    new = msgspec.structs.replace(old, columns=(old.columns[0], Column(name="n", dtype="float64", nullable=True)))
    arrays = {"time": np.arange(2), "n": np.array([5, 0], np.int16), "n_valid": np.array([True, False])}
    joined = concat([Rows(schema=old, count=2, arrays=arrays)], new)
    assert np.array_equal(joined.arrays["n"], [5.0, np.nan], equal_nan=True)


def test_projection_keeps_the_schemas_order_and_only_what_is_named(rows):
    part = rows.project(["note", "price"])
    assert part.schema.names == ("price", "note")
    assert set(part.arrays) == {"price", "price_valid", "note", "note_count", "note_valid"}
    assert as_list(part) == [(line[2], line[9]) for line in as_list(rows)]


def test_no_rows_have_every_array_and_join_with_others(rows):
    nothing = empty(rows.schema)
    assert nothing.count == len(nothing) == 0
    assert set(nothing.arrays) >= set(rows.schema.names)
    assert differences(concat([nothing, rows, nothing]), rows) == []


def test_size_counts_arrays_and_labels(rows):
    assert rows.nbytes == sum(array.nbytes for array in rows.arrays.values()) + len("BTC/USDT") + len("日経")


@given(st.lists(st.tuples(st.integers(0, 90), st.integers(0, 10)), max_size=60))
def test_bytes_are_gathered_from_anywhere(stretches):
    data = np.arange(100, dtype=np.uint8)
    starts, counts = (np.array([pair[i] for pair in stretches], np.int64) for i in (0, 1))
    assert gather_bytes(data, starts, counts).tobytes() == b"".join(bytes(range(start, start + count)) for start, count in stretches)


def test_stretches_beyond_a_block_are_gathered_whole():
    data = np.random.default_rng(1).integers(0, 256, 3 * GATHER_BYTES, np.uint8)
    counts = np.array([GATHER_BYTES + 1, 0, 5, 2 * GATHER_BYTES - 6])
    starts = np.array([2 * GATHER_BYTES - 1, 0, 7, 3])
    wanted = [data[start : start + count] for start, count in zip(starts, counts, strict=True)]
    assert np.array_equal(gather_bytes(data, starts, counts), np.concatenate(wanted))
