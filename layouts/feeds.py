"""The schemas we ship: market data, raw messages, execution records and results of runs. Users' own stand on equal terms."""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, Literal

import msgspec

from layouts.columns import Clock, Column, Kind
from layouts.problems import InvalidInput, Problem
from layouts.schema import Order, Schema, parse_schema
from layouts.times import MINUTE, parse_duration
from layouts.windows import WindowLength

type Identifiers = Literal["text", "uint64"]
type MarketClock = Literal["capture", "exchange"]
type Places = int | tuple[int, int] | None
type Vocabulary = tuple[tuple[str, int], ...]

SIDE: Vocabulary = (("buy", 1), ("sell", -1), ("none", 0))
FLAGS: Vocabulary = (
    ("last", 128),
    ("top_of_book", 64),
    ("snapshot", 32),
    ("by_price", 16),
    ("bad_receive_time", 8),
    ("maybe_bad_book", 4),
    ("publisher_specific", 2),
)
ACTION: Vocabulary = (("set", 1), ("delete", 2), ("clear", 3))
DIRECTION: Vocabulary = (("recv", 1), ("send", 2), ("http", 3), ("connect", 4), ("disconnect", 5))


class Numbers(msgspec.Struct, frozen=True):
    """How prices and sizes are kept: float64, perhaps telling their decimal places, or decimals of (price, size) places."""

    decimal_places: Places = None
    decimals: tuple[int, int] | None = None

    def price(self, name: str, description: str, *, nullable: bool = False) -> Column:
        """A column of prices."""
        return self._column(0, name, description, nullable)

    def size(self, name: str, description: str, *, nullable: bool = False) -> Column:
        """A column of sizes."""
        return self._column(1, name, description, nullable)

    def _column(self, which: int, name: str, description: str, nullable: bool) -> Column:  # noqa: FBT001 - called above only
        if self.decimals is not None:
            return Column(name=name, kind=Kind.DECIMAL, places=self.decimals[which], nullable=nullable, description=description)
        places = self.decimal_places[which] if isinstance(self.decimal_places, tuple) else self.decimal_places
        attributes = {} if places is None else {"decimal_places": places}
        return Column(name=name, nullable=nullable, description=description, attributes=attributes)


def raw_messages() -> Schema:
    """Venue messages exactly as received, in arrival order."""
    return _schema(
        "raw_messages",
        _time("time", Clock.AXIS, "when our recorder saw or sent the message"),
        _integer("sequence", "the recorder's running number"),
        _vocabulary("direction", DIRECTION, "received, sent, fetched over http, or a connection's beginning and end"),
        _label("connection", "the connection it came through"),
        _label("channel", "the channel or stream it belongs to", nullable=True),
        _label("request", "the request it answers", nullable=True),
        _integer("monotonic_time", "the recorder's monotonic clock", dtype="int64", nullable=True, unit="ns"),
        _label("encoding", "how to read the payload, such as json"),
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
    numbers = Numbers(decimal_places, decimals)
    return _market(
        "trades",
        clock,
        all_instruments,
        numbers.price("price", "price traded at"),
        numbers.size("size", "size traded"),
        _vocabulary("side", SIDE, "the aggressor's side"),
        _identifier("trade_id", identifiers, "the venue's number of the trade", nullable=True),
        _integer("sequence", "the venue's sequence number", nullable=True),
        _label("condition", "the venue's sale condition", nullable=True),
        _flags(),
    )


def quotes(
    *,
    clock: MarketClock = "capture",
    all_instruments: bool = False,
    decimal_places: Places = None,
    decimals: tuple[int, int] | None = None,
) -> Schema:
    """Best bid and ask; a side that is empty is null."""
    numbers = Numbers(decimal_places, decimals)
    return _market(
        "quotes",
        clock,
        all_instruments,
        numbers.price("bid_price", "best bid", nullable=True),
        numbers.size("bid_size", "size at the best bid", nullable=True),
        numbers.price("ask_price", "best ask", nullable=True),
        numbers.size("ask_size", "size at the best ask", nullable=True),
        _integer("bid_count", "orders at the best bid", dtype="uint32", nullable=True),
        _integer("ask_count", "orders at the best ask", dtype="uint32", nullable=True),
        _integer("sequence", "the venue's sequence number", nullable=True),
        _flags(),
    )


def book_updates(
    *,
    clock: MarketClock = "capture",
    all_instruments: bool = False,
    decimal_places: Places = None,
    decimals: tuple[int, int] | None = None,
) -> Schema:
    """Changes of an order book by price (L2); a resync is a `clear` per side followed by rows flagged `snapshot`."""
    numbers = Numbers(decimal_places, decimals)
    return _market(
        "book_updates",
        clock,
        all_instruments,
        _vocabulary("action", ACTION, "set a level's size, delete the level, or clear a side (null price: all of it)"),
        _vocabulary("side", SIDE, "side of the book: buy is bid, sell is ask"),
        numbers.price("price", "price of the level; of a clear its bound", nullable=True),
        numbers.size("size", "the level's new size", nullable=True),
        _integer("order_count", "orders at the level", dtype="uint32", nullable=True),
        _integer("first_sequence", "the venue's first sequence number in the update", nullable=True),
        _integer("sequence", "the venue's last sequence number in the update", nullable=True),
        _integer("previous_sequence", "the venue's last sequence number of the update before", nullable=True),
        _flags(),
    )


def bars(
    interval: str = "1m",
    price_type: str = "trade",
    *,
    decimal_places: Places = None,
    decimals: tuple[int, int] | None = None,
) -> Schema:
    """Bars of an interval such as `1m`; those below a minute lie in windows of a day. Replay and as-of use `close_time`."""
    numbers = Numbers(decimal_places, decimals)
    return _schema(
        "bars",
        _time("open_time", Clock.AXIS, "when the bar begins"),
        _time("close_time", Clock.OTHER, "when the bar ends, and is known"),
        numbers.price("open", "first price"),
        numbers.price("high", "highest price"),
        numbers.price("low", "lowest price"),
        numbers.price("close", "last price"),
        numbers.size("volume", "size traded"),
        Column(name="turnover", nullable=True, description="value traded, in the quote currency"),
        Column(name="vwap", nullable=True, description="average price weighted by size"),
        _integer("trade_count", "number of trades", nullable=True),
        numbers.size("buy_volume", "size traded by buying aggressors", nullable=True),
        Column(name="is_revision", dtype="bool", description="whether this corrects a bar given before"),
        axis="open_time",
        order=Order.TIME,
        window=WindowLength.DAY if parse_duration(interval, "interval") < MINUTE else WindowLength.YEAR,
        attributes={"interval": interval, "price_type": price_type},
    )


def order_events(
    *,
    identifiers: Identifiers = "text",
    decimal_places: Places = None,
    decimals: tuple[int, int] | None = None,
) -> Schema:
    """What happened to orders, as the trader saw it; no transition is checked."""
    numbers = Numbers(decimal_places, decimals)
    return _schema(
        "order_events",
        *_record(),
        _time("exchange_time", Clock.EXCHANGE, "the venue's matching time", nullable=True),
        _label("account", "account traded for"),
        _label("strategy", "strategy that trades"),
        _label("instrument", "instrument traded"),
        _identifier("client_order_id", identifiers, "our number of the order"),
        _identifier("venue_order_id", identifiers, "the venue's number of the order", nullable=True),
        _identifier("parent_order_id", identifiers, "our number of the order it is part of", nullable=True),
        _label("exec_type", "what happened, such as new, trade, canceled or rejected"),
        _label("status", "the order's state afterwards"),
        _vocabulary("side", SIDE, "side of the order"),
        _label("type", "limit, market, stop, …"),
        _label("tif", "time in force, such as gtc or ioc"),
        numbers.price("price", "limit price", nullable=True),
        numbers.price("trigger_price", "price that triggers it", nullable=True),
        numbers.size("size", "size ordered"),
        numbers.size("filled", "size filled so far"),
        numbers.size("leaves", "size still open"),
        Column(name="average_price", nullable=True, description="average price of what is filled"),
        Column(name="post_only", dtype="bool", description="whether it may only make liquidity"),
        Column(name="reduce_only", dtype="bool", description="whether it may only reduce a position"),
        _label("reason", "why, in the venue's or our words", nullable=True),
        Column(name="reconciliation", dtype="bool", description="whether it was learnt from a query afterwards, not from the event"),
        order=Order.ARRIVAL,
    )


def fills(
    *,
    identifiers: Identifiers = "text",
    decimal_places: Places = None,
    decimals: tuple[int, int] | None = None,
) -> Schema:
    """Executions of our orders; busts and corrections name the fill they refer to."""
    numbers = Numbers(decimal_places, decimals)
    return _schema(
        "fills",
        *_record(),
        _time("exchange_time", Clock.EXCHANGE, "the venue's matching time", nullable=True),
        _time("capture_time", Clock.CAPTURE, "when our recorder saw it", nullable=True),
        _label("account", "account traded for"),
        _label("strategy", "strategy that trades"),
        _label("instrument", "instrument traded"),
        _identifier("client_order_id", identifiers, "our number of the order", nullable=True),
        _identifier("venue_order_id", identifiers, "the venue's number of the order", nullable=True),
        _identifier("fill_id", identifiers, "the venue's number of the fill"),
        _identifier("ref_fill_id", identifiers, "the fill that this busts or corrects", nullable=True),
        _vocabulary("side", SIDE, "our side"),
        numbers.price("price", "price filled at"),
        numbers.size("size", "size filled"),
        Column(name="fee", nullable=True, description="fee paid; a rebate is negative"),
        _label("fee_currency", "currency of the fee", nullable=True),
        _label("liquidity", "maker or taker", nullable=True),
        _identifier("position_id", identifiers, "the position it belongs to", nullable=True),
        order=Order.ARRIVAL,
    )


def equity() -> Schema:
    """The state of an account through a run: hftbacktest's record, and equity."""
    return _schema(
        "equity",
        _time("time", Clock.AXIS, "when the state was taken"),
        _label("instrument", "instrument; null for the whole account", nullable=True),
        Column(name="price", description="price the position is valued at"),
        Column(name="position", description="signed size held"),
        Column(name="balance", description="cash, without fees"),
        Column(name="fee", description="fees paid so far"),
        _integer("num_trades", "trades so far", dtype="int64"),
        Column(name="trading_volume", description="size traded so far"),
        Column(name="trading_value", description="value traded so far"),
        Column(name="equity", description="balance and value of the position, less fees"),
        _label("currency", "currency of all values"),
        order=Order.TIME,
        window=WindowLength.WHOLE,
    )


def metrics() -> Schema:
    """Named numbers of a run over time."""
    return _schema(
        "metrics",
        _time("time", Clock.AXIS, "when the value was logged"),
        _label("name", "what it measures"),
        Column(name="value", description="the number"),
        order=Order.TIME,
        window=WindowLength.WHOLE,
    )


#: The shipped schemas by name; each is a function, whose options are its own.
SCHEMAS: Mapping[str, Callable[..., Schema]] = MappingProxyType(
    {function.__name__: function for function in (raw_messages, trades, quotes, book_updates, bars, order_events, fills, equity, metrics)},
)


def schema_by_name(name: str, **options: Any) -> Schema:
    """A shipped schema, with the options its function takes."""
    if name not in SCHEMAS:
        nearest = get_close_matches(str(name), SCHEMAS, 1)
        advice = f"did you mean {nearest[0]!r}?" if nearest else f"there are {', '.join(SCHEMAS)}"
        raise InvalidInput(Problem("schema", f"no schema {name!r} is shipped; {advice}"))
    return SCHEMAS[name](**options)


def _schema(
    name: str,
    *columns: Column,
    axis: str = "time",
    order: Order,
    window: WindowLength = WindowLength.DAY,
    attributes: dict[str, Any] | None = None,
) -> Schema:
    return parse_schema(Schema(name=name, columns=columns, axis=axis, order=order, window=window, attributes=attributes or {}))


def _market(name: str, clock: str, all_instruments: bool, *columns: Column) -> Schema:  # noqa: FBT001 - called above only
    """A market data schema: the common prefix, then its own columns."""
    if clock not in ("capture", "exchange"):
        raise InvalidInput(
            Problem("clock", f"{clock!r} must be 'capture' (recorded by us) or 'exchange' (delivered without a capture time)")
        )
    captured = clock == "capture"
    prefix = (
        _time("time", Clock.AXIS, "when our recorder saw it" if captured else "the venue's matching time"),
        _time("exchange_time", Clock.EXCHANGE, "the venue's matching time", nullable=True),
        _time("publish_time", Clock.PUBLISH, "the venue's send time", nullable=True),
        _time("capture_time", Clock.CAPTURE, "when our recorder saw it; null where that is the axis", nullable=True),
        _integer("capture_sequence", "the recorder's running number", nullable=True),
    )
    instruments = (_label("instrument", "the venue's symbol"),) if all_instruments else ()
    return _schema(name, *prefix, *instruments, *columns, order=Order.ARRIVAL if captured else Order.TIME)


def _record() -> tuple[Column, Column]:
    return (
        _time("time", Clock.AXIS, "the trader's own clock"),
        _integer("sequence", "running number within the session, without gaps"),
    )


def _time(name: str, clock: Clock, description: str, *, nullable: bool = False) -> Column:
    return Column(name=name, kind=Kind.TIME, clock=clock, nullable=nullable, description=description)


def _integer(name: str, description: str, *, dtype: str = "uint64", nullable: bool = False, unit: str | None = None) -> Column:
    return Column(name=name, dtype=dtype, nullable=nullable, unit=unit, description=description)


def _label(name: str, description: str, *, nullable: bool = False) -> Column:
    return Column(name=name, kind=Kind.DICTIONARY, nullable=nullable, description=description)


def _vocabulary(name: str, vocabulary: Vocabulary, description: str) -> Column:
    return Column(name=name, kind=Kind.VOCABULARY, vocabulary=vocabulary, description=description)


def _flags() -> Column:
    return Column(name="flags", kind=Kind.FLAGS, vocabulary=FLAGS, description="what the feed or the recorder says about the row")


def _identifier(name: str, identifiers: str, description: str, *, nullable: bool = False) -> Column:
    if identifiers == "uint64":
        return _integer(name, description, nullable=nullable)
    if identifiers == "text":
        return Column(name=name, kind=Kind.TEXT, nullable=nullable, description=description)
    raise InvalidInput(Problem("identifiers", f"{identifiers!r} must be 'text' or 'uint64'"))
