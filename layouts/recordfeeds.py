"""Shipped schemas of trading and of runs: order events, fills, equity and metrics."""

from layouts.columns import Clock, Column
from layouts.feedcolumns import (
    SIDE,
    Identifiers,
    Places,
    feed_schema,
    identifier_column,
    integer_column,
    label_column,
    numbers_as,
    time_column,
    vocabulary_column,
)
from layouts.schema import Order, Schema
from layouts.windows import WindowLength


def order_events(
    *,
    identifiers: Identifiers = "text",
    decimal_places: Places = None,
    decimals: tuple[int, int] | None = None,
) -> Schema:
    """What happened to orders, as the trader saw it; no transition is checked."""
    numbers = numbers_as(decimal_places, decimals)
    return feed_schema(
        "order_events",
        *_record(),
        time_column("exchange_time", Clock.EXCHANGE, "the venue's matching time", nullable=True),
        label_column("account", "account traded for"),
        label_column("strategy", "strategy that trades"),
        label_column("instrument", "instrument traded"),
        identifier_column("client_order_id", identifiers, "our number of the order"),
        identifier_column("venue_order_id", identifiers, "the venue's number of the order", nullable=True),
        identifier_column("parent_order_id", identifiers, "our number of the order it is part of", nullable=True),
        label_column("exec_type", "what happened, such as new, trade, canceled or rejected"),
        label_column("status", "the order's state afterwards"),
        vocabulary_column("side", SIDE, "side of the order"),
        label_column("type", "limit, market, stop, …"),
        label_column("tif", "time in force, such as gtc or ioc"),
        numbers.price("price", "limit price", nullable=True),
        numbers.price("trigger_price", "price that triggers it", nullable=True),
        numbers.size("size", "size ordered"),
        numbers.size("filled", "size filled so far"),
        numbers.size("leaves", "size still open"),
        Column(name="average_price", nullable=True, description="average price of what is filled"),
        Column(name="post_only", dtype="bool", description="whether it may only make liquidity"),
        Column(name="reduce_only", dtype="bool", description="whether it may only reduce a position"),
        label_column("reason", "why, in the venue's or our words", nullable=True),
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
    numbers = numbers_as(decimal_places, decimals)
    return feed_schema(
        "fills",
        *_record(),
        time_column("exchange_time", Clock.EXCHANGE, "the venue's matching time", nullable=True),
        time_column("capture_time", Clock.CAPTURE, "when our recorder saw it", nullable=True),
        label_column("account", "account traded for"),
        label_column("strategy", "strategy that trades"),
        label_column("instrument", "instrument traded"),
        identifier_column("client_order_id", identifiers, "our number of the order", nullable=True),
        identifier_column("venue_order_id", identifiers, "the venue's number of the order", nullable=True),
        identifier_column("fill_id", identifiers, "the venue's number of the fill"),
        identifier_column("ref_fill_id", identifiers, "the fill that this busts or corrects", nullable=True),
        vocabulary_column("side", SIDE, "our side"),
        numbers.price("price", "price filled at"),
        numbers.size("size", "size filled"),
        Column(name="fee", nullable=True, description="fee paid; a rebate is negative"),
        label_column("fee_currency", "currency of the fee", nullable=True),
        label_column("liquidity", "maker or taker", nullable=True),
        identifier_column("position_id", identifiers, "the position it belongs to", nullable=True),
        order=Order.ARRIVAL,
    )


def equity() -> Schema:
    """The state of an account through a run: hftbacktest's record, and equity."""
    return feed_schema(
        "equity",
        time_column("time", Clock.AXIS, "when the state was taken"),
        label_column("instrument", "instrument; null for the whole account", nullable=True),
        Column(name="price", description="price the position is valued at"),
        Column(name="position", description="signed size held"),
        Column(name="balance", description="cash, without fees"),
        Column(name="fee", description="fees paid so far"),
        integer_column("num_trades", "trades so far", dtype="int64"),
        Column(name="trading_volume", description="size traded so far"),
        Column(name="trading_value", description="value traded so far"),
        Column(name="equity", description="balance and value of the position, less fees"),
        label_column("currency", "currency of all values"),
        order=Order.TIME,
        window=WindowLength.WHOLE,
    )


def metrics() -> Schema:
    """Named numbers of a run over time."""
    return feed_schema(
        "metrics",
        time_column("time", Clock.AXIS, "when the value was logged"),
        label_column("name", "what it measures"),
        Column(name="value", description="the number"),
        order=Order.TIME,
        window=WindowLength.WHOLE,
    )


def _record() -> tuple[Column, Column]:
    return (
        time_column("time", Clock.AXIS, "the trader's own clock"),
        integer_column("sequence", "running number within the session, without gaps"),
    )
