"""What travels in a commit: rows of a few windows, and never so many that who reads one of them reads them all."""

import uuid
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any
from unittest import mock

import numpy as np
import pytest

import arraystore
from arraystore.datasets.writer import WindowPlan, Writer, _tail_limit
from arraystore.storage import MemoryStorage
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
    assert _tail_limit(sizes, TAIL_BYTES) == limit
    kept = [size for size in sizes if TINY_TAIL_BYTES < size <= limit]
    assert sum(kept) <= COMMIT_TAILS_BYTES


@pytest.fixture
def crowded(monkeypatch: pytest.MonkeyPatch) -> tuple[arraystore.Dataset, list[int]]:
    """A dataset without a lock, of which another writer appends a row to the same window whenever somebody has written a segment."""
    url = f"memory://{uuid.uuid4().hex}"
    store = arraystore.open_store(url, role="data-quality", create=True)
    trades = store.canonical.create(KEY, arraystore.schema_by_name("trades"))
    other = arraystore.open_store(url, role="data-quality").canonical[KEY]
    came: list[int] = []
    really = Writer._write

    def write(self: Writer, state: Any, plans: Sequence[WindowPlan]) -> Any:
        written = really(self, state, plans)
        if written:
            with mock.patch("arraystore.datasets.writer.TAIL_COUNT", 256):
                came.append(other.append(rows(1, step=1, first=1_000_000 + len(came))).version)
        return written

    monkeypatch.setattr(MemoryStorage, "lock", lambda *_: nullcontext())
    monkeypatch.setattr("arraystore.datasets.writer.PATIENCE", 0.001)
    monkeypatch.setattr(Writer, "_write", write)
    return trades, came


@pytest.mark.parametrize("window", ["large", "full"])
def test_an_append_yields_to_others_that_are_quicker_forever(
    crowded: tuple[arraystore.Dataset, list[int]], monkeypatch: pytest.MonkeyPatch, window: str
) -> None:
    trades, came = crowded
    trades.append(rows(1, step=1))
    if window == "full":
        monkeypatch.setattr("arraystore.datasets.writer.TAIL_COUNT", 2)
    count = 1 if window == "full" else 30_000
    receipt = trades.append(rows(count, step=1, first=1))
    assert came == [3, 4, 5, 6], "so often it lost"
    assert receipt.version == 7
    assert not trades.segments()
    assert trades.read()["size"].tolist() == [
        *rows(1)["size"],
        *(rows(1, first=1_000_000 + number)["size"][0] for number in range(4)),
        *rows(count, first=1)["size"],
    ]
    assert trades.verify(deep=True) == []
    monkeypatch.undo()
    trades.append(rows(30_000, step=1, first=2_000_000))
    assert len(trades.segments()) == 1, "all tails went into it"
    assert trades.rows == 1 + 4 + count + 30_000


def test_what_is_too_large_to_yield_says_who_was_in_its_way(
    crowded: tuple[arraystore.Dataset, list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    trades, came = crowded
    trades.append(rows(1, step=1))
    monkeypatch.setattr("arraystore.datasets.writer.REPLANS", 6)
    with pytest.raises(arraystore.Conflict, match="changed the same windows 6 times in a row"):
        trades.append(rows(200_000, step=1))
    assert len(came) == 6
    assert trades.refresh().rows == 7
