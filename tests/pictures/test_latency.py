"""Quantiles of latencies are NumPy's, all together and step by step; memory is bounded, and rounding is told."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import arraystore
from arraystore.pictures.latency import QUANTILES, Counts, latency_of
from arraystore.pictures.rows import asked
from tests.pictures.conftest import SECOND, START, lines, trades_at, words

latencies = st.lists(st.tuples(st.integers(0, 4), st.integers(-50, 50) | st.integers(-(10**12), 10**12)), min_size=1, max_size=120)


@given(latencies, st.integers(1, 4), st.integers(2, 100))
def test_quantiles_are_those_of_numpy(rows, batches, most):
    steps, values = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    counts = Counts(5)
    for part in np.array_split(np.arange(len(rows)), batches):
        counts.add(steps[part], values[part])
        if most % 2:
            counts.settle()
    counts.settle()
    asked_for = (0.0, *QUANTILES, 1.0)
    np.testing.assert_allclose(counts.quantiles(asked_for), np.quantile(values, asked_for), rtol=1e-12, atol=1e-6)
    by_step = counts.by_step(asked_for)
    for step in range(5):
        own = values[steps == step]
        if len(own):
            np.testing.assert_allclose(by_step[step], np.quantile(own, asked_for), rtol=1e-12, atol=1e-6)
        else:
            assert np.isnan(by_step[step]).all()


def test_more_than_can_be_counted_one_by_one_is_rounded_a_little():
    values = np.random.default_rng(7).lognormal(14, 2, 200_000).astype(np.int64)
    counts = Counts(1, most=20_000)
    for part in np.array_split(values, 40):
        counts.add(np.zeros(len(part), np.int64), part)
    counts.settle()
    assert counts.rounded
    assert counts.count.sum() == len(values)
    assert len(counts.value) < 20_000
    np.testing.assert_allclose(counts.quantiles(QUANTILES), np.quantile(values, QUANTILES), rtol=1 / 1024)


def test_what_is_drawn_is_capture_minus_exchange(trades):
    random = np.random.default_rng(3)
    seen = START + np.arange(5000, dtype=np.int64) * SECOND // 10
    latency = random.integers(1_000_000, 9_000_000, 5000)
    valid = random.random(5000) < 0.9
    trades.append(trades_at(seen, np.ones(5000), exchange_time=seen - latency, exchange_time_valid=valid))
    found = latency_of(asked(trades))
    assert (found.capture, found.exchange, found.rows, found.missing) == ("time", "exchange_time", 5000, int((~valid).sum()))
    np.testing.assert_allclose(found.counts.quantiles(QUANTILES), np.quantile(latency[valid], QUANTILES))
    figure = trades.plot.latency()
    median = lines(figure)["quantile-0.5"][1]
    first = valid & (seen < found.edges[1])
    assert median[0] * 1e6 == pytest.approx(np.median(latency[first]))
    shown = words(figure)
    assert f"median: {np.median(latency[valid]) / 1e6:.2f}".rstrip("0") in shown
    assert f"{(~valid).sum():,} rows lack one of the two" in shown


def test_captures_whose_clock_was_behind_are_told(trades):
    seen = START + np.arange(10, dtype=np.int64) * SECOND
    trades.append(trades_at(seen, np.ones(10), exchange_time=seen + 1_250_000_000))
    assert "negative: the capturing clock was behind" in words(trades.plot.latency())


def test_datasets_in_order_of_the_exchange_name_their_capture_time(store):
    vendor = store.canonical.create(("venue", "trades", "X"), arraystore.schema_by_name("trades", clock="exchange"))
    happened = START + np.arange(10, dtype=np.int64) * SECOND
    vendor.append(trades_at(happened, np.ones(10), capture_time=happened + 5))
    found = latency_of(asked(vendor))
    assert (found.capture, found.exchange) == ("capture_time", "time")
    assert found.counts.value.tolist() == [5] * len(found.counts.value)


def test_without_a_second_clock_there_is_no_latency(trades):
    trades.append(trades_at(START + np.arange(3, dtype=np.int64), np.ones(3)))
    with pytest.raises(arraystore.InvalidInput, match="both when it happened and when it was seen"):
        trades.plot.latency()
    with pytest.raises(arraystore.InvalidInput, match="holds no times"):
        trades.plot.latency(exchange="price")
    with pytest.raises(arraystore.NotFound, match="none of 3 rows"):
        trades.plot.latency(exchange="publish_time")
