"""Seeded market data of any length: times in bursts, prices that walk on a grid of ticks, sizes with a heavy tail."""

import numpy as np

from arraystore import parse_time
from benchmarks.tables.base import Data

DAY = 86_400 * 10**9
START = parse_time("2024-08-08")
LEVELS = 20
ROUND_LOTS = np.array([0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 1, 2, 5, 10])


def trades(rows: int, seed: int = 0) -> Data:
    """Five columns, a day of so many rows: a perpetual's trades as a recorder sees them."""
    random = np.random.default_rng([1, rows, seed])
    time = _times(random, rows)
    side = _sides(random, rows)
    columns = {
        "time": time,
        "exchange_time": _exchange_times(random, time),
        "price": _mid_ticks(random, rows) / 10 + np.where(side > 0, 0.1, 0.0),
        "size": _sizes(random, rows),
        "side": side,
    }
    columns["price"] = np.rint(columns["price"] * 10) / 10
    return Data(name=_told("trades", rows), columns=columns)


def quotes(rows: int, seed: int = 0) -> Data:
    """Twelve columns, those of our schema `quotes`: the best bid and ask of a day."""
    random = np.random.default_rng([2, rows, seed])
    time = _times(random, rows)
    exchange = _exchange_times(random, time)
    bid = _mid_ticks(random, rows)
    columns = {
        "time": time,
        "exchange_time": exchange,
        "publish_time": exchange + random.integers(0, 3, rows) * 1_000_000,
        "capture_sequence": np.cumsum(random.integers(1, 4, rows)).astype(np.uint64),
        "bid_price": bid / 10,
        "bid_size": _sizes(random, rows),
        "ask_price": (bid + np.where(random.random(rows) < 0.93, 1, random.integers(2, 12, rows))) / 10,
        "ask_size": _sizes(random, rows),
        "bid_count": random.poisson(6, rows).astype(np.uint32) + np.uint32(1),
        "ask_count": random.poisson(6, rows).astype(np.uint32) + np.uint32(1),
        "sequence": (5_000_000_000 + np.cumsum(1 + random.pareto(1.5, rows).astype(np.int64))).astype(np.uint64),
        "flags": np.where(random.random(rows) < 0.002, 32, 0).astype(np.uint8),
    }
    return Data(name=_told("quotes", rows), columns=columns)


def top_of_book(rows: int, day_rows: int = 10_000_000) -> Data:
    """Five columns of quotes over as many days as it takes, made a day at a time: any number of rows in the memory they take."""
    names = ("time", "bid_price", "bid_size", "ask_price", "ask_size")
    columns: dict[str, np.ndarray] = {}
    for day, first in enumerate(range(0, rows, day_rows)):
        part = quotes(min(day_rows, rows - first), seed=day)
        for name in names:
            column = columns.setdefault(name, np.empty(rows, part.columns[name].dtype))
            column[first : first + part.rows] = part.columns[name]
        columns["time"][first : first + part.rows] += day * DAY
    return Data(name=_told("quotes", rows), columns=columns)


def books(rows: int) -> Data:
    """The best twenty levels of both sides: prices and sizes, two-dimensional."""
    random = np.random.default_rng([3, rows])
    time = _times(random, rows)
    bid = _mid_ticks(random, rows)
    steps = np.where(random.random((rows, LEVELS)) < 0.8, 1, random.integers(2, 6, (rows, LEVELS))).cumsum(axis=1) - 1
    columns = {"time": time}
    for side, prices in (("bid", bid[:, None] - steps), ("ask", bid[:, None] + 1 + steps)):
        sizes = _sizes(random, rows * LEVELS).reshape(rows, LEVELS)
        # Most levels are what they were: an update changes one or two of forty.
        kept = np.maximum.accumulate(np.where(random.random((rows, LEVELS)) < 0.05, np.arange(rows)[:, None], 0), axis=0)
        columns[f"{side}_price"] = prices / 10
        columns[f"{side}_size"] = np.take_along_axis(sizes, kept, axis=0)
    return Data(name=_told("books", rows), columns=columns)


def _told(what: str, rows: int) -> str:
    if rows >= 1_000_000:
        return f"{what}, {rows / 1e6:g} M rows"
    return f"{what}, {rows:,} rows"


def _times(random: np.random.Generator, rows: int) -> np.ndarray:
    """Ascending nanoseconds: three of four follow the one before within microseconds, the rest after a wait with a heavy tail."""
    gaps = np.where(random.random(rows) < 0.75, random.exponential(20e3, rows), random.lognormal(0, 1.6, rows) * 1e6)
    # Two busy spells a day: activity follows the hours when markets open.
    phase = np.linspace(0, 2 * np.pi, rows)
    gaps *= 1.6 + np.cos(2 * phase)
    return START + np.cumsum(gaps * (0.999 * DAY / gaps.sum())).astype(np.int64)


def _exchange_times(random: np.random.Generator, time: np.ndarray) -> np.ndarray:
    """The venue's milliseconds: one to several before the recorder saw it, never backwards."""
    latency = 1_000_000 + random.gamma(2.0, 600_000, len(time)).astype(np.int64)
    return np.maximum.accumulate((time - latency) // 1_000_000 * 1_000_000)


def _mid_ticks(random: np.random.Generator, rows: int) -> np.ndarray:
    """A walk in ticks that mostly stays where it is."""
    moves = np.array([-2, -1, 0, 1, 2])
    return 600_000 + np.cumsum(random.choice(moves, rows, p=[0.02, 0.08, 0.8, 0.08, 0.02]))


def _sides(random: np.random.Generator, rows: int) -> np.ndarray:
    """Buys and sells in runs."""
    turns = random.random(rows) < 0.3
    return np.where(np.cumsum(turns) % 2, 1, -1).astype(np.int8)


def _sizes(random: np.random.Generator, rows: int) -> np.ndarray:
    """Half of them round lots, the rest a Pareto tail on a grid of thousandths."""
    tail = np.minimum(1 + random.pareto(1.2, rows) * 40, 5e6).astype(np.int64) / 1000
    return np.where(random.random(rows) < 0.5, ROUND_LOTS[random.integers(0, len(ROUND_LOTS), rows)], tail)
