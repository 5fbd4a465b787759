"""Bars agree with a slow and plain reckoning."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from arraystore.demo.bars import make_bars

trade = st.tuples(st.integers(0, 40), st.integers(1, 9), st.integers(1, 5), st.sampled_from([-1, 1]))


@given(st.lists(trade, max_size=30), st.integers(1, 15))
def test_bars_agree_with_a_plain_reckoning(trades, interval):
    columns = [np.array(column) for column in zip(*trades, strict=True)] or [np.array([], np.int64)] * 4
    time, price, size, side = columns
    bars = make_bars(time, price.astype(float), size.astype(float), side, interval)
    buckets = {}
    for row in sorted(trades, key=lambda row: row[0]):
        buckets.setdefault(row[0] // interval, []).append(row)
    assert bars["open_time"].tolist() == [bucket * interval for bucket in buckets]
    assert bars["close_time"].tolist() == [(bucket + 1) * interval for bucket in buckets]
    for place, rows in enumerate(buckets.values()):
        prices = [row[1] for row in rows]
        found = {name: values[place].item() for name, values in bars.items()}
        assert (found["open"], found["close"]) == (prices[0], prices[-1])
        assert (found["high"], found["low"], found["trade_count"]) == (max(prices), min(prices), len(rows))
        assert found["volume"] == sum(row[2] for row in rows)
        assert found["buy_volume"] == sum(row[2] for row in rows if row[3] > 0)
        assert found["turnover"] == sum(row[1] * row[2] for row in rows)
        assert abs(found["vwap"] - found["turnover"] / found["volume"]) < 1e-12
