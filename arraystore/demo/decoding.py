"""Many messages as columns, kind by kind, in the order received. Only a block of them exists as Python objects at a time."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import NamedTuple

import numpy as np

from arraystore.demo.wire import BookTicker, Depth, Level, Snapshot, Trade, decode_message

BLOCK_ROWS = 1 << 15
NS_PER_MS = 1_000_000
NO_TIME = np.iinfo(np.int64).min
CLEAR: tuple[Level, ...] = ((float("nan"), float("nan")),) * 2

type Columns = dict[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Rejected:
    """A message that couldn't be read: its row in the input, and why."""

    row: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """All messages of an input, by kind. Every kind has `row` (of the input, ascending) and `symbol` (a place in `symbols`).

    `books` has a row per message and `levels` its levels back to back: bids, then asks; a snapshot's come after two rows of NaN.
    """

    symbols: tuple[str, ...]
    trades: Columns
    quotes: Columns
    books: Columns
    levels: Columns
    rejected: tuple[Rejected, ...]


def decode_messages(data: np.ndarray, offsets: np.ndarray, rows: np.ndarray | None = None) -> Decoded:
    """Decode the payloads `data[offsets[i]:offsets[i + 1]]` of the given rows (all by default)."""
    view = memoryview(np.ascontiguousarray(data))
    rows = np.arange(len(offsets) - 1) if rows is None else rows
    codes: dict[str, int] = {}
    starts = range(0, max(len(rows), 1), BLOCK_ROWS)
    blocks = [_decode_block(view, offsets, rows[start : start + BLOCK_ROWS], codes) for start in starts]
    return _attribute_snapshots(
        Decoded(
            symbols=tuple(codes),
            trades=_join([block.trades for block in blocks]),
            quotes=_join([block.quotes for block in blocks]),
            books=_join([block.books for block in blocks]),
            levels=_join([block.levels for block in blocks]),
            rejected=tuple(item for block in blocks for item in block.rejected),
        )
    )


def _join(parts: list[Columns]) -> Columns:
    return parts[0] if len(parts) == 1 else {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _attribute_snapshots(decoded: Decoded) -> Decoded:
    """A snapshot doesn't name its symbol: where there are several, nobody knows whose book it is, and it is rejected."""
    books = decoded.books
    if len(decoded.symbols) == 1:
        books["symbol"][:] = 0
        return decoded
    kept = ~books["is_snapshot"]
    reason = f"unattributed snapshot: it names none of {len(decoded.symbols)} symbols"
    rejected = [Rejected(row, reason) for row in books["row"][~kept].tolist()]
    kept_levels = np.repeat(kept, level_counts(books))
    return replace(
        decoded,
        books={name: values[kept] for name, values in books.items()},
        levels={name: values[kept_levels] for name, values in decoded.levels.items()},
        rejected=tuple(sorted((*decoded.rejected, *rejected), key=lambda item: item.row)),
    )


def level_counts(books: Columns) -> np.ndarray:
    """How many rows of `levels` each book message has: its levels, after two that clear the sides if it is a snapshot."""
    return 2 * books["is_snapshot"] + books["bids"] + books["asks"]


def _decode_block(view: memoryview, offsets: np.ndarray, rows: np.ndarray, codes: dict[str, int]) -> Decoded:
    """Decode some rows; `codes` numbers the symbols, and gains those not seen before."""
    trades, quotes, updates, snapshots = _Found[Trade](), _Found[BookTicker](), _Found[Depth](), _Found[Snapshot]()
    rejected = []
    for row, start, stop in zip(rows.tolist(), offsets[rows].tolist(), offsets[rows + 1].tolist(), strict=True):
        match decode_message(view[start:stop]):
            case BookTicker() as message:
                quotes.add(row, message)
            case Trade() as message:
                trades.add(row, message)
            case Depth() as message:
                updates.add(row, message)
            case Snapshot() as message:
                snapshots.add(row, message)
            case reason:
                rejected.append(Rejected(row, reason))
    for symbol in chain((m.s for m in trades.messages), (m.s for m in quotes.messages), (m.s for m in updates.messages)):
        codes.setdefault(symbol, len(codes))
    books, levels = _book_columns(updates, snapshots, codes)
    return Decoded(
        symbols=(),
        trades=_trade_columns(trades.rows, trades.messages, codes),
        quotes=_quote_columns(quotes.rows, quotes.messages, codes),
        books=books,
        levels=levels,
        rejected=tuple(rejected),
    )


class _Found[Kind]:
    """The messages of one kind, and the rows they came from."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.messages: list[Kind] = []

    def add(self, row: int, message: Kind) -> None:
        """One more."""
        self.rows.append(row)
        self.messages.append(message)


class _Book(NamedTuple):
    """A depth update or a snapshot, which clears both sides before its levels."""

    row: int
    symbol: int
    exchange_time: int | None
    publish_time: int | None
    first: int | None
    last: int
    previous: int | None
    cleared: tuple[Level, ...]
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


def _times(values: Sequence[int | None]) -> np.ndarray:
    """Milliseconds to ns; a missing one becomes `NO_TIME`."""
    return np.array([NO_TIME if value is None else value * NS_PER_MS for value in values], np.int64)


def _trade_columns(rows: list[int], trades: Sequence[Trade], codes: dict[str, int]) -> Columns:
    return {
        "row": np.array(rows, np.int64),
        "symbol": np.array([codes[trade.s] for trade in trades], np.int32),
        "exchange_time": _times([trade.T for trade in trades]),
        "publish_time": _times([trade.E for trade in trades]),
        "price": np.array([trade.p for trade in trades], np.float64),
        "size": np.array([trade.q for trade in trades], np.float64),
        "side": np.array([-1 if trade.m else 1 for trade in trades], np.int8),
        "trade_id": np.array([trade.t for trade in trades], np.uint64),
        "condition": np.array([trade.X for trade in trades], object),
    }


def _quote_columns(rows: list[int], quotes: Sequence[BookTicker], codes: dict[str, int]) -> Columns:
    return {
        "row": np.array(rows, np.int64),
        "symbol": np.array([codes[quote.s] for quote in quotes], np.int32),
        "exchange_time": _times([quote.T for quote in quotes]),
        "publish_time": _times([quote.E for quote in quotes]),
        "bid_price": np.array([quote.b for quote in quotes], np.float64),
        "bid_size": np.array([quote.B for quote in quotes], np.float64),
        "ask_price": np.array([quote.a for quote in quotes], np.float64),
        "ask_size": np.array([quote.A for quote in quotes], np.float64),
        "sequence": np.array([quote.u for quote in quotes], np.uint64),
    }


def _book_columns(updates: _Found[Depth], snapshots: _Found[Snapshot], codes: dict[str, int]) -> tuple[Columns, Columns]:
    """Depth updates and snapshots as one sequence of book messages, in the order of their rows, and its levels."""
    books = [_Book(row, codes[m.s], m.T, m.E, m.U, m.u, m.pu, (), m.b, m.a) for row, m in zip(updates.rows, updates.messages, strict=True)]
    for row, message in zip(snapshots.rows, snapshots.messages, strict=True):
        books.append(_Book(row, -1, message.T, message.E, None, message.lastUpdateId, None, CLEAR, message.bids, message.asks))
    books.sort(key=lambda book: book.row)
    numbers = chain.from_iterable(chain.from_iterable(chain.from_iterable(book[-3:] for book in books)))
    flat = np.fromiter(numbers, np.float64).reshape(-1, 2)
    columns: Columns = {
        "row": np.array([book.row for book in books], np.int64),
        "symbol": np.array([book.symbol for book in books], np.int32),
        "exchange_time": _times([book.exchange_time for book in books]),
        "publish_time": _times([book.publish_time for book in books]),
        "first_sequence": np.array([book.first or 0 for book in books], np.uint64),
        "sequence": np.array([book.last for book in books], np.uint64),
        "previous_sequence": np.array([book.previous or 0 for book in books], np.uint64),
        "is_snapshot": np.array([bool(book.cleared) for book in books], bool),
        "bids": np.array([len(book.bids) for book in books], np.int64),
        "asks": np.array([len(book.asks) for book in books], np.int64),
    }
    return columns, {"price": flat[:, 0], "size": flat[:, 1]}
