"""What a contestant loses when the power goes: a writer on a loop-mounted ext4 that is shut down without a flush, then mounted again.

Needs Linux, root and mkfs.ext4. `python -m benchmarks.powercut write|read CONTESTANT PLACE` are the processes that it starts.
"""

import fcntl
import json
import os
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.append import SMALL_COLUMNS, SMALL_ROWS, some_rows
from benchmarks.contestants import opened

SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32), as in the kernel's include/uapi/linux/fs.h
WITHOUT_FLUSH = 2
IMAGE_BYTES = 512 << 20
PATIENCE_SECONDS = 60
APPENDS = 40


@dataclass(frozen=True, slots=True)
class Loss:
    """Appends that were acknowledged before a cut, those that were there afterwards, and what kept them from being read."""

    acknowledged: int
    lost: int
    problem: str = ""


def loss_of(name: str, number: int) -> Loss:
    """One cut, at a moment that the number seeds, after some dozens of appends were acknowledged."""
    random = np.random.default_rng(number)
    with tempfile.TemporaryDirectory() as folder:
        image, place = Path(folder) / "image", Path(folder) / "mounted"
        place.mkdir()
        with image.open("wb") as file:
            file.truncate(IMAGE_BYTES)
        subprocess.run(["mkfs.ext4", "-q", image], check=True)
        with _mounted(image, place):
            acknowledged = _write_until_the_cut(name, place, APPENDS + int(random.integers(0, APPENDS)))
        with _mounted(image, place):
            done = _child("read", name, place).communicate(timeout=PATIENCE_SECONDS)[0]
    found = json.loads(done.splitlines()[-1]) if done.strip() else {"appends": 0, "problem": "the reader died"}
    return Loss(acknowledged, max(acknowledged - found["appends"], 0), found["problem"])


def _write_until_the_cut(name: str, place: Path, appends: int) -> int:
    """How many appends were acknowledged when the medium was shut down."""
    with _child("write", name, place) as writer:
        assert writer.stdout is not None
        acknowledged = 0
        for line in writer.stdout:
            acknowledged = int(line)
            if acknowledged >= appends:
                break
        fd = os.open(place, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, SHUTDOWN, struct.pack("I", WITHOUT_FLUSH))
        finally:
            os.close(fd)
        writer.kill()
        # What was acknowledged before the shutdown is all that counts: lines in the pipe may have come after it.
        return acknowledged


@contextmanager
def _mounted(image: Path, place: Path) -> Iterator[None]:
    subprocess.run(["mount", "-o", "loop", image, place], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", place], check=True)


def _child(what: str, name: str, place: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.powercut", what, name, str(place / "data")]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=Path(__file__).parents[1])


def _write(name: str, place: Path) -> None:
    contestant = opened(name, place)
    assert contestant is not None
    # What was made before the first append is as durable as can be: the cut is about appends.
    os.sync()
    for number in range(1_000_000):
        contestant.append(some_rows(SMALL_ROWS, SMALL_COLUMNS, number))
        print(number + 1, flush=True)


def _read(name: str, place: Path) -> None:
    """Tell how many appends are there from the first on, whole."""
    appends, problem = 0, ""
    try:
        contestant = opened(name, place)
        assert contestant is not None
        times = contestant.times()
        expected = np.concatenate([some_rows(SMALL_ROWS, SMALL_COLUMNS, number)["time"] for number in range(len(times) // SMALL_ROWS + 1)])
        same = times == expected[: len(times)]
        appends = int(np.argmin([*same, False])) // SMALL_ROWS
    except BaseException as error:  # noqa: BLE001 - whatever it is, the rows can't be had
        problem = f"{type(error).__name__}: {error}"[:200]
    print(json.dumps({"appends": appends, "problem": problem}))


if __name__ == "__main__":
    {"write": _write, "read": _read}[sys.argv[1]](sys.argv[2], Path(sys.argv[3]))
