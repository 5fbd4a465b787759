"""Whether a medium is fit for commits is found out before a store is made on it."""

import errno
import fcntl
import os
from pathlib import Path

import pytest

from arraystore.errors import StorageError
from arraystore.storage import LocalStorage, localmedium
from arraystore.storage.localmedium import kind_of_medium


@pytest.fixture
def storage(tmp_path):
    return LocalStorage(tmp_path / "root", create=True)


def leftovers(storage):
    return list(Path(storage.url).iterdir())


def fail(number):
    def call(*_args, **_options):
        raise OSError(number, os.strerror(number))

    return call


def test_a_medium_that_cannot_link_is_refused(storage, monkeypatch):
    monkeypatch.setattr(os, "link", fail(errno.EPERM))
    with pytest.raises(StorageError, match="ext4, XFS or btrfs") as caught:
        storage.probe()
    assert caught.value.errno == errno.EPERM
    assert leftovers(storage) == []


def test_a_medium_whose_links_replace_is_refused(storage, monkeypatch):
    def replacing(source, name, *, src_dir_fd, dst_dir_fd, follow_symlinks):
        data = Path(source).read_bytes()
        fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, dir_fd=dst_dir_fd)
        os.write(fd, data)
        os.close(fd)

    monkeypatch.setattr(os, "link", replacing)
    with pytest.raises(StorageError, match="exactly one may"):
        storage.probe()
    assert leftovers(storage) == []


@pytest.mark.parametrize("which", ["files", "directories"])
def test_a_medium_that_cannot_sync_is_refused(storage, monkeypatch, which):
    original = os.fsync  # noqa: TID251 - watched, not used

    def refuse(fd):
        if Path(f"/proc/self/fd/{fd}").is_dir() == (which == "directories"):
            raise OSError(errno.EINVAL, "Invalid argument")
        original(fd)

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(StorageError):
        storage.probe()
    assert leftovers(storage) == []


def test_a_network_file_system_is_refused(storage, monkeypatch):
    monkeypatch.setattr(localmedium, "kind_of_medium", lambda _path: "nfs4")
    with pytest.raises(StorageError, match="lies on nfs4, which serves readers only"):
        storage.probe()


def test_the_kind_of_medium_is_known(tmp_path):
    assert kind_of_medium("/proc") == "proc"
    assert kind_of_medium(str(tmp_path)) not in ("", "proc")


def test_ignoring_case_is_found_out_once_and_leaves_nothing(storage, monkeypatch):
    assert storage.ignores_case is False
    assert leftovers(storage) == []
    other = LocalStorage(storage.url)
    stat = os.stat
    monkeypatch.setattr(os, "stat", lambda path, **options: stat(path.replace("-A", "-a") if isinstance(path, str) else path, **options))
    assert other.ignores_case is True
    monkeypatch.undo()
    assert other.ignores_case is True
    assert leftovers(storage) == []


def test_who_may_make_no_file_needs_no_case(storage, monkeypatch):
    monkeypatch.setattr(os, "open", lambda *a, original=os.open, **k: fail(errno.EROFS)() if a[1] & os.O_CREAT else original(*a, **k))
    assert storage.ignores_case is False


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_who_may_make_no_lock_file_goes_on_without(storage, monkeypatch, number):
    monkeypatch.setattr(os, "open", lambda *a, original=os.open, **k: fail(number)() if a[1] & os.O_CREAT else original(*a, **k))
    entered = []
    with storage.lock("lock"):
        entered.append(True)
    assert entered == [True]
    assert leftovers(storage) == []


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_where_nothing_can_be_locked_nobody_queues(storage, monkeypatch, number):
    monkeypatch.setattr(fcntl, "flock", fail(number))
    with storage.lock("lock"), storage.lock("lock"):
        assert storage.size("lock") == 0


def test_a_lock_that_fails_otherwise_says_so(storage, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", fail(errno.EIO))
    with pytest.raises(StorageError, match="locking 'd/lock'"):
        storage.lock("d/lock").__enter__()


def test_a_lock_keeps_the_callers_error_as_it_is(storage):
    def go():
        with storage.lock("lock"):
            raise OSError(errno.EIO, "mine")

    with pytest.raises(OSError, match="mine") as caught:
        go()
    assert not isinstance(caught.value, StorageError)
