"""`ls`, `info`, `manifest` and `log` tell what is there, to people and to scripts alike."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import arraystore
from arraystore.cli import main
from tests.cli.conftest import build

TRADES = "canonical/binance-usdm/trades/BTC=2FUSDT"
MESSAGES = "raw/binance-usdm/market/rec-1"
BARS = "derived/bars/1m/binance-usdm/BTCUSDT"
RUN = "experiments/mm-grid/7f3a"

type Run = Callable[..., Result]
type RunJson = Callable[..., Any]


def listed(document: dict[str, Any]) -> list[str]:
    return [entry["dataset"] for entry in document["datasets"]]


def test_ls_lists_every_dataset_by_class_and_key(run_json: RunJson) -> None:
    assert listed(run_json("ls")) == [MESSAGES, TRADES, BARS, RUN]


def test_ls_lists_one_venue(run_json: RunJson) -> None:
    assert listed(run_json("ls", "--venue", "binance-usdm")) == [MESSAGES, TRADES, BARS]
    assert listed(run_json("ls", "derived", "--venue", "binance-usdm")) == [BARS]
    assert listed(run_json("ls", "--venue", "binance")) == []


def test_ls_tells_how_much_there_is_and_from_when_to_when(run_json: RunJson) -> None:
    trades = run_json("ls", TRADES)["datasets"][0]
    assert trades.pop("bytes") > 0
    assert trades.pop("committed").endswith("Z")
    assert trades == {
        "dataset": TRADES,
        "windows": 2,
        "rows": 6,
        "files": 0,
        "first": "2024-08-08T12:00:00Z",
        "last": "2024-08-09T12:00:03Z",
        "version": 4,
    }


def test_ls_lists_the_others_where_one_is_damaged(run: Run, tmp_path: Path) -> None:
    build(root := tmp_path / "store")
    record = max((root / TRADES / "_log").glob("0*"))
    data = bytearray(record.read_bytes())
    data[len(data) // 2] ^= 1
    record.chmod(0o644)
    record.write_bytes(data)
    told = run("ls", ARRAYSTORE_ROOT=str(root))
    assert told.exit_code == 5
    assert BARS in told.stdout
    assert TRADES not in told.stdout
    assert told.stderr.startswith(f"error: {TRADES} can't be read: ")
    assert "arraystore repair --from URL" in told.stderr
    as_json = run("ls", "--json", ARRAYSTORE_ROOT=str(root))
    assert as_json.exit_code == 5
    document = json.loads(as_json.stdout)
    assert listed(document) == [MESSAGES, BARS, RUN]
    assert [each["dataset"] for each in document["problems"]] == [TRADES]


def test_ls_tells_of_a_dataset_without_rows(run_json: RunJson) -> None:
    bars = run_json("ls", BARS)["datasets"][0]
    assert (bars["windows"], bars["rows"], bars["first"], bars["last"], bars["version"]) == (0, 0, None, None, 1)


def test_ls_spans_all_series_of_a_run_and_counts_its_files(run_json: RunJson) -> None:
    found = run_json("ls", RUN)["datasets"][0]
    assert (found["windows"], found["rows"], found["files"], found["first"]) == (2, 3, 1, "2024-08-08T12:00:00Z")


@pytest.mark.parametrize(
    ("patterns", "found"),
    [
        (["canonical"], [TRADES]),
        (["canonical/"], [TRADES]),
        (["*/binance-usdm/trades", "r?w"], [MESSAGES, TRADES]),
        (["canonical/*/trades/BTC*"], [TRADES]),
        (["experiments", "derived/bars"], [BARS, RUN]),
        (["canonical/binance"], []),
    ],
)
def test_a_pattern_names_a_dataset_or_what_it_lies_below(run_json: RunJson, patterns: list[str], found: list[str]) -> None:
    assert listed(run_json("ls", *patterns)) == found


def test_ls_leaves_out_what_the_role_may_not_read(run_json: RunJson) -> None:
    assert listed(run_json("ls", "--role", "live")) == [TRADES, BARS]
    assert listed(run_json("ls", ARRAYSTORE_ROLE="backtesting")) == [TRADES, BARS, RUN]


def test_ls_refuses_a_class_that_the_role_may_not_read(run: Run) -> None:
    result = run("ls", "raw", "--role", "live")
    assert result.exit_code == 4
    assert result.stderr.startswith("error: role live may not read raw")


def test_ls_prints_a_line_per_dataset_and_a_total(run: Run) -> None:
    lines = run("ls").stdout.splitlines()
    assert lines[0].split() == ["dataset", "windows", "rows", "size", "first", "last", "version", "committed"]
    assert [line.split()[0] for line in lines[1:5]] == [MESSAGES, TRADES, BARS, RUN]
    assert lines[6].startswith("4 datasets, 13 rows, ")


def test_info_tells_schema_codecs_and_how_small_it_is_kept(run_json: RunJson) -> None:
    found = run_json("info", MESSAGES)
    (series,) = found["series"]
    columns = {column["name"]: column for column in series["columns"]}
    assert series["schema"]["name"] == "raw_messages"
    assert columns["time"] == {
        "name": "time",
        "kind": "time",
        "dtype": "int64",
        "nullable": False,
        "clock": "axis",
        "unit": columns["time"]["unit"],
        "codec": "pcodec",
        "ratio": columns["time"]["ratio"],
    }
    assert columns["payload"]["codec"] == "zstd"
    assert columns["channel"]["nullable"] is True
    assert found["completeness"] == {"complete": 1}
    assert found["profile"] == "dense"
    assert found["ratio"] == round(found["decoded_bytes"] / found["bytes"], 2)
    assert found["made_from"] == []
    assert found["made_of_it"] == [TRADES]


def test_info_tells_each_columns_ratio_as_what_lies_on_disk(run_json: RunJson, store_root: Path) -> None:
    dataset = arraystore.open_store(store_root, role="operations").raw["binance-usdm/market/rec-1"]
    (window,) = dataset.windows()
    (segment,) = dataset.manifest(window).segments
    array = store_root / "raw" / dataset.manifest(window).location / segment.segment / "time"
    table = 16 + 4  # a shard of one chunk ends with its offset, its length and their checksum
    stored = sum(path.stat().st_size - table for path in array.iterdir() if path.name not in {"zarr.json", "_index"})
    (series,) = run_json("info", MESSAGES)["series"]
    ratio = next(column["ratio"] for column in series["columns"] if column["name"] == "time")
    assert ratio == round(dataset.rows * 8 / stored, 2)


def test_info_counts_decoded_bytes_as_arrays_have_them(run_json: RunJson, store_root: Path) -> None:
    dataset = arraystore.open_store(store_root, role="operations").raw["binance-usdm/market/rec-1"]
    rows = dataset.read().rows
    assert run_json("info", MESSAGES)["decoded_bytes"] == sum(array.nbytes for array in rows.arrays.values())


def test_info_counts_series_of_any_name(tmp_path: Path) -> None:
    columns = (arraystore.Column(name="time", kind="time"), arraystore.Column(name="value"))
    schema = arraystore.Schema(name="pnl", columns=columns, window="whole")
    store = arraystore.open_store(tmp_path, role="backtesting", create=True)
    with store.experiments.run("mm-grid", run_id="7f3a") as run:
        run.write("p/l by day", {"time": [1, 2, 3], "value": [0.5, 1.0, 1.5]}, schema=schema)
    shown = CliRunner().invoke(main, ["info", RUN, "--root", str(tmp_path), "--json"])
    assert (shown.exit_code, json.loads(shown.stdout)["decoded_bytes"]) == (0, 3 * 16)


def test_info_of_a_run_tells_each_series(run_json: RunJson) -> None:
    assert [series["schema"]["name"] for series in run_json("info", RUN)["series"]] == ["equity", "metrics"]


def test_info_looks_at_an_older_version(run_json: RunJson) -> None:
    assert [run_json("info", TRADES, "--version", version)["rows"] for version in ("1", "2", "3", "4")] == [0, 3, 7, 6]


def test_info_in_words(run: Run) -> None:
    shown = run("info", TRADES).stdout
    for words in (
        "version   4 of ",
        "windows   2 (1 complete, 1 open)",
        "rows      6",
        "schema trades: arrival order, axis time, window day",
    ):
        assert words in shown


def test_manifest_of_a_window_tells_segments_coverage_and_clocks(run_json: RunJson) -> None:
    (found,) = run_json("manifest", MESSAGES, "2024-08-08")["manifests"]
    assert (found["rows"], found["completeness"]) == (4, "complete")
    assert found["coverage"] == [["2024-08-08T00:00:00Z", "2024-08-09T00:00:00Z"]]
    assert found["clocks"]["time"] == ["2024-08-08T12:00:00.000000001Z", "2024-08-08T12:00:00.003000001Z"]
    assert [segment["rows"] for segment in found["segments"]] == [4]


def test_manifest_tells_what_rows_were_made_from(run: Run) -> None:
    assert f"made from     {MESSAGES} version 2" in run("manifest", TRADES, "2024-08-08", "--version", "2").stdout


def test_manifest_without_a_window_lists_all(run: Run, run_json: RunJson) -> None:
    assert [found["window"] for found in run_json("manifest", TRADES)["manifests"]] == ["2024-08-08", "2024-08-09"]
    assert [line.split()[0] for line in run("manifest", TRADES).stdout.splitlines()] == ["window", "2024-08-08", "2024-08-09"]


def test_log_tells_who_did_what_and_why_newest_first(run_json: RunJson, run: Run) -> None:
    versions = run_json("log", TRADES)["versions"]
    assert [version["version"] for version in versions] == [4, 3, 2, 1]
    assert [version["operation"] for version in versions] == ["replace", "append", "append", "create"]
    assert versions[0]["reason"] == "one trade was a test of the venue's"
    assert {version["role"] for version in versions} == {"data-quality"}
    assert "one trade was a test of the venue's" in run("log", TRADES).stdout


def test_log_stops_after_as_many_versions_as_asked_for(run_json: RunJson) -> None:
    assert [version["version"] for version in run_json("log", TRADES, "-n", "2")["versions"]] == [4, 3]


def test_log_of_a_run_calls_its_series_by_name(run_json: RunJson) -> None:
    assert {window for version in run_json("log", RUN)["versions"] for window in version["windows"]} == {"equity", "metrics"}


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["info", "canonical/binance-usdm/trades/ETHUSDT"], 3, "ETHUSDT"),
        (["info", "canonical/binance-usdm/trades/BTC=2FUSDT", "--version", "99"], 3, "99"),
        (["manifest", "canonical/binance-usdm/trades/BTC=2FUSDT", "2024-08-10"], 3, "2024-08-10"),
        (["info", "BTCUSDT"], 2, "give CLASS/KEY"),
        (["info", "cooked/binance-usdm/trades/BTCUSDT"], 2, "canonical"),
        (["info", "canonical/binance-usdm/BTCUSDT"], 2, "venue"),
        (["info", "canonical/binance-usdm/trades/../../x"], 2, "error"),
        (["info", "canonical/binance-usdm/trades/BTC=2FUSDT", "--version", "yesterday"], 2, "yesterday"),
        (["info", "raw/binance-usdm/market/rec-1", "--role", "live"], 4, "data-recording"),
        (["ls", "--role", "trader"], 2, "operations"),
        (["ls", "--root", "no-such-directory"], 3, "no-such-directory"),
    ],
)
def test_what_cannot_be_shown_is_one_line_and_a_code(run: Run, arguments: list[str], code: int, words: str) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (code, "", 1)
    assert result.stderr.startswith("error: ")
    assert words in result.stderr


def test_a_place_without_a_store_tells_the_command_that_makes_one(run: Run, tmp_path: Path) -> None:
    told = run("ls", "--root", str(tmp_path / "new")).stderr
    command = told.split("`")[1].split()
    assert command[0] == "arraystore"
    assert run(*command[1:]).exit_code == 0
    assert run("ls", "--root", str(tmp_path / "new")).exit_code == 0


def test_a_command_without_a_store_says_how_to_name_one(run: Run) -> None:
    result = run("ls", ARRAYSTORE_ROOT="")
    assert result.exit_code == 2
    assert "--root" in result.stderr
    assert "ARRAYSTORE_ROOT" in result.stderr
