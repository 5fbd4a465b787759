"""Shipped schemas of what instruments are: definitions, names, corporate actions, status."""

from layouts.columns import Clock, Column, Kind
from layouts.feedcolumns import (
    OPTION_KIND,
    STATUS,
    MarketClock,
    Places,
    boolean_column,
    feed_schema,
    identifier_column,
    integer_column,
    label_column,
    market_schema,
    number_column,
    numbers_as,
    time_column,
    vocabulary_column,
)
from layouts.schema import Order, Schema
from layouts.windows import WindowLength

INSTRUMENT_UID = "the instrument's stable identity, whatever it is called"


def instrument_definitions(*, decimal_places: Places = None, decimals: tuple[int, int] | None = None) -> Schema:
    """What instruments of a venue are, from when to when, and since when we know; a later row revises one of the same `valid_from`."""
    numbers = numbers_as(decimal_places, decimals)
    return feed_schema(
        "instrument_definitions",
        time_column("time", Clock.AXIS, "since when this is known"),
        time_column("valid_from", Clock.OTHER, "from when it holds"),
        time_column("valid_to", Clock.OTHER, "until when it holds; null: until further notice", nullable=True),
        label_column("instrument_uid", INSTRUMENT_UID),
        identifier_column("raw_symbol", "text", "the venue's own symbol"),
        label_column("class", "spot, perpetual, future, option, …"),
        label_column("base", "currency or asset that is traded"),
        label_column("quote", "currency of the price"),
        label_column("settlement", "currency that is paid in"),
        label_column("underlying", "what a derivative is of", nullable=True),
        boolean_column("is_inverse", "whether sizes are in the quote currency and payment in the base"),
        numbers.price("price_increment", "smallest step of prices"),
        numbers.size("size_increment", "smallest step of sizes"),
        integer_column("price_precision", "digits of prices after the point", dtype="int8"),
        integer_column("size_precision", "digits of sizes after the point", dtype="int8"),
        numbers.size("lot_size", "size of one lot"),
        number_column("multiplier", "what a size of 1 is worth, in units of the underlying"),
        numbers.size("min_size", "smallest size of an order", nullable=True),
        numbers.size("max_size", "largest size of an order", nullable=True),
        number_column("min_notional", "smallest value of an order", nullable=True),
        number_column("maker_fee", "fee for making liquidity, as a fraction; a rebate is negative", nullable=True),
        number_column("taker_fee", "fee for taking liquidity, as a fraction", nullable=True),
        number_column("margin_init", "initial margin, as a fraction", nullable=True),
        number_column("margin_maint", "maintenance margin, as a fraction", nullable=True),
        time_column("activation", Clock.OTHER, "when trading begins", nullable=True),
        time_column("expiry", Clock.OTHER, "when it expires", nullable=True),
        numbers.price("strike", "strike price of an option", nullable=True),
        vocabulary_column("option_kind", OPTION_KIND, "call or put", nullable=True),
        Column(name="info", kind=Kind.BYTES, nullable=True, description="the venue's own description, as received"),
        order=Order.TIME,
        window=WindowLength.YEAR,
    )


def symbology() -> Schema:
    """Which instrument a symbol names on a venue, from when to when, and since when we know.

    A later row revises one of the same instrument, venue, symbol and `valid_from`: so a name gets its end when it ends.
    """
    return feed_schema(
        "symbology",
        label_column("instrument_uid", INSTRUMENT_UID),
        label_column("venue", "venue that uses the symbol"),
        identifier_column("symbol", "text", "the venue's own symbol"),
        time_column("valid_from", Clock.OTHER, "from when it names the instrument"),
        time_column("valid_to", Clock.OTHER, "until when it does; null: until further notice", nullable=True),
        time_column("known_from", Clock.AXIS, "since when this is known"),
        axis="known_from",
        order=Order.TIME,
        window=WindowLength.YEAR,
    )


def corporate_actions() -> Schema:
    """Splits, dividends, mergers, changes of name; the store adjusts no price by them."""
    return feed_schema(
        "corporate_actions",
        label_column("instrument_uid", INSTRUMENT_UID),
        time_column("announced", Clock.OTHER, "when it was announced", nullable=True),
        time_column("ex_time", Clock.AXIS, "from when the instrument trades without it"),
        label_column("kind", "split, dividend, merger, rename, delisting, …"),
        number_column("ratio", "new units for each old one", nullable=True),
        number_column("cash", "amount paid for each old unit", nullable=True),
        label_column("currency", "currency of the amount", nullable=True),
        identifier_column("new_symbol", "text", "the symbol from then on", nullable=True),
        axis="ex_time",
        order=Order.TIME,
        window=WindowLength.YEAR,
    )


def instrument_status(*, clock: MarketClock = "capture", all_instruments: bool = False) -> Schema:
    """Whether an instrument trades: sessions, auctions, halts."""
    return market_schema(
        "instrument_status",
        vocabulary_column("action", STATUS, "the state that it goes to"),
        label_column("reason", "why, in the venue's words", nullable=True),
        boolean_column("is_trading", "whether it trades", nullable=True),
        boolean_column("is_quoting", "whether it is quoted", nullable=True),
        boolean_column("is_short_sell_restricted", "whether selling short is restricted", nullable=True),
        clock=clock,
        all_instruments=all_instruments,
        window=WindowLength.MONTH,
    )
