"""A store of format 1 that was written once, and is read for ever: every dataset, every version, every byte."""

import json
from typing import Any

import msgspec
import pytest

import arraystore
from arraystore import DatasetView, Role
from tests.format import golden
from tests.format.conftest import plain
from tests.format.golden import Expected, differences

DATASETS = golden.expected()
CHANCE = {"started", "ended", "owner"}  # attributes that tell when it was


@pytest.fixture(scope="module")
def store() -> arraystore.Store:
    return arraystore.open_store(golden.STORE, role=Role.OPERATIONS)


def opened(store: arraystore.Store, expected: Expected) -> arraystore.Dataset:
    return store.surface(expected.name)[expected.key]


def test_the_golden_store_is_the_one_that_was_committed() -> None:
    assert golden.digest_of(golden.STORE, golden.EXPECTED) == golden.DIGEST.read_text().strip()


def test_every_class_lists_its_datasets(store: arraystore.Store) -> None:
    for name in arraystore.StorageClass:
        wanted = sorted(expected.key for expected in DATASETS if expected.name == name)
        assert store.surface(name).find() == wanted
        assert wanted, "all six classes are in it"


@pytest.mark.parametrize("expected", DATASETS, ids=repr)
def test_nothing_in_it_is_damaged(store: arraystore.Store, expected: Expected) -> None:
    assert opened(store, expected).verify(deep=True) == []


@pytest.mark.parametrize("expected", DATASETS, ids=repr)
def test_every_version_holds_the_rows_that_were_given(store: arraystore.Store, expected: Expected) -> None:
    dataset = opened(store, expected)
    assert [version.operation for version in dataset.versions()] == [version["operation"] for version in expected.versions]
    assert dataset.profile == expected.told["profile"]
    for number, version in enumerate(expected.versions, 1):
        view = dataset.at(number)
        assert sorted(view.windows()) == sorted(version["windows"])
        for window in version["windows"]:
            rows = view.read(window=window).rows
            assert json.loads(msgspec.json.encode(rows.schema)) == expected.schema(window)
            assert differences(plain(rows), expected.rows(window, version)) == [], f"{window} at version {number}"


@pytest.mark.parametrize("expected", DATASETS, ids=repr)
def test_every_version_tells_what_was_told(store: arraystore.Store, expected: Expected) -> None:
    dataset = opened(store, expected)
    for number, version in enumerate(expected.versions, 1):
        view = dataset.at(number)
        assert {name: value for name, value in view.attributes.items() if name not in CHANCE} == version["attributes"]
        assert {name: told(view, name) for name in view.windows()} == {
            name: {each: value for each, value in state.items() if each != "rows"} for name, state in version["windows"].items()
        }
        files = {name: {"hex": each.read().hex(), "media_type": each.media_type} for name, each in view.artifacts().items()}
        assert files == version["artifacts"]


def told(view: DatasetView, window: str) -> dict[str, Any]:
    manifest = view.manifest(window)
    return {
        "completeness": manifest.completeness,
        "coverage": [list(interval) for interval in manifest.coverage],
        "attributes": manifest.attributes,
        "lineage": [[pin.storage_class, list(pin.key), pin.version] for pin in manifest.lineage],
    }


def test_it_has_what_a_golden_store_must_have(store: arraystore.Store) -> None:
    history = golden.STORE / "canonical" / "golden" / "history" / "X"
    assert list(history.glob("_checkpoints/*"))
    assert len(list(history.glob("_manifests/*"))) == 3
    every = [opened(store, expected) for expected in DATASETS]
    assert {dataset.profile for dataset in every} == {"dense", "portable"}
    assert {column.kind for dataset in every for window in dataset.windows() for column in dataset.schema_of(window).columns} == set(
        arraystore.Kind
    )
    assert {manifest.completeness for dataset in every for manifest in dataset.manifests()} == {"open", "partial", "complete"}
    assert {version.operation for dataset in every for version in dataset.versions()} == {
        "append",
        "artifact",
        "create",
        "replace",
        "seal",
        "update",
    }
    assert [case.state for case in store.quarantine.cases()] == ["released", "held", "rejected"]
    assert {dataset.sealed for dataset in every if dataset.storage_class == "experiments"} == {True}
    assert sum(path.stat().st_size for path in golden.HERE.rglob("*") if path.is_file()) < 320_000, "small enough to carry"
