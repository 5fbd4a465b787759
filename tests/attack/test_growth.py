"""What an append, an open and a look at changes cost doesn't grow with what came before: counted in calls and bytes, not in time."""

import uuid
from collections import Counter
from statistics import median
from typing import Any

import numpy as np
import pytest

import arraystore
from arraystore import Column, Kind, Schema
from arraystore.storage import MemoryStorage
from tests.store.conftest import DAY, START

KEY = ("venue", "trades", "X")
COUNT = 3_000
PLAIN = Schema(name="plain", order="arrival", columns=(Column(name="time", kind=Kind.TIME), Column(name="size")))


class Ledger:
    """Counts calls to the storages of one store, and the bytes that went through them."""

    def __init__(self) -> None:
        self.name = uuid.uuid4().hex
        self.calls: Counter[str] = Counter()
        self.read = self.written = 0

    def opener(self, url: str, /, *, create: bool = False) -> Any:
        ledger = self

        class Counted(MemoryStorage):
            def __getattribute__(self, name: str) -> Any:
                found = super().__getattribute__(name)
                if name.startswith("_") or not callable(found):
                    return found

                def call(*args: Any, **options: Any) -> Any:
                    result = found(*args, **options)
                    ledger.calls[name] += 1
                    ledger.read += len(result) if isinstance(result, bytes) else 0
                    ledger.written += len(args[1]) if name in {"create", "put"} else 0
                    return result

                return call

        return Counted(self.name, url.removeprefix("memory://").replace("//", "/"), create=create)

    def take(self) -> tuple[int, int, int]:
        """Calls, bytes read and bytes written since the last time."""
        taken = self.calls.total(), self.read, self.written
        self.calls.clear()
        self.read = self.written = 0
        return taken


def opened(ledger: Ledger, role: str = "data-quality") -> arraystore.Store:
    return arraystore.open_store("memory://growing", role=role, create=True, opener=ledger.opener)


def one(number: int, start: int = START) -> dict[str, np.ndarray]:
    return {"time": np.array([start + number]), "size": np.array([float(number)])}


def stored(ledger: Ledger, folder: str) -> int:
    storage = MemoryStorage(ledger.name, "growing/canonical/venue/trades/X")
    return sum(storage.size(f"{folder}/{name}") for name in storage.list(folder).objects)


@pytest.fixture(scope="module")
def grown() -> tuple[Ledger, list[tuple[int, int, int]]]:
    """A dataset of many small appends, and what each cost."""
    ledger = Ledger()
    dataset = opened(ledger).canonical.create(KEY, PLAIN)
    costs = []
    ledger.take()
    for number in range(COUNT):
        dataset.append(one(number), token=("writer", number))
        costs.append(ledger.take())
    return ledger, costs


def test_an_append_costs_the_same_whatever_came_before(grown: tuple[Ledger, list[tuple[int, int, int]]]) -> None:
    _, costs = grown
    early, late = costs[300:1300], costs[-1000:]
    for what in range(3):
        assert median(cost[what] for cost in late) <= 1.1 * median(cost[what] for cost in early) + 64
        assert sum(cost[what] for cost in late) <= 1.2 * sum(cost[what] for cost in early)
    assert median(cost[0] for cost in costs) <= 12
    assert sum(cost[2] for cost in costs) < 2.5 * COUNT * 1_500, "checkpoints and folds included"


def test_checkpoints_weigh_no_more_than_the_log(grown: tuple[Ledger, list[tuple[int, int, int]]]) -> None:
    ledger, _ = grown
    assert stored(ledger, "_checkpoints") + stored(ledger, "_manifests") <= stored(ledger, "_log")


def test_a_fresh_reader_folds_little_and_reads_all(grown: tuple[Ledger, list[tuple[int, int, int]]]) -> None:
    ledger, _ = grown
    ledger.take()
    dataset = opened(ledger, "analysis").canonical[KEY]
    calls, read, _ = ledger.take()
    assert dataset.version == COUNT + 1
    assert calls < 250
    assert read < 600_000, "not the whole log"
    assert dataset.read()["size"].tolist() == list(range(COUNT))
    assert ledger.take()[0] < 300, "a call for each of at most 255 tails"
    assert not dataset.verify(deep=True)


def test_following_changes_costs_what_changed(grown: tuple[Ledger, list[tuple[int, int, int]]]) -> None:
    ledger, _ = grown
    surface = opened(ledger, "analysis").canonical
    cursor = surface.changes().cursor
    ledger.take()
    assert len(surface.changes(cursor)) == 0
    nothing = ledger.take()[0]
    opened(ledger).canonical.create((*KEY[:2], "another"), PLAIN)  # the other tests count on what has grown
    ledger.take()
    assert len(surface.changes(cursor)) == 1
    assert ledger.take()[0] < nothing + 250


def test_a_commit_of_many_windows_is_read_once() -> None:
    ledger = Ledger()
    dataset = opened(ledger).canonical.create(KEY, PLAIN)
    days = 400
    dataset.append({"time": START + np.arange(days) * DAY, "size": np.arange(days, dtype=float)})
    ledger.take()
    assert dataset.read()["size"].tolist() == list(range(days))
    calls, read, _ = ledger.take()
    assert calls < 20
    assert read < 2 << 20
    assert dataset.read(START + 7 * DAY, START + 8 * DAY).row_count == 1


def test_many_writers_don_t_make_every_checkpoint_dear() -> None:
    """Every append by a writer of its own, whose token is kept: the table of writers grows, and is written ever less often."""
    ledger = Ledger()
    dataset = opened(ledger).canonical.create(KEY, PLAIN)
    ledger.take()
    costs = []
    for number in range(1_200):
        dataset.append(one(number), token=(f"{number:080d}", 0))
        costs.append(ledger.take()[2])
    assert stored(ledger, "_checkpoints") + stored(ledger, "_manifests") <= stored(ledger, "_log")
    assert sum(costs[-400:]) < 2 * sum(costs[:400])


def test_a_commit_for_each_window_gets_checkpoints_too() -> None:
    """Else whoever opens a dataset of many windows folds every commit it ever had."""
    ledger = Ledger()
    dataset = opened(ledger).canonical.create(KEY, PLAIN)
    for number in range(1_500):
        dataset.append(one(0, START + number * DAY))
    state = dataset._log.head()
    assert state.checkpoint is not None
    assert state.version - state.checkpoint[0] < 300
    assert stored(ledger, "_checkpoints") + stored(ledger, "_manifests") <= 2_048 * 1_500
    ledger.take()
    assert opened(ledger, "analysis").canonical[KEY].version == 1_501
    assert ledger.take()[0] < 350
