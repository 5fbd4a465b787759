"""What a local storage syncs, in which order, and what it says when that fails."""

import errno
import gc
import os
import shutil
import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arraystore.errors import AlreadyExists, CommitUnknown, StorageError
from arraystore.storage import Listing, LocalStorage
from arraystore.storage.localsteps import GATHERED_BYTES, gathered

SEGMENT = "d/2024/seg"
COMMIT = "d/_log/1"


@pytest.fixture
def storage(tmp_path):
    return LocalStorage(tmp_path / "root", create=True)


class Recorder:
    """Every sync, link and replacement, as `(verb, path below the root)`; `fault` is asked before each, and may raise."""

    def __init__(self, monkeypatch, root: str) -> None:
        self.calls: list[tuple[str, str]] = []
        self.fault: Callable[[str, str], None] = lambda _verb, _path: None
        self._guard = threading.Lock()
        self._root = root
        fsync, link, replace, write = os.fsync, os.link, os.replace, os.write  # noqa: TID251 - watched, not used
        fdatasync = os.fdatasync  # noqa: TID251
        monkeypatch.setattr(os, "fsync", lambda fd: (self.note("sync", self._path(fd)), fsync(fd))[1])
        monkeypatch.setattr(os, "fdatasync", lambda fd: (self.note("sync", self._path(fd)), fdatasync(fd))[1])
        monkeypatch.setattr(os, "link", lambda *a, **k: (self.note("link", f"{self._path(k['dst_dir_fd'])}/{a[1]}"), link(*a, **k))[1])
        monkeypatch.setattr(
            os, "replace", lambda *a, **k: (self.note("replace", f"{self._path(k['dst_dir_fd'])}/{a[1]}"), replace(*a, **k))[1]
        )
        monkeypatch.setattr(os, "write", lambda fd, data: (self.note("write", self._path(fd)), write(fd, data))[1])

    def note(self, verb: str, path: str) -> None:
        with self._guard:
            self.calls.append((verb, path))
        self.fault(verb, path)

    def _path(self, fd: int) -> str:
        path = str(Path(f"/proc/self/fd/{fd}").readlink()).removesuffix(" (deleted)").removeprefix(self._root).strip("/")
        directory, _, name = path.rpartition("/")
        return f"{directory}/*" if name.startswith(("#", ".tmp-")) else path  # a file without a name, or with a passing one

    def taken(self, *verbs: str) -> list[tuple[str, str]]:
        calls, self.calls = self.calls, []
        return [call for call in calls if call[0] in (verbs or ("sync", "link", "replace"))]


@pytest.fixture
def recorder(monkeypatch, storage):
    return Recorder(monkeypatch, storage.url)


def write_segment(storage, name=SEGMENT):
    with storage.batch() as batch:
        batch.put(f"{name}/zarr.json", b"{}")
        batch.put(f"{name}/price/zarr.json", b"{}")
        batch.put(f"{name}/price/0", [b"1", b"2"])
        batch.put(f"{name}/time/0", b"1234")


def test_files_come_before_directories_and_both_before_the_record_and_its_name(storage, recorder):
    write_segment(storage)
    storage.create(COMMIT, b"record")
    calls = recorder.taken()
    files, rest = calls[:4], calls[4:]
    assert sorted(files) == [("sync", f"{SEGMENT}/{name}") for name in ("price/0", "price/zarr.json", "time/0", "zarr.json")]
    depths = [path.count("/") + 1 if path else 0 for _, path in rest[:6]]
    assert depths == sorted(depths, reverse=True)
    assert sorted(rest[:6]) == [("sync", path) for path in ("", "d", "d/2024", SEGMENT, f"{SEGMENT}/price", f"{SEGMENT}/time")]
    # The way to d is durable by now; _log is new in it.
    assert rest[6:] == [("sync", "d"), ("sync", "d/_log/*"), ("link", COMMIT), ("sync", "d/_log")]


def test_a_create_in_a_durable_directory_costs_two_syncs(storage, recorder):
    storage.create("d/e/f/1", b"x")
    assert recorder.taken() == [("sync", p) for p in ("d/e", "d", "", "d/e/f/*")] + [("link", "d/e/f/1"), ("sync", "d/e/f")]
    storage.create("d/e/f/2", b"x")
    assert recorder.taken() == [("sync", "d/e/f/*"), ("link", "d/e/f/2"), ("sync", "d/e/f")]
    storage.create("3", b"x")
    assert recorder.taken() == [("sync", "*"), ("link", "3"), ("sync", "")] or recorder.calls == []


def test_directories_that_others_made_are_synced_too(storage, recorder):
    Path(storage.url, "d/e").mkdir(parents=True)
    storage.create("d/e/1", b"x")
    assert recorder.taken() == [("sync", "d"), ("sync", ""), ("sync", "d/e/*"), ("link", "d/e/1"), ("sync", "d/e")]


def test_another_storage_of_the_same_root_trusts_nobody_elses_syncs(storage, recorder):
    storage.create("d/1", b"x")
    recorder.taken()
    LocalStorage(storage.url).create("d/2", b"x")
    assert recorder.taken() == [("sync", ""), ("sync", "d/*"), ("link", "d/2"), ("sync", "d")]


def test_a_directory_made_again_is_synced_again(storage, recorder):
    for _ in range(3):
        storage.create("d/e/1", b"x")
        assert [path for verb, path in recorder.taken() if verb == "sync"] == ["d", "", "d/e/*", "d/e"]
        storage.delete("d/e/1")
        assert storage.list("") == Listing((), ())


def test_forgetting_costs_a_sync_and_no_more(storage, recorder):
    storage.create("d/old/1", b"x")
    for i in range(100):
        storage.create(f"d/{i}/1", b"x")
    recorder.taken()
    storage.create("d/old/2", b"x")
    assert [path for verb, path in recorder.taken() if verb == "sync"] == ["d", "d/old/*", "d/old"]


def test_a_batch_beyond_its_descriptors_syncs_the_oldest_first(storage, recorder, monkeypatch):
    monkeypatch.setattr("arraystore.storage.localbatch._DESCRIPTORS", 3)
    with storage.batch() as batch:
        for i in range(5):
            batch.put(f"s/{i}", b"x")
        assert recorder.taken() == [("sync", "s/0"), ("sync", "s/1")]
    calls = recorder.taken()
    assert sorted(calls[:3]) == [("sync", "s/2"), ("sync", "s/3"), ("sync", "s/4")]
    assert calls[3:] == [("sync", "s"), ("sync", "")]


LARGE = bytes(1 << 20)


def test_a_large_file_is_synced_while_the_next_is_written_and_once(storage, recorder):
    synced = threading.Event()
    recorder.fault = lambda verb, path: synced.set() if (verb, path) == ("sync", "s/large") else None

    def next_one():
        assert synced.wait(20), "it waits for the batch's end"
        yield b"x"

    with storage.batch() as batch:
        batch.put("s/large", [LARGE, b"1"])
        batch.put("s/small", next_one())
    calls = recorder.taken("sync")
    assert calls[:2] == [("sync", "s/large"), ("sync", "s/small")]
    assert calls[2:] == [("sync", "s"), ("sync", "")]


def test_a_large_file_that_cant_be_synced_fails_the_batch_and_is_not_synced_again(storage, recorder):
    assert not storage.exists("s/large")
    before = descriptors()

    def fault(verb, path):
        if (verb, path) == ("sync", "s/large"):
            raise OSError(errno.EIO, "told to fail")

    def write(error=None):
        with storage.batch() as batch:
            batch.put("s/small", b"x")
            batch.put("s/large", LARGE)
            if error:
                raise error

    recorder.fault = fault
    with pytest.raises(StorageError, match="syncing 's/large'"):
        write()
    assert [call for call in recorder.taken() if call == ("sync", "s/large")] == [("sync", "s/large")]
    assert not Path(storage.url, "s").exists()
    with pytest.raises(ValueError, match="elsewhere"):
        write(ValueError("elsewhere"))
    assert not Path(storage.url, "s").exists()
    assert descriptors() == before


def test_a_second_segment_syncs_only_what_is_new(storage, recorder):
    write_segment(storage)
    recorder.taken()
    write_segment(storage, "d/2024/other")
    synced = [path for _, path in recorder.taken()[4:]]
    assert sorted(synced) == ["d/2024", "d/2024/other", "d/2024/other/price", "d/2024/other/time"]


def test_an_empty_batch_syncs_nothing(storage, recorder):
    with storage.batch():
        pass
    assert recorder.taken() == []


def test_a_hint_is_not_synced_and_a_durable_put_is(storage, recorder):
    storage.put("d/hint", b"1", durable=False)
    assert recorder.taken() == [("replace", "d/hint")]
    storage.put("d/kept", b"1", durable=True)
    assert recorder.taken() == [("sync", ""), ("sync", "d/*"), ("replace", "d/kept"), ("sync", "d")]


def test_sync_makes_the_names_and_the_way_to_them_durable(storage, recorder):
    Path(storage.url, "d/e").mkdir(parents=True)
    storage.sync("d/e")
    assert recorder.taken() == [("sync", "d/e"), ("sync", "d"), ("sync", "")]
    storage.sync("d/e")
    assert recorder.taken() == [("sync", "d/e")]
    storage.sync("")
    assert recorder.taken() == [("sync", "")]


def test_the_way_to_a_new_root_is_durable(tmp_path, recorder):
    LocalStorage(tmp_path / "some" / "where", create=True)
    above = str(tmp_path).strip("/")
    assert recorder.taken() == [("sync", f"{above}/some"), ("sync", above)]


def test_without_unnamed_files_a_passing_name_is_used_and_removed(storage, recorder, monkeypatch):
    monkeypatch.setattr(storage, "_unnamed_files", False)
    storage.create("d/1", b"x")
    with pytest.raises(AlreadyExists):
        storage.create("d/1", b"y")
    assert [path.name for path in Path(storage.url, "d").iterdir()] == ["1"]
    assert recorder.taken()[1:4] == [("sync", "d/*"), ("link", "d/1"), ("sync", "d")]


def test_a_medium_without_unnamed_files_is_noticed(storage, monkeypatch):
    original = os.open

    def refuse(path, flags, *rest, **options):
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "not supported")
        return original(path, flags, *rest, **options)

    monkeypatch.setattr(os, "open", refuse)
    storage.create("d/1", b"x")
    assert storage.get("d/1") == b"x"
    assert [path.name for path in Path(storage.url, "d").iterdir()] == ["1"]


class Faults:
    """Fail one call, the `nth` of a verb, and watch that no file whose sync failed is synced again."""

    def __init__(self, recorder: Recorder, verb: str, nth: int, number: int) -> None:
        self.fired = ""
        self._left = nth
        self._verb = verb
        self._number = number
        self._failed_file = None
        recorder.fault = self

    def __call__(self, verb: str, path: str) -> None:
        assert not (verb == "sync" and path == self._failed_file), "synced again after its sync had failed"
        if verb != self._verb or self.fired:
            return
        self._left -= 1
        if self._left < 0:
            self.fired = path or "the root"
            self._failed_file = (
                path if verb == "sync" and path.startswith(f"{SEGMENT}/") and path.rpartition("/")[2] in ("0", "zarr.json") else None
            )
            raise OSError(self._number, os.strerror(self._number))


def descriptors():
    gc.collect()  # errors refer to the storages that raised them
    return len([*Path("/proc/self/fd").iterdir()])


def test_ranges_read_one_by_one_leave_nothing_open(storage):
    storage.create("a", bytes(range(200)))
    storage.get("a")
    before = descriptors()
    pieces = storage.iter_ranges("a", [(0, 1), (1, 3), (5, 900)])
    assert next(pieces) == b"\x00"
    assert descriptors() == before + 1
    storage.delete("a")
    assert next(pieces) == b"\x01\x02", "what is open stays whole"
    pieces.close()
    assert descriptors() == before


def outcome(call, *arguments, **options):
    """The error a call raises, or None."""
    try:
        call(*arguments, **options)
    except (StorageError, CommitUnknown) as error:
        return error
    return None


def each_fault(tmp_path, recorder, verb, number, call):
    """Make `call` on a fresh storage with the first, second, … call of `verb` failing, until none is left to fail.

    Yields the storage, no longer failing, with the error that came of each fault.
    """
    for nth in count():
        (tmp_path / f"{nth}").mkdir()
        storage = LocalStorage(tmp_path / f"{nth}")
        faults = Faults(recorder, verb, nth, number)
        error = outcome(call, storage)
        recorder.fault = lambda _verb, _path: None
        if not faults.fired:
            assert error is None
            break
        assert error is not None, f"{verb} of {faults.fired} failed unnoticed"
        assert os.strerror(number) in str(error)
        assert storage.url in str(error)
        assert list(Path(storage.url).rglob(".tmp-*")) == []
        yield storage, error


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EROFS, errno.EDQUOT])
@pytest.mark.parametrize(("verb", "calls"), [("write", 4), ("sync", 10)])
def test_whatever_fails_in_a_batch_it_says_so_and_leaves_nothing(tmp_path, recorder, verb, calls, number):
    before = descriptors()
    failures = 0
    for storage, error in each_fault(tmp_path, recorder, verb, number, write_segment):
        failures += 1
        assert isinstance(error, StorageError)
        assert error.errno == number
        assert [*Path(storage.url).iterdir()] == []
        write_segment(storage, f"{SEGMENT}-again")
        assert storage.get(f"{SEGMENT}-again/price/0") == b"12"
    assert failures == calls
    del storage, error
    assert descriptors() == before


@pytest.mark.parametrize(
    ("verb", "number", "expected"),
    [
        ("write", errno.ENOSPC, "failed"),
        ("write", errno.EIO, "failed"),
        # d, the root, the record; and last the directory, in which the record is visible by then
        ("sync", errno.EIO, "failed failed failed visible"),
        ("sync", errno.ENOSPC, "failed failed failed visible"),
        ("link", errno.ENOSPC, "failed"),
        ("link", errno.EROFS, "failed"),
        ("link", errno.EIO, "unknown"),
    ],
)
def test_whatever_fails_in_a_create_is_told_apart(tmp_path, recorder, verb, number, expected):
    outcomes = []
    for storage, error in each_fault(tmp_path, recorder, verb, number, lambda storage: storage.create(COMMIT, b"record")):
        assert COMMIT in str(error)
        visible = storage.exists(COMMIT)
        if isinstance(error, CommitUnknown):
            outcomes.append("visible" if visible else "unknown")
        else:
            outcomes.append("failed")
            assert error.errno == number
            assert not visible
            storage.create(COMMIT, b"record")  # so the same name can be had
    assert outcomes == expected.split()


@pytest.mark.parametrize(("verb", "calls"), [("write", 1), ("sync", 3), ("replace", 1)])
def test_whatever_fails_in_a_put_the_object_is_the_old_or_the_new_one(tmp_path, recorder, verb, calls):
    def call(storage):
        Path(storage.url, "d").mkdir()
        Path(storage.url, "d", "a").write_bytes(b"old")
        storage.put("d/a", b"new", durable=True)

    found = [(type(error), storage.get("d/a")) for storage, error in each_fault(tmp_path, recorder, verb, errno.EIO, call)]
    assert found[-1:] == [(CommitUnknown, b"new") if verb == "sync" else (StorageError, b"old")]
    assert found[:-1] == [(StorageError, b"old")] * (calls - 1)


def test_a_failed_directory_is_not_taken_for_durable(storage, recorder):
    Faults(recorder, "sync", 1, errno.EIO)
    with pytest.raises(StorageError):
        storage.create("d/e/1", b"x")
    recorder.fault = lambda _verb, _path: None
    recorder.taken()
    storage.create("d/e/1", b"x")
    assert [path for verb, path in recorder.taken() if verb == "sync"] == ["d", "", "d/e/*", "d/e"]


def test_a_batch_whose_early_sync_failed_fails_though_the_caller_went_on(storage, recorder, monkeypatch):
    monkeypatch.setattr("arraystore.storage.localbatch._DESCRIPTORS", 1)
    Faults(recorder, "sync", 0, errno.EIO)

    def go_on():
        with storage.batch() as batch:
            batch.put("s/0", b"x")
            with pytest.raises(StorageError, match="s/0"):
                batch.put("s/1", b"x")
            batch.put("s/2", b"x")

    with pytest.raises(StorageError, match="s/0"):
        go_on()
    assert storage.list("") == Listing((), ())


def test_short_writes_are_completed(storage, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[: max(1, len(data) // 3)]))
    storage.create("a", bytes(range(200)))
    with storage.batch() as batch:
        assert batch.put("b", [bytes(range(200)), b"x"]) == 201
    assert storage.get("a") == bytes(range(200))
    assert storage.get("b") == bytes(range(200)) + b"x"


def test_short_reads_are_completed(storage, monkeypatch):
    storage.create("a", bytes(range(200)))
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, length, offset: pread(fd, min(length, 7), offset))
    assert storage.get("a") == bytes(range(200))
    assert storage.get_ranges("a", [(100, 150), (190, 300)]) == [bytes(range(100, 150)), bytes(range(190, 200))]
    assert [*storage.iter_ranges("a", [(100, 150), (190, 300)])] == [bytes(range(100, 150)), bytes(range(190, 200))]


@pytest.mark.parametrize(
    ("number", "remedy"),
    [(errno.EMFILE, "ulimit"), (errno.EACCES, "owner"), (errno.EIO, "log"), (errno.ESTALE, "mount")],
)
@pytest.mark.usefixtures("step_by_step")
def test_every_refusal_names_key_place_and_remedy(storage, monkeypatch, number, remedy):
    storage.create("d/a", b"x")
    original = os.open

    def refuse(path, flags, *rest, **options):
        if path == "d":
            raise OSError(number, os.strerror(number))
        return original(path, flags, *rest, **options)

    monkeypatch.setattr(os, "open", refuse)
    for verb in (
        storage.get,
        storage.exists,
        storage.delete,
        lambda key: storage.create(key, b"x"),
        lambda key: storage.put(key, b"x", durable=False),
    ):
        with pytest.raises(StorageError) as caught:
            verb("d/a")
        assert caught.value.errno == number
        assert all(text in str(caught.value) for text in ("d/a", storage.url, remedy))


def test_a_segment_that_somebody_removed_meanwhile_is_told(storage):
    def go():
        with storage.batch() as batch:
            batch.put(f"{SEGMENT}/price/0", b"x")
            shutil.rmtree(Path(storage.url, SEGMENT))

    with pytest.raises(StorageError, match=SEGMENT):
        go()
    assert storage.list("") == Listing((), ("d",))


@given(st.lists(st.sampled_from((0, 1, 7, GATHERED_BYTES - 1, GATHERED_BYTES, GATHERED_BYTES + 1)), max_size=12))
def test_small_pieces_are_written_together_and_none_is_lost(lengths):
    pieces = [bytes([number]) * length for number, length in enumerate(lengths)]
    written = [bytes(piece) for piece in gathered(pieces)]
    assert b"".join(written) == b"".join(pieces)
    assert all(len(piece) >= GATHERED_BYTES for piece in written[:-1])


def test_a_stream_that_fails_half_way_leaves_nothing(tmp_path, recorder):
    piece = bytes(GATHERED_BYTES // 2)

    def write(storage):
        with storage.batch() as batch:
            batch.put(f"{SEGMENT}/price/0", iter([piece] * 7))

    failures = 0
    for storage, _error in each_fault(tmp_path, recorder, "write", errno.ENOSPC, write):
        failures += 1
        assert [*Path(storage.url).iterdir()] == []
    assert failures == 4
