"""Rows of many datasets on one grid of times: which row of which dataset each cell is, and reading any block of cells."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np

from arraystore.datasets.extent import Extent, extent_of
from arraystore.frames.rows import Rows
from arraystore.frames.xarrayframe import rowwise_specs, rowwise_values
from arraystore.labelled.source import Source
from arraystore.pool import map_in_order
from arraystore.segments.plan import Runs, run, spread_runs
from layouts.schema import ArraySpec, Schema

type Span = tuple[int, int]

ROWS_PER_RUN = 24
"""Where runs are longer on average, it takes less to keep them than to read the clock again."""


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """Rows that follow each other both in a dataset and on a grid: `count[i]` from row `row[i]` on, at grid place `place[i]` on."""

    row: np.ndarray
    place: np.ndarray
    count: np.ndarray

    def on(self, grid: np.ndarray, before: np.ndarray) -> "Placed | None":
        """The same on a grid that has all times of the one before, and maybe more; None if that takes too many runs."""
        if grid is before:
            return self
        return _placed(grid, before[spread_runs(self.place, self.place + self.count)], spread_runs(self.row, self.row + self.count))

    def between(self, first: int, last: int) -> "Placed":
        """Those at grid places `first` to before `last`."""
        kept = slice(np.searchsorted(self.place + self.count, first, side="right"), np.searchsorted(self.place, last))
        place, count = self.place[kept], self.count[kept]
        low = np.maximum(place, first)
        return Placed(self.row[kept] + low - place, low, np.minimum(place + count, last) - low)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Members:
    """Datasets at their versions, and how their rows come to a grid. Immutable and picklable; safe to share between threads.

    A row belongs if its axis clock lies in the range that its source has, and in one of `spans`, where there are some. Its `clock` tells
    its place. Of several rows of one dataset at one place the last counts, or with `first` the first.
    """

    sources: tuple[Source, ...]
    clock: str
    spans: tuple[Span, ...] | None = None
    first: bool = False
    as_of: bool = False
    tolerance: int | None = None
    grid: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    placed: tuple[Placed | None, ...] = ()

    def __dask_tokenize__(self) -> object:
        """What makes blocks equal."""
        told = self.clock, self.spans, self.first, self.as_of, self.tolerance, sha256(self.grid.tobytes()).hexdigest()
        return "arraystore-panel", *told, *(source.__dask_tokenize__() for source in self.sources)

    # --- the grid ------------------------------------------------------------------------------------------------

    def times(self, threads: int | None) -> tuple[np.ndarray, tuple[Placed | None, ...]]:
        """Every time at which a dataset has a row, ascending, and where on that grid the rows are, as far as that is short to tell."""
        grid = np.zeros(0, np.int64)
        held: list[tuple[np.ndarray, Placed] | None] = []  # on the grid as it was then: times themselves would fill the memory
        for moments, numbers in map_in_order(self._moments, self.sources, threads):
            place = np.searchsorted(grid, moments)
            known = grid[np.minimum(place, len(grid) - 1)] == moments if len(grid) else np.zeros(len(moments), np.bool_)
            if not known.all():
                grid = np.union1d(grid, moments[~known])
            placed = _placed(grid, moments, numbers)
            held.append(None if placed is None else (grid, placed))
        return grid, tuple(None if each is None else each[1].on(grid, each[0]) for each in held)

    def _moments(self, source: Source) -> tuple[np.ndarray, np.ndarray]:
        """The times of the rows that belong, and their numbers."""
        extent = source.extent
        rows = extent.read(run(0, extent.rows), self._telling(extent.schema), threads=1)
        chosen = self._belonging(rows, None, None)
        times = rows.arrays[self.clock]
        return (times, np.arange(len(times))) if chosen is None else (times[chosen], np.flatnonzero(chosen))

    def _telling(self, schema: Schema) -> set[str]:
        """The columns that tell whether a row belongs, and where."""
        return {self.clock} if self.spans is None else {self.clock, schema.axis}

    def _belonging(self, rows: Rows, start: int | None, stop: int | None) -> np.ndarray | None:
        """Which rows belong, whose axis clock must also lie in a range; None for all."""
        chosen = rows.validity(self.clock)
        if (start, stop) == (None, None) and self.spans is None:
            return chosen
        moments = rows.arrays[rows.schema.axis]
        inside = np.ones(rows.count, np.bool_) if chosen is None else chosen.copy()
        if start is not None:
            inside &= moments >= start
        if stop is not None:
            inside &= moments < stop
        if self.spans is not None:
            inside &= within(moments, self.spans)
        return inside

    # --- blocks --------------------------------------------------------------------------------------------------

    def block(self, spec: ArraySpec, times: range, members: Sequence[int]) -> np.ndarray:
        """The cells of some grid places and members, of one of a panel's arrays: in the shape (times, members, …)."""
        shape = (len(members), len(times), *spec.inner_shape)
        out = np.full(shape, absent(spec), np.dtype(spec.dtype))
        for number, member in enumerate(members):
            if len(times):
                self._fill(out[number], spec, times, member)
        return np.moveaxis(out, 0, 1)

    def _fill(self, out: np.ndarray, spec: ArraySpec, times: range, member: int) -> None:
        source = self.sources[member]
        placed = self.placed[member] if self.placed else None
        if self.as_of:
            self._fill_as_of(out, spec, self.grid[times.start : times.stop], source)
        elif placed is not None:
            _fill_placed(out, spec, times.start, placed.between(times.start, times.stop), source.extent)
        else:
            self._fill_by_clock(out, spec, times, source)

    def _fill_by_clock(self, out: np.ndarray, spec: ArraySpec, times: range, source: Source) -> None:
        """Read the rows that may have a place, and see which."""
        extent, grid = source.extent, self.grid[times.start : times.stop]
        part, (start, stop) = extent, extent.asked
        if self.placed and len(times) == len(self.grid):
            start = stop = None  # every row has its place
        else:
            first, last = int(grid[0]), int(grid[-1]) + 1
            if self.clock == extent.schema.axis:
                first, last = first if start is None else max(first, start), last if stop is None else min(last, stop)
                start = stop = None
            part = extent_of(extent.storage, extent.log, extent.state, extent.schema, start=first, stop=last, clock=self.clock)
        names = self._telling(extent.schema) | ({extent.schema.axis} if (start, stop) != (None, None) else set())
        names |= {spec.column} if spec.column in extent.schema else set()
        rows = part.read(run(0, part.rows), names, threads=1)
        moments = rows.arrays[self.clock]
        place = np.minimum(np.searchsorted(grid, moments), len(grid) - 1)
        found = grid[place] == moments
        chosen = self._belonging(rows, start, stop)
        kept = np.flatnonzero(found if chosen is None else found & chosen)
        kept = kept[::-1] if self.first else kept  # of one place, the last that is written stays
        out[place[kept]] = values_of(rows, spec)[kept]

    def _fill_as_of(self, out: np.ndarray, spec: ArraySpec, grid: np.ndarray, source: Source) -> None:
        """The rows in force at the grid's times."""
        names = [spec.column] if spec.column in source.schema else [source.schema.axis]
        found = source.view.as_of(grid, names, clock=self.clock, tolerance=self.tolerance, threads=1)
        held = np.flatnonzero(found.found)
        out[held] = values_of(found.frame.rows.take(held), spec)


def within(moments: np.ndarray, spans: Sequence[Span]) -> np.ndarray:
    """Which moments lie in one of some ascending half-open ranges that are apart from each other."""
    bounds = np.array(spans, np.int64).reshape(-1, 2)
    place = np.searchsorted(bounds[:, 0], moments, side="right") - 1
    inside: np.ndarray = (place >= 0) & (moments < np.append(bounds[:, 1], 0)[place])
    return inside


def values_of(rows: Rows, spec: ArraySpec) -> np.ndarray:
    """What rows have of one of a panel's arrays."""
    if spec.role == "count":
        return np.ones(rows.count, np.bool_)
    if spec.role == "valid":
        valid = rows.validity(spec.column)
        return np.ones(rows.count, np.bool_) if valid is None else valid
    own = next(each for each in rowwise_specs(rows.schema) if each.column == spec.column and each.role == "values")
    return rowwise_values(rows, own)


def absent(spec: ArraySpec) -> Any:
    """What a cell without a row, or with a null, holds."""
    kind = np.dtype(spec.dtype).kind
    return {"f": np.nan, "M": np.datetime64("NaT", "ns"), "O": None}.get(kind, 0)


def _fill_placed(out: np.ndarray, spec: ArraySpec, before: int, placed: Placed, extent: Extent) -> None:
    """Read the rows whose places are known."""
    if not len(placed.row):
        return
    places = Runs(placed.place - before, placed.place - before + placed.count).indices()
    if spec.role == "count":
        out[places] = True
        return
    picked = Runs(placed.row, placed.row + placed.count)
    if spec.role == "valid":
        out[places] = extent.read_validity(picked, spec.column, threads=1)
    else:
        out[places] = values_of(extent.read(picked, [spec.column], threads=1), spec)


def _placed(grid: np.ndarray, moments: np.ndarray, numbers: np.ndarray) -> Placed | None:
    """Where on a grid rows are that are in order, each at a time of its own, and make few runs; else None."""
    if not bool((moments[1:] > moments[:-1]).all()):
        return None
    place = np.searchsorted(grid, moments)
    breaks = np.flatnonzero((np.diff(place) != 1) | (np.diff(numbers) != 1)) + 1
    starts = np.concatenate(([0], breaks)) if len(place) else breaks
    if len(starts) * ROWS_PER_RUN > max(len(place), ROWS_PER_RUN):
        return None
    return Placed(numbers[starts], place[starts], np.diff(np.append(starts, len(place))))
