"""The one call that opens a whole way down trusts no link, and steps aside where it can't help."""

import ctypes
import errno
import os

import pytest

from arraystore.storage import LocalStorage
from arraystore.storage.openat2 import Opener

FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_bytes(b"inside")
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "a" / "link").symlink_to("b/file")
    fd = os.open(tmp_path, os.O_RDONLY)
    opener = Opener(FLAGS)
    try:
        if opener(fd, ["a"]) is None:
            pytest.skip("this kernel, or the sandbox around it, has no openat2")
        yield fd
    finally:
        os.close(fd)


def test_a_file_is_opened_in_one_call(folder):
    fd = Opener(FLAGS)(folder, ["a", "b", "file"])
    assert os.read(fd, 10) == b"inside"
    assert not os.get_inheritable(fd)
    os.close(fd)


@pytest.mark.parametrize("path", ["link", "link/b/file", "a/link", "../x", "a/b/file/x"])
def test_what_is_not_straight_is_left_to_the_walk(folder, path):
    assert Opener(FLAGS)(folder, path.split("/")) is None


def test_the_folder_itself_is_left_to_the_walk(folder):
    assert Opener(FLAGS)(folder, []) is None


def test_what_is_not_there_is_known_at_once(folder):
    for parts in (["x"], ["a", "x"], ["x", "y"]):
        with pytest.raises(FileNotFoundError):
            Opener(FLAGS)(folder, parts)


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM])
def test_where_the_kernel_refuses_it_is_asked_once(tmp_path, monkeypatch, number):
    calls = []

    def refuse(*_):
        calls.append(1)
        ctypes.set_errno(number)
        return -1

    storage = LocalStorage(tmp_path / "root", create=True)
    storage.create("a/b", b"x")
    monkeypatch.setattr(Opener, "available", True)
    for name in ("_open_file", "_open_path", "_open_directory"):
        opener = Opener(FLAGS)
        opener._call = refuse
        monkeypatch.setattr(f"arraystore.storage.descent.{name}", opener)
    assert storage.get("a/b") == b"x"
    assert storage.exists("a/b")
    assert storage.list("a").objects == ("b",)
    assert calls == [1]
