"""One pass over a dataset's log: every kept commit folded anew, and all that the kept versions name."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from arraystore.errors import ArrayStoreError, Corrupt, NotFound
from arraystore.segments.tail import decode_tail
from arraystore.versions import checkpoint
from arraystore.versions.commit import ArtifactEntry, Commit, SegmentEntry
from arraystore.versions.fetch import fetch
from arraystore.versions.fold import check_span, fold
from arraystore.versions.history import History
from arraystore.versions.packs import load_pack, pack_key
from arraystore.versions.redaction import digest_of_headers, header_digest, tombstones
from arraystore.versions.state import State
from layouts.naming import is_segment_name, parse_version_name, segment_base_version, version_name
from layouts.problems import InvalidInput
from layouts.schema import Schema

type Tell = Callable[[str, str], None]
"""Takes an object's path and what is wrong with it."""

type See = Callable[[Commit, str], None]
"""Takes a commit and its digest."""


MISSING = "the commit is missing, though a later one is there: restore it from a replica"


class Step(NamedTuple):
    """A commit, its body, and the state after it; no commit for the state that the oldest kept one follows."""

    commit: Commit | None
    body: memoryview
    state: State


@dataclass(slots=True)
class Named:
    """What kept versions name: segments by window and name, artifacts by place, checkpoints that are whole, and their manifests."""

    segments: dict[tuple[str, str], tuple[SegmentEntry, Schema]] = field(default_factory=dict)
    artifacts: dict[str, ArtifactEntry] = field(default_factory=dict)
    checkpoints: set[int] = field(default_factory=set)
    manifests: set[str] = field(default_factory=set)
    commits: int = 0

    def add(self, step: Step) -> None:
        """Take in what one step names."""
        commit, state = step.commit, step.state
        if commit is None:
            self._add_state(state)
            return
        if self.commits == 0 and (self.segments or self.artifacts):  # what the first kept commit took away, no kept version names
            self.segments, self.artifacts = {}, {}
            self._add_state(state)
        self.add_commit(commit, state.schemas)

    def add_commit(self, commit: Commit, schemas: tuple[Schema, ...]) -> None:
        """Take in what a commit adds, as far as its schemas are known."""
        self.commits += 1
        for change in commit.windows:
            known = [entry for entry in change.add if entry.schema < len(schemas) and is_segment_name(entry.segment)]
            self.segments |= {(change.window, entry.segment): (entry, schemas[entry.schema]) for entry in known}
        self.artifacts |= {entry.artifact: entry for entry in commit.artifacts if is_segment_name(entry.artifact)}

    def add_kept(self, log: History, tell: Tell) -> "Named":
        """The same, with what versions below the floor name that pins or tags keep."""
        for version in log.floor_record().checkpoints:
            try:
                state = log.at(version)
                self._add_state(state)
                self.checkpoints.add(version)
                self.manifests |= set(map(state.table.digest, state.table.names()))
            except ArrayStoreError as error:
                tell(f"{log.prefix}/_checkpoints/{version_name(version)}", str(error))
        return self

    def without_purged(self, log: History) -> "Named":
        """The same, but for segments that were purged since, and are gone for good."""
        with suppress(ArrayStoreError):
            for window, stone in tombstones(log.head()).items():
                gone = [each for each in self.segments if each[0] == window and segment_base_version(each[1]) < stone.version]
                for each in gone:
                    del self.segments[each]
        return self

    def _add_state(self, state: State) -> None:
        for window in map(state.window, state.window_names()):
            self.segments |= {
                (window.window, entry.segment): (entry, state.schemas[entry.schema]) for entry in window.segments if entry.segment
            }
        self.artifacts |= {entry.artifact: entry for entry in state.artifacts.values()}


def steps(log: History, until: int, stand: Callable[[State], State] | None = None, start: State | None = None) -> Iterator[Step]:
    """The state before the oldest kept commit (or `start`), then each commit up to version `until` with the state after it, in order.

    `stand` may put another form of the same state in its place: on a checkpoint it costs what changed since, and not all there is.
    Raises `Corrupt` where the chain breaks.
    """
    state = log.beginning() if start is None else start
    yield Step(None, memoryview(b""), state)
    while state.version < until:
        version = state.version + 1
        try:
            commit, body, digest, size = log.record(version, proved=version == until)
        except NotFound as error:
            raise Corrupt(f"{key_of(log, version)}: {MISSING}") from error
        state = fold(state, commit, digest, size, key_of(log, version))
        if stand is not None:
            state = stand(state)
        yield Step(commit, body, state)


def redaction_problems(log: History, state: State) -> Iterator[str]:
    """What of the commits of purged windows isn't as the purge said."""
    stones = tombstones(state)
    headers: dict[str, list[tuple[int, str]]] = {window: [] for window in stones}
    floor = log.floor()
    for version in sorted(log.versions()) if stones else ():
        commit = log.record(version)[0]
        for change in commit.windows:
            stone = stones.get(change.window)
            if stone is not None and change.tail is not None and version < stone.version:
                headers[change.window].append((version, header_digest(commit)))
                if change.window not in commit.purged:
                    yield f"version {version} still holds rows of window {change.window}, which {stone.told()}: purge it again"
    for window, stone in stones.items():
        if digest_of_headers(headers[window]) != stone.headers and not (floor and len(headers[window]) < stone.commits):
            yield f"commits that held rows of window {window}, which {stone.told()}, aren't those that it names: look at them in a replica"


def tails_below(log: History) -> dict[int, str]:
    """Versions at or below the floor whose commits hold rows of a version that is kept, and the commits' digests."""
    floor = log.floor_record()
    states = [log.oldest(), *map(log.at, floor.checkpoints)] if floor.floor else []
    windows = (state.window(name) for state in states if state is not None for name in state.window_names())
    return {entry.tail: entry.index for window in windows for entry in window.tails if entry.tail <= floor.floor}


def key_of(log: History, version: int) -> str:
    """Where the commit of a version lies."""
    return f"{log.prefix}/_log/{version_name(version)}"


def oldest(log: History) -> int:
    """The oldest version that is kept, as far as that can be told."""
    with suppress(ArrayStoreError):
        return log.floor() + 1
    return 1


def checkpoints_in(log: History) -> set[int]:
    """The versions that have an object in `_checkpoints`, whole or not."""
    found = set()
    for name in log.storage.list(f"{log.prefix}/_checkpoints").objects:
        with suppress(InvalidInput):
            found.add(parse_version_name(name))
    return found


def newest_by_listing(log: History) -> int:
    """The newest version there is an object of, whatever else is broken."""
    return max(log.versions(), default=0)


def scan(log: History, until: int, head: State | None, tell: Tell, *, deep: bool, see: See | None = None) -> Named:
    """Fold the log up to version `until`, comparing with each checkpoint on the way, and collect what it names.

    What is wrong is told, and doesn't end it: behind a break, each commit is looked at by itself, and `head` (the state that a reader
    has at `until`, if any) tells what it names. `deep` decodes the rows that commits hold, too; `see` is given each commit that can be
    read, and its digest. Cost: what there is, once.
    """
    named = Named()
    see = see or _pass_over
    if deep:
        _check_packs(log, tell)
    stand = _Checkpoints(log, named, tell)
    last: State | None = None
    try:
        for step in steps(log, until, stand):
            last = step.state
            named.add(step)
            if step.commit is not None:
                see(step.commit, step.state.digest)
            if deep and step.commit is not None:
                _check_tails(log, step, tell)
    except ArrayStoreError as error:
        tell(log.prefix if last is None else key_of(log, last.version + 1), str(error))
        _look_at_each(log, range(last.version + 1 if last else oldest(log), until + 1), last.schemas if last else (), named, tell, see)
        if head is not None:
            named.add(Step(None, memoryview(b""), head))
        return named.without_purged(log)
    if head is not None and last is not None and last.digest != head.digest:
        tell(log.prefix, f"version {until} is {last.digest}, where {head.digest} was read before")
    return named.add_kept(log, tell).without_purged(log)


@dataclass(slots=True)
class _Checkpoints:
    """Compares each checkpoint with the fold, and stands on it if it is the same, with all manifests."""

    log: History
    named: Named
    tell: Tell
    versions: set[int] = field(init=False)
    looked: dict[str, bool] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.versions = set()
        try:
            self.versions = checkpoints_in(self.log)
        except ArrayStoreError as error:
            self.tell(f"{self.log.prefix}/_checkpoints", str(error))

    def __call__(self, state: State) -> State:
        return state if state.version not in self.versions else self._compared(state)

    def _compared(self, state: State) -> State:
        log = self.log
        where = f"{log.prefix}/_checkpoints/{version_name(state.version)}"
        _, digest, manifests = checkpoint.encode_checkpoint(state)
        try:
            found = checkpoint.load_checkpoint(log.storage, log.prefix, state.version, None)
        except ArrayStoreError as error:
            self.tell(where, str(error))
            return state
        if found.checkpoint != (state.version, digest):
            self.tell(where, f"its digest is {found.checkpoint and found.checkpoint[1]}, but folding the log gives {digest}")
            return state
        self.named.checkpoints.add(state.version)
        self.named.manifests |= set(map(found.table.digest, found.table.names()))
        for name in manifests.keys() - self.looked.keys():
            self.looked[name] = self._is_whole(name, manifests[name])
        return found if all(map(self.looked.__getitem__, manifests)) else state

    def _is_whole(self, digest: str, manifest: bytes) -> bool:
        where = f"{self.log.prefix}/_manifests/{digest}"
        try:
            if fetch(self.log.storage, where, len(manifest)) == manifest:
                return True
            self.tell(where, "isn't the manifest that its name says")
        except NotFound:
            self.tell(where, "the manifest is missing")
        except ArrayStoreError as error:
            self.tell(where, str(error))
        return False


def _check_packs(log: History, tell: Tell) -> None:
    """Packs as a whole: what their records are is told where these are folded."""
    for pack in log.packs():
        try:
            load_pack(log.storage, log.prefix, pack)
        except NotFound:
            tell(pack_key(log.prefix, pack), "the pack is missing: restore it from a replica")
        except ArrayStoreError as error:
            tell(pack_key(log.prefix, pack), str(error))


def _pass_over(commit: Commit, digest: str) -> None:
    del commit, digest


def _check_tails(log: History, step: Step, tell: Tell) -> None:
    """The rows that a commit itself holds: its digest was compared, but not what it says."""
    assert step.commit is not None
    where = key_of(log, step.commit.version)
    for change in step.commit.windows:
        if change.tail is not None and change.window not in step.commit.purged:
            try:
                schema = step.state.schemas[change.tail.schema]
                decode_tail(change.tail, step.body, schema, where)
                if step.state.schema is not None:
                    check_span(change.tail, change.window, schema, where)
            except ArrayStoreError as error:
                tell(where, f"{error} (window {change.window})")


def _look_at_each(log: History, versions: range, schemas: tuple[Schema, ...], named: Named, tell: Tell, see: See) -> None:
    """Behind a break: each commit by itself, whether the next one names it, and what it adds under a schema known before the break.

    The break itself was told.
    """
    before: str | None = None
    expected = versions.start
    for version in sorted(each for each in log.versions() if each in versions):
        where = key_of(log, version)
        if version > max(expected, versions.start + 1):
            tell(key_of(log, max(expected, versions.start + 1)), MISSING)
        before = before if version == expected else None
        expected = version + 1
        try:
            commit, _, digest, _ = log.record(version)
        except ArrayStoreError as error:
            before = None
            if version != versions.start:
                tell(where, str(error))
            continue
        if before not in (None, commit.previous):
            tell(where, f"follows {commit.previous}, where version {version - 1} is {before}")
        before = digest
        named.add_commit(commit, schemas)
        see(commit, digest)
