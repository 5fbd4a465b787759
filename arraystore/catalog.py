"""What a class holds, known without looking at all of it: names by walking, summaries by what the journal marks (FORMAT.md section 14)."""

import fnmatch
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache

import msgspec

from arraystore.commit import Interval
from arraystore.errors import ArrayStoreError, Corrupt, NotFound, StorageError
from arraystore.journal import Journal, mark_name
from arraystore.log import Log
from arraystore.record import decode_record, encode_record
from arraystore.state import State, merge_clocks
from arraystore.storage.base import Storage
from layouts.naming import unescape, version_name
from layouts.problems import InvalidInput

SNAPSHOT = "_catalog/latest"
SNAPSHOT_AFTER = 256
DELETED = "_deleted"


class Entry(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A dataset in short, as of `version`. Times are int64 ns since 1970 UTC; `span` is first and last on the axis clock."""

    path: str
    dataset: str
    version: int
    schema: str = ""
    alive: bool = True
    windows: int = 0
    unfinished: int = 0
    rows: int = 0
    bytes: int = 0
    span: Interval | None = None
    state: str = ""
    changed: int = 0


class Snapshot(msgspec.Struct, frozen=True):
    """The header of the catalog's record."""

    generation: int
    entries: list[Entry]


class Catalog:
    """The datasets of one class root. Safe to share between threads; what it remembers it checks against the journal.

    Parameters
    ----------
    depth
        Parts of the class's keys.
    keeps
        Whether to write what was learned for the next process (a hint, which never is trusted).
    """

    def __init__(self, storage: Storage, depth: int, journal: Journal, *, keeps: bool) -> None:
        self._storage = storage
        self._depth = depth
        self._journal = journal
        self._keeps = keeps
        self._with_log: set[str] = set()
        self._entries: dict[str, Entry] = {}
        self._generation: int | None = None

    def paths(self, patterns: Sequence[str] | None = None) -> list[str]:
        """Paths of the datasets there are, whose parts match the patterns (`*` and `?`, on escaped names), sorted."""
        found = self.with_log(patterns)
        deleted = set(self._storage.list(DELETED).objects)
        return [path for path in found if not deleted or mark_name(path) not in deleted or self._is_alive(path)]

    def with_log(self, patterns: Sequence[str] | None = None) -> list[str]:
        """The same, with those that were deleted: what they held is kept for pins."""
        return sorted(path for path in self._walk("", patterns or ["*"] * self._depth) if self._has_log(path))

    def note_deletion(self, path: str) -> None:
        """Have it known, durably, that the dataset at `path` may be deleted: who lists names looks closer."""
        with suppress(ArrayStoreError):
            self._storage.create(f"{DELETED}/{mark_name(path)}", path.encode())

    def entries(self, *, reconcile: bool = False) -> Mapping[str, Entry]:
        """Every dataset in short, by path, as new as the journal's marks; with `reconcile` whatever the marks say."""
        if self._generation is None and not reconcile:
            self._load()
        since, now = self._generation, self._journal.generation()
        if since is None or reconcile:
            stale: Iterable[str] = self.paths()
        else:
            # A writer whose clock is behind still marks in the generation before.
            stale = self._journal.marked_since(since - 1)
        learned = sum(map(self._learn, stale))
        self._generation = now
        if self._keeps and learned >= SNAPSHOT_AFTER:
            self._save(now)
        return self._entries

    def changed(self, generation: int | None) -> tuple[list[str], int]:
        """Paths of the datasets that may have changed since a generation (None: all), sorted, and the generation to ask with next."""
        now = self._journal.generation()
        return (self.paths() if generation is None else sorted(self._journal.marked_since(generation - 1))), now

    def _walk(self, prefix: str, patterns: Sequence[str]) -> Iterator[str]:
        pattern, *rest = patterns
        if not any(sign in pattern for sign in "*?["):
            names: Iterable[str] = (pattern,)
        else:
            names = (name for name in self._storage.list(prefix).prefixes if pattern == "*" or fnmatch.fnmatchcase(name, pattern))
        for name in names:
            if is_part(name):
                path = f"{prefix}/{name}" if prefix else name
                if rest:
                    yield from self._walk(path, rest)
                else:
                    yield path

    def _has_log(self, path: str) -> bool:
        """Whether a dataset's log is there: its folder never goes, so that one look is enough."""
        if path not in self._with_log:
            if "_log" not in self._storage.list(path).prefixes:
                return False
            self._with_log.add(path)
        return True

    def _is_alive(self, path: str) -> bool:
        try:
            return Log(self._storage, path).head().alive
        except NotFound:
            return False

    def _learn(self, path: str) -> bool:
        """Bring one entry up to date; whether that took reading."""
        known = self._entries.get(path)
        if known is not None and not self._storage.exists(f"{path}/_log/{version_name(known.version + 1)}"):
            return False
        try:
            self._entries[path] = entry_of(path, Log(self._storage, path).head())
        except NotFound:
            self._entries.pop(path, None)
        return True

    def _load(self) -> None:
        with suppress(NotFound, Corrupt):
            snapshot, _, _ = decode_record("catalog", self._storage.get(SNAPSHOT), Snapshot, SNAPSHOT)
            self._entries = {entry.path: entry for entry in snapshot.entries}
            self._generation = snapshot.generation

    def _save(self, generation: int) -> None:
        data, _ = encode_record("catalog", Snapshot(generation, [entry for _, entry in sorted(self._entries.items())]))
        with suppress(StorageError):
            self._storage.put(SNAPSHOT, data, durable=False)


@lru_cache(maxsize=1 << 17)
def is_part(name: str) -> bool:
    """Whether a folder's name is that of a key's part."""
    try:
        return bool(unescape(name))
    except InvalidInput:
        return False


def entry_of(path: str, state: State) -> Entry:
    """A state in short."""
    if not state.alive:
        return Entry(path=path, dataset=state.dataset, version=state.version, alive=False, changed=state.running_time)
    summaries = list(state.summaries())
    schema = None if state.schema is None else state.schemas[state.schema]
    clocks = merge_clocks(summary.clocks for summary in summaries)
    return Entry(
        path=path,
        dataset=state.dataset,
        version=state.version,
        schema="" if schema is None else schema.name,
        windows=len(summaries),
        unfinished=sum(summary.completeness != "complete" for summary in summaries),
        rows=sum(summary.rows for summary in summaries),
        bytes=sum(summary.bytes for summary in summaries),
        span=None if schema is None else clocks.get(schema.axis),
        state=str(state.attributes.get("state", "")),
        changed=state.running_time,
    )
