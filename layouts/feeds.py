"""The schemas we ship, by name; users' own stand on equal terms."""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

from layouts.feedcolumns import ACTION, DIRECTION, FLAGS, SIDE
from layouts.marketfeeds import bars, book_updates, quotes, raw_messages, trades
from layouts.problems import InvalidInput, Problem
from layouts.recordfeeds import equity, fills, metrics, order_events
from layouts.schema import Schema

__all__ = [
    "ACTION",
    "DIRECTION",
    "FLAGS",
    "SCHEMAS",
    "SIDE",
    "bars",
    "book_updates",
    "equity",
    "fills",
    "metrics",
    "order_events",
    "quotes",
    "raw_messages",
    "schema_by_name",
    "trades",
]

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
