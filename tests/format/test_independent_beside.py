"""What tells of datasets, in the second golden store: marks, catalog, lineage and tags, by a reader that was written from FORMAT.md."""

import pytest

from tests.format import golden, independent_beside
from tests.format.independent_reader import Store
from tests.format.independent_records import Json, escape

ROOT = golden.SECOND.store
STORE = Store(ROOT)
CLASSES = sorted(STORE.roots)


def path_of(key: list[str] | tuple[str, ...]) -> str:
    return "/".join(map(escape, key))


@pytest.mark.parametrize("name", CLASSES)
def test_every_dataset_has_a_mark_and_what_is_gone_another(name: str) -> None:
    marks = independent_beside.marked(ROOT / name)
    alive, gone = {path_of(key) for key in STORE.keys(name)}, independent_beside.deleted(ROOT / name)
    assert set().union(*marks.values()) == alive | gone
    deleted = {path for path in gone if path not in alive}
    assert deleted == ({"gone/v1/venue/X"} if name == "derived" else set())
    for path in alive | gone:
        times = [commit.header["time"] for commit in commits(name, path)]
        last = max(generation for generation, paths in marks.items() if path in paths)
        assert last == max(times) // (3600 * 10**9), "in the generation of its last version"


def commits(name: str, path: str) -> list[Json]:
    dataset = STORE.dataset(name, tuple(part for part in map(unescaped, path.split("/"))))
    return [dataset.commit(version) for version in range(1, dataset.head() + 1)]


def unescaped(part: str) -> str:
    found = independent_beside.unescape(part)
    assert found is not None
    return found


def test_the_catalog_tells_of_datasets_as_they_were() -> None:
    for name in ("canonical", "derived"):
        entries = independent_beside.catalog(ROOT / name)["entries"]
        assert [entry["path"] for entry in entries] == sorted(path_of(key) for key in STORE.keys(name))
        for entry in entries:
            dataset = STORE.dataset(name, tuple(map(unescaped, entry["path"].split("/"))))
            state = dataset.state()
            assert (entry["dataset"], entry["version"]) == (state.dataset, state.version)
            assert entry.get("alive", True) == (state.state != "deleted")
            rows = [sum(each["rows"] for each in window.entries) for window in state.windows.values()]
            assert (entry.get("rows", 0), entry.get("windows", 0)) == (sum(rows), len(rows))


def test_lineage_names_every_version_that_was_made_from_others() -> None:
    wanted, found = set(), set()
    for name in CLASSES:
        for path in {path_of(key) for key in STORE.keys(name)} | independent_beside.deleted(ROOT / name):
            for commit in commits(name, path):
                for pin in commit.header.get("inputs", []):
                    wanted.add((pin["class"], path_of(pin["key"]), pin["version"], name, path, commit.header["version"]))
            for edge in independent_beside.made_from(ROOT, name, path):
                for pin in edge["inputs"]:
                    found.add((name, path, pin["version"], edge["class"], path_of(edge["key"]), edge["version"]))
    assert found == wanted
    assert len(wanted) > 10


def test_tags_chain_and_their_pins_are_digests_of_versions() -> None:
    ((name, versions),) = independent_beside.tags(ROOT).items()
    assert (name, [each["reason"] for each in versions if "reason" in each]) == ("release/2024-08 é", ["monthly", ""])
    for tag in versions:
        for pin in tag["pins"]:
            dataset = STORE.dataset(pin["class"], tuple(pin["key"]))
            state = dataset.state(pin["version"])
            assert (state.dataset, state.digest) == (pin["dataset"], pin["digest"])
