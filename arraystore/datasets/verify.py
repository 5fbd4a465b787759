"""Checks that every byte a dataset stands on still is what was written."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise

from arraystore.datasets.artifacts import Artifact
from arraystore.datasets.scan import Named, redaction_problems, scan
from arraystore.errors import ArrayStoreError, InvalidInput
from arraystore.findings import Finding, finding
from arraystore.segments.segmentcheck import verify_segment
from arraystore.storage.base import Storage
from arraystore.versions.commit import SegmentEntry
from arraystore.versions.fold import check_span
from arraystore.versions.log import Log
from arraystore.versions.state import State
from layouts.schema import Schema
from layouts.windows import parse_window

__all__ = ["Check", "Finding", "check_dataset", "verify_dataset"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One segment or artifact that is still to be looked at: its name below the dataset, its stored bytes, and how to look at it."""

    name: str
    bytes: int
    run: Callable[[], list[Finding]]


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetCheck:
    """A dataset whose log was read: what was found wrong with that, and the checks of all that it names, by name."""

    findings: list[Finding]
    named: Named
    checks: list[Check] = field(default_factory=list)


def verify_dataset(log: Log, state: State, *, deep: bool) -> list[Finding]:
    """Check the log up to `state`, its checkpoints and manifests, and all segments and artifacts that a kept version names."""
    found = check_dataset(log, state.version, state, deep=deep)
    return found.findings + [problem for check in found.checks for problem in check.run()]


def check_dataset(log: Log, until: int, state: State | None, *, deep: bool, threads: int | None = None) -> DatasetCheck:
    """Check the log up to version `until` (whose state a reader finds to be `state`, if any), and list what is left to be checked."""
    found: list[Finding] = []
    tell = partial(finding, log.storage_class, log.prefix)
    named = scan(log, until, state, lambda where, problem: found.append(tell(where, problem)), deep=deep)
    if state is not None:
        found += [tell(where, problem) for where, problem in _window_problems(log, state)]
        found += _run(tell, log.prefix, partial(redaction_problems, log, state))
    checks = []
    for (window, segment), (entry, schema) in sorted(named.segments.items()):
        prefix = f"{log.prefix}/{window}/{segment}"
        by_time = state is not None and state.schema is not None
        look = partial(_check_segment, log.storage, prefix, entry, schema, window if by_time else "", deep=deep, threads=threads)
        run = partial(_run, tell, prefix, look)
        checks.append(Check(name=f"{window}/{segment}", bytes=entry.bytes, run=run))
    for place, artifact in sorted(named.artifacts.items()):
        kept = Artifact(log.storage, log.prefix, artifact)
        run = partial(_run, tell, f"{log.prefix}/_artifacts/{place}", kept.verify if deep else partial(_size_of, kept))
        checks.append(Check(name=f"_artifacts/{place}", bytes=artifact.bytes, run=run))
    return DatasetCheck(findings=found, named=named, checks=checks)


def _run(tell: Callable[[str, str], Finding], where: str, look: Callable[[], Iterable[str]]) -> list[Finding]:
    """What a check finds; an error it raises is found, too."""
    try:
        problems = list(look())
    except ArrayStoreError as error:
        problems = [str(error)]
    return [tell(where, problem) for problem in problems]


def _check_segment(
    storage: Storage, prefix: str, entry: SegmentEntry, schema: Schema, window: str, *, deep: bool, threads: int | None
) -> list[str]:
    if window:
        check_span(entry, window, schema, prefix)
    return verify_segment(storage, prefix, entry, schema, deep=deep, threads=threads)


def _window_problems(log: Log, state: State) -> Iterator[tuple[str, str]]:
    """Windows of a dataset follow each other, whatever lengths they had."""
    if state.schema is None:
        return
    windows = []
    for name in state.window_names():
        try:
            windows.append(parse_window(name))
        except InvalidInput as error:
            yield log.prefix, str(error)
    for first, second in pairwise(windows):
        if second.start < first.stop:
            told = f"window {second.name} lies in window {first.name}: append its rows anew, and withdraw it"
            yield f"{log.prefix}/{second.name}", told


def _size_of(artifact: Artifact) -> list[str]:
    size = artifact.storage.size(f"{artifact.prefix}/_artifacts/{artifact.entry.artifact}/data")
    return [] if size == artifact.size else [f"has {size} bytes, not {artifact.size}"]
