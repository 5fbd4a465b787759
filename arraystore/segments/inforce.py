"""Which stretches of rows to look into for the row in force at each of many times, and which row of a stretch it is. Pure arithmetic.

The row in force at a time is the one with the greatest clock at or before it; of several at that very clock, the last in reading
order. Clocks may step back, so bounds of stretches may overlap: whatever can hold a later row is looked into, the likeliest first.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

NEVER = np.iinfo(np.int64).min

type Present = Callable[[np.ndarray, np.ndarray], np.ndarray]  # whether spans can hold rows for times: bool for each pair


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sought:
    """Ascending `times` (int64 ns), what each wants, and the row found for it so far.

    `floors`: the earliest clock that counts. `labels`: the number of the label that its row must have (all 0 where none is asked for).
    `clocks`: that of the row found (`NEVER`: none). `rows`: the row's number in reading order (−1: none).
    """

    times: np.ndarray
    floors: np.ndarray
    labels: np.ndarray
    clocks: np.ndarray
    rows: np.ndarray

    @classmethod
    def of(cls, times: np.ndarray, floors: np.ndarray, labels: np.ndarray) -> "Sought":
        """Nothing found yet."""
        count = len(times)
        return cls(times=times, floors=floors, labels=labels, clocks=np.full(count, NEVER), rows=np.full(count, -1, np.int64))

    def note(self, places: np.ndarray, clocks: np.ndarray, rows: np.ndarray) -> None:
        """Take rows found for some times (each place once) where they are later than those known."""
        known = self.clocks[places]
        better = (clocks >= self.floors[places]) & ((clocks > known) | ((clocks == known) & (rows > self.rows[places])))
        self.clocks[places[better]] = clocks[better]
        self.rows[places[better]] = rows[better]


class Spans:
    """Stretches of rows by the least and the greatest clock in them (int64, `low` ≤ `high`), and the number of their last row."""

    def __init__(self, low: np.ndarray, high: np.ndarray, last_row: np.ndarray, present: Present | None = None) -> None:
        self._order = np.lexsort((~last_row, ~high))  # the latest first: ~ turns the order round, and can't overflow
        self._low, self._high, self._last_row = low[self._order], high[self._order], last_row[self._order]
        self._least = ~np.minimum.accumulate(self._low)
        self._present = present

    def start(self, sought: Sought) -> np.ndarray:
        """Where to begin for each time: at the latest span that begins before it."""
        return np.searchsorted(self._least, ~sought.times, side="left")

    def advance(self, sought: Sought, places: np.ndarray, position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The times, of those at `places`, for which a span from `position` on can hold a later row, and where the first such is."""
        while True:
            going = position < len(self._order)
            places, position = places[going], position[going]
            high, clocks = self._high[position], sought.clocks[places]
            going = high >= np.maximum(clocks, sought.floors[places])
            places, position, high, clocks = places[going], position[going], high[going], clocks[going]
            times = sought.times[places]
            passed = self._low[position] > times
            passed |= (np.minimum(high, times) == clocks) & (self._last_row[position] <= sought.rows[places])
            if self._present is not None:
                passed |= ~self._present(self._order[position], places)
            if not passed.any():
                return places, position
            position = position + passed

    def spans_at(self, position: np.ndarray) -> np.ndarray:
        """Which spans are at positions."""
        spans: np.ndarray = self._order[position]
        return spans

    def wave(self, sought: Sought, places: np.ndarray, position: np.ndarray, depth: int) -> "Wave":
        """What to look into next: for each time the next `depth` spans that can hold a later row."""
        spans, asked = [], []
        for _ in range(depth):
            places, position = self.advance(sought, places, position)
            spans.append(self.spans_at(position))
            asked.append(places)
            position = position + 1
            if not len(places):
                break
        told, for_whom = np.concatenate(spans), np.concatenate(asked)
        order = np.argsort(told, kind="stable")
        return Wave(spans=told[order], asked=for_whom[order], places=places, position=position)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Wave:
    """Pairs of a span and the place of a time, by span; and the times that may want more after it, with where they go on."""

    spans: np.ndarray
    asked: np.ndarray
    places: np.ndarray
    position: np.ndarray

    def by_span(self) -> list[tuple[int, np.ndarray]]:
        """Each span once, ascending, with the places of the times that ask for it."""
        if not len(self.spans):
            return []
        starts = np.flatnonzero(np.diff(self.spans, prepend=-1))
        return list(zip(self.spans[starts].tolist(), np.split(self.asked, starts[1:]), strict=True))


def latest(clock: np.ndarray, times: np.ndarray) -> np.ndarray:
    """For each time the position of the greatest clock at or before it, of equal ones the last; −1 where there is none."""
    order, values = _sorted(clock)
    found = np.searchsorted(values, times, side="right") - 1
    return found if order is None else np.where(found < 0, -1, order[found])


def latest_of(clock: np.ndarray, codes: np.ndarray, times: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The same among the rows that have the code wanted with each time (none is negative)."""
    order, values = _sorted(clock)
    codes = codes if order is None else codes[order]
    named = np.zeros(max(int(codes.max(initial=0)), int(wanted.max(initial=0))) + 2, np.bool_)
    named[wanted] = True
    rows = np.flatnonzero(np.take(named, codes, mode="wrap"))  # code −1 wraps to the last
    count = len(clock) + 1
    keys = np.sort(codes[rows].astype(np.int64) * count + rows)
    until = wanted.astype(np.int64) * count + np.searchsorted(values, times, side="right")
    place = np.searchsorted(keys, until, side="left") - 1
    keys = np.append(keys, -1)  # so that there is something at −1
    found = np.where(keys[place] // count == wanted, keys[place] % count, -1)
    return found if order is None else np.where(found < 0, -1, order[found])


def _sorted(clock: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
    """What sorts a clock, equal values in the order they come in (None: it is sorted), and its values sorted."""
    if bool((clock[1:] >= clock[:-1]).all()):
        return None, clock
    order = np.argsort(clock, kind="stable")
    return order, clock[order]
