"""Looks at a dataset, or at a class of them, and tells what isn't as the layout says or would serve better otherwise.

Reads the log, the manifests, each segment's index and documents, and the names of all else; no chunk. Whether bytes are what was
written is for `verify`.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import groupby

from arraystore.datasets.zarrlint import lint_segment, stray_deviations
from arraystore.errors import ArrayStoreError, NotFound
from arraystore.segments.index import load_index
from arraystore.storage.base import Storage
from arraystore.versions import checkpoint
from arraystore.versions.commit import Commit, SegmentEntry
from arraystore.versions.log import Log
from arraystore.versions.state import State, WindowState
from layouts.deviations import Deviation, deviation
from layouts.naming import is_escaped, is_segment_name, parse_version_name
from layouts.windowlint import (
    WindowFacts,
    label_deviations,
    length_deviations,
    unfinished_deviations,
    window_deviations,
)
from layouts.windows import parse_window

KNOWN = ("zarr.json", "_lock")  # a lock is empty, and queues local writers
FOLDERS = ("_log", "_checkpoints", "_manifests", "_packs", "_artifacts")


def lint_dataset(log: Log, state: State, place: str) -> list[Deviation]:
    """Everything about a dataset at a version; what no version names is looked for at the newest."""
    found: list[Deviation] = []
    for check in (_windows, _leftovers):
        try:
            found += check(log, state, place)
        except ArrayStoreError as error:
            found.append(deviation("unreadable", place, str(error)))
    return found


def _windows(log: Log, state: State, place: str) -> Iterator[Deviation]:
    facts = []
    for name in state.window_names():
        window = state.window(name)
        facts.append(_facts(state, window))
        yield from window_deviations(place, facts[-1])
        for entry in window.segments:
            if entry.segment:
                yield from _segment(log, state, window, entry, f"{place}/{name}/{entry.segment}")
    if state.schema is None:
        return  # series aren't cut by time
    yield from unfinished_deviations(place, facts)
    schema = state.schemas[state.schema]
    newest = [each for each in facts if each.rows and parse_window(each.name).length == schema.window]
    yield from length_deviations(place, schema.window, newest)


def _facts(state: State, window: WindowState) -> WindowFacts:
    tails = window.tails
    # One segment alone keeps its schema for good: only where there are several do new ones get written.
    several = state.schema is not None and len(window.segments) > 1
    older = sum(entry.schema != state.schema for entry in window.segments if entry.segment) if several else 0
    return WindowFacts(
        name=window.window,
        rows=window.rows,
        bytes=window.bytes,
        completeness=window.completeness,
        segments=len(window.segments) - len(tails),
        tails=len(tails),
        tail_bytes=sum(entry.bytes for entry in tails),
        older_schema=older,
    )


def _segment(log: Log, state: State, window: WindowState, entry: SegmentEntry, place: str) -> Iterator[Deviation]:
    prefix = f"{log.prefix}/{window.window}/{entry.segment}"
    yield from lint_segment(log.storage, prefix, place)
    try:
        index = load_index(log.storage, prefix, entry, state.schemas[entry.schema])
    except ArrayStoreError as error:
        yield deviation("unreadable", place, str(error))
        return
    if index.profile != state.profile:
        yield deviation("mixed-profiles", place, f"the profile {index.profile}", wanted=f"the profile {state.profile}")
    for column, labels in index.labels.items():
        yield from label_deviations(place, column, len(labels), index.rows)


# --- what nothing names ------------------------------------------------------------------------------------------


def _leftovers(log: Log, _: State, place: str) -> Iterator[Deviation]:
    """What lies in a dataset's folder and no kept version names."""
    head = log.head()
    segments, artifacts = _named(log, head)
    listing = log.storage.list(log.prefix)
    yield from stray_deviations(log.storage, log.prefix, place)
    for name in listing.objects:
        if name not in KNOWN:
            yield deviation("stray", f"{place}/{name}", "an object that no dataset has")
    for folder in listing.prefixes:
        where = f"{place}/{folder}"
        yield from stray_deviations(log.storage, f"{log.prefix}/{folder}", where)
        if folder == "_artifacts":
            yield from _unnamed(log, folder, where, artifacts, head.version, "an artifact")
        elif folder == "_manifests":
            yield from _orphans(log, where)
        elif folder not in FOLDERS:
            yield from _unnamed(log, folder, where, segments.get(folder, set()), head.version, "a segment")


def _unnamed(log: Log, folder: str, where: str, named: set[str], head: int, what: str) -> Iterator[Deviation]:
    listing = log.storage.list(f"{log.prefix}/{folder}")
    for name in listing.prefixes:
        if name in named:
            continue
        if is_segment_name(name):
            base = int(name.partition("-")[0])
            at_work = ", perhaps of a writer at work" if base >= head else ""
            yield deviation("garbage", f"{where}/{name}", f"{what} that no kept version names, begun at version {base} of {head}{at_work}")
        else:
            yield deviation("stray", f"{where}/{name}", f"a folder in the place of {what}")
    for name in listing.objects:
        yield deviation("stray", f"{where}/{name}", f"an object in the place of {what}")


def _named(log: Log, head: State) -> tuple[dict[str, set[str]], set[str]]:
    """Segments by window, and artifacts, that any kept version names."""
    segments: dict[str, set[str]] = {}
    artifacts = {entry.artifact for entry in head.artifacts.values()}
    kept = [commit for commit, _ in log.commits(head)]
    states = [head, *map(log.at, log.floor_record().checkpoints)]
    for commit in (kept[0], *(each for each in kept if each.state == "deleted")) if kept else ():
        with suppress(NotFound):  # a deletion empties everything; what was before the first kept commit is in no other
            states.append(log.at(commit.version - 1 if commit.state == "deleted" else commit.version))
    for state in states:
        artifacts |= {entry.artifact for entry in state.artifacts.values()}
        for name in state.window_names():
            segments.setdefault(name, set()).update(entry.segment for entry in state.window(name).segments if entry.segment)
    for commit in kept:
        _note(commit, segments)
        artifacts |= {entry.artifact for entry in commit.artifacts}
    return segments, artifacts


def _note(commit: Commit, segments: dict[str, set[str]]) -> None:
    for change in commit.windows:
        names = segments.setdefault(change.window, set())
        names.update(entry.segment for entry in change.add if entry.segment)
        names.update(name for name in change.remove if isinstance(name, str))


def _orphans(log: Log, where: str) -> Iterator[Deviation]:
    """Manifests that no checkpoint names."""
    named: set[str] = set()
    for name in log.storage.list(f"{log.prefix}/_checkpoints").objects:
        with suppress(ArrayStoreError):  # damage is for verify; what a damaged checkpoint names is told as an orphan
            table = checkpoint.load_checkpoint(log.storage, log.prefix, parse_version_name(name), None).table
            named |= {table.digest(window) for window in table.names()}
    for name in log.storage.list(f"{log.prefix}/_manifests").objects:
        if name not in named:
            yield deviation("garbage", f"{where}/{name}", "a manifest that no checkpoint names")


# --- a store -----------------------------------------------------------------------------------------------------


def lint_root(storage: Storage, locations: Iterable[str]) -> list[Deviation]:
    """What lies in a store's root beside its classes, whose `locations` below it are the map's."""
    known = {"lineage", "tags", *(location.partition("/")[0] for location in locations)}
    listing = storage.list("")
    found = list(stray_deviations(storage, "", "."))
    found += [deviation("stray", f"./{name}", "an object that the layout doesn't name") for name in listing.objects if name not in KNOWN]
    for name in listing.prefixes:
        if name == "staging":
            held = storage.list(name)
            if number := len(held.objects) + len(held.prefixes):
                found.append(deviation("staging", "./staging", f"{number:,} entries of scratch space"))
        elif name not in known:
            found.append(deviation("stray", f"./{name}", "a folder that the layout doesn't name"))
    return found


# --- a class -----------------------------------------------------------------------------------------------------


def lint_names(storage: Storage, depth: int, place: str, readable: Callable[[str], bool]) -> tuple[list[str], list[Deviation]]:
    """Paths below a class root that have a log, and what is wrong with names on the way; only below first parts that may be read."""
    found: list[Deviation] = []
    paths = [""]
    for level in range(depth):
        below: list[str] = []
        for prefix in paths:
            where = f"{place}/{prefix}" if prefix else place
            names = _names(storage, prefix, where, found)
            below += [f"{prefix}/{name}" if prefix else name for name in names if level or readable(name)]
        paths = below
    datasets = []
    for path in paths:
        if "_log" in storage.list(path).prefixes:
            datasets.append(path)
        else:
            found.append(deviation("unborn", f"{place}/{path}", "a folder without a log"))
    return datasets, found


def _names(storage: Storage, prefix: str, where: str, found: list[Deviation]) -> list[str]:
    """Parts of keys directly below a prefix."""
    listing = storage.list(prefix)
    found += stray_deviations(storage, prefix, where)
    found += [
        deviation("stray", f"{where}/{name}", "an object that the layout doesn't name") for name in listing.objects if name not in KNOWN
    ]
    names = [name for name in listing.prefixes if is_escaped(name)]
    known = {*names}
    for name in listing.prefixes:
        if name not in known and not name.startswith("_"):
            found.append(deviation("not-a-key", f"{where}/{name}", "a folder whose name isn't escaped as keys are"))
    for _, twins in groupby(sorted(names, key=str.lower), key=str.lower):
        alike = list(twins)
        if len(alike) > 1:
            found.append(deviation("key-case", f"{where}/{alike[0]}", f"{' and '.join(alike)} differ in case only"))
    return names


def lint_place(log: Log, place: str) -> list[Deviation]:
    """Everything about the dataset whose log this is; nothing of one that was deleted."""
    try:
        state = log.head()
    except NotFound:
        return [deviation("unborn", place, "a log without a version")]
    except ArrayStoreError as error:
        return [deviation("unreadable", place, str(error))]
    return lint_dataset(log, state, place) if state.alive else []
