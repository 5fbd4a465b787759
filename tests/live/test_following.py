"""A follower is told of every row once, of corrections as such, in whole commits, also after it was away."""

import asyncio
import threading
import uuid
from pathlib import Path
from unittest import mock

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import arraystore
from arraystore import Column, Pin, Schema
from arraystore.errors import Corrupt, InvalidInput, NotFound, VersionExpired
from tests.attack.test_growth import PLAIN, Ledger, one, opened
from tests.store.conftest import DAY, START, rows

KEY = ("venue", "trades", "X")
SCHEMA = arraystore.schema_by_name("trades")


def new(order: str = "arrival") -> arraystore.Dataset:
    store = arraystore.open_store(f"memory://{uuid.uuid4().hex}", role="data-quality", create=True)
    return store.canonical.create(KEY, msgspec.structs.replace(SCHEMA, order=arraystore.Order(order)))


def numbers(frame: arraystore.Frame) -> list[int]:
    return np.asarray(frame["size"]).astype(int).tolist()


class Replica:
    """What a follower knows: the rows of each window, as they were told."""

    def __init__(self) -> None:
        self.rows: dict[str, list[tuple[int, int]]] = {}
        self.position: Pin | int = 1

    def follow(self, dataset: arraystore.DatasetView, most: int | None = None) -> None:
        """Take up to so many updates, having been away."""
        follower = dataset.follow(since=self.position)
        while most is None or most > 0:
            update = follower.poll()
            if update is None:
                return
            assert set(update.corrected) <= set(update.windows) == set(update.frames)
            for window, frame in update.frames.items():
                told = list(zip(frame["time"].astype(np.int64).tolist(), numbers(frame), strict=True))
                known = [] if window in update.corrected else self.rows.get(window, [])
                fresh = {number for _, number in told}
                assert window in update.corrected or not fresh & {number for _, number in known}, "no row is told twice"
                self.rows[window] = known + told
            self.position = msgspec.json.decode(msgspec.json.encode(update.pin), type=Pin)
            most = None if most is None else most - 1

    def read(self, order: str) -> list[int]:
        return [
            number
            for _, told in sorted(self.rows.items())
            for _, number in (sorted(told, key=lambda row: row[0]) if order == "time" else told)
        ]


calls = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(0, 2), st.integers(1, 4), st.integers(0, 5)),
        st.tuples(st.just("large"), st.integers(0, 2), st.integers(1, 3), st.integers(0, 5)),
        st.tuples(st.just("both"), st.integers(0, 1), st.integers(1, 3), st.integers(0, 5)),
        st.tuples(st.just("replace"), st.integers(0, 2), st.integers(1, 3), st.integers(0, 5)),
        st.tuples(st.just("withdraw"), st.integers(0, 2)),
        st.tuples(st.just("complete"), st.integers(0, 2)),
        st.tuples(st.just("compact"), st.just(0)),
        st.tuples(st.just("update"), st.just(0)),
        st.tuples(st.just("follow"), st.integers(1, 4)),
    ),
    min_size=3,
    max_size=14,
)


class Writer:
    """Does as a script says."""

    def __init__(self, order: str) -> None:
        self.dataset = new(order)
        self.operations = arraystore.open_store(self.dataset.location.partition("/canonical")[0], role="operations").canonical[KEY]
        self.first = 0

    def some(self, day: int, count: int, second: int) -> dict[str, np.ndarray]:
        """Rows, half a second apart, that nobody had before."""
        first, half = self.first, 5 * 10**8
        self.first += count
        return rows(count, start=START + day * DAY + second * 10**9 - first * half, step=half, first=first)

    def append(self, *where: int) -> None:
        self.dataset.append(self.some(*where), reopen=True)

    def large(self, *where: int) -> None:
        with mock.patch("arraystore.datasets.writer.TAIL_BYTES", 0):
            self.append(*where)

    def both(self, day: int, *where: int) -> None:
        parts = [self.some(day + more, *where) for more in (0, 1)]
        self.dataset.append({name: np.concatenate([part[name] for part in parts]) for name in parts[0]}, reopen=True)

    def replace(self, day: int, *where: int) -> None:
        if name := self.present(day):
            self.dataset.replace(name, self.some(day, *where), reason="corrected")

    def withdraw(self, day: int) -> None:
        if name := self.present(day):
            self.dataset.withdraw(name, reason="wrong")

    def complete(self, day: int) -> None:
        if name := self.present(day):
            self.dataset.update(window=name, completeness="complete")

    def compact(self, _: int) -> None:
        self.operations.refresh().compact()
        self.dataset.refresh()

    def update(self, _: int) -> None:
        self.dataset.update(attributes={"seen": self.first})

    def present(self, day: int) -> str:
        name = f"2024-08-{8 + day:02d}"
        return name if name in self.dataset.windows() else ""


@settings(max_examples=40, deadline=None)
@given(calls, st.sampled_from(["arrival", "time"]))
def test_whoever_follows_has_what_whoever_reads_has(script: list[tuple], order: str) -> None:
    writer, replica = Writer(order), Replica()
    for what, *where in script:
        if what == "follow":
            replica.follow(writer.dataset, where[0])
        else:
            getattr(writer, what)(*where)
    replica.follow(writer.dataset)
    assert replica.read(order) == numbers(writer.dataset.read())


def test_one_commit_is_one_update_over_all_its_windows() -> None:
    dataset = new()
    follower = dataset.follow(columns=["size", "time"])
    assert follower.poll() is None
    dataset.append(rows(4, step=DAY // 2), completeness="complete")
    dataset.replace("2024-08-08", rows(1, first=9) | {"time": np.array([START])}, reason="wrong")
    dataset.withdraw("2024-08-09", reason="worse")
    came, replaced, withdrawn = follower.poll(), follower.poll(), follower.poll()
    assert came is not None
    assert replaced is not None
    assert withdrawn is not None
    assert (came.version, came.operation, came.windows, came.corrected) == (2, "append", ("2024-08-08", "2024-08-09"), ())
    assert (came.row_count, list(came.frame), numbers(came.frame)) == (4, ["size", "time"], [0, 1, 2, 3])
    assert came.completeness == {"2024-08-08": "complete", "2024-08-09": "complete"}
    assert (replaced.corrected, numbers(replaced.frame)) == (("2024-08-08",), [9])
    assert (withdrawn.corrected, withdrawn.row_count, list(withdrawn.frame)) == (("2024-08-09",), 0, ["size", "time"])
    assert follower.position == withdrawn.pin == dataset.pin()


def test_following_ends_when_told_when_nothing_comes_and_when_nothing_can() -> None:
    dataset = new()
    assert list(dataset.follow(timeout=0)) == []
    dataset.append(rows(1))
    stop = threading.Event()
    seen = []
    for update in dataset.follow(since=1, stop=stop):
        seen.append(update.version)
        stop.set()
    assert seen == [2]
    store = arraystore.open_store(f"memory://{uuid.uuid4().hex}", role="backtesting", create=True)
    with store.experiments.run("grid", run_id="one") as run:
        run.write("equity", {"time": [1, 2], "size": [1.0, 2.0]}, schema=Schema(name="equity", columns=PLAIN.columns, window="whole"))
    told = [
        (update.operation, {name: numbers(frame) for name, frame in update.frames.items()})
        for update in store.experiments["grid", "one"].follow(1)
    ]
    assert ("append", {"equity": [1, 2]}) in told


def test_an_event_loop_follows_too() -> None:
    dataset = new()

    async def work() -> list[int]:
        follower = dataset.follow(timeout=5, poll_seconds=0.01)
        task = asyncio.create_task(anext(follower))
        await asyncio.sleep(0.03)
        await asyncio.to_thread(dataset.append, rows(2))
        first = await task
        await asyncio.to_thread(dataset.append, rows(1, first=2))
        async for update in follower:
            return [*numbers(first.frame), *numbers(update.frame)]
        return []

    assert asyncio.run(work()) == [0, 1, 2]


@pytest.mark.parametrize("options", [{"timeout": -1}, {"poll_seconds": "1"}, {"since": 0}, {"since": 99}, {"columns": ["prize"]}])
def test_what_cant_be_followed_is_refused(options: dict[str, object]) -> None:
    with pytest.raises((InvalidInput, NotFound)):
        new().follow(**options)  # type: ignore[arg-type]


def test_a_pin_of_another_log_is_no_place_to_go_on(root: Path, trades: arraystore.Dataset) -> None:
    trades.append(rows(1))
    pin = msgspec.structs.replace(trades.pin(), digest="0" * 64)
    with pytest.raises(NotFound, match="the pin names"):
        trades.follow(since=pin)


def test_a_dataset_that_is_deleted_is_followed_no_further(root: Path, trades: arraystore.Dataset) -> None:
    follower = trades.follow()
    surface = arraystore.open_store(root, role="analysis").canonical
    trades.append(rows(1))
    store = arraystore.open_store(root, role="data-quality")
    quarantine = store.quarantine.create(("venue", "trades", "X"), SCHEMA)
    bad = quarantine.follow()
    store.quarantine.delete(quarantine.key, reason="no use")
    assert follower.poll() is not None
    with pytest.raises(NotFound, match="no use"):
        bad.poll()
    assert surface[trades.key].follow(since=1).poll() is not None


def test_what_retention_took_is_said(trades: arraystore.Dataset) -> None:
    follower = trades.follow()
    with mock.patch("arraystore.versions.checkpoint.MINIMUM_LOG_BYTES", 1_000):
        for number in range(40):
            trades.append(rows(1, first=number))
    state = trades._log.head()
    assert state.checkpoint is not None
    trades._log.publish_floor(state.checkpoint[0])
    with pytest.raises(VersionExpired, match="read anew"):
        follower.poll()
    late = trades.follow(since=state.checkpoint[0] + 1)
    assert (late.poll() is not None) == (state.version > state.checkpoint[0] + 1)


def test_a_hole_in_the_log_is_damage_and_not_the_end(root: Path, trades: arraystore.Dataset) -> None:
    follower = trades.follow()
    for number in range(3):
        trades.append(rows(1, first=number))
    log = root / "canonical" / "venue" / "trades" / "BTCUSDT" / "_log"
    (log / f"{2:020d}").unlink()
    with pytest.raises(Corrupt, match="missing"):
        follower.poll()


def test_a_follower_keeps_up_with_an_appender_and_threads(trades: arraystore.Dataset, root: Path) -> None:
    reader = arraystore.open_store(root, role="analysis").canonical[trades.key]
    seen: list[int] = []
    stop = threading.Event()

    def follow() -> None:
        for update in reader.follow(poll_seconds=0.01, stop=stop, timeout=20):
            seen.extend(numbers(update.frame))
            if len(seen) == 600:
                stop.set()

    thread = threading.Thread(target=follow)
    thread.start()
    with trades.appender(max_rows=10) as appender:
        for number in range(600):
            appender.append(rows(1, first=number, step=1000))
    thread.join(30)
    assert seen == list(range(600)), "folds of 256 tails included"


def test_a_look_that_finds_nothing_costs_three_calls_however_long_the_log() -> None:
    ledger = Ledger()
    dataset = opened(ledger).canonical.create(KEY, PLAIN)
    for number in range(300):
        dataset.append(one(number))
    follower = opened(ledger, "analysis").canonical[KEY].follow()
    assert follower.poll() is None
    ledger.take()
    assert follower.poll() is None
    assert 0 < ledger.take()[0] <= 3, "this version's successor, the one after that, and the floor"


def test_rows_read_under_the_schema_in_force_when_they_came() -> None:
    dataset = new()
    dataset.append(rows(1))
    wider = msgspec.structs.replace(SCHEMA, columns=(*SCHEMA.columns, Column(name="venue_id", dtype="int64", nullable=True)))
    dataset.evolve(wider)
    dataset.append(rows(1, first=1) | {"venue_id": np.array([7])})
    first, second = dataset.follow(since=1, timeout=0)
    assert "venue_id" not in first.frame
    assert second.frame["venue_id"].tolist() == [7]
