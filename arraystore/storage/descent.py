"""The way from a root down to a file, never through a symbolic link: in one call where the kernel can, else step by step."""

import errno
import os
import stat
from collections.abc import Sequence

from arraystore.storage.openat2 import NOWHERE, Opener

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: opening a FIFO that somebody planted must not hang.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_PATH = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC

_open_directory, _open_file, _open_path = Opener(_DIRECTORY), Opener(_FILE), Opener(_PATH)


class Directory:
    """An open directory; it is closed when nothing refers to it any more."""

    __slots__ = ("_close", "fd")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._close = os.close  # still there when the interpreter takes modules apart

    def __del__(self) -> None:
        self._close(self.fd)

    @property
    def identity(self) -> tuple[int, int]:
        """Medium and inode: no other directory has them as long as this one is open."""
        status = self.status
        return status.st_dev, status.st_ino

    @property
    def status(self) -> os.stat_result:
        """What fstat() says of it."""
        return os.fstat(self.fd)

    @property
    def removed(self) -> bool:
        """Whether nothing names it any more."""
        return self.status.st_nlink == 0

    def reopened(self) -> int:
        """A descriptor with a reading position of its own, as listing needs one per thread; close it."""
        return os.open(".", _DIRECTORY, dir_fd=self.fd)


def open_root(path: str) -> Directory:
    """The root may be reached through links: whoever mapped it there meant it."""
    return Directory(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))


def descend(root: Directory, parts: Sequence[str]) -> Directory:
    """The directory that `parts` lead to."""
    fd = _open_directory(root.fd, parts)
    if fd is not None:
        return Directory(fd)
    here = root
    for part in parts:
        here = _enter(here, part)
    return here


def way(root: Directory, parts: Sequence[str], *, make: bool) -> tuple[list[Directory], list[int]]:
    """Every directory from the root down to the one `parts` lead to, and the places in that list of those it made.

    Making one may lose against whoever removes its empty parent: then FileNotFoundError, and the caller starts afresh.
    """
    chain = [root]
    made = []
    for part in parts:
        try:
            here = _enter(chain[-1], part)
        except FileNotFoundError:
            if not make:
                raise
            try:
                os.mkdir(part, dir_fd=chain[-1].fd)
                made.append(len(chain))
            except FileExistsError:
                pass
            here = _enter(chain[-1], part)
        chain.append(here)
    return chain, made


def open_file(root: Directory, parts: Sequence[str]) -> tuple[int, int]:
    """A descriptor of the regular file that `parts` lead to, and its size; close it."""
    fd = _open_file(root.fd, parts)
    if fd is None:
        directory = descend(root, parts[:-1])
        try:
            fd = os.open(parts[-1], _FILE, dir_fd=directory.fd)
        except OSError as error:
            if error.errno == errno.ENXIO:  # a socket
                raise _irregular(parts[-1]) from error
            raise
    try:
        status = os.fstat(fd)
        _check_regular(status, parts[-1])
    except BaseException:
        os.close(fd)
        raise
    return fd, status.st_size


def file_size(root: Directory, parts: Sequence[str]) -> int | None:
    """The size of the regular file that `parts` lead to; None, or FileNotFoundError after a walk, where there is nothing."""
    fd = _open_path.reach(root.fd, parts)
    if fd == NOWHERE:
        return None
    if fd is None:
        directory = descend(root, parts[:-1])
        status = os.stat(parts[-1], dir_fd=directory.fd, follow_symlinks=False)
    else:
        try:
            status = os.fstat(fd)
        finally:
            os.close(fd)
    _check_regular(status, parts[-1])
    return status.st_size


def _enter(directory: Directory, part: str) -> Directory:
    try:
        return Directory(os.open(part, _DIRECTORY, dir_fd=directory.fd))
    except NotADirectoryError as error:
        status = os.stat(part, dir_fd=directory.fd, follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode):
            raise OSError(errno.ELOOP, f"{part!r} is a symbolic link") from error
        raise


def _check_regular(status: os.stat_result, name: str) -> None:
    if stat.S_ISREG(status.st_mode):
        return
    if stat.S_ISDIR(status.st_mode):
        raise FileNotFoundError(errno.ENOENT, f"{name!r} is a directory")
    if stat.S_ISLNK(status.st_mode):
        raise OSError(errno.ELOOP, f"{name!r} is a symbolic link")
    raise _irregular(name)


def _irregular(name: str) -> OSError:
    return OSError(errno.EINVAL, f"{name!r} is a FIFO, a socket or a device")
