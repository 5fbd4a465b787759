"""Depth over time: how much is bid and asked at which price, from snapshots of levels or from updates by price."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from arraystore.errors import InvalidInput, NotFound
from arraystore.pictures import canvas
from arraystore.pictures.bookstate import ASK, BID, CLEAR, BookState, Levels
from arraystore.pictures.rows import Asked, duration, floats, times_of
from layouts.schema import Schema

STEPS = 600
ROWS = 220
MOST_LEVELS = 4000
NEAR = 20
"""Where nobody says how deep to look: as deep as so many levels usually lie."""
MOST_WINDOWS_BACK = 8
"""How far to look for the last snapshot: who never clears a book has none."""

_SNAPSHOT = ("bid_price", "bid_size", "ask_price", "ask_size")
_UPDATE = ("action", "side", "price", "size")
_BLUES = ("#e8f1fa", "#9cc3e2", "#3a86c0", "#08407a")
_ORANGES = ("#fdeee3", "#f9b98a", "#e2711d", "#8a3500")


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """What is drawn: the book at the end of each step. Sizes have the shape (steps, prices), 0 where nothing is.

    `times` are edges of steps (int64 ns), `prices` edges of prices; `best_bid` and `best_ask` are NaN where a side is empty.
    """

    times: np.ndarray
    prices: np.ndarray
    bids: np.ndarray
    asks: np.ndarray
    best_bid: np.ndarray
    best_ask: np.ndarray
    rebuilt: bool

    @property
    def mid(self) -> np.ndarray:
        """Between the best bid and the best ask; NaN where one is missing."""
        middle: np.ndarray = (self.best_bid + self.best_ask) / 2
        return middle


def depth_of(part: Asked, *, depth: float | None = None, instrument: str | None = None, steps: int = STEPS) -> Depth:
    """The book over time; `depth` is how far from the middle to look, in price."""
    kind = _kind(part.schema)
    if "instrument" in part.schema and instrument is None:
        raise InvalidInput(f"{part.name} holds books of many instruments: name one", "instrument")
    width = max(1, -(-(part.stop - part.start) // steps))
    edges = part.start + np.arange(max(1, -(-(part.stop - part.start) // width)) + 1, dtype=np.int64) * width
    look = _snapshots if kind == "snapshots" else _updates
    books = list(look(part, edges, instrument))
    best_bid = np.array([bids[0][-1] if len(bids[0]) else np.nan for bids, _ in books])
    best_ask = np.array([asks[0][0] if len(asks[0]) else np.nan for _, asks in books])
    prices = _price_edges(books, best_bid, best_ask, depth, part)
    sizes = (np.stack([np.histogram(book[side][0], prices, weights=book[side][1])[0] for book in books]) for side in (0, 1))
    bids, asks = sizes
    rebuilt = kind == "updates"
    return Depth(times=edges, prices=prices, bids=bids, asks=asks, best_bid=best_bid, best_ask=best_ask, rebuilt=rebuilt)


def _kind(schema: Schema) -> str:
    if all(name in schema and schema.column(name).levels for name in _SNAPSHOT):
        return "snapshots"
    if all(name in schema for name in _UPDATE) and "order_id" not in schema:
        return "updates"
    told = f"{schema.name} keeps no book by price: it takes {', '.join(_SNAPSHOT)} with levels, or {', '.join(_UPDATE)}"
    raise InvalidInput(f"{told}; plot.series draws columns", "dataset")


def _snapshots(part: Asked, edges: np.ndarray, instrument: str | None) -> Iterator[tuple[Levels, Levels]]:
    """The snapshot in force at the end of each step: only the chunks that hold these are read."""
    found = part.view.as_of(edges[1:] - 1, _SNAPSHOT, by=instrument, clock=part.clock, window=part.window)
    arrays = [np.asarray(found[name], np.float64) for name in _SNAPSHOT]
    for place in range(len(edges) - 1):
        bid_price, bid_size, ask_price, ask_size = (each[place] for each in arrays)
        yield _levels(bid_price, bid_size), _levels(ask_price, ask_size)


def _levels(prices: np.ndarray, sizes: np.ndarray) -> Levels:
    there = np.isfinite(prices) & (sizes > 0)
    order = np.argsort(prices[there])
    return prices[there][order], sizes[there][order]


def _updates(part: Asked, edges: np.ndarray, instrument: str | None) -> Iterator[tuple[Levels, Levels]]:
    """The book at the end of each step, from all updates since the last snapshot before the first."""
    book, step, latest = BookState(), 0, np.int64(-(1 << 63))
    for frame in _from_last_snapshot(part, instrument).batches(_UPDATE, instrument):
        times = np.maximum(np.maximum.accumulate(times_of(frame, part.clock)), latest)  # in the order received
        action, side = np.asarray(frame["action"]), np.asarray(frame["side"])
        price, size = floats(frame, "price"), floats(frame, "size")
        done = 0
        for stop in np.searchsorted(times, edges[step + 1 :], side="left").tolist():
            book.apply(action[done:stop], side[done:stop], price[done:stop], size[done:stop])
            done = stop
            if stop == len(times):
                break
            yield book.best(BID, MOST_LEVELS), book.best(ASK, MOST_LEVELS)
            step += 1
        latest = times[-1]
    for _ in range(step, len(edges) - 1):
        yield book.best(BID, MOST_LEVELS), book.best(ASK, MOST_LEVELS)


def _from_last_snapshot(part: Asked, instrument: str | None) -> Asked:
    """The same part with what comes before it since both sides were last told whole, or in its window if they never were."""
    spans = part.view.state.spans(part.clock)
    earlier = (spans.rows > 0) & (spans.first < part.start)
    newest_first = np.argsort(-spans.first[earlier])[:MOST_WINDOWS_BACK]
    told: set[int] = set()
    for first, last in zip(spans.first[earlier][newest_first].tolist(), spans.last[earlier][newest_first].tolist(), strict=True):
        told |= _told_whole(replace(part, start=first, stop=min(last + 1, part.start)), instrument)
        if told == {BID, ASK}:
            return replace(part, start=first)
    around = spans.first[earlier & (spans.last >= part.start)]
    return replace(part, start=int(around.min())) if len(around) else part


def _told_whole(part: Asked, instrument: str | None) -> set[int]:
    """The sides that were cleared whole, as at the beginning of a snapshot."""
    found: set[int] = set()
    for frame in part.batches(("action", "side", "price"), instrument):
        whole = (np.asarray(frame["action"]) == CLEAR) & np.isnan(floats(frame, "price"))
        for side in np.unique(np.asarray(frame["side"])[whole]).tolist():
            found |= {BID, ASK} if side == 0 else {side}
    return found


def _price_edges(
    books: list[tuple[Levels, Levels]], best_bid: np.ndarray, best_ask: np.ndarray, depth: float | None, part: Asked
) -> np.ndarray:
    """Edges of prices, on the ticks that there are, around where the best ones went."""
    there = np.concatenate([best_bid[np.isfinite(best_bid)], best_ask[np.isfinite(best_ask)]])
    if not len(there):
        raise NotFound(f"{part.name}: the book is empty from {part.span}; choose another range of time")
    low, high = np.nanquantile(there, (0.005, 0.995))
    if depth is None:
        bids, asks = ([book[side][0] for book in books if len(book[side][0])] for side in (0, 1))
        reaches = [prices[-1] - prices[-NEAR:][0] for prices in bids] + [prices[:NEAR][-1] - prices[0] for prices in asks]
        depth = max(float(np.median(reaches)), 0.35 * (high - low))
    elif not depth > 0:
        raise InvalidInput(f"{depth!r} isn't a distance in price: give more than 0", "depth")
    low, high = low - depth, high + depth
    tick = _tick(books, low, high)
    step = tick * max(1, int(np.ceil((high - low) / ROWS / tick)))
    first = np.floor(low / step) * step - tick / 2
    return np.asarray(first + step * np.arange(int(np.ceil((high - first) / step)) + 1))


def _tick(books: list[tuple[Levels, Levels]], low: float, high: float) -> float:
    """The smallest distance of two prices that were seen, but for what floats make of it."""
    some = books[:: max(1, len(books) // 64)]
    prices = np.unique(np.concatenate([side[0] for book in some for side in book]))
    steps = np.diff(prices[(prices >= low) & (prices <= high)])
    steps = steps[steps > (high - low) * 1e-7]
    return float(f"{steps.min():.6g}") if len(steps) else max((high - low) / ROWS, 1e-9)


def draw_book(part: Asked, found: Depth, *, title: str | None = None) -> Any:
    """The figure: bids in blue, asks in orange, the darker the more, and the middle between the best of both."""
    made = canvas.figure(11, 5.6, f"{part.name}: depth" if title is None else title)
    axes = made.subplots()
    sizes = np.concatenate([found.bids[found.bids > 0], found.asks[found.asks > 0]])
    low, high = np.quantile(sizes, (0.05, 0.998)) if len(sizes) else (1.0, 10.0)
    times = canvas.moments(found.times)
    for name, values, colours in (("ask size", found.asks, _ORANGES), ("bid size", found.bids, _BLUES)):
        shown = np.ma.masked_less_equal(values.T, 0)
        style = {"cmap": canvas.shades(name, colours), "norm": canvas.log_scale(float(low), float(high)), "rasterized": True}
        drawn = axes.pcolormesh(times, found.prices, np.ma.maximum(shown, low), shading="flat", **style)
        bar = made.colorbar(drawn, ax=axes, pad=0.008, aspect=42, fraction=0.03)
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=8, colors=canvas.INK)
        canvas.label(bar.ax, y=name)
        canvas.plain_numbers(bar.ax.yaxis)
    axes.plot(canvas.moments(found.times[1:]), found.mid, color="black", linewidth=0.9, label="mid price", gid="mid")
    canvas.tidy(axes, grid="")
    canvas.plain_numbers(axes.yaxis)
    canvas.label(axes, y="price")
    axes.set_ylim(found.prices[0], found.prices[-1])
    canvas.legend(axes, loc="upper right")
    how = "rebuilt from updates" if found.rebuilt else "the snapshot in force"
    step, row = duration(int(found.times[1] - found.times[0])), canvas.written(float(f"{found.prices[1] - found.prices[0]:.6g}"))
    canvas.note(axes, f"{part.span}, version {part.view.version}; every {step} {how}, sizes added up per {row} of price")
    canvas.time_axis(axes, part.start, part.stop, name=part.clock)
    return made
