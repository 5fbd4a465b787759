"""What travels in a commit: rows of a few windows, and never so many that who reads one of them reads them all."""

import uuid

import numpy as np
import pytest

import arraystore
from arraystore.datasets.writer import _tail_limit
from layouts.chunking import COMMIT_TAILS_BYTES, KIB, TAIL_BYTES, TINY_TAIL_BYTES
from tests.store.conftest import DAY, START, rows

KEY = ("venue", "trades", "BTCUSDT")


def days(counts: list[int]) -> dict[str, np.ndarray]:
    """So many trades on each of as many days."""
    parts = [rows(count, start=START + day * DAY, step=10**6, first=day) for day, count in enumerate(counts)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def test_a_year_of_small_days_is_no_giant_commit() -> None:
    store = arraystore.open_store(f"memory://{uuid.uuid4().hex}", role="data-quality", create=True)
    trades = store.canonical.create(KEY, arraystore.schema_by_name("trades"))
    few = days([2_000 + 10 * day for day in range(40)] + [5] * 50)  # 26 bytes a row: 2 MiB in all
    trades.append(few)
    assert trades._log.record(trades.version)[3] > 2_000_000
    assert not trades.segments()
    trades.append(days([4_900] * 40 + [5] * 50))
    assert trades._log.record(trades.version)[3] < 100 * KIB
    assert [bool(trades.manifest(name).segments[-1].segment) for name in trades.windows()] == [True] * 40 + [False] * 50
    assert trades.read("2024-08-08", "2024-08-09")["size"][:2_000].tobytes() == few["size"][:2_000].tobytes()
    assert trades.rows == len(few["time"]) + 40 * 4_900 + 50 * 5


@pytest.mark.parametrize(
    ("sizes", "limit"),
    [
        ([TAIL_BYTES] * 32, TAIL_BYTES),
        ([TAIL_BYTES] * 33, TINY_TAIL_BYTES),
        ([TAIL_BYTES] * 31 + [TAIL_BYTES - 1] * 2, TAIL_BYTES - 1),
        ([TAIL_BYTES] * 60 + [50 * KIB] * 20, 50 * KIB),
        ([KIB] * 100_000, TINY_TAIL_BYTES),
        ([KIB] * 100_000 + [8 * KIB], TINY_TAIL_BYTES),
        ([], TAIL_BYTES),
    ],
)
def test_the_largest_leave_the_commit_first(sizes: list[int], limit: int) -> None:
    assert _tail_limit(sizes) == limit
    kept = [size for size in sizes if TINY_TAIL_BYTES < size <= limit]
    assert sum(kept) <= COMMIT_TAILS_BYTES
