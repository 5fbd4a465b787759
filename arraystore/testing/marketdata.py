"""Generated market data: raw messages, trades, quotes, bars, tickers, liquidations, status."""

import numpy as np

from arraystore.frames.columns import Labels, Ragged
from arraystore.testing.draws import FIRST_PRICE, MILLISECOND, Columns, Draw, matrix_of
from layouts.times import parse_duration

SECOND = 1000 * MILLISECOND
HOUR = 3600 * SECOND
SUBSCRIBE = b'{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}'
BLOCK_ROWS = 1 << 18


def raw_messages(draw: Draw) -> Columns:
    """A recorder's day: a connection, a subscription, trades as JSON, and now and then a request over HTTP."""
    times = draw.arrivals(5 * MILLISECOND)
    direction = draw.codes("direction", {"recv": 0.99, "send": 0.003, "http": 0.005, "connect": 0.001, "disconnect": 0.001})
    direction[:1] = draw.code("direction", "connect")
    silent = np.isin(direction, [draw.code("direction", "connect"), draw.code("direction", "disconnect")])
    return {
        "time": times,
        "sequence": np.arange(1, draw.count + 1, dtype=np.uint64),
        "direction": direction,
        "connection": draw.labels(("ws-1", "ws-2", "ws-3")),
        **draw.nullable("channel", draw.labels(("btcusdt@trade", "btcusdt@bookTicker", "btcusdt@depth@100ms")), silent),
        **draw.nullable("request", draw.labels(("GET /depth", "GET /time")), direction != draw.code("direction", "http")),
        **draw.nullable("monotonic_time", times - draw.start, 0.01),
        "encoding": Labels(np.zeros(draw.count, np.int32), ("json",)),
        "payload": _payloads(draw, times, np.where(silent, 0, direction)),
    }


def _payloads(draw: Draw, times: np.ndarray, direction: np.ndarray) -> Ragged:
    """Messages of three lengths: none, a subscription, a trade."""
    ticks, sizes, numbers = draw.walk(), draw.sizes(), np.arange(draw.count) + 10**11
    sent, counts, pieces = draw.code("direction", "send"), np.zeros(draw.count, np.int64), [np.empty(0, np.uint8)]
    for first in range(0, draw.count, BLOCK_ROWS):
        block = slice(first, first + BLOCK_ROWS)
        matrix = matrix_of(
            b'{"e":"trade","E":',
            (times[block] // MILLISECOND, 13),
            b',"s":"BTCUSDT","t":',
            (numbers[block], 12),
            b',"p":"',
            (ticks[block] // 100, 5),
            b".",
            (ticks[block] % 100, 2),
            b'","q":"',
            (sizes[block] // 1000 % 10, 1),
            b".",
            (sizes[block] % 1000, 3),
            b'"}',
            count=len(times[block]),
        )
        matrix[direction[block] == sent, : len(SUBSCRIBE)] = np.frombuffer(SUBSCRIBE, np.uint8)
        counts[block] = np.select([direction[block] == 0, direction[block] == sent], [0, len(SUBSCRIBE)], matrix.shape[1])
        pieces.append(matrix[np.arange(matrix.shape[1]) < counts[block, None]])
    return Ragged.from_counts(np.concatenate(pieces), counts, text=False)


def trades(draw: Draw) -> Columns:
    """Trades on ticks, with the numbers that a venue gives them."""
    codes = draw.market_codes()
    return {
        **draw.market(draw.arrivals(20 * MILLISECOND), codes),
        "price": draw.scaled("price", draw.walk(codes), 2),
        "size": draw.scaled("size", draw.sizes(), 3),
        "side": draw.codes("side", {"buy": 0.5, "sell": 0.49, "none": 0.01}),
        **draw.nullable("trade_id", draw.identifiers("trade_id", np.arange(draw.count)), 0.001),
        **draw.nullable("sequence", np.arange(draw.count, dtype=np.uint64) * 3, 0.01),
        **draw.nullable("condition", draw.labels(("block", "liquidation", "rfq")), 0.98),
        "flags": np.where(draw.chance(0.001), draw.flags("last", "bad_receive_time"), draw.flags("last")).astype(np.uint8),
    }


def quotes(draw: Draw) -> Columns:
    """Best bid and ask a few ticks apart; rarely a side is empty."""
    codes = draw.market_codes()
    bid = draw.walk(codes)
    no_bid, no_ask = draw.chance(0.001), draw.chance(0.001)
    return {
        **draw.market(draw.arrivals(5 * MILLISECOND), codes),
        **draw.nullable("bid_price", draw.scaled("bid_price", bid, 2), no_bid),
        **draw.nullable("bid_size", draw.scaled("bid_size", draw.sizes(), 3), no_bid),
        **draw.nullable("ask_price", draw.scaled("ask_price", bid + draw.random.geometric(0.7, draw.count), 2), no_ask),
        **draw.nullable("ask_size", draw.scaled("ask_size", draw.sizes(), 3), no_ask),
        **draw.nullable("bid_count", draw.random.integers(1, 50, draw.count, dtype=np.uint32), no_bid),
        **draw.nullable("ask_count", draw.random.integers(1, 50, draw.count, dtype=np.uint32), no_ask),
        **draw.nullable("sequence", np.arange(draw.count, dtype=np.uint64) * 7, 0.01),
        "flags": np.full(draw.count, draw.flags("last", "top_of_book"), np.uint8),
    }


def bars(draw: Draw) -> Columns:
    """One bar after the other from `start` on; some had no trades, a few are corrected."""
    interval = parse_duration(draw.schema.attributes["interval"])
    opens = draw.start // interval * interval + np.arange(draw.count) * interval
    codes = draw.market_codes()
    close = draw.walk(codes, step=40)
    begin = np.concatenate((close[:1], close[:-1]))
    high = np.maximum(begin, close) + draw.random.geometric(0.1, draw.count) - 1
    low = np.minimum(begin, close) - draw.random.geometric(0.1, draw.count) + 1
    volume = draw.sizes(50_000)
    prices = {"open": begin, "high": high, "low": low, "close": close}
    quiet = draw.chance(0.01)
    mean = (begin + close) / 200
    return {
        "open_time": opens,
        "close_time": opens + interval,
        **draw.labelled(codes),
        **{name: draw.scaled(name, ticks, 2) for name, ticks in prices.items()},
        "volume": draw.scaled("volume", np.where(quiet, 0, volume), 3),
        **draw.nullable("turnover", volume / 1000 * mean, quiet),
        **draw.nullable("vwap", mean, quiet),
        **draw.nullable("trade_count", (1 + volume // 300).astype(np.uint64), quiet),
        **draw.nullable("buy_volume", draw.scaled("buy_volume", (volume * draw.random.random(draw.count)).astype(np.int64), 3), quiet),
        "is_revision": draw.chance(0.002),
    }


def derivative_ticker(draw: Draw) -> Columns:
    """Mark and index price close together, funding every eight hours, not everything in every message."""
    codes = draw.market_codes()
    times, index = draw.arrivals(SECOND), draw.walk(codes)
    rates = np.round(draw.random.normal(1e-4, 5e-5, (2, draw.count)), 8)
    return {
        **draw.market(times, codes),
        **draw.nullable("mark_price", draw.scaled("mark_price", index + draw.random.integers(-20, 21, draw.count), 2), 0.1),
        **draw.nullable("index_price", draw.scaled("index_price", index, 2), 0.1),
        **draw.nullable("last_price", draw.scaled("last_price", index + draw.random.integers(-30, 31, draw.count), 2), 0.5),
        **draw.nullable("funding_rate", rates[0], 0.1),
        **draw.nullable("predicted_funding_rate", rates[1], 0.6),
        **draw.nullable("funding_interval", np.full(draw.count, 8 * HOUR), 0.1),
        **draw.nullable("next_funding_time", (times // (8 * HOUR) + 1) * (8 * HOUR), 0.1),
        **draw.nullable("open_interest", draw.scaled("open_interest", draw.walk(codes, 50, 1000 * FIRST_PRICE), 3), 0.7),
    }


def liquidations(draw: Draw) -> Columns:
    """Positions closed by force, some without a number."""
    codes = draw.market_codes()
    return {
        **draw.market(draw.arrivals(30 * SECOND), codes),
        "side": draw.codes("side", {"buy": 0.4, "sell": 0.6}),
        "price": draw.scaled("price", draw.walk(codes, 200), 2),
        "size": draw.scaled("size", draw.sizes(2000), 3),
        **draw.nullable("order_id", draw.identifiers("order_id", np.arange(draw.count)), 0.3),
    }


def instrument_status(draw: Draw) -> Columns:
    """Sessions and halts, a few a day."""
    shares = {"pre_open": 0.2, "trading": 0.5, "halt": 0.05, "pause": 0.05, "close": 0.2}
    action = draw.codes("action", shares)
    trading, known = action == draw.code("action", "trading"), draw.chance(0.1)
    return {
        **draw.market(draw.arrivals(5 * HOUR), draw.market_codes()),
        "action": action,
        **draw.nullable("reason", draw.labels(("scheduled", "news", "volatility")), trading | known),
        **draw.nullable("is_trading", trading, known),
        **draw.nullable("is_quoting", trading | (action == draw.code("action", "pre_open")), 0.2),
        **draw.nullable("is_short_sell_restricted", draw.chance(0.1), 0.5),
    }
