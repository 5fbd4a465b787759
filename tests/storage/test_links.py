"""A local root is left through no link, and nothing but files and directories is opened."""

import os
import socket
import stat
from pathlib import Path

import pytest

from arraystore.errors import AlreadyExists, NotFound, StorageError
from arraystore.storage import Listing, LocalStorage


@pytest.fixture(params=["at once", "step by step"], autouse=True)
def way_down(request):
    """Both ways of getting there refuse alike."""
    if request.param == "step by step":
        request.getfixturevalue("step_by_step")


@pytest.fixture
def root(tmp_path):
    (tmp_path / "root" / "a").mkdir(parents=True)
    (tmp_path / "root" / "a" / "object").write_bytes(b"inside")
    return tmp_path / "root"


@pytest.fixture
def outside(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "object").write_bytes(b"secret")
    return tmp_path / "outside"


@pytest.fixture
def storage(root):
    return LocalStorage(root)


def snapshot(folder: Path):
    return {str(path): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def reads(storage, key):
    return {
        "get": lambda: storage.get(key),
        "get_ranges": lambda: storage.get_ranges(key, [(0, 1)]),
        "iter_ranges": lambda: [*storage.iter_ranges(key, [(0, 1)])],
        "size": lambda: storage.size(key),
        "exists": lambda: storage.exists(key),
    }


def writes(storage, key):
    return {
        "create": lambda: storage.create(key, b"x"),
        "put": lambda: storage.put(key, b"x", durable=False),
        "put durable": lambda: storage.put(key, b"x", durable=True),
        "delete": lambda: storage.delete(key),
        "lock": lambda: storage.lock(key).__enter__(),
        "batch": lambda: put_in_batch(storage, key),
    }


def put_in_batch(storage, key):
    with storage.batch() as batch:
        batch.put(key, b"x")


@pytest.mark.parametrize("target", ["../../outside", "{outside}", "../a", "."], ids=["relative", "absolute", "sibling", "itself"])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_linked_directory_is_never_entered(storage, root, outside, target, depth):
    above = [f"d{i}" for i in range(depth - 1)]
    (root / Path(*above)).mkdir(parents=True, exist_ok=True)
    (root / Path(*above, "link")).symlink_to(target.format(outside=outside))
    before = snapshot(outside), snapshot(root)
    key = "/".join([*above, "link", "object"])
    for verb in (reads(storage, key) | writes(storage, key)).values():
        with pytest.raises(StorageError, match="symbolic link"):
            verb()
    for verb in (storage.list, storage.sync):
        with pytest.raises(StorageError, match="symbolic link"):
            verb("/".join([*above, "link"]))
    assert (snapshot(outside), snapshot(root)) == before


def test_a_linked_object_is_never_read(storage, root, outside):
    (root / "a" / "link").symlink_to(outside / "object")
    for verb in reads(storage, "a/link").values():
        with pytest.raises(StorageError, match="symbolic link"):
            verb()


def test_a_linked_object_is_never_written_through(storage, root, outside):
    (root / "a" / "link").symlink_to(outside / "object")
    (root / "a" / "dangling").symlink_to(outside / "new")
    for key in ("a/link", "a/dangling"):
        with pytest.raises(AlreadyExists):
            storage.create(key, b"x")
        with pytest.raises(AlreadyExists):
            put_in_batch(storage, key)
        with pytest.raises(StorageError, match="symbolic link"):
            storage.lock(key).__enter__()
    storage.put("a/link", b"the link was replaced", durable=True)
    storage.delete("a/dangling")
    assert snapshot(outside) == {str(outside / "object"): b"secret"}
    assert storage.get("a/link") == b"the link was replaced"
    assert not (root / "a" / "dangling").is_symlink()


def test_links_are_not_listed(storage, root, outside):
    (root / "linked").symlink_to(outside)
    (root / "a" / "link").symlink_to(outside / "object")
    assert storage.list("") == Listing((), ("a",))
    assert storage.list("a") == Listing(("object",), ())


def test_the_root_itself_may_be_reached_through_links(root, tmp_path):
    (tmp_path / "data").symlink_to(root)
    storage = LocalStorage(tmp_path / "data")
    assert storage.get("a/object") == b"inside"
    storage.create("b/c", b"x")
    assert (root / "b" / "c").read_bytes() == b"x"


def test_a_fifo_neither_hangs_a_reader_nor_passes_for_an_object(storage, root):
    os.mkfifo(root / "a" / "fifo")
    for verb in reads(storage, "a/fifo").values():
        with pytest.raises(StorageError, match="FIFO"):
            verb()
    with pytest.raises(StorageError, match="FIFO"):
        storage.lock("a/fifo").__enter__()
    with pytest.raises(AlreadyExists):
        storage.create("a/fifo", b"x")
    with pytest.raises(AlreadyExists):
        put_in_batch(storage, "a/fifo")
    assert storage.list("a") == Listing(("object",), ())


def test_a_socket_is_no_object(storage, root, monkeypatch):
    monkeypatch.chdir(root / "a")  # the path of a socket is short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        for verb in reads(storage, "a/socket").values():
            with pytest.raises(StorageError, match="socket"):
                verb()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make devices")
def test_a_device_is_no_object(storage, root):
    try:
        os.mknod(root / "a" / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("devices may not be made here")
    for verb in reads(storage, "a/null").values():
        with pytest.raises(StorageError, match=r"device|may not"):
            verb()


def test_a_directory_is_no_object_and_an_object_no_directory(storage):
    assert not storage.exists("a")
    with pytest.raises(NotFound):
        storage.get("a")
    with pytest.raises(AlreadyExists):
        storage.create("a", b"x")
    with pytest.raises(StorageError):
        storage.put("a", b"x", durable=False)
    storage.delete("a")
    assert storage.get("a/object") == b"inside"
    assert storage.list("a/object") == Listing((), ())
    with pytest.raises(NotFound):
        storage.get("a/object/b")
    for verb in ("create", "put", "put durable", "batch", "lock"):
        with pytest.raises(StorageError, match="an object lies where a directory is needed"):
            writes(storage, "a/object/b")[verb]()


def test_what_is_no_key_is_not_listed(storage, root):
    for name in ("with space", "ünï", "back\\slash", ".tmp-0123", "x" * 250 + " "):
        (root / "a" / name).write_bytes(b"x")
        (root / "a" / (name[:200] + " d")).mkdir()
    (root / "a" / os.fsdecode(b"\xff")).write_bytes(b"x")
    assert storage.list("a") == Listing(("object",), ())
