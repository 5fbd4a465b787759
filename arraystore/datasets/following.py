"""What appears in a dataset, commit by commit: rows that came, and windows whose rows were corrected, each told once."""

import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np

from arraystore.datasets.parts import load_parts
from arraystore.datasets.tombstone import gone
from arraystore.errors import Corrupt, InvalidInput, NotFound
from arraystore.frames.frame import Frame
from arraystore.frames.rows import Rows, concat, empty
from arraystore.place import Place
from arraystore.segments.reader import Selection, read
from arraystore.versions.commit import Commit, Pin, SegmentEntry
from arraystore.versions.log import Log
from arraystore.versions.state import State, WindowState
from layouts.naming import unescape
from layouts.schema import Order, Schema

FIRST_PAUSE_SECONDS = 0.01
SLOWER = 1.5
LONGEST_SECONDS = 86_400

type _Part = tuple[State, WindowState, Sequence[SegmentEntry]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Update:
    """One commit, whole, as a follower sees it.

    `frames` has, by window (or series), the rows that came with it, in the dataset's order. A window in `corrected` was replaced or
    withdrawn: all its rows that were told before no longer count, and its frame has all that it holds now. `completeness` has what the
    commit declared of windows. `pin` names this version: `follow(since=pin)` goes on after it. `time` is its writer's clock, in ns.
    """

    version: int
    operation: str
    time: int
    frames: Mapping[str, Frame]
    corrected: tuple[str, ...]
    completeness: Mapping[str, str]
    pin: Pin

    @property
    def windows(self) -> tuple[str, ...]:
        """The windows that rows came to, or were corrected in, in order."""
        return tuple(self.frames)

    @cached_property
    def frame(self) -> Frame:
        """The rows of all windows, one after another; of a dataset of several series, see `frames`."""
        frames = tuple(self.frames.values())
        if not frames or len({frame.schema.name for frame in frames}) > 1:
            raise NotFound(f"version {self.version} has rows of {len(frames)} windows, and no one schema: see frames")
        return frames[0] if len(frames) == 1 else Frame(concat([frame.rows for frame in frames]))

    @property
    def row_count(self) -> int:
        """Rows of all windows."""
        return sum(frame.row_count for frame in self.frames.values())


class Follower(Iterator[Update], AsyncIterator[Update]):
    """Iterates over commits as they appear; made by `DatasetView.follow`. Not to be shared between threads.

    What it tells is durable. Commits that bring no rows, correct none and declare nothing (a compaction, an attribute) are passed over.
    A commit's rows are held in memory at once.
    """

    def __init__(
        self,
        log: Log,
        place: Place,
        state: State,
        columns: tuple[str, ...] | None,
        *,
        poll_seconds: float,
        timeout: float | None,
        stop: threading.Event | None,
    ) -> None:
        for name, seconds in (("poll_seconds", poll_seconds), ("timeout", 0 if timeout is None else timeout)):
            given: Any = seconds
            if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given <= LONGEST_SECONDS:
                raise InvalidInput(f"{seconds!r} isn't a number of seconds from 0 to {LONGEST_SECONDS}", name)
        self._log, self._place, self._state, self._columns = log, place, state, columns
        self._slowest, self._timeout, self._stop = poll_seconds, timeout, stop or threading.Event()
        self._dataset = state.dataset
        self._known = 0  # up to here versions were there, and durable, when last looked
        self._pause, self._waited_since = FIRST_PAUSE_SECONDS, 0.0

    @property
    def position(self) -> Pin:
        """The version that all has been told of, with all before it: `follow(since=…)` goes on after it."""
        return Pin(
            storage_class=self._place.storage_class.value,
            key=self._place.key,
            dataset=self._dataset,
            version=self._state.version,
            digest=self._state.digest,
        )

    def poll(self) -> Update | None:
        """The next commit that says something, if one is there now; None otherwise. Never waits."""
        while self._look():
            before = self._state
            try:
                after, commit, _ = self._log.step(before)
            except NotFound as error:  # retention took it since the look
                self._known = 0
                self._log.newest_after(before.version)
                raise Corrupt(f"{self._log.prefix}: version {before.version + 1} was there, and is gone") from error
            if not after.alive or after.dataset != self._dataset:
                raise gone(self._log, after, self._dataset)
            frames, corrected = self._told(before, after, commit)
            completeness = {self._name(change.window): change.completeness for change in commit.windows if change.completeness}
            self._state = after
            if frames or completeness:
                return Update(
                    version=commit.version,
                    operation=commit.operation,
                    time=commit.time,
                    frames=frames,
                    corrected=corrected,
                    completeness=completeness,
                    pin=self.position,
                )
        return None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Update:
        while True:
            update = self._next()
            if update is not None:
                return update
            if (pause := self._waits()) is None:
                raise StopIteration
            self._stop.wait(pause)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Update:
        import asyncio

        while True:
            update = await asyncio.to_thread(self._next)
            if update is not None:
                return update
            if (pause := self._waits()) is None:
                raise StopAsyncIteration
            await asyncio.sleep(pause)

    def _next(self) -> Update | None:
        update = None if self._stop.is_set() else self.poll()
        if update is not None:
            self._pause, self._waited_since = FIRST_PAUSE_SECONDS, 0.0
        return update

    def _waits(self) -> float | None:
        """How long to wait before the next look: ever longer; None if there is nothing to wait for any more."""
        now = time.monotonic()
        self._waited_since = self._waited_since or now
        left = None if self._timeout is None else self._waited_since + self._timeout - now
        if self._stop.is_set() or self._state.sealed or (left is not None and left <= 0):
            return None
        pause = min(self._pause, self._slowest)
        self._pause *= SLOWER
        return pause if left is None else min(pause, left)

    def _look(self) -> bool:
        """Whether there is a version to tell of, durable with all up to the newest."""
        version = self._state.version
        if version >= self._known:
            newest = self._log.newest_after(version)
            if newest > version:
                self._log.make_durable()  # what only is visible may be another commit after a power cut
            self._known = newest
        return version < self._known

    def _told(self, before: State, after: State, commit: Commit) -> tuple[dict[str, Frame], tuple[str, ...]]:
        """The rows that a commit brought, by window, and the windows in which others went."""
        frames: dict[str, Frame] = {}
        corrected: list[str] = []
        for change in sorted(commit.windows, key=lambda change: change.window):
            name = self._name(change.window)
            window = after.window(change.window)
            was = before.window(change.window)
            names = {entry.name for entry in was.segments}
            added = tuple(entry for entry in window.segments if entry.name not in names)
            removed = tuple(entry for entry in was.segments if entry.name in change.remove)
            new = _rows_of(added) - _rows_of(removed)
            if (change.reset or new < 0) and (was.segments or window.segments):
                frames[name] = self._frame(after, window, window.segments)
                corrected.append(name)
            elif new > 0 and not removed:
                frames[name] = self._frame(after, window, added)
            elif new > 0:
                rows = self._new_rows((before, was, removed), (after, window, added))
                frames[name] = Frame(rows if self._columns is None else rows.project(self._columns).reorder(self._columns))
        return frames, tuple(corrected)

    def _frame(self, state: State, window: WindowState, entries: Sequence[SegmentEntry]) -> Frame:
        schema = _schema_of(state, window)
        if not entries:
            rows = empty(schema)
            return Frame(rows if self._columns is None else rows.project(self._columns).reorder(self._columns))
        rows = self._read(state, window, entries, schema)
        return Frame(rows if self._columns is None else rows.reorder(self._columns))

    def _read(self, state: State, window: WindowState, entries: Sequence[SegmentEntry], schema: Schema, *, whole: bool = False) -> Rows:
        columns = schema.names if whole or self._columns is None else self._columns
        with self._log.explained(state.version, (window.window,)):
            parts = load_parts(self._log, state, WindowState(window=window.window, segments=tuple(entries)))
            return read(self._place.storage, parts, schema, Selection(), columns=columns)

    def _new_rows(self, before: _Part, after: _Part) -> Rows:
        """Rows that came in segments which took tails along: without these, which were told before."""
        state, window, _ = after
        schema, taken = _schema_of(state, window), _rows_of(before[2])
        rows = self._read(*after, schema, whole=True)
        if schema.order is not Order.TIME:
            return rows.slice(taken, rows.count)
        old, times = self._read(*before, schema, whole=True).arrays[schema.axis], rows.arrays[schema.axis]
        # Of rows with one time those taken along come first.
        places = np.searchsorted(times, old, side="left") + np.arange(taken) - np.searchsorted(old, old, side="left")
        if places[-1] >= len(times) or (times[places] != old).any():
            what = f"version {state.version} doesn't have the rows of the tails it replaced"
            raise Corrupt(f"{self._log.prefix}, window {window.window}: {what}")
        return rows.take(np.delete(np.arange(rows.count), places))

    def _name(self, window: str) -> str:
        return window if self._state.schema is not None else unescape(window)


def _rows_of(entries: Sequence[SegmentEntry]) -> int:
    return sum(entry.rows for entry in entries)


def _schema_of(state: State, window: WindowState) -> Schema:
    """The schema that a window is read in: the one in force; of a series, that of its newest rows."""
    if state.schema is not None:
        return state.schemas[state.schema]
    return state.schemas[window.segments[-1].schema if window.segments else -1]
