"""Files without a name that have their size already, so that a small object, once written into one, needs neither inode nor blocks.

Making an inode and giving it blocks is a third of what a small commit costs, more where other processes remove many files, and it
changes the file system's metadata, so that syncing the file waits for the journal. What is written over blocks that are there is synced
like a database's log. Nothing depends on a spare: where none can be had, an object is written into a new file. A crash, as the end of
the process, leaves nothing of them.
"""

import ctypes
import os
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

from arraystore.forks import Guard
from arraystore.storage.descent import Directory

SPARE_BYTES = 4096
"""The most that a spare has, a block of the usual file systems: a smaller object wouldn't take less of the medium."""

_STEP_BYTES = 512

BUSY = 16
"""So many small objects in a row in a directory tell that more will come."""

BATCH = 16
"""How many spares are made at once."""

DIRECTORIES = 4
"""How many directories are watched at a time: with `BATCH`, the bound of descriptors held open."""

FRESH_SECONDS = 60.0
"""How old a spare may be: owner, mode and access list are those that its directory gave when it was made."""

UNNAMED = os.O_WRONLY | os.O_TMPFILE | os.O_CLOEXEC

_START_WRITING = 2  # SYNC_FILE_RANGE_WRITE


class _Watched:
    """What is known of one directory."""

    __slots__ = ("count", "files", "most", "since", "size")

    def __init__(self, now: float) -> None:
        self.count = 0
        self.most = 0  # bytes of the largest object, so that sizes don't go up and down
        self.size = 0  # of each file
        self.since = now  # of the first that was counted, or when the files were made
        self.files: list[int] = []


class Spares:
    """The spares of one process below one root, by the directory they were made for. Safe to share between threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._close = os.close  # still there when the interpreter takes modules apart
        self._guard = Guard()
        self._watched: OrderedDict[str, _Watched] = OrderedDict()

    def __del__(self) -> None:
        for watched in self._watched.values():
            self._forget(watched)

    def size_for(self, path: str, size: int, enter: Callable[[], Directory]) -> int:
        """How long an object of `size` bytes (at most `SPARE_BYTES`) must be to fit a spare of the directory at `path`; 0 without one.

        After many such questions in short time some are made in the directory that `enter` opens, unless that fails.
        """
        with self._guard:
            watched, now = self._watch(path), self._clock()
            if now - watched.since > FRESH_SECONDS:
                self._forget(watched)
                watched.count, watched.most, watched.since = 0, 0, now
            watched.most = max(watched.most, size)
            if size > watched.size:
                self._forget(watched)
            if not watched.files:
                watched.count += 1
                if watched.count <= BUSY:
                    return 0
                self._make(watched, enter)
                watched.since = now
            return watched.size if watched.files else 0

    def take(self, path: str, size: int) -> int | None:
        """The descriptor of a spare of that size for the directory at `path`, open for writing at its beginning: the caller's; or None."""
        with self._guard:
            watched = self._watched.get(path)
            return watched.files.pop() if watched is not None and watched.files and watched.size == size else None

    def _make(self, watched: _Watched, enter: Callable[[], Directory]) -> None:
        """Make some that the next objects fit too, if they are a little larger than the largest before."""
        watched.size = min(SPARE_BYTES, (watched.most // _STEP_BYTES + 1) * _STEP_BYTES)
        try:
            _make(enter(), watched.size, watched.files)
        except OSError:
            watched.count = 0  # a full disk, no descriptors, no such directory: not at once again

    def _watch(self, path: str) -> _Watched:
        watched = self._watched.get(path)
        if watched is None:
            watched = self._watched[path] = _Watched(self._clock())
            if len(self._watched) > DIRECTORIES:
                self._forget(self._watched.popitem(last=False)[1])
        else:
            self._watched.move_to_end(path)
        return watched

    def _forget(self, watched: _Watched) -> None:
        while watched.files:
            with suppress(OSError):
                self._close(watched.files.pop())


def _make(directory: Directory, size: int, files: list[int]) -> None:
    """Add new spares; those that were made before an error stay."""
    for _ in range(BATCH):
        fd = os.open(".", UNNAMED, 0o666, dir_fd=directory.fd)
        try:
            if os.pwrite(fd, bytes(size), 0) != size:
                raise OSError("a spare wasn't written whole")
        except BaseException:
            os.close(fd)
            raise
        files.append(fd)
    start = _starter()
    for fd in files if start is not None else ():
        start(fd, 0, size, _START_WRITING)  # they get their blocks now, and the next sync of the directory keeps them


@cache
def _starter() -> Any:
    """sync_file_range(2), which only saves time here: who syncs the file waits for all of it in any case. None where there is none."""
    call = getattr(ctypes.CDLL(None), "sync_file_range", None) if sys.platform == "linux" else None
    if call is not None:
        call.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return call
