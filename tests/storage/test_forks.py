"""A process forked while other threads are at work reads and writes on: no lock is held by a thread that it hasn't got."""

import os
import signal
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

import arraystore
from arraystore import forks
from arraystore.forks import Guard
from arraystore.segments import index
from arraystore.storage import memory
from tests.store.conftest import rows

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here"),
    pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning"),
]


def in_a_child(act: Callable[[], object]) -> int:
    """How a forked child ends that does this: 0 if it does, by SIGALRM if it hangs."""
    child = os.fork()
    if not child:  # pragma: no cover - another process
        signal.alarm(20)
        try:
            act()
            os._exit(0)
        except BaseException:  # noqa: BLE001 - whatever it is, the child ends here
            traceback.print_exc()
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def held(*guards: AbstractContextManager[None]) -> Callable[[], None]:
    """Another thread holds these until what comes back is called."""
    ready, done = threading.Event(), threading.Event()

    def hold() -> None:
        for guard in guards:
            guard.__enter__()
        ready.set()
        done.wait()
        for guard in guards:
            guard.__exit__(None, None, None)

    thread = threading.Thread(target=hold)
    thread.start()
    ready.wait()

    def let_go() -> None:
        done.set()
        thread.join()

    return let_go


@pytest.mark.parametrize("kind", ["local", "memory"])
def test_a_child_reads_and_writes_whatever_other_threads_held(kind: str, tmp_path: Path) -> None:
    url = str(tmp_path / "store") if kind == "local" else f"memory://forks-{time.monotonic_ns()}"
    store = arraystore.open_store(url, role="data-quality", create=True)
    trades = store.canonical.create(("venue", "trades", "X"), arraystore.schema_by_name("trades"))
    trades.append(rows(20_000))
    guards = list(forks._guards)
    assert {index._cache._guard, memory._registry_guard, trades._guard} <= set(guards)
    let_go = held(*guards)

    def work() -> None:
        assert trades.read().row_count == 20_000
        trades.append(rows(5, first=20_000))
        assert trades.refresh().read().row_count == 20_005

    try:
        assert in_a_child(work) == 0
    finally:
        let_go()
    assert trades.refresh().read().row_count == (20_005 if kind == "local" else 20_000)


def test_a_parent_keeps_what_it_holds() -> None:
    guard = Guard()
    with guard:
        assert in_a_child(guard.__enter__) == 0
        assert guard._lock.locked()
    assert not guard._lock.locked()


def test_forks_at_any_moment_of_reading_never_hang(tmp_path: Path) -> None:
    store = arraystore.open_store(tmp_path / "store", role="data-quality", create=True)
    trades = store.canonical.create(("venue", "trades", "X"), arraystore.schema_by_name("trades"))
    trades.append(rows(20_000))
    stop = threading.Event()

    def keep_reading() -> None:
        while not stop.is_set():
            index.forget_indexes()
            trades.read(columns=["price"])
            trades.refresh()

    threads = [threading.Thread(target=keep_reading) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        assert [in_a_child(lambda: trades.refresh().read(columns=["price"])) for _ in range(10)] == [0] * 10
    finally:
        stop.set()
        for thread in threads:
            thread.join()
