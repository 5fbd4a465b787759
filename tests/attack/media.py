"""Media that tests may fill, cut off and take away: an ext4 in a file, and a small file system in memory. Linux and root only."""

import fcntl
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32), as in the kernel's include/uapi/linux/fs.h
WITHOUT_FLUSH = 2
SIZE_BYTES = 1 << 30

can_mount = pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0 or not shutil.which("mkfs.ext4"), reason="needs to mount ext4")


class Medium:
    """A file that holds an ext4, and where it is mounted."""

    def __init__(self, folder: Path) -> None:
        self.image, self.place = folder / "image", folder / "mounted"
        self.place.mkdir()
        with self.image.open("wb") as file:
            file.truncate(SIZE_BYTES)
        subprocess.run(["mkfs.ext4", "-q", self.image], check=True)

    @contextmanager
    def mounted(self, *options: str) -> Iterator[Path]:
        with mounted(self.place, "-o", ",".join(("loop", *options)), self.image):
            yield self.place / "store"

    def shut_down(self) -> None:
        """From now on nothing reaches the medium, not even its journal."""
        fd = os.open(self.place, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, SHUTDOWN, struct.pack("I", WITHOUT_FLUSH))
        finally:
            os.close(fd)


@contextmanager
def mounted(place: Path, *what: str | Path) -> Iterator[Path]:
    """Mount something there, and have it gone afterwards; skip the test where that isn't possible."""
    done = subprocess.run(["mount", *what, place], check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"can't mount: {done.stderr}")
    try:
        yield place
    finally:
        if subprocess.run(["umount", place], check=False).returncode:  # something still has it open
            subprocess.run(["umount", "-l", place], check=True)
            pytest.fail("a process of the test held the medium open")
