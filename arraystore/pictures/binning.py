"""Many points as few: per bin of time the smallest and the largest value, so that no spike is lost, and where a line enters and leaves."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

LONG = 0.015


@dataclass(slots=True)
class Bins:
    """Equal bins of time over `[start, stop)` (ns), of some columns at once, filled batch by batch in memory that doesn't grow.

    `low`, `high`, `first` and `last` have the shape (columns, bins), NaN where a bin has no finite value; `first` and `last` are those in
    the order in which values were added. `rows` counts per bin what was added, `skipped` per column what wasn't finite.
    """

    start: int
    stop: int
    count: int
    columns: int
    width: int = field(init=False)
    low: np.ndarray = field(init=False)
    high: np.ndarray = field(init=False)
    first: np.ndarray = field(init=False)
    last: np.ndarray = field(init=False)
    rows: np.ndarray = field(init=False)
    skipped: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.width = max(1, -(-(self.stop - self.start) // self.count))
        self.count = max(1, -(-(self.stop - self.start) // self.width))
        self.low, self.high, self.first, self.last = (np.full((self.columns, self.count), np.nan) for _ in range(4))
        self.rows = np.zeros(self.count, np.int64)
        self.skipped = np.zeros(self.columns, np.int64)

    @property
    def centres(self) -> np.ndarray:
        """The middle of each bin, int64 ns."""
        return self.start + np.arange(self.count, dtype=np.int64) * self.width + self.width // 2

    def add(self, times: np.ndarray, values: Sequence[np.ndarray]) -> None:
        """Take in rows: their times (int64 ns, in any order; those outside are left out) and a float64 array for each column."""
        edges = self.start + np.arange(self.count + 1, dtype=np.int64) * self.width
        if bool((times[1:] >= times[:-1]).all()):
            cuts = np.searchsorted(times, edges)
            order: np.ndarray | None = None
        else:
            inside = np.flatnonzero((times >= edges[0]) & (times < edges[-1]))
            places = (times[inside] - self.start) // self.width
            sorting = np.argsort(places, kind="stable")
            order, cuts = inside[sorting], np.searchsorted(places[sorting], np.arange(self.count + 1))
        filled = np.flatnonzero(cuts[1:] > cuts[:-1])
        self.rows[filled] += cuts[filled + 1] - cuts[filled]
        if len(filled):
            for column, given in enumerate(values):
                self._take(column, given if order is None else given[order], filled, cuts)

    def _take(self, column: int, values: np.ndarray, filled: np.ndarray, cuts: np.ndarray) -> None:
        values = values[cuts[filled[0]] : cuts[filled[-1] + 1]]
        starts, stops = cuts[filled] - cuts[filled[0]], cuts[filled + 1] - cuts[filled[0]]
        with np.errstate(over="ignore", invalid="ignore"):  # a sum that isn't finite only says that each value must be looked at
            total = values.sum()
        finite = None if np.isfinite(total) else np.isfinite(values)
        if finite is not None:
            self.skipped[column] += len(values) - int(finite.sum())
            counts = np.add.reduceat(finite, starts, dtype=np.int64)
            ends = np.cumsum(counts)
            there = counts > 0
            values, filled, starts, stops = values[finite], filled[there], (ends - counts)[there], ends[there]
            if not len(filled):
                return
        self.low[column, filled] = np.fmin(self.low[column, filled], np.minimum.reduceat(values, starts))
        self.high[column, filled] = np.fmax(self.high[column, filled], np.maximum.reduceat(values, starts))
        known = np.isfinite(self.first[column, filled])
        self.first[column, filled] = np.where(known, self.first[column, filled], values[starts])
        self.last[column, filled] = values[stops - 1]

    def line(self, column: int) -> tuple[np.ndarray, np.ndarray]:
        """Times (int64 ns) and values of a line that covers what the line through all points would cover, at a bin's width."""
        filled = np.flatnonzero(np.isfinite(self.low[column]))
        four = (self.first, self.low, self.high, self.last)
        values = np.stack([each[column, filled] for each in four], axis=1).ravel()
        return np.repeat(self.centres[filled], len(four)), values


def with_breaks(times: np.ndarray, values: np.ndarray, span: int) -> tuple[np.ndarray, np.ndarray]:
    """The same points, with NaN where nothing came for long: longer than this part of `span`, and ten times the usual step."""
    steps = np.diff(times)
    usual = np.median(steps[steps > 0]) if bool((steps > 0).any()) else 0
    breaks = np.flatnonzero((steps > span * LONG) & (steps > 10 * usual)) + 1
    return np.insert(times, breaks, times[breaks] - 1), np.insert(values, breaks, np.nan)
