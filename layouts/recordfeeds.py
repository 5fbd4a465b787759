"""Shipped schemas of trading and of runs: orders, fills, positions, balances, equity, metrics, latencies."""

from layouts.columns import Clock, Column
from layouts.feedcolumns import (
    SIDE,
    Identifiers,
    Places,
    boolean_column,
    feed_schema,
    identifier_column,
    integer_column,
    label_column,
    number_column,
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
        number_column("average_price", "average price of what is filled", nullable=True),
        boolean_column("post_only", "whether it may only make liquidity"),
        boolean_column("reduce_only", "whether it may only reduce a position"),
        label_column("reason", "why, in the venue's or our words", nullable=True),
        boolean_column("reconciliation", "whether it was learnt from a query afterwards, not from the event"),
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
        number_column("fee", "fee paid; a rebate is negative", nullable=True),
        label_column("fee_currency", "currency of the fee", nullable=True),
        label_column("liquidity", "maker or taker", nullable=True),
        identifier_column("position_id", identifiers, "the position it belongs to", nullable=True),
        order=Order.ARRIVAL,
    )


def positions(*, decimal_places: Places = None, decimals: tuple[int, int] | None = None) -> Schema:
    """What accounts hold, whenever it changes or is looked at."""
    numbers = numbers_as(decimal_places, decimals)
    return feed_schema(
        "positions",
        *_record(),
        label_column("account", "account that holds it"),
        label_column("instrument", "instrument held"),
        numbers.size("size", "size held; short is negative"),
        numbers.price("entry_price", "average price of entry", nullable=True),
        numbers.price("mark_price", "price it is marked at", nullable=True),
        number_column("unrealized_pnl", "profit if closed at the mark price", nullable=True),
        number_column("realized_pnl", "profit of what was closed", nullable=True),
        label_column("currency", "currency of the profits"),
        order=Order.ARRIVAL,
    )


def balances() -> Schema:
    """What accounts have of each currency, whenever it changes or is looked at."""
    return feed_schema(
        "balances",
        *_record(),
        label_column("account", "account that has it"),
        label_column("currency", "currency or asset"),
        number_column("total", "all there is"),
        number_column("available", "what can be used", nullable=True),
        number_column("locked", "what orders and positions hold", nullable=True),
        number_column("change", "by how much the total changed", nullable=True),
        label_column("reason", "trade, fee, funding, deposit, …", nullable=True),
        order=Order.ARRIVAL,
    )


def equity() -> Schema:
    """The state of an account through a run: hftbacktest's record, and equity."""
    return feed_schema(
        "equity",
        time_column("time", Clock.AXIS, "when the state was taken"),
        label_column("instrument", "instrument; null for the whole account", nullable=True),
        number_column("price", "price the position is valued at"),
        number_column("position", "signed size held"),
        number_column("balance", "cash, without fees"),
        number_column("fee", "fees paid so far"),
        integer_column("num_trades", "trades so far", dtype="int64"),
        number_column("trading_volume", "size traded so far"),
        number_column("trading_value", "value traded so far"),
        number_column("equity", "balance and value of the position, less fees"),
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
        number_column("value", "the number"),
        order=Order.TIME,
        window=WindowLength.WHOLE,
    )


def order_latency() -> Schema:
    """How long requests took to the venue and back: the input of hftbacktest's latency model."""
    return feed_schema(
        "order_latency",
        time_column("request_time", Clock.AXIS, "when the request was sent"),
        time_column("exchange_time", Clock.EXCHANGE, "when the venue took it; 0 where it refused for technical reasons"),
        time_column("response_time", Clock.OTHER, "when its answer came"),
        axis="request_time",
        order=Order.TIME,
    )


def _record() -> tuple[Column, Column]:
    return (
        time_column("time", Clock.AXIS, "the trader's own clock"),
        integer_column("sequence", "running number within the session, without gaps"),
    )
