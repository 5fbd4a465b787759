"""Trades and book updates as hftbacktest's events, and their one order by two clocks: pure arithmetic on arrays.

hftbacktest replays an exchange and a trader at once. Each event is for one of them or for both, and both must see their own clock never
step back; an event whose two clocks disagree about its place comes twice, once for each.
"""

from dataclasses import dataclass, field

import numpy as np

# What hftbacktest's documentation calls them (https://hftbacktest.readthedocs.io/en/latest/data.html).
DEPTH, TRADE, DEPTH_CLEAR, DEPTH_SNAPSHOT = 1, 2, 3, 4
EXCHANGE, LOCAL, BUY, SELL = 1 << 31, 1 << 30, 1 << 29, 1 << 28

EVENT = np.dtype(
    [
        ("ev", "<u8"),
        ("exch_ts", "<i8"),
        ("local_ts", "<i8"),
        ("px", "<f8"),
        ("qty", "<f8"),
        ("order_id", "<u8"),
        ("ival", "<i8"),
        ("fval", "<f8"),
    ],
    align=True,
)

# Of the shipped schemas' vocabularies (`layouts.feeds`).
SET, CLEAR = 1, 3
LAST, SNAPSHOT = 128, 32


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ticks:
    """Rows of trades or of book updates, as arrays: both clocks (int64 ns), the recorder's number (zeros where it gave none)."""

    local: np.ndarray
    exchange: np.ndarray
    sequence: np.ndarray
    side: np.ndarray
    price: np.ndarray
    size: np.ndarray
    action: np.ndarray | None = None
    flags: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.local)

    def take(self, rows: np.ndarray) -> "Ticks":
        """Some of the rows, in that order."""
        action, flags = (None if each is None else each[rows] for each in (self.action, self.flags))
        arrays = (each[rows] for each in (self.local, self.exchange, self.sequence, self.side, self.price, self.size))
        local, exchange, sequence, side, price, size = arrays
        return Ticks(local=local, exchange=exchange, sequence=sequence, side=side, price=price, size=size, action=action, flags=flags)


def _events(ticks: Ticks, kind: np.ndarray | int) -> np.ndarray:
    events = np.zeros(len(ticks), EVENT)
    events["ev"] = kind | np.where(ticks.side > 0, BUY, np.where(ticks.side < 0, SELL, 0))
    events["exch_ts"], events["local_ts"] = ticks.exchange, ticks.local
    events["px"], events["qty"] = ticks.price, ticks.size
    return events


def trade_events(trades: Ticks) -> np.ndarray:
    """A trade event per row; its side is the aggressor's."""
    return _events(trades, TRADE)


def depth_events(book: Ticks) -> np.ndarray:
    """A depth event per row, in order: a level's new size (0 where it is gone), a cleared side, a level of a snapshot.

    A side that is cleared whole, and filled by a snapshot in the same message, is cleared as far as that snapshot reaches: levels
    beyond it stay, as in hftbacktest's own converters. Give the rows as `in_message_order` has them.
    """
    assert book.action is not None
    assert book.flags is not None
    clear, snapshot = book.action == CLEAR, (book.flags & SNAPSHOT) != 0
    kind = np.where(clear, DEPTH_CLEAR, np.where(snapshot, DEPTH_SNAPSHOT, DEPTH))
    events = _events(book, kind)
    events["qty"][book.action != SET] = 0
    cleared = np.flatnonzero((clear & snapshot & np.isnan(book.price))[:-1])
    filled = cleared[events["ev"][cleared + 1] == (DEPTH_SNAPSHOT | np.where(book.side[cleared] > 0, BUY, SELL))]
    ends = np.append(np.flatnonzero(events["ev"][1:] != events["ev"][:-1]), len(events) - 1)
    events["px"][filled] = events["px"][ends[np.searchsorted(ends, filled + 1)]]
    return events


def in_message_order(book: Ticks) -> Ticks:
    """The same rows, in a message that clears its bids first and then its asks: each side's clear directly before its levels."""
    assert book.action is not None
    assert book.flags is not None
    if not len(book) or not (book.action == CLEAR).any():
        return book
    begins = np.ones(len(book), np.bool_)
    begins[1:] = ((book.flags[:-1] & LAST) != 0) | (book.local[1:] != book.local[:-1]) | (book.sequence[1:] != book.sequence[:-1])
    message = np.cumsum(begins) - 1
    clears = np.zeros(int(message[-1]) + 1, np.bool_)
    clears[message[book.action == CLEAR]] = True
    second = clears[message] & (book.side < 0)
    return book.take(np.lexsort((second, message)))


def by_both_clocks(events: np.ndarray) -> np.ndarray:
    """Events given in the order they were seen (`local_ts` never decreases), as hftbacktest wants them.

    An event that is no older than all seen before it is for both, exchange and trader. One that is late (its `exch_ts` is smaller than
    that of an event seen before) comes twice: for the exchange before the first event that is younger, in order of `exch_ts`, and for
    the trader where it was seen.
    """
    newest = np.maximum.accumulate(events["exch_ts"])
    late = np.flatnonzero(events["exch_ts"] < newest)
    result = np.empty(len(events) + len(late), EVENT)
    early = late[np.argsort(events["exch_ts"][late], kind="stable")]
    before = np.searchsorted(newest, events["exch_ts"][early], side="right")  # the event seen first that is younger
    moved = np.arange(len(events)) + np.cumsum(np.bincount(before, minlength=len(events))[: len(events)])
    result[moved] = events
    result["ev"][moved] |= EXCHANGE | LOCAL
    result["ev"][moved[late]] &= ~np.uint64(EXCHANGE)
    ahead = before + np.arange(len(early))
    result[ahead] = events[early]
    result["ev"][ahead] |= EXCHANGE
    return result


@dataclass(slots=True)
class Book:
    """The levels of both sides as book updates leave them: price to size, and whether a snapshot ever told all of a side."""

    levels: dict[int, dict[float, float]] = field(default_factory=lambda: {1: {}, -1: {}})

    def apply(self, book: Ticks) -> None:
        """Take updates in order; between clears only the last word on each price counts."""
        assert book.action is not None
        cuts = np.flatnonzero(book.action == CLEAR)
        for start, stop in zip(np.append(0, cuts + 1), np.append(cuts, len(book)), strict=True):
            for side in (1, -1):
                rows = np.flatnonzero(book.side[start:stop] == side) + start
                sizes = np.where(book.action[rows] == SET, book.size[rows], 0.0)
                self.levels[side].update(zip(book.price[rows].tolist(), sizes.tolist(), strict=True))
            if stop < len(book):
                self._clear(int(book.side[stop]), float(book.price[stop]))

    def _clear(self, side: int, bound: float) -> None:
        for each in (1, -1) if side == 0 else (side,):
            kept = {} if np.isnan(bound) else {price: size for price, size in self.levels[each].items() if (price - bound) * each < 0}
            self.levels[each] = kept

    def snapshot(self, exchange: int, local: int) -> np.ndarray:
        """Snapshot events at these times: bids, then asks, the best first."""
        found = [
            (DEPTH_SNAPSHOT | flag, price, size)
            for side, flag in ((1, BUY), (-1, SELL))
            for price, size in sorted(self.levels[side].items(), reverse=side > 0)
            if size > 0
        ]
        events = np.zeros(len(found), EVENT)
        events["exch_ts"], events["local_ts"] = exchange, local
        if found:
            events["ev"], events["px"], events["qty"] = (np.array(column) for column in zip(*found, strict=True))
        return events
