"""Shipped schemas of market data: raw messages, trades, quotes, bars, tickers of derivatives, liquidations."""

from layouts.columns import Clock, Column, Kind
from layouts.feedcolumns import (
    DIRECTION,
    SIDE,
    Identifiers,
    MarketClock,
    Places,
    boolean_column,
    feed_schema,
    flags_column,
    identifier_column,
    instrument_column,
    integer_column,
    label_column,
    market_schema,
    number_column,
    numbers_as,
    time_column,
    vocabulary_column,
)
from layouts.problems import InvalidInput, Problem
from layouts.schema import Order, Schema
from layouts.times import MINUTE, parse_duration
from layouts.windows import WindowLength


def raw_messages() -> Schema:
    """Venue messages exactly as received, in arrival order."""
    return feed_schema(
        "raw_messages",
        time_column("time", Clock.AXIS, "when our recorder saw or sent the message"),
        integer_column("sequence", "the recorder's running number"),
        vocabulary_column("direction", DIRECTION, "received, sent, fetched over http, or a connection's beginning and end"),
        label_column("connection", "the connection it came through"),
        label_column("channel", "the channel or stream it belongs to", nullable=True),
        label_column("request", "the request it answers", nullable=True),
        integer_column("monotonic_time", "the recorder's monotonic clock", dtype="int64", nullable=True, unit="ns"),
        label_column("encoding", "how to read the payload, such as json"),
        Column(name="payload", kind=Kind.BYTES, description="the message's bytes"),
        order=Order.ARRIVAL,
    )


def trades(
    *,
    identifiers: Identifiers = "text",
    clock: MarketClock = "capture",
    all_instruments: bool = False,
    decimal_places: Places = None,
    decimals: tuple[int, int] | None = None,
) -> Schema:
    """Trades of one instrument (or of all): price, size and the aggressor's side."""
    numbers = numbers_as(decimal_places, decimals)
    return market_schema(
        "trades",
        numbers.price("price", "price traded at"),
        numbers.size("size", "size traded"),
        vocabulary_column("side", SIDE, "the aggressor's side"),
        identifier_column("trade_id", identifiers, "the venue's number of the trade", nullable=True),
        integer_column("sequence", "the venue's sequence number", nullable=True),
        label_column("condition", "the venue's sale condition", nullable=True),
        flags_column(),
        clock=clock,
        all_instruments=all_instruments,
    )


def quotes(
    *,
    clock: MarketClock = "capture",
    all_instruments: bool = False,
    decimal_places: Places = None,
    decimals: tuple[int, int] | None = None,
) -> Schema:
    """Best bid and ask; a side that is empty is null."""
    numbers = numbers_as(decimal_places, decimals)
    return market_schema(
        "quotes",
        numbers.price("bid_price", "best bid", nullable=True),
        numbers.size("bid_size", "size at the best bid", nullable=True),
        numbers.price("ask_price", "best ask", nullable=True),
        numbers.size("ask_size", "size at the best ask", nullable=True),
        integer_column("bid_count", "orders at the best bid", dtype="uint32", nullable=True),
        integer_column("ask_count", "orders at the best ask", dtype="uint32", nullable=True),
        integer_column("sequence", "the venue's sequence number", nullable=True),
        flags_column(),
        clock=clock,
        all_instruments=all_instruments,
    )


def bars(
    interval: str = "1m",
    price_type: str = "trade",
    *,
    all_instruments: bool = False,
    decimal_places: Places = None,
    decimals: tuple[int, int] | None = None,
) -> Schema:
    """Bars of an interval such as `1m`; those below a minute lie in windows of a day. Replay and as-of use `close_time`."""
    numbers = numbers_as(decimal_places, decimals)
    length = parse_duration(interval, "interval")
    if not length:
        raise InvalidInput(Problem("interval", f"{interval!r} is no time at all; give the length of a bar, such as '1m'"))
    return feed_schema(
        "bars",
        time_column("open_time", Clock.AXIS, "when the bar begins"),
        time_column("close_time", Clock.OTHER, "when the bar ends, and is known"),
        *((instrument_column(),) if all_instruments else ()),
        numbers.price("open", "first price"),
        numbers.price("high", "highest price"),
        numbers.price("low", "lowest price"),
        numbers.price("close", "last price"),
        numbers.size("volume", "size traded"),
        number_column("turnover", "value traded, in the quote currency", nullable=True),
        number_column("vwap", "average price weighted by size", nullable=True),
        integer_column("trade_count", "number of trades", nullable=True),
        numbers.size("buy_volume", "size traded by buying aggressors", nullable=True),
        boolean_column("is_revision", "whether this corrects a bar given before"),
        axis="open_time",
        order=Order.TIME,
        window=WindowLength.DAY if length < MINUTE else WindowLength.YEAR,
        attributes={"interval": interval, "price_type": price_type},
    )


def derivative_ticker(
    *,
    clock: MarketClock = "capture",
    all_instruments: bool = False,
    decimal_places: Places = None,
    decimals: tuple[int, int] | None = None,
) -> Schema:
    """What a venue tells of a derivative beside its book: mark and index price, funding, open interest."""
    numbers = numbers_as(decimal_places, decimals)
    return market_schema(
        "derivative_ticker",
        numbers.price("mark_price", "price that positions are marked at", nullable=True),
        numbers.price("index_price", "price of the underlying index", nullable=True),
        numbers.price("last_price", "price of the last trade", nullable=True),
        number_column("funding_rate", "rate of the current funding interval, as a fraction", nullable=True),
        number_column("predicted_funding_rate", "rate expected of the next funding interval, as a fraction", nullable=True),
        integer_column("funding_interval", "time from one funding to the next", dtype="int64", nullable=True, unit="ns"),
        time_column("next_funding_time", Clock.OTHER, "when funding is exchanged next", nullable=True),
        numbers.size("open_interest", "size of all open positions", nullable=True),
        clock=clock,
        all_instruments=all_instruments,
    )


def liquidations(
    *,
    identifiers: Identifiers = "text",
    clock: MarketClock = "capture",
    all_instruments: bool = False,
    decimal_places: Places = None,
    decimals: tuple[int, int] | None = None,
) -> Schema:
    """Positions that the venue closed by force."""
    numbers = numbers_as(decimal_places, decimals)
    return market_schema(
        "liquidations",
        vocabulary_column("side", SIDE, "side of the order that closes the position"),
        numbers.price("price", "price of that order"),
        numbers.size("size", "size of that order"),
        identifier_column("order_id", identifiers, "the venue's number of that order", nullable=True),
        clock=clock,
        all_instruments=all_instruments,
    )
