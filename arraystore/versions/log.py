"""The one place where a new version becomes the current one (FORMAT.md sections 6 and 8)."""

import logging
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial

import msgspec
from msgspec.structs import replace

from arraystore.errors import (
    AlreadyExists,
    ArrayStoreError,
    CommitUnknown,
    Conflict,
    Corrupt,
    NotFound,
    PlanExpired,
    StorageError,
    Unsupported,
)
from arraystore.logs import LOGGER, tell
from arraystore.storage.base import Batch, Storage
from arraystore.versions import checkpoint
from arraystore.versions.commit import Commit
from arraystore.versions.draft import Draft, as_read
from arraystore.versions.floors import Floor, Mark, change_floor
from arraystore.versions.fold import below_floor, fold
from arraystore.versions.heads import HINT_EVERY
from arraystore.versions.history import History
from arraystore.versions.notices import Notices
from arraystore.versions.record import blanks, encode_record
from arraystore.versions.state import State

ATTEMPTS = 1000
SLOW_SECONDS = 1.0
FRESH_SECONDS = 1.0
"""How long ago the floor may have been looked at before a create where a look is a round trip, by default always anew.

Safety doesn't depend on it, only how seldom a commit is unknown: one that fell into a hole below the floor, which came meanwhile.
"""


class Log(History):
    """A dataset's commits under `prefix`. Safe to share between threads; each call sees a whole version.

    Parameters
    ----------
    storage, prefix, storage_class
        As for `History`.
    notices
        Who is told of commits before they appear.
    """

    def __init__(self, storage: Storage, prefix: str, storage_class: str | None = None, notices: Notices | None = None) -> None:
        super().__init__(storage, prefix, storage_class)
        self._notices = notices
        self._looked = -FRESH_SECONDS

    def publish_floor(
        self,
        version: int,
        *,
        kept: Mapping[int, str] | None = None,
        time: int = 0,
        role: str = "",
        reason: str = "",
        mark: Mark | None = None,
    ) -> Floor:
        """Make it known, durably, that versions up to that of a checkpoint may be removed from now on; never lowers it.

        `kept` has, per version that stays readable all the same, the digest of its checkpoint, which is there. What was kept before
        stays kept. With `mark` nothing is done unless it still stands: what was pinned under another one might be missing in `kept`.
        """
        base = checkpoint.load_checkpoint(self.storage, self.prefix, version, None)
        assert base.checkpoint is not None
        digest = base.checkpoint[1]

        def raised(present: Floor) -> Floor | None:
            if version <= present.floor or (mark is not None and present.mark != mark):
                return None
            return replace(
                present,
                floor=version,
                digest=digest,
                time=time,
                role=role,
                reason=reason,
                kept=tuple(sorted({**present.checkpoints, **(kept or {})}.items())),
                mark=present.mark if present.mark is not None and present.mark.floor > version else None,
            )

        return self.change_floor(raised)

    def change_floor(self, change: Callable[[Floor], Floor | None]) -> Floor:
        """Replace the floor by what `change` makes of it (None: as it is), durably; `change` is asked again if another was quicker."""
        floor = change_floor(self.storage, self.prefix, change)
        self._seen = floor
        return floor

    def publish(self, decide: Callable[[State], Draft | None], *, locked: bool = False) -> State:
        """Make what `decide` drafts on the newest state the next version; returns the state after it, durable.

        A lost race reloads and decides again; `decide` raises when its plan no longer holds, and returns None
        when there is nothing to do (the state it saw is then made durable and returned). `locked` says that the
        caller holds `self.lock()`.
        """
        if not locked:
            with self.lock():
                return self.publish(decide, locked=True)
        for _ in range(ATTEMPTS):
            state = self._head_or_birth()
            draft = decide(state)
            self._make_durable(state)
            if draft is None:
                if self.bound() <= state.version:
                    return state
                self._known = None  # slept below the bound: what it saw isn't the newest
                continue
            after = self._try(state, draft)
            if after is not None:
                return self._afterwards(self._remember(after))
            tell(logging.DEBUG, "race lost", dataset=self.address, version=state.version + 1)
        msg = f"{self.prefix}: lost {ATTEMPTS} races for the next version in a row; try again"
        tell(logging.WARNING, "conflict", dataset=self.address, problem=msg)
        raise Conflict(msg)

    @contextmanager
    def batch(self, base_version: int) -> Iterator[Batch]:
        """A batch of the storage, for segments that were planned on a version.

        `PlanExpired` if it fails and a floor came meanwhile: what was written may have been removed under its writer, as garbage.
        """
        try:
            with self.storage.batch() as batch:
                yield batch
        except (StorageError, NotFound) as error:
            if not self.has_expired(base_version):
                raise
            msg = f"{self.prefix}: what was planned on version {base_version} fell below a floor while it was written; write it again"
            tell(logging.WARNING, "plan expired", dataset=self.address, version=base_version)
            raise PlanExpired(msg) from error

    def has_expired(self, base_version: int) -> bool:
        """Whether a floor came that what was planned on a version lies below, as far as that can be told."""
        try:
            return base_version < self.head().segment_floor
        except (ArrayStoreError, OSError):
            return False

    def lock(self) -> AbstractContextManager[None]:
        """Queue behind other local writers of this dataset; correctness never depends on it."""
        return self.storage.lock(f"{self.prefix}/_log/lock")

    def _head_or_birth(self) -> State:
        try:
            return self._remember(self._newest(publishing=True))
        except NotFound:
            return self._birth()

    def _try(self, state: State, draft: Draft) -> State | None:
        """Create the next version; the state after it, or None when another writer was first."""
        expired = below_floor(draft.commit, state.segment_floor)
        if expired:
            msg = f"{self.prefix}: segments {expired} were planned below the floor {state.segment_floor}; write them again"
            tell(logging.WARNING, "plan expired", dataset=self.address, version=state.version)
            raise PlanExpired(msg)
        commit, header = as_read(
            msgspec.structs.replace(
                draft.commit,
                version=state.version + 1,
                dataset=draft.commit.dataset or state.dataset,
                id=secrets.token_hex(16),
                previous=state.digest,
                running_time=max(draft.commit.time, state.running_time),
                checkpoint=state.checkpoint,
            )
        )
        if self._slept_below_floor(state.version):
            return None
        key = self._key(commit.version)
        room = getattr(self.storage, "room", None)  # a storage that is quicker with some sizes has it
        data, digest = encode_record("commit", msgspec.Raw(header), list(draft.pieces), room and partial(room, key))
        after = fold(state, commit, digest, len(data) - blanks(data, sum(map(len, draft.pieces))), key)
        if self._notices is not None:
            self._notices.before(self.prefix, commit)
        began = time.monotonic()
        is_ours = self._create(key, data, commit)
        is_void = is_ours and self._is_void(commit, after)
        self._announce(commit, after if is_ours and not is_void else None)
        if is_void or not is_ours:
            return None
        self._durable = commit.version
        self._told(commit, time.monotonic() - began)
        return after

    @property
    def address(self) -> str:
        """`CLASS/KEY`, as `ls` prints it; the key alone where no class is known."""
        return f"{self.storage_class}/{self.prefix}" if self.storage_class else self.prefix

    def _told(self, commit: Commit, seconds: float) -> None:
        """Log a version that has just been made."""
        if seconds <= SLOW_SECONDS and not LOGGER.isEnabledFor(logging.INFO):
            return
        told = {"dataset": self.address, "version": commit.version, "operation": commit.operation, "seconds": round(seconds, 6)}
        if seconds > SLOW_SECONDS:
            tell(logging.WARNING, "slow commit", **told)
        tell(logging.INFO, "commit", **told, role=commit.role, windows=len(commit.windows))

    def _announce(self, commit: Commit, after: State | None) -> None:
        """Tell the others of a version that was just created, and stays, whatever comes of that; or that it wasn't, or is void."""
        try:
            if self._notices is not None:
                self._notices.after(self.prefix, commit, after)
        except (Corrupt, StorageError) as error:
            msg = f"{self._key(commit.version)}: was written, but it isn't marked in the journal ({error}), so others may not notice it yet"
            raise CommitUnknown(msg) from error

    def _slept_below_floor(self, version: int) -> bool:
        """Whether a floor or pack came above what a writer plans on, which has its name free again; seldom looked at where it costs."""
        now = time.monotonic()
        if self.storage.is_far and now - self._looked < FRESH_SECONDS:
            return False
        if self.bound() > version:
            self._known = None
            return True
        self._looked = now
        return False

    def _is_void(self, commit: Commit, after: State) -> bool:
        """Whether a version that was just created lies at or below the bound, and came after that did; CommitUnknown if nothing tells."""
        now, where = time.monotonic(), self._key(commit.version)
        try:
            floor = self.floor_record()
            if commit.version > floor.bound:
                self._looked = now
                return False
            self._known = None  # A suspended writer woke up below the floor, or among what was packed.
            stands = self._was_taken_in(commit, after.digest, floor)
        except (Corrupt, StorageError, Unsupported) as error:
            msg = f"{where}: was written, but whether it counts can't be told ({error}); read the log before repeating it"
            raise CommitUnknown(msg) from error
        if stands is None:
            told = f"version {commit.version} {floor.told()}, while its writer slept"
            raise CommitUnknown(f"{where}: {told}, and whether it came before that can't be told: read before repeating it, or use tokens")
        return not stands

    def _was_taken_in(self, commit: Commit, digest: str, floor: Floor) -> bool | None:
        """Whether a version at or below the bound appeared there before that was raised, so that what is newest builds on it."""
        if commit.version > floor.floor or floor.pack_of(commit.version) is not None:
            return self.record(commit.version)[2] == digest
        if commit.token is not None:
            return False  # deciding again finds it in the table of writers, or that it isn't there
        if commit.version == floor.floor:
            return checkpoint.load_checkpoint(self.storage, self.prefix, commit.version, None).digest == digest
        with suppress(NotFound):
            return self.record(commit.version + 1)[0].previous == digest
        head = self.head()
        added = {entry.segment for change in commit.windows for entry in change.add}
        entries = (entry for change in commit.windows for entry in head.window(change.window).segments)
        stands = any(entry.segment in added if entry.segment else entry.index == digest for entry in entries)
        return stands or None

    def _create(self, key: str, data: bytes, commit: Commit) -> bool:
        """Whether the version is ours. Never unsure without saying so."""
        try:
            self.storage.create(key, data)
        except (AlreadyExists, StorageError) as error:
            try:
                found = self.record(commit.version)[0]
            except NotFound:
                if isinstance(error, StorageError):
                    raise error from None
                return False
            except (Corrupt, StorageError) as unreadable:
                msg = f"{key}: can't tell whether version {commit.version} is this commit ({error}); read the log before repeating it"
                raise CommitUnknown(msg) from unreadable
            # An object store's own retry may report a conflict with the caller's own write.
            return found.id == commit.id
        return True

    def _afterwards(self, state: State) -> State:
        """Hint and checkpoint: what may fail without harm, since the commit is durable and readers never rely on either."""
        with suppress(ArrayStoreError):
            if state.version % HINT_EVERY == 0:
                self.storage.put(f"{self.prefix}/_log/latest", str(state.version).encode(), durable=False)
            if checkpoint.is_due(state):
                pointer = checkpoint.write_checkpoint(self.storage, self.prefix, state)
                state = checkpoint.load_checkpoint(self.storage, self.prefix, *pointer)
                self._remember(state)
        return state
