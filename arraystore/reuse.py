"""Memory for large results, used again once nobody holds the last of them: touching fresh memory costs a quarter of a scan.

What lies idle is bounded by `IDLE_BYTES`, and marked so that the system may take it back whenever it is short of memory. Where
the system has no such mark (it is Linux's), memory comes fresh each time.
"""

import contextlib
import math
import mmap
import sys
from collections import deque

import numpy as np

LEAST_BYTES = 4 << 20
IDLE_BYTES = 1 << 30  # ten million rows of twelve columns
BLOCK_BYTES = 2 << 20  # a huge page
SLACK = 1.25  # a block may be so many times larger than what is asked for

# Oldest first. No lock: blocks come back whenever Python drops an array, even while this very thread holds one.
_idle: deque[mmap.mmap] = deque()


class _Lease:
    """Lends a block for as long as any array or view of it lives."""

    def __init__(self, block: mmap.mmap) -> None:
        self._block = block

    def __buffer__(self, _flags: int) -> memoryview:
        return memoryview(self._block)

    def __del__(self) -> None:
        if not sys.is_finalizing():
            _give_back(self._block)


def allocate(shape: tuple[int, ...], dtype: np.dtype | str) -> np.ndarray:
    """An array of arbitrary contents, as from `numpy.empty`."""
    dtype = np.dtype(dtype)
    count = math.prod(shape)
    size = count * dtype.itemsize
    if size < LEAST_BYTES or sys.platform != "linux":
        return np.empty(shape, dtype)
    try:
        block = _find(size) or _map(size)
    except OSError:
        return np.empty(shape, dtype)  # raises the MemoryError that callers know
    return np.frombuffer(_Lease(block), dtype, count).reshape(shape)


def idle_bytes() -> int:
    """How much lies idle."""
    return sum(map(len, tuple(_idle)))


def _find(size: int) -> mmap.mmap | None:
    """An idle block that fits."""
    for _ in range(len(_idle)):
        with contextlib.suppress(IndexError):  # another thread was quicker
            block = _idle.popleft()
            if size <= len(block) <= size * SLACK + BLOCK_BYTES:
                return block
            _idle.append(block)
    return None


def _map(size: int) -> mmap.mmap:
    block = mmap.mmap(-1, -(-size // BLOCK_BYTES) * BLOCK_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # a system without huge pages
        block.madvise(mmap.MADV_HUGEPAGE)
    return block


def _give_back(block: mmap.mmap) -> None:
    if len(block) > IDLE_BYTES:
        return  # nobody holds it, so it is unmapped
    block.madvise(mmap.MADV_FREE)
    _idle.append(block)
    while idle_bytes() > IDLE_BYTES:
        with contextlib.suppress(IndexError):
            _idle.popleft()
