"""Marks that tell which datasets of a class may have new versions, so that nobody need look at all (FORMAT.md section 14)."""

import hashlib
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from arraystore.errors import AlreadyExists, Corrupt, NotFound
from arraystore.forks import Guard
from arraystore.storage.base import Storage
from arraystore.versions.fetch import MARK_BYTES, fetch

HOUR_NS = 3_600 * 10**9
RELIST_NS = 300 * 10**9
DIGITS = 10
NAME_LENGTH = 32


class Journal:
    """The journal of one class root. Safe to share between threads.

    Parameters
    ----------
    clock
        ns since 1970 UTC; it chooses generations, and nothing but speed depends on it.
    """

    def __init__(self, storage: Storage, clock: Callable[[], int] = time.time_ns) -> None:
        self._storage = storage
        self._clock = clock
        self._guard = Guard()
        self._marked: dict[str, int] = {}
        self._newest = 0
        self._listed_at = 0
        self.made = 0
        """How many marks this one made, to know when much has changed."""

    def mark(self, path: str) -> None:
        """Have a durable mark that the dataset at `path` gets a version in this generation; once made, it costs no I/O."""
        generation = self.generation()
        if self._marked.get(path) == generation:
            return
        key = f"_journal/{generation:0{DIGITS}d}/{mark_name(path)}"
        try:
            self._storage.create(key, path.encode())
        except AlreadyExists:
            self._storage.sync(key.rpartition("/")[0])
        self._marked[path] = generation
        self.made += 1

    def generation(self) -> int:
        """The generation to mark in: the hour, or the newest there is if that is later."""
        now = self._clock()
        with self._guard:
            hour = max(now // HOUR_NS, 0)
            if hour > self._newest or not 0 <= now - self._listed_at < RELIST_NS:
                self._newest = max(hour, max(self.generations(), default=0))
                self._listed_at = now
            return self._newest

    def generations(self) -> list[int]:
        """Every generation with marks, ascending."""
        names = self._storage.list("_journal").prefixes
        return [int(name) for name in names if len(name) == DIGITS and name.isdecimal()]

    def marked_since(self, generation: int, known: Mapping[str, str] | None = None) -> set[str]:
        """Paths of the datasets marked in that generation or a later one; `known` paths, by the names of their marks, cost no reading."""
        known = {} if known is None else known
        return {path for number in self.generations() if number >= generation for path in self._marks_of(number, known)}

    def _marks_of(self, generation: int, known: Mapping[str, str]) -> list[str]:
        prefix = f"_journal/{generation:0{DIGITS}d}"
        paths = []
        for name in self._storage.list(prefix).objects:
            if name in known:
                paths.append(known[name])
                continue
            with suppress(NotFound, Corrupt, UnicodeDecodeError):
                path = fetch(self._storage, f"{prefix}/{name}", MARK_BYTES).decode()
                if mark_name(path) == name:
                    paths.append(path)
        return paths


def mark_name(path: str) -> str:
    """What a dataset's mark is called."""
    return hashlib.sha256(path.encode()).hexdigest()[:NAME_LENGTH]
