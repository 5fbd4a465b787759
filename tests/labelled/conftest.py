"""Datasets to look at lazily: a few windows on disk, and a meter that tells what was read of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import arraystore
from arraystore.metered import Meter, Metered
from arraystore.segments.index import forget_indexes
from arraystore.storage import open_storage

MINUTE = 60 * 10**9
DAY = 1440 * MINUTE
START = arraystore.parse_time("2024-08-08")
KEY = ("venue", "quotes", "BTCUSDT")

TICKS = arraystore.Schema(
    name="ticks",
    columns=(
        arraystore.Column(name="time", kind=arraystore.Kind.TIME, description="seen at"),
        arraystore.Column(name="price", unit="USD"),
        arraystore.Column(name="size", dtype="float32"),
        arraystore.Column(name="count", dtype="int32", nullable=True),
        arraystore.Column(name="book", levels=3),
        arraystore.Column(name="side", kind=arraystore.Kind.VOCABULARY, vocabulary=(("buy", 1), ("sell", -1))),
        arraystore.Column(name="venue", kind=arraystore.Kind.DICTIONARY, nullable=True),
        arraystore.Column(name="fee", kind=arraystore.Kind.DECIMAL, places=4),
        arraystore.Column(name="note", kind=arraystore.Kind.TEXT, nullable=True),
        arraystore.Column(name="payload", kind=arraystore.Kind.BYTES),
        arraystore.Column(name="sent", kind=arraystore.Kind.TIME, clock=arraystore.Clock.EXCHANGE, nullable=True),
    ),
)


def ticks(count: int, start: int = START, step: int = 10**9, seed: int = 0) -> dict[str, Any]:
    """Rows of every kind of column, `step` ns apart on average, many at the same time as the one before."""
    random = np.random.default_rng(seed)
    times = start + np.cumsum(random.integers(0, 3, count) * step)
    names = random.choice(["a", "bé", "", None], count)
    return {
        "time": times,
        "price": random.random(count),
        "size": random.random(count).astype(np.float32),
        "count": [None if each < 3 else int(each) for each in random.integers(0, 20, count)],
        "book": random.random((count, 3)),
        "side": random.choice([1, -1], count),
        "venue": names,
        "fee": arraystore.Decimals(random.integers(-(10**9), 10**9, count), 4),
        "note": names[::-1],
        "payload": [bytes([each]) * each for each in random.integers(0, 5, count)],
        "sent": [None if each == 0 else int(time) for each, time in zip(random.integers(0, 3, count), times, strict=True)],
    }


type Fill = Callable[..., arraystore.Dataset]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A store on disk."""
    arraystore.init_store(tmp_path / "store")
    return tmp_path / "store"


@pytest.fixture
def filled(root: Path) -> arraystore.Dataset:
    """Three days of ticks, the second of them of two segments that overlap, and a tail."""
    store = arraystore.open_store(root, role="data-quality")
    dataset = store.canonical.create(KEY, TICKS)
    dataset.append(ticks(9000, step=20 * 10**9, seed=1))
    dataset.append(ticks(5000, START + DAY + 3600 * 10**9, seed=2))
    dataset.append(ticks(20, START + DAY + 7200 * 10**9, seed=3))
    return dataset


class Metering:
    """Opens stores whose reads are counted."""

    def __init__(self) -> None:
        self.meter = Meter()

    def __call__(self, url: str, /, *, create: bool = False) -> Any:
        return Metered(open_storage(url, create=create), self.meter)

    def since(self) -> int:
        """Bytes read since the last call."""
        read, self.meter.bytes = self.meter.bytes, 0
        return read


@pytest.fixture
def metering() -> Metering:
    """An opener that counts bytes, in a process that has read no index yet."""
    forget_indexes()
    return Metering()
