"""Groups that others wrote: what would have to change is told; what means harm is refused within bounds, and never followed."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr

import arraystore
from arraystore.datasets import zarrlint
from layouts.deviations import RULES, rules_markdown
from tests.conftest import PROJECT
from tests.lint.conftest import KEY, SCHEMA, edit, rows, store_as


def bars() -> xr.Dataset:
    """As somebody's notebook has them."""
    count = 200_000
    times = np.datetime64("2024-08-08T00:00:00", "ns") + np.arange(count) * np.timedelta64(250, "ms")
    columns = {"Close": ("Time", np.arange(count) / 7), "volume": ("Time", np.arange(count)), "side": ("Time", np.repeat(["buy"], count))}
    return xr.Dataset(columns, {"Time": times})


@pytest.mark.filterwarnings("ignore")
def test_what_xarray_writes_by_itself_is_told_what_would_have_to_change(tmp_path: Path) -> None:
    bars().to_zarr(tmp_path / "bars.zarr", zarr_format=3, encoding={"volume": {"chunks": (1000,)}})
    told = {(each.place.partition("/")[2], each.rule) for each in arraystore.lint(tmp_path / "bars.zarr")}
    assert told >= {
        ("", "consolidated"),
        ("", "conventions"),
        ("Time", "name"),
        ("Time", "time"),
        ("Close", "name"),
        ("Close", "unsharded"),
        ("Close", "checksum"),
        ("Close", "codec"),
        ("Close", "chunk-keys"),
        ("Close", "fill-value"),
        ("Close", "cf-decoding"),
        ("volume", "chunk-size"),
        ("side", "data-type"),
    }
    assert not {rule for _, rule in told} & {"axis", "rows", "dimensions", "dimension-names", "stray", "chunks-missing", "metadata"}


@pytest.mark.filterwarnings("ignore")
def test_format_2_is_told_as_such_and_looked_at_all_the_same(tmp_path: Path) -> None:
    bars().to_zarr(tmp_path / "bars.zarr", zarr_format=2)
    found = arraystore.lint(tmp_path / "bars.zarr")
    told = {(each.place.partition("/")[2], each.rule) for each in found}
    assert told >= {("", "zarr-v2"), ("", "consolidated"), ("Time", "time"), ("Close", "checksum"), ("side", "data-type")}
    assert [each.place for each in found if each.rule == "zarr-v2"] == ["bars.zarr"]


def test_what_was_written_as_advised_has_nothing_to_tell(tmp_path: Path) -> None:
    """A stock Zarr writer can do it: the rules are about Zarr, and not about us."""
    group = zarr.open_group(tmp_path / "own.zarr", mode="w", zarr_format=3, attributes={"Conventions": "CF-1.11"})
    count = 40_000
    for name, dtype in (("time", "int64"), ("price", "float64")):
        array = group.create_array(
            name,
            shape=(count,),
            chunks=(20_000,),
            shards=(count,),
            dtype=dtype,
            fill_value=0,
            compressors=[zarr.codecs.BloscCodec(cname="zstd", clevel=5), zarr.codecs.Crc32cCodec()],
            chunk_key_encoding={"name": "v2", "separator": "."},
            dimension_names=["time"],
            attributes={"units": "nanoseconds since 1970-01-01", "calendar": "proleptic_gregorian"} if name == "time" else {},
            config={"write_empty_chunks": True},
        )
        array[:] = np.arange(count)
    assert arraystore.lint(tmp_path / "own.zarr") == []
    assert xr.open_zarr(tmp_path / "own.zarr", consolidated=False)["price"].sizes == {"time": count}


def test_the_advice_helps(tmp_path: Path) -> None:
    """What is told to append it to a dataset is clean afterwards."""
    store = store_as(tmp_path / "store")
    frame = bars().rename(Time="time", Close="close").drop_vars("side")
    schema = arraystore.Schema(
        name="bars",
        columns=(
            arraystore.Column(name="time", kind="time"),
            arraystore.Column(name="close"),
            arraystore.Column(name="volume", dtype="int64"),
        ),
    )
    dataset = store.canonical.create(KEY, schema)
    dataset.append(frame, completeness="complete")
    assert store.lint() == []


@pytest.mark.filterwarnings("ignore")
def test_real_quotes_that_xarray_wrote_are_told_what_would_have_to_change(tmp_path: Path, shared_data: Path) -> None:
    store = store_as(tmp_path / "store")
    arraystore.ingest(store, shared_data / "oanda-xauusd" / "20140504_quote.zip", mapping="oanda-xauusd")
    (key,) = store.canonical.find()
    store.canonical[key].read().to_xarray().to_zarr(tmp_path / "quotes.zarr", zarr_format=3)
    found = arraystore.lint(tmp_path / "quotes.zarr")
    told = {(each.place.rpartition("/")[2], each.rule) for each in found}
    assert told >= {("quotes.zarr", "consolidated"), ("bid_price", "checksum"), ("bid_price", "unsharded"), ("bid_price", "codec")}
    assert ("flags", "chunks-missing") in told, "all of them are 0, so nothing was written"
    assert not {rule for _, rule in told} & {"axis", "rows", "name", "dimensions", "data-type", "stray"}


# --- what means harm ---------------------------------------------------------------------------------------------

HUGE = "x" * 200_000
BOMBS: dict[str, Any] = {
    "shape": [[1 << 62, 1 << 62], [-1], [1.5], [True], [], {"a": 1}, "1000000000000", None, [10**30], [0] * 10_000],
    "data_type": [HUGE, {"name": HUGE}, {"name": ["x"]}, 7, None, ["<f8", "O"]],
    "chunk_grid": [{"name": "regular", "configuration": {"chunk_shape": [0]}}, {"name": HUGE}, 1, [], {"name": "regular"}, None],
    "chunk_key_encoding": [None, {"name": "v2", "configuration": {"separator": "../"}}, {"name": HUGE}, 5],
    "codecs": [
        [],
        None,
        [None],
        [{"name": {}}],
        [[]] * 1000,
        {"name": "x"},
        [{"name": "sharding_indexed", "configuration": {"codecs": 1, "index_codecs": None}}],
    ],
    "dimension_names": [[], [HUGE], [None], {"a": 1}, 5, ["\x1b[2J"]],
    "attributes": [None, [], {"units": 5, "arraystore": {"segment": {}, "schema": HUGE}}, {"units": HUGE + " since "}, {"arraystore": []}],
    "fill_value": [HUGE, None, {}, [1]],
}


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field, values in BOMBS.items() for value in values], ids=lambda value: str(value)[:20]
)
def test_no_field_of_any_content_breaks_it(group: Path, field: str, value: Any) -> None:
    for node in (group / "price", group / "time", group):
        edit(node, **{field: value})
    found = arraystore.lint(group)
    assert found
    assert max(len(each.found) for each in found) < 1000


def test_a_shape_of_millions_of_chunks_is_not_walked(group: Path) -> None:
    def change(document: Any) -> None:
        document["shape"] = [1 << 40]
        document["chunk_grid"]["configuration"]["chunk_shape"] = [1]
        document["codecs"] = document["codecs"][0]["configuration"]["codecs"]

    edit(group / "price", change)
    assert "unsharded" in {each.rule for each in arraystore.lint(group)}


@pytest.mark.parametrize(
    "text",
    [
        "[" * 500_000,
        '{"a":' * 200_000,
        "\x00",
        "{}" * 10,
        '{"zarr_format": 3, "node_type": "group", "attributes": ' + "[" * 100_000,
        "\ud800",
    ],
    ids=["nested", "nested objects", "binary", "two", "half", "not utf-8"],
)
@pytest.mark.parametrize("file", ["zarr.json", "price/zarr.json"])
def test_metadata_that_cannot_be_parsed_are_refused(group: Path, file: str, text: str) -> None:
    (group / file).write_bytes(text.encode("utf-8", "surrogatepass"))
    assert "metadata" in {each.rule for each in arraystore.lint(group)}


def test_metadata_of_gigabytes_are_not_read(group: Path) -> None:
    with (group / "price" / "zarr.json").open("wb") as file:
        file.truncate(8 << 30)  # a hole
    tracemalloc.start()
    found = arraystore.lint(group)
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [(each.rule, each.place) for each in found] == [("metadata", "group/price/zarr.json")]
    assert used < 64 << 20


def test_links_are_told_and_never_followed(group: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "zarr.json").write_text(json.dumps({"zarr_format": 3, "node_type": "group", "attributes": {"password": "hunter2"}}))
    (group / "way_out").symlink_to(secret)
    (group / "round").symlink_to(group)
    (group / "price" / "zarr.json").unlink()
    (group / "price" / "zarr.json").symlink_to(secret / "zarr.json")
    found = arraystore.lint(group)
    assert {each.place for each in found if each.rule == "link"} == {"group/way_out", "group/round", "group/price/zarr.json"}
    assert "hunter2" not in str(found)


def test_names_that_steer_a_terminal_are_told_escaped(group: Path) -> None:
    (group / "a\x1b[2Jb").mkdir()
    (group / "ééé").mkdir()
    told = "".join(map(str, arraystore.lint(group)))
    assert "\x1b" not in told
    assert "\\x1b[2Jb" in told


def test_a_hierarchy_of_too_many_nodes_is_looked_at_in_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = json.dumps({"zarr_format": 3, "node_type": "group", "attributes": {}})
    for number in range(30):
        (tmp_path / "all" / f"g{number:02d}").mkdir(parents=True)
        (tmp_path / "all" / f"g{number:02d}" / "zarr.json").write_text(document)
    (tmp_path / "all" / "zarr.json").write_text(document)
    assert arraystore.lint(tmp_path / "all") == []
    monkeypatch.setattr(zarrlint, "NODES_LIMIT", 20)
    assert [(each.rule, each.place) for each in arraystore.lint(tmp_path / "all")] == [("too-many", "all/g19")]


def test_in_memory_and_by_url_it_is_the_same() -> None:
    store = arraystore.open_store("memory://linted", role="data-quality", create=True)
    store.canonical.create(KEY, SCHEMA).append(rows(100), completeness="complete")
    assert arraystore.lint("memory://linted") == []


def test_the_page_says_what_the_rules_say() -> None:
    page = (PROJECT / "docs" / "lint.md").read_text("utf-8")
    assert page.endswith(rules_markdown())
    assert all(f"`{name}`" in page for name in RULES)
