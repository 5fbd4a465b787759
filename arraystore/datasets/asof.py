"""The row in force at each of many times: opens the windows and segments that can hold one, the likeliest first, and no others."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple

import msgspec
import numpy as np

from arraystore import arguments
from arraystore.datasets.parts import load_parts
from arraystore.errors import InvalidInput
from arraystore.frames.asof import AsOf, beside, spread
from arraystore.frames.columns import Labels
from arraystore.frames.convert import convert
from arraystore.frames.frame import Frame
from arraystore.frames.intake import given_from
from arraystore.pool import run_small_jobs
from arraystore.segments.inforce import NEVER, Sought, Spans
from arraystore.segments.plan import Part
from arraystore.segments.search import Search
from arraystore.segments.stretches import Unopened, divide, open_stretches
from arraystore.storage.base import Storage
from arraystore.versions.commit import Pin
from arraystore.versions.log import Log
from arraystore.versions.state import State
from layouts.schema import Column, Kind, Schema
from layouts.times import parse_duration

INT64 = np.iinfo(np.int64)
DEEPEST = 64
TIMES = Column(name="times", kind=Kind.TIME, dtype="int64", nullable=True)
BY = Column(name="by", kind=Kind.DICTIONARY, dtype="int32", nullable=True)

type DurationLike = int | str | timedelta | np.timedelta64


class Asked(NamedTuple):
    """Times (int64 ns, of `shape`, flat), where there is one, the earliest clock that counts for each, and the label wanted with each."""

    times: np.ndarray
    valid: np.ndarray
    floors: np.ndarray
    codes: np.ndarray
    by: str | None
    labels: tuple[str, ...]
    shape: tuple[int, ...]
    lags: tuple[int, ...] | None


def parse_asked(schema: Schema, times: Any, by: Any, lag: Any, tolerance: DurationLike | None) -> Asked:
    """What an as-of read is asked for, checked."""
    given = given_from("times", times)
    moments, valid = np.full(len(given), NEVER), np.zeros(len(given), np.bool_)
    if arrays := convert(TIMES, given)[0]:
        moments = arrays["times"]
        valid = arrays.get("times_valid", moments != NEVER)
    lags = parse_lags(lag)
    listed = lags is not None and not _is_single(lag)
    shifts = np.array(lags or (0,), np.int64)
    late, early = (INT64.max - int(shifts.max(initial=0)), NEVER + 1 - int(shifts.min(initial=0)))
    if bool(((moments > late) | (moments < early))[valid].any()):
        raise InvalidInput("a time and a lag add up to more than int64 nanoseconds can hold: leave it out, or give a smaller lag", "lag")
    flat = np.where(valid[:, None], moments[:, None] + np.where(valid[:, None], shifts, 0), NEVER).reshape(-1)
    floors = np.full(len(flat), NEVER)
    if tolerance is not None:
        least = parse_duration(tolerance, "tolerance")
        floors = np.where(flat >= NEVER + least, flat - np.where(flat >= NEVER + least, least, 0), NEVER)
    column, labels = _parse_by(schema, by, len(given))
    codes = np.repeat(labels.codes, len(shifts)).astype(np.int64)
    return Asked(
        times=flat,
        valid=np.repeat(valid, len(shifts)) & (codes >= 0),
        floors=floors,
        codes=codes,
        by=column,
        labels=labels.labels,
        shape=(len(given), len(shifts)) if listed else (len(given),),
        lags=lags if listed else None,
    )


def _is_single(lag: Any) -> bool:
    return isinstance(lag, int | str | timedelta | np.timedelta64 | np.integer)


def parse_lags(given: Any) -> tuple[int, ...] | None:
    """Lags in ns; one by itself counts too. Unlike other durations they may be negative."""
    if given is None:
        return None
    if _is_single(given):
        return (_signed(given, "lag"),)
    if not isinstance(given, Iterable):
        raise InvalidInput(f"a {type(given).__name__} is no lag: give a duration such as '30s', or a list of them", "lag")
    return tuple(_signed(each, f"lag[{place}]") for place, each in enumerate(given))


def _signed(given: Any, where: str) -> int:
    match given:
        case str():
            negative = given.strip().startswith("-")
            return -parse_duration(given.strip()[1:], where) if negative else parse_duration(given, where)
        case np.timedelta64():
            negative = bool(given.astype(np.int64) < 0)
        case timedelta():
            negative = given < timedelta(0)
        case _:
            negative = isinstance(given, int | np.integer) and not isinstance(given, bool) and int(given) < 0
    return -parse_duration(-given, where) if negative else parse_duration(given, where)


def _parse_by(schema: Schema, by: Any, count: int) -> tuple[str | None, Labels]:
    """The column that rows are matched by, and the label wanted with each time."""
    if by is None:
        return None, Labels(np.zeros(count, np.int32), ("",))
    chosen = arguments.instruments(schema, ())
    assert chosen is not None
    if isinstance(by, str):
        return chosen[0], Labels(np.zeros(count, np.int32), (arguments.text(by, "by"),))
    given = given_from("by", by, BY)
    if len(given) != count:
        raise InvalidInput(f"it has {len(given)} values for {count} times: give one for each, or one text for all", "by")
    arrays, labels = convert(BY, given)
    return chosen[0], Labels(arrays.get("by", np.full(count, -1, np.int32)), labels.get("by", ()))


class _Window(NamedTuple):
    """A window that wasn't opened: as `Unopened` has it."""

    name: str
    first_row: int
    rows: int
    low: int
    high: int


class Lookup:
    """One as-of read of some windows of a dataset's version, by one clock."""

    def __init__(self, log: Log, state: State, storage: Storage, windows: Sequence[str], schema: Schema, clock: str) -> None:
        self._log, self._state, self._storage, self._schema, self._clock = log, state, storage, schema, clock
        self._windows: list[_Window] = []
        first_row = 0
        for summary in map(state.summary, windows):
            if clock in summary.clocks:
                self._windows.append(_Window(summary.window, first_row, summary.rows, *summary.clocks[clock]))
            first_row += summary.rows

    def find(self, asked: Asked, columns: tuple[str, ...], pin: Pin, threads: int | None) -> AsOf:
        """The rows in force."""
        sought, whose = _distinct(asked)
        gathered = tuple(self._schema.column(name) for name in columns if name != self._clock)
        with self._log.explained(self._state.version, [window.name for window in self._windows]):
            search = Search(self._storage, sought, self._clock, asked.by, asked.labels, threads)
            self._look(search, {self._clock} if asked.by is None else {self._clock, asked.by}, threads)
            rows, found = search.rows(msgspec.structs.replace(self._schema, columns=gathered))
        times, numbers = _given(sought.clocks, whose, NEVER), _given(sought.rows, whose, -1)
        rows = spread(rows, _given(found, whose, -1))
        if self._clock in columns:
            rows = beside(rows, self._schema.column(self._clock), times, numbers >= 0).reorder(columns)  # it is known already
        return AsOf(
            frame=Frame(rows, pin=pin),
            found=(numbers >= 0).reshape(asked.shape),
            time=times.reshape(asked.shape).view("datetime64[ns]"),
            row=numbers.reshape(asked.shape),
            lags=asked.lags,
        )

    def _look(self, search: Search, names: set[str], threads: int | None) -> None:
        """Open windows, and the segments in them, until no other can hold a later row."""
        unopened: list[_Window | Unopened] = list(self._windows)
        every = np.arange(len(search.sought.times))
        depth = 0.25  # a window first, then what is in it, then the next, and from there on ever more at once
        while unopened and len(every):
            bounds = np.array([(each.low, each.high, each.first_row + each.rows - 1) for each in unopened], np.int64)
            spans = Spans(bounds[:, 0], bounds[:, 1], bounds[:, 2])
            wave = spans.wave(search.sought, every, spans.start(search.sought), max(1, int(depth)))
            chosen = set(wave.spans.tolist())
            if not chosen:
                return
            windows = [each for number, each in enumerate(unopened) if number in chosen and isinstance(each, _Window)]
            found = [each for number, each in enumerate(unopened) if number in chosen and isinstance(each, Unopened)]
            unopened = [each for number, each in enumerate(unopened) if number not in chosen] + self._divide(windows)
            if found:
                search.look_into(open_stretches(self._storage, found, self._schema, names, threads))
            depth = min(2 * depth, DEEPEST)

    def _divide(self, windows: Sequence[_Window]) -> list[_Window | Unopened]:
        loaded: list[list[Part]] = [[] for _ in windows]

        def load(number: int) -> None:
            loaded[number] = load_parts(self._log, self._state, self._state.window(windows[number].name))

        run_small_jobs([partial(load, number) for number in range(len(windows))])
        pairs = zip(windows, loaded, strict=True)
        return [each for window, parts in pairs for each in divide(parts, self._schema, self._clock, window.first_row)]


def _distinct(asked: Asked) -> tuple[Sought, np.ndarray]:
    """Each time and label that is asked for once, in order, and which of them each is (−1: none)."""
    places = np.flatnonzero(asked.valid)
    order = places[np.lexsort((asked.codes[places], asked.times[places]))]
    times, codes = asked.times[order], asked.codes[order]
    first = np.ones(len(order), np.bool_)
    first[1:] = (times[1:] != times[:-1]) | (codes[1:] != codes[:-1])
    whose = np.full(len(asked.times), -1)
    whose[order] = np.cumsum(first) - 1
    return Sought.of(times[first], asked.floors[order][first], codes[first]), whose


def _given(values: np.ndarray, whose: np.ndarray, absent: int) -> np.ndarray:
    given: np.ndarray = np.append(values, absent)[whose]  # −1 is the last
    return given
