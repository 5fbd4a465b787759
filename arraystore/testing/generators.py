"""Generated data for every shipped schema: realistic, the same for the same seed, millions of rows in seconds."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from arraystore.errors import InvalidInput
from arraystore.testing.bookdata import book_events, book_snapshots, book_updates
from arraystore.testing.draws import Columns, Draw
from arraystore.testing.marketdata import bars, derivative_ticker, instrument_status, liquidations, quotes, raw_messages, trades
from arraystore.testing.recorddata import balances, equity, fills, metrics, order_events, order_latency, positions
from arraystore.testing.referencedata import corporate_actions, instrument_definitions, symbology
from layouts.feeds import schema_by_name
from layouts.times import parse_time

START = "2024-08-08"

_ALL: tuple[Callable[[Draw], Columns], ...] = (
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

GENERATORS: Mapping[str, Callable[[Draw], Columns]] = MappingProxyType({function.__name__: function for function in _ALL})


def generate(name: str, rows: int, *, seed: int = 0, start: Any = START, **options: Any) -> Columns:
    """Columns of a shipped schema, as a dataset made with `schema_by_name(name, **options)` takes them.

    Parameters
    ----------
    name, options
        The schema's, such as `all_instruments=True`, `clock="exchange"`, `interval="5m"`, `decimals=(2, 3)`.
    rows
        How many.
    seed
        Equal seeds give equal data, whatever else happens.
    start
        Where times begin.

    Returns
    -------
    dict
        NumPy arrays, `Labels`, `Ragged` and `Decimals` by column; `<column>_valid` tells nulls. Prices lie on ticks, numbers grow,
        nullable columns have nulls, datasets of many instruments have several.

    >>> trades = generate("trades", 1_000, seed=7)
    >>> trades["price"].dtype.name, trades["trade_id"][0], trades["trade_id"][999]
    ('float64', '100000000000', '100000000999')
    """
    schema = schema_by_name(name, **options)
    if type(rows) is not int or rows < 0:
        raise InvalidInput(f"{rows!r} isn't a number of rows: give an int from 0 up", "rows")
    return GENERATORS[name](Draw(schema, rows, seed, parse_time(start, "start")))
