"""A small store with one of everything that can be damaged, and ways to damage it."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import arraystore
from arraystore import Column, Kind, Schema
from arraystore.segments.index import forget_indexes
from arraystore.storage import MemoryStorage
from arraystore.storage.base import Storage
from tests.store.conftest import DAY, START, rows

TRADES = ("venue", "trades", "X")
ADDRESS = "canonical/venue/trades/X"
NOTES = Schema(
    name="notes",
    order="arrival",
    columns=(Column(name="time", kind=Kind.TIME), Column(name="text", kind=Kind.TEXT), Column(name="account", kind=Kind.DICTIONARY)),
)
BIG = 20_000


def fill(url: str, **options: object) -> None:
    """Two windows of segments, one of tails, a correction, a file, a run made from it, a deleted dataset, and two versions of a tag."""
    quality = arraystore.open_store(url, role="data-quality", create=True, **options)  # type: ignore[arg-type]
    trades = quality.canonical.create(TRADES, arraystore.schema_by_name("trades"))
    trades.append(rows(BIG, step=1000))
    first = trades.pin()
    trades.append(rows(BIG, START + DAY, step=1000))
    trades.append(rows(5, START + 2 * DAY))
    trades.append(rows(5, START + 2 * DAY, first=5, step=10**10))
    trades.replace("2024-08-08", rows(BIG // 2, step=1000), reason="a correction")
    trades.add_file(np.random.default_rng(0).bytes(1_500_000), name="report.bin")
    notes = quality.canonical.create(("venue", "notes", "X"), NOTES)
    count = 9000
    texts = ["é" * (number % 7) for number in range(count)]
    notes.append({"time": START + np.arange(count), "text": texts, "account": [f"a{number % 5}" for number in range(count)]})
    gone = quality.quarantine.create(("venue", "trades", "Y"), arraystore.schema_by_name("trades"))
    gone.append(rows(BIG, step=1000))
    quality.quarantine.delete(("venue", "trades", "Y"), reason="rejected")
    quality.tag("first", [first], reason="before the correction")
    quality.tag("first", [trades.pin(), notes.pin()])
    backtest = arraystore.open_store(url, role="backtesting", **options)  # type: ignore[arg-type]
    with backtest.experiments.run("grid", run_id="1") as run:
        run.read(backtest.canonical[TRADES], "2024-08-08", "2024-08-09")
        run.log(sharpe=1.0)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("upkeep") / "store"
    fill(str(root))
    return root


@pytest.fixture(scope="session")
def filled() -> dict[str, bytes]:
    url = f"memory://{uuid.uuid4().hex}"
    fill(url)
    return contents(open_root(url))


@pytest.fixture
def memory(filled: dict[str, bytes]) -> str:
    """The same in memory."""
    storage = MemoryStorage(uuid.uuid4().hex)
    for key, data in filled.items():
        storage.create(key, data)
    return storage.url


@pytest.fixture(autouse=True)
def _as_a_new_process() -> None:
    forget_indexes()


def open_root(url: str) -> Storage:
    return arraystore.storage.open_storage(url)


def keys(storage: Storage, prefix: str = "") -> Iterator[str]:
    """Every object there is."""
    listing = storage.list(prefix)
    head = f"{prefix}/" if prefix else ""
    yield from (head + name for name in listing.objects)
    for name in listing.prefixes:
        yield from keys(storage, head + name)


def contents(storage: Storage) -> dict[str, bytes]:
    """All objects and what they hold."""
    return {key: storage.get(key) for key in keys(storage)}


def flip(storage: Storage, key: str, place: float = 0.5) -> None:
    data = bytearray(storage.get(key))
    data[int(place * len(data))] ^= 1
    storage.put(key, data, durable=True)


def operations(url: str) -> arraystore.Store:
    forget_indexes()
    return arraystore.open_store(url, role="operations")


type Damage = Callable[[Storage, str], None]


def truncate(storage: Storage, key: str) -> None:
    storage.put(key, storage.get(key)[:-1], durable=True)


def empty(storage: Storage, key: str) -> None:
    storage.put(key, b"", durable=True)


def remove(storage: Storage, key: str) -> None:
    storage.delete(key)


def zeros(storage: Storage, key: str) -> None:
    storage.put(key, bytes(storage.size(key)), durable=True)


DAMAGES: dict[str, Damage] = {"flipped": flip, "truncated": truncate, "emptied": empty, "removed": remove, "zeroed": zeros}
