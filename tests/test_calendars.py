"""Sessions are half-open ranges of UTC, whatever clocks, holidays and lunch breaks do."""

import sys
import uuid
from itertools import pairwise

import numpy as np
import pytest

import arraystore
from arraystore.errors import InvalidInput, NotFound
from layouts.times import HOUR, MINUTE, parse_time

pytest.importorskip("exchange_calendars", reason="calendars are an extra: pip install 'arraystore[calendars]'")


def utc(session):
    return [str(np.datetime64(each, "ns"))[:16] for each in session]


@pytest.mark.parametrize(
    ("calendar", "date", "start", "end"),
    [
        ("XNYS", "2024-03-08", "2024-03-08T14:30", "2024-03-08T21:00"),
        ("XNYS", "2024-03-11", "2024-03-11T13:30", "2024-03-11T20:00"),  # summer time
        ("XNYS", "2024-07-03", "2024-07-03T13:30", "2024-07-03T17:00"),  # half a day
        ("XNYS", "2024-11-04", "2024-11-04T14:30", "2024-11-04T21:00"),  # winter time again
        ("CMES", "2024-03-08", "2024-03-07T23:00", "2024-03-08T23:00"),  # begins on the UTC day before
        ("CMES", "2024-03-11", "2024-03-10T22:00", "2024-03-11T22:00"),
        ("XLON", "2024-12-24", "2024-12-24T08:00", "2024-12-24T12:30"),
        ("24/7", "2024-02-29", "2024-02-29T00:00", "2024-03-01T00:00"),
    ],
)
def test_a_session_by_its_date(calendar, date, start, end):
    (session,) = arraystore.sessions(calendar, date)
    assert (session.date, utc(session)) == (date, [start, end])
    assert (session.end - session.start) == (parse_time(end) - parse_time(start))


def test_periods_are_of_dates_and_half_open():
    assert len(arraystore.sessions("XNYS", "2024")) == 252
    assert len(arraystore.sessions("XNYS", "2024-03")) == 20
    assert len(arraystore.sessions("XNYS", "2024-03-09")) == 0
    days = arraystore.sessions("XNYS", ("2024-03-08", "2024-03-12"))
    assert [each.date for each in days] == ["2024-03-08", "2024-03-11"]
    assert days["2024-03-11"] is days[1] is days[1:][0]
    assert days.span == (days[0].start, days[1].end)
    with pytest.raises(NotFound, match="2024-03-09"):
        days["2024-03-09"]
    with pytest.raises(NotFound, match="trades"):
        _ = arraystore.sessions("XNYS", "2024-03-09").span


def test_breaks_are_left_out():
    days = arraystore.sessions("XHKG", ("2024-03-08", "2024-03-12"))
    assert [utc(span) for span in days[0].spans] == [["2024-03-08T01:30", "2024-03-08T04:00"], ["2024-03-08T05:00", "2024-03-08T08:00"]]
    assert len(days.grid("1m")) == 2 * (150 + 180)
    assert days.grid("30m", label="start")[5] == np.datetime64("2024-03-08T05:00")
    assert days.grid("30m")[4] == np.datetime64("2024-03-08T04:00")
    times = np.array(
        ["2024-03-08T01:29:59.999999999", "2024-03-08T01:30", "2024-03-08T04:00", "2024-03-08T05:00", "2024-03-08T08:00"], "M8[ns]"
    )
    assert days.contains(times).tolist() == days.contains(times.view(np.int64)).tolist() == [False, True, False, True, False]
    assert not days[:0].contains(times).any()


def test_grids_of_a_year_are_the_minutes_of_its_sessions():
    days = arraystore.sessions("XNYS", "2024")
    grid = days.grid("1m")
    assert (len(grid), len(np.unique(grid))) == (249 * 390 + 3 * 210, len(grid))
    assert days.contains(days.grid("1m", label="start")).all()


def test_sessions_are_widened_but_not_into_each_other():
    wide = arraystore.sessions("XNYS", "2024-03-08", before="30m", after="15m")[0]
    assert utc(wide) == ["2024-03-08T14:00", "2024-03-08T21:15"]
    days = arraystore.sessions("24/7", "2024-03", before="1h", after="1h")
    assert all(left.end == right.start for left, right in pairwise(days))
    assert days[0].start == parse_time("2024-03-01") - HOUR
    far = arraystore.sessions("XNYS", ("2024-03-07", "2024-03-09"), before="20h")
    assert far[1].start == far[0].end


def test_a_session_reads_its_rows_and_no_others():
    store = arraystore.open_store(f"memory://{uuid.uuid4()}", role="data-quality", create=True)
    schema = arraystore.Schema(name="s", columns=(arraystore.Column(name="time", kind="time"), arraystore.Column(name="x")))
    dataset = store.canonical.create(("v", "f", "ES"), schema)
    start = parse_time("2024-03-07T20:00")
    dataset.append({"time": start + np.arange(60 * 60) * MINUTE, "x": np.arange(3600.0)})
    (night,) = arraystore.sessions("CMES", "2024-03-08")
    read = dataset.read(*night)
    assert (read["time"][0], read["time"][-1]) == (np.datetime64("2024-03-07T23:00"), np.datetime64("2024-03-08T22:59"))
    assert read.row_count == dataset.to_xarray(*night).sizes["time"] == dataset.to_polars(*night).collect().height == 24 * 60
    days = arraystore.sessions("CMES", ("2024-03-07", "2024-03-09"))
    assert dataset.read().take(days.contains(dataset.read()["time"])).row_count == 3 * 60 + 24 * 60


def test_what_no_calendar_tells_is_refused(monkeypatch):
    with pytest.raises(InvalidInput, match="XNYS"):
        arraystore.sessions("XNYX", "2024")
    for period in ("yesterday", ("2024", None), ("2024-02-01", "2024-01-01"), 7, ("2024-01-01",)):
        with pytest.raises(InvalidInput):
            arraystore.sessions("XNYS", period)
    with pytest.raises(InvalidInput, match="1m"):
        arraystore.sessions("XNYS", "2024-03-08").grid("0s")
    with pytest.raises(InvalidInput, match="label"):
        arraystore.sessions("XNYS", "2024-03-08").grid("1m", label="middle")
    monkeypatch.setitem(sys.modules, "exchange_calendars", None)
    with pytest.raises(InvalidInput, match=r"arraystore\[calendars\]"):
        arraystore.sessions("XNYS", "1999-03-08")
