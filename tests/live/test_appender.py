"""An appender groups, keeps order, never drops and never doubles, and says what isn't durable yet."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import arraystore
from arraystore.datasets.appender import Appender, Sink
from arraystore.datasets.appendqueue import AppendQueue, Batch, Limits
from arraystore.errors import CommitUnknown, Conflict, FixTheCall, InvalidInput, QueueFull, StorageError
from arraystore.frames.intake import rows_from
from arraystore.frames.rows import Rows
from arraystore.storage import open_storage
from tests.attack.failing import BROKEN, FULL, WRITING, Medium
from tests.sessions.conftest import fills, session
from tests.store.conftest import START, rows

SCHEMA = arraystore.schema_by_name("trades")
KEY = ("venue", "trades", "X")


def numbers(dataset: arraystore.DatasetView) -> list[int]:
    return np.asarray(dataset.read(columns=["size"])["size"]).astype(int).tolist()


class Clock:
    """Stands still until told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now

    def advance(self, appender: Any, seconds: float) -> None:
        self.now += seconds
        with appender._changed:
            appender._changed.notify_all()


class Gate:
    """A sink that waits for permission, fails as told, and keeps what it got."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.failures: list[BaseException] = []
        self.got: list[tuple[int, list[int]]] = []

    def take(self, _: str, data: Any) -> Rows:
        return rows_from(data, SCHEMA)

    def commit(self, _: str, taken: Rows, __: Any, number: int) -> int:
        assert self.open.wait(10)
        if self.failures:
            raise self.failures.pop(0)
        self.got.append((number, taken.arrays["size"].astype(int).tolist()))
        return number

    @property
    def all(self) -> list[int]:
        """Every row's number."""
        return [number for _, got in self.got for number in got]

    def appender(self, *, on_full: str = "block", clock: Any = None, **limits: Any) -> Appender[int]:
        options = {} if clock is None else {"clock": clock}
        return Appender(Sink(take=self.take, commit=self.commit), Limits(**limits), on_full=on_full, **options)


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.open.set()


def test_many_calls_become_few_commits_in_their_order(trades: arraystore.Dataset) -> None:
    told: list[arraystore.Committed[arraystore.Receipt]] = []
    with trades.appender(max_rows=100, max_seconds=60, on_commit=told.append) as appender:
        for number in range(350):
            assert appender.append(rows(1, first=number)) == number + 1
        appender.flush()
        assert (appender.accepted, appender.acknowledged, appender.unacknowledged.rows) == (350, 350, 0)
    assert numbers(trades.refresh()) == list(range(350))
    assert trades.version - 1 == appender.commits == len(told) <= 8, "at most one more a hundred, where the thread was quick"
    assert sum(each.rows for each in told) == sum(each.appends for each in told) == 350
    assert [each.receipt.version for each in told] == list(range(2, trades.version + 1))
    assert not trades.verify(deep=True)


def test_rows_wait_for_max_seconds_and_no_longer(gate: Gate) -> None:
    gate.open.set()
    clock = Clock()
    with gate.appender(max_seconds=5, clock=clock) as appender:
        appender.append(rows(2))
        clock.advance(appender, 4.9)
        appender.append(rows(1, first=2))
        waiting = appender.unacknowledged
        assert (waiting.rows, waiting.appends, waiting.seconds) == (3, 2, 4.9)
        assert waiting.bytes == rows_from(rows(3), SCHEMA).nbytes
        assert gate.got == []
        clock.advance(appender, 0.1)
        appender._changed.acquire()
        assert appender._changed.wait_for(lambda: appender.acknowledged == 3, 10)
        appender._changed.release()
    assert gate.got == [(0, [0, 1, 2])]


def test_a_full_queue_raises_or_waits_and_loses_nothing(gate: Gate) -> None:
    with gate.appender(on_full="raise", max_rows=5, max_queue_rows=10) as appender:
        for number in range(10):
            appender.append(rows(1, first=number))
        with pytest.raises(QueueFull, match="10 rows wait"):
            appender.append(rows(1, first=10))
        assert appender.unacknowledged.rows == 10
        with pytest.raises(TimeoutError, match="10 appends aren't durable"):
            appender.flush(timeout=0.01)
        gate.open.set()
        appender.flush()
        appender.append(rows(1, first=10))
    assert gate.all == list(range(11))
    assert max(len(got) for _, got in gate.got) == 5


def test_a_blocked_append_goes_on_when_there_is_room(gate: Gate) -> None:
    with gate.appender(max_rows=50, max_seconds=3_600, max_queue_rows=10) as appender:
        appender.append(rows(8))
        blocked = threading.Thread(target=appender.append, args=(rows(8, first=8),))
        blocked.start()
        blocked.join(0.05)
        assert blocked.is_alive()
        assert appender.accepted == 8
        gate.open.set()
        blocked.join(10)
        assert not blocked.is_alive(), "a queue that is full is committed at once, whatever max_seconds says"
    assert gate.all == list(range(16))


def test_the_callers_arrays_are_the_callers_again(gate: Gate) -> None:
    data = rows(3)
    with gate.appender() as appender:
        appender.append(data)
        data["size"][:] = -1
        gate.open.set()
    assert gate.got == [(0, [0, 1, 2])]


def test_what_fails_is_told_once_a_call_and_tried_again_under_its_number(gate: Gate) -> None:
    gate.open.set()
    gate.failures = [StorageError(28, "full"), StorageError(28, "full still")]
    with gate.appender(max_seconds=3_600) as appender:
        appender.append(rows(2))
        with pytest.raises(StorageError, match="full") as told:
            appender.flush()
        assert told.value.__notes__ == ["2 rows of 1 appends aren't durable; the next attempt follows"]
        assert appender.failure is told.value
        with pytest.raises(StorageError):
            appender.append(rows(5, first=90))
        appender.append(rows(1, first=2))
        with pytest.raises(StorageError, match="full still"):
            appender.flush()
        appender.flush()
        assert (appender.failure, appender.acknowledged) == (None, 3)
    assert gate.got == [(0, [0, 1]), (1, [2])], "a number stands for the same rows at every attempt"


def test_other_writers_are_outlasted_for_a_while_only(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arraystore.datasets.appender.FIRST_PAUSE_SECONDS", 0.0)
    gate.open.set()
    gate.failures = [Conflict("lost a race")] * 9
    appender = gate.appender(max_seconds=0)
    appender.append(rows(1))
    insist(appender.flush, Conflict, 9)
    appender.flush()
    gate.failures = [Conflict("lost a race")] * 99
    appender.append(rows(1, first=1))
    insist(appender.flush, Conflict, 12)
    assert len(gate.failures) == 89, "after ten attempts there is no other"
    with pytest.raises(Conflict):
        appender.close()
    assert gate.got == [(0, [0])]


def test_an_unknown_outcome_stops_the_appender_and_leaves_the_rows(gate: Gate) -> None:
    gate.open.set()
    gate.failures = [CommitUnknown("may be there")]
    appender = gate.appender(max_rows=2)
    appender.append(rows(2))
    with pytest.raises(CommitUnknown):
        appender.flush()
    for _ in range(2):
        with pytest.raises(CommitUnknown, match="may be there"):
            appender.append(rows(1, first=2))
    with pytest.raises(CommitUnknown):
        appender.close()
    with pytest.raises(FixTheCall, match="closed"):
        appender.append(rows(1))
    ((record, frame),) = appender.leftovers()
    assert (record, frame["size"].tolist(), appender.unacknowledged.rows, gate.got) == ("", [0, 1], 2, [])
    appender.close()


def test_an_error_of_the_with_block_loses_nothing_that_was_taken(gate: Gate) -> None:
    gate.open.set()

    def work() -> None:
        with gate.appender(max_seconds=3_600) as appender:
            appender.append(rows(3))
            _ = 1 / 0

    with pytest.raises(ZeroDivisionError):
        work()
    assert gate.got == [(0, [0, 1, 2])]


def test_rows_that_cant_be_taken_are_refused_at_once_and_alone(trades: arraystore.Dataset) -> None:
    with trades.appender() as appender:
        appender.append(rows(1))
        with pytest.raises(InvalidInput, match="size"):
            appender.append({name: column for name, column in rows(1).items() if name != "size"})
        appender.append(rows(1, first=1))
    assert numbers(trades.refresh()) == [0, 1]


def test_on_commit_may_append_but_not_wait(trades: arraystore.Dataset) -> None:
    told: list[type[BaseException] | int] = []
    done = threading.Event()

    def on_commit(_: object) -> None:
        if told:
            return
        told.append(appender.append(rows(1, first=1)))
        try:
            appender.flush()
        except FixTheCall as error:
            told.append(type(error))
        done.set()

    with trades.appender(on_commit=on_commit, max_seconds=3_600) as appender:
        appender.append(rows(1))
        appender.flush()
        assert done.wait(60), "it is called once the rows are durable, perhaps after flush() returned"
    assert told == [2, FixTheCall]
    assert numbers(trades.refresh()) == [0, 1]


@pytest.mark.parametrize(
    "options",
    [{"max_rows": 0}, {"max_seconds": -1}, {"max_seconds": float("nan")}, {"on_full": "drop"}, {"max_queue_rows": 1.5}, {"writer": ""}],
)
def test_limits_that_cant_be_are_refused(trades: arraystore.Dataset, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        trades.appender(**options)


def test_coverage_alone_is_flushed_too(trades: arraystore.Dataset) -> None:
    with trades.appender(max_seconds=3_600) as appender:
        appender.append(None, coverage=("2024-08-08", "2024-08-08T01:00"))
        appender.flush()
        assert trades.refresh().manifest("2024-08-08").coverage == ((START, START + 3_600 * 10**9),)


def test_rows_in_time_order_may_come_late(root: Path) -> None:
    store = arraystore.open_store(root, role="data-quality")
    schema = arraystore.Schema(name="s", columns=(arraystore.Column(name="time", kind="time"), arraystore.Column(name="size")))
    direct, gathered = (store.canonical.create(("venue", "trades", name), schema) for name in ("direct", "gathered"))
    parts = [([START + 5, START + 9], [1, 2]), ([START + 1, START + 5], [3, 4]), ([START + 5], [5])]
    with gathered.appender(max_seconds=3_600) as appender:
        for times, sizes in parts:
            data = {"time": np.array(times), "size": np.array(sizes, float)}
            direct.append(data)
            appender.append(data)
    assert appender.commits == 1
    assert numbers(gathered.refresh()) == numbers(direct) == [3, 1, 4, 5, 2]


def test_threads_share_an_appender_each_in_its_order(trades: arraystore.Dataset) -> None:
    with trades.appender(max_rows=64, max_queue_rows=128) as appender:

        def feed(writer: int) -> None:
            for number in range(200):
                appender.append(rows(1, first=writer * 1_000 + number) | {"time": np.array([START + number])})

        threads = [threading.Thread(target=feed, args=(writer,)) for writer in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    found = numbers(trades.refresh())
    for writer in range(4):
        assert [number for number in found if number // 1_000 == writer] == list(range(writer * 1_000, writer * 1_000 + 200))


def test_the_event_loop_goes_on_while_rows_become_durable(gate: Gate) -> None:
    async def work() -> None:
        async with gate.appender(max_seconds=3_600) as appender:
            appender.append(rows(3))
            flushed = asyncio.create_task(appender.flush_async())
            await asyncio.sleep(0.01)
            assert not flushed.done()
            gate.open.set()
            await flushed
            assert appender.acknowledged == 3
            appender.append(rows(1, first=3))

    asyncio.run(work())
    assert gate.got == [(0, [0, 1, 2]), (1, [3])]


def test_a_child_process_is_told_to_make_its_own(trades: arraystore.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    with trades.appender() as appender:
        with monkeypatch.context() as child:
            child.setattr(os, "getpid", lambda: -1)
            for call in (lambda: appender.append(rows(1)), appender.flush, appender.close, lambda: appender.unacknowledged):
                with pytest.raises(FixTheCall, match="belongs to process"):
                    call()
        appender.append(rows(1))


def test_of_two_appenders_with_one_name_the_earlier_is_told(trades: arraystore.Dataset) -> None:
    earlier = trades.appender(writer="recorder")
    earlier.append(rows(1))
    earlier.flush()
    with trades.appender(writer="recorder") as later:
        later.append(rows(1, first=1))
    earlier.append(rows(1, first=2))
    with pytest.raises(InvalidInput, match="behind"):
        earlier.close()
    assert [frame["size"].tolist() for _, frame in earlier.leftovers()] == [[2]]
    assert numbers(trades.refresh()) == [0, 1]


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("failure", [FULL, BROKEN])
def test_a_medium_that_fails_at_any_call_loses_and_doubles_nothing(failure: int, late: bool) -> None:
    call = 1
    while True:
        medium = Medium(open_storage)
        url = f"memory://{uuid.uuid4().hex}"
        store = arraystore.open_store(url, role="data-quality", create=True, opener=medium.opener)
        dataset = store.canonical.create(KEY, SCHEMA)
        appender = dataset.appender(max_rows=5, max_seconds=3_600)
        medium.fail(failure, call, only=WRITING, late=late)
        for number in range(12):
            insist(partial(appender.append, rows(1, first=number)))
        insist(appender.flush)
        if not medium.failed:
            appender.close()
            return
        medium.heal()
        present = numbers(arraystore.open_store(url, role="analysis").canonical[KEY])
        acknowledged = appender.acknowledged
        kept = [int(size) for _, frame in appender.leftovers() for size in frame["size"]]
        assert present[:acknowledged] == list(range(acknowledged)) == list(range(12))[: len(range(acknowledged))]
        assert sorted({*present, *kept}) == list(range(appender.accepted)), "none is lost"
        assert len(set(present)) == len(present), "none is doubled"
        if appender.failure is None:
            assert (present, kept) == (list(range(12)), [])
            appender.close()
        else:
            assert isinstance(appender.failure, CommitUnknown)
            with pytest.raises(CommitUnknown):
                appender.close()
        call += 1


def insist(call: Callable[[], Any], error: type[BaseException] = StorageError, times: int = 3) -> None:
    """Do as a recorder does: once more if the medium failed; stop if nobody knows."""
    for _ in range(times):
        try:
            call()
        except error:
            continue
        except CommitUnknown:
            return
        return


WRITER = """
import sys, numpy, arraystore
from tests.store.conftest import rows
dataset = arraystore.open_store(sys.argv[1], role="data-quality").canonical["venue", "trades", "BTCUSDT"]
with dataset.appender(max_rows=7, max_seconds=0.01, on_commit=lambda done: print(appender.acknowledged, flush=True)) as appender:
    for number in range(100_000):
        appender.append(rows(1, first=number, step=1000))
"""


def test_a_kill_loses_at_most_what_was_unacknowledged(trades: arraystore.Dataset, root: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, root], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [int(next(process.stdout)) for _ in range(20)]
        process.send_signal(signal.SIGKILL)
        lines += [int(line) for line in process.stdout if line.endswith("\n")]
    found = numbers(trades.refresh())
    assert found == list(range(len(found)))
    assert len(found) >= lines[-1] >= 20


def test_an_appender_that_nobody_closed_is_flushed_at_exit(trades: arraystore.Dataset, root: Path) -> None:
    program = WRITER.partition("with dataset")[0] + "dataset.appender(max_seconds=3_600).append(rows(3))"
    done = subprocess.run([sys.executable, "-c", program, root], check=True, capture_output=True, text=True)
    assert done.stderr == ""
    assert numbers(trades.refresh()) == [0, 1, 2]


def test_a_sessions_records_keep_one_order_over_all_kinds(root: Path) -> None:
    live = session(root)
    live.append("busts", fills("before"), arraystore.schema_by_name("fills"))
    kinds = ["fills", "fills", "busts", "fills", "busts", "busts"] * 3
    with live.appender(max_rows=4, max_seconds=3_600) as appender:
        for number, kind in enumerate(kinds):
            appender.append(kind, fills(f"f{number}"))
    assert appender.acknowledged == len(kinds)
    assert appender.commits < len(kinds)
    found = session(root)
    assert found.recover().last_sequence == 1 + len(kinds)
    for kind in ("fills", "busts"):
        frame = found.read(kind)
        told = dict(zip(frame["sequence"].tolist(), frame["fill_id"], strict=True))
        assert told == {2 + n: f"f{n}" for n, each in enumerate(kinds) if each == kind} | ({1: "before"} if kind == "busts" else {})


def test_another_writer_of_the_session_stops_its_appender(root: Path) -> None:
    live = session(root)
    appender = live.appender(max_seconds=3_600)
    appender.append("fills", fills("a"))
    appender.flush()
    stranger = session(root)
    stranger.append("fills", fills("b"))
    appender.append("fills", fills("c"))
    with pytest.raises(Conflict, match="recover"):
        appender.flush()
    with pytest.raises(Conflict):
        appender.close()
    assert [record for record, _ in appender.leftovers()] == ["fills"]
    assert list(session(root).read("fills")["fill_id"]) == ["a", "b"]


@given(
    st.lists(st.tuples(st.integers(1, 12), st.sampled_from("ab")), max_size=30),
    st.integers(1, 20),
    st.integers(1, 2_000),
)
def test_groups_keep_order_and_limits(calls: list[tuple[int, str]], max_rows: int, max_bytes: int) -> None:
    queue = AppendQueue(Limits(max_rows=max_rows, max_commit_bytes=max_bytes))
    batches = [Batch(rows=rows_from(rows(count), SCHEMA), size=count * 26, at=0.0, record=record) for count, record in calls]
    later = iter(batches)
    for batch in islice(later, len(batches) // 2):
        queue.put(batch)
    seen: list[Batch] = []
    while len(seen) < len(batches):
        for batch in islice(later, 0 if len(queue) else 1):
            queue.put(batch)
        group = queue.group()
        for batch in islice(later, 2):  # they come while it is being committed
            queue.put(batch)
        assert queue.group() == group, "the same at the next attempt"
        assert len({batch.record for batch in group}) == 1
        assert len(group) == 1 or sum(batch.rows.count for batch in group) <= max_rows
        assert len(group) == 1 or sum(batch.size for batch in group) <= max_bytes
        queue.done(group)
        seen += group
    assert seen == batches
    assert (queue.rows, queue.bytes, queue.due_at()) == (0, 0, None)
