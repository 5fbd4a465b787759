"""Rows are cut into windows by the length that holds at their time."""

from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layouts import InvalidInput, parse_schema, parse_time, schema_by_name
from layouts.cuts import cut_by_window, window_of, windows_of
from layouts.evolution import schema_change_problems, successor
from layouts.schema import Schema, validate_schema

HOURS, DAYS, MONTHS = parse_time("2024-02-01"), parse_time("2024-04-01"), parse_time("2024-06-01")
SCHEMA = msgspec.structs.replace(
    schema_by_name("trades"), window="year", earlier_windows=(("hour", HOURS), ("day", DAYS), ("month", parse_time("2025-01-01")))
)
LOW, HIGH = parse_time("2023-12-01"), parse_time("2026-02-01")

times = st.lists(st.integers(LOW, HIGH) | st.sampled_from([HOURS, HOURS - 1, DAYS, DAYS - 1, MONTHS]), max_size=60).map(
    lambda values: np.array(values, np.int64)
)


@given(times)
def test_every_row_lies_in_the_window_of_its_time_and_windows_come_in_order(axis: np.ndarray) -> None:
    parts = cut_by_window(SCHEMA, axis)
    seen = [row for _, place in parts for row in np.arange(len(axis))[place].tolist()]
    assert sorted(seen) == list(range(len(axis)))
    for window, place in parts:
        assert {window_of(SCHEMA, int(time)) for time in axis[place]} == {window}
        assert np.all(np.diff(np.arange(len(axis))[place]) > 0), "in the order given"
    assert all(first.stop <= second.start for (first, _), (second, _) in pairwise(parts))


def test_windows_of_every_length_follow_each_other_without_gap_or_overlap_and_sort_as_time_does() -> None:
    windows = windows_of(SCHEMA, LOW, HIGH)
    assert {window.length for window in windows} == {"hour", "day", "month", "year"}
    assert all(first.stop == second.start for first, second in pairwise(windows))
    assert [window.name for window in windows] == sorted(window.name for window in windows)


def test_a_time_that_no_window_holds_is_named_by_its_row() -> None:
    with pytest.raises(InvalidInput, match="row 1"):
        cut_by_window(SCHEMA, np.array([HOURS, np.iinfo(np.int64).max]))


def test_lengths_and_moments_that_cant_be_are_told() -> None:
    def problems(*earlier: object, window: str = "day") -> str:
        return "; ".join(map(str, validate_schema(msgspec.structs.replace(SCHEMA, window=window, earlier_windows=earlier))))

    assert not validate_schema(SCHEMA)
    assert parse_schema(msgspec.json.decode(msgspec.json.encode(SCHEMA), type=Schema)) == SCHEMA
    assert "no window of month begins" in problems(("month", DAYS + 1))
    assert "can't be followed by windows of day" in problems(("day", DAYS))
    assert "can't be followed" in problems(("whole", DAYS))
    assert "can't be followed" in problems(("day", DAYS), window="whole")
    assert "not after" in problems(("hour", DAYS), ("month", HOURS))
    assert "must be (length, until)" in problems(("day", "2024-04-01"))
    assert "must be (length, until)" in problems("day")


def test_a_history_of_lengths_goes_on_and_is_never_told_otherwise() -> None:
    day = schema_by_name("trades")
    month = successor(day, msgspec.structs.replace(day, window="month"), DAYS)
    assert month.earlier_windows == (("day", DAYS),)
    assert not schema_change_problems(day, month)
    assert successor(month, msgspec.structs.replace(day, window="month")) == month, "needn't be repeated"
    assert schema_change_problems(month, day)
    assert schema_change_problems(month, msgspec.structs.replace(month, earlier_windows=(("day", MONTHS),)))
    hour = successor(month, msgspec.structs.replace(month, window="hour"), MONTHS)
    assert not schema_change_problems(month, hour)
    assert "another history" in str(schema_change_problems(day, hour)[0]), "one step at a time"
