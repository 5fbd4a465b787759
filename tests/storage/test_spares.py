"""Small objects go into files that lie ready, as durable as into new ones; where none can be had nobody notices."""

import errno
import gc
import os
import shutil
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import arraystore
from arraystore.errors import AlreadyExists, CommitUnknown, StorageError
from arraystore.storage import LocalStorage, spares
from arraystore.storage.spares import BATCH, BUSY, DIRECTORIES, FRESH_SECONDS, SPARE_BYTES, Spares
from tests.format.independent_reader import Store as IndependentStore
from tests.storage.test_durability import Recorder, descriptors
from tests.storage.test_forks import in_a_child

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="files without a name are Linux's")

SIZE = 512
"""Of spares for the smallest objects."""

WHOLE = b"x" * SIZE


@pytest.fixture
def storage(tmp_path):
    return LocalStorage(tmp_path / "root", create=True)


def lie_ready(storage, directory="d"):
    """Have spares for a directory, as after many small objects."""
    storage.create(f"{directory}/first", b"x")
    for _ in range(BUSY):
        assert storage.room(f"{directory}/1", 10) == 10
    assert storage.room(f"{directory}/1", 10) == SIZE


def left(storage, directory="d"):
    return len(storage._root.opened().spares._watched[directory].files)


def named(storage):
    return sorted(path.name for path in Path(storage.url).rglob("*") if path.is_file())


def test_an_object_in_a_spare_is_written_and_synced_before_its_name_and_that_is_synced_after(storage, monkeypatch):
    lie_ready(storage)
    recorder = Recorder(monkeypatch, storage.url)
    storage.create("d/1", WHOLE)
    assert recorder.taken("write", "sync", "link") == [("write", "d/*"), ("sync", "d/*"), ("link", "d/1"), ("sync", "d")]
    assert storage.get("d/1") == WHOLE
    assert left(storage) == BATCH - 1


def test_what_no_spare_fits_goes_into_a_new_file(storage):
    lie_ready(storage)
    for number, data in enumerate([b"", b"x", WHOLE[1:], WHOLE + b"x"]):
        storage.create(f"d/{number}", data)
        assert storage.get(f"d/{number}") == data
    storage.create("e/1", WHOLE)  # another directory's may be others' to read
    assert left(storage) == BATCH


def test_they_have_the_size_of_the_largest_that_came_before_them(storage):
    lie_ready(storage)
    asked = (1, SIZE, SIZE + 1, 900, 10, 3_000, SPARE_BYTES, SPARE_BYTES + 1, 10)
    told = [SIZE, SIZE, 1024, 1024, 1024, 3072, SPARE_BYTES, SPARE_BYTES + 1, SPARE_BYTES]
    assert [storage.room("d/1", size) for size in asked] == told
    assert left(storage) == BATCH


def test_spares_have_no_name_and_a_taken_name_stays_as_it_is(storage):
    lie_ready(storage)
    storage.create("d/1", WHOLE)
    with pytest.raises(AlreadyExists):
        storage.create("d/1", b"y" * SIZE)
    assert storage.get("d/1") == WHOLE
    assert named(storage) == ["1", "first"]


def test_they_are_made_anew_when_they_are_used_up(storage):
    lie_ready(storage)
    for number in range(3 * BATCH):
        assert storage.room(f"d/{number}", 10) == SIZE
        storage.create(f"d/{number}", bytes([number]) * SIZE)
    assert all(storage.get(f"d/{number}") == bytes([number]) * SIZE for number in range(3 * BATCH))
    assert len({Path(storage.url, "d", str(number)).stat().st_ino for number in range(3 * BATCH)}) == 3 * BATCH


def test_they_hold_few_descriptors_and_give_them_back(tmp_path):
    before = descriptors()
    storage = LocalStorage(tmp_path / "root", create=True)
    for number in range(DIRECTORIES + 3):
        lie_ready(storage, f"d{number}")
    kept = storage._root.opened().spares._watched
    assert len(kept) == DIRECTORIES
    assert sum(len(watched.files) for watched in kept.values()) == DIRECTORIES * BATCH
    del storage, kept
    gc.collect()
    assert descriptors() == before


def test_those_of_a_minute_ago_are_dropped_and_slow_writers_never_have_any(tmp_path):
    now = [0.0]
    ready = Spares(lambda: now[0])
    directory = LocalStorage(tmp_path)._root.opened().root
    answers = [ready.size_for("", 10, lambda: directory) for _ in range(BUSY + 1)]
    assert answers == [0] * BUSY + [SIZE]
    now[0] += FRESH_SECONDS + 1
    assert not ready.size_for("", 10, lambda: directory)
    assert ready.take("", SIZE) is None
    for _ in range(3 * BUSY):
        now[0] += FRESH_SECONDS / BUSY * 1.1
        assert not ready.size_for("", 10, lambda: directory)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EMFILE, errno.EROFS, errno.EACCES, errno.EIO, errno.EOPNOTSUPP])
@pytest.mark.parametrize("call", ["open", "pwrite"])
def test_where_none_can_be_made_objects_go_into_new_files(storage, monkeypatch, call, number):
    before = descriptors()
    original, made = getattr(os, call), []

    def refuse(*given, **options):
        if call == "pwrite" or given[:2] == (".", spares.UNNAMED):
            made.append(given)
            if len(made) > 3:
                raise OSError(number, os.strerror(number))
        return original(*given, **options)

    with monkeypatch.context() as patched:
        patched.setattr(os, call, refuse)
        answers = {storage.room("d/1", 10) for _ in range(BUSY)}
        storage.create("d/1", b"x")
        for _ in range(4 * BUSY):
            answers.add(storage.room("d/1", 10))
    assert answers <= {10, SIZE}
    storage.create("d/2", WHOLE)
    assert storage.get("d/2") == WHOLE
    assert named(storage) == ["1", "2"]
    del storage._root._opened.spares
    assert descriptors() <= before + 4


@pytest.mark.parametrize(("call", "error"), [("write", StorageError), ("fdatasync", StorageError), ("link", CommitUnknown)])
def test_a_spare_that_fails_is_told_of_and_never_used_again(storage, monkeypatch, call, error):
    lie_ready(storage)

    def refuse(*_given, **_options):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patched:
        patched.setattr(os, call, refuse)
        with pytest.raises(error, match="d/1"):
            storage.create("d/1", WHOLE)
    assert not storage.exists("d/1")
    assert left(storage) == BATCH - 1
    storage.create("d/1", WHOLE)
    assert storage.get("d/1") == WHOLE


def test_a_short_write_into_a_spare_is_completed(storage, monkeypatch):
    lie_ready(storage)
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:100]))
    storage.create("d/1", bytes(range(256)) * 2)
    assert storage.get("d/1") == bytes(range(256)) * 2


def test_a_directory_that_is_made_again_gets_what_was_meant_for_it(storage):
    lie_ready(storage)
    shutil.rmtree(Path(storage.url, "d"))
    storage.create("d/1", WHOLE)
    assert storage.get("d/1") == WHOLE


def test_threads_share_none(storage):
    lie_ready(storage)
    gate = threading.Barrier(4)

    def write(thread):
        gate.wait()
        for number in range(20):
            storage.room(f"d/{thread}-{number}", 10)
            storage.create(f"d/{thread}-{number}", f"{thread}-{number} ".ljust(SIZE).encode())

    threads = [threading.Thread(target=write, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for thread in range(4):
        for number in range(20):
            assert storage.get(f"d/{thread}-{number}").split() == [f"{thread}-{number}".encode()]


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_forked_child_has_its_own(storage):
    lie_ready(storage)
    assert in_a_child(lambda: storage.create("d/child", b"c" * SIZE)) == 0
    assert left(storage) == BATCH
    for number in range(BATCH):
        storage.create(f"d/{number}", b"p" * SIZE)
    assert storage.get("d/child") == b"c" * SIZE
    assert all(storage.get(f"d/{number}") == b"p" * SIZE for number in range(BATCH))


def test_commits_that_fill_spares_are_read_by_everyone(tmp_path):
    writing = arraystore.open_store(tmp_path, role="data-quality", create=True)
    trades = writing.canonical.create(("venue", "trades", "X"), arraystore.schema_by_name("trades"))
    random = np.random.default_rng(7)
    for number in range(60):
        count = int(random.integers(1, 12)) if number % 20 else 300  # some don't fit
        times = arraystore.parse_time("2024-08-08") + number * 1_000 + np.arange(count)
        given = {"time": times, "price": random.random(count), "size": random.random(count), "side": np.ones(count, "i1")}
        trades.append({**given, "flags": np.zeros(count, "u1")})
    log = tmp_path / "canonical" / "venue" / "trades" / "X" / "_log"
    sizes = [path.stat().st_size for path in sorted(log.iterdir()) if path.name.isdigit()]
    assert sum(size % 512 == 0 for size in sizes) > 30
    assert max(sizes) > SPARE_BYTES
    opened = arraystore.open_store(tmp_path, role="analysis").canonical["venue", "trades", "X"]
    assert opened.verify(deep=True) == []
    assert opened._log.head().log_bytes == trades._log.known().log_bytes < sum(sizes)
    found = opened.read()
    other = IndependentStore(tmp_path).dataset("canonical", ("venue", "trades", "X"))
    state = other.state()
    assert np.array_equal(other.read("2024-08-08", state)["price"].data, found["price"])
