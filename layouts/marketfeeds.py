"""Shipped schemas of market data: raw messages, trades, quotes, book updates and bars."""

from typing import Literal

from layouts.columns import Clock, Column, Kind
from layouts.feedcolumns import (
    ACTION,
    DIRECTION,
    SIDE,
    Identifiers,
    Places,
    feed_schema,
    flags_column,
    identifier_column,
    integer_column,
    label_column,
    numbers_as,
    time_column,
    vocabulary_column,
)
from layouts.problems import InvalidInput, Problem
from layouts.schema import Order, Schema
from layouts.times import MINUTE, parse_duration
from layouts.windows import WindowLength

type MarketClock = Literal["capture", "exchange"]


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
    return _market(
        "trades",
        clock,
        all_instruments,
        numbers.price("price", "price traded at"),
        numbers.size("size", "size traded"),
        vocabulary_column("side", SIDE, "the aggressor's side"),
        identifier_column("trade_id", identifiers, "the venue's number of the trade", nullable=True),
        integer_column("sequence", "the venue's sequence number", nullable=True),
        label_column("condition", "the venue's sale condition", nullable=True),
        flags_column(),
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
    return _market(
        "quotes",
        clock,
        all_instruments,
        numbers.price("bid_price", "best bid", nullable=True),
        numbers.size("bid_size", "size at the best bid", nullable=True),
        numbers.price("ask_price", "best ask", nullable=True),
        numbers.size("ask_size", "size at the best ask", nullable=True),
        integer_column("bid_count", "orders at the best bid", dtype="uint32", nullable=True),
        integer_column("ask_count", "orders at the best ask", dtype="uint32", nullable=True),
        integer_column("sequence", "the venue's sequence number", nullable=True),
        flags_column(),
    )


def book_updates(
    *,
    clock: MarketClock = "capture",
    all_instruments: bool = False,
    decimal_places: Places = None,
    decimals: tuple[int, int] | None = None,
) -> Schema:
    """Changes of an order book by price (L2); a resync is a `clear` per side followed by rows flagged `snapshot`."""
    numbers = numbers_as(decimal_places, decimals)
    return _market(
        "book_updates",
        clock,
        all_instruments,
        vocabulary_column("action", ACTION, "set a level's size, delete the level, or clear a side (null price: all of it)"),
        vocabulary_column("side", SIDE, "side of the book: buy is bid, sell is ask"),
        numbers.price("price", "price of the level; of a clear its bound", nullable=True),
        numbers.size("size", "the level's new size", nullable=True),
        integer_column("order_count", "orders at the level", dtype="uint32", nullable=True),
        integer_column("first_sequence", "the venue's first sequence number in the update", nullable=True),
        integer_column("sequence", "the venue's last sequence number in the update", nullable=True),
        integer_column("previous_sequence", "the venue's last sequence number of the update before", nullable=True),
        flags_column(),
    )


def bars(
    interval: str = "1m",
    price_type: str = "trade",
    *,
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
        numbers.price("open", "first price"),
        numbers.price("high", "highest price"),
        numbers.price("low", "lowest price"),
        numbers.price("close", "last price"),
        numbers.size("volume", "size traded"),
        Column(name="turnover", nullable=True, description="value traded, in the quote currency"),
        Column(name="vwap", nullable=True, description="average price weighted by size"),
        integer_column("trade_count", "number of trades", nullable=True),
        numbers.size("buy_volume", "size traded by buying aggressors", nullable=True),
        Column(name="is_revision", dtype="bool", description="whether this corrects a bar given before"),
        axis="open_time",
        order=Order.TIME,
        window=WindowLength.DAY if length < MINUTE else WindowLength.YEAR,
        attributes={"interval": interval, "price_type": price_type},
    )


def _market(name: str, clock: str, all_instruments: bool, *columns: Column) -> Schema:  # noqa: FBT001 - called above only
    """A market data schema: the common prefix, then its own columns."""
    if clock not in ("capture", "exchange"):
        raise InvalidInput(
            Problem("clock", f"{clock!r} must be 'capture' (recorded by us) or 'exchange' (delivered without a capture time)")
        )
    captured = clock == "capture"
    prefix = (
        time_column("time", Clock.AXIS, "when our recorder saw it" if captured else "the venue's matching time"),
        time_column("exchange_time", Clock.EXCHANGE, "the venue's matching time", nullable=True),
        time_column("publish_time", Clock.PUBLISH, "the venue's send time", nullable=True),
        time_column("capture_time", Clock.CAPTURE, "when our recorder saw it; null where that is the axis", nullable=True),
        integer_column("capture_sequence", "the recorder's running number", nullable=True),
    )
    instruments = (label_column("instrument", "the venue's symbol"),) if all_instruments else ()
    return feed_schema(name, *prefix, *instruments, *columns, order=Order.ARRIVAL if captured else Order.TIME)
