"""Class roots are where the store's map says, and no link leads anywhere else; what is there opens also where nothing may be written."""

import errno
from pathlib import Path
from unittest import mock

import pytest

import arraystore
from arraystore.errors import StorageError
from arraystore.storage import LocalStorage
from tests.maintenance.conftest import KEY, plain, schema_of


def opened(root: Path, role: str = "operations") -> arraystore.Store:
    return arraystore.open_store(root, role=role)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    arraystore.open_store(tmp_path / "store", role="data-quality", create=True).canonical.create(KEY, schema_of()).append(plain(2))
    return tmp_path / "store"


def test_a_link_in_the_place_of_a_class_is_refused_and_told(root: Path, tmp_path: Path) -> None:
    (root / "canonical").rename(tmp_path / "elsewhere")
    (root / "canonical").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match=r"canonical is a symbolic link.*absolute path") as caught:
        opened(root).surface("canonical")
    assert caught.value.errno == errno.ELOOP
    with pytest.raises(StorageError, match="is a symbolic link"):
        arraystore.open_store(root, role="operations", create=True)
    found = opened(root).lint()
    assert {"./canonical", "canonical"} <= {each.place for each in found if each.rule == "link"}
    assert opened(root).surface("raw").find() == []


def test_links_above_an_absolute_place_are_the_operators(tmp_path: Path) -> None:
    from arraystore.classes.roots import init_store

    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    init_store(str(tmp_path / "link" / "store"), roots={"canonical": str(tmp_path / "link" / "classes")})
    store = opened(tmp_path / "link" / "store", "data-quality")
    store.canonical.create(KEY, schema_of()).append(plain(2))
    assert store.canonical[KEY].read().row_count == 2


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_an_existing_store_opens_with_create_where_nothing_may_be_written(root: Path, number: int, tmp_path: Path) -> None:
    refused = StorageError(number, "no")
    with mock.patch.object(LocalStorage, "create", side_effect=refused):
        assert arraystore.open_store(root, role="analysis", create=True).canonical[KEY].read().row_count == 2
        with pytest.raises(StorageError, match="no"):
            arraystore.open_store(tmp_path / "new", role="analysis", create=True)


def test_the_index_of_lineage_is_made_anew_with_what_was_deleted(root: Path) -> None:
    quality, analysis = opened(root, "data-quality"), opened(root, "analysis")
    bars = analysis.derived.create(("bars", "1m", "venue", "X"), schema_of())
    bars.append(plain(1), inputs=quality.canonical[KEY].pin())
    analysis.derived.delete(("bars", "1m", "venue", "X"), reason="r")
    assert opened(root).rebuild_lineage() == 1


def test_expiring_many_datasets_reads_each_tag_once(root: Path) -> None:
    quality = opened(root, "data-quality")
    for name in "ABC":
        quality.canonical.create((*KEY[:2], name), schema_of()).append(plain(2))
    for number in range(4):
        quality.tag(f"t{number}", [quality.canonical[KEY].pin()])
    store, read = opened(root), []
    true = LocalStorage.get_ranges

    def counted(self, key, ranges):
        read.append((self.url, key))
        return true(self, key, ranges)

    with mock.patch.object(LocalStorage, "get_ranges", counted):
        store.expire("canonical", keep_versions=1, delay="0s")
    assert len([key for url, key in read if url.endswith("/tags")]) == 4
