"""Coverage is what manifests say, day by day; many days share columns, and times without anything are folded."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import arraystore
from arraystore.pictures.coverage import MOST_COLUMNS, STATES, Days, days_of, draw_coverage, matrix_of
from arraystore.pictures.plots import coverage_of
from layouts.times import DAY
from tests.pictures.conftest import SECOND, START, damage, trades_at, words


def days(name, numbers, rows=None, state=0):
    numbers = np.array(numbers, np.int64)
    return Days(
        name=name,
        days=numbers,
        rows=np.ones(len(numbers), np.int64) if rows is None else np.array(rows),
        states=np.full(len(numbers), state),
    )


def test_days_are_those_of_the_manifests(trades):
    for day, count in ((0, 3), (1, 5), (4, 2)):
        trades.append(trades_at(START + day * DAY + np.arange(count, dtype=np.int64), np.ones(count)))
    trades.update(window="2024-08-09", completeness="complete")
    trades.update(window="2024-08-12", completeness="partial")
    found = days_of(trades)
    first = START // DAY
    assert found.days.tolist() == [first, first + 1, first + 4]
    assert found.rows.tolist() == [manifest.rows for manifest in trades.manifests()]
    assert [STATES[state] for state in found.states] == [manifest.completeness for manifest in trades.manifests()]
    assert days_of(trades, "2024-08-09", "2024-08-10").rows.tolist() == [5]
    assert days_of(trades, START + DAY + 1, START + DAY + 2).days.tolist() == [first + 1]


def bars_at(times):
    count = len(times)
    numbers = dict.fromkeys(("open", "high", "low", "close", "volume"), np.ones(count))
    return {"open_time": times, "close_time": times + 60 * SECOND, **numbers, "is_revision": np.zeros(count, np.bool_)}


def test_days_of_longer_windows_are_counted_by_their_clock(store):
    bars = store.canonical.create(("venue", "bars", "X"), arraystore.schema_by_name("bars"))
    bars.append(bars_at(START + np.array([0, 1, 2, DAY // SECOND, 9 * DAY // SECOND], np.int64) * SECOND))
    found = days_of(bars)
    assert (found.days - START // DAY).tolist() == [0, 1, 9]
    assert found.rows.tolist() == [3, 1, 1]
    assert not found.even
    guessed = days_of(bars, budget=4)
    assert guessed.even
    assert guessed.rows.sum() == 5
    assert len(guessed.days) == 10


@given(st.lists(st.lists(st.integers(0, 4000), max_size=30), min_size=1, max_size=4), st.integers(1, 100))
def test_a_matrix_keeps_every_row(numbers, scale):
    listed = [days(f"d{place}", sorted(set(each)), [scale] * len(set(each))) for place, each in enumerate(numbers)]
    if not any(map(len, numbers)):
        with pytest.raises(arraystore.NotFound):
            matrix_of(listed)
        return
    found = matrix_of(listed)
    assert len(found.starts) <= MOST_COLUMNS
    assert np.where(found.rows > 0, found.rows, 0).sum(axis=1).tolist() == [each.rows.sum() for each in listed] == list(found.totals)
    for each, row in zip(listed, found.rows, strict=True):
        if len(each.days):
            filled = np.flatnonzero(row > 0)
            assert found.starts[filled[0]] <= each.days[0] < found.starts[filled[0]] + found.step
            assert (row[: filled[0]] == -1).all()
            assert (row[filled[-1] + 1 :] == -1).all()
            assert (row[filled[0] : filled[-1] + 1][found.starts[filled[0] : filled[-1] + 1] >= 0] >= 0).all()


def test_gaps_are_seen_and_long_times_without_anything_folded():
    found = matrix_of([days("a", [100, 101, 103]), days("b", [5000, 5001])])
    assert found.starts.tolist() == [100, 101, 102, 103, -1, 5000, 5001]
    assert found.rows.tolist() == [[1, 1, 0, 1, -1, -1, -1], [-1, -1, -1, -1, -1, 1, 1]]
    shown = words(draw_coverage(found, title="t"))
    assert "no rows" in shown
    assert "dotted: time in which none has any is left out" in shown


def test_twenty_years_of_days_share_columns():
    found = matrix_of([days("a", range(10_000, 17_305))])
    assert found.step == 28
    assert len(found.starts) <= MOST_COLUMNS
    assert found.rows.sum() == 7305


def test_the_largest_of_many_datasets_are_shown_and_the_others_told(store):
    for number in range(7):
        made = store.canonical.create(("venue", "trades", f"S{number}"), arraystore.schema_by_name("trades"))
        made.append(trades_at(START + np.arange(number + 1, dtype=np.int64), np.ones(number + 1)))
    found, left_out = coverage_of(store, ["canonical"], None, None, most=3)
    assert [each.name for each in found] == [f"canonical/venue/trades/S{number}" for number in (4, 5, 6)]
    assert left_out == 4
    assert "4 more datasets, with fewer rows" in words(store.plot.coverage(most=3))
    assert [each.name for each in coverage_of(store, "canonical/*/trades/S2", None, None)[0]] == ["canonical/venue/trades/S2"]
    assert coverage_of(store, (), "2030-01-01", None) == ([], 0)
    with pytest.raises(arraystore.NotFound, match="none of these datasets"):
        store.plot.coverage("canonical/nothing")
    with pytest.raises(arraystore.AccessDenied):
        arraystore.open_store(store.url, role="backtesting").plot.coverage("raw")


def test_a_damaged_dataset_is_named_among_the_others(tmp_path):
    store = arraystore.open_store(tmp_path / "s", role="data-quality", create=True)
    for name in ("A", "B"):
        made = store.canonical.create(("venue", "trades", name), arraystore.schema_by_name("trades"))
        made.append(trades_at(START + np.arange(3, dtype=np.int64), np.ones(3)))
    assert len(coverage_of(store, (), None, None)[0]) == 2
    damage(tmp_path / "s/canonical/venue/trades/A")
    names = [each.name for each in coverage_of(arraystore.open_store(tmp_path / "s", role="data-quality"), (), None, None)[0]]
    assert names == ["canonical/venue/trades/A (can't be read)", "canonical/venue/trades/B"]
