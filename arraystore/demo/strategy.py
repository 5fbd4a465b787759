"""A small deterministic strategy on merged trades and quotes: it follows the flow of aggressive volume, and crosses the spread.

It is here to have something to record, not to earn money.
"""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np

NS_PER_SECOND = 1_000_000_000
NS_PER_MS = 1_000_000

type Columns = dict[str, np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """What the strategy is told. `threshold` is the share of recent volume that must lean one way."""

    size: float = 0.1
    half_life_seconds: float = 5.0
    threshold: float = 0.5
    cooldown_seconds: float = 5.0
    latency_ms: int = 5
    fee_rate: float = 0.0002
    gap_seconds: float = 60.0

    def to_json(self) -> dict[str, float]:
        """As the experiment's record keeps them."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """Trades and quotes of one instrument, each in the order received; times are capture times, int64 ns since 1970 UTC."""

    trade_time: np.ndarray
    trade_size: np.ndarray
    trade_side: np.ndarray
    quote_time: np.ndarray
    bid: np.ndarray
    ask: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """Trades and quotes as one sequence by capture time; of equal times quotes come first, then the order received."""

    time: np.ndarray
    flow: np.ndarray
    bid: np.ndarray
    ask: np.ndarray


def merge(market: Market) -> Events:
    """Merge by capture time (a stable sort), each event with the signed volume it traded and the best prices then in force.

    What comes before the first quote is left out.
    """
    time = np.concatenate([market.quote_time, market.trade_time])
    order = np.argsort(time, kind="stable")
    quotes = len(market.quote_time)
    last_quote = np.maximum.accumulate(np.where(order < quotes, np.arange(len(order)), -1))
    seen = last_quote >= 0
    quote = order[last_quote[seen]]
    flow = np.concatenate([np.zeros(quotes), market.trade_size * market.trade_side])
    return Events(time=time[order][seen], flow=flow[order][seen], bid=market.bid[quote], ask=market.ask[quote])


def orders(events: Events, parameters: Parameters) -> Columns:
    """Run the strategy: one row per market order, with its decision's time and its fill's time and price."""
    decided = list(_decisions(events, parameters))
    row = np.array([row for row, _ in decided], np.int64)
    change = np.array([change for _, change in decided], np.float64)
    is_buy = change > 0
    breaks = np.flatnonzero(np.diff(events.time) > parameters.gap_seconds * NS_PER_SECOND)
    stops = np.append(breaks, len(events.time) - 1)
    recorded_until = events.time[stops[np.searchsorted(stops, row)]]
    fill_time = np.minimum(events.time[row] + parameters.latency_ms * NS_PER_MS, recorded_until)
    met = np.maximum(row, np.searchsorted(events.time, fill_time, side="right") - 1)
    return {
        "time": events.time[row],
        "fill_time": fill_time,
        "side": np.where(is_buy, 1, -1).astype(np.int8),
        "size": np.abs(change),
        "price": np.where(is_buy, events.ask[met], events.bid[met]),
    }


def _decisions(events: Events, parameters: Parameters) -> Iterator[tuple[int, float]]:
    """At which event the position changes, and by how much."""
    rate = math.log(2) / (parameters.half_life_seconds * NS_PER_SECOND)
    gap, cooldown = (int(seconds * NS_PER_SECOND) for seconds in (parameters.gap_seconds, parameters.cooldown_seconds))
    flow = volume = position = 0.0
    times = events.time.tolist()
    last = last_trade = times[0] if times else 0
    ready = last + cooldown
    for row, (time, traded) in enumerate(zip(times, events.flow.tolist(), strict=True)):
        if time - last > gap:  # nothing was recorded in between: be flat, and start afresh
            if position:
                yield row - 1, -position
            flow = volume = position = 0.0
            ready = time + cooldown
        last = time
        if not traded:
            continue
        kept = math.exp(-rate * (time - last_trade))
        flow, volume, last_trade = flow * kept + traded, volume * kept + abs(traded), time
        leaning = flow / volume
        if time >= ready and abs(leaning) > parameters.threshold and leaning * position <= 0:
            target = math.copysign(parameters.size, leaning)
            yield row, target - position
            position, ready = target, time + cooldown
    if position:
        yield len(times) - 1, -position


def equity_curve(events: Events, filled: Columns, parameters: Parameters) -> Columns:
    """Position, balance and equity at the end of every second that has an event, marked at the middle of the best prices."""
    ends = np.flatnonzero(np.diff(events.time // NS_PER_SECOND, append=-1))
    time = events.time[ends]
    upto = np.searchsorted(filled["fill_time"], time, side="right")
    value = filled["size"] * filled["price"]
    running = {
        "position": filled["size"] * filled["side"],
        "balance": -value * filled["side"],
        "fee": value * parameters.fee_rate,
        "trading_volume": filled["size"],
        "trading_value": value,
    }
    curve = {name: np.concatenate([[0.0], np.cumsum(steps)])[upto] for name, steps in running.items()}
    price = (events.bid[ends] + events.ask[ends]) / 2
    curve |= {"time": time, "price": price, "num_trades": upto}
    curve["equity"] = curve["balance"] + curve["position"] * price - curve["fee"]
    return curve


def metrics(curve: Columns, filled: Columns) -> dict[str, float]:
    """A few figures of a run."""
    equity = curve["equity"]
    if not len(equity):
        return {"orders": 0.0, "profit": 0.0, "fees": 0.0, "max_drawdown": 0.0}
    return {
        "orders": float(len(filled["time"])),
        "profit": float(equity[-1]),
        "fees": float(curve["fee"][-1]),
        "max_drawdown": float((np.maximum.accumulate(np.maximum(equity, 0.0)) - equity).max()),
    }
