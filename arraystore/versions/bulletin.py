"""What writers tell the other processes of their machine about versions that appear, as they appear (FORMAT.md section 14).

Nothing of it is durable, and none of it is believed once it might not be all: then the journal's marks tell where to look.
"""

import re
import secrets
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec

from arraystore.errors import ArrayStoreError
from arraystore.forks import Guard
from arraystore.storage.base import Storage
from arraystore.storage.failures import storage_error
from arraystore.versions.entry import Entry, entry_of
from arraystore.versions.journal import DIGITS, Journal
from arraystore.versions.state import State

FOLDER = "_catalog"
TOLD_IN_FULL = 4
KEPT_GENERATIONS = 48
_NAME = re.compile(rf"([0-9]{{{DIGITS}}})-[0-9a-f]{{16}}")
_CRC_DIGITS = 8


class Line(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """A version of the dataset at `path` may appear from here on (`done` false), or has, and is `entry`; null: none did.

    The two lines of a commit have the same `id`. `file` begins a file, and names it.
    """

    id: str = ""
    path: str = ""
    done: bool = False
    entry: Entry | None = None
    file: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """Up to where bulletins have been read, and what was then still open: path and generation by id."""

    positions: Mapping[str, int] = field(default_factory=dict)
    opened: Mapping[str, tuple[str, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class News:
    """What bulletins tell since they were seen last; `whole` is false if there may be more than they tell."""

    told: Mapping[str, Entry]
    seen: Seen
    whole: bool


NO_NEWS = News({}, Seen(), whole=False)


class Bulletin:
    """The bulletins of one class root, read and written. Safe to share between threads. Where none can be kept, it tells so."""

    def __init__(self, storage: Storage, journal: Journal) -> None:
        self._storage: Any = storage
        self._journal = journal
        self._guard = Guard()
        self._kept = getattr(storage, "shared", None) is not None
        self._file: tuple[int, Any] | None = None
        self._told: dict[str, int] = {}
        self._opened: set[str] = set()
        self._valid: dict[str, str] = {}

    @property
    def identity(self) -> str:
        """The root as it is mounted now; empty where bulletins tell nothing."""
        return str(self._storage.identity) if self._kept else ""

    # --- telling -------------------------------------------------------------------------------------------------

    def announce(self, path: str, commit: str) -> None:
        """A commit may be about to appear. A dataset that gets many in one generation stays announced, and is told of no more."""
        if not self._kept:
            return
        with self._guard:
            generation = self._journal.generation()
            file = self._current(generation)
            count = self._told.get(path, 0) + 1
            if count > TOLD_IN_FULL + 1:
                return
            self._append(file, Line(commit, path))
            self._told[path] = count
            if count <= TOLD_IN_FULL:
                self._opened.add(commit)

    def conclude(self, path: str, commit: str, state: State | None) -> None:
        """The announced commit is there, and made the dataset this; or it isn't. Where this can't be told, it stays announced."""
        with self._guard, suppress(ArrayStoreError):
            if commit in self._opened:
                self._opened.remove(commit)
                entry = None if state is None else entry_of(path, state)
                self._append(self._current(self._journal.generation()), Line(commit, path, done=True, entry=entry))

    def _append(self, file: Any, line: Line) -> None:
        try:
            file.append(_framed(line))
        except OSError as error:
            raise storage_error(error, "telling other processes in", FOLDER, self._storage.url) from error

    def _current(self, generation: int) -> Any:
        """The file to add to: one of this generation that others add to already, else a new one."""
        if self._file is None or self._file[0] != generation or not self._file[1].linked:
            self._told.clear()
            self._file = (generation, self._join(generation))
        return self._file[1]

    def _join(self, generation: int) -> Any:
        for name, number in self._names():
            if number < generation - KEPT_GENERATIONS:
                with suppress(ArrayStoreError):
                    self._storage.delete(f"{FOLDER}/{name}")
            elif number == generation:
                with suppress(ArrayStoreError):
                    file = self._storage.shared(f"{FOLDER}/{name}", append=True)
                    if file.size and self._is_valid(name, file):
                        return file
        name = f"{generation:0{DIGITS}d}-{secrets.token_hex(8)}"
        file = self._storage.shared(f"{FOLDER}/{name}", append=True)
        self._append(file, Line(file=file.identity or "unknown"))
        return file

    # --- hearing -------------------------------------------------------------------------------------------------

    def read(self, seen: Seen, generation: int | None) -> News:
        """What was told since; who knows a class as of a generation (None: not at all) hears whether that is all."""
        if not self.identity:
            return NO_NEWS
        told: dict[str, Entry] = {}
        opened = dict(seen.opened)
        positions: dict[str, int] = {}
        whole = True
        for name, number in self._names():
            start = seen.positions.get(name, 0)
            data = self._rest_of(name, start)
            if data is None:
                # Who adds to a file that isn't read here is marked in its generation, or in the one before.
                whole = whole and generation is not None and number < generation - 1
                continue
            positions[name] = start + len(data)
            for line in _lines(data):
                if line is None:
                    whole = False
                elif line.done:
                    opened.pop(line.id, None)
                    if line.entry is not None and (line.path not in told or told[line.path].version < line.entry.version):
                        told[line.path] = line.entry
                elif line.path:
                    opened[line.id] = (line.path, number)
        return News(told, Seen(positions, opened), whole and set(seen.positions) <= set(positions))

    def _rest_of(self, name: str, start: int) -> bytes | None:
        """The whole lines of a file from a place on; None if it may have had others."""
        try:
            file = self._storage.shared(f"{FOLDER}/{name}")
        except ArrayStoreError:
            return None
        if not self._is_valid(name, file) or file.size < start:
            return None
        try:
            data: bytes = file.read(start)
        except OSError:
            return None
        return data[: data.rfind(b"\n") + 1]

    def _names(self) -> Iterator[tuple[str, int]]:
        for name in self._storage.list(FOLDER).objects:
            if found := _NAME.fullmatch(name):
                yield name, int(found[1])

    def _is_valid(self, name: str, file: Any) -> bool:
        """Whether a file is what its first line says, so that nothing that was added to it can be missing."""
        if not file.identity:
            return False
        if self._valid.get(name) != file.identity:
            try:
                head = file.read(0)[: 1 << 10]
            except OSError:
                return False  # who writes begins another one, who reads looks elsewhere
            first = next(_lines(head.partition(b"\n")[0] + b"\n"), None)
            if first is None or first.file != file.identity:
                return False
            self._valid[name] = file.identity
        return True


def _framed(line: Line) -> bytes:
    data = msgspec.json.encode(line)
    return b"%08x%b\n" % (zlib.crc32(data), data)


def _lines(data: bytes) -> Iterator[Line | None]:
    """Each line; None for one that isn't whole."""
    decode = msgspec.json.Decoder(Line).decode
    for framed in data.split(b"\n")[:-1]:
        body = framed[_CRC_DIGITS:]
        try:
            yield decode(body) if b"%08x" % zlib.crc32(body) == framed[:_CRC_DIGITS] else None
        except (msgspec.MsgspecError, UnicodeDecodeError):
            yield None
