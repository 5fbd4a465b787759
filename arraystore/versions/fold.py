"""How one commit changes a dataset: the fold, and what it refuses to believe of a record (FORMAT.md section 6)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
from msgspec.structs import replace as restruct

from arraystore.errors import Corrupt, Unsupported
from arraystore.versions.commit import ArtifactEntry, Commit, Pin, SegmentEntry, Tail, WindowChange
from arraystore.versions.record import refuse_unknown
from arraystore.versions.redaction import PURGED
from arraystore.versions.state import COMPLETENESS, State, WindowState, union
from layouts.chunking import SEGMENT_ROWS
from layouts.codecs import Profile
from layouts.naming import is_escaped, is_segment_name, segment_base_version
from layouts.problems import InvalidInput
from layouts.schema import Schema, validate_schema
from layouts.windows import parse_window

STATES = ("", "sealed", "deleted")
SOUND_SCHEMAS = 1024
SEGMENT_BYTES = 1 << 44  # far more than is written, and few enough for their sum to fit int64

_sound: dict[bytes, Schema] = {}  # what many datasets have in common is looked at once, and is one object then


def check_chain(state: State, commit: Commit, where: str) -> None:
    """Raise unless `commit` follows `state`, is understood here, and adds nothing from below the garbage floor."""
    refuse_unknown(commit.requires, where)
    if commit.profile not in ("", *Profile) or commit.state not in (None, *STATES):
        msg = f"{where}: profile {commit.profile!r} or state {commit.state!r} is unknown to this version of arraystore: upgrade to read it"
        raise Unsupported(msg)
    if commit.version != state.version + 1 or commit.previous != state.digest:
        msg = f"{where}: says version {commit.version} after {commit.previous}, but follows version {state.version}, {state.digest}"
        raise Corrupt(msg)
    if commit.operation == "create" and state.alive:
        msg = f"{where}: creates what exists since before version {state.version}"
        raise Corrupt(msg)
    if commit.dataset != state.dataset and commit.operation != "create":
        msg = f"{where}: belongs to dataset {commit.dataset}, not to {state.dataset}"
        raise Corrupt(msg)
    if commit.running_time != max(state.running_time, commit.time):
        msg = f"{where}: says the running time {commit.running_time} after {state.running_time}, at {commit.time}"
        raise Corrupt(msg)
    if expired := below_floor(commit, state.segment_floor):
        msg = f"{where}: adds segments {expired} from below the floor {state.segment_floor}"
        raise Corrupt(msg)


def below_floor(commit: Commit, floor: int) -> list[str]:
    """Names of the segments and artifacts that a commit adds though their writer planned on a version below `floor`."""
    if not floor:
        return []
    names = [entry.segment for change in commit.windows for entry in change.add] + [entry.artifact for entry in commit.artifacts]
    return [name for name in names if is_segment_name(name) and segment_base_version(name) < floor]


def fold(state: State, commit: Commit, digest: str, size_bytes: int, where: str) -> State:
    """The state after `commit`, whose record has that digest and size; raises `Corrupt` where it can't follow."""
    check_chain(state, commit, where)
    before = state
    if commit.state == "deleted":
        state = State(
            dataset=state.dataset,
            digest=digest,
            birth=state.birth,
            state="deleted",
            requires=state.requires,
            checkpoint=state.checkpoint,
            segment_floor=state.segment_floor,
            attributes={name: value for name, value in state.attributes.items() if name == PURGED},  # of earlier versions, which stay
        )
    is_new = commit.operation == "create" and commit.state != "deleted"
    changed = dict(state.changed)
    schemas = state.schemas + checked_schemas(commit.schemas, where)
    schema = state.schema if commit.schema is None else _known_schema(commit.schema, len(schemas), where)
    step = _Step(commit=commit, digest=digest, schema_count=len(schemas), by_time=schema is not None, where=where)
    if len({change.window for change in commit.windows}) != len(commit.windows):
        msg = f"{where}: changes a window twice"
        raise Corrupt(msg)
    for place, change in enumerate(commit.windows):
        window = changed.get(change.window) or state.window(change.window)
        changed[change.window] = _change(window, change, place, step)
    return replace(
        state,
        dataset=commit.dataset if is_new else state.dataset,
        version=commit.version,
        digest=digest,
        time=commit.time,
        running_time=max(before.running_time, commit.time),
        log_bytes=before.log_bytes + size_bytes,
        schemas=schemas,
        schema=schema,
        profile=commit.profile or state.profile,
        writers={**state.writers, commit.token[0]: (commit.token[1], commit.version)} if commit.token else state.writers,
        artifacts=_artifacts(state.artifacts, commit, where),
        attributes=merge(state.attributes, commit.attributes),
        segment_floor=max(state.segment_floor, commit.segment_floor or 0),
        state=commit.state if commit.state is not None else "" if is_new else state.state,
        requires=tuple(sorted({*state.requires, *commit.requires})) if commit.requires else state.requires,
        changed=changed,
    )


def merge(before: Mapping[str, Any], change: Mapping[str, Any]) -> Mapping[str, Any]:
    """Attributes after a change, key by key; None removes."""
    if not change:
        return before
    return {name: value for name, value in {**before, **change}.items() if value is not None}


def _artifacts(before: Mapping[str, ArtifactEntry], commit: Commit, where: str) -> Mapping[str, ArtifactEntry]:
    if not commit.artifacts and not commit.removed_artifacts:
        return before
    gone = set(commit.removed_artifacts)
    kept = {name: entry for name, entry in before.items() if name not in gone}
    return kept | checked_artifacts(commit.artifacts, where)


def checked_artifacts(entries: Iterable[ArtifactEntry], where: str) -> dict[str, ArtifactEntry]:
    """Artifacts by name; none of them names a place that isn't an artifact's."""
    found = {entry.name: entry for entry in entries}
    for entry in found.values():
        if not is_segment_name(entry.artifact):
            msg = f"{where}: keeps {entry.name[:80]!r} at {entry.artifact[:80]!r}, which isn't an artifact's name"
            raise Corrupt(msg)
    return found


def checked_schemas(schemas: tuple[Schema, ...], where: str) -> tuple[Schema, ...]:
    """Schemas that a dataset can have: their names become paths, and their types memory."""
    return tuple(_checked_schema(schema, where) for schema in schemas)


def _checked_schema(schema: Schema, where: str) -> Schema:
    encoded = msgspec.json.encode(schema)
    known = _sound.get(encoded)
    if known is not None and known == schema:
        return known
    if problems := validate_schema(schema):
        msg = f"{where}: names a schema that can't be: {'; '.join(map(str, problems[:5]))}"
        raise Corrupt(msg)
    if len(_sound) >= SOUND_SCHEMAS:
        _sound.clear()
    return _sound.setdefault(encoded, schema)


def check_window_name(name: str, where: str, *, by_time: bool) -> None:
    """A time window's name, or (in a dataset of several series) an escaped one."""
    try:
        known = bool(parse_window(name)) if by_time else is_escaped(name)
    except InvalidInput:
        known = False
    if not known:
        msg = f"{where}: {name[:80]!r} isn't a window's name"
        raise Corrupt(msg)


def _known_schema(number: int, count: int, where: str) -> int:
    if not 0 <= number < count:
        msg = f"{where}: names schema {number}, but the dataset has {count}"
        raise Corrupt(msg)
    return number


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """The commit that is being folded, and what its window changes are checked against."""

    commit: Commit
    digest: str
    schema_count: int
    by_time: bool
    where: str
    lineages: dict[int, tuple[tuple[Pin, ...], tuple[Pin, ...]]] = field(default_factory=dict)

    def lineage_after(self, before: tuple[Pin, ...]) -> tuple[Pin, ...]:
        """A window's lineage with the commit's inputs; windows that had one in common have one in common after it."""
        # One for each window would take windows times inputs of memory. `before` is kept beside it, so that its id is no other's.
        if id(before) not in self.lineages:
            known = set(before)
            self.lineages[id(before)] = before, before + tuple(pin for pin in self.commit.inputs if pin not in known)
        return self.lineages[id(before)][1]


def _change(before: WindowState, change: WindowChange, place: int, step: _Step) -> WindowState:
    """A window after one commit's change to it."""
    commit, where = step.commit, f"{step.where}, window {change.window[:80]!r}"
    check_window_name(change.window, where, by_time=step.by_time)
    segments, counted = before.segments, None
    if change.remove:
        gone = set(change.remove)
        if missing := gone - {entry.name for entry in segments}:
            msg = f"{where}: removes {sorted(map(str, missing))}, which aren't there"
            raise Corrupt(msg)
        segments = tuple(entry for entry in segments if entry.name not in gone)
    added = [_placed(entry, number, step, where) for number, entry in enumerate(change.add)]
    if change.tail is not None:
        added.append(_tail_entry(change.tail, place, step, where))
    if change.tail is not None and len(added) == 1 and not change.remove and (not segments or segments[-1].order < added[0].order):
        # By far the most frequent change, and the newest version's tail can be no other's name or place.
        count, size = before.tail_totals
        segments, counted = (*segments, *added), (count + 1, size + added[0].bytes)
    elif added:
        segments = (*segments, *added)
        if len({entry.name for entry in segments}) != len(segments) or len({entry.order for entry in segments}) != len(segments):
            msg = f"{where}: adds a segment that is there already, or two in one place"
            raise Corrupt(msg)
        # Appends come last by themselves; only what takes an older place (a fold, a compaction) needs the sort.
        if len(segments) > len(added) and min(entry.order for entry in added) < segments[-len(added) - 1].order:
            segments = tuple(sorted(segments, key=lambda entry: entry.order))
    if change.completeness is not None and change.completeness not in COMPLETENESS:
        msg = f"{where}: completeness {change.completeness!r} is none of {COMPLETENESS}"
        raise Corrupt(msg)
    fresh = WindowState(window=change.window) if change.reset else before
    if (change.completeness or fresh.completeness) == "complete" and any(entry.tail for entry in segments):
        msg = f"{where}: is called complete, though it has tails"
        raise Corrupt(msg)
    return WindowState(
        window=change.window,
        version=commit.version,
        completeness=change.completeness or fresh.completeness,
        segments=segments,
        coverage=union((*fresh.coverage, *change.coverage)) if change.coverage else fresh.coverage,
        attributes=merge(fresh.attributes, change.attributes),
        lineage=step.lineage_after(fresh.lineage),
        counted=counted,
    )


def _placed(entry: SegmentEntry, number: int, step: _Step, where: str) -> SegmentEntry:
    if entry.tail:
        msg = f"{where}: adds the tail of version {entry.tail} as a segment"
        raise Corrupt(msg)
    check_entry(entry, step.commit.version, step.schema_count, where)
    return entry if entry.order != (0, 0) else restruct(entry, order=(step.commit.version, number))


def _tail_entry(tail: Tail, place: int, step: _Step, where: str) -> SegmentEntry:
    version = step.commit.version
    entry = SegmentEntry(
        schema=tail.schema,
        rows=tail.rows,
        clocks=tail.clocks,
        bytes=sum(ref.nbytes for ref in tail.arrays.values()),
        index=step.digest,
        tail=version,
        place=place,
        order=(version, place),
    )
    check_entry(entry, version, step.schema_count, where)
    return entry


def check_entry(entry: SegmentEntry, version: int, schema_count: int, where: str) -> None:
    """Raise unless a dataset at `version` can hold it: then its name leads nowhere but into the window, or the log up to there."""
    _known_schema(entry.schema, schema_count, where)
    if not (0 < entry.tail <= version and not entry.segment) if entry.tail else not is_segment_name(entry.segment):
        msg = f"{where}: names {entry.segment[:80] or entry.tail!r}, which isn't a segment's name"
        raise Corrupt(msg)
    if not 0 < entry.rows <= SEGMENT_ROWS or entry.bytes > SEGMENT_BYTES:
        most = f"from 1 to {SEGMENT_ROWS} rows, and at most {SEGMENT_BYTES} bytes"
        msg = f"{where}: segment {entry.name} says it has {entry.rows} rows and {entry.bytes} bytes, where there are {most}"
        raise Corrupt(msg)


def check_span(entry: SegmentEntry | Tail, window: str, schema: Schema, where: str) -> None:
    """Raise unless rows lie in the window that holds them; else who asks by window would get others than who asks by time."""
    span, limits = entry.clocks.get(schema.axis), parse_window(window)
    if span is None or not limits.start <= span[0] <= span[1] < limits.stop:
        msg = f"{where}: its times are {span}, where its window goes from {limits.start} to {limits.stop}: restore it from a replica"
        raise Corrupt(msg)
