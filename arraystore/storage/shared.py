"""A file that processes of one machine append to and read while it is there: nothing of it is durable, and nothing need be.

What one process has appended, every other one sees at once, for the system keeps one copy of the file. That holds as long as the medium
stays mounted: an unmounting, or a crash, may take the end of the file back. `SharedFile.identity` names the mount, so that who finds
another one there knows that this may have happened.
"""

import ctypes
import errno
import os
import stat
import sys
from functools import cache
from pathlib import Path

_HEAD_BYTES = 256  # of `struct statx` in <linux/stat.h>
_EMPTY_PATH, _MOUNT_UNIQUE = 0x1000, 0x4000
_MASK_AT, _MOUNT_AT = 0, 144


class SharedFile:
    """One such file; it is closed when nothing refers to it any more. Safe to share between threads."""

    __slots__ = ("_close", "_fd", "identity")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._close = os.close
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "it isn't a regular file")
        self.identity = identity(fd)

    def __del__(self) -> None:
        self._close(self._fd)

    @property
    def linked(self) -> bool:
        """Whether others still find it under a name."""
        return os.fstat(self._fd).st_nlink > 0

    def append(self, data: bytes) -> None:
        """Add bytes at the end, in one piece, whoever else does at the same time; OSError if they didn't all go in."""
        if os.write(self._fd, data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def read(self, start: int) -> bytes:
        """All that there is from a place on; OSError if it can't be read."""
        pieces = []
        while piece := os.pread(self._fd, 1 << 24, start):
            pieces.append(piece)
            start += len(piece)
        return b"".join(pieces)

    @property
    def size(self) -> int:
        """How long it is now."""
        return os.fstat(self._fd).st_size


def identity(fd: int) -> str:
    """What no other file or directory is called, nor this one after its medium was mounted again; empty where that can't be told."""
    mount, boot = _mount(fd), _boot()
    status = os.fstat(fd)
    return f"{boot}/{mount}/{status.st_dev}/{status.st_ino}" if mount and boot else ""


@cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _mount(fd: int) -> int:
    """The number of the mount, which the kernel gives to no other until it ends (Linux 6.8 and newer); 0 where it doesn't say."""
    call = getattr(_libc(), "statx", None)
    found = ctypes.create_string_buffer(_HEAD_BYTES)
    if call is None or call(fd, b"", _EMPTY_PATH, _MOUNT_UNIQUE, found) != 0:
        return 0
    mask = int.from_bytes(found.raw[_MASK_AT : _MASK_AT + 4], sys.byteorder)
    return int.from_bytes(found.raw[_MOUNT_AT : _MOUNT_AT + 8], sys.byteorder) if mask & _MOUNT_UNIQUE else 0


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)
