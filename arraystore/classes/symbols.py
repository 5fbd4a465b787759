"""Which instrument a symbol names on a venue at a time, by what was known at another: decided here, without any I/O."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import zip_longest
from typing import Any, NamedTuple

import numpy as np

from arraystore.frames.columns import Labels, Ragged
from layouts.times import format_time

OPEN = (1 << 63) - 1
SHOWN = 4
COMPARED = 10_000  # symbols that a misspelt one is compared with


class Name(NamedTuple):
    """That an instrument is called `symbol` on a venue, from when to when (None: until further notice), and since when we know; ns."""

    instrument_uid: str
    venue: str
    symbol: str
    valid_from: int
    valid_to: int | None
    known_from: int

    def covers(self, time: int) -> bool:
        """Whether it holds at a time."""
        return self.valid_from <= time and (self.valid_to is None or time < self.valid_to)

    def __str__(self) -> str:
        until = "" if self.valid_to is None else f" to {format_time(self.valid_to)}"
        known = f", known since {format_time(self.known_from)}"
        return f"{self.symbol!r} is {self.instrument_uid!r} from {format_time(self.valid_from)}{until}{known}"


class Period(NamedTuple):
    """What an instrument is called from `start` to `stop` (None: until further notice), int64 ns since 1970 UTC."""

    symbol: str
    start: int
    stop: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """What a symbol names on a venue at a time, from when to when, and since when that is known; int64 ns since 1970 UTC.

    `valid_to` is None until further notice. `periods` tell what this instrument is called on the venue over all time, one name at a
    time: where several hold, the one known last. `definition` is the row of `instrument_definitions` that held then (times as ns,
    codes as their meaning, nulls as None), or None where there is none.
    """

    instrument_uid: str
    venue: str
    symbol: str
    valid_from: int
    valid_to: int | None
    known_from: int
    periods: tuple[Period, ...]
    definition: Mapping[str, Any] | None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types, times as ISO-8601 UTC; of the definition, times stay ns."""
        return {
            "instrument_uid": self.instrument_uid,
            "venue": self.venue,
            "symbol": self.symbol,
            "valid_from": format_time(self.valid_from),
            "valid_to": _formatted(self.valid_to),
            "known_from": format_time(self.known_from),
            "periods": [[symbol, format_time(start), _formatted(stop)] for symbol, start, stop in self.periods],
            "definition": None if self.definition is None else dict(self.definition),
        }


def _formatted(time: int | None) -> str | None:
    return None if time is None else format_time(time)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Names:
    """Many names as columns; times are int64 ns, `OPEN` in `valid_to` where there is no end yet."""

    uids: Labels
    venues: Labels
    symbols: Ragged
    valid_from: np.ndarray
    valid_to: np.ndarray
    known_from: np.ndarray

    def of_symbol(self, symbol: str) -> list[Name]:
        """All names of this spelling, on any venue, in the order of rows."""
        return self._at(np.flatnonzero(spelt(self.symbols, symbol)))

    def of_instrument(self, uid: str, venue: str) -> list[Name]:
        """All names of an instrument on a venue, in the order of rows."""
        return self._at(np.flatnonzero(self.uids.matches(uid) & self.venues.matches(venue)))

    def on_venue(self, venue: str) -> list[str]:
        """Symbols of a venue, at most so many as are worth comparing."""
        rows = np.flatnonzero(self.venues.matches(venue))[:COMPARED]
        return sorted({str(symbol) for symbol in self.symbols[rows]})

    def _at(self, rows: np.ndarray) -> list[Name]:
        texts = (self.uids[rows], self.venues[rows], self.symbols[rows])
        times = (self.valid_from[rows].tolist(), self.valid_to[rows].tolist(), self.known_from[rows].tolist())
        return [
            Name(str(uid), str(venue), str(symbol), start, None if stop == OPEN else stop, known)
            for uid, venue, symbol, start, stop, known in zip(*texts, *times, strict=True)
        ]


def spelt(values: Ragged, text: str) -> np.ndarray:
    """Which rows are this text: bool per row, without making a text of each."""
    wanted = np.frombuffer(text.encode(), np.uint8)
    same: np.ndarray = values.counts == len(wanted)
    rows = np.flatnonzero(same)
    letters = values.data[values.offsets[rows][:, None] + np.arange(len(wanted))]
    same[rows] = (letters == wanted).all(axis=1)
    return same


def believed(names: Iterable[Name], known_at: int | None) -> list[Name]:
    """What was believed at a time (None: now), oldest knowledge first.

    Of names that differ in their end only, the one known last counts, and of those known at once the last of all: so a name gets
    an end, another end, or by `valid_to` = `valid_from` is taken back.
    """
    latest: dict[tuple[str, str, str, int], Name] = {}
    for name in sorted(names, key=lambda name: name.known_from):
        if known_at is None or name.known_from <= known_at:
            key = (name.instrument_uid, name.venue, name.symbol, name.valid_from)
            latest.pop(key, None)
            latest[key] = name
    return list(latest.values())


def holding(names: Iterable[Name], time: int) -> Name | None:
    """Of believed names, the one that holds at a time; where several do, the one known last."""
    covering = [name for name in names if name.covers(time)]
    return covering[-1] if covering else None


def periods_of(names: Sequence[Name]) -> tuple[Period, ...]:
    """Believed names of one instrument as a line through time without overlaps."""
    bounds = sorted({name.valid_from for name in names} | {name.valid_to for name in names if name.valid_to is not None})
    coming = sorted(range(len(names)), key=lambda rank: names[rank].valid_from, reverse=True)
    begun: list[int] = []  # a heap, whose first is the one known last
    periods: list[Period] = []
    for start, stop in zip_longest(bounds, bounds[1:]):
        while coming and names[coming[-1]].valid_from <= start:
            heappush(begun, -coming.pop())
        while begun and not names[-begun[0]].covers(start):
            heappop(begun)
        if not begun:
            continue
        name = names[-begun[0]]
        if periods and periods[-1].symbol == name.symbol and periods[-1].stop == start:
            periods[-1] = periods[-1]._replace(stop=stop)
        else:
            periods.append(Period(name.symbol, start, stop))
    return tuple(periods)


def nearby(tables: Sequence[Names], symbol: str, venue: str) -> str:
    """What is known that might have been meant."""
    same = [name for table in tables for name in table.of_symbol(symbol)]
    if here := [name for name in same if name.venue == venue]:
        return f"known are: {'; '.join(map(str, here[:SHOWN]))}{_more(here)}"
    if same:
        venues = sorted({name.venue for name in same})
        return f"{symbol!r} is known on {', '.join(venues[:SHOWN])}{_more(venues)}"
    venues = sorted({label for table in tables for label in table.venues.labels})
    if venue not in venues:
        return f"venue {venue!r} isn't known; there are {', '.join(venues[:SHOWN])}{_more(venues)}"
    listed = sorted({known for table in tables for known in table.on_venue(venue)})
    from difflib import get_close_matches

    nearest = get_close_matches(symbol, listed, SHOWN, cutoff=0.5) or listed
    return f"{venue} knows {', '.join(nearest[:SHOWN])}{_more(listed)}"


def _more(listed: Sequence[object]) -> str:
    return f", … ({len(listed)} in all)" if len(listed) > SHOWN else ""
