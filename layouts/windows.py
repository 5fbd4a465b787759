"""Time windows, the partition unit: UTC hours, days, months and years, half-open, that never overlap."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import lru_cache
from typing import Any

import numpy as np

from layouts.columns import INT64_MAX, INT64_MIN
from layouts.naming import escape
from layouts.problems import InvalidInput, Problem
from layouts.times import DAY, HOUR, day_of, day_start, format_time, parse_duration, parse_interval, parse_time

__all__ = [
    "AXIS_MAX",
    "AXIS_MIN",
    "Window",
    "WindowLength",
    "check_series_name",
    "format_time",
    "parse_duration",
    "parse_interval",
    "parse_time",
    "parse_window",
    "split_by_window",
    "window_at",
    "windows_between",
]

#: Axis times lie in [AXIS_MIN, AXIS_MAX): the whole years that int64 nanoseconds hold.
AXIS_MIN = day_start(date(1678, 1, 1))
AXIS_MAX = day_start(date(2262, 1, 1))


class WindowLength(StrEnum):
    """How long the windows of a dataset are; `whole`: not cut at all, as the series of an experiment run."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"
    YEAR = "year"
    WHOLE = "whole"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One window: its name, and the half-open interval `[start, stop)` in int64 ns since 1970 UTC."""

    name: str
    length: WindowLength
    start: int
    stop: int

    def __contains__(self, time_ns: int) -> bool:
        """Whether a moment lies in this window."""
        return self.start <= time_ns < self.stop


_WHOLE = Window(name="whole", length=WindowLength.WHOLE, start=INT64_MIN, stop=INT64_MAX)
_PATTERNS = {
    WindowLength.HOUR: re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2})\Z"),
    WindowLength.DAY: re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})\Z"),
    WindowLength.MONTH: re.compile(r"([0-9]{4})-([0-9]{2})\Z"),
    WindowLength.YEAR: re.compile(r"([0-9]{4})\Z"),
}
_LAST_HOUR = 23


def window_at(length: WindowLength, time_ns: int) -> Window:
    """The window that a moment lies in."""
    if not AXIS_MIN <= time_ns < AXIS_MAX:
        raise InvalidInput(_outside("time", time_ns))
    day = day_of(time_ns)
    match length:
        case WindowLength.HOUR:
            return _hour(time_ns - time_ns % HOUR)
        case WindowLength.DAY:
            return _day(day)
        case WindowLength.MONTH:
            return _month(day.year, day.month)
        case WindowLength.YEAR:
            return _year(day.year)
        case WindowLength.WHOLE:
            return _WHOLE


def parse_window(name: Any) -> Window:
    """The window of this name; exactly the names that windows have are taken."""
    if isinstance(name, str) and (found := _parsed(name)) is not None:
        return found
    raise InvalidInput(Problem("window", f"{name!r} isn't a window's name; write 2024-08-08T13, 2024-08-08, 2024-08, 2024 or whole"))


@lru_cache(4096)  # every commit names one, and mostly the same
def _parsed(name: str) -> Window | None:
    if name == _WHOLE.name:
        return _WHOLE
    for length, pattern in _PATTERNS.items():
        if match := pattern.match(name):
            year, month, day, hour = (int(text) for text in (*match.groups(), *("01", "01", "00")[len(match.groups()) - 1 :]))
            try:
                start = day_start(date(year, month, day)) + hour * HOUR
            except ValueError as error:
                raise InvalidInput(Problem("window", f"{name!r} isn't in the calendar ({error})")) from None
            if hour > _LAST_HOUR:
                raise InvalidInput(Problem("window", f"{name!r} isn't an hour of the day: hours go from 00 to {_LAST_HOUR}"))
            if not AXIS_MIN <= start < AXIS_MAX:
                raise InvalidInput(_outside(f"window {name!r}", start))
            return window_at(length, start)
    return None


def windows_between(length: WindowLength, start: int, stop: int) -> tuple[Window, ...]:
    """Every window that shares a moment with `[start, stop)`, in time order; what lies outside of 1678 to 2262 has none."""
    start, stop = max(start, AXIS_MIN), min(stop, AXIS_MAX)
    return tuple(_walk(length, start, stop))


def _walk(length: WindowLength, start: int, stop: int) -> Iterator[Window]:
    while start < stop:
        window = window_at(length, start)
        yield window
        start = window.stop


def split_by_window(length: WindowLength, times: np.ndarray) -> list[tuple[Window, slice | np.ndarray]]:
    """Which rows lie in which window: windows in time order, rows in the order given.

    `times` is the axis, int64. Rows are a slice where those of a window follow each other, else their int64 positions.
    A time outside of `[AXIS_MIN, AXIS_MAX)` raises, naming the first such row.
    """
    if not times.size:
        return []
    first, last = check_times(times)
    if last in (window := window_at(length, first)):
        return [(window, slice(0, times.size))]
    if bool((times[1:] >= times[:-1]).all()):
        return _split_sorted(length, times)
    return _split_any(length, times)


def check_times(times: np.ndarray) -> tuple[int, int]:
    """The smallest and the largest of some axis times; `InvalidInput` names the first row that no window can hold."""
    first, last = int(times.min()), int(times.max())
    if first < AXIS_MIN or last >= AXIS_MAX:
        row = int(np.argmax((times < AXIS_MIN) | (times >= AXIS_MAX)))
        raise InvalidInput(_outside(f"row {row}", int(times[row])))
    return first, last


def window_change_problems(earlier: Any, latest: WindowLength, where: str) -> Iterator[Problem]:
    """Why windows can't have had these lengths, each until a moment, before the latest: `[(length, until), …]`."""
    shaped = isinstance(earlier, tuple) and all(isinstance(each, tuple) and len(each) == 2 for each in earlier)
    if not shaped or not all(each[0] in tuple(WindowLength) and type(each[1]) is int for each in earlier):
        yield Problem(where, f"earlier windows are {earlier!r}, and must be (length, until) each, until in int ns since 1970")
        return
    lengths = [WindowLength(length) for length, _ in earlier] + [latest]
    before = AXIS_MIN
    for (_, until), old, new in zip(earlier, lengths, lengths[1:], strict=False):
        if WindowLength.WHOLE in (old, new) or old == new:
            yield Problem(where, f"windows of {old!s} can't be followed by windows of {new!s}: take two of hour, day, month, year")
        elif not before < until < AXIS_MAX:
            told = f"the length of windows changes at {until}, not after {format_time(before)}"
            yield Problem(where, f"{told} and before {format_time(AXIS_MAX)}: choose a moment between")
        elif any(window_at(length, until).start != until for length in (old, new)):
            longer = max((window_at(length, until) for length in (old, new)), key=lambda window: window.stop - window.start)
            told = f"no window of {longer.length} begins at {format_time(until)}, where windows of {old} are to become ones of {new}"
            yield Problem(where, f"{told}: choose {format_time(longer.start)} or {format_time(longer.stop)}")
        before = max(before, until)


def _split_sorted(length: WindowLength, times: np.ndarray) -> list[tuple[Window, slice | np.ndarray]]:
    parts: list[tuple[Window, slice | np.ndarray]] = []
    row = 0
    while row < times.size:
        window = window_at(length, int(times[row]))
        end = int(np.searchsorted(times, window.stop))
        parts.append((window, slice(row, end)))
        row = end
    return parts


def _split_any(length: WindowLength, times: np.ndarray) -> list[tuple[Window, slice | np.ndarray]]:
    """By runs of rows in one window, of which there are few however many rows: clocks step back rarely."""
    numbers = _window_numbers(length, times)
    starts = np.concatenate(([0], np.flatnonzero(numbers[1:] != numbers[:-1]) + 1))
    lengths = np.diff(starts, append=times.size)
    runs = np.argsort(numbers[starts], kind="stable")
    firsts = np.flatnonzero(np.diff(numbers[starts[runs]])) + 1
    parts: list[tuple[Window, slice | np.ndarray]] = []
    for group in np.split(runs, firsts):
        first = int(starts[group[0]])
        rows = slice(first, first + int(lengths[group[0]])) if len(group) == 1 else _ranges(starts[group], lengths[group])
        parts.append((window_at(length, int(times[first])), rows))
    return parts


def _ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The positions of several ranges, one after the other."""
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(lengths.sum())


def _window_numbers(length: WindowLength, times: np.ndarray) -> np.ndarray:
    match length:
        case WindowLength.HOUR:
            return times // HOUR
        case WindowLength.DAY:
            return times // DAY
        case WindowLength.MONTH | WindowLength.YEAR:
            unit = "M" if length is WindowLength.MONTH else "Y"
            return (times // DAY).astype("datetime64[D]").astype(f"datetime64[{unit}]").astype(np.int64)
        case WindowLength.WHOLE:
            return np.zeros(times.size, np.int64)


def check_series_name(name: str) -> str:
    """The name of a series, which takes a window's place in datasets that aren't cut by time.

    Any text that can be escaped as key parts are, as which it lies on disk; `InvalidInput` otherwise.
    """
    try:
        escape(name)
    except InvalidInput as error:
        raise InvalidInput([Problem("series", problem.what) for problem in error.problems]) from None
    return name


def _outside(where: str, time_ns: int) -> Problem:
    limits = f"{format_time(AXIS_MIN)} to {format_time(AXIS_MAX)} (not included)"
    return Problem(where, f"the time {format_time(time_ns)} ({time_ns}) lies outside of {limits}; is it in nanoseconds since 1970 UTC?")


def _hour(start: int) -> Window:
    name = f"{day_of(start)}T{start % DAY // HOUR:02d}"
    return Window(name=name, length=WindowLength.HOUR, start=start, stop=start + HOUR)


@lru_cache(1024)  # most rows are of today
def _day(day: date) -> Window:
    start = day_start(day)
    return Window(name=day.isoformat(), length=WindowLength.DAY, start=start, stop=start + DAY)


def _month(year: int, month: int) -> Window:
    following = date(year + month // 12, month % 12 + 1, 1)
    name = f"{year:04d}-{month:02d}"
    return Window(name=name, length=WindowLength.MONTH, start=day_start(date(year, month, 1)), stop=day_start(following))


def _year(year: int) -> Window:
    start, stop = day_start(date(year, 1, 1)), day_start(date(year + 1, 1, 1))
    return Window(name=f"{year:04d}", length=WindowLength.YEAR, start=start, stop=stop)
