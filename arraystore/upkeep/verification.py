"""`verify` of a whole store: one dataset after the other, at a bounded rate, in a way that can stop and go on."""

import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

import msgspec
from msgspec.structs import replace

from arraystore.classes.surface import Surface
from arraystore.classes.tags import Tags
from arraystore.datasets.scan import newest_by_listing
from arraystore.datasets.verify import check_dataset
from arraystore.errors import ArrayStoreError, InvalidInput, NotFound, StorageError, VersionExpired
from arraystore.findings import Finding, finding
from arraystore.metered import Meter, Metered
from arraystore.storage import open_storage
from arraystore.versions.log import Log
from arraystore.versions.state import State

SAVE_SECONDS = 5.0


class Covered(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A dataset as far as it was checked: up to `version`, whose digest is `digest`.

    `segments`, `artifacts` and `bytes` (as stored) count what was looked at, `last` is the last of these, `done` says that it was all.
    """

    dataset: str
    version: int = 0
    digest: str = ""
    commits: int = 0
    segments: int = 0
    artifacts: int = 0
    bytes: int = 0
    last: str = ""
    done: bool = False


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What a verification has covered and found so far; `complete` says that it came to the end.

    `bytes_read` is what was read for it, `begun` when it began (ns since 1970 UTC). The last of `covered` may be covered in part.
    """

    store: str
    deep: bool
    patterns: tuple[str, ...]
    begun: int
    covered: tuple[Covered, ...] = ()
    findings: tuple[Finding, ...] = ()
    bytes_read: int = 0
    complete: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        built: dict[str, Any] = msgspec.to_builtins(self)
        return built


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What is to be verified: datasets of these surfaces whose addresses match any of the patterns (none: all), and the tags."""

    store: str
    surfaces: Iterable[Callable[[], Surface]]
    patterns: tuple[str, ...] = ()
    tags: Tags | None = None
    deep: bool = False


def matches(address: str, patterns: Sequence[str]) -> bool:
    """Whether a pattern names this dataset, or what it lies below."""
    return not patterns or any(fnmatchcase(address, pattern) or fnmatchcase(address, f"{pattern}/*") for pattern in patterns)


@dataclass(slots=True)
class Verifier:
    """One verification at work.

    Parameters
    ----------
    scope
        What to verify.
    rate
        Bytes to read a second, at most; None for as fast as can be.
    progress
        A file (path or URL): holds how far this has come, renewed every few seconds; if it tells of an unfinished verification of the
        same, this goes on from there.
    tell
        Is told, after each segment and each dataset, how far this has come.
    """

    scope: Scope
    rate: float | None = None
    progress: str | os.PathLike[str] | None = None
    tell: Callable[[Verification], None] | None = None
    _meter: Meter = field(init=False)
    _so_far: Verification = field(init=False)
    _read_before: int = field(init=False)
    _saved: float = field(init=False, default=0.0)

    def run(self) -> Verification:
        """Verify; the file is renewed also when this is interrupted."""
        if self.rate is not None and not self.rate > 0:
            raise InvalidInput(f"{self.rate!r} isn't a number of bytes a second: give more than 0", "rate")
        self._meter = Meter(self.rate)
        fresh = Verification(store=self.scope.store, deep=self.scope.deep, patterns=self.scope.patterns, begun=time.time_ns())
        self._so_far = self._earlier() or fresh
        self._read_before = self._so_far.bytes_read
        self._save()
        try:
            for surface in self.scope.surfaces:
                self._class(surface)
            if self.scope.tags is not None:
                self._found(*tag_findings(self.scope.tags))
            self._so_far = replace(self._so_far, complete=True)
        finally:
            self._so_far = replace(self._so_far, bytes_read=self._read_before + self._meter.bytes)
            self._save()
        return self._so_far

    def _class(self, surface: Callable[[], Surface]) -> None:
        """Every dataset of a class; one that can't be opened is a finding."""
        try:
            logs = list(surface().logs(partial(Metered, meter=self._meter)))
        except (NotFound, ArrayStoreError) as error:
            if isinstance(error, PermissionError):
                raise
            if isinstance(error, StorageError):  # nobody knows what can't be read; that isn't damage
                remedy = "see to the medium or to this user's rights, then verify again: nothing of this class was looked at"
                self._found(Finding("the list of datasets", str(error), remedy=remedy))
            else:
                self._found(Finding("zarr.json", str(error), remedy="restore the class root's zarr.json from a replica, or run init again"))
            return
        finished = {covered.dataset for covered in self._so_far.covered if covered.done}
        for log in logs:
            address = log.address
            if address not in finished and matches(address, self.scope.patterns):
                try:
                    self._dataset(address, log)
                except ArrayStoreError as error:  # as where a link is in the way: what lies beside it is looked at all the same
                    self._found(finding(log.storage_class, log.prefix, log.prefix, str(error)))

    def _dataset(self, address: str, log: Log) -> None:
        before = self._so_far.covered[-1] if self._so_far.covered and self._so_far.covered[-1].dataset == address else None
        try:
            state, until, error = self._newest(log, before)
        except NotFound:
            return  # its first version isn't there yet
        found = check_dataset(log, until, state, deep=self.scope.deep)
        now = Covered(
            dataset=address,
            version=until,
            digest=state.digest if state else "",
            commits=found.named.commits,
            last=before.last if before else "",
        )
        names = [check.name for check in found.checks]
        first = names.index(now.last) + 1 if now.last in names else 0
        if before is not None and first and before.digest == now.digest:
            now = replace(now, segments=before.segments, artifacts=before.artifacts, bytes=before.bytes)
        else:
            now, first = replace(now, last=""), 0
            self._found(*found.findings)
            if error is not None and not found.findings:
                self._found(Finding(log.prefix, str(error), address))
        for check in found.checks[first:]:
            self._found(*check.run())
            kind = "artifacts" if check.name.startswith("_artifacts/") else "segments"
            now = replace(now, **{kind: getattr(now, kind) + 1}, bytes=now.bytes + check.bytes, last=check.name)
            self._covered(now)
        self._covered(replace(now, last="", done=True))

    def _newest(self, log: Log, before: Covered | None) -> tuple[State | None, int, ArrayStoreError | None]:
        """The state to check (the one that an earlier run began with), its version, and why there is none."""
        state: State | None = None
        try:
            if before is not None and before.digest:
                with suppress(VersionExpired):
                    state = log.at(before.version)
            state = state or log.head()
        except ArrayStoreError as error:
            newest = newest_by_listing(log)
            if newest == 0 and isinstance(error, NotFound):
                raise
            return None, newest, error
        return state, state.version, None

    def _found(self, *findings: Finding) -> None:
        known = set(self._so_far.findings)
        self._so_far = replace(self._so_far, findings=(*self._so_far.findings, *(each for each in findings if each not in known)))

    def _covered(self, now: Covered) -> None:
        others = self._so_far.covered
        if others and others[-1].dataset == now.dataset:
            others = others[:-1]
        self._so_far = replace(self._so_far, covered=(*others, now), bytes_read=self._read_before + self._meter.bytes)
        if self.tell is not None:
            self.tell(self._so_far)
        if time.monotonic() - self._saved > SAVE_SECONDS:
            self._save()

    def _save(self) -> None:
        if self.progress is not None:
            folder, name = _split(self.progress)
            open_storage(folder).put(name, msgspec.json.format(msgspec.json.encode(self._so_far), indent=1), durable=True)
        self._saved = time.monotonic()

    def _earlier(self) -> Verification | None:
        """How far an unfinished verification of the same has come."""
        if self.progress is None:
            return None
        folder, name = _split(self.progress)
        try:
            earlier = msgspec.json.decode(open_storage(folder).get(name), type=Verification)
        except NotFound:
            return None
        except msgspec.MsgspecError as error:
            msg = f"{os.fspath(self.progress)!r} isn't how far a verification has come ({error}): name another file"
            raise InvalidInput(msg, "progress") from error
        if earlier.complete:
            return None
        if (earlier.store, earlier.deep, earlier.patterns) != (self.scope.store, self.scope.deep, self.scope.patterns):
            msg = f"{os.fspath(self.progress)!r} tells of another verification, which isn't finished: name another file, or delete it"
            raise InvalidInput(msg, "progress")
        return earlier


def _split(place: str | os.PathLike[str]) -> tuple[str, str]:
    folder, _, name = os.fspath(place).rpartition("/")
    return folder or ("." if not os.fspath(place).startswith("/") else "/"), name


def tag_findings(tags: Tags) -> list[Finding]:
    """Tags that can't be read, or whose versions don't follow each other."""
    found = []
    for name in tags.names():
        before = ""
        for version in range(1, max(tags.versions(name), default=0) + 1):
            where = tags.where(name, version)
            try:
                tag, digest = tags.record(name, version)
            except ArrayStoreError as error:
                found.append(Finding(where, str(error), remedy="restore it from a replica, or name the set of pins anew"))
                before = "?"
                continue
            if before not in ("?", tag.previous):
                problem = f"follows {tag.previous or 'nothing'}, where the version before it is {before or 'not there'}"
                found.append(Finding(where, problem, remedy="restore the version before it from a replica: it was changed or removed"))
            before = digest
    return found
