"""Which window of a dataset rows lie in: by the length its schema gives, or once gave for their time."""

import numpy as np

from layouts.columns import INT64_MAX, INT64_MIN
from layouts.schema import Schema
from layouts.windows import Window, WindowLength, check_times, split_by_window, window_at, windows_between


def window_lengths(schema: Schema) -> tuple[tuple[WindowLength, int, int], ...]:
    """How long windows are, and from when until when (int64 ns, half-open, all of time)."""
    spans: list[tuple[WindowLength, int, int]] = []
    start = INT64_MIN
    for length, until in schema.earlier_windows:
        spans.append((length, start, until))
        start = until
    return (*spans, (schema.window, start, INT64_MAX))


def window_of(schema: Schema, time_ns: int) -> Window:
    """The window that a moment lies in."""
    length = next(length for length, _, stop in window_lengths(schema) if time_ns < stop)
    return window_at(length, time_ns)


def windows_of(schema: Schema, start: int, stop: int) -> tuple[Window, ...]:
    """Every window that shares a moment with `[start, stop)`, in time order."""
    if not schema.earlier_windows:
        return windows_between(schema.window, start, stop)
    spans = ((length, max(start, first), min(stop, last)) for length, first, last in window_lengths(schema))
    return tuple(window for length, first, last in spans for window in windows_between(length, first, last))


def cut_by_window(schema: Schema, times: np.ndarray) -> list[tuple[Window, slice | np.ndarray]]:
    """Which rows lie in which window, as `split_by_window` tells it."""
    if not schema.earlier_windows or not times.size:
        return split_by_window(schema.window, times)
    check_times(times)
    parts: list[tuple[Window, slice | np.ndarray]] = []
    for length, start, stop in window_lengths(schema):
        rows = np.flatnonzero((times >= start) & (times < stop))
        parts += ((window, _within(rows, place)) for window, place in split_by_window(length, times[rows]))
    return parts


def _within(rows: np.ndarray, place: slice | np.ndarray) -> slice | np.ndarray:
    """Positions among some rows, as positions among all; a slice where they follow each other."""
    chosen: np.ndarray = rows[place]
    first, last = int(chosen[0]), int(chosen[-1])
    return slice(first, last + 1) if last - first + 1 == len(chosen) and isinstance(place, slice) else chosen
