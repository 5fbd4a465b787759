"""Shipped schemas of order books: updates by price, snapshots, and events by order."""

import msgspec

from layouts.columns import Column
from layouts.feedcolumns import (
    ACTION,
    ORDER_ACTION,
    ORIGIN,
    SIDE,
    Identifiers,
    MarketClock,
    Places,
    flags_column,
    identifier_column,
    integer_column,
    market_schema,
    numbers_as,
    vocabulary_column,
)
from layouts.problems import InvalidInput, Problem
from layouts.schema import Schema

LEVELS_LIMIT = 10_000


def book_updates(
    *,
    clock: MarketClock = "capture",
    all_instruments: bool = False,
    decimal_places: Places = None,
    decimals: tuple[int, int] | None = None,
) -> Schema:
    """Changes of an order book by price (L2); a resync is a `clear` per side followed by rows flagged `snapshot`."""
    numbers = numbers_as(decimal_places, decimals)
    return market_schema(
        "book_updates",
        vocabulary_column("action", ACTION, "set a level's size, delete the level, or clear a side (null price: all of it)"),
        vocabulary_column("side", SIDE, "side of the book: buy is bid, sell is ask"),
        numbers.price("price", "price of the level; of a clear its bound", nullable=True),
        numbers.size("size", "the level's new size", nullable=True),
        integer_column("order_count", "orders at the level", dtype="uint32", nullable=True),
        integer_column("first_sequence", "the venue's first sequence number in the update", nullable=True),
        integer_column("sequence", "the venue's last sequence number in the update", nullable=True),
        integer_column("previous_sequence", "the venue's last sequence number of the update before", nullable=True),
        flags_column(),
        clock=clock,
        all_instruments=all_instruments,
    )


def book_snapshots(
    levels: int = 20,
    *,
    clock: MarketClock = "capture",
    all_instruments: bool = False,
    decimal_places: Places = None,
) -> Schema:
    """The best levels of both sides, best first; levels from `bid_levels` or `ask_levels` on are NaN, with size and count 0."""
    if type(levels) is not int or not 1 <= levels <= LEVELS_LIMIT:
        raise InvalidInput(Problem("levels", f"{levels!r} must be the number of levels kept of each side, from 1 to {LEVELS_LIMIT}"))
    numbers = numbers_as(decimal_places, None)

    def leveled(column: Column) -> Column:
        return msgspec.structs.replace(column, levels=levels)

    return market_schema(
        "book_snapshots",
        leveled(numbers.price("bid_price", "price of each bid level")),
        leveled(numbers.size("bid_size", "size at each bid level")),
        leveled(numbers.price("ask_price", "price of each ask level")),
        leveled(numbers.size("ask_size", "size at each ask level")),
        leveled(integer_column("bid_count", "orders at each bid level; 0 where the venue doesn't tell", dtype="uint32")),
        leveled(integer_column("ask_count", "orders at each ask level; 0 where the venue doesn't tell", dtype="uint32")),
        integer_column("bid_levels", "how many bid levels there are in the row", dtype="uint16"),
        integer_column("ask_levels", "how many ask levels there are in the row", dtype="uint16"),
        integer_column("sequence", "the venue's sequence number", nullable=True),
        vocabulary_column("origin", ORIGIN, "sent by the venue, or rebuilt from updates"),
        clock=clock,
        all_instruments=all_instruments,
    )


def book_events(
    *,
    identifiers: Identifiers = "text",
    clock: MarketClock = "capture",
    all_instruments: bool = False,
    decimal_places: Places = None,
    decimals: tuple[int, int] | None = None,
) -> Schema:
    """Changes of an order book by order (L3).

    A `trade` is an aggressor's, a `fill` a resting order's; `clear` empties the book.
    """
    numbers = numbers_as(decimal_places, decimals)
    return market_schema(
        "book_events",
        vocabulary_column("action", ORDER_ACTION, "what becomes of an order, or of the whole book"),
        identifier_column("order_id", identifiers, "the venue's number of the order", nullable=True),
        vocabulary_column("side", SIDE, "side of the order; of a trade the aggressor's"),
        numbers.price("price", "price of the order, or traded at", nullable=True),
        numbers.size("size", "size of the order, canceled, or traded", nullable=True),
        integer_column("channel", "the venue's channel", dtype="uint8", nullable=True),
        integer_column("sequence", "the venue's sequence number", nullable=True),
        flags_column(),
        clock=clock,
        all_instruments=all_instruments,
    )
