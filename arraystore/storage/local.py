"""Storage on a local file system: the only module that links, renames and syncs files.

Durable means: the file was synced on the descriptor that wrote it, and so was every directory from the one that names it up to the
root, before anything could refer to it. FORMAT.md section 6 builds commits on that.
"""

import errno
import os
import secrets
import time
from collections.abc import Buffer as BufferLike
from collections.abc import Collection, Container, Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from functools import cached_property
from itertools import groupby, pairwise
from pathlib import Path

from arraystore.errors import CommitUnknown, NotFound, StorageError
from arraystore.storage.base import Batch, Buffer
from arraystore.storage.descent import Directory, descend, open_file, way
from arraystore.storage.failures import changed, storage_error
from arraystore.storage.keys import TEMPORARY, key_parts, prefix_parts
from arraystore.storage.localbatch import LocalBatch, Parts
from arraystore.storage.localmedium import check_medium, holding, ignores_case, queue
from arraystore.storage.localreads import LocalReads
from arraystore.storage.localroot import LocalRoot, Opened
from arraystore.storage.localsteps import NEW, drop, forget, insist, prune, sweep, taken, together, write_all
from arraystore.storage.racing import ROUNDS, refuse_unless_exclusive
from arraystore.storage.shared import SharedFile, identity
from arraystore.storage.spares import SPARE_BYTES, UNNAMED

_SHARED = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK

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

    is_far = False

    @cached_property
    def ignores_case(self) -> bool:
        """Whether names that differ in case only are one name here."""
        return ignores_case(self._root.opened().root)

    def probe(self) -> None:
        """Refuse, with `StorageError`, a medium on which commits wouldn't be safe; leaves nothing behind."""
        check_medium(self.url)
        place = f"{TEMPORARY}{secrets.token_hex(8)}"
        root = self._root

        def get(name: str) -> bytes:
            fd, size = open_file(root.opened().root, [place, name])
            try:
                return os.read(fd, size)
            finally:
                os.close(fd)

        try:
            refuse_unless_exclusive(lambda name, data: self._create_once([place], name, data), get, self.url)
        except OSError as error:
            if isinstance(error, StorageError):
                raise
            raise storage_error(error, "linking synced files, as commits do, on trial below", place, self.url) from error
        finally:
            forget(root, [place], [str(name) for name in range(ROUNDS)])

    def create(self, key: str, data: Buffer) -> None:
        """See `Storage.create`. Two syncs where the directory is known to be durable."""
        *above, name = key_parts(key)
        insist(self._root, "creating", key, lambda: self._create_once(above, name, data))

    def room(self, key: str, size: int) -> int:
        """How many bytes an object that is about to be created had best have, if it may have more than `size`: then it takes less time."""
        if size > SPARE_BYTES or not self._unnamed_files:
            return size
        opened, (path, _, _) = self._root.opened(), key.rpartition("/")
        return opened.spares.size_for(path, size, lambda: descend(opened.root, prefix_parts(path))) or size

    def put(self, key: str, data: Buffer | Iterable[Buffer], *, durable: bool) -> None:
        """See `Storage.put`."""
        *above, name = key_parts(key)
        insist(self._root, "writing", key, lambda: self._put_once(above, name, data, durable=durable))

    def swap(self, key: str, data: Buffer, before: bytes | None) -> None:
        """See `Storage.swap`: who swaps in one directory holds flock() on it meanwhile."""
        *above, name = key_parts(key)

        def step() -> None:
            chain, _ = way(self._root.opened().root, above, make=True)
            with holding(chain[-1]):
                if self._held(key) != before:
                    raise changed(key, self.url)
                self._put_once(above, name, data, durable=True)

        insist(self._root, "replacing", key, step)

    def _held(self, key: str) -> bytes | None:
        try:
            return self.get(key)
        except NotFound:
            return None

    def batch(self) -> AbstractContextManager[Batch]:
        """See `Storage.batch`. Files appear under their names at once, so the names must be unknown to others."""
        return LocalBatch(self._root, _sync_file, _settle_all)

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
        """See `Storage.delete`. Directories that become empty, or are, go too, but for the root."""
        parts = key_parts(key)
        try:
            chain, _ = way(self._root.opened().root, parts[:-1], make=False)
            with suppress(FileNotFoundError):
                os.unlink(parts[-1], dir_fd=chain[-1].fd)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return
        except OSError as error:
            raise storage_error(error, "deleting", key, self.url) from error
        prune(chain, parts[:-1])

    def sweep(self, prefix: str, age_ns: int) -> int:
        """Remove what writers that died left directly below `prefix` under names of unfinished objects; returns how many there were.

        `age_ns` spares the living: should theirs go, they write it again.
        """
        try:
            directory = descend(self._root.opened().root, prefix_parts(prefix))
            return sweep(directory, time.time_ns() - age_ns)
        except (FileNotFoundError, NotADirectoryError):
            return 0
        except OSError as error:
            raise storage_error(error, "sweeping", prefix, self.url) from error

    def lock(self, key: str) -> AbstractContextManager[None]:
        """See `Storage.lock`: flock() on an empty file, which excludes threads as well as processes. Not reentrant."""
        *above, name = key_parts(key)
        return queue(self._root, above, name, lambda error: storage_error(error, "locking", key, self.url))

    @property
    def identity(self) -> str:
        """What no other root is called, nor this one once its medium was mounted again; empty where that can't be told."""
        return identity(self._root.opened().root.fd)

    def shared(self, key: str, *, append: bool = False) -> SharedFile:
        """A file that processes of this machine append to, to be read; with `append` to be added to as well, and made if it isn't there."""
        *above, name = key_parts(key)
        found: list[SharedFile] = []

        def step() -> None:
            chain, _ = way(self._root.opened().root, above, make=True)
            found.append(SharedFile(os.open(name, _SHARED, 0o666, dir_fd=chain[-1].fd)))

        if append:
            insist(self._root, "opening", key, step)
            return found[0]
        try:
            return SharedFile(open_file(self._root.opened().root, [*above, name])[0])
        except OSError as error:
            raise self._unreadable(error, key) from error

    def _create_once(self, above: Sequence[str], name: str, data: Buffer) -> None:
        opened = self._root.opened()
        directory = _durable(opened, above)
        spare = opened.spares.take("/".join(above), memoryview(data).nbytes)
        fd, temporary = self._new_file(directory) if spare is None else (spare, None)
        try:
            write_all(fd, data)
            # What overwrites a spare changes no metadata that reading it needs; what else of the inode is new goes with its name.
            (os.fsync if spare is None else os.fdatasync)(fd)
            self._link(fd, temporary, directory, above, name)
        finally:
            drop(fd, temporary, directory)
        self._settle_name(directory, above, name)

    def _put_once(self, above: Sequence[str], name: str, data: Buffer | Iterable[Buffer], *, durable: bool) -> None:
        opened = self._root.opened()
        chain, _ = way(opened.root, above, make=True)
        directory = chain[-1]
        temporary: str | None = f"{TEMPORARY}{secrets.token_hex(16)}"
        fd = os.open(str(temporary), NEW, 0o666, dir_fd=directory.fd)
        try:
            for piece in (data,) if isinstance(data, BufferLike) else data:
                write_all(fd, piece)
            if durable:
                _settle(opened, chain)
                os.fsync(fd)
            os.replace(str(temporary), name, src_dir_fd=directory.fd, dst_dir_fd=directory.fd)
            temporary = None
        except FileNotFoundError as error:
            if isinstance(data, BufferLike):
                raise
            raise storage_error(error, "writing", name, self.url) from error  # a stream can't be taken again
        finally:
            drop(fd, temporary, directory)
        if durable:
            self._settle_name(directory, above, name)

    def _new_file(self, directory: Directory) -> tuple[int, str | None]:
        """A file without a name, which a crash leaves no trace of; else one that listings ignore."""
        if self._unnamed_files:
            try:
                return os.open(".", UNNAMED, 0o666, dir_fd=directory.fd), None
            except OSError as error:
                if error.errno == errno.EPERM and directory.removed:  # as ext4 says it
                    raise FileNotFoundError(errno.ENOENT, "the directory is gone") from error
                if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
                    raise
                self._unnamed_files = False
        temporary = f"{TEMPORARY}{secrets.token_hex(16)}"
        return os.open(temporary, NEW, 0o666, dir_fd=directory.fd), temporary

    def _link(self, fd: int, temporary: str | None, directory: Directory, above: Sequence[str], name: str) -> None:
        source = temporary or f"/proc/self/fd/{fd}"
        try:
            # link() fails if the target exists, where rename() would replace it.
            os.link(source, name, src_dir_fd=directory.fd, dst_dir_fd=directory.fd, follow_symlinks=temporary is None)
        except FileExistsError as error:
            raise taken("/".join([*above, name]), self.url) from error
        except OSError as error:
            if error.errno in _NOT_LINKED:
                raise
            message = f"{self.url}: {'/'.join([*above, name])!r} may have appeared or not ({error}); read it before repeating the call"
            raise CommitUnknown(message) from error

    def _settle_name(self, directory: Directory, above: Sequence[str], name: str) -> None:
        try:
            _sync_directory(directory)
        except OSError as error:
            what = f"{'/'.join([*above, name])!r} is visible, but its directory couldn't be synced ({error}), so a crash may take it back"
            raise CommitUnknown(f"{self.url}: {what}; look at the system's log, then read it again") from error


def _durable(opened: Opened, parts: Sequence[str]) -> Directory:
    """The directory that `parts` lead to, made if need be, and the way to it durable."""
    with suppress(FileNotFoundError):
        directory = descend(opened.root, parts)
        if directory in opened.durable:
            return directory
    chain, _ = way(opened.root, parts, make=True)
    _settle(opened, chain)
    return chain[-1]


def _settle_all(root: LocalRoot, names: Collection[Parts], made: Container[Parts]) -> None:
    """Sync every directory with a new entry, and the way to each, once, the deepest first."""
    opened = root.opened()

    def sync(parts: Parts) -> None:
        try:
            _sync_directory(descend(opened.root, parts))
        except OSError as error:
            raise storage_error(error, "syncing the directory", "/".join(parts), root.path) from error

    pending, settled = _unsettled(root, names)
    for _, level in groupby(sorted(pending, key=len, reverse=True), key=len):
        together(sync, list(level))
    for parts in settled:
        if parts not in made or parts not in names:  # a segment's own directories are never written to again
            with suppress(OSError):  # it was synced; remembering that only saves time
                opened.durable.add(descend(opened.root, parts))


def _unsettled(root: LocalRoot, names: Collection[Parts]) -> tuple[set[Parts], set[Parts]]:
    """The directories that have new names, or lead to such without being known to be durable; and those that will be known then."""
    opened = root.opened()
    pending: set[Parts] = set(names)
    settled: set[Parts] = set()
    for parts in names:
        try:
            chain, _ = way(opened.root, parts, make=False)
        except OSError as error:
            raise storage_error(error, "syncing the way to", "/".join(parts), root.path) from error
        for depth in range(len(parts), 0, -1):
            if parts[:depth] in settled or chain[depth] in opened.durable:
                break
            settled.add(parts[:depth])
            pending.add(parts[: depth - 1])
    return pending, settled


def _sync_file(fd: int) -> None:
    os.fsync(fd)


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


def _make_root(root: Path) -> None:
    """Make the root and the way to it, durably as far as this user may."""
    missing = [place for place in (root, *root.parents) if not place.exists()]
    try:
        root.mkdir(parents=True, exist_ok=True)
        for place in missing:
            _sync_path(place.parent)
    except OSError as error:
        raise storage_error(error, "making the root", "", str(root)) from error
    if not missing:
        with suppress(OSError):  # whoever made it may have died before this; but the directory above may be another's
            _sync_path(root.parent)


def _sync_path(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
