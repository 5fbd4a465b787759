"""Stores on every kind of storage, and a little market data to put into them."""

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from obstore.store import LocalStore, MemoryStore

import arraystore
from arraystore.storage import Storage
from arraystore.storage.objects import ObjectStorage

DAY = 86_400 * 10**9
START = arraystore.parse_time("2024-08-08")

type OpenAs = Callable[[str], arraystore.Store]


def rows(count: int, start: int = START, step: int = 10**9, first: int = 0) -> dict[str, Any]:
    """Trades `first` to `first + count`, `step` ns apart, told apart by their size."""
    numbers = np.arange(first, first + count)
    return {
        "time": start + numbers * step,
        "price": 60_000 + (numbers % 7) * 0.1,
        "size": numbers.astype(np.float64),
        "side": np.where(numbers % 2, 1, -1).astype(np.int8),
        "flags": np.zeros(count, np.uint8),
    }


class _Buckets:
    """One obstore store per URL, so that roles share it."""

    def __init__(self, make: Callable[[str], Any]) -> None:
        self._made: dict[str, Storage] = {}
        self._make = make

    def __call__(self, url: str, /, *, create: bool = False) -> Storage:
        if url not in self._made:
            self._made[url] = ObjectStorage(self._make(url), url)
        return self._made[url]


@pytest.fixture(params=["memory", "local", "bucket", "bucket-on-disk"])
def open_as(request: pytest.FixtureRequest, tmp_path: Path) -> OpenAs:
    """Opens one and the same store as any role."""
    kind = request.param
    if kind == "memory":
        url, options = f"memory://{uuid.uuid4().hex}", {}
    elif kind == "local":
        url, options = str(tmp_path / "store"), {}
    else:

        def make(place: str) -> Any:
            return MemoryStore() if kind == "bucket" else LocalStore(str(tmp_path / place.replace("/", "_").replace(":", "_")), mkdir=True)

        url, options = "s3://bucket/prefix", {"opener": _Buckets(make)}
    return lambda role: arraystore.open_store(url, role=role, create=True, **options)  # type: ignore[arg-type]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A store on disk."""
    path = tmp_path / "store"
    arraystore.init_store(path)
    return path


@pytest.fixture
def trades(root: Path) -> arraystore.Dataset:
    """An empty dataset of trades on disk, as data quality sees it."""
    store = arraystore.open_store(root, role="data-quality")
    return store.canonical.create(("venue", "trades", "BTCUSDT"), arraystore.schema_by_name("trades"))
