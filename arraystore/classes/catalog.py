"""What a class holds, known without looking at all of it (FORMAT.md section 14).

Names are found by walking. What writers of this machine tell each other makes the rest known; where that may not be all, the journal's
marks tell which datasets to look at.
"""

import fnmatch
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache

import msgspec

from arraystore.errors import AlreadyExists, ArrayStoreError, Corrupt, NotFound, StorageError
from arraystore.storage.base import Storage
from arraystore.versions.bulletin import Bulletin, Seen
from arraystore.versions.entry import Entry, entry_of
from arraystore.versions.fetch import fetch_record
from arraystore.versions.floors import load_floor
from arraystore.versions.journal import Journal, mark_name
from arraystore.versions.log import Log
from arraystore.versions.record import decode_record, encode_record
from layouts.naming import unescape, version_name
from layouts.problems import InvalidInput

SNAPSHOT = "_catalog/latest"
SNAPSHOT_AFTER = 256
TEND_AFTER = 1024
DELETED = "_deleted"
RELIED_UPON = 24
"""Generations for which bulletins surely are kept that tell what came since."""

_LOOKERS = 8


class Snapshot(msgspec.Struct, frozen=True, omit_defaults=True):
    """The header of the catalog's record; the last three say which bulletins it has in it, on the machine that `root` tells."""

    generation: int
    entries: list[Entry]
    root: str = ""
    positions: dict[str, int] = {}
    opened: dict[str, tuple[str, int]] = {}


class Catalog:
    """The datasets of one class root. Safe to share between threads.

    Parameters
    ----------
    depth
        Parts of the class's keys.
    keeps
        Whether to write what was learned for the next process (a hint, which is checked).
    """

    def __init__(
        self, storage: Storage, depth: int, journal: Journal, bulletin: Bulletin, *, keeps: bool, visible: Callable[[str], bool] = bool
    ) -> None:
        self._storage = storage
        self._depth = depth
        self._journal = journal
        self._bulletin = bulletin
        self._keeps = keeps
        self._visible = visible
        self._guard = threading.RLock()
        self._with_log: set[str] = set()
        self._entries: dict[str, Entry] = {}
        self._generation: int | None = None
        self._seen = Seen()
        self._whole = True
        self._loaded = False
        self._unsaved = 0

    def paths(self, patterns: Sequence[str] | None = None) -> list[str]:
        """Paths of the datasets there are, whose parts match the patterns (`*` and `?`, on escaped names), sorted."""
        with self._guard:
            found = self.with_log(patterns)
            deleted = set(self._storage.list(DELETED).objects)
            return [path for path in found if not deleted or mark_name(path) not in deleted or self._is_alive(path)]

    def with_log(self, patterns: Sequence[str] | None = None) -> list[str]:
        """The same, with those that were deleted: what they held is kept for pins."""
        with self._guard:
            self._hear()
            return sorted(path for path in self._walk("", patterns or ["*"] * self._depth) if self._has_log(path))

    def note_deletion(self, path: str) -> None:
        """Have it known, durably, that the dataset at `path` may be deleted: who lists names looks closer."""
        try:
            self._storage.create(f"{DELETED}/{mark_name(path)}", path.encode())
        except AlreadyExists:
            self._storage.sync(DELETED)  # it may be only visible yet

    def entries(self, *, reconcile: bool = False) -> Mapping[str, Entry]:
        """Every dataset in short, by path, as new as writers told; with `reconcile` whatever they told."""
        with self._guard:
            now = self._journal.generation()
            self._hear()
            self._look(self._unsure(now, reconcile=reconcile))
            # Who announced something in a generation tells of it again in the next; and these were looked at since it ended.
            opened = {name: (path, number) for name, (path, number) in self._seen.opened.items() if number >= now - 1}
            self._seen = Seen(self._seen.positions, opened)
            self._generation, self._whole = now, True
            if self._keeps and self._unsaved >= SNAPSHOT_AFTER:
                self._save(now)
            return dict(self._entries)

    def tend(self) -> None:
        """Write for the next process what writers told, if that is all there is to do; for a writer who told much."""
        with suppress(ArrayStoreError), self._guard:
            now = self._journal.generation()
            self._hear()
            if len(self._unsure(now)) < TEND_AFTER:
                self.entries()

    def changed(self, generation: int | None, versions: Mapping[str, int], *, reconcile: bool = False) -> tuple[list[str], int]:
        """Paths of the datasets that may have other versions than those seen up to a generation (None: up to nothing), and the next."""
        with self._guard:
            now = self._journal.generation()
            self._hear()
            if self._generation is None and generation is not None and not reconcile:
                # To know what the marks tell is enough.
                paths: Iterable[str] = self._journal.marked_since(generation - 1, self._marks_of(versions))
            else:
                paths = [path for path, entry in self.entries(reconcile=reconcile).items() if entry.version != versions.get(path, 0)]
            return sorted(path for path in paths if self._is_path(path)), now

    def _hear(self) -> None:
        """Take in what was told since the last time, without looking at any dataset."""
        if not self._loaded:
            self._load()
            self._loaded = True
        news = self._bulletin.read(self._seen, self._generation)
        for path, entry in news.told.items():
            known = self._entries.get(path)
            if (known is None or known.version < entry.version) and entry.path == path and self._is_path(path):
                self._entries[path] = entry
                self._unsaved += 1
        self._seen = news.seen
        self._whole = self._whole and news.whole

    def _unsure(self, now: int, *, reconcile: bool = False) -> set[str]:
        """Paths of the datasets that have to be looked at to know all."""
        announced = {path for path, _ in self._seen.opened.values()}
        if reconcile or self._generation is None:
            every = {*self._walk("", ["*"] * self._depth), *self._entries}
            # What was told, is: whatever appears later on this machine is told, too.
            return every if reconcile or not self._whole else (every - set(self._entries)) | announced
        if self._whole and now - self._generation <= RELIED_UPON:
            return announced
        # A writer whose clock is behind still marks in the generation before.
        return self._journal.marked_since(self._generation - 1, self._marks_of(self._entries)) | announced

    def _marks_of(self, paths: Iterable[str]) -> dict[str, str]:
        return {mark_name(path): path for path in paths}

    def _walk(self, prefix: str, patterns: Sequence[str]) -> Iterator[str]:
        pattern, *rest = patterns
        if not any(sign in pattern for sign in "*?["):
            names: Iterable[str] = (pattern,)
        else:
            names = self._storage.list(prefix).prefixes
            if pattern != "*":
                names = [name for name in names if fnmatch.fnmatchcase(name, pattern)]
        above = f"{prefix}/" if prefix else ""
        paths = [f"{above}{name}" for name in names if is_part(name) and (above or self._visible(name))]
        if not rest:
            return iter(paths)
        return (path for below in paths for path in self._walk(below, rest))

    def _is_path(self, path: str) -> bool:
        """Whether this leads to a place for a dataset, and nowhere else; who looks on may see it."""
        parts = path.split("/")
        return len(parts) == self._depth and all(map(is_part, parts)) and self._visible(parts[0])

    def _has_log(self, path: str) -> bool:
        """Whether a dataset's log is there: its folder never goes, so that to have heard of it, or one look, is enough."""
        if path not in self._entries and path not in self._with_log:
            if "_log" not in self._storage.list(path).prefixes:
                return False
            self._with_log.add(path)
        return True

    def _is_alive(self, path: str) -> bool:
        self._look([path])
        return path in self._entries and self._entries[path].alive

    def _look(self, paths: Iterable[str]) -> None:
        """Bring entries up to date, many of them side by side, since that waits for the medium."""
        stale = [path for path in paths if self._is_path(path) and not self._is_newest(path)]
        if len(stale) < SNAPSHOT_AFTER:
            found = list(map(self._read, stale))
        else:
            with ThreadPoolExecutor(_LOOKERS) as pool:
                found = list(pool.map(self._read, stale))
        for path, entry in zip(stale, found, strict=True):
            if entry is None:
                self._entries.pop(path, None)
            else:
                self._entries[path] = entry
        self._unsaved += len(stale)

    def _is_newest(self, path: str) -> bool:
        """Whether the version known is the newest there is: versions are dense, but at and below the bound."""
        known = self._entries.get(path)
        if known is None or self._exists(path, known.version + 1) or not self._exists(path, known.version):
            return False
        return load_floor(self._storage, path).bound <= known.version

    def _exists(self, path: str, version: int) -> bool:
        return self._storage.exists(f"{path}/_log/{version_name(version)}")

    def _read(self, path: str) -> Entry | None:
        try:
            return entry_of(path, Log(self._storage, path).head())
        except NotFound:
            return None

    def _load(self) -> None:
        with suppress(NotFound, Corrupt):
            snapshot, _, _ = decode_record("catalog", fetch_record(self._storage, SNAPSHOT), Snapshot, SNAPSHOT)
            self._entries = {entry.path: entry for entry in snapshot.entries if self._is_path(entry.path)}
            self._generation = snapshot.generation
            self._whole = snapshot.root == self._bulletin.identity != ""
            self._seen = Seen(snapshot.positions, snapshot.opened) if self._whole else Seen()

    def _save(self, generation: int) -> None:
        entries = [entry for _, entry in sorted(self._entries.items())]
        seen = self._seen
        data, _ = encode_record("catalog", Snapshot(generation, entries, self._bulletin.identity, dict(seen.positions), dict(seen.opened)))
        with suppress(StorageError):
            self._storage.put(SNAPSHOT, data, durable=False)
            self._unsaved = 0


@lru_cache(maxsize=1 << 17)
def is_part(name: str) -> bool:
    """Whether a folder's name is that of a key's part."""
    try:
        return bool(unescape(name))
    except InvalidInput:
        return False
