"""A URL leads to the storage that it names, and the storage back to it."""

import pickle
from pathlib import Path

import pytest

from arraystore.errors import InvalidInput, NotFound, StorageError
from arraystore.storage import LocalStorage, MemoryStorage, open_storage
from arraystore.storage.objects import ObjectStorage
from arraystore.storage.rehearsal import RehearsalStorage


def test_a_path_is_a_directory_that_must_exist(tmp_path):
    with pytest.raises(NotFound, match="no such directory"):
        open_storage(tmp_path / "a" / "b")
    made = open_storage(tmp_path / "a" / "b", create=True)
    assert (tmp_path / "a" / "b").is_dir()
    assert open_storage(str(tmp_path / "a" / "b")) == made
    assert made.url == str(tmp_path / "a" / "b")
    assert open_storage(made.url) == made


def test_a_relative_path_stays_where_it_was_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    storage = open_storage("root", create=True)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    storage.create("a", b"x")
    assert (tmp_path / "root" / "a").read_bytes() == b"x"
    assert storage.url == str(tmp_path / "root")


@pytest.mark.parametrize("name", ["plain", "with space", "a%20b", "ünï", "what?#&", "s3:"])
def test_a_file_url_is_a_path_with_escapes(tmp_path, name):
    storage = open_storage((tmp_path / name).as_uri(), create=True)
    storage.create("a", b"x")
    assert (tmp_path / name / "a").read_bytes() == b"x"
    assert open_storage(storage.url) == storage
    assert open_storage((tmp_path / name).as_uri().replace("file://", "file://localhost")) == storage


def test_a_file_is_no_root(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    for create in (False, True):
        with pytest.raises(InvalidInput, match="is a file, and a store is a directory; give another path"):
            open_storage(tmp_path / "file", create=create)
    with pytest.raises(StorageError, match="making the root"):
        open_storage(tmp_path / "file" / "below", create=True)


@pytest.mark.parametrize(
    "url", ["", "a\0b", "file://host/path", "file://", "file:///a?b", "ftp://host/path", "http://host/path", "s4://bucket", "s3://"]
)
def test_what_is_no_url_is_refused(url):
    with pytest.raises(InvalidInput, match="url"):
        open_storage(url, create=True)


def test_a_path_may_look_like_a_url_further_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    storage = open_storage("./s3://bucket", create=True)
    assert isinstance(storage, LocalStorage)
    assert (tmp_path / "s3:" / "bucket").is_dir()


def test_a_memory_has_a_name_and_prefixes():
    with pytest.raises(NotFound, match="memory://test-opening"):
        open_storage("memory://test-opening")
    whole = open_storage("memory://test-opening", create=True)
    whole.create("a/b/c", b"x")
    below = open_storage("memory://test-opening/a/b")
    assert below.get("c") == b"x"
    below.put("d", b"y", durable=True)
    assert whole.list("a/b").objects == ("c", "d")
    assert below.list("") == whole.list("a/b")
    assert below.url == "memory://test-opening/a/b"
    assert open_storage(below.url) == below != whole
    assert open_storage("memory://test-opening/") == whole
    with pytest.raises(InvalidInput):
        open_storage("memory://test-opening/../x")


def test_a_nameless_memory_is_nobody_elses():
    with pytest.raises(NotFound, match="create=True"):
        open_storage("memory://")
    first, second = open_storage("memory://", create=True), open_storage("memory://", create=True)
    first.create("a", b"x")
    assert not second.exists("a")
    assert open_storage(first.url).get("a") == b"x"


def test_a_prefix_of_a_memory_is_locked_with_the_whole():
    whole = MemoryStorage()
    below = open_storage(f"{whole.url}/a")
    with whole.lock("a/lock"):
        assert below._space.locks["a/lock"].locked()


def test_a_bucket_is_opened_by_its_url_and_the_environment(s3, monkeypatch):
    for name, value in {
        "ENDPOINT_URL": s3.endpoint,
        "ALLOW_HTTP": "true",
        "ACCESS_KEY_ID": "k",
        "SECRET_ACCESS_KEY": "s",
        "REGION": "r",
    }.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    storage = open_storage("s3://bucket/some/prefix/")
    storage.create("a/b", b"x")
    assert s3.objects == {"some/prefix/a/b": b"x"}
    assert storage.url == "s3://bucket/some/prefix"
    assert open_storage("s3://bucket").get("some/prefix/a/b") == b"x"
    assert pickle.loads(pickle.dumps(storage)) == storage


@pytest.mark.parametrize(("url", "settings"), [("gs://bucket/a", {}), ("az://container/a", {"AZURE_STORAGE_ACCOUNT_NAME": "account"})])
def test_other_clouds_are_opened_without_a_request(url, settings, monkeypatch):
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    storage = open_storage(url)
    assert isinstance(storage, ObjectStorage)
    assert storage.url == url


def test_storages_survive_pickling(tmp_path, storage):
    if "MemoryStore object" in storage.url or isinstance(storage, RehearsalStorage):
        with pytest.raises(TypeError):
            pickle.dumps(storage)
        return
    storage.create("a", b"x")
    again = pickle.loads(pickle.dumps(storage))
    assert again == storage
    assert hash(again) == hash(storage)
    assert again.url == storage.url
    assert again.get("a") == b"x"
    assert repr(storage.url) in repr(again)


def test_storages_of_different_places_differ(tmp_path):
    assert LocalStorage(tmp_path) == LocalStorage(tmp_path) != LocalStorage(tmp_path / "a")
    assert MemoryStorage() != MemoryStorage()
    assert LocalStorage(tmp_path) != str(tmp_path)


def test_an_opened_storage_keeps_its_directory_when_that_is_moved(tmp_path):
    storage = open_storage(tmp_path / "a", create=True)
    storage.create("b", b"x")
    Path(storage.url).rename(tmp_path / "moved")
    assert storage.get("b") == b"x"


def test_a_root_that_is_gone_is_told(tmp_path):
    storage = open_storage(tmp_path / "a", create=True)
    Path(storage.url).rmdir()
    with pytest.raises(NotFound):
        storage.get("b")
    with pytest.raises(StorageError, match="creating 'c/b'"):
        storage.create("c/b", b"x")
    with pytest.raises(StorageError, match="writing 'c/b'"), storage.batch() as batch:
        batch.put("c/b", b"x")
