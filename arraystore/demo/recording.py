"""data-recording: every line of a capture into `raw`, exactly as received, in several appends; windows are published as they complete.

What is there already is told from the rows themselves: each names the capture it came from. So a recorder that was killed goes on with
the first line that is missing, and one that has nothing to do writes nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

import arraystore
from arraystore.demo.captures import ENCODINGS, NS_PER_DAY, Capture, Lines, read_batches
from arraystore.demo.tables import labels, numbers

VENUE = "binance-usdm"
RECEIVED, FETCHED = 1, 3  # directions of raw_messages

type Interval = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What recording one feed came to."""

    key: tuple[str, ...]
    windows: tuple[str, ...]
    appended: int
    present: int
    malformed: int


def record(
    store: arraystore.Store, captures: Sequence[Capture], *, recorder: str, advance: Callable[[int], None] = lambda _: None
) -> list[Recorded]:
    """Append whatever of the captures isn't in the store yet; captures are in order of feed and time (`inspect_captures`)."""
    feeds = groupby(captures, key=lambda capture: capture.feed)
    return [FeedRecorder(store, feed, recorder).record(list(group), advance) for feed, group in feeds]


class FeedRecorder:
    """Records one feed into one dataset of `raw`."""

    def __init__(self, store: arraystore.Store, feed: str, recorder: str) -> None:
        self._recorder = recorder
        self._dataset = store.raw.create((VENUE, feed, recorder), arraystore.schema_by_name("raw_messages"), exist_ok=True)
        frame = self._dataset.read(columns=["sequence", "connection"])
        connections = labels(frame, "connection")
        counts = np.bincount(connections.codes, minlength=len(connections.labels))
        self._present = dict(zip(connections.labels, counts.tolist(), strict=True))
        self._sequence = int(numbers(frame, "sequence").max()) + 1 if frame.row_count else 1

    def record(self, captures: Sequence[Capture], advance: Callable[[int], None]) -> Recorded:
        """Append what is missing, and complete every window that gets no more rows."""
        days = _days(captures)
        appended = present = 0
        for capture in captures:
            line = self._present.get(capture.connection, 0)
            present += line
            advance(line)
            for lines in read_batches(capture.path, skip=line):
                line += len(lines)
                self._append(capture, lines, line, days)
                appended += len(lines)
                advance(len(lines))
        self._complete_rest(days)
        windows = tuple(day.window for day in days.values())
        malformed = sum(capture.malformed for capture in captures)
        return Recorded(key=self._dataset.key, windows=windows, appended=appended, present=present, malformed=malformed)

    def _append(self, capture: Capture, lines: Lines, stop: int, days: dict[int, "_Day"]) -> None:
        """One commit; if it ends the one day its rows lie in, it publishes the window as complete."""
        touched = [days[day] for day in np.unique(lines.times // NS_PER_DAY).tolist()]
        ends = len(touched) == 1 and touched[0].ends_with == capture.connection and touched[0].last_line < stop
        sequences = np.arange(self._sequence, self._sequence + len(lines), dtype=np.uint64)
        self._sequence += len(lines)
        self._dataset.append(
            _columns(capture, lines, sequences),
            token=(self._recorder, self._sequence - 1),
            coverage=touched[0].coverage if ends else None,
            completeness="complete" if ends else None,
            reopen=any(self._is_complete(day.window) for day in touched),
        )

    def _complete_rest(self, days: dict[int, "_Day"]) -> None:
        """Complete windows whose last row came in one commit with another window's, or from a recorder that was killed."""
        for day in days.values():
            if not self._is_complete(day.window):
                self._dataset.append(None, coverage=day.coverage, completeness="complete")

    def _is_complete(self, window: str) -> bool:
        return window in self._dataset.windows() and self._dataset.manifest(window).completeness == "complete"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Day:
    """A UTC day of a feed: where its last row comes from, and when the recorder listened."""

    window: str
    ends_with: str
    last_line: int
    coverage: tuple[Interval, ...]


def _days(captures: Sequence[Capture]) -> dict[int, _Day]:
    """The days that the captures' rows lie in, by number since 1970."""
    days = {}
    for day in sorted({day for capture in captures for day in capture.last_line_of_day}):
        start, stop = day * NS_PER_DAY, (day + 1) * NS_PER_DAY
        parts = [capture for capture in captures if day in capture.last_line_of_day]
        days[day] = _Day(
            window=str(np.datetime64(day, "D")),
            ends_with=parts[-1].connection,
            last_line=parts[-1].last_line_of_day[day],
            coverage=tuple((max(part.first_time, start), min(part.last_time + 1, stop)) for part in parts),
        )
    return days


def _columns(capture: Capture, lines: Lines, sequences: np.ndarray) -> dict[str, object]:
    """The rows of `raw_messages`: the payload is the line after its capture time, byte for byte."""
    channels, directions = _sources(lines)
    return {
        "time": lines.times,
        "sequence": sequences,
        "direction": directions,
        "connection": arraystore.Labels(np.zeros(len(lines), np.int32), (capture.connection,)),
        "channel": channels,
        "encoding": arraystore.Labels(lines.encodings, ENCODINGS),
        "payload": arraystore.Ragged(lines.data, lines.offsets),
    }


def _sources(lines: Lines) -> tuple[arraystore.Labels, np.ndarray]:
    """The stream each message says it came by, and how it came: snapshots are fetched, all else is received."""
    data, stream = lines.data.tobytes(), b'{"stream":"'
    names: list[str | None] = []
    directions = np.full(len(lines), RECEIVED, np.int8)
    for row, start in enumerate(lines.offsets[:-1].tolist()):
        if data.startswith(stream, start):
            name = data[start + len(stream) : start + len(stream) + 64].partition(b'"')[0]
            names.append(name.decode(errors="replace"))
        else:
            names.append(None)
            directions[row] = FETCHED if data.startswith(b'{"lastUpdateId"', start) else RECEIVED
    return arraystore.Labels.from_values(names), directions
