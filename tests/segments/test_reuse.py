"""Memory of large results is used again, and never while anyone can still see it."""

import gc
import sys

import numpy as np
import pytest

from arraystore import reuse

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory comes fresh where idle memory can't be marked free")
LARGE = 1_000_000


@pytest.fixture(autouse=True)
def _nothing_idle():
    gc.collect()
    reuse._idle.clear()
    yield
    reuse._idle.clear()


def test_memory_is_used_again_once_the_last_view_is_gone():
    array = reuse.allocate((LARGE,), "float64")
    address = array.ctypes.data
    view = array[10:20].view("int64")
    exported = memoryview(view)
    del array
    assert reuse.idle_bytes() == 0
    del view
    assert reuse.idle_bytes() == 0
    del exported
    assert reuse.idle_bytes() >= 8 * LARGE
    again = reuse.allocate((LARGE // 2, 2), "int64")
    assert again.ctypes.data == address
    assert reuse.idle_bytes() == 0


def test_arrays_that_live_together_never_share_memory():
    arrays = [reuse.allocate((LARGE,), "float64") for _ in range(3)]
    for number, array in enumerate(arrays):
        array[:] = number
    assert [array.min() for array in arrays] == [array.max() for array in arrays] == [0, 1, 2]


def test_a_block_far_too_large_is_left_for_others():
    large = reuse.allocate((8 * LARGE,), "float64")
    del large
    idle = reuse.idle_bytes()
    assert reuse.allocate((LARGE,), "float64").nbytes == 8 * LARGE
    assert reuse.idle_bytes() == idle + -(-8 * LARGE // reuse.BLOCK_BYTES) * reuse.BLOCK_BYTES


def test_what_lies_idle_is_bounded(monkeypatch):
    monkeypatch.setattr(reuse, "IDLE_BYTES", 20 << 20)
    arrays = [reuse.allocate((LARGE,), "float64") for _ in range(5)]
    arrays.clear()
    assert 0 < reuse.idle_bytes() <= 20 << 20


def test_small_arrays_and_other_shapes_are_as_from_numpy():
    small = reuse.allocate((3, 2), "float32")
    assert small.base is None
    large = reuse.allocate((LARGE, 3), "float64")
    assert large.shape == (LARGE, 3)
    assert large.flags.c_contiguous
    assert large.flags.writeable
    assert reuse.allocate((0,), "float64").size == 0


def test_too_much_is_a_memory_error():
    with pytest.raises(MemoryError):
        reuse.allocate((1 << 60,), np.uint8)
