"""A real file system, on a loop device, shut down without a flush while a writer is at work: what was acknowledged is there afterwards.

Needs Linux, root and the tools of ext4; skipped elsewhere.
"""

import fcntl
import multiprocessing
import os
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.attack import actors
from tests.attack.actors import sizes

SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32), as in the kernel's include/uapi/linux/fs.h
WITHOUT_FLUSH = 2
SIZE_BYTES = 256 << 20
CUTS = 20

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0 or not shutil.which("mkfs.ext4"), reason="needs to mount ext4"),
]


class Medium:
    """A file that holds a file system, and where it is mounted."""

    def __init__(self, folder: Path) -> None:
        self.image, self.place = folder / "image", folder / "mounted"
        self.place.mkdir()
        with self.image.open("wb") as file:
            file.truncate(SIZE_BYTES)
        subprocess.run(["mkfs.ext4", "-q", self.image], check=True)

    @contextmanager
    def mounted(self) -> Iterator[Path]:
        done = subprocess.run(["mount", "-o", "loop", self.image, self.place], check=False, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"can't mount: {done.stderr}")
        try:
            yield self.place / "store"
        finally:
            if subprocess.run(["umount", self.place], check=False).returncode:  # something still has it open
                subprocess.run(["umount", "-l", self.place], check=True)
                pytest.fail("a process of the test held the medium open")

    def shut_down(self) -> None:
        """From now on nothing reaches the medium, not even its journal."""
        fd = os.open(self.place, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, SHUTDOWN, struct.pack("I", WITHOUT_FLUSH))
        finally:
            os.close(fd)


@pytest.fixture
def medium(tmp_path: Path) -> Medium:
    return Medium(tmp_path)


@contextmanager
def running(target: Any, url: Path, *args: Any, **options: Any) -> Iterator[Any]:
    """Our end of another process's pipe: ours keeps nothing open on the medium."""
    context = multiprocessing.get_context("forkserver")
    ours, theirs = context.Pipe()
    process = context.Process(target=target, args=(str(url), *args, theirs), kwargs=options)
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        process.kill()
        process.join()
        ours.close()


def test_after_each_cut_what_was_acknowledged_is_there(medium: Medium) -> None:
    random = np.random.default_rng(3)
    counts = sizes(3, 4_000, most=30)
    ends = np.cumsum([0, *counts])
    with medium.mounted() as url, running(actors.make, url) as made:
        assert made.recv() == "made"
    done = acknowledged = 0
    for cut in range(CUTS):
        with medium.mounted() as url, running(actors.write, url, 0, counts, first=done) as acks:
            assert acks.recv() == ("ready", 0)
            time.sleep(float(random.random()) * 0.2)
            medium.shut_down()
            acked = list(until_failure(acks))
        acknowledged += len(acked)
        with medium.mounted() as url, running(actors.inspect, url) as answer:
            found, problems = answer.recv()
        assert found in {ends[done + len(acked)], ends[done + len(acked) + 1]}, f"cut {cut}: {len(acked)} were acknowledged"
        assert problems == []
        done = int(np.searchsorted(ends, found))
    assert acknowledged > CUTS, "there was something to lose"


def until_failure(acks: Any) -> Iterator[int]:
    """All that was acknowledged, until the writer noticed that it can't write any more."""
    with suppress(EOFError):
        while True:
            yield acks.recv()[0]
