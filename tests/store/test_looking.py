"""Where a dataset has rows, and where it has none, is what counting every row tells."""

import uuid
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import arraystore
from arraystore.datasets.gaps import GapFinder
from tests.store.conftest import DAY, START, rows

HOUR = DAY // 24
LENGTHS = ("hour", "day", "month", "year")


def memory_store(role: str = "data-quality") -> arraystore.Store:
    return arraystore.open_store(f"memory://{uuid.uuid4().hex}", role=role, create=True)


def dataset_of(times: np.ndarray, window: str = "day", **options: Any) -> arraystore.Dataset:
    """Trades at these times, appended in that order, one commit each so that any order goes."""
    schema = arraystore.schema_by_name("trades")
    schema = arraystore.Schema(name="trades", columns=schema.columns, order="arrival", window=window)
    dataset = memory_store().canonical.create(("venue", "trades", "X"), schema)
    if len(times):
        dataset.append(rows(len(times)) | {"time": times}, **options)
    return dataset


def brute_gaps(times: np.ndarray, least: int, start: int | None, end: int | None) -> list[tuple[int, int]]:
    inside = [time for time in sorted(set(times.tolist())) if (start is None or time >= start) and (end is None or time < end)]
    ends = [*([] if start is None else [start]), *inside, *([] if end is None or not (inside or start is not None) else [end])]
    return [(left, right) for left, right in pairwise(ends) if right - left > least]


moments = st.integers(0, 200) | st.integers(-(2**62), 2**62)


@given(st.lists(st.lists(moments, max_size=12)), st.integers(0, 50), st.none() | moments, st.none() | moments)
def test_gaps_are_those_between_sorted_times_in_whatever_order_they_come(
    batches: list[list[int]], least: int, start: int | None, end: int | None
) -> None:
    if start is not None and end is not None and start > end:
        start, end = end, start
    finder = GapFinder(least, start, end)
    for batch in batches:
        times = np.array([time for time in batch if (start is None or time >= start) and (end is None or time < end)], np.int64)
        finder.add(times)
    everything = np.array([time for batch in batches for time in batch], np.int64)
    assert finder.found() == brute_gaps(everything, least, start, end)


def test_gaps_are_told_with_what_the_writer_said_of_them() -> None:
    noon = START + 12 * HOUR
    dataset = dataset_of(np.array([noon, noon + HOUR, noon + 2 * DAY]), coverage=(START, START + DAY))
    (quiet, long) = dataset.gaps("30m")
    assert (quiet.start, quiet.stop, quiet.covered_ns, quiet.absent_ns) == (noon, noon + HOUR, HOUR, 0)
    assert (long.start, long.stop, long.covered_ns, long.absent_ns) == (noon + HOUR, noon + 2 * DAY, 11 * HOUR, DAY)
    assert [gap.duration_ns for gap in dataset.gaps("30m", START, START + DAY)] == [12 * HOUR, HOUR, 11 * HOUR]


def test_gaps_of_a_dataset_without_rows_are_the_range_that_is_asked_for() -> None:
    dataset = dataset_of(np.zeros(0, np.int64))
    assert dataset.gaps("1s") == []
    (gap,) = dataset.gaps("1s", START, START + DAY)
    assert (gap.duration_ns, gap.absent_ns) == (DAY, DAY)


def test_gaps_by_another_clock_pass_over_its_nulls() -> None:
    dataset = memory_store().canonical.create(("venue", "trades", "X"), arraystore.schema_by_name("trades"))
    dataset.append(rows(3) | {"exchange_time": [START, None, START + HOUR]})
    assert [gap.duration_ns for gap in dataset.gaps("1m", clock="exchange_time")] == [HOUR]


def test_too_many_gaps_are_refused_with_what_to_ask_instead() -> None:
    finder = GapFinder(0, None, None)
    with pytest.raises(arraystore.InvalidInput, match=r"more than 100,000 stretches .* ask for longer ones"):
        finder.add(np.arange(100_003))


@pytest.mark.parametrize("window", LENGTHS)
@pytest.mark.parametrize("per", LENGTHS)
def test_rows_of_a_step_are_those_whose_times_lie_in_it(window: str, per: str) -> None:
    draw = np.random.default_rng([LENGTHS.index(window), LENGTHS.index(per)])
    times = np.sort(draw.choice(np.arange(START, START + 40 * DAY, 17 * HOUR // 7), 60))
    draw.shuffle(times)
    dataset = dataset_of(times, window)
    unit = {"hour": "h", "day": "D", "month": "M", "year": "Y"}[per]
    names, counts = np.unique(times.view("datetime64[ns]").astype(f"datetime64[{unit}]"), return_counts=True)
    found = dataset.coverage(per=per)
    assert {step.window: step.rows for step in found.windows if step.rows} == dict(zip(names.astype(str), counts, strict=True))
    for step in found.windows:
        inside = times[(times >= step.start) & (times < step.stop)]
        assert (step.first, step.last) == ((inside.min(), inside.max()) if len(inside) else (None, None))


def test_a_range_counts_only_its_rows_where_windows_are_longer() -> None:
    dataset = dataset_of(START + np.arange(48) * HOUR, "year")
    found = dataset.coverage(START + 6 * HOUR, START + 30 * HOUR, per="day")
    assert [(step.window, step.rows) for step in found.windows] == [("2024-08-08", 18), ("2024-08-09", 6)]


def test_what_no_window_tells_of_is_absent() -> None:
    dataset = dataset_of(START + np.array([0, 3, 4]) * DAY)
    assert dataset.coverage().absent == ((START + DAY, START + 3 * DAY),)
    assert dataset.coverage(START - DAY, START + 6 * DAY).absent == (
        (START - DAY, START),
        (START + DAY, START + 3 * DAY),
        (START + 5 * DAY, START + 6 * DAY),
    )
    assert dataset.coverage(START - 2 * DAY, START - DAY).absent == ((START - 2 * DAY, START - DAY),)


def test_a_step_is_complete_if_windows_fill_it_and_all_are() -> None:
    hours = START + np.arange(24) * HOUR
    whole = dataset_of(hours, "hour", completeness="complete")
    assert [step.completeness for step in whole.coverage(per="day").windows] == ["complete"]
    assert [step.completeness for step in dataset_of(hours[:23], "hour", completeness="complete").coverage(per="day").windows] == [
        "partial"
    ]
    assert [step.completeness for step in dataset_of(hours, "hour").coverage(per="day").windows] == ["open"]


def test_coverage_tells_what_was_withdrawn_and_declared() -> None:
    dataset = dataset_of(START + np.arange(2) * HOUR, coverage=(START, START + HOUR))
    assert dataset.coverage().windows[0].covered == ((START, START + HOUR),)
    dataset.withdraw("2024-08-08", reason="stale feed")
    (window,) = dataset.coverage().windows
    assert (window.rows, window.withdrawn, window.version) == (0, "stale feed", dataset.version)


def test_series_have_no_interval() -> None:
    store = memory_store("backtesting")
    schema = arraystore.Schema(name="pnl", columns=(arraystore.Column(name="time", kind="time"),), window="whole")
    with store.experiments.run("mm", run_id="1") as run:
        run.write("p/l", {"time": [START, START + HOUR]}, schema=schema)
    dataset = store.experiments["mm/1"]
    (series,) = dataset.coverage().windows
    assert (series.window, series.start, series.rows, series.first, series.last) == ("p/l", None, 2, START, START + HOUR)
    assert [gap.duration_ns for gap in dataset.gaps("1m", window="p/l")] == [HOUR]
    with pytest.raises(arraystore.InvalidInput, match="isn't cut by time"):
        dataset.coverage(per="day")


@pytest.mark.parametrize(("call", "words"), [({"per": "week"}, "hour, day, month, year"), ({"start": "2024", "end": "2023"}, "after end")])
def test_what_makes_no_sense_is_refused(call: dict[str, Any], words: str) -> None:
    with pytest.raises(arraystore.InvalidInput, match=words):
        dataset_of(np.array([START])).coverage(**call)
