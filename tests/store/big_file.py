"""A file too large to hold, made as it is read; and a process of its own to keep, copy or read one, which tells what that took.

python -m tests.store.big_file add|copy|read ROOT BYTES
"""

import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import arraystore

MIB = 1 << 20
KEY = ("bars", "1m", "venue", "BTCUSDT")
NAME = "model.bin"
_NOISE = np.random.default_rng(3).bytes(9 * MIB)


def block(number: int) -> bytes:
    """The bytes of one MiB: noise, no two alike."""
    start = number * 4_099 % (8 * MIB)
    return number.to_bytes(8, "big") + _NOISE[start + 8 : start + MIB]


def content(start: int, stop: int) -> bytes:
    """The bytes of `[start, stop)`."""
    numbers = range(start // MIB, -(-stop // MIB))
    return b"".join(map(block, numbers))[start - numbers.start * MIB :][: stop - start]


class BigFile:
    """Reads like an open file of so many bytes: forwards only, in pieces of whatever size the reader likes; tells how far it came."""

    def __init__(self, size: int, *, tell: bool = False) -> None:
        self.size = size
        self.position = 0
        self._tell = tell

    def read(self, count: int = -1) -> bytes:
        stop = self.size if count < 0 else min(self.size, self.position + count)
        data, self.position = content(self.position, stop), stop
        if self._tell and self.position % (256 * MIB) == 0:
            sys.stdout.write(f"{self.position // MIB}\n")
            sys.stdout.flush()
        return data


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def add(root: str, size: int) -> Iterator[None]:
    """Keep it as an artifact."""
    derived = arraystore.open_store(root, role="analysis").derived
    dataset = derived.create(KEY, arraystore.schema_by_name("trades"), exist_ok=True)
    dataset.add_file(b"small", "small.bin")  # whatever is loaded at first
    yield
    dataset.add_file(BigFile(size, tell=True), NAME)


def copy(root: str, size: int) -> Iterator[None]:
    """Copy it to a plain file, durably: what can't be beaten."""
    source = BigFile(size)
    yield
    with (Path(root) / "copy.bin").open("wb") as file:
        while piece := source.read(MIB):
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())  # noqa: TID251 - the physical limit


def read(root: str, size: int) -> Iterator[None]:
    """Read the artifact from end to end, block by block."""
    artifact = arraystore.open_store(root, role="analysis").derived[KEY].artifacts()[NAME]
    artifact.read_range(0, 1)
    yield
    assert sum(map(len, artifact.blocks())) == size


def main(what: str, root: str, size: str) -> None:
    steps = {"add": add, "copy": copy, "read": read}[what](root, int(size))
    next(steps)
    before, began = peak_bytes(), time.perf_counter()
    next(steps, None)
    seconds = time.perf_counter() - began
    told = {
        "MB_per_second": round(int(size) / seconds / 1e6),
        "peak_MiB": peak_bytes() // MIB,
        "peak_growth_MiB": (peak_bytes() - before) / MIB,
    }
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
