"""Bins keep the smallest and the largest value of each stretch of time, whatever comes in which order and in which batches."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from arraystore.pictures.binning import Bins, with_breaks

values = st.floats(allow_nan=True, allow_infinity=True) | st.integers(-5, 5).map(float)
rows = st.lists(st.tuples(st.integers(-20, 1100), values), max_size=200)


@given(rows, st.integers(1, 40), st.integers(1, 5), st.booleans())
@example([(0, 9e307), (0, 9e307)], 1, 1, False)  # whose sum is more than a float holds
def test_each_bin_is_what_numpy_says(rows, count, batches, ordered):
    rows = sorted(rows, key=lambda row: row[0]) if ordered else rows
    times = np.array([time for time, _ in rows], np.int64)
    given_values = np.array([value for _, value in rows], np.float64)
    bins = Bins(0, 1000, count, 1)
    for part in np.array_split(np.arange(len(rows)), batches):
        bins.add(times[part], [given_values[part]])
    skipped = 0
    for place in range(bins.count):
        inside = (times >= place * bins.width) & (times < (place + 1) * bins.width)
        own = given_values[inside]
        finite = own[np.isfinite(own)]
        skipped += len(own) - len(finite)
        assert bins.rows[place] == len(own)
        shown = [each[0, place] for each in (bins.low, bins.high, bins.first, bins.last)]
        if len(finite):
            assert shown == [finite.min(), finite.max(), finite[0], finite[-1]]
        else:
            assert np.isnan(shown).all()
    assert bins.skipped[0] == skipped


def test_a_spike_among_a_million_points_is_drawn():
    times = np.arange(1_000_000, dtype=np.int64)
    price = np.full(len(times), 100.0)
    price[654_321] = 250.0
    price[123_456] = -7.0
    bins = Bins(0, len(times), 1000, 1)
    bins.add(times, [price])
    shown_times, shown = bins.line(0)
    assert (shown.max(), shown.min()) == (250.0, -7.0)
    assert abs(shown_times[np.argmax(shown)] - 654_321) <= bins.width
    assert len(shown) == 4000


@pytest.mark.parametrize("span", [1, 7, 2**62])
def test_any_stretch_of_time_is_divided_without_overflow(span):
    bins = Bins(-(2**61), -(2**61) + span, 2000, 1)
    bins.add(np.array([-(2**61), -(2**61) + span - 1]), [np.array([1.0, 2.0])])
    assert bins.rows.sum() == 2
    assert bins.width * bins.count >= span
    assert np.nanmax(bins.high) == 2.0


def test_lines_are_broken_only_where_nothing_came_for_long():
    times = np.concatenate([np.arange(100), 500 + np.arange(100)])
    broken, shown = with_breaks(times, np.ones(200), 600)
    assert np.isnan(shown).sum() == 1
    assert broken[np.isnan(shown)] == 499
    assert not np.isnan(with_breaks(np.arange(0, 600, 100), np.ones(6), 600)[1]).any(), "that is how often something comes"
