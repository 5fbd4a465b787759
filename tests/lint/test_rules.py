"""Each rule is told where it is broken, and nowhere else."""

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

import arraystore
from arraystore import Deviation, Severity
from layouts.deviations import STORE_RULES, ZARR_RULES
from tests.lint.conftest import edit

type Break = Callable[[Path], object]


def sharding(document: Any) -> Any:
    return document["codecs"][0]["configuration"]


def cut(length: int, chunk: int, shard: int) -> Break:
    """The price array with other numbers: still one object, however long it says it is."""

    def change(document: Any) -> None:
        document["shape"] = [length]
        document["chunk_grid"]["configuration"]["chunk_shape"] = [shard]
        sharding(document)["chunk_shape"] = [chunk]

    return lambda group: edit(group / "price", change)


def unsharded(document: Any) -> None:
    document["codecs"] = sharding(document)["codecs"]


def with_codecs(array: str, *codecs: Any) -> Break:
    return lambda group: edit(group / array, lambda document: sharding(document).update(codecs=[*codecs]))


LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
PCODEC, ZSTD, CRC = {"name": "numcodecs.pcodec", "configuration": {"level": 8}}, {"name": "zstd"}, {"name": "crc32c"}


def as_v2(group: Path) -> None:
    for file in sorted(group.rglob("zarr.json")):
        document = json.loads(file.read_text("utf-8"))
        if document["node_type"] == "group":
            (file.parent / ".zgroup").write_text('{"zarr_format": 2}')
        else:
            codecs = sharding(document)["codecs"]
            compressor = {"id": codecs[0]["name"].removeprefix("numcodecs.")}
            array = {"zarr_format": 2, "shape": document["shape"], "chunks": document["shape"], "dtype": "<f8", "compressor": compressor}
            (file.parent / ".zarray").write_text(json.dumps(array))
        file.unlink()


def linked(group: Path) -> None:
    (group / "price" / "0").unlink()
    (group / "price" / "0").symlink_to("/etc/hostname")


def nested(group: Path) -> None:
    (group / "inner").mkdir()
    (group / "inner" / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group", "attributes": {}}')


def deep(group: Path) -> None:
    for _ in range(18):
        nested(group)
        group /= "inner"


def bad_text(file: str, text: str) -> Break:
    return lambda group: (group / file).write_text(text)


def only_arrays(group: Path) -> None:
    for name in ("zarr.json", "price/zarr.json"):
        (group / name).unlink()


def attribute(array: str, **attributes: Any) -> Break:
    return lambda group: edit(group / array, lambda document: document["attributes"].update(attributes))


#: What to do to a plain group, the rules told then, and the place in it.
ZARR_CASES: list[tuple[str, Break, Iterable[str], str]] = [
    ("not-zarr", lambda group: (group / "zarr.json").rename(group / "zarr.txt"), (), ""),
    (
        "zarr-v2",
        as_v2,
        ("axis", "checksum", "chunk-size", "conventions", "dimension-names", "unsharded", "codec"),
        "",
    ),
    ("metadata", bad_text("price/zarr.json", "{"), (), "/price/zarr.json"),
    ("metadata", bad_text("zarr.json", '{"zarr_format": 4, "node_type": "group"}'), (), "/zarr.json"),
    ("metadata", bad_text("zarr.json", "[1]"), (), "/zarr.json"),
    ("link", linked, ("chunks-missing",), "/price/0"),
    ("link", lambda group: os.mkfifo(group / "pipe"), (), "/pipe"),
    ("too-many", deep, ("nested",), "/inner" * 17),
    ("extension", lambda group: edit(group / "price", needs={"name": "x"}), (), "/price"),
    ("extension", lambda group: edit(group / "price", storage_transformers=[{"name": "x"}]), (), "/price"),
    ("extension", lambda group: edit(group, needs="x"), (), ""),
    ("shape", lambda group: edit(group / "price", shape=[1 << 70]), ("rows",), "/price"),
    ("shape", lambda group: edit(group / "price", shape=[2, 2, 2]), ("rows",), "/price"),
    ("shape", lambda group: edit(group / "price", shape="long"), ("rows",), "/price"),
    ("data-type", lambda group: edit(group / "price", data_type="float16"), (), "/price"),
    ("data-type", lambda group: edit(group / "price", data_type={"name": "struct", "configuration": {}}), (), "/price"),
    ("object-codec", with_codecs("price", {"name": "numcodecs.pickle"}, CRC), (), "/price"),
    ("lossy-codec", with_codecs("price", {"name": "numcodecs.bitround", "configuration": {"keepbits": 3}}, PCODEC, CRC), (), "/price"),
    ("byte-order", with_codecs("price", {"name": "bytes", "configuration": {"endian": "big"}}, {"name": "blosc"}, CRC), (), "/price"),
    ("byte-order", with_codecs("bids", {"name": "transpose", "configuration": {"order": [1, 0]}}, PCODEC, CRC), ("codec",), "/bids"),
    ("dimension-names", lambda group: edit(group / "price", dimension_names=None), (), "/price"),
    ("dimension-names", lambda group: edit(group / "price", dimension_names=["time", "level"]), (), "/price"),
    ("dimensions", lambda group: edit(group / "bids", dimension_names=["time", "depth"]), (), "/bids"),
    ("dimensions", lambda group: edit(group / "price", dimension_names=["row"]), (), "/price"),
    ("rows", cut(39_999, 20_000, 40_000), (), "/price"),
    ("axis", lambda group: edit(group / "time", attributes={}), (), ""),
    ("ragged", lambda group: edit(group / "note_count", data_type="int32"), (), "/note"),
    ("name", lambda group: (group / "price").rename(group / "Price"), (), "/Price"),
    ("name", lambda group: (group / "price").rename(group / "the price"), (), "/the price"),
    ("time", attribute("time", units="seconds since 2024-08-08"), (), "/time"),
    ("time", attribute("time", calendar="noleap"), (), "/time"),
    ("time", lambda group: edit(group / "time", data_type="float64"), (), "/time"),
    ("cf-decoding", attribute("price", scale_factor=0.1), (), "/price"),
    ("cf-decoding", attribute("price", _FillValue="AAAAAAAA+H8="), (), "/price"),
    ("cf-decoding", attribute("price", units="seconds"), (), "/price"),
    ("fill-value", lambda group: edit(group / "price", fill_value="NaN"), (), "/price"),
    ("unsharded", lambda group: edit(group / "price", unsharded), (), "/price"),
    ("shard-index", lambda group: edit(group / "price", lambda d: sharding(d).update(index_codecs=[LITTLE])), (), "/price"),
    ("shard-index", lambda group: edit(group / "price", lambda d: sharding(d).update(index_location="start")), (), "/price"),
    ("checksum", with_codecs("price", PCODEC), (), "/price"),
    ("codec", with_codecs("price", LITTLE, ZSTD, CRC), (), "/price"),
    ("codec", with_codecs("price", LITTLE, CRC), (), "/price"),
    ("chunk-limit", cut(40_000_000, 1_000_000, 40_000_000), ("rows", "shard-size"), "/price"),
    ("chunk-size", cut(40_000, 100, 40_000), (), "/price"),
    ("chunk-size", cut(40_000_000, 100_000, 400_000), ("rows", "chunks-missing"), "/price"),
    ("chunk-padding", cut(40_000, 50_000, 50_000), (), "/price"),
    ("chunk-grid", cut(40_000, 20_000, 50_000), (), "/price"),
    ("chunk-grid", lambda group: edit(group / "price", chunk_grid={"name": "rectilinear", "configuration": {}}), (), "/price"),
    ("chunk-grid", lambda group: edit(group / "bids", lambda d: sharding(d).update(chunk_shape=[10_000, 1])), ("chunk-size",), "/bids"),
    ("shard-size", cut(40_000_000, 32_000, 40_000_000 // 32_000 * 32_000), ("rows",), "/price"),
    ("chunk-keys", lambda group: edit(group / "price", chunk_key_encoding={"name": "default"}), ("chunks-missing", "stray"), "/price"),
    ("chunks-missing", lambda group: (group / "price" / "0").unlink(), (), "/price"),
    ("consolidated", lambda group: edit(group, consolidated_metadata={"metadata": {}}), (), ""),
    ("conventions", lambda group: edit(group, attributes={}), (), ""),
    ("nested", nested, (), ""),
    ("stray", lambda group: (group / "README.md").write_text("hello"), (), "/README.md"),
    ("stray", lambda group: (group / "price" / "7").write_text("hello"), (), "/price/7"),
]


def numbered(cases: Iterable[Any]) -> list[str]:
    return [f"{case[0]}-{number}" for number, case in enumerate(cases)]


@pytest.mark.parametrize(("rule", "harm", "others", "place"), ZARR_CASES, ids=numbered(ZARR_CASES))
def test_what_breaks_a_rule_is_told_and_nothing_else(group: Path, rule: str, harm: Break, others: Iterable[str], place: str) -> None:
    assert arraystore.lint(group) == []
    harm(group)
    found = arraystore.lint(group)
    assert {each.rule for each in found} == {rule, *others}
    assert f"group{place}" in [each.place for each in found if each.rule == rule]
    assert_explains(found)


def assert_explains(found: Iterable[Deviation]) -> None:
    for each in found:
        assert all((each.place, each.found, each.wanted, each.why, each.remedy)), each
        assert "FORMAT.md section" in each.why
        assert isinstance(each.severity, Severity)
        assert json.loads(json.dumps(each.to_json()))["severity"] == each.severity
        assert len(str(each)) < 1000


SEGMENT_CASES: list[tuple[str, Break]] = [
    ("segment", lambda segment: edit(segment / "price", data_type="float32")),
    ("segment", attribute("price", units="EUR")),
    ("segment", attribute("symbol", labels=["a", "a"])),
    ("segment", attribute("symbol", labels=7)),
    ("segment", lambda segment: (segment / "price").rename(segment / "paid")),
    ("segment", lambda segment: edit(segment / "price", lambda d: sharding(d).update(chunk_shape=[40_000]))),
    ("misplaced", lambda segment: edit(segment, lambda d: d["attributes"]["arraystore"].update(segment=f"0-{'0' * 32}"))),
    ("schema", lambda segment: edit(segment, lambda d: d["attributes"]["arraystore"]["schema"].update(axis="price"))),
    ("schema", lambda segment: edit(segment, lambda d: d["attributes"]["arraystore"].update(schema=[1]))),
]


@pytest.mark.parametrize(("rule", "harm"), SEGMENT_CASES, ids=numbered(SEGMENT_CASES))
def test_a_segment_is_held_against_its_own_schema(segment: Path, rule: str, harm: Break) -> None:
    assert arraystore.lint(segment) == []
    harm(segment)
    found = arraystore.lint(segment)
    assert rule in {each.rule for each in found}
    assert_explains(found)


def test_every_rule_of_groups_has_a_case() -> None:
    assert {case[0] for case in (*ZARR_CASES, *SEGMENT_CASES)} - {rule.name for rule in STORE_RULES} == {rule.name for rule in ZARR_RULES}


@pytest.mark.parametrize("name", ["unreadable", "misplaced", "link", "checksum"])
def test_severities_are_what_a_script_goes_by(name: str) -> None:
    (rule,) = (rule for rule in (*ZARR_RULES, *STORE_RULES) if rule.name == name)
    assert rule.severity is Severity.ERROR


def test_a_group_below_the_place_is_looked_at_too(group: Path) -> None:
    edit(group / "price", fill_value=1)
    (group.parent / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group", "attributes": {}}')
    (found,) = arraystore.lint(group.parent)
    assert (found.rule, found.place) == ("fill-value", f"{group.parent.name}/group/price")


def test_an_array_by_itself_is_looked_at(group: Path) -> None:
    assert arraystore.lint(group / "price") == []
    edit(group / "price", fill_value=1)
    assert [(each.rule, each.place) for each in arraystore.lint(group / "price")] == [("fill-value", "price")]


def test_where_nothing_is_nothing_is_linted(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "none"):
        with pytest.raises(arraystore.NotFound):
            arraystore.lint(place)
    with pytest.raises(arraystore.InvalidInput):
        arraystore.lint(tmp_path, role="nobody")
