"""Moments, intervals and durations as int64 nanoseconds since 1970 UTC, read from whatever users have."""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any

import numpy as np

from layouts.columns import INT64_MAX, INT64_MIN
from layouts.problems import InvalidInput, Problem

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_ISO = re.compile(
    r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2}))?)?"
    r"(?:[Tt ]([0-9]{2})(?::([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]{1,9}))?)?)?"
    r"(Z|z|[+-][0-9]{2}(?::?[0-9]{2})?)?)?\Z",
)
_UNITS = {
    "ns": 1,
    "us": 1000,
    "µs": 1000,
    "μs": 1000,
    "ms": 1_000_000,
    "s": SECOND,
    "m": MINUTE,
    "min": MINUTE,
    "h": HOUR,
    "d": DAY,
    "w": 7 * DAY,
}
_DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?\s*(?:ns|us|µs|μs|ms|s|min|m|h|d|w)\s*)+\Z")
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ns|us|µs|μs|ms|s|min|m|h|d|w)")
_NUMPY_UNITS = {"D": DAY, "W": 7 * DAY, "h": HOUR, "m": MINUTE, "s": SECOND, "ms": 1_000_000, "us": 1000, "ns": 1}
_NUMPY_PARTS = {"ps": 1000, "fs": 1_000_000, "as": SECOND}


def day_start(day: date) -> int:
    """Midnight UTC at which a day starts."""
    return (day.toordinal() - _EPOCH_DAY) * DAY


def day_of(time_ns: int) -> date:
    """The UTC day a moment lies in."""
    return date.fromordinal(_EPOCH_DAY + time_ns // DAY)


def parse_time(value: Any, where: str = "time") -> int:
    """A moment as int64 nanoseconds since 1970 UTC, exact to the last digit.

    Takes ints (already that), ISO 8601 text with up to 9 fractional digits, dates and datetimes, NumPy, pandas and Arrow
    scalars. What carries no time zone is UTC. Raises `InvalidInput` naming `where`.
    """
    match value:
        case bool() | np.bool_() | float() | np.floating() | np.timedelta64():  # NumPy counts the last among its integers
            raise _refused(where, value, "give nanoseconds since 1970 UTC as an int, ISO 8601 text, or a datetime")
        case int() | np.integer():
            return _checked(int(value), value, where)
        case np.datetime64():
            return _checked(_numpy_time(value, where), value, where)
        case str():
            return _checked(_iso_time(value, where), value, where)
    if hasattr(value, "to_datetime64"):  # pandas, before datetime: its Timestamp is one, with nanoseconds besides
        return parse_time(value.to_datetime64(), where)
    match value:
        case datetime():
            aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
            return _checked(_timedelta_ns(aware - _EPOCH), value, where)
        case date():
            return _checked(day_start(value), value, where)
    return _foreign_time(value, where)


def format_time(time_ns: int) -> str:
    """ISO 8601 in UTC, with as many fractional digits as it takes; `parse_time` reads it back.

    >>> format_time(1_500_000_000)
    '1970-01-01T00:00:01.5Z'
    """
    if time_ns == INT64_MIN:
        return "NaT"
    seconds, fraction = divmod(time_ns % DAY, SECOND)
    minutes, second = divmod(seconds, 60)
    digits = f".{fraction:09d}".rstrip("0") if fraction else ""
    return f"{day_of(time_ns)}T{minutes // 60:02d}:{minutes % 60:02d}:{second:02d}{digits}Z"


def parse_interval(value: Any, where: str = "interval") -> tuple[int, int]:
    """A half-open interval `(start, end)` of moments that isn't empty."""
    if isinstance(value, str) or not isinstance(value, Sequence | np.ndarray) or len(value) != 2:
        raise _refused(where, value, "give a pair (start, end) of times, the end not included")
    problems: list[Problem] = []
    bounds: list[int] = []
    for name, bound in zip(("start", "end"), value, strict=True):
        try:
            bounds.append(parse_time(bound, f"{where} {name}"))
        except InvalidInput as error:
            problems.extend(error.problems)
    if problems:
        raise InvalidInput(problems)
    start, end = bounds
    if start >= end:
        raise _refused(where, value, f"the start {format_time(start)} must come before the end {format_time(end)}, which isn't included")
    return start, end


def parse_duration(value: Any, where: str = "duration") -> int:
    """A length of time as nanoseconds, never negative.

    Takes ints (already that), text such as `5s`, `250ms`, `1h30m`, `1.5s` (ns us ms s m h d w), and timedeltas.

    >>> parse_duration("1h30m") == 5400 * 10**9
    True
    """
    match value:
        case np.timedelta64():
            duration = _numpy_duration(value, where)
        case bool() | np.bool_():
            raise _refused(where, value, "give text such as '5s', or nanoseconds as an int")
        case int() | np.integer():
            duration = int(value)
        case timedelta():
            # pandas' Timedelta is a timedelta that keeps its nanoseconds apart
            duration = _numpy_duration(value.to_timedelta64(), where) if hasattr(value, "to_timedelta64") else _timedelta_ns(value)
        case str():
            duration = _text_duration(value, where)
        case _:
            raise _refused(where, value, "give text such as '5s', or nanoseconds as an int")
    if not 0 <= duration <= INT64_MAX:
        raise _refused(where, value, f"it must lie between 0 and {INT64_MAX} ns")
    return duration


def _refused(where: str, value: object, what: str) -> InvalidInput:
    return InvalidInput(Problem(where, f"{value!r} can't be taken: {what}"))


def _checked(time_ns: int, value: object, where: str) -> int:
    if not INT64_MIN < time_ns <= INT64_MAX:
        raise _refused(where, value, "int64 nanoseconds reach from 1677-09-21T00:12:43.145224193Z to 2262-04-11T23:47:16.854775807Z")
    return time_ns


def _iso_time(text: str, where: str) -> int:
    match = _ISO.match(text.strip())
    if match is None:
        raise _refused(where, text, "write ISO 8601, such as 2024-08-08, 2024-08-08T13:30:00.123456789Z or …+02:00")
    year, month, day = int(match[1]), int(match[2] or 1), int(match[3] or 1)
    try:
        whole = datetime(year, month, day, int(match[4] or 0), int(match[5] or 0), int(match[6] or 0), tzinfo=UTC)
    except ValueError as error:
        raise _refused(where, text, f"there is no such moment ({error})") from None
    time_ns = _timedelta_ns(whole - _EPOCH) + int((match[7] or "").ljust(9, "0"))
    zone = match[8]
    if zone is None or zone in "Zz":
        return time_ns
    hours, minutes = int(zone[1:3]), int(zone[3:].removeprefix(":") or 0)
    if hours > 23 or minutes > 59:
        raise _refused(where, text, f"there is no offset {zone}")
    offset = hours * HOUR + minutes * MINUTE
    return time_ns - offset if zone[0] == "+" else time_ns + offset


def _timedelta_ns(delta: timedelta) -> int:
    return (delta.days * 86_400 + delta.seconds) * SECOND + delta.microseconds * 1000


def _numpy_time(value: np.datetime64, where: str) -> int:
    if np.isnat(value):
        raise _refused(where, value, "it is no moment")
    unit, count = np.datetime_data(value.dtype)
    if unit in ("Y", "M"):
        value, unit, count = value.astype("datetime64[D]"), "D", 1
    return _scaled(int(value.astype(np.int64)) * count, unit, value, where)


def _numpy_duration(value: np.timedelta64, where: str) -> int:
    unit, count = np.datetime_data(value.dtype)
    if np.isnat(value) or (unit not in _NUMPY_UNITS and unit not in _NUMPY_PARTS):
        raise _refused(where, value, "it has no fixed length")
    return _scaled(int(value.astype(np.int64)) * count, unit, value, where)


def _scaled(count: int, unit: str, value: object, where: str) -> int:
    if unit in _NUMPY_UNITS:
        return count * _NUMPY_UNITS[unit]
    whole, rest = divmod(count, _NUMPY_PARTS.get(unit, 1))
    if rest or unit not in _NUMPY_PARTS:
        raise _refused(where, value, f"{unit!r} isn't a whole number of nanoseconds")
    return whole


def _foreign_time(value: Any, where: str) -> int:
    unit = getattr(getattr(value, "type", None), "unit", None)
    if hasattr(value, "as_py") and isinstance(unit, str):  # an Arrow scalar: a count of its type's unit
        count = getattr(value, "value", None)
        if isinstance(count, int):
            return _checked(_scaled(count, unit, value, where), value, where)
    elif hasattr(value, "__array__"):
        array = np.asarray(value)
        if array.shape == () and array.dtype.kind in "Miu":
            return parse_time(array[()], where)
    raise _refused(where, value, "give nanoseconds since 1970 UTC as an int, ISO 8601 text, or a datetime")


def _text_duration(text: str, where: str) -> int:
    if not _DURATION.match(text.strip()):
        raise _refused(where, text, "write numbers with units ns, us, ms, s, m, h, d or w, such as '250ms' or '1h30m'")
    total = sum(Fraction(number) * _UNITS[unit] for number, unit in _DURATION_PART.findall(text))
    if total != int(total):
        raise _refused(where, text, "it isn't a whole number of nanoseconds")
    return int(total)
