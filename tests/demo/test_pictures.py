"""The picture shows what lies near together in one stretch, and is left out where matplotlib isn't installed."""

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arraystore.demo.pictures import Coverage, Picture, draw, stretches, time_marks


def test_intervals_that_lie_close_share_a_stretch():
    assert stretches([(50, 60), (0, 10), (12, 20)], gap_ns=5) == [(0, 20), (50, 60)]
    assert stretches([(0, 30), (5, 8)], gap_ns=5) == [(0, 30)]
    assert stretches([], gap_ns=5) == []


def test_only_the_longest_stretches_are_shown_in_order_of_time():
    assert stretches([(0, 1), (100, 130), (200, 220), (300, 340)], gap_ns=5, most=2) == [(100, 130), (300, 340)]


@given(st.integers(0, 10**18), st.integers(1, 10**17))
def test_times_are_marked_a_few_times_within_the_stretch(start, length):
    marks = time_marks((start, start + length))
    assert len(marks) <= 9
    assert all(start <= mark <= start + length for mark in marks)


def test_times_are_marked_where_they_are_round():
    assert (time_marks((59 * 10**9, 200 * 10**9)) // 10**9).tolist() == [60, 90, 120, 150, 180]


def picture(times):
    return Picture(
        title="a strategy",
        currency="USDT",
        price_time=times,
        price=100.0 + np.arange(len(times)),
        fill_time=times[:2],
        fill_price=np.full(len(times[:2]), 100.0),
        fill_side=np.array([1, -1], np.int8)[: len(times)],
        equity_time=times,
        equity=np.zeros(len(times)),
        coverage=(Coverage(storage_class="canonical", label="trades", intervals=((0, 60 * 10**9), (10**14, 10**14 + 60 * 10**9))),),
    )


TIMES = {
    "one stretch": np.arange(60) * 10**9,
    "two stretches": np.concatenate([np.arange(60), 10**5 + np.arange(60)]) * 10**9,
    "nothing": np.array([], np.int64),
}


@pytest.mark.parametrize("times", TIMES.values(), ids=TIMES)
def test_a_picture_is_a_png_and_the_same_every_time(times):
    pytest.importorskip("matplotlib")
    first = draw(picture(times))
    assert first[:8] == b"\x89PNG\r\n\x1a\n"
    assert draw(picture(times)) == first


def test_without_matplotlib_there_is_no_picture(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert draw(picture(np.arange(3))) is None
