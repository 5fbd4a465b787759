"""Storage on a local file system: the only module that links, renames and syncs files.

Durable means: the file was synced on the descriptor that wrote it, and so was every directory from the one that names it up to the
root, before anything could refer to it. FORMAT.md section 6 builds commits on that.
"""

import errno
import os
import resource
import secrets
import threading
from collections import deque
from collections.abc import Buffer as BufferLike
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Self

from arraystore.errors import AlreadyExists, ArrayStoreError, CommitUnknown, StorageError
from arraystore.storage.base import Batch, Buffer
from arraystore.storage.descent import Directory, descend, way
from arraystore.storage.failures import storage_error
from arraystore.storage.keys import TEMPORARY, key_parts, prefix_parts
from arraystore.storage.localmedium import check_medium, ignores_case, queue
from arraystore.storage.localreads import LocalReads
from arraystore.storage.localroot import LocalRoot, Opened

_ATTEMPTS = 100
"""How often to make a directory anew that others remove as soon as it is empty."""

_DESCRIPTORS = 256
"""How many files a batch keeps open, so that they are synced together; at most a quarter of what the process may open."""

_SYNC_THREADS = 8
"""A file system commits syncs that wait together as one: 8 threads sync a segment's 26 files in 3 ms instead of 7."""

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_UNNAMED = os.O_WRONLY | os.O_TMPFILE | os.O_CLOEXEC

_NOT_LINKED = frozenset(
    (errno.ENOENT, errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EXDEV, errno.EMLINK, errno.EOPNOTSUPP)
)
"""What link() says before it changes anything; after any other error the name may be there."""


class LocalStorage(LocalReads):
    """Objects as files below a directory, on a medium that can link: ext4, XFS, btrfs.

    Safe for many threads and processes. A descriptor of the root, and of up to 64 directories known to be durable, stay open.
    """

    def __init__(self, path: str | os.PathLike[str], *, create: bool = False) -> None:
        super().__init__(path)
        self._unnamed_files = Path("/proc/self/fd").is_dir()  # what has no name is linked through there
        if create:
            _make_root(Path(self.url))

    @cached_property
    def ignores_case(self) -> bool:
        """Whether names that differ in case only are one name here."""
        return ignores_case(self._root.opened().root)

    def probe(self) -> None:
        """Refuse, with `StorageError`, a medium on which commits wouldn't be safe; leaves nothing behind."""
        check_medium(self.url)
        place = f"{TEMPORARY}{secrets.token_hex(8)}"
        try:
            self._create_once([place], "object", b"first")
            try:
                self._create_once([place], "object", b"second")
            except AlreadyExists:
                return
            raise StorageError(errno.EOPNOTSUPP, f"{self.url}: link() replaced a file that existed; take ext4, XFS or btrfs")
        except (CommitUnknown, OSError) as error:
            if isinstance(error, StorageError):
                raise
            message = f"{self.url}: linking a synced file failed here ({error}), and commits stand on that; take ext4, XFS or btrfs"
            raise StorageError(getattr(error, "errno", None) or errno.EIO, message) from error
        finally:
            _forget(self._root, [place], ["object"])

    def create(self, key: str, data: Buffer) -> None:
        """See `Storage.create`. Two syncs where the directory is known to be durable."""
        *above, name = key_parts(key)
        _insist(self._root, "creating", key, lambda: self._create_once(above, name, data))

    def put(self, key: str, data: Buffer, *, durable: bool) -> None:
        """See `Storage.put`."""
        *above, name = key_parts(key)
        _insist(self._root, "writing", key, lambda: self._put_once(above, name, data, durable=durable))

    def batch(self) -> AbstractContextManager[Batch]:
        """See `Storage.batch`. Files appear under their names at once, so the names must be unknown to others."""
        return _LocalBatch(self._root)

    def sync(self, prefix: str) -> None:
        """See `Storage.sync`. A prefix that isn't there shows nothing, so nothing is to be done."""
        parts = prefix_parts(prefix)
        try:
            opened = self._root.opened()
            chain, _ = way(opened.root, parts, make=False)
            _sync_directory(chain[-1])
            _settle(opened, chain)
        except FileNotFoundError:
            return
        except OSError as error:
            raise storage_error(error, "syncing", prefix, self.url) from error

    def delete(self, key: str) -> None:
        """See `Storage.delete`. Directories that become empty go too, but for the root."""
        parts = key_parts(key)
        try:
            chain, _ = way(self._root.opened().root, parts[:-1], make=False)
            os.unlink(parts[-1], dir_fd=chain[-1].fd)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return
        except OSError as error:
            raise storage_error(error, "deleting", key, self.url) from error
        _prune(chain, parts[:-1])

    def lock(self, key: str) -> AbstractContextManager[None]:
        """See `Storage.lock`: flock() on an empty file, which excludes threads as well as processes. Not reentrant."""
        *above, name = key_parts(key)
        return queue(self._root, above, name, lambda error: storage_error(error, "locking", key, self.url))

    def _create_once(self, above: Sequence[str], name: str, data: Buffer) -> None:
        opened = self._root.opened()
        chain, _ = way(opened.root, above, make=True)
        _settle(opened, chain)
        directory = chain[-1]
        fd, temporary = self._new_file(directory)
        try:
            write_all(fd, data)
            os.fsync(fd)
            self._link(fd, temporary, name, directory)
        finally:
            _drop(fd, temporary, directory)
        self._settle_name(name, directory)

    def _put_once(self, above: Sequence[str], name: str, data: Buffer, *, durable: bool) -> None:
        opened = self._root.opened()
        chain, _ = way(opened.root, above, make=True)
        directory = chain[-1]
        temporary: str | None = f"{TEMPORARY}{secrets.token_hex(16)}"
        fd = os.open(str(temporary), _NEW, 0o666, dir_fd=directory.fd)
        try:
            write_all(fd, data)
            if durable:
                _settle(opened, chain)
                os.fsync(fd)
            os.replace(str(temporary), name, src_dir_fd=directory.fd, dst_dir_fd=directory.fd)
            temporary = None
        finally:
            _drop(fd, temporary, directory)
        if durable:
            self._settle_name(name, directory)

    def _new_file(self, directory: Directory) -> tuple[int, str | None]:
        """A file without a name, which a crash leaves no trace of; else one that listings ignore."""
        if self._unnamed_files:
            try:
                return os.open(".", _UNNAMED, 0o666, dir_fd=directory.fd), None
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
                    raise
                self._unnamed_files = False
        temporary = f"{TEMPORARY}{secrets.token_hex(16)}"
        return os.open(temporary, _NEW, 0o666, dir_fd=directory.fd), temporary

    def _link(self, fd: int, temporary: str | None, name: str, directory: Directory) -> None:
        source = temporary or f"/proc/self/fd/{fd}"
        try:
            # link() fails if the target exists, where rename() would replace it.
            os.link(source, name, src_dir_fd=directory.fd, dst_dir_fd=directory.fd, follow_symlinks=temporary is None)
        except FileExistsError as error:
            raise AlreadyExists(f"{self.url}: the object {name!r} exists already") from error
        except OSError as error:
            if error.errno in _NOT_LINKED:
                raise
            raise CommitUnknown(f"{self.url}: {name!r} may have appeared or not ({error}); read it before repeating the call") from error

    def _settle_name(self, name: str, directory: Directory) -> None:
        try:
            _sync_directory(directory)
        except OSError as error:
            message = f"{self.url}: {name!r} is visible, but its directory couldn't be synced ({error}): a crash may take it back; "
            raise CommitUnknown(message + "look at the system's log, then read it again") from error


class _LocalBatch:
    """New files that are kept open until the end, then synced: first they, then the directories, from the bottom up."""

    def __init__(self, root: LocalRoot) -> None:
        self._root = root
        self._guard = threading.Lock()
        self._open: deque[tuple[int, str]] = deque()
        self._names: dict[tuple[str, ...], list[str]] = {}
        self._made: set[tuple[str, ...]] = set()
        self._failure: StorageError | None = None
        self._limit = min(_DESCRIPTORS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4)

    def put(self, key: str, data: Buffer | Iterable[Buffer]) -> int:
        """See `Batch.put`."""
        *above, name = key_parts(key)
        fd = self._create(key, above, name)
        size = 0
        try:
            for piece in (data,) if isinstance(data, BufferLike) else data:
                try:
                    size += write_all(fd, piece)
                except OSError as error:
                    raise storage_error(error, "writing", key, self._root.path) from error
        except BaseException:
            os.close(fd)
            _forget(self._root, above, [name])
            raise
        with self._guard:
            self._names.setdefault(tuple(above), []).append(name)
            self._open.append((fd, key))
            oldest = self._open.popleft() if len(self._open) > self._limit else None
        if oldest:
            self._sync_file(*oldest)
        return size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        try:
            if kind is None:
                self._sync_files()
                self._sync_directories()
        except OSError as failure:
            self._discard()
            if isinstance(failure, StorageError):
                raise
            raise storage_error(failure, "syncing the way to", next(iter(self._names), ("",))[0], self._root.path) from failure
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
                found.append(os.open(name, _NEW, 0o666, dir_fd=chain[-1].fd))
            except FileExistsError as error:
                raise AlreadyExists(f"{self._root.path}: the object {key!r} exists already") from error

        _insist(self._root, "writing", key, step)
        return found[0]

    def _sync_file(self, fd: int, key: str) -> None:
        """Sync a file on the descriptor that wrote it; once it failed, the batch fails, and the file is never synced again."""
        try:
            os.fsync(fd)
        except OSError as error:
            self._failure = self._failure or storage_error(error, "syncing", key, self._root.path)
        finally:
            os.close(fd)

    def _sync_files(self) -> None:
        files = [self._open.popleft() for _ in range(len(self._open))]
        with ThreadPoolExecutor(min(_SYNC_THREADS, len(files) or 1)) as pool:
            list(pool.map(self._sync_file, *zip(*files, strict=True))) if files else None
        if self._failure:
            raise self._failure

    def _sync_directories(self) -> None:
        """Sync every directory with a new entry, and the way to each, once, the deepest first."""
        opened = self._root.opened()
        pending: set[tuple[str, ...]] = set(self._names)
        settled: set[tuple[str, ...]] = set()
        for prefix in self._names:
            chain, _ = way(opened.root, prefix, make=False)
            for depth in range(len(prefix), 0, -1):
                if prefix[:depth] in settled or chain[depth] in opened.durable:
                    break
                settled.add(prefix[:depth])
                pending.add(prefix[: depth - 1])
        for parts in sorted(pending, key=len, reverse=True):
            _sync_directory(descend(opened.root, parts))
        for parts in settled:
            if parts not in self._made or parts not in self._names:  # a segment's own directories are never written to again
                opened.durable.add(descend(opened.root, parts))

    def _discard(self) -> None:
        while self._open:
            os.close(self._open.popleft()[0])
        for above, names in self._names.items():
            _forget(self._root, above, names)


def _insist(root: LocalRoot, doing: str, key: str, step: Callable[[], None]) -> None:
    """Take a step again as long as the directory it made is removed, being empty, before it is used."""
    gone: OSError = FileNotFoundError(errno.ENOENT, "the directory is gone")
    for _ in range(_ATTEMPTS):
        try:
            return step()
        except ArrayStoreError:
            raise
        except FileNotFoundError as error:
            gone = error
        except OSError as error:
            raise storage_error(error, doing, key, root.path) from error
    raise storage_error(gone, doing, key, root.path) from gone


def _forget(root: LocalRoot, above: Sequence[str], names: Sequence[str]) -> None:
    """Remove what nobody will refer to, as far as that goes: leftovers are garbage, not errors."""
    with suppress(OSError):
        chain, _ = way(root.opened().root, above, make=False)
        for name in names:
            with suppress(OSError):
                os.unlink(name, dir_fd=chain[-1].fd)
        _prune(chain, above)


def write_all(fd: int, data: Buffer) -> int:
    """Write every byte, whatever one call takes; returns how many there are."""
    view = memoryview(data).cast("B")
    size = len(view)
    while view:
        view = view[os.write(fd, view) :]
    return size


def _sync_directory(directory: Directory) -> None:
    """Sync the names in a directory. As an argument it stays open meanwhile, which a bare descriptor might not."""
    os.fsync(directory.fd)


def _settle(opened: Opened, chain: Sequence[Directory]) -> None:
    """Make the way to the last of `chain` durable: sync the directories above it, from the bottom up, that aren't known to be."""
    fresh = []
    for parent, child in reversed(list(pairwise(chain))):
        if child in opened.durable:
            break
        _sync_directory(parent)
        fresh.append(child)
    for child in reversed(fresh):
        opened.durable.add(child)


def _drop(fd: int, temporary: str | None, directory: Directory) -> None:
    """Close a written file. After its sync nothing that fails here matters; before it, another error is on its way."""
    with suppress(OSError):
        os.close(fd)
    if temporary is not None:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=directory.fd)


def _prune(chain: Sequence[Directory], parts: Sequence[str]) -> None:
    """Remove emptied directories, the deepest first. Whoever is about to use one finds it gone and makes it again."""
    with suppress(OSError):
        for depth in range(len(parts), 0, -1):
            os.rmdir(parts[depth - 1], dir_fd=chain[depth - 1].fd)


def _make_root(root: Path) -> None:
    """Make the root and the way to it, durably as far as this user may."""
    missing = [place for place in (root, *root.parents) if not place.exists()]
    try:
        root.mkdir(parents=True, exist_ok=True)
        for place in missing or [root]:
            with suppress(PermissionError):
                fd = os.open(place.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                try:
                    os.fsync(fd)
                finally:
                    os.close(fd)
    except OSError as error:
        raise storage_error(error, "making the root", "", str(root)) from error
