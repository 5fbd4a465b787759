"""What the operating system refused, said with the key, the place and the remedy."""

import errno

from arraystore.errors import Conflict, Corrupt, StorageError
from arraystore.storage.base import WHOLE_LIMIT_BYTES

_REMEDIES = {
    errno.ENOSPC: "the medium is full; free space, then repeat the call",
    errno.EDQUOT: "this user's quota is used up; free space or raise it, then repeat the call",
    errno.EROFS: "the medium is mounted read-only, or became so after an error; look at the system's log, and remount it to write",
    errno.EMFILE: "this process has too many open files; raise its limit (ulimit -n) or write less at once",
    errno.ENFILE: "the system has too many open files; raise fs.file-max or close some",
    errno.EACCES: "this user may not; check the owner and the mode of the directories on the way",
    errno.EPERM: "this user, or the kind of medium, may not; check the owner, and that it is ext4, XFS or btrfs",
    errno.EIO: "the medium failed; look at the system's log before writing to it again",
    errno.ELOOP: "a symbolic link is in the way, and none is followed below a root; remove it, or map the class to where it leads",
    errno.ENOTDIR: "an object lies where a directory is needed; find out who put it there",
    errno.EINVAL: "it isn't a regular file; find out who put it there",
    errno.EXDEV: "another medium is mounted below the root; map the class to it instead",
    errno.ESTALE: "the medium is gone; mount it again and open the store anew",
}


def storage_error(error: OSError, doing: str, key: str, url: str) -> StorageError:
    """`error` as ours: the errno is kept, the text tells what was done to which key and what to do now."""
    number = error.errno or errno.EIO
    remedy = _REMEDIES.get(number, "look at the system's log, then repeat the call")
    return StorageError(number, f"{doing} {key!r} in {url} failed: {error.strerror or error}: {remedy}")


def too_long(key: str, url: str, size: int) -> Corrupt:
    """What to raise of an object that is longer than any that is read at once."""
    return Corrupt(f"{url}: {key!r} has {size} bytes, more than the {WHOLE_LIMIT_BYTES} of any object that is read whole: look at it")


def changed(key: str, url: str) -> Conflict:
    """The error for who would replace what isn't there any more."""
    return Conflict(f"{url}: the object {key!r} isn't what it was when it was read: read it again, and decide anew")
