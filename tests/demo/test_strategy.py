"""The strategy sees no future, and its books balance."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from arraystore.demo.strategy import Market, Parameters, equity_curve, merge, metrics, orders

SECOND = 10**9


def market(seed, trades=400, quotes=600, gap=0):
    random = np.random.default_rng(seed)
    trade_time = np.sort(random.integers(0, 120, trades)) * SECOND
    quote_time = np.sort(random.integers(0, 120, quotes)) * SECOND
    trade_time[trades // 2 :] += gap
    quote_time[quotes // 2 :] += gap
    bid = 100 + np.cumsum(random.normal(0, 0.01, quotes))
    return Market(
        trade_time=trade_time,
        trade_size=random.gamma(1.0, 1.0, trades),
        trade_side=random.choice(np.array([-1, 1], np.int8), trades),
        quote_time=quote_time,
        bid=bid,
        ask=bid + 0.01,
    )


@given(
    hnp.arrays(np.int64, st.integers(0, 12), elements=st.integers(0, 5)),
    hnp.arrays(np.int64, st.integers(0, 12), elements=st.integers(0, 5)),
)
def test_merging_is_by_time_then_quotes_then_the_order_received(quote_time, trade_time):
    quote_time, trade_time = np.sort(quote_time), np.sort(trade_time)
    sizes = np.arange(1.0, len(trade_time) + 1)
    merged = merge(
        Market(
            trade_time=trade_time,
            trade_size=sizes,
            trade_side=np.ones(len(sizes), np.int8),
            quote_time=quote_time,
            bid=np.arange(len(quote_time), dtype=float),
            ask=np.arange(len(quote_time), dtype=float) + 1,
        )
    )
    expected = sorted(
        [(t, 0, n, 0.0) for n, t in enumerate(quote_time)]
        + [(t, 1, n, size) for n, (t, size) in enumerate(zip(trade_time, sizes, strict=True))]
    )
    quote, rows = None, []
    for time, kind, number, size in expected:
        quote = number if kind == 0 else quote
        if quote is not None:
            rows.append((time, size, float(quote)))
    assert list(zip(merged.time.tolist(), merged.flow.tolist(), merged.bid.tolist(), strict=True)) == rows


def test_what_comes_later_changes_no_earlier_order():
    events, parameters = merge(market(1)), Parameters(cooldown_seconds=2.0, threshold=0.1)
    whole = orders(events, parameters)
    cut = 60 * SECOND
    early = type(events)(**{name: getattr(events, name)[events.time < cut] for name in ("time", "flow", "bid", "ask")})
    seen = orders(early, parameters)
    count = int((seen["fill_time"] < cut - SECOND).sum()) - 1
    assert count > 3
    for name in whole:
        np.testing.assert_array_equal(whole[name][:count], seen[name][:count])


@given(st.integers(0, 50), st.sampled_from([0, 3600 * SECOND]))
def test_the_position_is_closed_at_the_end_and_equity_is_cash_less_fees(seed, gap):
    parameters = Parameters(cooldown_seconds=2.0, threshold=0.1)
    events = merge(market(seed, gap=gap))
    filled = orders(events, parameters)
    curve = equity_curve(events, filled, parameters)
    assert abs(float((filled["side"] * filled["size"]).sum())) < 1e-9
    cash = -(filled["side"] * filled["size"] * filled["price"]).sum() - (filled["size"] * filled["price"]).sum() * parameters.fee_rate
    np.testing.assert_allclose(curve["equity"][-1], cash, atol=1e-9)
    assert abs(curve["position"][-1]) < 1e-9


def test_nothing_is_held_through_a_gap_in_the_record():
    events = merge(market(3, gap=3600 * SECOND))
    parameters = Parameters(cooldown_seconds=2.0, threshold=0.1)
    curve = equity_curve(events, orders(events, parameters), parameters)
    last_before = np.flatnonzero(np.diff(curve["time"]) > 1000 * SECOND)
    assert len(last_before) == 1
    assert abs(curve["position"][last_before[0]]) < 1e-9


def test_orders_buy_at_the_ask_and_sell_at_the_bid():
    events, parameters = merge(market(5)), Parameters(cooldown_seconds=2.0, threshold=0.1, latency_ms=0)
    filled = orders(events, parameters)
    assert set(filled["side"].tolist()) == {1, -1}
    ask_or_bid = np.where(filled["side"] > 0, 1.0, 0.0)
    for time, price, is_buy in zip(filled["fill_time"], filled["price"], ask_or_bid, strict=True):
        assert price in (events.ask if is_buy else events.bid)[events.time == time]


def test_no_events_make_no_orders():
    nothing = merge(market(0, trades=0, quotes=0))
    filled = orders(nothing, Parameters())
    curve = equity_curve(nothing, filled, Parameters())
    assert len(filled["time"]) == len(curve["time"]) == 0
    assert metrics(curve, filled)["orders"] == 0
