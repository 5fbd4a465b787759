"""Bars from trades: intervals without a trade have none."""

import numpy as np

NS_PER_SECOND = 1_000_000_000
INTERVALS = {"1s": NS_PER_SECOND, "1m": 60 * NS_PER_SECOND}

type Columns = dict[str, np.ndarray]


def make_bars(time: np.ndarray, price: np.ndarray, size: np.ndarray, side: np.ndarray, interval_ns: int) -> Columns:
    """Aggregate trades by the interval their time (int64 ns) lies in; trades of equal time count in the order given.

    `open_time` starts the interval and `close_time` ends it; `buy_volume` is what aggressive buyers took.
    """
    order = np.argsort(time, kind="stable")
    bucket, price, size, side = time[order] // interval_ns, price[order], size[order], side[order]
    names = ("open", "high", "low", "close", "volume", "turnover", "buy_volume")
    starts = np.flatnonzero(np.diff(bucket, prepend=bucket[0] - 1)) if len(bucket) else np.array([], np.int64)
    if not len(starts):
        times = {"open_time": starts, "close_time": starts}
        return times | {name: np.array([], np.float64) for name in (*names, "vwap")} | {"trade_count": np.array([], np.uint64)}
    stops = np.append(starts[1:], len(bucket))
    volume, turnover = np.add.reduceat(size, starts), np.add.reduceat(price * size, starts)
    return {
        "open_time": bucket[starts] * interval_ns,
        "close_time": (bucket[starts] + 1) * interval_ns,
        "open": price[starts],
        "high": np.maximum.reduceat(price, starts),
        "low": np.minimum.reduceat(price, starts),
        "close": price[stops - 1],
        "volume": volume,
        "turnover": turnover,
        "vwap": turnover / volume,
        "trade_count": (stops - starts).astype(np.uint64),
        "buy_volume": np.add.reduceat(np.where(side > 0, size, 0.0), starts),
    }
