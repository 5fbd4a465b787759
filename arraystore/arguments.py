"""What callers pass, checked and turned into values before anything is written."""

from collections.abc import Iterable
from datetime import date
from typing import Any

import numpy as np

from arraystore.commit import Interval, Pin
from arraystore.errors import InvalidInput, Problem
from arraystore.state import COMPLETENESS
from layouts.schema import Schema
from layouts.times import parse_interval, parse_time

#: What `layouts.parse_time` takes: int ns since 1970, ISO text (UTC without a zone), dates, datetimes, NumPy's and pandas' times.
type TimeLike = int | str | date | np.datetime64
type IntervalLike = tuple[TimeLike, TimeLike]

WRITER_LIMIT_BYTES = 200


def some(names: tuple[str, ...], most: int = 6) -> str:
    """The first few of many names, for a message."""
    shown = ", ".join(names[:most]) or "none"
    return shown if len(names) <= most else f"{shown}, … ({len(names)} in all)"


def columns(schema: Schema, given: Iterable[str] | None) -> tuple[str, ...]:
    """The columns wanted, in that order; all by default."""
    if given is None:
        return schema.names
    wanted = (given,) if isinstance(given, str) else tuple(dict.fromkeys(given))
    unknown = [Problem(name, f"no such column; there are {', '.join(schema.names)}") for name in wanted if name not in schema.names]
    if unknown:
        raise InvalidInput(unknown)
    return wanted


def clock(schema: Schema, given: str | None) -> str:
    """The clock to select by; the axis by default."""
    if given is not None and given not in schema.clocks:
        msg = f"{given!r} is no clock of schema {schema.name}; its clocks are {', '.join(schema.clocks)}"
        raise InvalidInput(msg, "clock")
    return given or schema.axis


def bounds(start: TimeLike | None, end: TimeLike | None) -> tuple[int | None, int | None]:
    """A time range as ns; None for open."""
    first = None if start is None else parse_time(start)
    last = None if end is None else parse_time(end)
    if first is not None and last is not None and first > last:
        msg = f"start {start} is after end {end}: ranges are [start, end)"
        raise InvalidInput(msg, "start")
    return first, last


def overlaps(span: Interval | None, start: int | None, stop: int | None) -> bool:
    """Whether a first-to-last span meets a range."""
    if start is None and stop is None:
        return True
    return span is not None and (start is None or span[1] >= start) and (stop is None or span[0] < stop)


def coverage(given: Iterable[IntervalLike] | IntervalLike | None) -> tuple[Interval, ...]:
    """Intervals as ns; one by itself counts too."""
    if given is None:
        return ()
    listed: list[Any] = list(given)
    if len(listed) == 2 and not isinstance(listed[0], tuple | list):  # one interval by itself
        return (parse_interval(tuple(listed)),)
    return tuple(map(parse_interval, listed))


def completeness(given: str | None) -> str | None:
    """One of the three words, or None."""
    if given is not None and given not in COMPLETENESS:
        msg = f"{given!r} is none of {', '.join(COMPLETENESS)}"
        raise InvalidInput(msg, "completeness")
    return given


def inputs(given: Iterable[Pin]) -> tuple[Pin, ...]:
    """Pins, one by itself counts too."""
    pins: tuple[Any, ...] = (given,) if isinstance(given, Pin) else tuple(given)
    remedy = "isn't a Pin: pass frame.pin, receipt.pin or dataset.pin()"
    wrong = [(place, type(pin).__name__) for place, pin in enumerate(pins) if not isinstance(pin, Pin)]
    if wrong:
        raise InvalidInput([Problem(f"inputs[{place}]", f"{name} {remedy}") for place, name in wrong])
    return pins


def token(given: tuple[str, int] | None) -> tuple[str, int] | None:
    """A writer's name and its increasing number."""
    if given is None:
        return None
    match given:
        case (str(writer), int(sequence)) if writer and len(writer.encode()) <= WRITER_LIMIT_BYTES and 0 <= sequence < 1 << 63:
            return (writer, sequence)
    msg = f"{given!r} isn't (writer, sequence): a name of 1 to 200 bytes and an int from 0 up"
    raise InvalidInput(msg, "token")
