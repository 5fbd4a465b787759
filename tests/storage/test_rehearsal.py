"""What a dry run works on: it behaves as the storage below would, and leaves that as it was."""

import os
from pathlib import Path

import pytest

from arraystore.errors import AlreadyExists, NotFound, StorageError
from arraystore.metered import Meter, Metered
from arraystore.storage import LocalStorage, open_storage
from arraystore.storage.rehearsal import Rehearsal, RehearsalStorage


def picture(root: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(root)): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in sorted((root, *root.rglob("*")))
    }


@pytest.fixture
def below(tmp_path: Path) -> LocalStorage:
    storage = LocalStorage(tmp_path / "root", create=True)
    for key in ("zarr.json", "a/one", "a/two", "b/c/d"):
        storage.create(key, key.encode())
    return storage


@pytest.fixture
def over(below: LocalStorage) -> RehearsalStorage:
    return RehearsalStorage(below, below.url)


@pytest.mark.parametrize("is_far", [False, True])
def test_what_wraps_a_storage_is_as_far_as_that(below: LocalStorage, monkeypatch: pytest.MonkeyPatch, *, is_far: bool) -> None:
    monkeypatch.setattr(LocalStorage, "is_far", is_far)
    assert [RehearsalStorage(below, below.url).is_far, Metered(below, Meter()).is_far] == [is_far, is_far]
    assert not RehearsalStorage(None, below.url).is_far


def test_every_verb_leaves_the_storage_below_as_it_was(below: LocalStorage, over: RehearsalStorage) -> None:
    before = picture(Path(below.url))
    over.create("a/three", b"3")
    over.put("a/one", b"new", durable=True)
    over.delete("a/two")
    with over.batch() as batch:
        batch.put("b/e", b"batched")
    with over.lock("a/_lock"):
        over.sync("a")
    over.probe()
    assert not over.ignores_case
    assert (over.get("a/one"), over.get("a/three"), over.get("b/e"), over.get("b/c/d")) == (b"new", b"3", b"batched", b"b/c/d")
    assert (over.size("a/one"), over.get_ranges("zarr.json", [(0, 4)])) == (3, [b"zarr"])
    assert (over.exists("a/two"), over.exists("a/one")) == (False, True)
    assert over.list("a").objects == ("one", "three")
    assert over.list("").prefixes == ("a", "b")
    assert over.list("b").objects == ("e",)
    assert picture(Path(below.url)) == before


def test_what_is_below_is_taken_and_what_was_deleted_is_free(over: RehearsalStorage) -> None:
    with pytest.raises(AlreadyExists):
        over.create("a/one", b"")
    over.delete("a/one")
    with pytest.raises(NotFound):
        over.get("a/one")
    over.create("a/one", b"again")
    assert over.get("a/one") == b"again"


def test_storages_of_one_url_share_what_was_written(below: LocalStorage) -> None:
    opener = Rehearsal()
    opener(below.url).create("x", b"1")
    assert opener(below.url).get("x") == b"1"
    assert not open_storage(below.url).exists("x")


def test_a_root_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    opener = Rehearsal()
    with pytest.raises(NotFound):
        opener(str(tmp_path / "new"))
    made = opener(str(tmp_path / "new"), create=True)
    made.create("a/b", b"1")
    assert (made.url, made.list("").prefixes) == (str(tmp_path / "new"), ("a",))
    with pytest.raises(NotFound):
        made.get("c")
    assert not list(tmp_path.iterdir())


def test_a_file_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="in the way"):
        Rehearsal()(str(tmp_path / "file" / "store"), create=True)


def test_a_place_where_this_user_may_not_write_is_told(
    below: LocalStorage, over: RehearsalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(os, "access", lambda path, mode: asked.append((str(path), mode)) or False)
    for write in (lambda: over.create("a/new/x", b""), lambda: over.put("a/one", b"", durable=False), lambda: over.delete("a/one")):
        with pytest.raises(StorageError, match="may not write"):
            write()
    assert {path for path, _ in asked} == {f"{below.url}/a"}
