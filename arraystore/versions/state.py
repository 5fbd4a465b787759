"""What a dataset is at one version: the fold of its commits (FORMAT.md section 6)."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np

from arraystore.versions.commit import ArtifactEntry, Interval, Pin, SegmentEntry
from layouts.schema import Schema

COMPLETENESS = ("open", "partial", "complete")


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowState:
    """The state of one window: what its Dataset Manifest says."""

    window: str
    version: int = 0
    completeness: str = "open"
    segments: tuple[SegmentEntry, ...] = ()
    coverage: tuple[Interval, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    lineage: tuple[Pin, ...] = ()
    counted: tuple[int, int] | None = field(default=None, compare=False, repr=False)  # `tail_totals`, where they are known already

    @property
    def rows(self) -> int:
        """Rows of all segments."""
        return sum(entry.rows for entry in self.segments)

    @property
    def bytes(self) -> int:
        """Stored bytes of all segments and tails."""
        return sum(entry.bytes for entry in self.segments)

    @property
    def clocks(self) -> dict[str, Interval]:
        """First and last time per clock, over all segments."""
        return merge_clocks(entry.clocks for entry in self.segments)

    @property
    def tails(self) -> tuple[SegmentEntry, ...]:
        """The rows inlined in commits: always the last entries."""
        return tuple(entry for entry in self.segments if entry.tail)

    @property
    def tail_totals(self) -> tuple[int, int]:
        """How many tails there are, and their bytes."""
        return self.counted or (len(self.tails), sum(entry.bytes for entry in self.tails))


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowSummary:
    """What planning needs to know of a window without loading its manifest."""

    window: str
    version: int
    completeness: str
    rows: int
    bytes: int
    clocks: Mapping[str, Interval]


class Spans(NamedTuple):
    """Names of windows, and per window (int64): its rows, and the first and last time of a clock (first > last if it has none)."""

    names: tuple[str, ...]
    rows: np.ndarray
    first: np.ndarray
    last: np.ndarray


NO_SPAN = (np.iinfo(np.int64).max, np.iinfo(np.int64).min)


class WindowTable(Protocol):
    """The windows of a checkpoint, loaded one at a time."""

    def __len__(self) -> int:
        """How many windows there are."""
        ...

    def names(self) -> tuple[str, ...]:
        """Every window's name, sorted."""
        ...

    def summary(self, window: str) -> WindowSummary:
        """The window in short; KeyError where there is none, as below."""
        ...

    def load(self, window: str) -> WindowState:
        """The window's whole state."""
        ...

    def digest(self, window: str) -> str:
        """The digest that names the window's manifest."""
        ...

    def spans(self, clock: str) -> "Spans":
        """All windows in shorter yet, by name."""
        ...


@dataclass(frozen=True, slots=True)
class NoWindows:
    """The table before the first checkpoint."""

    def __len__(self) -> int:
        return 0

    def names(self) -> tuple[str, ...]:
        """No window."""
        return ()

    def summary(self, window: str) -> WindowSummary:
        """Never there."""
        raise KeyError(window)

    def load(self, window: str) -> WindowState:
        """Never there."""
        raise KeyError(window)

    def digest(self, window: str) -> str:
        """Never there."""
        raise KeyError(window)

    def spans(self, clock: str) -> "Spans":
        """Of no window."""
        del clock
        none = np.zeros(0, np.int64)
        return Spans((), none, none, none)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A dataset at one version. A value: folding a commit returns the next one.

    Windows lie in two layers: `table` as of the newest checkpoint, and `changed` since, so that a commit copies only what is new.
    """

    dataset: str
    version: int = 0
    digest: str
    running_time: int = 0
    time: int = 0
    schemas: tuple[Schema, ...] = ()
    schema: int | None = None
    profile: str = "dense"
    writers: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    artifacts: Mapping[str, ArtifactEntry] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    segment_floor: int = 0
    state: str = ""
    birth: str = ""
    requires: tuple[str, ...] = ()
    checkpoint: tuple[int, str] | None = None
    log_bytes: int = 0
    table: WindowTable = field(default_factory=NoWindows)
    changed: Mapping[str, WindowState] = field(default_factory=dict)
    _spans: dict[str, Spans] = field(default_factory=dict, init=False, compare=False, repr=False)  # of this state, as they were asked for

    @property
    def alive(self) -> bool:
        """Whether there is a dataset: created, and not deleted since."""
        return self.version > 0 and self.state != "deleted"

    @property
    def sealed(self) -> bool:
        """Whether nothing may be added any more."""
        return self.state == "sealed"

    def window_names(self) -> tuple[str, ...]:
        """Every window that ever got rows, coverage or attributes, sorted."""
        return tuple(sorted({*self.table.names(), *self.changed}))

    def window(self, name: str) -> WindowState:
        """The window's whole state; an unknown window is open and empty."""
        found = self.changed.get(name)
        if found is not None:
            return found
        try:
            return self.table.load(name)
        except KeyError:
            return WindowState(window=name)

    def has_window(self, name: str) -> bool:
        """Whether a window was ever named, told without listing them."""
        try:
            self.summary(name)
        except (KeyError, AttributeError, TypeError):  # whatever a caller took for a name
            return False
        return True

    def summary(self, name: str) -> WindowSummary:
        """The window in short, without loading its manifest."""
        found = self.changed.get(name)
        if found is None:
            return self.table.summary(name)
        return summarise(found)

    def spans(self, clock: str) -> Spans:
        """Rows of every window, and first and last time of a clock, by name: as arrays, for there may be many thousands."""
        if clock not in self._spans:
            self._spans[clock] = self._spans_of(clock)
        return self._spans[clock]

    def _spans_of(self, clock: str) -> Spans:
        table = self.table.spans(clock)
        if not self.changed:
            return table
        kept = [place for place, name in enumerate(table.names) if name not in self.changed]
        added = [(name, window.rows, *window.clocks.get(clock, NO_SPAN)) for name, window in self.changed.items()]
        names = [*(table.names[place] for place in kept), *(name for name, *_ in added)]
        order = sorted(range(len(names)), key=names.__getitem__)
        columns = (
            np.concatenate((old[kept], np.array([row[number] for row in added], np.int64)))[order]
            for number, old in enumerate(table[1:], 1)
        )
        return Spans(tuple(names[place] for place in order), *columns)

    def summaries(self) -> Iterator[WindowSummary]:
        """All windows in short, by name."""
        return map(self.summary, self.window_names())


def summarise(state: WindowState) -> WindowSummary:
    """The short form of a window's state."""
    return WindowSummary(
        window=state.window,
        version=state.version,
        completeness=state.completeness,
        rows=state.rows,
        bytes=state.bytes,
        clocks=state.clocks,
    )


def merge_clocks(parts: Iterable[Mapping[str, Interval]]) -> dict[str, Interval]:
    """First and last per clock over several."""
    merged: dict[str, Interval] = {}
    for part in parts:
        for clock, (first, last) in part.items():
            low, high = merged.get(clock, (first, last))
            merged[clock] = (min(low, first), max(high, last))
    return merged


def union(intervals: Iterable[Interval]) -> tuple[Interval, ...]:
    """Half-open intervals, merged where they touch or overlap, sorted."""
    merged: list[Interval] = []
    for start, stop in sorted(tuple(interval) for interval in intervals):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], stop))
        else:
            merged.append((start, stop))
    return tuple(merged)
