"""FORMAT.md is enough to write a reader from: one that was, and the store itself, read the same."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import xarray
from hypothesis import given, settings
from hypothesis import strategies as st

import arraystore
from arraystore import Column, Frame, Kind, Order, Role, Schema
from arraystore.testing.strategies import rows_of, schemas, small_chunks
from arraystore.versions.draft import Draft, draft_commit
from layouts import naming
from tests.format import golden, independent_columns
from tests.format.conftest import plain
from tests.format.golden import Expected, Golden, differences
from tests.format.independent_reader import Dataset, State, Store
from tests.format.independent_records import Json, escape, unescape

DATASETS = golden.all_expected()
KEY = ("a", "b", "c/d")


@cache
def store_of(each: Golden) -> Store:
    return Store(each.store)


def dataset_of(expected: Expected) -> Dataset:
    return store_of(expected.golden).dataset(expected.name, expected.key)


def states(dataset: Dataset) -> Iterator[State]:
    """The state at every version, the same from the first commit as from a checkpoint."""
    for state in dataset.states():
        if "checkpoint" in dataset.commit(state.version).header:
            assert dataset.state(state.version) == state
        yield state


def on_disk(state: State, window: str) -> str:
    return window if state.schema is not None else escape(window)


@pytest.mark.parametrize("each", golden.GOLDENS, ids=lambda each: each.name)
def test_it_lists_the_datasets_of_every_class(each: Golden) -> None:
    for name in store_of(each).roots:
        assert store_of(each).keys(name) == sorted(expected.key for expected in golden.expected(each) if expected.name == name)


@pytest.mark.parametrize("expected", DATASETS, ids=repr)
def test_it_reads_the_rows_that_were_given_at_every_version(expected: Expected) -> None:
    dataset = dataset_of(expected)
    for state, version in zip(states(dataset), expected.versions, strict=True):
        assert (state.state == "deleted") == version["deleted"]
        assert sorted(state.windows) == sorted(on_disk(state, window) for window in version["windows"])
        for window in version["windows"]:
            name = on_disk(state, window)
            assert state.schema_of(name) == expected.schema(window, version)
            assert differences(dataset.read(name, state), expected.rows(window, version)) == []


def test_it_reads_packed_commits_as_it_read_them_before(tmp_path: Path) -> None:
    root = arraystore.open_store(tmp_path, role="data-quality", create=True)
    dataset = root.canonical.create(KEY, Schema(name="plain", columns=(Column(name="time", kind=Kind.TIME), Column(name="size"))))
    for number in range(20):
        with mock.patch("arraystore.versions.checkpoint.is_due", return_value=number in {5, 14}):
            dataset.update(attributes={"number": number})
    before = [replace(state) for state in Store(tmp_path).dataset("canonical", KEY).states()]
    for least in (2, 2):
        done = arraystore.open_store(tmp_path, role="operations").pack(dry_run=False, least=least)
    assert done
    packed = Store(tmp_path).dataset("canonical", KEY)
    assert packed.packs
    assert not (packed.place / "_log" / f"{1:020}").exists()
    assert list(packed.states()) == before
    assert packed.head() == dataset.refresh().version
    assert [packed.state(state.version) for state in before] == before


@pytest.mark.parametrize("expected", DATASETS, ids=repr)
def test_it_reads_what_was_told_at_every_version(expected: Expected) -> None:
    dataset = dataset_of(expected)
    for state, version in zip(states(dataset), expected.versions, strict=True):
        assert state.writers == version["writers"]
        told = {name: value for name, value in state.attributes.items() if name not in {"started", "ended", "owner"}}
        assert told == version["attributes"]
        for window, wanted in version["windows"].items():
            found = state.windows[on_disk(state, window)]
            lineage = [[pin["class"], pin["key"], pin["version"]] for pin in found.lineage]
            assert [found.completeness, found.coverage, found.attributes, lineage] == [
                wanted[name] for name in ("completeness", "coverage", "attributes", "lineage")
            ]
        assert {name: dataset.artifact(entry) for name, entry in state.artifacts.items()} == {
            name: bytes.fromhex(file["hex"]) for name, file in version["artifacts"].items()
        }


def segments(dataset: Dataset) -> Iterator[independent_columns.Segment]:
    state = dataset.state()
    for window, told in state.windows.items():
        for entry in told.entries:
            if "segment" in entry:
                yield dataset.segment(window, entry, state.schemas[entry["schema"]])


@pytest.mark.parametrize("expected", DATASETS, ids=repr)
def test_stock_zarr_and_xarray_read_every_segment_alike(expected: Expected) -> None:
    for segment in segments(dataset_of(expected)):
        by_zarr = segment.by_zarr()
        with xarray.open_zarr(segment.place, consolidated=False, chunks=None, decode_cf=False) as dataset:
            by_xarray = {str(name): dataset[name].values for name in dataset.variables}
        with xarray.open_zarr(segment.place, consolidated=False, chunks=None) as dataset:
            decoded = {str(name): dataset[name].values for name in dataset.variables}
        assert segment.arrays.keys() == by_zarr.keys() == by_xarray.keys() == decoded.keys()
        for name, array in segment.arrays.items():
            for other in (by_zarr[name], by_xarray[name]):
                assert (other.dtype, other.shape, other.tobytes()) == (array.dtype, array.shape, array.tobytes())
            times = any(column["name"] == name and column["kind"] == "time" for column in segment.schema["columns"])
            assert decoded[name].tobytes() == array.tobytes(), "decoding changes no bit"
            assert (decoded[name].dtype == "datetime64[ns]") == times


def agree(root: Path) -> int:
    """Compare both readers on every version of a dataset; returns how many windows were read."""
    ours = arraystore.open_store(root, role=Role.OPERATIONS).canonical[KEY]
    theirs = Store(root).dataset("canonical", KEY)
    read = 0
    for number, state in enumerate(states(theirs), 1):
        view = ours.at(number)
        assert (view.version, view.digest, view.uuid) == (state.version, state.digest, state.dataset)
        assert list(view.windows()) == sorted(state.windows)
        tables = [theirs.read(window, state) for window in sorted(state.windows)]
        columns = state.schemas[state.schema or 0]["columns"]
        rows = {each["name"]: independent_columns.joined([table[each["name"]] for table in tables], each) for each in columns}
        assert differences(rows, plain(view.read().rows)) == []
        read += len(tables)
    return read


@st.composite
def stories(draw: st.DrawFn) -> tuple[Schema, list[tuple[str, Any, str | None]]]:
    """A schema, and what is done to a dataset of it: rows, how they are written, and what becomes of their windows."""
    schema = draw(schemas())
    actions = []
    for _ in range(draw(st.integers(1, 5))):
        rows = draw(rows_of(schema, most=60))
        if schema.order is Order.TIME and rows.count:
            rows = rows.take(np.argsort(rows.arrays["time"], kind="stable"))
        actions.append((draw(st.sampled_from(("append", "append", "replace"))), rows, draw(st.sampled_from((None, "partial", "complete")))))
    return schema, actions


@settings(max_examples=15)
@given(
    story=stories(),
    sizes=st.tuples(st.integers(1, 600), st.integers(1, 600), st.integers(1, 3000)),
    profile=st.sampled_from(sorted(arraystore.Profile)),
)
def test_both_read_any_store_alike(tmp_path_factory: pytest.TempPathFactory, story: Any, sizes: tuple[int, int, int], profile: str) -> None:
    schema, actions = story
    with tempfile.TemporaryDirectory(dir=tmp_path_factory.getbasetemp()) as root:
        quality = arraystore.open_store(root, role=Role.DATA_QUALITY, create=True)
        dataset = quality.canonical.create(KEY, schema, profile=profile)
        with small_chunks(*sizes):
            for action, rows, completeness in actions:
                frame = Frame(rows)
                if action == "append":
                    dataset.append(frame, completeness=completeness if rows.count else None, reopen=True)
                for window in dataset.windows() if action == "replace" else ():
                    inside = rows.take(
                        np.flatnonzero(rows.arrays["time"].astype("datetime64[ns]").astype("datetime64[D]").astype(str) == window)
                    )
                    dataset.replace(window, Frame(inside), reason="drawn", completeness=completeness or "open")
        agree(Path(root))
        assert dataset.verify(deep=True) == []


def test_both_read_older_segments_under_a_later_schema(tmp_path: Path) -> None:
    quality = arraystore.open_store(tmp_path, role=Role.DATA_QUALITY, create=True)
    time = Column(name="time", kind="time")
    side = (("buy", 1), ("sell", -1))
    first = Schema(
        name="s", order="arrival", columns=(time, Column(name="x", dtype="int32"), Column(name="side", kind="vocabulary", vocabulary=side))
    )
    grown = Column(name="side", kind="vocabulary", vocabulary=(*side, ("none", 0)), nullable=True)
    new = [Column(name=name, kind=kind, nullable=True) for name, kind in (("label", "dictionary"), ("text", "text"), ("y", "number"))]
    second = Schema(name="s", order="arrival", columns=(time, Column(name="x", dtype="int64"), grown, *new))
    dataset = quality.canonical.create(KEY, first)
    start = arraystore.parse_time("2024-08-08")
    dataset.append({"time": [start], "x": [1], "side": ["buy"]}, completeness="complete")
    dataset.append({"time": [start + 1], "x": [2], "side": ["sell"]}, reopen=True)
    dataset._log.publish(lambda _: Draft(draft_commit("update", "data-quality", schemas=(second,), schema=1)))
    rows: Json = {
        "time": [start + 2, start + 3],
        "x": [1 << 40, 4],
        "side": ["none", None],
        "label": ["a", None],
        "text": [None, "é"],
        "y": [0.5, None],
    }
    dataset.refresh().append(rows)
    assert agree(tmp_path) == 4
    dataset.append({}, coverage=("2024-08-08", "2024-08-09"), completeness="complete")
    assert agree(tmp_path) == 5
    assert np.asarray(dataset.read()["x"]).tolist() == [1, 2, 1 << 40, 4]


def test_both_read_a_file_of_many_blocks(tmp_path: Path) -> None:
    quality = arraystore.open_store(tmp_path, role=Role.DATA_QUALITY, create=True)
    dataset = quality.canonical.create(KEY, arraystore.schema_by_name("trades"))
    data = np.random.default_rng(1).bytes((2 << 20) + 1)
    dataset.add_file(data, "a")
    theirs = Store(tmp_path).dataset("canonical", KEY)
    assert theirs.artifact(theirs.state().artifacts["a"]) == data == dataset.artifacts()["a"].read()


DEVICES = st.from_regex(r"\A(?i:con|lpt[0-9]|zarr)(\.json)?[._]{0,8}\Z")


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=16) | DEVICES)
def test_names_are_escaped_as_the_page_says(part: str) -> None:
    assert escape(part) == naming.escape(part)
    assert unescape(escape(part)) == part


@given(st.from_regex(r"([a-zA-Z0-9_.-]|=[0-9A-Fa-f]{2}){1,12}\Z"))
def test_only_names_that_escaping_yields_are_keys(name: str) -> None:
    assert (unescape(name) is not None) == naming.is_escaped(name)
