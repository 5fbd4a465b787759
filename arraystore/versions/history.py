"""A dataset's versions, found and folded: the reading side of the log (FORMAT.md sections 6 to 8)."""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import msgspec

from arraystore.errors import (
    Corrupt,
    NotFound,
    Purged,
    Unsupported,
    VersionExpired,
)
from arraystore.storage.base import Storage
from arraystore.versions import checkpoint
from arraystore.versions.commit import Commit
from arraystore.versions.fetch import DOCUMENT_BYTES, fetch, fetch_record
from arraystore.versions.floors import Floor
from arraystore.versions.fold import fold
from arraystore.versions.heads import HINT_EVERY, HeadSearch
from arraystore.versions.redaction import tombstones
from arraystore.versions.state import State
from layouts.naming import escape

FORMAT = 1
YOUNG = 2 * HINT_EVERY
"""Commits of a log that are read without looking for the newest first: a hint may have been lost, or be late."""


class Birth(msgspec.Struct, frozen=True):
    """What a dataset's `zarr.json` says of it (FORMAT.md section 5)."""

    format: int
    storage_class: str = msgspec.field(name="class")
    key: tuple[str, ...]
    dataset: str


class History(HeadSearch):
    """A dataset's commits under `prefix`. Safe to share between threads; each call sees a whole version.

    Parameters
    ----------
    storage, prefix
        The class root, and the dataset's path in it.
    storage_class
        The class the dataset must say it belongs to; None for any.
    """

    def __init__(self, storage: Storage, prefix: str, storage_class: str | None = None) -> None:
        super().__init__(storage, prefix)
        self.storage_class = storage_class
        self._known: State | None = None
        self._durable = 0  # a version that this process knows to be durable, with all before it

    # --- reading -------------------------------------------------------------------------------------------------

    def head(self) -> State:
        """The newest version's state; NotFound where there is no log."""
        return self._remember(self._newest())

    def _newest(self, *, publishing: bool = False) -> State:
        return self.steadily(lambda: self._look(publishing=publishing))

    def _look(self, *, publishing: bool) -> State:
        known = self._known
        if known is not None and self._is_near(known.version):
            state = self._advance(known) if self._has_object(known.version + 1) else known
            # Above the bound nothing is missing, so what doesn't follow isn't there; and below it, what follows is void.
            # Who publishes looks at the floor after the create, which is when it counts.
            if (publishing and state is known) or self.bound() <= known.version:
                return state
        if known is None and (young := self._young()) is not None:
            return young
        while True:
            version = self._find_head()
            state = self._advance(self._state_at(version))
            if self.bound() <= version:
                return state

    def _young(self) -> State | None:
        """The newest state of a short log that nothing was ever taken from: read from its first commit on, which takes half as many looks.

        None for any other, and for whatever is wrong with it, which the search for the head tells better.
        """
        try:
            if self._hint():
                return None
            state = self._birth()
            for version in range(1, YOUNG + 1):
                try:
                    data = fetch_record(self.storage, self._key(version))
                except NotFound:
                    break
                commit, _, digest, size = self._decoded(version, data, self._key(version))
                if commit.checkpoint is not None:
                    return None
                state = fold(state, commit, digest, size, self._key(version))
            else:
                return None
            # Looked at after the miss: above a bound of 0 no version is missing.
            young = state.version > 0 and not self._has_object(state.version + 2) and not self.bound()
        except (Corrupt, NotFound, Unsupported):
            return None
        return state if young else None

    def _forget(self) -> None:
        self._known = None

    def known(self) -> State:
        """A state that was the newest once: good to plan on, since publishing looks again."""
        return self._known or self.head()

    def at(self, version: int) -> State:
        """The state at a version; NotFound above the head, VersionExpired below what is kept."""
        known = self._known
        if known is not None and known.version == version:
            return known
        return self.steadily(lambda: self._state_at(version))

    def oldest(self) -> State | None:
        """The oldest version's state above the floor; None before there is one."""

        def look() -> State | None:
            floor = self.floor()
            return self._state_at(floor + 1) if self.has(floor + 1) else None

        return self.steadily(look)

    def replay(self, until: int) -> Iterator[State]:
        """Every kept version's state up to `until`, folded anew from the first commit (or the floor), in order."""
        state = self._base(None, self.floor_record())
        while state.version < until:
            version = state.version + 1
            try:
                commit, _, digest, size = self.record(version, proved=version == until)
            except NotFound as error:
                raise self._missing(until, version) from error
            state = fold(state, commit, digest, size, self._key(version))
            yield state

    def beginning(self) -> State:
        """The state that the oldest kept commit follows: nothing but the birth certificate, or what the floor's checkpoint says."""
        return self._base(None, self.floor_record())

    def commits(self, state: State, after: int = 0) -> list[tuple[Commit, str]]:
        """Each kept commit after version `after`, and its digest, up to the one that made `state`; each named by the next."""
        return self.steadily(lambda: self._commits(state, after))

    def _commits(self, state: State, after: int) -> list[tuple[Commit, str]]:
        found: list[tuple[Commit, str]] = []
        for version in range(max(after, self.floor()) + 1, state.version + 1):
            try:
                commit, _, digest, _ = self.record(version, proved=False)
            except NotFound as error:
                raise self._missing(state.version, version) from error
            found.append((commit, digest))
        named = [commit.previous for commit, _ in found[1:]] + [state.digest]
        for (commit, digest), wanted in zip(found, named, strict=False):
            if digest != wanted:
                msg = f"{self._key(commit.version)}: its digest is {digest}, where the version after it names {wanted}"
                raise Corrupt(msg)
        return found

    def version_at(self, time_ns: int) -> int:
        """The last version whose running time is at or before `time_ns`; NotFound before the first."""
        return self.steadily(lambda: self._version_at(time_ns))

    def _version_at(self, time_ns: int) -> int:
        floor = self.floor_record()
        low, high = floor.floor, self.head().version
        while low < high:
            middle = (low + high + 1) // 2
            if self.record(middle, proved=False)[0].running_time <= time_ns:
                low = middle
            else:
                high = middle - 1
        if self.bound() != floor.bound:
            return self._version_at(time_ns)
        if low <= self.floor():
            if low:
                raise VersionExpired(f"{self.prefix}: version {low}, the newest at that time, {self.floor_record().told()}")
            raise NotFound(f"{self.prefix}: there is no version as early as that")
        return low

    @contextmanager
    def explained(self, version: int, windows: Iterable[str] = ()) -> Iterator[None]:
        """Tell a reader of windows at a version what became of them, if what it misses was removed since it was opened."""
        try:
            yield
        except (Corrupt, NotFound) as error:
            if isinstance(error, VersionExpired):
                raise
            for window, stone in tombstones(self.head()).items():
                if window in windows and version < stone.version:
                    raise Purged(f"{self.prefix}: window {window} {stone.told()}") from error
            floor = self.floor_record()
            if version > floor.floor or version in floor.checkpoints:
                raise
            raise VersionExpired(f"{self.prefix}: version {version} {floor.told()}") from error

    def make_durable(self) -> None:
        """Make what is visible durable, before anything builds on it."""
        self.storage.sync(f"{self.prefix}/_log")

    def _make_durable(self, state: State) -> None:
        """The same for what `state` shows, unless this process saw to it before."""
        if state.version > self._durable:
            self.make_durable()
            self._durable = state.version

    def _remember(self, state: State) -> State:
        known = self._known
        if known is None or known.version <= state.version or known.dataset != state.dataset:
            self._known = state
        return state

    def _advance(self, state: State, until: int | None = None) -> State:
        """Fold what follows `state`, up to `until` (which must exist) or as far as there is."""
        while until is None or state.version < until:
            try:
                state = self._step(state, proved=False)[0]
            except NotFound as error:
                if until is None:
                    return state
                raise self._missing(until, state.version + 1) from error
        return state

    def step(self, state: State) -> tuple[State, Commit, memoryview]:
        """The state one version later, and the commit that leads there with its body; NotFound where there is none."""
        return self._step(state, proved=True)

    def _step(self, state: State, *, proved: bool) -> tuple[State, Commit, memoryview]:
        commit, body, digest, size = self.record(state.version + 1, proved=proved)
        state = fold(state, commit, digest, size, self._key(commit.version))
        if commit.checkpoint is not None and (state.checkpoint is None or state.checkpoint[0] < commit.checkpoint[0]):
            state = self._rebase(state, commit.checkpoint)
        return state, commit, body

    def _rebase(self, state: State, pointer: tuple[int, str]) -> State:
        """The same state, standing on a newer checkpoint that another writer made."""
        base = self._load(pointer)
        if base is None:
            return replace(state, checkpoint=pointer, log_bytes=0)
        return self._advance(base, state.version)

    def _state_at(self, version: int) -> State:
        """The state at a version, from the newest checkpoint that is whole, or from the first commit."""
        floor = self.floor_record()
        if version <= floor.floor:
            return self._kept(version, floor)
        try:
            commit, _, digest, _ = self.record(version)
        except NotFound as error:
            if version <= (raised := self.floor_record()).floor:
                return self._kept(version, raised)
            msg = f"{self.prefix}: there is no version {version}; the newest is {self.newest()}"
            raise NotFound(msg) from error
        state = self._advance(self._base(commit.checkpoint, floor), version)
        if state.digest != digest:
            raise Corrupt(f"{self._key(version)}: its digest is {digest}, where folding the log up to it gave {state.digest}")
        return state

    def _kept(self, version: int, floor: Floor) -> State:
        """The state at a version at or below the floor, which a pin or tag kept."""
        digest = floor.checkpoints.get(version)
        if digest is None:
            raise VersionExpired(f"{self.prefix}: version {version} {floor.told()}")
        return self._born(checkpoint.load_checkpoint(self.storage, self.prefix, version, digest), self._birth())

    def _base(self, pointer: tuple[int, str] | None, floor: Floor) -> State:
        """The state to fold from: the checkpoint pointed to, or an older one where that is damaged."""
        try:
            birth = self._birth()
        except NotFound as error:
            raise Corrupt(f"{self.prefix}/zarr.json: is missing, though there is a log: restore it from a replica") from error
        while pointer is not None and pointer[0] > floor.floor:
            base = self._load(pointer)
            if base is not None:
                return self._born(base, birth)
            version = pointer[0]
            try:
                pointer = self.record(version)[0].checkpoint
            except NotFound as error:
                raise self._missing(version, version) from error
        # The floor always is the version of a checkpoint that is kept.
        if not floor.floor:
            return birth
        return self._born(checkpoint.load_checkpoint(self.storage, self.prefix, floor.floor, floor.digest), birth)

    def _born(self, state: State, birth: State) -> State:
        if state.birth != birth.birth:
            msg = f"{self.prefix}/zarr.json: its digest is {birth.birth}, where the log began with {state.birth}: restore it from a replica"
            raise Corrupt(msg)
        return state

    def _load(self, pointer: tuple[int, str]) -> State | None:
        """The checkpoint that a commit points to, or None where it can't be used."""
        try:
            return checkpoint.load_checkpoint(self.storage, self.prefix, *pointer)
        except (NotFound, Corrupt):
            return None

    def _birth(self) -> State:
        """The state before version 1: nothing but the dataset's birth certificate, which the chain starts from."""
        key = f"{self.prefix}/zarr.json"
        try:
            data = fetch(self.storage, key, DOCUMENT_BYTES)
            birth = msgspec.convert(msgspec.json.decode(data)["attributes"]["arraystore"], Birth)
        except NotFound as error:
            raise NotFound(f"{self.storage.url}/{self.prefix}: no dataset is there") from error
        except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, TypeError, RecursionError) as error:
            raise Corrupt(f"{self.storage.url}/{key}: isn't the metadata of a dataset: {error}") from error
        if birth.format != FORMAT:
            raise Unsupported(f"{self.storage.url}/{key}: has format {birth.format}, where {FORMAT} is known here: upgrade to read it")
        if "/".join(map(escape, birth.key)) != self.prefix or self.storage_class not in (None, birth.storage_class):
            found = f"{birth.storage_class} {birth.key}"
            raise Corrupt(f"{self.storage.url}/{key}: is that of {found}: it was moved here, or copied")
        digest = hashlib.sha256(data).hexdigest()
        return State(dataset=birth.dataset, digest=digest, birth=digest)
