"""What a dataset ought to be: rows in tuples, windows in a dictionary, versions in a list, and no storage at all."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

import arraystore

DAY = 86_400 * 10**9
START = arraystore.parse_time("2024-08-08")

type Interval = tuple[int, int]


class Row(NamedTuple):
    """One row, told from all others by its number."""

    time: int
    number: int
    label: str
    note: str | None
    extra: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One day: rows in the order they came, whatever the order they are read in."""

    rows: tuple[Row, ...] = ()
    completeness: str = "open"
    coverage: tuple[Interval, ...] = ()
    withdrawn: str | None = None
    version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """Everything that a reader sees at one version."""

    windows: Mapping[str, Window] = field(default_factory=dict)
    evolved: bool = False
    alive: bool = False
    sealed: bool = False
    life: int = 0
    attributes: Mapping[str, object] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    purged: frozenset[str] = frozenset()

    def rows(self, start: int | None = None, end: int | None = None, *, order: str) -> tuple[Row, ...]:
        """Rows as they are read: windows follow each other in time, and within one the dataset's order holds."""
        found: list[Row] = []
        for name in sorted(self.windows):
            rows = self.windows[name].rows
            found += sorted(rows, key=lambda row: row.time) if order == "time" else rows
        low, high = -(1 << 62) if start is None else start, 1 << 62 if end is None else end
        return tuple(row for row in found if low <= row.time < high)


@dataclass(slots=True, kw_only=True)
class Purge:
    """A window whose rows went from every version before one; from some of them perhaps not yet, where it was interrupted."""

    window: str
    version: int
    done: bool


class Refused(NamedTuple):
    """What the store ought to raise."""

    error: str


type Outcome = Version | Refused | int  # a version is what comes next; a number says which version answers instead


def day_of(time: int) -> str:
    """The name of the window that a time lies in."""
    return str(np.datetime64(time, "ns").astype("datetime64[D]"))


def bounds(window: str) -> Interval:
    """Where a window begins and ends."""
    start = int(np.datetime64(window, "ns").astype(np.int64))
    return start, start + DAY


def united(intervals: Iterable[Interval]) -> tuple[Interval, ...]:
    """Intervals in order, those that touch or overlap made one."""
    found: list[Interval] = []
    for start, end in sorted(intervals):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return tuple(found)


class Model:
    """All versions, from 1; and of each writer the latest token with the version that has it."""

    def __init__(self, order: str) -> None:
        self.order = order
        self.versions: list[Version] = [Version()]
        self.tokens: dict[str, tuple[int, int]] = {}
        self.purges: list[Purge] = []
        self.unsure: set[str] = set()  # windows that hold what a writer left whose medium failed, for all one knows

    @property
    def now(self) -> Version:
        return self.versions[-1]

    @property
    def number(self) -> int:
        return len(self.versions) - 1

    def push(self, version: Version, token: tuple[str, int] | None = None) -> None:
        """The version is there."""
        self.versions.append(version)
        if token is not None:
            self.tokens[token[0]] = (token[1], self.number)

    def create(self) -> Outcome:
        if self.now.alive:
            return Refused("AlreadyExists")
        self.tokens = {}
        return Version(alive=True, life=self.now.life + 1, purged=self.now.purged)

    def delete(self) -> Outcome:
        return Version(life=self.now.life, purged=self.now.purged) if self.now.alive else Refused("NotFound")

    def append(
        self,
        rows: Sequence[Row],
        *,
        coverage: Interval | None = None,
        completeness: str | None = None,
        reopen: bool = False,
        token: tuple[str, int] | None = None,
    ) -> Outcome:
        if token is not None and token[0] in self.tokens:
            latest, version = self.tokens[token[0]]
            if token[1] == latest:
                return version
            if token[1] < latest:
                return Refused("InvalidInput")
        if self.now.sealed:
            return Refused("WindowClosed")
        windows = dict(self.now.windows)
        for name in sorted({*(day_of(row.time) for row in rows), *(days(coverage) if coverage else ())}):
            window = windows.get(name, Window())
            new = tuple(row for row in rows if day_of(row.time) == name)
            closed = window.completeness == "complete" or (new and window.withdrawn is not None)
            if closed and not reopen:
                return Refused("WindowClosed")
            reopened = new and window.completeness == "complete"
            windows[name] = replace(
                window,
                rows=window.rows + new,
                completeness=completeness or ("open" if reopened else window.completeness),
                coverage=united((*window.coverage, *([clipped(coverage, name)] if coverage and name in days(coverage) else ()))),
                withdrawn=None if new else window.withdrawn,
                version=self.number + 1,
            )
        return replace(self.now, windows=windows)

    def put(self, name: str, window: Window, seen: int) -> Outcome:
        """Another content in a window's place, which whoever gives it saw at a version."""
        if self.now.sealed:
            return Refused("WindowClosed")
        if self.now.windows[name].version > seen:
            return Refused("Conflict")
        return replace(self.now, windows={**self.now.windows, name: replace(window, version=self.number + 1)})

    def complete(self, name: str, completeness: str) -> Outcome:
        if self.now.sealed:
            return Refused("WindowClosed")
        window = replace(self.now.windows[name], completeness=completeness, version=self.number + 1)
        return replace(self.now, windows={**self.now.windows, name: window})

    def to_purge(self, names: Iterable[str], readable: Callable[[int], bool]) -> tuple[list[str], list[str]]:
        """Windows that a purge must take rows of: never purged, or with rows now or in a readable version since. And those it may.

        That is, whose rows a version had that may be gone by now.
        """
        must, may = [], []
        for name in names:
            last = max((purge.version for purge in self.purges if purge.window == name), default=0)
            since = [number for number in range(last + 1, self.number + 1) if name in self.versions[number].windows]
            held = [number for number in since if self.versions[number].windows[name].rows]
            if name not in self.now.purged or self.number in held or any(map(readable, held)):
                must.append(name)
            elif held or name in self.unsure:
                may.append(name)
        return must, may

    def purge(self, names: Iterable[str]) -> Outcome:
        """Rows of windows go from every version; 0 where there is none to go."""
        going = list(names)
        if not going:
            return 0
        left = {name: Window(withdrawn="purged: to see", version=self.number + 1) for name in going}
        return replace(self.now, windows={**self.now.windows, **left}, purged=self.now.purged | set(going))

    def are_purged(self, number: int, name: str) -> bool | None:
        """Whether the rows that a window had in a version are gone since; None if they may be."""
        if not self.versions[number].windows[name].rows:
            return False
        found = {purge.done for purge in self.purges if purge.window == name and purge.version > number}
        return True if True in found else None if found else False

    def seal(self) -> Outcome:
        if self.now.sealed:
            return Refused("WindowClosed")
        windows = {
            name: window if window.completeness == "complete" else replace(window, completeness="complete", version=self.number + 1)
            for name, window in self.now.windows.items()
        }
        return replace(self.now, windows=windows, sealed=True)

    def keep_file(self, name: str, data: bytes) -> Outcome:
        if self.now.sealed:
            return Refused("WindowClosed")
        return replace(self.now, files={**self.now.files, name: data})

    def evolve(self) -> Outcome:
        if self.now.sealed:
            return Refused("WindowClosed")
        if self.now.evolved:
            return self.number
        return replace(self.now, evolved=True)

    def describe(self, attributes: Mapping[str, object]) -> Outcome:
        if self.now.sealed:
            return Refused("WindowClosed")
        merged = {key: value for key, value in {**self.now.attributes, **attributes}.items() if value is not None}
        return replace(self.now, attributes=merged)


def days(interval: Interval) -> list[str]:
    """The windows that an interval touches."""
    first = interval[0] // DAY * DAY
    return [day_of(start) for start in range(first, interval[1], DAY)]


def clipped(interval: Interval, name: str) -> Interval:
    """What of an interval lies in a window."""
    start, end = bounds(name)
    return max(interval[0], start), min(interval[1], end)
