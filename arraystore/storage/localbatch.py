"""New files of a local root that become durable together."""

import os
import resource
import threading
from collections import deque
from collections.abc import Buffer as BufferLike
from collections.abc import Callable, Collection, Container, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType
from typing import Self

from arraystore.errors import StorageError
from arraystore.storage.base import Buffer
from arraystore.storage.descent import way
from arraystore.storage.failures import storage_error
from arraystore.storage.keys import key_parts
from arraystore.storage.localroot import LocalRoot
from arraystore.storage.localsteps import NEW, forget, gathered, insist, taken, together, write_all

type Parts = tuple[str, ...]
type SyncWay = Callable[[LocalRoot, Collection[Parts], Container[Parts]], None]

_DESCRIPTORS = 256
"""How many files a batch keeps open, so that they are synced together; at most a quarter of what the process may open."""


EARLY_BYTES = 1 << 20
"""A file of as many bytes is synced in the background as soon as it is written, while whoever writes computes the next one."""

_EARLY_THREADS = 2


class LocalBatch:
    """New files that are kept open until the end, then synced: first they, then the directories, from the bottom up.

    Syncs of many small files together cost the medium little more than one. Those of large ones take as long as their bytes do, so they
    are begun at once; each file is synced once in any case, whole, on the descriptor that wrote it.
    """

    def __init__(self, root: LocalRoot, sync: Callable[[int], None], sync_way: SyncWay) -> None:
        self._root = root
        self._sync = sync
        self._sync_way = sync_way
        self._guard = threading.Lock()
        self._open: deque[tuple[int, str]] = deque()
        self._names: dict[Parts, list[str]] = {}
        self._made: set[Parts] = set()
        self._failure: StorageError | None = None
        self._early: ThreadPoolExecutor | None = None
        allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._limit = min(_DESCRIPTORS, allowed // 4) if allowed > 0 else _DESCRIPTORS

    def put(self, key: str, data: Buffer | Iterable[Buffer]) -> int:
        """See `Batch.put`."""
        *above, name = key_parts(key)
        fd = self._create(key, above, name)
        size = 0
        try:
            for piece in (data,) if isinstance(data, BufferLike) else gathered(data):
                try:
                    size += write_all(fd, piece)
                except OSError as error:
                    raise storage_error(error, "writing", key, self._root.path) from error
        except BaseException:
            with suppress(OSError):
                os.close(fd)
            forget(self._root, above, [name])
            raise
        with self._guard:
            self._names.setdefault(tuple(above), []).append(name)
            if size >= EARLY_BYTES:
                self._early = self._early or ThreadPoolExecutor(_EARLY_THREADS, thread_name_prefix="arraystore-sync")
                self._early.submit(self._sync_file, (fd, key))
                return size
            self._open.append((fd, key))
            oldest = self._open.popleft() if len(self._open) > self._limit else None
        if oldest:
            self._sync_file(oldest)
            self._check()
        return size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self._early is not None:
            self._early.shutdown()  # waits for all of them, whatever becomes of the batch: their descriptors are theirs
        try:
            if kind is None and self._names:
                self._sync_files()
                self._sync_way(self._root, self._names, self._made)
        except BaseException:
            self._discard()
            raise
        if kind is not None:
            self._discard()

    def _create(self, key: str, above: Sequence[str], name: str) -> int:
        found: list[int] = []

        def step() -> None:
            chain, made = way(self._root.opened().root, above, make=True)
            with self._guard:
                self._made.update(tuple(above[:depth]) for depth in made)
            try:
                found.append(os.open(name, NEW, 0o666, dir_fd=chain[-1].fd))
            except FileExistsError as error:
                raise taken(key, self._root.path) from error

        insist(self._root, "writing", key, step)
        return found[0]

    def _sync_file(self, file: tuple[int, str]) -> None:
        """Sync a file on the descriptor that wrote it; once it failed, the batch fails, and the file is never synced again."""
        fd, key = file
        try:
            self._sync(fd)
        except OSError as error:
            self._failure = self._failure or storage_error(error, "syncing", key, self._root.path)
        finally:
            with suppress(OSError):
                os.close(fd)

    def _sync_files(self) -> None:
        self._check()
        together(self._sync_file, [self._open.popleft() for _ in range(len(self._open))])
        self._check()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _discard(self) -> None:
        while self._open:
            with suppress(OSError):
                os.close(self._open.popleft()[0])
        for above, names in self._names.items():
            forget(self._root, above, names)
