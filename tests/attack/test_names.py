"""Hostile names work, or are refused clearly before anything is written; none leads elsewhere."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import arraystore
from arraystore.storage import LocalStorage, MemoryStorage, Storage
from tests.attack.conftest import tree
from tests.store.conftest import START, rows

GOOD = [
    "BTC/USDT:USDT",
    "..",
    ".",
    "...",
    "a/../b",
    "/etc/passwd",
    "CON",
    "con.txt",
    "LPT1",
    "trailing.",
    "trailing...",
    " leading and trailing ",
    "100%",
    "%2e%2e%2f",
    "a=b",
    "=2E=2E",
    "_all",
    "_log",
    "zarr.json",
    "ZARR.JSON",
    "lock",
    "new\nline",
    "tab\t",
    "back\\slash",
    "NUL\0inside",
    "🙂",
    "日本語",
    "e\N{COMBINING ACUTE ACCENT}",
    "é",
    "\N{RIGHT-TO-LEFT OVERRIDE}txt.exe",
    "~root",
    "$(reboot)",
    "*",
    "?",
    "[a]",
    "'\"`;--",
    "x" * 200,
    "🙂" * 16,
]
BAD = ["", "x" * 201, "🙂" * 17, "/" * 67, "\ud800", 5, None, b"bytes", ["list"]]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store for all names: making one takes longer than what is done with it."""
    path = tmp_path_factory.mktemp("names") / "store"
    arraystore.init_store(path)
    return path


def store(root: Path, role: str) -> arraystore.Store:
    return arraystore.open_store(root, role=role)


def message(name: object) -> str:
    return ascii(name)[:40]


@pytest.mark.parametrize("name", GOOD, ids=message)
def test_a_hostile_name_is_a_name_like_others(shared: Path, name: str) -> None:
    trades = arraystore.schema_by_name("trades")
    key = (name, name, name)
    dataset = store(shared, "data-quality").canonical.create(key, trades)
    dataset.append(rows(3), token=(name, 1), reason=name, window_attributes={name: name})
    dataset.update(attributes={name: [name]})
    if "\0" not in name:
        dataset.add_file(b"bytes", name)
    reader = store(shared, "analysis").canonical
    found = reader[key]
    assert (found.key, found.read().row_count, found.attributes) == (key, 3, {name: [name]})
    assert found.manifest("2024-08-08").attributes == {name: name}
    assert [artifact.read() for artifact in found.artifacts().values()] == ([] if "\0" in name else [b"bytes"])
    assert reader["/".join(found.location.split("/")[-3:])].uuid == found.uuid, "its path is its key as text"
    assert not found.verify(deep=True)


@pytest.mark.parametrize("name", GOOD, ids=message)
def test_a_hostile_name_names_a_run_its_series_and_a_session(shared: Path, name: str) -> None:
    experiments = store(shared, "backtesting").experiments
    with experiments.run(name, name, params={name: name}) as run:
        run.write(name, {"time": [START], "name": [name], "value": [1.0]}, schema=arraystore.schema_by_name("metrics"))
        run.log(**{name: 2.0})
    found = store(shared, "analysis").experiments[name, name]
    assert set(found.windows()) == {name, "metrics"}
    assert found.read(window=name)["name"].tolist() == [name]
    assert found.read(window="metrics")["name"].tolist() == [name]
    assert found.manifest(name).window == name
    assert {window for version in found.versions() for window in version.windows} == {name, "metrics"}
    assert found.attributes["metrics"] == {name: 2.0}
    session = store(shared, "live").execution_records.session("live", name)
    fill = {"time": [START], "account": [name], "strategy": [name], "instrument": [name], "fill_id": [name], "side": ["buy"]}
    session.append(name, {**fill, "price": [1.0], "size": [1.0]}, schema=arraystore.schema_by_name("fills"))
    assert session.recover().last_record == name
    assert session.read(name)["account"].tolist() == [name]
    assert ("live", name, name) in store(shared, "analysis").execution_records


def test_hostile_names_stay_inside_of_their_class(root: Path) -> None:
    outside = {path for path in root.parent.rglob("*") if root / "canonical" not in path.parents}
    surface = store(root, "data-quality").canonical
    for name in GOOD:
        surface.create((name, name, name), arraystore.schema_by_name("trades"))
    assert {path for path in root.parent.rglob("*") if root / "canonical" not in path.parents} == outside
    assert surface.find() == sorted((name, name, name) for name in GOOD)


@pytest.mark.parametrize("name", BAD, ids=message)
def test_what_is_no_name_is_refused_before_anything_is_written(root: Path, name: str) -> None:
    quality, backtesting, live = (store(root, role) for role in ("data-quality", "backtesting", "live"))
    dataset = quality.canonical.create(("venue", "feed", "X"), arraystore.schema_by_name("trades"))
    run = backtesting.experiments.run("experiment", "run")
    before = tree(root)
    point = {"time": [START], "name": ["a"], "value": [1.0]}
    metrics = arraystore.schema_by_name("metrics")
    calls: list[Callable[[], object]] = [
        lambda: quality.canonical.create(("venue", "feed", name), arraystore.schema_by_name("trades")),
        lambda: quality.canonical["venue", "feed", name],
        lambda: live.execution_records.session("live", name),
        lambda: live.execution_records.session("live", "s").append(name, point, schema=arraystore.schema_by_name("fills")),
        lambda: backtesting.experiments.run(name, "run"),
        lambda: run.write(name, point, schema=metrics),
    ]
    if name is not None:
        calls.append(lambda: backtesting.experiments.run("experiment", name))
        if not isinstance(name, str) or name in ("", "\ud800"):
            calls.append(lambda: dataset.add_file(b"bytes", name))
            calls.append(lambda: dataset.append(rows(1), token=(name, 1)))
    for call in calls:
        with pytest.raises((arraystore.InvalidInput, arraystore.NotFound)) as refusal:
            call()
        assert str(refusal.value)
    assert tree(root) == before
    assert dataset.append(rows(1)).version == 2


@given(st.tuples(*[st.text(st.characters(exclude_categories=["Cs"], exclude_characters="_-."), min_size=1, max_size=30)] * 3))
def test_any_text_that_fits_is_a_key(key: tuple[str, ...]) -> None:
    surface = arraystore.open_store("memory://", role="data-quality", create=True, opener=_Fresh()).canonical
    fits = all(len(escaped(part)) <= 200 for part in key)
    if fits:
        assert surface.create(key, arraystore.schema_by_name("trades")).key == key
    else:
        with pytest.raises(arraystore.InvalidInput, match="more than 200"):
            surface.create(key, arraystore.schema_by_name("trades"))
    assert surface.find() == ([key] if fits else [])


def escaped(part: str) -> str:
    """A name with three letters for every byte that isn't plain."""
    return "".join(letter if letter.isascii() and letter.isalnum() else "=XX" * len(letter.encode()) for letter in part)


class _Fresh:
    """Storages of one store that nobody else has."""

    def __init__(self) -> None:
        self._made: dict[str, Storage] = {}

    def __call__(self, url: str, /, *, create: bool = False) -> Storage:
        return self._made.setdefault(url, MemoryStorage())


def test_names_that_differ_in_case_only_are_two_or_refused(root: Path) -> None:
    surface = store(root, "data-quality").canonical
    for name in ("abc", "ABC", "Abc"):
        surface.create(("venue", "feed", name), arraystore.schema_by_name("trades")).append(rows(1))
    assert len(surface.find()) == 3


def test_case_twins_are_refused_where_the_medium_can_t_tell_them_apart(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LocalStorage, "ignores_case", True)
    surface = store(root, "data-quality").canonical
    surface.create(("venue", "feed", "abc"), arraystore.schema_by_name("trades"))
    before = tree(root)
    for key in (("venue", "feed", "ABC"), ("Venue", "feed", "x"), ("venue", "FEED", "abc")):
        with pytest.raises(arraystore.InvalidInput, match="case only"):
            surface.create(key, arraystore.schema_by_name("trades"))
    assert tree(root) == before
