"""What a dataset is at one version: the fold of its commits (FORMAT.md section 6)."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from msgspec.structs import replace as restruct

from arraystore.commit import ArtifactEntry, Commit, Interval, Pin, SegmentEntry, WindowChange
from arraystore.errors import Corrupt, Unsupported
from layouts.naming import is_escaped, is_segment_name, segment_base_version
from layouts.schema import Schema

KNOWN_FEATURES: frozenset[str] = frozenset()
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


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowSummary:
    """What planning needs to know of a window without loading its manifest."""

    window: str
    version: int
    completeness: str
    rows: int
    bytes: int
    clocks: Mapping[str, Interval]


class WindowTable(Protocol):
    """The windows of a checkpoint, loaded one at a time."""

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


@dataclass(frozen=True, slots=True)
class NoWindows:
    """The table before the first checkpoint."""

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
    checkpoint: tuple[int, str] | None = None
    log_bytes: int = 0
    table: WindowTable = field(default_factory=NoWindows)
    changed: Mapping[str, WindowState] = field(default_factory=dict)

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

    def summary(self, name: str) -> WindowSummary:
        """The window in short, without loading its manifest."""
        found = self.changed.get(name)
        if found is None:
            return self.table.summary(name)
        return summarise(found)

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


def check_chain(state: State, commit: Commit, where: str) -> None:
    """Raise unless `commit` follows `state`, is understood here, and adds nothing from below the garbage floor."""
    if unknown := set(commit.requires) - KNOWN_FEATURES:
        msg = f"{where}: needs {sorted(unknown)}, unknown to this version of arraystore: upgrade to read it"
        raise Unsupported(msg)
    if commit.version != state.version + 1 or commit.previous != state.digest:
        msg = f"{where}: says version {commit.version} after {commit.previous}, but follows version {state.version}, {state.digest}"
        raise Corrupt(msg)
    if commit.dataset != state.dataset and commit.operation != "create":
        msg = f"{where}: belongs to dataset {commit.dataset}, not to {state.dataset}"
        raise Corrupt(msg)
    if expired := below_floor(commit, state.segment_floor):
        msg = f"{where}: adds segments {expired} from below the floor {state.segment_floor}"
        raise Corrupt(msg)


def below_floor(commit: Commit, floor: int) -> list[str]:
    """Names of the segments that a commit adds though their writer planned on a version below `floor`."""
    names = [entry.segment for change in commit.windows for entry in change.add]
    return [name for name in names if is_segment_name(name) and segment_base_version(name) < floor]


def fold(state: State, commit: Commit, digest: str, size_bytes: int, where: str) -> State:
    """The state after `commit`, whose record has that digest and size; raises `Corrupt` where it can't follow."""
    check_chain(state, commit, where)
    before = state
    if commit.state == "deleted":
        state = State(dataset=state.dataset, digest=digest, state="deleted", checkpoint=state.checkpoint, segment_floor=state.segment_floor)
    elif commit.operation == "create":
        state = replace(state, dataset=commit.dataset, state="")
    changed = dict(state.changed)
    schemas = state.schemas + commit.schemas
    for place, change in enumerate(commit.windows):
        window = changed.get(change.window) or state.window(change.window)
        changed[change.window] = _change(window, change, commit, place, len(schemas), where)
    return replace(
        state,
        version=commit.version,
        digest=digest,
        time=commit.time,
        running_time=max(before.running_time, commit.time),
        log_bytes=before.log_bytes + size_bytes,
        schemas=schemas,
        schema=state.schema if commit.schema is None else _known_schema(commit.schema, len(schemas), where),
        profile=commit.profile or state.profile,
        writers={**state.writers, commit.token[0]: (commit.token[1], commit.version)} if commit.token else state.writers,
        artifacts=_artifacts(state.artifacts, commit),
        attributes=merge(state.attributes, commit.attributes),
        segment_floor=max(state.segment_floor, commit.segment_floor or 0),
        state=state.state if commit.state is None else commit.state,
        changed=changed,
    )


def merge(before: Mapping[str, Any], change: Mapping[str, Any]) -> Mapping[str, Any]:
    """Attributes after a change, key by key; None removes."""
    if not change:
        return before
    return {name: value for name, value in {**before, **change}.items() if value is not None}


def _artifacts(before: Mapping[str, ArtifactEntry], commit: Commit) -> Mapping[str, ArtifactEntry]:
    if not commit.artifacts and not commit.removed_artifacts:
        return before
    kept = {name: entry for name, entry in before.items() if name not in commit.removed_artifacts}
    return kept | {entry.name: entry for entry in commit.artifacts}


def _known_schema(number: int, count: int, where: str) -> int:
    if not 0 <= number < count:
        msg = f"{where}: names schema {number}, but the dataset has {count}"
        raise Corrupt(msg)
    return number


def _change(before: WindowState, change: WindowChange, commit: Commit, place: int, schema_count: int, where: str) -> WindowState:
    """A window after one commit's change to it."""
    where = f"{where}, window {change.window[:80]!r}"
    if not is_escaped(change.window):
        msg = f"{where}: isn't a window's name"
        raise Corrupt(msg)
    segments = before.segments
    if change.remove:
        gone = set(change.remove)
        if missing := gone - {entry.name for entry in segments}:
            msg = f"{where}: removes {sorted(map(str, missing))}, which aren't there"
            raise Corrupt(msg)
        segments = tuple(entry for entry in segments if entry.name not in gone)
    added = [_placed(entry, commit.version, number, schema_count, where) for number, entry in enumerate(change.add)]
    if change.tail is not None:
        tail = change.tail
        size = sum(_array_bytes(ref.dtype, ref.shape) for ref in tail.arrays.values())
        added.append(
            SegmentEntry(
                schema=_known_schema(tail.schema, schema_count, where),
                rows=tail.rows,
                clocks=tail.clocks,
                bytes=size,
                tail=commit.version,
                place=place,
                order=(commit.version, place),
            )
        )
    if added:
        segments = (*segments, *added)
        # Appends come last by themselves; only what takes an older place (a fold, a compaction) needs the sort.
        if len(segments) > len(added) and min(entry.order for entry in added) < segments[-len(added) - 1].order:
            segments = tuple(sorted(segments, key=lambda entry: entry.order))
    if change.completeness is not None and change.completeness not in COMPLETENESS:
        msg = f"{where}: completeness {change.completeness!r} is none of {COMPLETENESS}"
        raise Corrupt(msg)
    fresh = WindowState(window=change.window) if change.reset else before
    return WindowState(
        window=change.window,
        version=commit.version,
        completeness=change.completeness or fresh.completeness,
        segments=segments,
        coverage=union((*fresh.coverage, *change.coverage)) if change.coverage else fresh.coverage,
        attributes=merge(fresh.attributes, change.attributes),
        lineage=fresh.lineage + tuple(pin for pin in commit.inputs if pin not in fresh.lineage),
    )


def _placed(entry: SegmentEntry, version: int, number: int, schema_count: int, where: str) -> SegmentEntry:
    _known_schema(entry.schema, schema_count, where)
    if entry.tail or not is_segment_name(entry.segment):
        msg = f"{where}: adds {entry.segment[:80]!r}, which isn't a segment's name"
        raise Corrupt(msg)
    return entry if entry.order != (0, 0) else restruct(entry, order=(version, number))


def _array_bytes(dtype: str, shape: tuple[int, ...]) -> int:
    size = np.dtype(dtype).itemsize
    for length in shape:
        size *= length
    return size
