"""What callers pass, checked and turned into values before anything is written."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

import msgspec
import numpy as np

from arraystore.errors import InvalidInput, Problem
from arraystore.versions.commit import Interval, Pin
from arraystore.versions.redaction import PURGED
from arraystore.versions.state import COMPLETENESS
from layouts.columnrules import json_problems
from layouts.schema import Kind, Schema
from layouts.times import parse_interval, parse_time
from layouts.windows import AXIS_MAX, AXIS_MIN, WindowLength, format_time, parse_window

#: What `layouts.parse_time` takes: int ns since 1970, ISO text (UTC without a zone), dates, datetimes, NumPy's and pandas' times.
type TimeLike = int | str | date | np.datetime64
type IntervalLike = tuple[TimeLike, TimeLike]

WRITER_LIMIT_BYTES = 200
INSTRUMENT_COLUMNS = ("instrument", "instrument_uid")
NESTING_LIMIT = 32  # far below what any JSON parser or Python's stack takes


def some(names: tuple[str, ...], most: int = 6) -> str:
    """The first few of many names, for a message."""
    shown = ", ".join(names[:most]) or "none"
    return shown if len(names) <= most else f"{shown}, … ({len(names)} in all)"


def text(given: str, where: str, *, empty: bool = True) -> str:
    """Text that UTF-8 can hold; `empty=False` wants some of it."""
    if not isinstance(given, str):
        raise InvalidInput(f"{_shown(given)} isn't text: pass a str", where)
    if not given and not empty:
        raise InvalidInput("it is empty: say something", where)
    try:
        given.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(f"{given[:80]!r} isn't valid Unicode ({error.reason}): give text that UTF-8 can hold", where) from None
    return str(given)


def json_object(given: Mapping[str, Any] | None, where: str) -> dict[str, Any]:
    """A JSON object that reads back as it is given, but for tuples (lists then) and NumPy's scalars (Python's); no part is the caller's."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InvalidInput(f"{_shown(given)} isn't a mapping of names to values: pass a dict", where)
    plain = _plain(given, where, NESTING_LIMIT)
    if problems := tuple(json_problems(plain, where)):
        raise InvalidInput(problems)
    return dict(plain)


def attributes(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """A dataset's attributes, but for the one that tells of what was purged."""
    found = json_object(given, "attributes")
    if PURGED in found:
        raise InvalidInput(f"{PURGED!r} is what purges write: choose another name", "attributes")
    return found


def _plain(given: Any, where: str, deeper: int) -> Any:
    if not isinstance(given, Mapping | list | tuple):
        return given.item() if isinstance(given, np.bool_ | np.integer | np.floating | np.str_) else given
    if not deeper:
        raise InvalidInput(f"it is nested more than {NESTING_LIMIT} deep: keep it flatter, or add it as a file", where)
    if isinstance(given, Mapping):
        named = ((name if not isinstance(name, str) else text(name, where), value) for name, value in given.items())
        return {name: _plain(value, f"{where}.{name}", deeper - 1) for name, value in named}
    return [_plain(value, f"{where}[{place}]", deeper - 1) for place, value in enumerate(given)]


def _shown(given: object) -> str:
    return f"a {type(given).__name__}"


def columns(schema: Schema, given: Iterable[str] | None) -> tuple[str, ...]:
    """The columns wanted, in that order; all by default."""
    if given is None:
        return schema.names
    wanted = (given,) if isinstance(given, str) else _listed(given, "columns", "names of columns")
    unknown = [
        Problem(str(name), f"no such column; there are {', '.join(schema.names)}") for name in wanted if not _is_in(name, schema.names)
    ]
    if unknown:
        raise InvalidInput(unknown)
    return tuple(dict.fromkeys(wanted))


def _listed(given: Any, where: str, what: str) -> tuple[Any, ...]:
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise InvalidInput(f"{_shown(given)} isn't a list of {what}", where)
    return tuple(given)


def texts(given: Iterable[str], where: str) -> tuple[str, ...]:
    """A list of texts."""
    return tuple(text(item, f"{where}[{place}]") for place, item in enumerate(_listed(given, where, "texts")))


def _is_in(given: object, names: Iterable[str]) -> bool:
    return isinstance(given, str) and given in names


def instruments(schema: Schema, given: Iterable[str] | str | None) -> tuple[str, frozenset[str]] | None:
    """The column that tells instruments apart, and those wanted; None for all of them."""
    if given is None:
        return None
    column = next((name for name in INSTRUMENT_COLUMNS if name in schema and schema.column(name).kind is Kind.DICTIONARY), None)
    if column is None:
        told = f"schema {schema.name!r} has no column {' or '.join(INSTRUMENT_COLUMNS)} of labels to choose by: leave it out"
        raise InvalidInput(told, "instruments")
    return column, frozenset(texts((given,) if isinstance(given, str) else given, "instruments"))


def clock(schema: Schema, given: str | None) -> str:
    """The clock to select by; the axis by default."""
    if given is not None and not _is_in(given, schema.clocks):
        msg = f"{given!r} is no clock of schema {schema.name}; its clocks are {', '.join(schema.clocks)}"
        raise InvalidInput(msg, "clock")
    return given or schema.axis


def whole(given: Any, where: str, least: int, most: int | None = None) -> int:
    """A whole number within bounds."""
    told = f"from {least}" + (" up" if most is None else f" to {most}")
    number = isinstance(given, int | np.integer) and not isinstance(given, bool)
    if not number or given < least or (most is not None and given > most):
        raise InvalidInput(f"{_shown(given)} isn't a whole number {told}", where)
    return int(given)


def threads(given: int | None) -> int | None:
    """How many may work; None leaves it to the number of processors."""
    match given:
        case None | int() if given is None or (given >= 1 and given is not True):
            return given
    raise InvalidInput(f"{given!r} isn't a number of threads: pass an int from 1 up, or None for one per processor", "threads")


def bounds(start: TimeLike | None, end: TimeLike | None) -> tuple[int | None, int | None]:
    """A time range as ns; None for open."""
    first = None if start is None else parse_time(start, "start")
    last = None if end is None else parse_time(end, "end")
    if first is not None and last is not None and first > last:
        msg = f"start {start} is after end {end}: ranges are [start, end)"
        raise InvalidInput(msg, "start")
    return first, last


def period(given: Any) -> tuple[int | None, int | None]:
    """A range of time as ns, None for open: the name of an hour, a day, a month or a year, or `(start, end)`."""
    if given is None:
        return None, None
    if isinstance(given, str):
        try:
            window = parse_window(given)
        except InvalidInput as error:
            told = f"{given!r} names no hour, day, month or year (2024-08-08T13, 2024-08-08, 2024-08, 2024)"
            raise InvalidInput(f"{told}: give such a name, or (start, end)", "period") from error
        return (None, None) if window.length is WindowLength.WHOLE else (window.start, window.stop)
    listed = _listed(given, "period", "two times")
    if len(listed) != 2:
        raise InvalidInput(f"{len(listed)} times are no range: give (start, end), or a name such as '2024-08'", "period")
    return bounds(*listed)


def overlaps(span: Interval | None, start: int | None, stop: int | None) -> bool:
    """Whether a first-to-last span meets a range."""
    if start is None and stop is None:
        return True
    return span is not None and (start is None or span[1] >= start) and (stop is None or span[0] < stop)


def coverage(given: Iterable[IntervalLike] | IntervalLike | None) -> tuple[Interval, ...]:
    """Intervals as ns; one by itself counts too."""
    if given is None:
        return ()
    listed: tuple[Any, ...] = _listed(given, "coverage", "intervals (start, end)")
    if len(listed) == 2 and (isinstance(listed[0], str) or not isinstance(listed[0], Sequence | np.ndarray)):  # one by itself
        listed = (listed,)
    return tuple(_within_axis(parse_interval(interval, "coverage")) for interval in listed)


def _within_axis(interval: Interval) -> Interval:
    start, stop = interval
    if start < AXIS_MIN or stop > AXIS_MAX:
        told = f"{format_time(start)} to {format_time(stop)} goes beyond what windows there are"
        raise InvalidInput(f"{told}, {format_time(AXIS_MIN)} to {format_time(AXIS_MAX)}: cut it there", "coverage")
    return interval


def completeness(given: str | None) -> str | None:
    """One of the three words, or None."""
    if given is not None and not _is_in(given, COMPLETENESS):
        msg = f"{given!r} is none of {', '.join(COMPLETENESS)}"
        raise InvalidInput(msg, "completeness")
    return given


def inputs(given: Iterable[Pin] | Pin, where: str = "inputs") -> tuple[Pin, ...]:
    """Pins, one by itself counts too."""
    pins = (given,) if isinstance(given, Pin) else _listed(given, where, "pins")
    return tuple(pin(each, f"{where}[{place}]") for place, each in enumerate(pins))


def pin(given: Pin, where: str = "pin") -> Pin:
    """A pin whose every field is what it must be."""
    if not isinstance(given, Pin):
        raise InvalidInput(f"{_shown(given)} isn't a Pin: pass frame.pin, receipt.pin or dataset.pin()", where)
    try:
        return msgspec.convert(msgspec.to_builtins(given), Pin)
    except (msgspec.MsgspecError, TypeError, ValueError) as error:
        raise InvalidInput(f"{error}: pass frame.pin, receipt.pin or dataset.pin() as it is", where) from error


def token(given: tuple[str, int] | None) -> tuple[str, int] | None:
    """A writer's name and its increasing number."""
    if given is None:
        return None
    match given:
        case (str(writer), int(sequence)) if not isinstance(sequence, bool) and 0 <= sequence < 1 << 63:
            if 0 < len(text(writer, "token").encode()) <= WRITER_LIMIT_BYTES:
                return (str(writer), int(sequence))
    msg = f"{given!r} isn't (writer, sequence): a name of 1 to 200 bytes and an int from 0 up"
    raise InvalidInput(msg, "token")
