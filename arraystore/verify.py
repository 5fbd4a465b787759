"""Checks that every byte a dataset stands on still is what was written."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

from arraystore import checkpoint
from arraystore.artifacts import Artifact
from arraystore.commit import SegmentEntry
from arraystore.errors import ArrayStoreError, InvalidInput, NotFound
from arraystore.log import Log
from arraystore.parts import load_parts
from arraystore.segmentcheck import verify_segment
from arraystore.state import State, WindowState
from layouts.naming import version_name
from layouts.schema import Schema
from layouts.windows import parse_window


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that isn't as it was written: `where` is the object, `problem` what is wrong and what to do."""

    where: str
    problem: str

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


def verify_dataset(log: Log, state: State, *, deep: bool) -> list[Finding]:
    """Check the log up to `state`, its checkpoints and manifests, and all segments and artifacts that a kept version names."""
    findings, segments, artifacts = _verify_log(log, state, deep=deep)
    findings += _verify_windows(log, state)
    for (window, segment), (entry, schema_of) in segments.items():
        prefix = f"{log.prefix}/{window}/{segment}"
        problems = _quietly(partial(verify_segment, log.storage, prefix, entry, schema_of, deep=deep))
        findings += [Finding(prefix, problem) for problem in problems]
    for artifact in artifacts.values():
        findings += [Finding(f"{log.prefix}/_artifacts/{artifact.entry.artifact}", text) for text in _verify_artifact(artifact, deep=deep)]
    return findings


def _verify_windows(log: Log, state: State) -> Iterator[Finding]:
    """Windows of a dataset follow each other, whatever lengths they had."""
    if state.schema is None:
        return
    windows = []
    for name in state.window_names():
        try:
            windows.append(parse_window(name))
        except InvalidInput as error:
            yield Finding(log.prefix, str(error))
    for first, second in pairwise(windows):
        if second.start < first.stop:
            told = f"window {second.name} lies in window {first.name}: append its rows anew, and withdraw it"
            yield Finding(f"{log.prefix}/{second.name}", told)


def _quietly(check: Callable[[], Iterable[str]]) -> list[str]:
    """A check's findings; an error it raises is one of them."""
    try:
        return list(check())
    except ArrayStoreError as error:
        return [str(error)]


def _verify_artifact(artifact: Artifact, *, deep: bool) -> list[str]:
    return _quietly(artifact.verify) if deep else _quietly(lambda: _size_of(artifact))


def _size_of(artifact: Artifact) -> list[str]:
    size = artifact.storage.size(f"{artifact.prefix}/_artifacts/{artifact.entry.artifact}/data")
    return [] if size == artifact.size else [f"has {size} bytes, not {artifact.size}"]


type _Segments = dict[tuple[str, str], tuple[SegmentEntry, Schema]]


def _verify_log(log: Log, state: State, *, deep: bool) -> tuple[list[Finding], _Segments, dict[str, Artifact]]:
    """Fold every kept commit anew, comparing with each checkpoint on the way; what it names comes back."""
    findings: list[Finding] = []
    segments: _Segments = {}
    artifacts: dict[str, Artifact] = {}
    last: State | None = None
    try:
        for last in log.replay(until=state.version):
            findings += _verify_checkpoint(log, last)
            for name, window in last.changed.items():
                if window.version == last.version:
                    findings += _verify_tails(log, last, window) if deep else ()
                    segments |= {(name, entry.segment): (entry, last.schemas[entry.schema]) for entry in window.segments if entry.segment}
            for artifact in last.artifacts.values():
                artifacts[artifact.artifact] = Artifact(log.storage, log.prefix, artifact)
    except ArrayStoreError as error:
        findings.append(Finding(log.prefix, str(error)))
    if last is not None and last.version == state.version and last.digest != state.digest:
        findings.append(Finding(log.prefix, f"version {state.version} is {last.digest}, where {state.digest} was read before"))
    return findings, segments, artifacts


def _verify_tails(log: Log, state: State, window: WindowState) -> list[Finding]:
    """What is wrong with the rows that the newest commit itself holds; its digest was compared, but not what it says."""
    where = f"{log.prefix}/_log/{version_name(state.version)}"
    tails = tuple(entry for entry in window.tails if entry.tail == state.version)
    try:
        load_parts(log, state, replace(window, segments=tails))
    except ArrayStoreError as error:
        return [Finding(where, str(error))]
    return []


def _verify_checkpoint(log: Log, state: State) -> Iterator[Finding]:
    where = f"{log.prefix}/_checkpoints/{version_name(state.version)}"
    try:
        found = checkpoint.load_checkpoint(log.storage, log.prefix, state.version, None)
    except NotFound:
        return
    except ArrayStoreError as error:
        yield Finding(where, str(error))
        return
    _, digest, _ = checkpoint.encode_checkpoint(state)
    if found.checkpoint != (state.version, digest):
        yield Finding(where, f"its digest is {found.checkpoint}, but folding the log gives {digest}: delete it, the log stands by itself")
        return
    for window in found.table.names():
        try:
            found.table.load(window)
        except ArrayStoreError as error:
            yield Finding(f"{log.prefix}/_manifests/{found.table.digest(window)}", str(error))
