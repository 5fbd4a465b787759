"""Moments from whatever users have, exact to the nanosecond."""

from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from layouts import InvalidInput, format_time, parse_duration, parse_interval, parse_time

INT64_MIN, INT64_MAX = -(1 << 63), (1 << 63) - 1
DAY = 86_400 * 10**9

moments = st.integers(INT64_MIN + 1, INT64_MAX)


@given(moments)
@example(INT64_MIN + 1)
@example(INT64_MAX)
@example(-1)
@example(0)
def test_every_moment_of_int64_comes_back_from_its_text(time_ns):
    assert parse_time(format_time(time_ns)) == time_ns


@given(moments)
def test_text_is_what_numpy_writes_but_for_zeros_at_the_end(time_ns):
    whole, _, fraction = str(np.datetime64(time_ns, "ns")).partition(".")
    fraction = fraction.rstrip("0")
    assert format_time(time_ns) == f"{whole}{'.' + fraction if fraction else ''}Z"


@given(moments)
def test_numpy_pandas_and_int_agree_to_the_nanosecond(time_ns):
    pandas = pytest.importorskip("pandas")
    stamp = pandas.Timestamp(time_ns, unit="ns")
    expected = time_ns
    assert parse_time(time_ns) == parse_time(np.int64(time_ns)) == expected
    assert parse_time(np.datetime64(time_ns, "ns")) == expected
    assert parse_time(stamp) == expected
    assert parse_time(np.asarray(np.datetime64(time_ns, "ns"))) == expected


def test_a_pandas_timestamp_with_a_zone_is_the_moment_it_names():
    pandas = pytest.importorskip("pandas")
    stamp = pandas.Timestamp("2024-08-08T13:00:00.123456789", tz="Europe/Berlin")
    assert parse_time(stamp) == parse_time("2024-08-08T11:00:00.123456789Z")


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_an_arrow_scalar_counts_in_its_own_unit(unit):
    pyarrow = pytest.importorskip("pyarrow")
    scalar = pyarrow.scalar(1234, pyarrow.timestamp(unit, "UTC"))
    assert parse_time(scalar) == 1234 * {"s": 10**9, "ms": 10**6, "us": 1000, "ns": 1}[unit]


@given(st.datetimes(datetime(1678, 1, 1), datetime(2262, 1, 1)), st.integers(-1439, 1439))  # noqa: DTZ001
def test_datetimes_are_utc_unless_they_carry_a_zone(moment, offset_minutes):
    naive = parse_time(moment)
    assert naive == int(np.datetime64(moment, "us").astype(np.int64)) * 1000
    zone = timezone(timedelta(minutes=offset_minutes))
    assert parse_time(moment.replace(tzinfo=zone)) == naive - offset_minutes * 60 * 10**9
    assert parse_time(moment.replace(tzinfo=zone).isoformat()) == naive - offset_minutes * 60 * 10**9
    assert parse_time(moment.isoformat()) == naive


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01", 0),
        ("1970", 0),
        ("1970-02", 31 * DAY),
        ("2024-02-29", 19_782 * DAY),
        ("1970-01-01T01", 3600 * 10**9),
        ("1970-01-01 00:01", 60 * 10**9),
        ("1970-01-01T00:00:01.000000001", 10**9 + 1),
        ("1970-01-01T00:00:01.5", 1_500_000_000),
        ("1970-01-01T00:00:01,5Z", 1_500_000_000),
        ("1969-12-31T23:59:59.999999999Z", -1),
        ("1970-01-01t00:00:00z", 0),
        ("1970-01-01T01:00+01:00", 0),
        ("1970-01-01T01:00+0100", 0),
        ("1970-01-01T01+01", 0),
        ("1969-12-31T18:30-05:30", 0),
        (" 1970-01-01 ", 0),
    ],
)
def test_iso_text_in_its_usual_spellings(text, expected):
    assert parse_time(text) == expected


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("yesterday", "write ISO 8601"),
        ("", "write ISO 8601"),
        ("08/08/2024", "write ISO 8601"),
        ("2024-8-8", "write ISO 8601"),
        ("20240808", "write ISO 8601"),
        ("2024-08-08+02:00", "write ISO 8601"),
        ("2024-08-08T12:00:00.1234567890", "write ISO 8601"),
        ("٢٠٢٤-08-08", "write ISO 8601"),
        ("2023-02-29", "no such moment"),
        ("1900-02-29", "no such moment"),
        ("2024-04-31", "no such moment"),
        ("2024-13-01", "no such moment"),
        ("2024-08-08T24:00", "no such moment"),
        ("2016-12-31T23:59:60", "no such moment"),
        ("0000-01-01", "no such moment"),
        ("2024-08-08T12:00+24:00", "no offset"),
        ("1600-01-01", "reach from 1677-09-21"),
        ("2262-04-11T23:47:16.854775808Z", "reach from 1677-09-21"),
    ],
)
def test_text_that_names_no_moment_is_refused_with_a_remedy(text, remedy):
    with pytest.raises(InvalidInput, match=remedy):
        parse_time(text)


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 1.5, np.float64(3), b"2024", [], {}, np.array([1, 2])),
        *(INT64_MIN, INT64_MAX + 1, np.uint64(INT64_MAX + 1)),
        *(np.datetime64("NaT", "ns"), np.datetime64(1, "ps"), np.datetime64("2500-01-01")),
    ],
    ids=repr,
)
def test_what_is_no_moment_is_refused(value):
    with pytest.raises(InvalidInput, match="can't be taken"):
        parse_time(value)


def test_no_moment_of_pandas_is_refused():
    pandas = pytest.importorskip("pandas")
    with pytest.raises(InvalidInput, match="no moment"):
        parse_time(pandas.NaT)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.datetime64("1971"), 365 * DAY),
        (np.datetime64("1970-02"), 31 * DAY),
        (np.datetime64("1970-01-02"), DAY),
        (np.datetime64(3, "W"), 21 * DAY),
        (np.datetime64(5, "10s"), 50 * 10**9),
        (np.datetime64(5_000, "ps"), 5),
        (date(1970, 1, 2), DAY),
        (datetime(1970, 1, 2, tzinfo=UTC), DAY),
    ],
    ids=repr,
)
def test_dates_of_any_unit(value, expected):
    assert parse_time(value) == expected


def test_the_place_is_named():
    with pytest.raises(InvalidInput, match=r"^end: 'x' can't be taken"):
        parse_time("x", "end")


def test_the_stand_in_for_no_moment_has_a_name():
    assert format_time(INT64_MIN) == "NaT"


def test_an_interval_is_half_open_and_not_empty():
    assert parse_interval(("2024-08-08", date(2024, 8, 9))) == (parse_time("2024-08-08"), parse_time("2024-08-09"))
    assert parse_interval(np.array([1, 2])) == (1, 2)
    for wrong in [(2, 1), (1, 1), (1,), (1, 2, 3), 5, "ab", {1, 2}]:
        with pytest.raises(InvalidInput, match="interval"):
            parse_interval(wrong)


def test_both_ends_of_an_interval_are_told_when_both_are_wrong():
    with pytest.raises(InvalidInput) as caught:
        parse_interval(("x", None), "coverage")
    assert [problem.where for problem in caught.value.problems] == ["coverage start", "coverage end"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("5s", 5 * 10**9),
        ("250ms", 250 * 10**6),
        ("1h30m", 5400 * 10**9),
        ("1.5s", 1_500_000_000),
        ("0.000000001s", 1),
        ("10us", 10_000),
        ("10µs", 10_000),
        ("7ns", 7),
        ("2d", 2 * DAY),
        ("1w", 7 * DAY),
        ("1h 5min", 3900 * 10**9),
        ("0s", 0),
        (17, 17),
        (np.int64(17), 17),
        (timedelta(days=1, microseconds=1), DAY + 1000),
        (np.timedelta64(5, "s"), 5 * 10**9),
        (np.timedelta64(3, "ns"), 3),
    ],
    ids=repr,
)
def test_durations_in_their_usual_spellings(value, expected):
    assert parse_duration(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        "",
        "5",
        "s",
        "-5s",
        "5 parsecs",
        "1M",
        "0.5ns",
        "1e3s",
        None,
        1.5,
        True,
        -1,
        timedelta(-1),
        np.timedelta64("NaT", "ns"),
        np.timedelta64(1, "M"),
        "999999w",
    ],
    ids=repr,
)
def test_what_is_no_duration_is_refused(value):
    with pytest.raises(InvalidInput, match="duration"):
        parse_duration(value)


def test_a_pandas_timedelta_keeps_its_nanoseconds():
    pandas = pytest.importorskip("pandas")
    assert parse_duration(pandas.Timedelta(1_000_000_001, unit="ns")) == 1_000_000_001
