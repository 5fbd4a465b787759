"""Which changes a schema may undergo, so that segments written before it stay readable."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import from_dtype
from msgspec.structs import replace

from layouts import SIDE, Column, Schema, schema_change_problems, trades, validate_schema, widens

BEFORE = Schema(
    name="s",
    columns=(
        Column(name="time", kind="time"),
        Column(name="count", dtype="int16", unit="1"),
        Column(name="side", kind="vocabulary", vocabulary=SIDE),
        Column(name="fee", nullable=True),
        Column(name="exact", kind="decimal", places=2),
    ),
)
NUMBERS = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64"]


def changed(name, **fields):
    return replace(BEFORE, columns=tuple(replace(column, **fields) if column.name == name else column for column in BEFORE.columns))


def test_a_schema_may_stay_as_it_is():
    assert schema_change_problems(BEFORE, BEFORE) == ()
    assert schema_change_problems(trades(), trades()) == ()


@pytest.mark.parametrize(
    "after",
    [
        replace(BEFORE, columns=(*BEFORE.columns, Column(name="note", kind="text", nullable=True))),
        replace(BEFORE, columns=BEFORE.columns[::-1]),
        replace(BEFORE, attributes={"source": "elsewhere"}),
        changed("count", dtype="int64"),
        changed("count", dtype="float64"),
        changed("count", nullable=True),
        changed("count", description="better said"),
        changed("side", vocabulary=(*SIDE, ("cross", 2))),
    ],
)
def test_what_older_segments_can_be_read_under_is_allowed(after):
    assert validate_schema(after) == ()
    assert schema_change_problems(BEFORE, after) == ()


@pytest.mark.parametrize(
    ("after", "message"),
    [
        (replace(BEFORE, name="t"), "its name 's' can't become 't'"),
        (replace(BEFORE, order="arrival"), "its order 'time' can't become 'arrival'"),
        (replace(BEFORE, window="hour"), "its window 'day' can't become 'hour'"),
        (replace(BEFORE, columns=BEFORE.columns[:-1]), "column 'exact': it can't be dropped"),
        (replace(BEFORE, columns=(*BEFORE.columns, Column(name="x"))), "column 'x': a new column must be nullable"),
        (changed("count", dtype="int8"), "dtype int8 can't hold every int16"),
        (changed("count", dtype="uint32"), "dtype uint32 can't hold every int16"),
        (changed("count", unit="2"), "its unit '1' can't become '2'"),
        (changed("count", levels=2), "its levels none can't become '2'"),
        (changed("fee", nullable=False), "it must stay nullable"),
        (changed("exact", places=3), "its places '2' can't become '3'"),
        (changed("side", vocabulary=SIDE[:2]), "its vocabulary must begin as before"),
        (changed("side", vocabulary=SIDE[::-1]), "its vocabulary must begin as before"),
        (changed("fee", kind="decimal", dtype="int64", places=2), "its kind 'number' can't become 'decimal'"),
    ],
)
def test_what_would_change_older_rows_is_refused(after, message):
    assert message in " ".join(map(str, schema_change_problems(BEFORE, after)))


def test_every_problem_is_told_at_once():
    after = Schema(name="t", window="year", columns=(Column(name="time", kind="time"), Column(name="new")))
    assert len(schema_change_problems(BEFORE, after)) == 7


@given(st.data(), st.sampled_from(NUMBERS), st.sampled_from(NUMBERS))
def test_every_value_survives_where_one_dtype_widens_another(data, before, after):
    value = data.draw(from_dtype(np.dtype(before), allow_nan=False))
    if widens(before, after):
        assert np.dtype(before).type(np.dtype(after).type(value)) == value
        assert (before == after) or np.dtype(after).itemsize > np.dtype(before).itemsize


@pytest.mark.parametrize(
    ("before", "after"),
    [
        *(("int64", "float64"), ("uint64", "float64"), ("int32", "float32"), ("uint64", "int64"), ("float64", "float32")),
        *(("bool", "int8"), ("int8", "uint8"), ("float32", "int64")),
    ],
)
def test_a_dtype_that_loses_values_does_not_widen(before, after):
    assert not widens(before, after)
