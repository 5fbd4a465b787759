"""The one door to exchange_calendars: trading sessions as half-open ranges of UTC, which everything that reads by time takes."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType
from typing import Any, overload

import numpy as np

from arraystore import arguments
from arraystore.arguments import TimeLike
from arraystore.errors import InvalidInput, NotFound
from arraystore.frames.given import missing_library
from layouts.times import DAY, format_time, parse_duration, parse_time

AROUND_DAYS = 40  # of a calendar that is made to look at a few days: holidays and weekends end within

type Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class TradingSession:
    """One session of a calendar: `start` ≤ time < `end`, in int64 ns since 1970 UTC, however the exchange's clocks are set.

    Going through it gives the two, so that `dataset.read(*session)` reads it, and so do `scan`, `to_xarray`, `to_polars` and the like.

    Attributes
    ----------
    date
        What the exchange calls it, as ISO text; a session may begin on the UTC day before.
    breaks
        Ranges within it in which nothing is traded, as a lunch break.
    """

    calendar: str
    date: str
    start: int
    end: int
    breaks: tuple[Span, ...] = ()

    def __iter__(self) -> Iterator[int]:
        return iter((self.start, self.end))

    def __repr__(self) -> str:
        return f"<TradingSession {self.calendar} {self.date}: {format_time(self.start)} to {format_time(self.end)}>"

    @property
    def spans(self) -> tuple[Span, ...]:
        """The session without its breaks: half-open ranges, in order."""
        starts = [self.start, *(stop for _, stop in self.breaks)]
        ends = [*(start for start, _ in self.breaks), self.end]
        return tuple(zip(starts, ends, strict=True))


class Sessions(Sequence[TradingSession]):
    """Sessions of one calendar in order, by number or by date: `sessions("XNYS", "2024")["2024-03-08"]`. Immutable."""

    def __init__(self, calendar: str, listed: Sequence[TradingSession]) -> None:
        self.calendar = calendar
        self._listed = tuple(listed)

    def __repr__(self) -> str:
        dates = f", {self._listed[0].date} to {self._listed[-1].date}" if self._listed else ""
        return f"<{len(self)} sessions of {self.calendar}{dates}>"

    def __len__(self) -> int:
        return len(self._listed)

    @overload
    def __getitem__(self, index: int | str) -> TradingSession: ...
    @overload
    def __getitem__(self, index: slice) -> "Sessions": ...
    def __getitem__(self, index: int | str | slice) -> "TradingSession | Sessions":
        if isinstance(index, slice):
            return Sessions(self.calendar, self._listed[index])
        if not isinstance(index, str):
            return self._listed[index]
        for session in self._listed:
            if session.date == index:
                return session
        raise NotFound(f"{self.calendar} has no session {index!r} among these: {arguments.some(tuple(each.date for each in self._listed))}")

    @property
    def span(self) -> Span:
        """From the first session's start to the last one's end: `dataset.read(*sessions.span)` reads what lies between sessions, too."""
        if not self._listed:
            raise NotFound(f"{self.calendar} has no session among these, and so no span: ask for days on which it trades")
        return self._listed[0].start, self._listed[-1].end

    @property
    def spans(self) -> tuple[Span, ...]:
        """Every range in which there is trade, breaks left out, in order."""
        return tuple(span for session in self._listed for span in session.spans)

    def contains(self, times: Any) -> np.ndarray:
        """Which times (datetime64, or int64 ns UTC) lie in a session and in no break: bool, for `frame.take` and the like.

        Examples
        --------
        >>> import arraystore, numpy
        >>> times = numpy.array(["2024-03-08T14:29:59", "2024-03-08T14:30", "2024-03-08T21:00"], "datetime64[ns]")
        >>> arraystore.sessions("XNYS", "2024-03").contains(times)
        array([False,  True, False])
        """
        moments = np.asarray(times)
        moments = moments.astype("datetime64[ns]").view(np.int64) if moments.dtype.kind == "M" else moments.astype(np.int64)
        bounds = np.array(self.spans, np.int64).reshape(-1, 2)
        place = np.searchsorted(bounds[:, 0], moments, side="right") - 1
        inside: np.ndarray = (place >= 0) & (moments < np.append(bounds[:, 1], 0)[place])
        return inside

    def grid(self, interval: str, *, label: str = "end") -> np.ndarray:
        """The times of bars of an interval such as `1m` that tile each session from its start, breaks left out: datetime64[ns].

        `label` says which times: `"end"`, at which a bar is known, or `"start"`. Where an interval doesn't divide a range, its last bar
        is one that goes on beyond it.

        Examples
        --------
        >>> import arraystore
        >>> grid = arraystore.sessions("XNYS", "2024-03-08").grid("1m")
        >>> len(grid), str(grid[0]), str(grid[-1])
        (390, '2024-03-08T14:31:00.000000000', '2024-03-08T21:00:00.000000000')
        """
        step = parse_duration(interval, "interval")
        if step < 1:
            raise InvalidInput(f"{interval!r} is no time at all: give the length of a bar, such as '1m'", "interval")
        if label not in ("start", "end"):
            raise InvalidInput(f"{label!r} is neither 'end' nor 'start': name the time that tells a bar", "label")
        starts = [np.arange(start, stop, step, dtype=np.int64) for start, stop in self.spans]
        times = np.concatenate(starts) if starts else np.zeros(0, np.int64)
        return (times + (step if label == "end" else 0)).view("datetime64[ns]")


def sessions(calendar: str, period: str | tuple[TimeLike | None, TimeLike | None], *, before: str = "0s", after: str = "0s") -> Sessions:
    """The trading sessions of a period, each as a half-open range of UTC.

    Parameters
    ----------
    calendar
        A name of exchange_calendars: `XNYS`, `CMES`, `XHKG`, `24/7`, …
    period
        Which sessions, by what the exchange calls them: a day, a month or a year (`"2024-03-08"`, `"2024-03"`, `"2024"`), or dates
        `(first, end)`, the second of which isn't among them.
    before, after
        Durations by which each session begins earlier and ends later, as for a closing auction that prints after the bell: a print at
        the very close isn't in a half-open session. Where sessions would meet, they end where the next one begins.

    Examples
    --------
    >>> import arraystore
    >>> days = arraystore.sessions("XNYS", ("2024-03-08", "2024-03-12"))  # daylight saving time begins on the 10th
    >>> for day in days:
    ...     day
    <TradingSession XNYS 2024-03-08: 2024-03-08T14:30:00Z to 2024-03-08T21:00:00Z>
    <TradingSession XNYS 2024-03-11: 2024-03-11T13:30:00Z to 2024-03-11T20:00:00Z>
    >>> arraystore.sessions("CMES", "2024-03-11")[0]  # it begins on the UTC day before
    <TradingSession CMES 2024-03-11: 2024-03-10T22:00:00Z to 2024-03-11T22:00:00Z>
    """
    name = arguments.text(calendar, "calendar", empty=False)
    first, stop = arguments.period(period)
    if first is None or stop is None:
        raise InvalidInput("a calendar has no end: give both dates, or a day, a month or a year", "period")
    widened = parse_duration(before, "before"), parse_duration(after, "after")
    listed = [each for each in _schedule(name, first, stop) if first <= parse_time(each.date) < stop]
    return Sessions(name, _widened(listed, *widened) if any(widened) else listed)


def _widened(listed: Sequence[TradingSession], before: int, after: int) -> list[TradingSession]:
    found: list[TradingSession] = []
    for place, each in enumerate(listed):
        floor = max(listed[place - 1].end, found[-1].end) if place else None
        ceiling = listed[place + 1].start if place + 1 < len(listed) else None
        start, end = each.start - before, each.end + after
        start = start if floor is None else min(max(start, floor), each.start)
        end = end if ceiling is None else max(min(end, ceiling), each.end)
        found.append(TradingSession(each.calendar, each.date, start, end, each.breaks))
    return found


@lru_cache(64)
def _schedule(name: str, first: int, stop: int) -> tuple[TradingSession, ...]:
    """The sessions around some days; making a calendar takes a tenth of a second and more."""
    library = _library()
    start, end = (str(np.datetime64(each, "ns"))[:10] for each in (first - AROUND_DAYS * DAY, stop + AROUND_DAYS * DAY))
    try:
        with warnings.catch_warnings():  # of what it will have to change for later pandas and NumPy
            warnings.simplefilter("ignore", DeprecationWarning)
            table = library.get_calendar(name, start=start, end=end).schedule
    except library.errors.InvalidCalendarName as error:
        from difflib import get_close_matches

        names = library.get_calendar_names()
        nearest = get_close_matches(name.upper(), names, 3)
        advice = f"did you mean {' or '.join(nearest)}?" if nearest else f"there are {', '.join(names[:12])}, …"
        raise InvalidInput(f"exchange_calendars knows no calendar {name!r}; {advice}", "calendar") from error
    except (library.errors.CalendarError, ValueError) as error:
        raise InvalidInput(f"{name} can't tell of {format_time(first)} to {format_time(stop)}: {error}", "period") from error
    columns = [
        table[each].astype("datetime64[ns, UTC]").astype("int64").to_list() for each in ("open", "break_start", "break_end", "close")
    ]
    missing = np.iinfo(np.int64).min  # NaT
    dates = [str(each)[:10] for each in table.index]
    return tuple(
        TradingSession(name, date, opened, closed, () if missing in (rest, again) else ((rest, again),))
        for date, opened, rest, again, closed in zip(dates, *columns, strict=True)
    )


def _library() -> ModuleType:
    try:
        import exchange_calendars
    except ImportError as error:
        raise missing_library("sessions", "exchange_calendars", "calendars") from error
    module: ModuleType = exchange_calendars
    return module
