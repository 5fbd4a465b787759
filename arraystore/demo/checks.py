"""What data-quality looks at before it promotes a window: each check counts what is wrong, against a limit.

The store judges nothing; these limits are this demo's own. A window is promoted if every check passes, else it goes to quarantine.
"""

from dataclasses import dataclass

import numpy as np

from arraystore.demo.decoding import Columns, Decoded, level_counts

ONE_IN = 10_000  # undecodable messages and lost trades or updates allowed: one in so many


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """The outcome of one check; `first` tells the first thing found, with the row of the raw window it lies in."""

    name: str
    found: int
    limit: int
    first: str = ""

    @property
    def passed(self) -> bool:
        """Whether no more was found than allowed."""
        return self.found <= self.limit

    def __str__(self) -> str:
        return f"{self.name}: {self.found} found, {self.limit} allowed" + (f"; first: {self.first}" if self.first else "")


def check_window(decoded: Decoded, sequences: np.ndarray) -> tuple[Check, ...]:
    """Run every check over one raw window: its decoded messages, and the recorder's running number of every row."""
    return (
        _capture_sequence(sequences),
        _recognised(decoded),
        _decodable(decoded, len(sequences)),
        _trade_ids(decoded),
        _book_continuity(decoded),
        _uncrossed(decoded),
        _prices(decoded),
    )


def _check(name: str, rows: np.ndarray, limit: int, what: str) -> Check:
    return Check(name=name, found=len(rows), limit=limit, first=f"row {rows[0]}: {what}" if len(rows) else "")


def _allowance(count: int) -> int:
    """One in `ONE_IN`, and one where there is less: a recorder that is killed leaves a message cut in two."""
    return -(-count // ONE_IN)


def _capture_sequence(sequences: np.ndarray) -> Check:
    """The recorder numbers what it writes; a number left out is a message that never reached the disk."""
    jumps = np.flatnonzero(np.diff(sequences.astype(np.int64)) != 1) + 1
    return _check("capture sequence runs on", jumps, 0, "its number doesn't follow the one before it")


def _recognised(decoded: Decoded) -> Check:
    known = sum(len(columns["row"]) for columns in (decoded.trades, decoded.quotes, decoded.books))
    first = "" if known else "no trade, quote or depth message"
    return Check(name="holds messages known here", found=int(known == 0), limit=0, first=first)


def _decodable(decoded: Decoded, count: int) -> Check:
    """Messages of a kind not read here are no fault; what is garbled, malformed or can't be attributed is."""
    bad = [item for item in decoded.rejected if not item.reason.startswith("unknown kind")]
    rows = np.array([item.row for item in bad], np.int64)
    return _check("messages can be decoded", rows, _allowance(count), bad[0].reason if bad else "")


def _steps(columns: Columns, decoded: Decoded) -> list[np.ndarray]:
    """The places of each symbol's rows, symbol by symbol."""
    if len(decoded.symbols) == 1:
        return [np.arange(len(columns["row"]))]
    return [np.flatnonzero(columns["symbol"] == code) for code in range(len(decoded.symbols))]


def _trade_ids(decoded: Decoded) -> Check:
    trades = decoded.trades
    ids = trades["trade_id"].astype(np.int64)
    lost = [places[1:][np.diff(ids[places]) != 1] for places in _steps(trades, decoded)]
    rows = trades["row"][np.sort(np.concatenate([*lost, np.array([], np.int64)]))]
    return _check("trade ids run on", rows, _allowance(len(ids)), "its trade id isn't one more than the last")


def gaps(decoded: Decoded) -> np.ndarray:
    """The places in `books` of updates that don't follow the update before them; a snapshot stands outside the sequence."""
    books = decoded.books
    found = [np.array([], np.int64)]
    for places in _steps(books, decoded):
        updates = places[~books["is_snapshot"][places]]
        previous = books["previous_sequence"][updates][1:]
        found.append(updates[1:][(previous != books["sequence"][updates][:-1]) & (previous > 0)])
    return np.sort(np.concatenate(found))


def _book_continuity(decoded: Decoded) -> Check:
    rows = decoded.books["row"][gaps(decoded)]
    return _check("book updates run on", rows, _allowance(len(decoded.books["row"])), "it doesn't follow the update before it")


def _uncrossed(decoded: Decoded) -> Check:
    quotes = decoded.quotes
    both = (quotes["bid_price"] > 0) & (quotes["ask_price"] > 0)
    rows = quotes["row"][both & (quotes["bid_price"] >= quotes["ask_price"])]
    return _check("best bid lies below best ask", rows, 0, "its bid isn't below its ask")


def _prices(decoded: Decoded) -> Check:
    """Trades on the market have a price and a size; the venue's other kinds (insurance fund) may have neither."""
    trades, levels, books = decoded.trades, decoded.levels, decoded.books
    at_market = trades["condition"] == "MARKET"
    bad = [trades["row"][at_market & ~(_is_positive(trades["price"]) & _is_positive(trades["size"]))]]
    counts = level_counts(books)
    rows = np.repeat(books["row"], counts)
    cleared = np.isnan(levels["price"]) & np.repeat(books["is_snapshot"], counts)
    bad.append(rows[~cleared & ~(_is_positive(levels["price"]) & (levels["size"] >= 0) & np.isfinite(levels["size"]))])
    quotes = decoded.quotes
    quoted = [quotes[name] for name in ("bid_price", "bid_size", "ask_price", "ask_size")]
    bad.append(quotes["row"][~np.logical_and.reduce([(values >= 0) & np.isfinite(values) for values in quoted])])
    return _check("prices and sizes make sense", np.unique(np.concatenate(bad)), 0, "a price or size is negative, missing or infinite")


def _is_positive(values: np.ndarray) -> np.ndarray:
    return (values > 0) & np.isfinite(values)
