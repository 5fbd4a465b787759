"""Windows hold across leap days, year ends, days on which clocks change, and the ends of time."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from layouts import (
    AXIS_MAX,
    AXIS_MIN,
    InvalidInput,
    WindowLength,
    check_series_name,
    parse_time,
    parse_window,
    split_by_window,
    window_at,
    windows_between,
)

HOUR = 3600 * 10**9
DAY = 24 * HOUR
CUT = [WindowLength.HOUR, WindowLength.DAY, WindowLength.MONTH, WindowLength.YEAR]
NUMPY_UNIT = {"hour": "h", "day": "D", "month": "M", "year": "Y"}

#: Nights and years at which calendars go wrong: leap days and their absence, year ends, DST changes, the ends of int64.
EDGES = [
    parse_time(text)
    for text in (
        *("1678-01-01", "1700-03-01", "1752-09-14", "1900-03-01", "1970-01-01", "2000-02-29", "2000-03-01", "2024-01-01"),
        *("2024-02-29", "2024-03-01", "2024-03-10T10:00", "2024-03-31T01:00", "2024-10-27T01:00", "2024-11-03T09:00"),
        *("2024-12-31", "2025-01-01", "2100-03-01", "2261-12-31", "2261-12-31T23:59:59.999999999"),
    )
]

axis_times = st.integers(AXIS_MIN, AXIS_MAX - 1)
edge_times = st.builds(lambda edge, step: min(max(edge + step, AXIS_MIN), AXIS_MAX - 1), st.sampled_from(EDGES), st.integers(-DAY, DAY))
times = axis_times | edge_times
lengths = st.sampled_from(CUT)


@given(lengths, times)
@example(WindowLength.YEAR, AXIS_MIN)
@example(WindowLength.YEAR, AXIS_MAX - 1)
@example(WindowLength.HOUR, -1)
def test_a_moment_lies_in_the_window_that_numpys_calendar_names(length, time_ns):
    window = window_at(length, time_ns)
    unit = NUMPY_UNIT[length]
    calendar = np.datetime64(time_ns, "ns").astype(f"datetime64[{unit}]")
    assert window.name == str(calendar)
    assert window.start == calendar.astype("datetime64[ns]").astype(np.int64)
    assert window.stop == (calendar + np.timedelta64(1, unit)).astype("datetime64[ns]").astype(np.int64)
    assert window.start <= time_ns < window.stop
    assert time_ns in window
    assert window.stop not in window


@given(lengths, times)
def test_names_come_back_and_neighbours_touch(length, time_ns):
    window = window_at(length, time_ns)
    assert parse_window(window.name) == window
    if window.stop < AXIS_MAX:
        assert window_at(length, window.stop).start == window.stop
    if window.start > AXIS_MIN:
        assert window_at(length, window.start - 1).stop == window.start


@given(lengths, times, times)
def test_names_sort_as_times_do(length, one, other):
    first, second = window_at(length, min(one, other)), window_at(length, max(one, other))
    assert (first.name <= second.name) == (first.start <= second.start)


@pytest.mark.parametrize("day", ["2024-03-10", "2024-03-31", "2024-10-27", "2024-11-03", "2024-02-29"])
def test_every_day_has_24_hours(day):
    window = parse_window(day)
    assert window.stop - window.start == DAY
    names = [hour.name for hour in windows_between(WindowLength.HOUR, window.start, window.stop)]
    assert names == [f"{day}T{hour:02d}" for hour in range(24)]


@pytest.mark.parametrize(
    ("year", "days"), [("1900", 365), ("2000", 366), ("2023", 365), ("2024", 366), ("2100", 365), ("1678", 365), ("2261", 365)]
)
def test_years_have_the_days_of_the_calendar(year, days):
    window = parse_window(year)
    assert window.stop - window.start == days * DAY
    assert len(windows_between(WindowLength.DAY, window.start, window.stop)) == days
    assert len(windows_between(WindowLength.MONTH, window.start, window.stop)) == 12


@given(lengths, times, st.integers(0, 400 * DAY))
def test_windows_between_tile_the_interval_and_no_more(length, start, duration):
    stop = min(start + (duration if length is not WindowLength.HOUR else duration // 24), AXIS_MAX)
    windows = windows_between(length, start, stop)
    if start == stop:
        assert windows == ()
        return
    assert start in windows[0]
    assert stop - 1 in windows[-1]
    assert all(one.stop == other.start for one, other in pairwise(windows))


def test_windows_between_stop_at_the_ends_of_time():
    years = windows_between(WindowLength.YEAR, -(1 << 63), (1 << 63) - 1)
    assert (years[0].name, years[-1].name, len(years)) == ("1678", "2261", 584)
    assert windows_between(WindowLength.DAY, DAY, 0) == ()


@pytest.mark.parametrize(
    "name",
    [
        *("", "2024-2-1", "2024-02-30", "2023-02-29", "2024-13", "2024-00", "24", "02024", "0000", "\uff12\uff10\uff12\uff14"),
        *("2024-08-08T24", "2024-08-08T1", "2024-08-08 13", "2024-08-08T13:00", "2024-08-08Z", "../2024", " 2024", "2024\n"),
        *("1677", "2262", "1677-12-31", "Whole", None, 2024),
    ],
    ids=repr,
)
def test_nothing_else_names_a_window(name):
    with pytest.raises(InvalidInput, match="window"):
        parse_window(name)


def test_the_whole_spans_all_moments():
    whole = parse_window("whole")
    assert whole.length is WindowLength.WHOLE
    assert whole == window_at(WindowLength.WHOLE, 0)
    assert AXIS_MIN in whole
    assert AXIS_MAX - 1 in whole
    assert windows_between(WindowLength.WHOLE, 0, 5) == (whole,)


@pytest.mark.parametrize("time_ns", [AXIS_MIN - 1, AXIS_MAX, -(1 << 63), (1 << 63) - 1])
def test_a_time_outside_of_1678_to_2262_is_refused_with_the_limits(time_ns):
    with pytest.raises(InvalidInput, match="lies outside of 1678-01-01T00:00:00Z to 2262-01-01T00:00:00Z"):
        window_at(WindowLength.DAY, time_ns)


def rows_of(selection, count):
    return np.arange(count)[selection].tolist()


@given(st.sampled_from([*CUT, WindowLength.WHOLE]), st.lists(times, max_size=40), st.sampled_from(["any", "sorted", "nearly"]))
def test_each_row_goes_to_the_window_of_its_time_in_the_order_given(length, values, order):
    if order != "any":
        values.sort()
    if order == "nearly" and len(values) > 2:
        values[0], values[1] = values[1], values[0]
    parts = split_by_window(length, np.array(values, np.int64))
    expected: dict[str, list[int]] = {}
    for row, value in enumerate(values):
        expected.setdefault(window_at(length, value).name, []).append(row)
    assert {window.name: rows_of(selection, len(values)) for window, selection in parts} == expected
    assert [window.start for window, _ in parts] == sorted(window.start for window, _ in parts)
    for _, selection in parts:
        rows = rows_of(selection, len(values))
        assert isinstance(selection, slice) == (rows == list(range(rows[0], rows[-1] + 1)))


def test_two_recorders_that_alternate_over_midnight_are_taken_apart_in_order():
    midnight = parse_time("2024-08-09")
    (before, first), (after, second) = split_by_window(WindowLength.DAY, np.array([midnight - 2, midnight, midnight - 1, midnight + 1]))
    assert (before.name, rows_of(first, 4)) == ("2024-08-08", [0, 2])
    assert (after.name, rows_of(second, 4)) == ("2024-08-09", [1, 3])


@given(st.lists(times, min_size=1, max_size=20), st.data(), st.sampled_from([AXIS_MIN - 1, AXIS_MAX, -(1 << 63)]))
def test_the_first_row_out_of_range_is_named_with_its_value(values, data, wrong):
    row = data.draw(st.integers(0, len(values) - 1))
    values[row] = wrong
    with pytest.raises(InvalidInput, match=rf"row {row}: the time .* \({wrong}\) lies outside"):
        split_by_window(WindowLength.DAY, np.array(values, np.int64))


@pytest.mark.parametrize(("wrong", "row"), [(AXIS_MIN - 1, 2), (AXIS_MAX, 2)])
def test_the_first_and_last_moments_of_the_axis_are_no_rows_out_of_range(wrong, row):
    with pytest.raises(InvalidInput, match=rf"row {row}:"):
        split_by_window(WindowLength.DAY, np.array([AXIS_MIN, AXIS_MAX - 1, wrong]))


def test_no_rows_have_no_windows():
    assert split_by_window(WindowLength.DAY, np.empty(0, np.int64)) == []


def test_any_text_names_a_series_unless_it_is_empty_or_too_long():
    assert check_series_name("équity/1:x") == "équity/1:x"
    for wrong in ("", "x" * 201, "\ud800", None):
        with pytest.raises(InvalidInput, match="series"):
            check_series_name(wrong)
