"""Window after window: names that a range reaches, and a loader that reads ahead."""

import gc
import os
import threading
import weakref
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import arraystore
from arraystore.datasets import ahead
from arraystore.datasets.ahead import WindowLoader
from arraystore.testing import generate
from tests.store.conftest import DAY, rows

DAYS = tuple(f"2024-08-{day:02}" for day in (8, 9, 11, 12))


@pytest.fixture
def days(trades: arraystore.Dataset) -> arraystore.Dataset:
    """Four days, one of which was recorded and has no trades, and none of another."""
    for place, name in enumerate(DAYS):
        if place != 1:
            data = rows(100, arraystore.parse_time(name), DAY // 100)
            trades.append(data | {"size": data["size"] + 100 * place})
    trades.append({}, coverage=("2024-08-09", "2024-08-10"))
    return trades


def sizes(frame: arraystore.Frame) -> list[int]:
    return np.asarray(frame["size"]).astype(int).tolist()


def test_names_are_of_the_windows_that_a_range_reaches(days: arraystore.Dataset) -> None:
    assert days.windows() == DAYS
    assert days.windows("2024-08-09") == DAYS[1:]
    assert days.windows(end="2024-08-11") == DAYS[:2]
    assert days.windows("2024-08-08T23:59:59", "2024-08-11T00:00:00.000000001") == DAYS[:3]
    assert days.windows("2024-08-10", "2024-08-11") == ()
    with pytest.raises(arraystore.InvalidInput, match="prefetch"):
        days.windows(columns=["size"])


@pytest.mark.parametrize("prefetch", [0, 1, 2, 9])
def test_a_loader_gives_each_window_as_read_does(days: arraystore.Dataset, prefetch: int) -> None:
    start, end = "2024-08-08T12:00", "2024-08-12T12:00"
    loader = days.windows(start, end, prefetch=prefetch, columns=["size"])
    assert len(loader) == 4
    found = list(loader)
    assert [frame.window for frame in found] == list(DAYS) == list(days.windows(start, end))
    for frame in found:
        wanted = days.read(start, end, ["size"], window=frame.window)
        assert sizes(frame) == sizes(wanted)
        assert (frame.pin, frame.manifest) == (wanted.pin, days.manifest(frame.window))
    assert [frame.row_count for frame in found] == [50, 0, 100, 50]
    assert list(loader) == []


def test_every_window_is_of_the_version_that_the_loader_began_at(days: arraystore.Dataset) -> None:
    loader = days.windows(prefetch=1)
    version = days.version
    days.replace(DAYS[3], rows(3, arraystore.parse_time(DAYS[3])), reason="fewer")
    assert [(frame.pin.version, frame.row_count) for frame in loader] == [(version, count) for count in (100, 0, 100, 100)]


class Slow:
    """Reads of windows that end when they are let."""

    def __init__(self, days: arraystore.Dataset, names: tuple[str, ...] = DAYS) -> None:
        self.begun: list[str] = []
        self.let = {name: threading.Event() for name in names}
        self.changed = threading.Condition()
        self._frames = {frame.window: frame for frame in days.windows(prefetch=0)}

    def __call__(self, name: str) -> arraystore.WindowFrame:
        with self.changed:
            self.begun.append(name)
            self.changed.notify_all()
        assert self.let[name].wait(60)
        return self._frames[name]

    def wait_for(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.begun) >= count, 60)


def let(slow: Slow, *names: str) -> None:
    for name in names:
        slow.let[name].set()


def test_no_more_is_read_ahead_than_was_asked_for(days: arraystore.Dataset) -> None:
    slow = Slow(days)
    let(slow, *DAYS)
    loader = WindowLoader(slow, DAYS, 2)
    assert slow.begun == [], "nothing is read before it is asked for"
    assert next(loader).window == DAYS[0]
    slow.wait_for(3)
    for future in list(loader._ahead):
        future.result(60)
    assert slow.begun == list(DAYS[:3])
    assert next(loader).window == DAYS[1]
    slow.wait_for(4)
    assert [frame.window for frame in loader] == list(DAYS[2:])


def test_one_window_at_a_time_is_read_ahead_and_in_order(days: arraystore.Dataset) -> None:
    slow = Slow(days)
    let(slow, DAYS[0])
    loader = WindowLoader(slow, DAYS, 3)
    next(loader)
    slow.wait_for(2)
    assert slow.begun == list(DAYS[:2])
    let(slow, *DAYS)
    assert [frame.window for frame in loader] == list(DAYS[1:])
    assert slow.begun == list(DAYS)


@pytest.mark.parametrize("how", ["close", "with", "drop"])
def test_a_loader_that_is_left_begins_nothing_more(days: arraystore.Dataset, how: str) -> None:
    slow = Slow(days)
    let(slow, DAYS[0])
    loader = WindowLoader(slow, DAYS, 3)
    next(loader)
    slow.wait_for(2)
    running = loader._ahead[-1]
    left = weakref.ref(loader)
    if how == "drop":
        del loader
        gc.collect()
        assert left() is None
    elif how == "with":
        with loader:
            pass
    else:
        loader.close()
        loader.close()
    let(slow, *DAYS)
    running.result(60)
    assert slow.begun == list(DAYS[:2])
    if how != "drop":
        assert list(loader) == []
        assert len(loader) == 0


def test_what_can_not_be_read_raises_where_its_turn_comes(days: arraystore.Dataset, root: Any) -> None:
    arraystore.open_store(root, role="operations").canonical[days.key].compact()
    days.refresh()
    data = next(path for path in days.segments() if DAYS[2] in path)
    days._place.storage.delete(f"{data}/size/0")
    loader = days.windows(prefetch=2)
    assert [next(loader).window, next(loader).window] == list(DAYS[:2])
    with pytest.raises(arraystore.Corrupt, match="size/0"):
        next(loader)
    assert list(loader) == []


def test_what_the_pool_has_not_begun_is_read_by_who_waits(days: arraystore.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    never: list[Future[Any]] = []

    def begin(*_: Any) -> Future[Any]:
        never.append(Future())
        return never[-1]

    monkeypatch.setattr(ahead, "begin", begin)
    assert [frame.window for frame in days.windows(prefetch=2)] == list(DAYS)
    assert all(future.cancelled() for future in never)


def test_a_loader_is_used_by_one_thread_after_another(days: arraystore.Dataset) -> None:
    loader = days.windows(prefetch=1)
    found = []
    for _ in DAYS:
        with ThreadPoolExecutor(1) as one:
            found.append(one.submit(next, loader).result(60).window)
    assert found == list(DAYS)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_reads_anew_what_was_not_told(days: arraystore.Dataset) -> None:
    slow = Slow(days)
    let(slow, DAYS[0])
    loader = WindowLoader(slow, DAYS, 1)
    next(loader)
    slow.wait_for(2)
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            loader._read = Slow(days)
            let(loader._read, *DAYS)
            os.write(writer, ",".join(frame.window for frame in loader).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as told:
        assert told.read() == ",".join(DAYS[1:])
    os.waitpid(child, 0)
    let(slow, *DAYS)
    assert [frame.window for frame in loader] == list(DAYS[1:])


def test_series_come_one_after_another(root: Any) -> None:
    store = arraystore.open_store(root, role="backtesting")
    with store.experiments.run("grid", run_id="a") as run:
        run.write("equity", generate("equity", 5), schema=arraystore.schema_by_name("equity"))
        run.log(sharpe=1.0)
    dataset = store.experiments["grid", "a"]
    found = {frame.window: frame for frame in dataset.windows(prefetch=1)}
    assert tuple(found) == dataset.windows()
    assert found["equity"].row_count == 5
    times = found["equity"]["time"] + np.timedelta64(1, "ns")
    assert dataset.as_of(times, ["price"], window="equity").row.tolist() == list(range(5))
    with pytest.raises(arraystore.InvalidInput, match="along time"):
        dataset.windows("2024-08-08")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"prefetch": -1}, "prefetch"),
        ({"prefetch": 1.5}, "prefetch"),
        ({"prefetch": 1, "columns": ["prise"]}, "prise"),
        ({"prefetch": 1, "instruments": ["A"]}, "instruments"),
        ({"prefetch": 1, "threads": 0}, "threads"),
        ({"prefetch": 1, "start": 2, "end": 1}, "after end"),
    ],
)
def test_what_can_not_be_loaded_is_refused_at_once(trades: arraystore.Dataset, options: dict[str, Any], told: str) -> None:
    with pytest.raises(arraystore.InvalidInput, match=told):
        trades.windows(**options)


@given(st.integers(0, 6), st.integers(0, 5), st.integers(0, 7))
def test_any_number_of_windows_comes_whole_and_in_order(count, prefetch, taken):
    names = tuple(map(str, range(count)))
    loader = WindowLoader(lambda name: name, names, prefetch)
    assert [next(loader, None) for _ in range(taken)] == [*names, *[None] * 7][:taken]
    assert list(loader) == list(names[taken:])
