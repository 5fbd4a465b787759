"""`tail`, `sample`, `stats`, `coverage`, `gaps`, `tree` and no command at all tell what there is, in words and as JSON."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from tests.cli.test_looking import BARS, MESSAGES, RUN, TRADES

type Run = Callable[..., Result]
type RunJson = Callable[..., Any]


def test_tail_shows_the_last_rows(run_json: RunJson) -> None:
    assert [row["trade_id"] for row in run_json("tail", TRADES, "-n", "2")["rows"]] == ["t2", "t3"]


def test_sample_shows_the_same_rows_for_a_seed(run_json: RunJson) -> None:
    drawn = [run_json("sample", TRADES, "-n", "3", "--columns", "trade_id,time", "--seed", seed)["rows"] for seed in "112"]
    assert drawn[0] == drawn[1] != drawn[2]
    assert [list(row) for row in drawn[0]] == [["trade_id", "time"]] * 3


def test_stats_tell_every_column_in_numbers(run_json: RunJson, run: Run) -> None:
    found = run_json("stats", TRADES, "--quantiles", "0,0.5,1")
    columns = {column["name"]: column for column in found["columns"]}
    assert (found["dataset"], found["rows"]) == (TRADES, 6)
    assert columns["price"]["quantiles"] == {"0": 61680.0, "0.5": 61680.1, "1": 61680.3}
    assert columns["time"]["min"] == "2024-08-08T12:00:00Z"
    assert columns["side"]["values"] == {"buy": 3, "sell": 3}
    assert columns["trade_id"]["lengths"] == {"min": 2, "max": 2, "mean": 2.0}
    shown = run("stats", TRADES).stdout
    assert "buy 3, sell 3" in shown
    assert [line[:5] for line in shown.splitlines() if line.startswith(("price", "side", "trade_id"))] == ["price", "side ", "trade"]


def test_stats_of_a_run_want_a_series(run: Run, run_json: RunJson) -> None:
    assert "choose one of equity, metrics" in run("stats", RUN).stderr
    equity = {column["name"]: column for column in run_json("stats", RUN, "--window", "equity")["columns"]}["equity"]
    assert (equity["nan"], equity["infinite"], equity["max"], equity["mean"]) == (1, 1, "Infinity", None)


@pytest.mark.parametrize("text", ["a", "0.5,,1", "2"])
def test_quantiles_that_are_none_are_refused(run: Run, text: str) -> None:
    result = run("stats", TRADES, "--quantiles", text)
    assert (result.exit_code, result.stdout) == (2, "")


def test_coverage_tells_windows_and_what_lies_between(run: Run, run_json: RunJson) -> None:
    (found,) = run_json("coverage", TRADES, "--start", "2024-08-07", "--end", "2024-08-11")["datasets"]
    assert [(each["window"], each["rows"], each["completeness"]) for each in found["windows"]] == [
        ("2024-08-08", 2, "complete"),
        ("2024-08-09", 4, "open"),
    ]
    assert found["absent"] == [["2024-08-07T00:00:00Z", "2024-08-08T00:00:00Z"], ["2024-08-10T00:00:00Z", "2024-08-11T00:00:00Z"]]
    lines = run("coverage", TRADES, "--start", "2024-08-07").stdout.splitlines()
    assert lines[2].split()[:5] == ["2024-08-07", "to", "2024-08-08", "absent", "1d"]
    assert lines[-1] == "2 windows, 6 rows, 1d absent in 1 stretch"
    assert run("coverage", MESSAGES).stdout.splitlines()[2].split()[:4] == ["2024-08-08", "4", "complete", "100.0%"]


def test_coverage_takes_patterns_and_steps(run_json: RunJson, run: Run) -> None:
    found = run_json("coverage", "raw", "*/binance-usdm/trades", "--per", "month")["datasets"]
    assert [(each["dataset"], [window["window"] for window in each["windows"]]) for each in found] == [
        (MESSAGES, ["2024-08"]),
        (TRADES, ["2024-08"]),
    ]
    assert run("coverage", "canonical/nothing").exit_code == 3


def test_gaps_tell_stretches_without_rows(run: Run, run_json: RunJson) -> None:
    (found,) = run_json("gaps", TRADES, "--longer-than", "1m")["datasets"]
    (gap,) = found["gaps"]
    assert (gap["start"], gap["stop"], gap["covered_ns"]) == ("2024-08-08T12:00:01Z", "2024-08-09T12:00:00Z", 0)
    lines = run("gaps", TRADES, "--longer-than", "1m").stdout.splitlines()
    assert lines[0] == f"{TRADES} version 4: 1 gap longer than 1m"
    assert lines[2].split()[2:4] == ["23h", "59m"]
    assert run("gaps", TRADES, "--longer-than", "soon").exit_code == 2


def test_tree_adds_up_at_every_level(run_json: RunJson, run: Run) -> None:
    whole = run_json("tree")
    assert (whole["datasets"], whole["rows"]) == (4, 13)
    assert whole["below"]["canonical"]["below"]["binance-usdm"]["below"]["trades"]["below"]["BTC=2FUSDT"]["rows"] == 6
    assert run_json("tree", "derived", "--depth", "1")["below"] == {"derived": {"datasets": 1, "rows": 0, "bytes": 0}}
    lines = run("tree", "canonical").stdout.splitlines()
    assert [line.split()[-4] for line in lines if "BTC" in line] == ["BTC/USDT"]
    assert lines[-1].startswith("1 dataset, 6 rows, ")


def test_a_pattern_stands_for_the_one_dataset_it_matches(run_json: RunJson, run: Run) -> None:
    assert run_json("info", "canonical/*/trades/*")["dataset"] == TRADES
    assert run("info", "canonical/*/quotes/*").exit_code == 3
    result = run("info", "*/binance-usdm")
    assert result.exit_code == 2
    assert f"matches several datasets, and this is for one: {MESSAGES}, {TRADES}" in result.stderr


def test_without_a_command_the_store_is_shown_at_a_glance(run: Run, store_root: Path) -> None:
    lines = run().stdout.splitlines()
    assert lines[0] == f"{store_root} as operations"
    assert [line.split()[:4] for line in lines[3:5]] == [["raw", "1", "1", "4"], ["canonical", "1", "2", "6"]]
    document = json.loads(run("--json", "--role", "live").stdout)
    assert [each["storage_class"] for each in document["classes"]] == ["canonical", "derived", "execution-records"]
    assert document["classes"][0]["span"] == ["2024-08-08T12:00:00Z", "2024-08-09T12:00:03Z"]


def test_without_a_store_help_tells_how_to_name_one(run: Run, tmp_path: Path) -> None:
    result = run(ARRAYSTORE_ROOT="", XDG_CONFIG_HOME=str(tmp_path))
    assert result.exit_code == 0
    assert "ARRAYSTORE_ROOT" in result.stdout
    assert "Exit codes" in result.stdout
    result = run("--root", str(tmp_path))
    assert (result.exit_code, result.stderr.count("\n")) == (3, 1)
    assert "arraystore init" in result.stderr


def test_a_dataset_without_rows_has_nothing_to_tell(run_json: RunJson) -> None:
    assert run_json("coverage", BARS)["datasets"][0]["windows"] == []
    assert run_json("gaps", BARS, "--longer-than", "1s")["datasets"][0]["gaps"] == []
    assert run_json("stats", BARS)["rows"] == 0
    assert run_json("sample", BARS)["rows"] == []


def test_lineage_is_a_graph_too(run: Run, run_json: RunJson) -> None:
    lines = run("lineage", TRADES, "--version", "2", "--mermaid").stdout.splitlines()
    assert lines == [
        "flowchart LR",
        f'  n0["{TRADES}<br/>version 2"]',
        f'  n1["{MESSAGES}<br/>version 2"]',
        "  n1 --> n0",
        "  style n0 stroke-width:3px",
    ]
    made = run_json("lineage", MESSAGES)["dependents"]
    assert [each["key"] for each in made] == [["binance-usdm", "trades", "BTC/USDT"]]
    assert "made of it" in run("lineage", MESSAGES).stdout
    assert f'  n1("{TRADES}<br/>version 2")' in run("lineage", MESSAGES, "--mermaid").stdout.splitlines()
    assert run("lineage", MESSAGES, "--mermaid", "--json").exit_code == 2
