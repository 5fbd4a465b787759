"""What a local medium can do: its kind, whether it ignores case, and queueing on a lock file."""

import errno
import fcntl
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from arraystore.errors import StorageError
from arraystore.storage.descent import Directory, open_file, way
from arraystore.storage.keys import TEMPORARY
from arraystore.storage.localroot import LocalRoot
from arraystore.storage.localsteps import ATTEMPTS

_NETWORK = frozenset(("afs", "cifs", "fuse.sshfs", "ncpfs", "nfs", "nfs4", "smb3", "smbfs"))
_MAY_NOT = frozenset((errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT))
_NO_FLOCK = frozenset((errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL))


def check_medium(path: str) -> None:
    """Refuse network file systems: they may link twice, or lose what was synced, without saying so."""
    kind = kind_of_medium(path)
    if kind in _NETWORK:
        raise StorageError(errno.EOPNOTSUPP, f"{path} lies on {kind}, which serves readers only; make the store on ext4, XFS or btrfs")


def kind_of_medium(path: str) -> str:
    """The type of the file system at `path`, as mount(8) calls it; empty if it can't be told."""
    device = Path(path).stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    with suppress(OSError):
        for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            mount, _, medium = line.partition(" - ")
            if mount.split(" ")[2] == wanted:
                return medium.split(" ")[0]
    return ""


def ignores_case(root: Directory) -> bool:
    """Whether names that differ in case only are one; where no file may be made, nobody can make a second name either."""
    token = secrets.token_hex(8)
    name = f"{TEMPORARY}{token}-a"
    try:
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=root.fd))
    except OSError:
        return False
    try:
        os.stat(f"{TEMPORARY}{token}-A", dir_fd=root.fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    else:
        return True
    finally:
        with suppress(OSError):
            os.unlink(name, dir_fd=root.fd)


@contextmanager
def holding(directory: Directory) -> Iterator[None]:
    """Hold flock() on a directory while the context lasts, where that is possible."""
    fd = directory.reopened()
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in _NO_FLOCK:
                raise
        yield
    finally:
        with suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_UN)
        os.close(fd)


@contextmanager
def queue(root: LocalRoot, above: Sequence[str], name: str, failure: Callable[[OSError], Exception]) -> Iterator[None]:
    """Hold flock() on a file while the context lasts, where that is possible."""
    try:
        fd = _lock_file(root, above, name)
    except OSError as error:
        if error.errno not in _MAY_NOT:
            raise failure(error) from error
        fd = None
    if fd is None:
        yield
        return
    try:
        try:
            # Each holder has a descriptor of its own, so threads of one process exclude each other too.
            fcntl.flock(fd, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in _NO_FLOCK:
                raise failure(error) from error
        yield
    finally:
        with suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_UN)  # a child forked meanwhile has the descriptor too, and would hold on to the lock
        os.close(fd)


def _lock_file(root: LocalRoot, above: Sequence[str], name: str) -> int:
    with suppress(FileNotFoundError):
        return open_file(root.opened().root, [*above, name])[0]
    flags = os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    for left in reversed(range(ATTEMPTS)):
        try:
            chain, _ = way(root.opened().root, above, make=True)
            try:
                return os.open(name, flags, 0o666, dir_fd=chain[-1].fd)
            except FileExistsError:
                return open_file(chain[-1], [name])[0]
        except FileNotFoundError:
            if left == 0:
                raise
    raise AssertionError("the last attempt returns or raises")
