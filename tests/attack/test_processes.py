"""Many writers at once, in threads and processes, some stopped and some killed: nothing is lost, doubled or half visible."""

import multiprocessing
import os
import signal
import sys
import threading
import time
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import arraystore
from arraystore.storage import LocalStorage, open_storage
from tests.attack import actors
from tests.attack.actors import KEY, PER_WRITER, check, sizes, told
from tests.processes import forked, running
from tests.store.conftest import rows

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs signals and fork")


@pytest.fixture(scope="module")
def quick() -> BaseContext:
    """Starts processes by forking one that has imported everything and done nothing else."""
    return forked("tests.attack.actors")


@pytest.fixture
def url(trades: arraystore.Dataset, root: Path) -> str:
    arraystore.open_store(root, role="data-quality").canonical.create(KEY, arraystore.schema_by_name("trades"))
    return str(root)


def final(url: str) -> tuple[arraystore.Dataset, dict[int, int]]:
    """The dataset as a fresh reader finds it, healthy, and how many rows of each writer it has."""
    dataset = arraystore.open_store(url, role="analysis").canonical[KEY]
    assert not dataset.verify(deep=True)
    assert [version.number for version in dataset.versions()] == list(range(1, dataset.version + 1))
    return dataset, check(np.asarray(dataset.read()["size"]))


def finish(process: Any, acks: Connection) -> list[tuple[int, int]]:
    process.join(60)
    assert process.exitcode == 0
    return list(told(acks))


def test_processes_that_append_to_one_dataset_lose_and_double_nothing(url: str, quick: BaseContext) -> None:
    spawn = multiprocessing.get_context("spawn")
    counts = {writer: sizes(writer, 15) for writer in (1, 2, 3)}
    with (
        running(quick, actors.watch, url) as (_, results),
        running(quick, actors.write, url, 1, counts[1]) as one,
        running(quick, actors.write, url, 2, counts[2]) as two,
        running(spawn, actors.write, url, 3, counts[3]) as three,
    ):
        acked = [finish(*each) for each in (one, two, three)]
        results.send("stop")
        assert results.recv() == "ready"
        assert results.recv() > 0, "the reader saw only whole versions"
    dataset, found = final(url)
    assert found == {writer: sum(counts[writer]) for writer in counts}
    versions = [version for each in acked for _, version in each]
    assert sorted(versions) == list(range(2, dataset.version + 1)), "each append is one version of its own"


def test_a_handle_works_on_both_sides_of_a_fork(url: str, quick: BaseContext) -> None:
    counts = sizes(4, 8)
    with running(quick, actors.write_and_fork, url, (1, 2), counts) as (process, acks):
        assert len(finish(process, acks)) == 16
    assert final(url)[1] == {1: sum(counts), 2: sum(counts)}


def test_threads_that_share_a_handle_each_see_their_own_appends(url: str) -> None:
    store = arraystore.open_store(url, role="data-quality")
    dataset = store.canonical[KEY]
    failures: list[BaseException] = []

    def work(writer: int) -> None:
        try:
            done = 0
            for count in sizes(writer, 12):
                numbers = writer * PER_WRITER + np.arange(done, done + count, dtype=float)
                receipt = dataset.append(rows(count, step=1000, first=done) | {"size": numbers})
                done += count
                frame = dataset.read(columns=["size"])
                assert frame.pin is not None
                assert frame.pin.version >= receipt.version
                assert check(np.asarray(frame["size"]))[writer] == done
                assert store.read(frame.pin).row_count == frame.row_count, "the pin names the very rows"
        except BaseException as failure:  # noqa: BLE001 - told by the test's own thread
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert final(url)[1] == {writer: sum(sizes(writer, 12)) for writer in range(4)}


def test_two_writers_of_one_session_that_adopt_each_other_leave_no_gap(root: Path) -> None:
    fill = {
        "time": [1],
        "account": ["a"],
        "strategy": ["s"],
        "instrument": ["X"],
        "fill_id": ["1"],
        "side": [1],
        "price": [1.0],
        "size": [1.0],
    }
    fills = arraystore.schema_by_name("fills")
    given: list[int] = []

    def work(record: str) -> None:
        session = arraystore.open_store(root, role="live").execution_records.session("live", "s")
        done = 0
        while done < 12:
            try:
                given.append(session.append(record, fill, fills).first)
                done += 1
            except arraystore.Conflict:
                session.recover()

    threads = [threading.Thread(target=work, args=(record,)) for record in ("mine", "yours", "mine")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = arraystore.open_store(root, role="live").execution_records.session("live", "s").recover()
    assert sorted(given) == list(range(1, 37))
    assert (found.last_sequence, found.gaps, found.repeated) == (36, (), ())


@pytest.mark.parametrize("pause", range(4))
def test_a_writer_that_is_suspended_holds_nobody_up_for_ever_and_finishes_later(url: str, quick: BaseContext, pause: int) -> None:
    """Stopped at whatever moment, perhaps with the lock in its hands, which others then wait for; then it goes on."""
    counts = sizes(1, 10)
    with running(quick, actors.write, url, 1, counts) as (process, acks):
        assert acks.recv() == ("ready", 1)
        time.sleep(0.004 * pause)
        os.kill(process.pid, signal.SIGSTOP)
        reader = arraystore.open_store(url, role="analysis").canonical[KEY]
        check(np.asarray(reader.read()["size"]))
        with running(quick, actors.write, url, 2, sizes(2, 10)) as (other, others):
            other.join(0.3)
            os.kill(process.pid, signal.SIGCONT)
            acked = finish(process, acks)
            finish(other, others)
    assert len(acked) == 10
    assert final(url)[1] == {1: sum(counts), 2: sum(sizes(2, 10))}


def test_a_writer_that_slept_in_the_middle_of_its_create_loses_the_race_and_tries_again(url: str) -> None:
    """Suspended between reading the head and creating the next version, while another writer, heedless of locks, goes on."""
    other = arraystore.open_store(url, role="data-quality").canonical[KEY]
    left = 3

    class Sleepy(LocalStorage):
        def create(self, key: str, data: Any) -> None:
            nonlocal left
            if "/_log/0" in key and left:
                left -= 1
                name = 2_000 + left
                other.append(rows(1) | {"size": [float(name)]})
            super().create(key, data)

        def lock(self, key: str) -> Any:
            return open_storage(self.url).lock(f"{key}-ignored")

    def opener(place: str, /, *, create: bool = False) -> LocalStorage:
        return Sleepy(place, create=create)

    dataset = arraystore.open_store(url, role="data-quality", opener=opener).canonical[KEY]
    assert dataset.append(rows(actors.BIG)).version == 5
    assert dataset.read().row_count == actors.BIG + 3
    assert not dataset.verify(deep=True)


def kill_at_random(url: str, context: BaseContext, kills: int, *, tokens: bool, seed: int) -> None:
    """Kill a writer again and again; each next one goes on where the acknowledged rows end."""
    random = np.random.default_rng(seed)
    counts = sizes(seed, 20 * kills, most=30)
    reader = arraystore.open_store(url, role="analysis").canonical[KEY]
    done = 0
    for kill in range(kills):
        with running(context, actors.write, url, 0, counts, first=done, tokens=tokens) as (process, acks):
            assert acks.recv() == ("ready", 0)
            acked = [acks.recv()[0] for _ in range(random.integers(0, 4))]
            time.sleep(random.random() * 0.01)
            process.kill()
            process.join()
            acked += [number for number, _ in told(acks)]
        found = check(np.asarray(reader.refresh().read(columns=["size"])["size"])).get(0, 0)
        ends = np.cumsum([0, *counts])
        assert acked == list(range(done, done + len(acked)))
        assert found in {ends[done + len(acked)], ends[done + len(acked) + 1]}, f"kill {kill}: an append is whole or absent"
        done = int(np.searchsorted(ends, found))
        if tokens and done:
            done -= 1  # the last may have been acknowledged or not: it is sent again, as a restarted writer would
    dataset, found_now = final(url)
    assert dataset.rows == found_now.get(0, 0)


@pytest.mark.parametrize("tokens", [False, True])
def test_a_killed_writer_loses_nothing_acknowledged_and_the_next_goes_on(url: str, quick: BaseContext, tokens: bool) -> None:
    kill_at_random(url, quick, 25, tokens=tokens, seed=11 + tokens)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_a_writer_killed_five_hundred_times_loses_nothing_acknowledged(url: str, quick: BaseContext, seed: int) -> None:
    kill_at_random(url, quick, 500, tokens=bool(seed % 2), seed=seed)


def test_a_link_where_the_lock_belongs_is_told_and_not_followed(url: str, tmp_path: Path) -> None:
    dataset = arraystore.open_store(url, role="data-quality").canonical[KEY]
    lock = Path(url) / "canonical" / "/".join(KEY) / "_log" / "lock"
    lock.unlink(missing_ok=True)
    lock.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(arraystore.StorageError, match="symbolic link"):
        dataset.append(rows(1))
    lock.unlink()
    assert dataset.append(rows(1)).version == 2
    assert not (tmp_path / "elsewhere").exists()


def test_a_pipe_of_acknowledgements_is_read_to_its_end() -> None:
    """The tool itself: nothing acknowledged goes unseen because its writer died."""
    ours, theirs = multiprocessing.Pipe()
    theirs.send((1, 2))
    theirs.close()
    assert list(told(ours)) == [(1, 2)]
