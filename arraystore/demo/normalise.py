"""From decoded messages to the columns of the shipped schemas, one set of tables per instrument, in the order received."""

from dataclasses import dataclass

import numpy as np

from arraystore.demo.checks import gaps
from arraystore.demo.decoding import NO_TIME, Columns, Decoded, level_counts

LAST, TOP_OF_BOOK, SNAPSHOT, BY_PRICE, MAYBE_BAD_BOOK = 128, 64, 32, 16, 4
SET, DELETE, CLEAR = 1, 2, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """What one raw window holds of one instrument; `book_updates` has a row per level."""

    trades: Columns
    quotes: Columns
    book_updates: Columns


def normalise(decoded: Decoded, times: np.ndarray, sequences: np.ndarray) -> dict[str, Tables]:
    """Arrange one raw window by instrument; `times` and `sequences` are those of its rows, whether decoded or not."""
    tables = {}
    flags = _book_flags(decoded)
    for code, symbol in enumerate(decoded.symbols):
        tables[symbol] = Tables(
            trades=_trades(_only(decoded.trades, code), times, sequences),
            quotes=_quotes(_only(decoded.quotes, code), times, sequences),
            book_updates=_book_updates(decoded, code, flags, times, sequences),
        )
    return tables


def _only(columns: Columns, code: int) -> Columns:
    """The rows of one symbol."""
    chosen = columns["symbol"] == code
    return columns if chosen.all() else {name: values[chosen] for name, values in columns.items()}


def _nullable(name: str, values: np.ndarray, valid: np.ndarray) -> Columns:
    """A column that says which of its values are there."""
    return {name: values} if valid.all() else {name: values, f"{name}_valid": valid}


def _market_data(columns: Columns, times: np.ndarray, sequences: np.ndarray) -> Columns:
    """The columns that every table of market data starts with."""
    row = columns["row"]
    table = {"time": times[row], "capture_sequence": sequences[row]}
    for name in ("exchange_time", "publish_time"):
        table |= _nullable(name, columns[name], columns[name] != NO_TIME)
    return table


def _trades(trades: Columns, times: np.ndarray, sequences: np.ndarray) -> Columns:
    names = ("price", "size", "side", "trade_id", "condition")
    flags = np.full(len(trades["row"]), LAST, np.uint8)
    return _market_data(trades, times, sequences) | {name: trades[name] for name in names} | {"flags": flags}


def _quotes(quotes: Columns, times: np.ndarray, sequences: np.ndarray) -> Columns:
    """An empty side comes as price 0, and becomes null."""
    table = _market_data(quotes, times, sequences) | {"sequence": quotes["sequence"]}
    for side in ("bid", "ask"):
        for value in ("price", "size"):
            table |= _nullable(f"{side}_{value}", quotes[f"{side}_{value}"], quotes[f"{side}_price"] > 0)
    return table | {"flags": np.full(len(quotes["row"]), LAST | TOP_OF_BOOK, np.uint8)}


def _book_flags(decoded: Decoded) -> np.ndarray:
    """The flags of each book message: after a gap the book may be bad until the next snapshot."""
    books = decoded.books
    flags = np.where(books["is_snapshot"], SNAPSHOT | BY_PRICE, BY_PRICE).astype(np.uint8)
    broken = np.zeros(len(flags), bool)
    broken[gaps(decoded)] = True
    for code in range(len(decoded.symbols)):
        mine = np.flatnonzero(books["symbol"] == code)
        order = np.arange(1, len(mine) + 1)
        last_gap = np.maximum.accumulate(np.where(broken[mine], order, 0))
        last_snapshot = np.maximum.accumulate(np.where(books["is_snapshot"][mine], order, 0))
        flags[mine[last_gap > last_snapshot]] |= MAYBE_BAD_BOOK
    return flags


def _book_updates(decoded: Decoded, code: int, flags: np.ndarray, times: np.ndarray, sequences: np.ndarray) -> Columns:
    """A row per level; a snapshot is a `clear` row per side, then its levels."""
    books = decoded.books
    cleared = 2 * books["is_snapshot"]
    counts = level_counts(books)
    place = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    message = np.repeat(np.arange(len(counts)), counts)
    is_clear = place < cleared[message]
    is_bid = np.where(is_clear, place == 0, place < (cleared + books["bids"])[message])
    is_last = place == counts[message] - 1
    price, size = decoded.levels["price"], decoded.levels["size"]
    chosen = slice(None) if len(decoded.symbols) == 1 else books["symbol"][message] == code
    message, is_clear, is_last = message[chosen], is_clear[chosen], is_last[chosen]
    expanded = {name: values[message] for name, values in books.items()}
    table = _market_data(expanded, times, sequences)
    table["action"] = np.where(is_clear, CLEAR, np.where(size[chosen] == 0, DELETE, SET)).astype(np.int8)
    table["side"] = np.where(is_bid[chosen], 1, -1).astype(np.int8)
    table |= _nullable("price", price[chosen], ~is_clear) | _nullable("size", size[chosen], ~is_clear)
    table["sequence"] = expanded["sequence"]
    for name in ("first_sequence", "previous_sequence"):
        table |= _nullable(name, expanded[name], expanded[name] > 0)
    table["flags"] = (flags[message] | np.where(is_last, LAST, 0)).astype(np.uint8)
    return table
