"""For which times a dataset has rows: window by window or in other steps, and the stretches between that it knows nothing of."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from arraystore.datasets.writer import WITHDRAWN
from arraystore.versions.commit import Interval
from arraystore.versions.state import COMPLETENESS, State, union
from layouts.times import format_time
from layouts.windows import Window, WindowLength, parse_window, window_at, windows_between

type Span = tuple[int | None, int | None]
type Times = Callable[[str, Span], Iterable[np.ndarray]]
"""The axis times of a window (as on disk) in a range, in batches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowCoverage:
    """What there is of one window, or of one step of time. Times are int64 ns since 1970 UTC.

    `start` and `stop` are its half-open interval, None for a series that isn't cut by time; `first` and `last` the times of its first
    and last row on the axis clock, None without rows. `completeness` is what the writer declared, `covered` the intervals that it
    declared as observed (none: it declared nothing), `withdrawn` why rows were taken out, `version` the last one that changed it.
    """

    window: str
    start: int | None
    stop: int | None
    rows: int
    completeness: str
    first: int | None
    last: int | None
    covered: tuple[Interval, ...]
    withdrawn: str
    version: int

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types, times as ISO-8601 UTC."""
        return {
            "window": self.window,
            "rows": self.rows,
            "completeness": self.completeness,
            "first": _told(self.first),
            "last": _told(self.last),
            "covered": [[format_time(start), format_time(stop)] for start, stop in self.covered],
            "withdrawn": self.withdrawn or None,
            "version": self.version,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """For which times a dataset has rows at a version: its windows (or steps) in order, and `absent`, the stretches between them.

    What is absent has no window at all: neither rows nor a word of its writer. Half-open, int64 ns since 1970 UTC.
    """

    storage_class: str
    key: tuple[str, ...]
    version: int
    windows: tuple[WindowCoverage, ...]
    absent: tuple[Interval, ...]

    @property
    def rows(self) -> int:
        """Rows of all windows."""
        return sum(window.rows for window in self.windows)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types, times as ISO-8601 UTC."""
        return {
            "class": self.storage_class,
            "key": list(self.key),
            "version": self.version,
            "rows": self.rows,
            "windows": [window.to_json() for window in self.windows],
            "absent": [[format_time(start), format_time(stop)] for start, stop in self.absent],
        }


def series_of(state: State, names: Sequence[str], told: Sequence[str], axes: Sequence[str]) -> list[WindowCoverage]:
    """Windows that have no interval: each as a whole, with its own axis."""
    return [_of_window(state, name, shown, axis, None) for name, shown, axis in zip(names, told, axes, strict=True)]


def windows_of(
    state: State, names: Iterable[str], axis: str, span: Span, per: WindowLength | None, times: Times
) -> tuple[list[WindowCoverage], tuple[Interval, ...]]:
    """Windows that are cut by time, in time order, as they are or in steps of `per`; and what lies between them, in the range."""
    found = sorted((parse_window(name) for name in names), key=lambda window: window.start)
    steps: list[WindowCoverage] = []
    for window in found:
        whole = _of_window(state, window.name, window.name, axis, window)
        if per is not None and window_at(per, window.start).stop < window.stop:
            steps += _divided(whole, per, span, times(window.name, span))
        else:
            steps.append(whole)
    if per is not None:
        steps = [_joined(list(same), window) for window, same in groupby(steps, lambda step: window_at(per, _start(step)))]
    return steps, _absent(steps, span)


def _of_window(state: State, name: str, told: str, axis: str, window: Window | None) -> WindowCoverage:
    summary, whole = state.summary(name), state.window(name)
    first, last = summary.clocks.get(axis, (None, None))
    return WindowCoverage(
        window=told,
        start=None if window is None else window.start,
        stop=None if window is None else window.stop,
        rows=summary.rows,
        completeness=summary.completeness,
        first=first,
        last=last,
        covered=whole.coverage,
        withdrawn=str(whole.attributes.get(WITHDRAWN, "")),
        version=summary.version,
    )


def _start(step: WindowCoverage) -> int:
    assert step.start is not None
    return step.start


def _divided(whole: WindowCoverage, per: WindowLength, span: Span, times: Iterable[np.ndarray]) -> Iterator[WindowCoverage]:
    """A window in shorter steps: their rows are counted, the rest is what is known of the whole."""
    start, stop = _cut((_start(whole), whole.stop), span)
    steps = windows_between(per, start, stop)
    borders = np.array([step.start for step in steps] + [steps[-1].stop if steps else 0], np.int64)
    counts = np.zeros(len(steps), np.int64)
    firsts, lasts = np.full(len(steps), np.iinfo(np.int64).max), np.full(len(steps), np.iinfo(np.int64).min)
    for batch in times:
        places = np.searchsorted(borders, batch, side="right") - 1
        counts += np.bincount(places, minlength=len(steps))
        np.minimum.at(firsts, places, batch)
        np.maximum.at(lasts, places, batch)
    for step, rows, first, last in zip(steps, counts.tolist(), firsts.tolist(), lasts.tolist(), strict=True):
        yield WindowCoverage(
            window=step.name,
            start=step.start,
            stop=step.stop,
            rows=rows,
            completeness=whole.completeness,
            first=first if rows else None,
            last=last if rows else None,
            covered=_within(whole.covered, step),
            withdrawn=whole.withdrawn,
            version=whole.version,
        )


def _joined(steps: list[WindowCoverage], window: Window) -> WindowCoverage:
    """Windows of one longer step as that one: complete if they fill it, and all are."""
    if len(steps) == 1 and (steps[0].start, steps[0].stop) == (window.start, window.stop):
        return steps[0]
    states = {step.completeness for step in steps}
    filled = sum((step.stop or 0) - _start(step) for step in steps) == window.stop - window.start
    firsts, lasts = ([time for time in times if time is not None] for times in zip(*((s.first, s.last) for s in steps), strict=True))
    least, most = (choose(states, key=COMPLETENESS.index) for choose in (min, max))
    return WindowCoverage(
        window=window.name,
        start=window.start,
        stop=window.stop,
        rows=sum(step.rows for step in steps),
        completeness=least if filled and least == most else "open" if most == "open" else "partial",
        first=min(firsts, default=None),
        last=max(lasts, default=None),
        covered=union(interval for step in steps for interval in step.covered),
        withdrawn="; ".join(dict.fromkeys(step.withdrawn for step in steps if step.withdrawn)),
        version=max(step.version for step in steps),
    )


def _within(intervals: Iterable[Interval], step: Window) -> tuple[Interval, ...]:
    cut = ((max(start, step.start), min(stop, step.stop)) for start, stop in intervals)
    return tuple((start, stop) for start, stop in cut if start < stop)


def _cut(interval: tuple[int, int | None], span: Span) -> Interval:
    start, stop = interval
    assert stop is not None
    return start if span[0] is None else max(start, span[0]), stop if span[1] is None else min(stop, span[1])


def _absent(steps: Sequence[WindowCoverage], span: Span) -> tuple[Interval, ...]:
    """Between steps; from a given start to the first, and from the last to a given end."""
    borders = [(step.start, step.stop) for step in steps]
    begin = span[0] if span[0] is not None else borders[0][0] if borders else None
    end = span[1] if span[1] is not None else borders[-1][1] if borders else None
    if begin is None or end is None:
        return ()
    stops = [begin, *(stop for _, stop in borders if stop is not None)]
    starts = [*(start for start, _ in borders if start is not None), end]
    return tuple((stop, start) for stop, start in zip(stops, starts, strict=True) if stop < start)


def _told(time: int | None) -> str | None:
    return None if time is None else format_time(time)
