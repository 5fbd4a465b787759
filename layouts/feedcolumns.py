"""What shipped schemas are put together from: kinds of columns, and the vocabularies they share."""

from typing import Any, Literal

import msgspec

from layouts.columns import Clock, Column, Kind
from layouts.problems import InvalidInput, Problem
from layouts.schema import Order, Schema, parse_schema
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
ORDER_ACTION: Vocabulary = (("add", 1), ("modify", 2), ("cancel", 3), ("clear", 4), ("trade", 5), ("fill", 6))
ORIGIN: Vocabulary = (("venue", 1), ("rebuilt", 2))
OPTION_KIND: Vocabulary = (("call", 1), ("put", 2))
# The values that DBN and Nautilus give to a market's states.
STATUS: Vocabulary = (
    ("none", 0),
    ("pre_open", 1),
    ("pre_cross", 2),
    ("quoting", 3),
    ("cross", 4),
    ("rotation", 5),
    ("new_price_indication", 6),
    ("trading", 7),
    ("halt", 8),
    ("pause", 9),
    ("suspend", 10),
    ("pre_close", 11),
    ("close", 12),
    ("post_close", 13),
    ("short_sell_restriction_change", 14),
    ("not_available_for_trading", 15),
)
DIRECTION: Vocabulary = (("recv", 1), ("send", 2), ("http", 3), ("connect", 4), ("disconnect", 5))


class Numbers(msgspec.Struct, frozen=True):
    """How prices and sizes are kept: float64, perhaps telling their decimal places, or decimals of (price, size) places."""

    decimal_places: tuple[int, int] | None = None
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
        attributes = {} if self.decimal_places is None else {"decimal_places": self.decimal_places[which]}
        return Column(name=name, nullable=nullable, description=description, attributes=attributes)


def numbers_as(decimal_places: Any, decimals: Any) -> Numbers:
    """How a schema keeps prices and sizes, checked; `decimal_places` may be one number, or a pair as `decimals` is."""
    if decimal_places is not None and decimals is not None:
        raise InvalidInput(Problem("decimals", "decimals tell their places themselves; drop decimal_places"))
    if isinstance(decimal_places, int):
        decimal_places = (decimal_places, decimal_places)
    return Numbers(_pair("decimal_places", decimal_places), _pair("decimals", decimals))


def _pair(name: str, value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    if isinstance(value, tuple | list) and len(value) == 2 and all(type(places) is int and places >= 0 for places in value):
        return value[0], value[1]
    raise InvalidInput(Problem(name, f"{value!r} must be the digits after the point of (prices, sizes)"))


def time_column(name: str, clock: Clock, description: str, *, nullable: bool = False) -> Column:
    """A clock of the market, the venue or ourselves."""
    return Column(name=name, kind=Kind.TIME, clock=clock, nullable=nullable, description=description)


def integer_column(name: str, description: str, *, dtype: str = "uint64", nullable: bool = False, unit: str | None = None) -> Column:
    """A whole number, 64 bits without sign unless told."""
    return Column(name=name, dtype=dtype, nullable=nullable, unit=unit, description=description)


def label_column(name: str, description: str, *, nullable: bool = False) -> Column:
    """One of few texts, which needn't be known beforehand: codes and their labels."""
    return Column(name=name, kind=Kind.DICTIONARY, nullable=nullable, description=description)


def instrument_column() -> Column:
    """Whose row it is, in datasets of many instruments."""
    return label_column("instrument", "the venue's symbol")


def vocabulary_column(name: str, vocabulary: Vocabulary, description: str, *, nullable: bool = False) -> Column:
    """One of a closed list of meanings."""
    return Column(name=name, kind=Kind.VOCABULARY, vocabulary=vocabulary, nullable=nullable, description=description)


def boolean_column(name: str, description: str, *, nullable: bool = False) -> Column:
    """Yes or no."""
    return Column(name=name, dtype="bool", nullable=nullable, description=description)


def number_column(name: str, description: str, *, nullable: bool = False, unit: str | None = None) -> Column:
    """A float64 that is neither a price nor a size."""
    return Column(name=name, nullable=nullable, unit=unit, description=description)


def identifier_column(name: str, identifiers: str, description: str, *, nullable: bool = False) -> Column:
    """An identifier: text as the venue writes it, or a number where all of them are."""
    if identifiers == "uint64":
        return integer_column(name, description, nullable=nullable)
    if identifiers == "text":
        return Column(name=name, kind=Kind.TEXT, nullable=nullable, description=description)
    raise InvalidInput(Problem("identifiers", f"{identifiers!r} must be 'text' or 'uint64'"))


def flags_column() -> Column:
    """What a row is, bit by bit."""
    return Column(name="flags", kind=Kind.FLAGS, vocabulary=FLAGS, description="what the feed or the recorder says about the row")


def feed_schema(
    name: str,
    *columns: Column,
    axis: str = "time",
    order: Order,
    window: WindowLength = WindowLength.DAY,
    attributes: dict[str, Any] | None = None,
) -> Schema:
    """A shipped schema, checked as a user's own would be."""
    return parse_schema(Schema(name=name, columns=columns, axis=axis, order=order, window=window, attributes=attributes or {}))


def market_schema(
    name: str,
    *columns: Column,
    clock: str,
    all_instruments: bool,
    window: WindowLength = WindowLength.DAY,
) -> Schema:
    """A market data schema: the columns that all of them have first, then its own."""
    if clock not in ("capture", "exchange"):
        raise InvalidInput(
            Problem("clock", f"{clock!r} must be 'capture' (recorded by us) or 'exchange' (delivered without a capture time)")
        )
    captured = clock == "capture"
    prefix = market_columns(captured=captured, all_instruments=all_instruments)
    return feed_schema(name, *prefix, *columns, order=Order.ARRIVAL if captured else Order.TIME, window=window)


def market_columns(*, captured: bool = True, all_instruments: bool = False) -> tuple[Column, ...]:
    """What market data begin with: their clocks, the recorder's number, and in datasets of many instruments the instrument."""
    return (
        time_column("time", Clock.AXIS, "when our recorder saw it" if captured else "the venue's matching time"),
        time_column("exchange_time", Clock.EXCHANGE, "the venue's matching time", nullable=True),
        time_column("publish_time", Clock.PUBLISH, "the venue's send time", nullable=True),
        time_column("capture_time", Clock.CAPTURE, "when our recorder saw it; null where that is the axis", nullable=True),
        integer_column("capture_sequence", "the recorder's running number", nullable=True),
        *((instrument_column(),) if all_instruments else ()),
    )
