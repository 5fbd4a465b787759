"""Feeds for hftbacktest from canonical trades and book updates: one `.npz` file a time window, made once and kept."""

import hashlib
import json
import os
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from arraystore import arguments
from arraystore.arguments import TimeLike
from arraystore.bridges.hftevents import (
    CLEAR,
    Book,
    Ticks,
    by_both_clocks,
    depth_events,
    in_message_order,
    trade_events,
)
from arraystore.bridges.ticks import floats, of_conditions, readable, wanted_conditions
from arraystore.datasets.view import DatasetView
from arraystore.errors import InvalidInput, Problem
from arraystore.replays.streams import default_clock
from arraystore.storage import LocalStorage
from arraystore.versions.state import WindowSummary
from layouts.naming import escape, format_key
from layouts.schema import Clock
from layouts.times import format_time, parse_duration
from layouts.windows import AXIS_MAX, AXIS_MIN, windows_between

FORMAT = "arraystore-hftbacktest-1"


def to_hftbacktest(
    trades: DatasetView,
    book: DatasetView,
    start: TimeLike | None = None,
    end: TimeLike | None = None,
    *,
    latency_offset: int | str | timedelta = 0,
    cache_dir: str | os.PathLike[str],
    conditions: Iterable[str] | None = None,
    prime: bool = True,
    threads: int | None = None,
) -> list[str]:
    """Paths of `.npz` files, one a window with rows, in order, for `hftbacktest.BacktestAsset().data(paths)`.

    Parameters
    ----------
    trades, book
        Datasets of the shipped schemas `trades` and `book_updates`, of one instrument, at the versions that the handles see.
    start, end
        Rows that were seen in `[start, end)`, by capture time; None for open.
    latency_offset
        Added to every capture time (ns, or text such as "1.5s"), so that no event is seen before it happened. It is the same in all
        windows; give all instruments of a backtest the same. Where it is too small, InvalidInput says how large it must be.
    cache_dir
        Where files are kept, named after the instrument, the window and a digest of all that decides their contents: what was made
        before is used again, also after commits to other windows. A file appears whole or not at all; any of them may be deleted.
    conditions
        Only trades whose `condition` is one of these (for Binance: "MARKET", as hftbacktest's converter does); None for all.
    prime
        Where rows of the book come before `start`, the first file begins with the levels that the last snapshot and the updates since
        leave, as snapshot events; what was told of levels beyond it before isn't known any more. Without it the book begins empty.
    threads
        Decoders at work; the number of cores by default.

    Notes
    -----
    Events are the rows in the order they were seen (capture time, `capture_sequence`, trades before the book), then put in order of both
    clocks as hftbacktest's `correct_event_order` does, in each file and from file to file: an exchange time that lies before the end
    of the window before is moved up to it. A level that is deleted has size 0. A side that is cleared by a snapshot is cleared as
    far as the snapshot reaches. Rows without an exchange time are refused.
    """
    readable(trades, "trades")
    readable(book, "book")
    first, stop = arguments.bounds(start, end)
    offset, threads = parse_duration(latency_offset, "latency_offset"), arguments.threads(threads)
    wanted = wanted_conditions(conditions)
    folder = Path(cache_dir).absolute()
    storage = LocalStorage(folder, create=True)
    feed = _Feed(_Side.of(trades, "trades"), _Side.of(book, "book"), offset, wanted, threads)
    files = list(feed.plan(first, stop, primed=bool(prime)))
    missing = [each for each in files if not storage.exists(each.name)]
    feed.check_latency(missing)
    empty = set()
    for each in missing:
        events = feed.events(each)
        if len(events):
            storage.put(each.name, _npz(events), durable=True)
        else:
            empty.add(each.name)
    return [str(folder / each.name) for each in files if each.name not in empty]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """One of the two datasets, held still, with the columns that tell when a row was seen and when it happened."""

    view: DatasetView
    local: str
    exchange: str

    @classmethod
    def of(cls, given: DatasetView, where: str) -> "_Side":
        view = given._still()  # noqa: SLF001 - one version, whatever another thread does to the handle
        columns = ("price", "size", "side") if where == "trades" else ("price", "size", "side", "action", "flags")
        if missing := [
            Problem(where, f"schema {view.schema.name!r} has no column {name!r}") for name in columns if name not in view.schema
        ]:
            raise InvalidInput(missing)
        windows = view.state.window_names()
        local = default_clock(view.schema, view.state, windows)
        happened = [column.name for column in view.schema.columns if column.clock is Clock.EXCHANGE]
        seen = {clock for window in windows for clock in view.state.summary(window).clocks}
        exchange = next((name for name in happened if name in seen), view.schema.axis)
        if exchange == local and any(view.state.summary(window).rows for window in windows):
            told = f"no row says when it happened and when it was seen: {local!r} is its only clock, and hftbacktest needs both"
            raise InvalidInput(told, where)
        return cls(view=view, local=local, exchange=exchange)

    def summaries(self) -> Iterator[WindowSummary]:
        """The windows that have rows with a capture time, in short."""
        return (each for each in self.view.state.summaries() if each.rows and self.local in each.clocks)

    def met(self, start: int, stop: int) -> list[WindowSummary]:
        """The windows that may have rows seen from `start` to `stop`."""
        return [each for each in self.summaries() if arguments.overlaps(each.clocks[self.local], start, stop)]

    def identity(self, start: int, stop: int) -> list[Any]:
        """What tells these rows from any others: the records that lead to their bytes."""
        windows = (self.view.state.window(each.window) for each in self.met(start, stop))
        entries = [[entry.segment, entry.tail, entry.place, entry.index] for window in windows for entry in window.segments]
        return [self.view.uuid, self.local, self.exchange, entries]

    def newest_before(self, moment: int, start: int) -> int:
        """The largest exchange time of rows seen from `start` to before `moment`."""
        newest = AXIS_MIN
        for each in self.met(start, moment):
            if self.exchange not in each.clocks:
                continue
            low, high = each.clocks[self.local]
            if start <= low and high < moment:
                newest = max(newest, each.clocks[self.exchange][1])
            else:
                frame = self.view.read(start, moment, [self.exchange], clock=self.local, window=each.window)
                newest = max(newest, int(frame[self.exchange].view(np.int64).max(initial=AXIS_MIN)))
        return newest

    def ticks(self, start: int, stop: int, threads: int | None, conditions: frozenset[str] | None = None) -> Ticks:
        """The rows seen from `start` to `stop`, in the dataset's order."""
        schema = self.view.schema
        names = ["price", "size", "side", "action", "flags", "capture_sequence", "condition"]
        columns = [self.local, self.exchange, *(name for name in names if name in schema)]
        frame = self.view.read(start, stop, columns, clock=self.local, threads=threads)
        valid = frame.valid(self.exchange)
        if valid is not None and not valid.all():
            lost = f"{format_key(self.view.key)}: {int((~valid).sum()):,} rows from {format_time(start)} on have no {self.exchange}"
            raise InvalidInput(f"{lost}, so nobody knows when the exchange had them: give a dataset that tells", "exchange time")
        sequence = frame.valid("capture_sequence") if "capture_sequence" in frame else np.zeros(0, np.bool_)
        known = "capture_sequence" in frame and (sequence is None or bool(sequence.all()))
        found = Ticks(
            local=frame[self.local].view(np.int64),
            exchange=frame[self.exchange].view(np.int64),
            sequence=frame["capture_sequence"] if known else np.zeros(frame.row_count, np.uint64),
            side=frame["side"],
            price=floats(frame["price"]),
            size=floats(frame["size"]),
            action=frame.get("action"),
            flags=frame.get("flags"),
        )
        chosen = of_conditions(frame, conditions)
        return found if chosen is None else found.take(np.flatnonzero(chosen))


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """Rows seen from `start` to `stop`; `floor` is the exchange time that all before them reach, `primed` whether levels come first."""

    name: str
    start: int
    stop: int
    floor: int
    primed: bool


@dataclass(frozen=True, slots=True)
class _Feed:
    """The two datasets, and how events are made of them."""

    trades: _Side
    book: _Side
    offset: int
    conditions: frozenset[str] | None
    threads: int | None

    def plan(self, first: int | None, last: int | None, *, primed: bool) -> Iterator[_File]:
        """The files of a range."""
        spans = [each.clocks[side.local] for side in (self.trades, self.book) for each in side.summaries()]
        if not spans:
            return
        begin = max(AXIS_MIN if first is None else first, min(span[0] for span in spans))
        end = min(AXIS_MAX if last is None else last, max(span[1] for span in spans) + 1)
        primed = primed and first is not None and any(each.clocks[self.book.local][0] < first for each in self.book.summaries())
        done = False
        for window in windows_between(self.book.view.schema.window, begin, end) if begin < end else ():
            start, stop = max(window.start, begin), min(window.stop, end)
            if self.trades.met(start, stop) or self.book.met(start, stop):
                floor = max(side.newest_before(start, begin) for side in (self.trades, self.book)) if done else AXIS_MIN
                bounds = (
                    window.start if first is None else max(window.start, first),
                    window.stop if last is None else min(window.stop, last),
                )
                name = self._name(window.name, bounds, floor, primed=primed and not done)
                yield _File(name=name, start=bounds[0], stop=bounds[1], floor=floor, primed=primed and not done)
                done = True

    def _name(self, window: str, bounds: tuple[int, int], floor: int, *, primed: bool) -> str:
        told = {
            "format": FORMAT,
            "bounds": bounds,
            "trades": self.trades.identity(*bounds),
            "book": self.book.identity(*bounds),
            "primed": [self.book.view.uuid, self.book.view.digest] if primed else None,
            "floor": floor,
            "offset": self.offset,
            "conditions": None if self.conditions is None else sorted(self.conditions),
        }
        digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
        return f"{escape(self.trades.view.key[-1])}-{window}-{digest[:32]}.npz"

    def check_latency(self, files: Iterable[_File]) -> None:
        """Refuse an offset with which something would be seen before it happened."""
        least, where = 0, 0
        for each in files:
            for side in (self.trades, self.book):
                frame = side.view.read(each.start, each.stop, [side.local, side.exchange], clock=side.local, threads=self.threads)
                valid = frame.valid(side.exchange)
                local, exchange = (frame[name].view(np.int64) for name in (side.local, side.exchange))
                latency = local - np.maximum(exchange, each.floor)
                latency = latency if valid is None else latency[valid]
                if len(latency) and latency.min() < least:
                    least, where = int(latency.min()), int(local[np.argmin(latency)])
        if least + self.offset < 0:
            told = (
                f"with {self.offset} ns, what was seen at {format_time(where)} would be seen {-least - self.offset} ns before it happened"
            )
            raise InvalidInput(f"{told}: give at least {-least}, the same for all instruments of a backtest", "latency_offset")

    def events(self, file: _File) -> np.ndarray:
        """The events of a file, in hftbacktest's order."""
        trades = self.trades.ticks(file.start, file.stop, self.threads, self.conditions)
        book = in_message_order(self.book.ticks(file.start, file.stop, self.threads))
        events = np.concatenate([trade_events(trades), depth_events(book)])
        sequence = np.concatenate([trades.sequence, book.sequence])
        if not (trades.sequence.any() and book.sequence.any()):
            sequence = np.zeros(len(sequence), np.uint64)  # numbers of one alone order nothing
        events = events[np.lexsort((sequence, events["local_ts"]))]
        events["exch_ts"] = np.maximum(events["exch_ts"], file.floor)
        events["local_ts"] += self.offset
        if file.primed:
            levels = self._levels(file.start)
            first = (int(events["exch_ts"].min()), int(events["local_ts"][0])) if len(events) else (file.start, file.start + self.offset)
            events = np.concatenate([levels.snapshot(*first), events])
        return by_both_clocks(events)

    def _levels(self, moment: int) -> Book:
        """The book as those knew it who saw all before a moment: the last snapshot, and the updates since."""
        pieces: list[Ticks] = []
        for each in reversed([each for each in self.book.summaries() if each.clocks[self.book.local][0] < moment]):
            low, high = each.clocks[self.book.local]
            pieces.insert(0, self.book.ticks(low, min(high + 1, moment), self.threads))
            if all(_clears_whole(pieces[0], side) for side in (1, -1)):
                break
        else:
            told = f"the book has no snapshot before {format_time(moment)} to begin with: begin at one, or with an empty book (prime=False)"
            raise InvalidInput(told, "start")
        levels = Book()
        for piece in pieces:
            levels.apply(piece)
        return levels


def _clears_whole(book: Ticks, side: int) -> bool:
    assert book.action is not None
    return bool(((book.action == CLEAR) & np.isnan(book.price) & ((book.side == side) | (book.side == 0))).any())


def _npz(events: np.ndarray) -> list[memoryview]:
    """The bytes of a `.npz` file with one array, `data`; the events in it aren't copied."""
    pieces = _Pieces()
    with zipfile.ZipFile(pieces, "w", zipfile.ZIP_STORED) as archive, archive.open("data.npy", "w", force_zip64=True) as member:
        np.lib.format.write_array_header_1_0(member, np.lib.format.header_data_from_array_1_0(events))
        member.write(memoryview(events.view(np.uint8)))
    return pieces.held


class _Pieces:
    """A file that keeps what is written to it in pieces, as they are."""

    def __init__(self) -> None:
        self.held: list[memoryview] = []

    def write(self, data: bytes | memoryview) -> int:
        """Keep one more piece."""
        self.held.append(memoryview(data).cast("B"))
        return self.held[-1].nbytes

    def flush(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """What was written stays."""

    def tell(self) -> int:
        """How much was written; there is no way back to it."""
        return sum(map(len, self.held))
