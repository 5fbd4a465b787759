"""A store of format 1 that was written once, and is read for ever: every dataset, every version, every byte."""

import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

import arraystore
from arraystore import DatasetView, Role
from tests.format import golden
from tests.format.conftest import plain
from tests.format.golden import Expected, Golden, differences

DATASETS = golden.all_expected()
CHANCE = {"started", "ended", "owner"}  # attributes that tell when it was


each_store = pytest.mark.parametrize("store", golden.GOLDENS, ids=lambda each: each.name)


@cache
def store_of(store: Golden) -> arraystore.Store:
    return arraystore.open_store(store.store, role=Role.OPERATIONS)


def opened(expected: Expected) -> arraystore.Dataset:
    return store_of(expected.golden).surface(expected.name)[expected.key]


@each_store
def test_the_golden_store_is_the_one_that_was_committed(store: Golden) -> None:
    assert store.digest_now() == store.digest


@each_store
def test_every_class_lists_its_datasets(store: Golden) -> None:
    for name in arraystore.StorageClass:
        wanted = sorted(expected.key for expected in golden.expected(store) if expected.name == name)
        assert store_of(store).surface(name).find() == wanted
        assert wanted or store is golden.THIRD, "all six classes are in it"


@pytest.mark.parametrize("expected", DATASETS, ids=repr)
def test_nothing_in_it_is_damaged(expected: Expected) -> None:
    assert opened(expected).verify(deep=True) == []


@pytest.mark.parametrize("expected", DATASETS, ids=repr)
def test_every_version_holds_the_rows_that_were_given(expected: Expected) -> None:
    dataset = opened(expected)
    assert [version.operation for version in dataset.versions()] == [version["operation"] for version in expected.versions]
    assert dataset.profile == expected.told["profile"]
    for number, version in enumerate(expected.versions, 1):
        view = dataset.at(number)
        if version["deleted"]:
            assert view.windows() == ()
            continue
        assert sorted(view.windows()) == sorted(version["windows"])
        for window in version["windows"]:
            rows = view.read(window=window).rows
            assert json.loads(msgspec.json.encode(rows.schema)) == expected.schema(window, version)
            assert differences(plain(rows), expected.rows(window, version)) == [], f"{window} at version {number}"


@each_store
def test_what_was_written_before_is_compacted_and_stays_what_it_was(store: Golden, tmp_path: Path) -> None:
    copy = arraystore.open_store(shutil.copytree(store.store, tmp_path / "store"), role=Role.OPERATIONS)
    compacted = 0
    for expected in golden.expected(store):
        dataset = copy.surface(expected.name)[expected.key]
        newest = expected.versions[-1]
        compacted += len(dataset.compact().runs)
        for window in newest["windows"]:
            assert differences(plain(dataset.read(window=window).rows), expected.rows(window, newest)) == []
    assert compacted
    assert copy.verify(deep=True).findings == ()
    assert [each for each in copy.lint() if each.severity != "advice"] == []


@pytest.mark.parametrize("expected", DATASETS, ids=repr)
def test_every_version_tells_what_was_told(expected: Expected) -> None:
    dataset = opened(expected)
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


def test_the_first_has_every_kind_of_column_and_of_change_to_a_window() -> None:
    history = golden.FIRST.store / "canonical" / "golden" / "history" / "X"
    assert list(history.glob("_checkpoints/*"))
    assert len(list(history.glob("_manifests/*"))) == 3
    every = [opened(expected) for expected in golden.expected(golden.FIRST)]
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
    assert [case.state for case in store_of(golden.FIRST).quarantine.cases()] == ["released", "held", "rejected"]
    assert {dataset.sealed for dataset in every if dataset.storage_class == "experiments"} == {True}
    assert sum(path.stat().st_size for path in golden.FIRST.place.rglob("*") if path.is_file()) < 320_000, "small enough to carry"


def test_the_second_has_what_becomes_of_datasets_in_time() -> None:
    store = store_of(golden.SECOND)
    every = [opened(expected) for expected in golden.expected(golden.SECOND)]
    assert {version.operation for dataset in every for version in dataset.versions()} == {
        *("append", "artifact", "compact", "create", "delete", "evolve", "replace", "retry", "seal", "update", "withdraw")
    }
    grown = store.canonical["golden/grown/X"]
    assert list((golden.SECOND.store / "canonical" / "golden" / "grown" / "X" / "_checkpoints").iterdir())
    assert [len(grown.at(version).schema.columns) for version in (1, grown.version)] == [4, 7]
    assert grown.windows() == ("2024-08-08", "2024-08-09", "2024-08-10", "2024-08-31", "2024-09", "2024-10")
    assert {dataset.storage_class for dataset in every if dataset.artifacts()} == {"raw", "derived", "quarantine", "experiments"}
    assert [(case.state, case.rows, len(case.history)) for case in store.quarantine.cases()] == [("released", 3, 0), ("held", 1, 2)]
    assert store.experiments["grid"].runs().states() == {"finished": 1, "abandoned": 1}
    fills = store.execution_records.session("live", "2024-08-08 #2")
    assert list(fills.reconcile().effective["fill_id"]) == ["c"]
    assert fills.audit().is_whole
    assert sum(path.stat().st_size for path in golden.SECOND.place.rglob("*") if path.is_file()) < 300_000, "small enough to carry"


def test_a_tag_still_reads_what_it_named_also_of_a_dataset_that_is_gone() -> None:
    store = store_of(golden.SECOND)
    (name,) = store.tags()
    then, gone = store.tagged(name, 1).pins
    assert (name, store.tagged(name, 1).reason) == ("release/2024-08 é", "monthly")
    assert store.read(gone)["price"].tolist() == [0.0, 1.0, 2.0]
    with pytest.raises(arraystore.NotFound, match="recomputed elsewhere"):
        store.surface(gone.storage_class)[gone.key]
    frame = store.read(then)
    assert (tuple(frame), frame["x"].dtype.name, frame["x"].tolist()) == (("x", "side"), "int32", [0, 1, 2, 3, 4])
    at = arraystore.open_store(golden.SECOND.store, role=Role.OPERATIONS, tag=name)
    assert at.canonical.find() == [("golden", "grown", "X")]
    assert at.derived["again/v1/venue/X"].attributes == {"formula": 2}


def test_what_came_of_what_is_told_as_it_was() -> None:
    store = store_of(golden.SECOND)
    assert {each.key for each in store.dependents(store.raw["venue/all/r1"])} == {("golden", "grown", "X"), ("venue", "trades", "X")}
    grown = store.canonical["golden/grown/X"]
    made = {each.key for each in store.dependents(grown)}
    assert made == {("golden", "renewed", "X"), ("bars", "1h", "venue", "X"), ("grid", "r1")}
    assert store.impact(store.raw["venue/all/r1"]) == []
    assert store.impact(grown) == [], "nothing was corrected after it was read"
    released = store.canonical["venue/trades/X"]
    assert [each.pin.storage_class for each in store.lineage(released.pin()).walk()] == ["canonical", "quarantine", "raw"]
    entries = {entry.path: entry.rows for entry in store.canonical.summaries()}
    assert entries["golden/grown/X"] == grown.rows


def test_the_third_has_commits_in_packs_and_between_them() -> None:
    logs = [opened(expected)._log for expected in golden.expected(golden.THIRD)]
    assert [log.floor_record().packs for log in logs] == [((1, 20), (21, 23), (25, 26)), ((1, 12),)]
    assert [log.objects() & set(range(1, 27)) for log in logs] == [{24}, {13}]
    packed = store_of(golden.THIRD).canonical["golden", "packed", "X"]
    assert store_of(golden.THIRD).lint() == []
    assert not store_of(golden.THIRD).audit().findings
    assert packed.token_version("loader") == (6, packed.token_version("loader")[1])  # type: ignore[index]
    assert sum(path.stat().st_size for path in golden.THIRD.place.rglob("*") if path.is_file()) < 200_000, "small enough to carry"
