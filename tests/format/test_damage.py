"""A flipped bit in anything that is read is an error, never another value: in the golden store, for both readers."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import arraystore
from arraystore.segments.index import forget_indexes
from tests.format import golden
from tests.format.conftest import plain
from tests.format.golden import Expected, Golden, differences
from tests.format.independent_reader import Store
from tests.format.independent_records import Damaged, escape, unescape

OBJECTS = [
    (expected, path.relative_to(expected.golden.place))
    for expected in golden.all_expected()
    for path in sorted(expected.golden.store.joinpath(expected.name, *map(escape, expected.key)).rglob("*"))
    if path.is_file() and path.stat().st_size and path.name != "zarr.json"
]


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> dict[Golden, Path]:
    place = tmp_path_factory.mktemp("damage")
    return {each: shutil.copytree(each.place, place / each.name) for each in golden.GOLDENS}


def by_arraystore(root: Path, expected: Expected) -> dict[str, Any]:
    forget_indexes()
    dataset = arraystore.open_store(root, role="operations").surface(expected.name)[expected.key]
    return {"files": dataset.artifacts(), "rows": {name: plain(dataset.read(window=name).rows) for name in dataset.windows()}}


def by_independent_reader(root: Path, expected: Expected) -> dict[str, Any]:
    dataset = Store(root).dataset(expected.name, expected.key)
    state = dataset.state()
    names = {name: name if state.schema is not None else str(unescape(name)) for name in state.windows}
    return {"files": state.artifacts, "rows": {names[name]: dataset.read(name, state) for name in state.windows}}


@pytest.mark.parametrize("read", [by_arraystore, by_independent_reader])
@given(drawn=st.sampled_from(OBJECTS), place=st.floats(0, 1, exclude_max=True))
def test_a_flipped_bit_never_becomes_another_value(
    read: Callable[..., Any], copies: dict[Golden, Path], drawn: tuple[Expected, Path], place: float
) -> None:
    expected, path = drawn
    copy = copies[expected.golden]
    newest, whole = expected.versions[-1], (copy / path).read_bytes()
    bit = int(place * len(whole) * 8)
    (copy / path).write_bytes(whole[: bit // 8] + bytes([whole[bit // 8] ^ 1 << bit % 8]) + whole[bit // 8 + 1 :])
    error = ""
    try:
        found = read(copy / "store", expected)
        assert found["files"].keys() == newest["artifacts"].keys()
        assert found["rows"].keys() == newest["windows"].keys()
        assert all(differences(rows, expected.rows(window, newest)) == [] for window, rows in found["rows"].items())
    except (arraystore.StopAndVerify, Damaged) as refusal:
        error = str(refusal)
    finally:
        (copy / path).write_bytes(whole)
    assert not error or path.parts[-1] in error or path.parts[-2] in error, "it names the object"
