"""Access control lists of files and directories, set through descriptors: links are never followed, and nothing is run."""

import errno
import os
import stat
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import reduce
from operator import or_

from arraystore.errors import StorageError

_ACCESS, _DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
_VERSION = 2
_USER_OBJ, _GROUP_OBJ, _GROUP, _MASK, _OTHER = 0x01, 0x04, 0x08, 0x10, 0x20
_NOBODY = 0xFFFF_FFFF
_ALL = 7
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

type Groups = Mapping[int, int]
"""Permission bits (4 read, 2 write, 1 enter) by group number."""


def encode_acl(groups: Groups, owner: int) -> bytes:
    """The list that gives the owner and some groups rights, and nobody else any: what Linux keeps as an extended attribute."""
    entries = [(_USER_OBJ, owner, _NOBODY), (_GROUP_OBJ, 0, _NOBODY)]
    entries += [(_GROUP, bits, group) for group, bits in sorted(groups.items())]
    entries += [(_MASK, reduce(or_, groups.values(), 0), _NOBODY), (_OTHER, 0, _NOBODY)]
    return struct.pack("<I", _VERSION) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def guard_directory(fd: int, rights: Groups, below: Groups | None, *, sticky: bool) -> None:
    """Give groups rights in an open directory, and in what is made below it (None: no rights but its maker's)."""
    os.fchmod(fd, stat.S_IRWXU | (stat.S_ISVTX if sticky else 0))
    os.setxattr(fd, _ACCESS, encode_acl(rights, _ALL))
    if below is None:
        with suppress(OSError):
            os.removexattr(fd, _DEFAULT)
    else:
        os.setxattr(fd, _DEFAULT, encode_acl(below, _ALL))


def guard_tree(fd: int, below: Groups, leave: Callable[[tuple[str, ...]], bool], path: tuple[str, ...] = ()) -> int:
    """Give groups their rights in all that lies below an open directory, but for subdirectories to leave; returns how much that was.

    Links, and whatever is neither file nor directory, are left alone.
    """
    count = 0
    with os.scandir(os.open(".", _DIRECTORY, dir_fd=fd)) as entries:
        listed = [(entry.name, entry.is_dir(follow_symlinks=False), entry.is_file(follow_symlinks=False)) for entry in entries]
    for name, is_directory, is_file in listed:
        inner = (*path, name)
        if (not is_directory and not is_file) or leave(inner):
            continue
        with _opened(name, _DIRECTORY if is_directory else _FILE, fd) as found:
            if found is None:
                continue
            if is_directory:
                guard_directory(found, below, below, sticky=False)
                count += 1 + guard_tree(found, below, leave, inner)
            elif stat.S_ISREG(os.fstat(found).st_mode):
                os.fchmod(found, stat.S_IRUSR | stat.S_IWUSR)
                os.setxattr(found, _ACCESS, encode_acl({group: bits & ~1 for group, bits in below.items()}, 6))
                count += 1
    return count


@contextmanager
def _opened(name: str, flags: int, directory: int) -> Iterator[int | None]:
    """A descriptor, unless the name has become something else meanwhile."""
    try:
        fd = os.open(name, flags, dir_fd=directory)
    except (FileNotFoundError, NotADirectoryError):
        fd = None
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        fd = None
    try:
        yield fd
    finally:
        if fd is not None:
            os.close(fd)


@contextmanager
def open_directory(root: str, path: str) -> Iterator[int]:
    """An open directory of a root; those on the way from the root are made if they are missing, and no link among them is followed."""
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in filter(None, path.split("/")):
            with suppress(FileExistsError):
                os.mkdir(part, 0o700, dir_fd=fd)
            inner = os.open(part, _DIRECTORY, dir_fd=fd)
            os.close(fd)
            fd = inner
        yield fd
    finally:
        os.close(fd)


def publish_file(fd: int, name: str) -> None:
    """Have everybody who gets to a file read it, and nobody but its owner write it."""
    with _opened(name, _FILE, fd) as found:
        if found is not None and stat.S_ISREG(os.fstat(found).st_mode):
            with suppress(OSError):
                os.removexattr(found, _ACCESS)
            os.fchmod(found, 0o644)
            os.fchown(found, os.geteuid(), -1)


def own_directory(fd: int) -> None:
    """Take a directory from whoever made it."""
    os.fchown(fd, os.geteuid(), -1)


def check_supported(fd: int, where: str) -> None:
    """Refuse a medium without access control lists."""
    try:
        os.setxattr(fd, _ACCESS, encode_acl({}, _ALL))
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.ENOSYS):
            msg = f"{where}: its file system keeps no access control lists ({error.strerror}); take ext4, XFS or btrfs"
            raise StorageError(errno.EOPNOTSUPP, msg) from error
        raise
