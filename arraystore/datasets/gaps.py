"""Stretches of time without a row, found in one pass over a clock, in the memory of what is found."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from arraystore.errors import InvalidInput
from arraystore.versions.commit import Interval
from layouts.times import format_time

MOST_GAPS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A stretch without a row, in int64 ns since 1970 UTC.

    From the row before it, or the start of the range (`start`), to the row after it, or the end of the range (`stop`). `covered_ns` is
    how much of it the writer declared as observed: there nothing happened, elsewhere perhaps nobody looked. `absent_ns` is how much of
    it lies where the dataset has no window at all.
    """

    start: int
    stop: int
    covered_ns: int
    absent_ns: int

    @property
    def duration_ns(self) -> int:
        """How long it is."""
        return self.stop - self.start

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types, times as ISO-8601 UTC, lengths in ns."""
        return {
            "start": format_time(self.start),
            "stop": format_time(self.stop),
            "duration_ns": self.duration_ns,
            "covered_ns": self.covered_ns,
            "absent_ns": self.absent_ns,
        }


class GapFinder:
    """Takes times batch by batch, in any order, and keeps the stretches longer than `least` between them."""

    def __init__(self, least: int, start: int | None, end: int | None) -> None:
        self._least, self._end = least, end
        self._oldest = self._newest = start
        self._bound = start is not None
        self._starts = np.zeros(0, np.int64)
        self._stops = np.zeros(0, np.int64)

    def add(self, times: np.ndarray) -> None:
        """Look at more times (int64 ns)."""
        if not times.size:
            return
        least = int(times.min())
        if self._oldest is None or self._newest is None:
            self._oldest = self._newest = least
        elif least < self._oldest and not self._bound:
            if self._oldest - least > self._least:
                self._starts = np.concatenate(([least], self._starts))
                self._stops = np.concatenate(([self._oldest], self._stops))
            self._oldest = least
        newest = np.maximum.accumulate(np.concatenate(([self._newest], times)))
        after = np.flatnonzero(_longer(newest[:-1], times, self._least))
        self._starts = np.concatenate((self._starts, newest[after]))
        self._stops = np.concatenate((self._stops, times[after]))
        if len(self._starts) > MOST_GAPS:
            told = f"there are more than {MOST_GAPS:,} stretches of more than {self._least} ns without a row"
            raise InvalidInput(f"{told}: ask for longer ones, or in a shorter range", "longer_than")
        self._newest = int(newest[-1])
        self._split(times[times < newest[:-1]])

    def _split(self, late: np.ndarray) -> None:
        """Rows that came after later ones may lie in what seemed a gap."""
        if not late.size or not self._starts.size:
            return
        places = np.searchsorted(self._starts, late, side="right") - 1
        inside = (places >= 0) & (late < self._stops[places]) & (late > self._starts[places])
        if not inside.any():
            return
        borders = np.unique(late[inside])
        whole = np.searchsorted(self._starts, borders, side="right") - 1
        # Each of these times ends the gap that it lies in, or the rest of it, and begins another one.
        starts = np.concatenate((self._starts, borders))
        order = np.argsort(starts, kind="stable")
        starts, owner = starts[order], np.concatenate((np.arange(len(self._starts)), whole))[order]
        stops = np.where(np.append(owner[1:] == owner[:-1], False), np.append(starts[1:], 0), self._stops[owner])
        kept = _longer(starts, stops, self._least)
        self._starts, self._stops = starts[kept], stops[kept]

    def found(self) -> list[Interval]:
        """All of them, in order, up to the end of the range."""
        gaps = list(zip(self._starts.tolist(), self._stops.tolist(), strict=True))
        if self._newest is not None and self._end is not None and self._end - self._newest > self._least:
            gaps.append((self._newest, self._end))
        return gaps


def _longer(starts: np.ndarray, stops: np.ndarray, least: int) -> np.ndarray:
    """Where a stretch that goes forward is longer than that; int64 may hold no difference of two times, and uint64 does."""
    forward: np.ndarray = stops > starts
    return forward & ((stops.view(np.uint64) - starts.view(np.uint64)) > np.uint64(least))


def gaps_of(found: Iterable[Interval], covered: Sequence[Interval], absent: Sequence[Interval]) -> list[Gap]:
    """Stretches, with how much of each is known to be empty, and of how much nothing is known."""
    inside = _Overlap(covered), _Overlap(absent)
    return [Gap(start=start, stop=stop, covered_ns=inside[0](start, stop), absent_ns=inside[1](start, stop)) for start, stop in found]


class _Overlap:
    """How much of a stretch lies in disjoint, sorted intervals."""

    def __init__(self, intervals: Sequence[Interval]) -> None:
        self._intervals = intervals
        self._stops = np.array([stop for _, stop in intervals], np.int64)

    def __call__(self, start: int, stop: int) -> int:
        total = 0
        for first, last in self._intervals[int(np.searchsorted(self._stops, start, side="right")) :]:
            if first >= stop:
                break
            total += min(last, stop) - max(first, start)
        return total
