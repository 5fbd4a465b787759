"""Generated records of trading and of runs: orders, fills, positions, balances, equity, metrics, latencies."""

import numpy as np

from arraystore.frames.columns import Labels
from arraystore.testing.draws import INSTRUMENTS, MILLISECOND, Columns, Draw

SECOND = 1000 * MILLISECOND
ACCOUNTS = ("main", "hedge")
STRATEGIES = ("maker", "momentum")
CURRENCIES = ("USDT", "BTC", "BNB")
MOST_EVENTS = 5  # of one order


def order_events(draw: Draw) -> Columns:
    """Orders from `new` to their end, many at a time: filled in parts, canceled, or rejected at once."""
    events = draw.random.integers(1, MOST_EVENTS + 1, draw.count)
    order = np.repeat(np.arange(draw.count), events)[: draw.count]
    begins = np.concatenate(([0], np.cumsum(events)))[order]
    place, length = np.arange(draw.count) - begins, events[order]
    in_time = np.argsort(_of_orders(draw.arrivals(SECOND), order) + place * 900 * MILLISECOND, kind="stable")
    order, place, length = order[in_time], place[in_time], length[in_time]

    last, rejected = place == length - 1, length == 1
    canceled = ~rejected & (_of_orders(draw.random.random(draw.count), order) < 0.4)
    trades = np.minimum(place, length - 1 - canceled)
    size = _of_orders(draw.sizes(), order)
    filled = np.where(rejected, 0, size * trades // np.maximum(length - 1, 1))
    ends = [rejected, canceled & last, filled == size]
    ended = np.logical_or.reduce(ends)
    price = _of_orders(draw.walk(), order)
    market, stop = order % 10 == 0, order % 10 == 1
    happened = np.select([rejected, canceled & last, place > 0], [0, 1, 2], 3)
    return {
        "time": draw.arrivals(300 * MILLISECOND),
        "sequence": np.arange(1, draw.count + 1, dtype=np.uint64),
        **draw.nullable("exchange_time", draw.arrivals(300 * MILLISECOND) - 3 * MILLISECOND, rejected),
        **_whose(order),
        "instrument": _told(INSTRUMENTS, order % len(INSTRUMENTS)),
        "client_order_id": draw.identifiers("client_order_id", order, "c-"),
        **draw.nullable("venue_order_id", draw.identifiers("venue_order_id", order * 3), rejected),
        **draw.nullable("parent_order_id", draw.identifiers("parent_order_id", order // 20, "p-"), order % 4 > 0),
        "exec_type": _told(("rejected", "canceled", "trade", "new"), happened),
        "status": _told(("rejected", "canceled", "filled", "partially_filled", "new"), np.select([*ends, filled > 0], [0, 1, 2, 3], 4)),
        "side": np.where(order % 2 == 0, draw.code("side", "buy"), draw.code("side", "sell")).astype(np.int8),
        "type": _told(("limit", "market", "stop_limit"), np.where(market, 1, np.where(stop, 2, 0))),
        "tif": _told(("gtc", "ioc"), market.astype(np.int64)),
        **draw.nullable("price", draw.scaled("price", price, 2), market),
        **draw.nullable("trigger_price", draw.scaled("trigger_price", price - 100, 2), ~stop),
        "size": draw.scaled("size", size, 3),
        "filled": draw.scaled("filled", filled, 3),
        "leaves": draw.scaled("leaves", np.where(ended, 0, size - filled), 3),
        **draw.nullable("average_price", price / 100, filled == 0),
        "post_only": ~market & (order % 3 == 0),
        "reduce_only": order % 7 == 0,
        **draw.nullable("reason", _told(("insufficient margin", "would take liquidity"), order % 2), ~rejected),
        "reconciliation": draw.chance(0.001),
    }


def fills(draw: Draw) -> Columns:
    """Executions; one in a thousand busts the one before it."""
    numbers = np.arange(draw.count)
    times = draw.arrivals(2 * SECOND)
    busts = draw.chance(0.001) & (numbers > 0)
    return {
        "time": times,
        "sequence": (numbers + 1).astype(np.uint64),
        **draw.nullable("exchange_time", times - draw.delays(3 * MILLISECOND), 0.001),
        **draw.nullable("capture_time", times - draw.delays(MILLISECOND // 10), 0.5),
        **_whose(numbers // 3),
        "instrument": _told(INSTRUMENTS, draw.instruments()),
        **draw.nullable("client_order_id", draw.identifiers("client_order_id", numbers // 3, "c-"), 0.01),
        **draw.nullable("venue_order_id", draw.identifiers("venue_order_id", numbers // 3), 0.01),
        "fill_id": draw.identifiers("fill_id", numbers, "f-"),
        **draw.nullable("ref_fill_id", draw.identifiers("ref_fill_id", np.maximum(numbers - 1, 0), "f-"), ~busts),
        "side": draw.codes("side", {"buy": 0.5, "sell": 0.5}),
        "price": draw.scaled("price", draw.walk(), 2),
        "size": draw.scaled("size", draw.sizes(), 3),
        **draw.nullable("fee", np.round(draw.random.normal(0.01, 0.02, draw.count), 8), busts),
        **draw.nullable("fee_currency", draw.labels(CURRENCIES), busts),
        **draw.nullable("liquidity", draw.labels({"maker": 0.7, "taker": 0.3}), busts),
        **draw.nullable("position_id", draw.identifiers("position_id", numbers // 50, "pos-"), 0.3),
    }


def positions(draw: Draw) -> Columns:
    """Sizes that go up and down through zero, valued at a mark price."""
    held = draw.instruments()
    size, mark = draw.walk(held, 300, 0), draw.walk(held)
    entry, flat = mark + draw.random.integers(-500, 501, draw.count), size == 0
    return {
        "time": draw.arrivals(10 * SECOND),
        "sequence": np.arange(1, draw.count + 1, dtype=np.uint64),
        "account": _told(ACCOUNTS, held % len(ACCOUNTS)),
        "instrument": _told(INSTRUMENTS, held),
        "size": draw.scaled("size", size, 3),
        **draw.nullable("entry_price", draw.scaled("entry_price", entry, 2), flat | draw.chance(0.01)),
        **draw.nullable("mark_price", draw.scaled("mark_price", mark, 2), 0.05),
        **draw.nullable("unrealized_pnl", size / 1000 * (mark - entry) / 100, 0.05),
        **draw.nullable("realized_pnl", np.round(draw.random.normal(0, 100, draw.count), 8), 0.05),
        "currency": _told(CURRENCIES[:1], np.zeros(draw.count, np.int64)),
    }


def balances(draw: Draw) -> Columns:
    """What accounts have of three currencies, change by change."""
    which = draw.random.integers(0, len(ACCOUNTS) * len(CURRENCIES), draw.count)
    total = draw.walk(which, 1000, 10**9)
    locked = draw.random.integers(0, 10**6, draw.count)
    known = draw.chance(0.05)
    return {
        "time": draw.arrivals(10 * SECOND),
        "sequence": np.arange(1, draw.count + 1, dtype=np.uint64),
        "account": _told(ACCOUNTS, which % len(ACCOUNTS)),
        "currency": _told(CURRENCIES, which // len(ACCOUNTS)),
        "total": total / 1000,
        **draw.nullable("available", (total - locked) / 1000, known),
        **draw.nullable("locked", locked / 1000, known),
        **draw.nullable("change", draw.random.integers(-1000, 1001, draw.count) / 1000, 0.05),
        **draw.nullable("reason", draw.labels({"trade": 0.6, "fee": 0.3, "funding": 0.08, "deposit": 0.02}), 0.05),
    }


def equity(draw: Draw) -> Columns:
    """A backtest's account, minute by minute."""
    price, traded = draw.walk() / 100, draw.random.poisson(2, draw.count)
    position = draw.walk(step=5, base=0) / 1000
    change = np.diff(position, prepend=0.0)
    balance, fee = 1e6 - np.cumsum(change * price), np.cumsum(traded) * 0.02
    volume = np.cumsum(np.abs(change))
    return {
        "time": draw.start + np.arange(draw.count) * 60 * SECOND,
        **draw.nullable("instrument", draw.labels(INSTRUMENTS[:1]), 0.01),
        "price": price,
        "position": position,
        "balance": balance,
        "fee": fee,
        "num_trades": np.cumsum(traded),
        "trading_volume": volume,
        "trading_value": np.cumsum(np.abs(change) * price),
        "equity": balance + position * price - fee,
        "currency": _told(CURRENCIES[:1], np.zeros(draw.count, np.int64)),
    }


def metrics(draw: Draw) -> Columns:
    """A few numbers over and over."""
    return {
        "time": draw.arrivals(SECOND),
        "name": draw.labels(("sharpe", "max_drawdown", "turnover")),
        "value": draw.random.normal(1, 0.5, draw.count),
    }


def order_latency(draw: Draw) -> Columns:
    """Requests that took milliseconds; one in a thousand was refused, which hftbacktest wants as exchange time 0."""
    sent, entry, response = draw.arrivals(SECOND), draw.delays(4 * MILLISECOND), draw.delays(3 * MILLISECOND)
    return {
        "request_time": sent,
        "exchange_time": np.where(draw.chance(0.001), 0, sent + entry),
        "response_time": sent + entry + response,
    }


def _of_orders(values: np.ndarray, order: np.ndarray) -> np.ndarray:
    """What an order has of a draw per order."""
    own: np.ndarray = values[order]
    return own


def _told(labels: tuple[str, ...], codes: np.ndarray) -> Labels:
    return Labels(codes.astype(np.int32), labels)


def _whose(order: np.ndarray) -> Columns:
    return {"account": _told(ACCOUNTS, order % len(ACCOUNTS)), "strategy": _told(STRATEGIES, order // 2 % len(STRATEGIES))}
