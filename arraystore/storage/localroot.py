"""What one process holds open of a local root, and which directories below it are durable."""

import os
import threading
from collections import OrderedDict
from pathlib import Path

from arraystore.storage.descent import Directory, open_root
from arraystore.storage.spares import Spares

DURABLE_LIMIT = 64
"""Directories whose way to the root is remembered to be durable; each keeps a descriptor open."""


class KnownDurable:
    """Directories below one root whose every entry on the way from the root this process has seen synced.

    They are known by medium and inode, and kept open: as long as a descriptor is open, the system gives its inode to no other directory,
    so one that was deleted and made again under the same name isn't mistaken for the one that was synced. The least used is forgotten
    first; forgetting costs a sync, never durability.
    """

    def __init__(self, limit: int = DURABLE_LIMIT) -> None:
        self._limit = limit
        self._known: OrderedDict[tuple[int, int], Directory] = OrderedDict()
        self._guard = threading.Lock()

    def __contains__(self, directory: Directory) -> bool:
        identity = directory.identity
        with self._guard:
            if identity not in self._known:
                return False
            self._known.move_to_end(identity)
            return True

    def add(self, directory: Directory) -> None:
        """Remember a directory after every directory above it was synced."""
        with self._guard:
            self._known[directory.identity] = directory
            while len(self._known) > self._limit:
                self._known.popitem(last=False)


class Opened:
    """An open root, what is known about the directories below it, and what is kept ready for them."""

    def __init__(self, path: str) -> None:
        self.process = os.getpid()
        self.root = open_root(path)
        self.durable = KnownDurable()
        self.spares = Spares()


class LocalRoot:
    """The directory at `path`: opened at first use, and afresh in each process that a fork makes."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = str(Path(path).absolute())
        self._opened: Opened | None = None

    def opened(self) -> Opened:
        """The open root; it stays the same directory even if it is moved."""
        opened = self._opened
        if opened is None or opened.process != os.getpid():
            opened = self._opened = Opened(self.path)
        return opened
