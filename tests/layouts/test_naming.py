"""Any name becomes one safe directory, and comes back."""

import re

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from layouts import (
    KEY_TEMPLATES,
    InvalidInput,
    StorageClass,
    escape,
    format_key,
    is_escaped,
    is_segment_name,
    new_segment_name,
    parse_key,
    parse_version_name,
    segment_base_version,
    unescape,
    version_name,
)

HOSTILE = {
    "BTCUSDT": "BTCUSDT",
    "BTC/USDT:USDT": "BTC=2FUSDT=3AUSDT",
    "..": "=2E=2E",
    ".": "=2E",
    "...": "=2E=2E=2E",
    "a/../b": "a=2F..=2Fb",
    "_all": "=5Fall",
    "_log": "=5Flog",
    "__x": "=5F_x",
    ".hidden": "=2Ehidden",
    "BRK.B": "BRK.B",
    "a.": "a=2E",
    "a..": "a=2E=2E",
    "CON": "=43ON",
    "con": "=63on",
    "Aux.txt": "=41ux.txt",
    "COM1": "=43OM1",
    "lpt9.": "=6Cpt9=2E",
    "COM10": "COM10",
    "CONSOLE": "CONSOLE",
    "CON ": "CON=20",
    "zarr.json": "=7Aarr.json",
    "ZARR.JSON": "=5AARR.JSON",
    "zarr.json2": "zarr.json2",
    "100%": "100=25",
    "a=b": "a=3Db",
    "=2E": "=3D2E",
    "a\\b": "a=5Cb",
    "a\x00b": "a=00b",
    "é": "=C3=A9",
    "e\u0301": "e=CC=81",
    "🚀": "=F0=9F=9A=80",
    "zarr.j\u017fon": "zarr.j=C5=BFon",
}

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)
near_names = st.text(st.sampled_from("=_.-/ACONZaconzarrjs0159EF%é"), min_size=1, max_size=30)


@pytest.mark.parametrize(("name", "escaped"), HOSTILE.items(), ids=ascii)
def test_hostile_names_have_the_escaping_that_the_format_tells(name, escaped):
    assert escape(name) == escaped
    assert unescape(escaped) == name


@given(names | near_names)
def test_every_name_comes_back_from_a_safe_directory_name(name):
    try:
        escaped = escape(name)
    except InvalidInput:
        assume(False)
    assert re.fullmatch(r"[A-Za-z0-9=-][A-Za-z0-9=_.-]*", escaped)
    assert not escaped.endswith(".")
    assert escaped.upper().split(".")[0] not in {"CON", "PRN", "AUX", "NUL", *(f"{port}{n}" for port in ("COM", "LPT") for n in range(10))}
    assert escaped.lower() != "zarr.json"
    assert len(escaped) <= 200
    assert unescape(escaped) == name
    assert is_escaped(escaped)


@given(near_names)
@example("=2e")
@example("=41")
@example("=")
@example("=4")
@example("=FF")
@example("=ED=A0=80")
def test_text_is_either_the_one_spelling_of_a_name_or_refused(text):
    try:
        name = unescape(text)
    except InvalidInput:
        assert not is_escaped(text)
    else:
        assert escape(name) == text


@pytest.mark.parametrize(
    "text", ["", "_all", ".x", "a.", "CON", "zarr.json", "a b", "é", *("=2e", "=41", "=4", "=", "==", "=FF", "=ED=A0=80", "a%20")]
)
def test_text_that_no_escaping_yields_is_refused(text):
    with pytest.raises(InvalidInput):
        unescape(text)


def test_a_name_of_200_escaped_bytes_is_taken_and_one_more_is_refused_with_its_length():
    assert unescape(escape("x" * 200)) == "x" * 200
    assert len(escape("é" * 33 + "xx")) == 200
    with pytest.raises(InvalidInput, match=r"takes 201 bytes.*more than 200"):
        escape("x" * 201)
    with pytest.raises(InvalidInput, match="takes 204 bytes"):
        escape("🚀" * 17)


@pytest.mark.parametrize("name", ["", None, 5, b"x", "\ud800"])
def test_what_is_no_text_is_no_name(name):
    with pytest.raises(InvalidInput):
        escape(name)


@pytest.mark.parametrize("storage_class", StorageClass)
def test_every_key_comes_back_from_its_path(storage_class):
    template = KEY_TEMPLATES[storage_class]
    key = tuple("live" if "|" in part else f"a/{part}:._" for part in template)
    path = format_key(key)
    assert path.count("/") == len(template) - 1
    assert parse_key(storage_class, path) == key
    assert parse_key(storage_class, key) == key
    assert parse_key(storage_class.value, list(key)) == key


@given(st.tuples(names, names, names))
def test_tuples_are_taken_as_they_are_and_paths_never_leave_their_depth(key):
    try:
        parsed = parse_key("canonical", key)
    except InvalidInput:
        assume(False)
    assert parsed == key
    parts = format_key(key).split("/")
    assert len(parts) == 3
    assert not {"", ".", ".."} & set(parts)


@pytest.mark.parametrize(
    ("storage_class", "key", "message"),
    [
        ("canonical", ("a", "b"), "has 2 parts, where a key of canonical has 3: venue / feed / instrument"),
        ("canonical", "a/b/c/d", "has 4 parts"),
        ("canonical", ("a", "", "c"), "key part 2: '' must be text"),
        ("canonical", ("a", 5, "c"), "key part 2: 5 must be text"),
        ("canonical", "a/../c", "key part 2: '..' isn't escaped as it must be; write '=2E=2E'"),
        ("canonical", "a/b/_any", "write '=5Fany', or give the key as a tuple"),
        ("canonical", "/a/b/c", "key part 1"),
        ("canonical", b"a/b/c", "must be a tuple of venue / feed / instrument"),
        ("canonical", None, "must be a tuple"),
        ("raw", ("x" * 201, "b", "c"), "key part 1.*more than 200"),
        ("execution-records", ("paper", "s", "fills"), "key part 1: 'paper' must be one of live, backtest"),
        ("trash", ("a", "b", "c"), "'trash' isn't one of raw, canonical"),
    ],
)
def test_a_wrong_key_is_refused_with_the_part_and_the_remedy(storage_class, key, message):
    with pytest.raises(InvalidInput, match=message):
        parse_key(storage_class, key)


def test_every_wrong_part_of_a_key_is_told_at_once():
    with pytest.raises(InvalidInput) as caught:
        parse_key("execution-records", ("paper", "", "\ud800"))
    assert [problem.where for problem in caught.value.problems] == ["key part 1", "key part 2", "key part 3"]


@given(st.integers(0, 10**18), st.integers(0, (1 << 128) - 1))
def test_a_segment_name_tells_its_base_version_and_can_be_nothing_else(version, bits):
    name = new_segment_name(version, bits)
    assert is_segment_name(name)
    assert segment_base_version(name) == version
    assert name.endswith(f"{bits:x}")


@pytest.mark.parametrize(
    "name",
    [
        *("", "5", "5-", "05-" + "0" * 32, "5-" + "A" * 32, "5-" + "0" * 31, "5-" + "0" * 33),
        *("-5-" + "0" * 32, "5-" + "0" * 32 + "\n", "../5-" + "0" * 32),
    ],
)
def test_nothing_else_is_a_segment_name(name):
    assert not is_segment_name(name)
    with pytest.raises(InvalidInput, match="isn't a segment's name"):
        segment_base_version(name)


@given(st.integers(0, (1 << 63) - 1))
@example(0)
@example((1 << 63) - 1)
def test_version_names_come_back(version):
    assert len(version_name(version)) == 20
    assert parse_version_name(version_name(version)) == version


@given(st.integers(0, 1 << 62), st.integers(0, 1 << 62))
def test_version_names_sort_as_versions_do(one, other):
    assert (version_name(one) < version_name(other)) == (one < other)


@pytest.mark.parametrize("text", ["", "1", "latest", "-0000000000000000001", "0" * 21, "9" * 20, "0000000000000000001\n", "\u0660" * 20])
def test_nothing_else_is_a_version_name(text):
    with pytest.raises(InvalidInput):
        parse_version_name(text)


@pytest.mark.parametrize("version", [-1, 1 << 63])
def test_versions_outside_of_int64_have_no_name(version):
    with pytest.raises(InvalidInput):
        version_name(version)
