"""The schemas we ship, by name; users' own stand on equal terms."""

from collections.abc import Callable, Mapping
from inspect import signature
from types import MappingProxyType
from typing import Any

from layouts.bookfeeds import book_events, book_snapshots, book_updates
from layouts.feedcolumns import ACTION, DIRECTION, FLAGS, OPTION_KIND, ORDER_ACTION, ORIGIN, SIDE, STATUS
from layouts.instrumentfeeds import corporate_actions, instrument_definitions, instrument_status, symbology
from layouts.marketfeeds import bars, derivative_ticker, liquidations, quotes, raw_messages, trades
from layouts.problems import InvalidInput, Problem
from layouts.recordfeeds import balances, equity, fills, metrics, order_events, order_latency, positions
from layouts.schema import Schema

__all__ = [
    "ACTION",
    "DIRECTION",
    "FLAGS",
    "OPTION_KIND",
    "ORDER_ACTION",
    "ORIGIN",
    "SCHEMAS",
    "SIDE",
    "STATUS",
    "balances",
    "bars",
    "book_events",
    "book_snapshots",
    "book_updates",
    "corporate_actions",
    "derivative_ticker",
    "equity",
    "fills",
    "instrument_definitions",
    "instrument_status",
    "liquidations",
    "metrics",
    "order_events",
    "order_latency",
    "positions",
    "quotes",
    "raw_messages",
    "schema_by_name",
    "symbology",
    "trades",
]

_SHIPPED: tuple[Callable[..., Schema], ...] = (
    raw_messages,
    trades,
    quotes,
    book_updates,
    book_snapshots,
    book_events,
    bars,
    derivative_ticker,
    liquidations,
    instrument_definitions,
    symbology,
    corporate_actions,
    instrument_status,
    order_events,
    fills,
    positions,
    balances,
    equity,
    metrics,
    order_latency,
)

#: The shipped schemas by name; each is a function, whose options are its own.
SCHEMAS: Mapping[str, Callable[..., Schema]] = MappingProxyType({function.__name__: function for function in _SHIPPED})


def schema_by_name(name: str, **options: Any) -> Schema:
    """A shipped schema, with the options its function takes."""
    if name not in SCHEMAS:
        from difflib import get_close_matches

        nearest = get_close_matches(str(name), SCHEMAS, 1)
        advice = f"did you mean {nearest[0]!r}?" if nearest else f"there are {', '.join(SCHEMAS)}"
        raise InvalidInput(Problem("schema", f"no schema {name!r} is shipped; {advice}"))
    known = signature(SCHEMAS[name]).parameters
    what = f"schema {name!r} has no such option; it has {', '.join(known) or 'none'}"
    if unknown := [Problem(option, what) for option in options if option not in known]:
        raise InvalidInput(unknown)
    return SCHEMAS[name](**options)
