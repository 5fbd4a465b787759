"""What a version and a window look like from outside."""

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import msgspec

from arraystore.place import Place
from arraystore.shown import Shown
from arraystore.versions.commit import Commit, Interval, Pin, SegmentEntry
from arraystore.versions.state import WindowState
from layouts.windows import format_time


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest(Shown):
    """Dataset Manifest: what a reader of one window needs.

    Times and `coverage` are int64 ns since 1970 UTC, half-open intervals for coverage and first and last for `clocks`.
    `completeness` is `open`, `partial` or `complete`; `version` is the last one that changed the window; `lineage` the pins its
    rows came from. `segments` are in read order; `location` is the window's path below the class root.
    """

    storage_class: str
    key: tuple[str, ...]
    window: str
    location: str
    rows: int
    bytes: int
    clocks: Mapping[str, Interval]
    coverage: tuple[Interval, ...]
    completeness: str
    version: int
    segments: tuple[SegmentEntry, ...]
    lineage: tuple[Pin, ...]
    attributes: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types, times as ISO-8601 UTC."""
        return {
            "class": self.storage_class,
            "key": list(self.key),
            "window": self.window,
            "location": self.location,
            "rows": self.rows,
            "bytes": self.bytes,
            "clocks": {clock: [format_time(first), format_time(last)] for clock, (first, last) in self.clocks.items()},
            "coverage": [[format_time(start), format_time(stop)] for start, stop in self.coverage],
            "completeness": self.completeness,
            "version": self.version,
            "segments": msgspec.to_builtins(self.segments),
            "lineage": msgspec.to_builtins(self.lineage),
            "attributes": dict(self.attributes),
        }


def manifest_of(place: Place, state: WindowState, window: str) -> Manifest:
    """The manifest of a window's state; `window` is what users call it."""
    return Manifest(
        storage_class=place.storage_class.value,
        key=place.key,
        window=window,
        location=f"{place.path}/{state.window}",
        rows=state.rows,
        bytes=state.bytes,
        clocks=state.clocks,
        coverage=state.coverage,
        completeness=state.completeness,
        version=state.version,
        segments=state.segments,
        lineage=state.lineage,
        attributes=deepcopy(dict(state.attributes)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Version(Shown):
    """One commit, as the log tells it. `time` is the writer's wall clock (int64 ns since 1970 UTC): advisory, never an order."""

    number: int
    time: int
    operation: str
    role: str
    host: str
    process: str
    windows: tuple[str, ...]
    rows: int
    inputs: tuple[Pin, ...]
    reason: str
    digest: str

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types, times as ISO-8601 UTC."""
        return {
            "version": self.number,
            "time": format_time(self.time),
            "operation": self.operation,
            "role": self.role,
            "host": self.host,
            "process": self.process,
            "windows": list(self.windows),
            "rows": self.rows,
            "inputs": msgspec.to_builtins(self.inputs),
            "reason": self.reason,
            "digest": self.digest,
        }


def version_of(commit: Commit, digest: str, told: Callable[[Iterable[str]], tuple[str, ...]]) -> Version:
    """A commit as a version; `rows` counts what it added (a fold's own included), `told` says what users call windows."""
    rows = sum(sum(entry.rows for entry in change.add) + (change.tail.rows if change.tail else 0) for change in commit.windows)
    return Version(
        number=commit.version,
        time=commit.time,
        operation=commit.operation,
        role=commit.role,
        host=commit.host,
        process=commit.process,
        windows=told(change.window for change in commit.windows),
        rows=rows,
        inputs=commit.inputs,
        reason=commit.reason,
        digest=digest,
    )
