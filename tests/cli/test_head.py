"""`head` shows rows as they were written, without reading what it doesn't show."""

import base64
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result

TRADES = "canonical/binance-usdm/trades/BTC=2FUSDT"
MESSAGES = "raw/binance-usdm/market/rec-1"
RUN = "experiments/mm-grid/7f3a"

type Run = Callable[..., Result]
type RunJson = Callable[..., Any]


def column(document: dict[str, Any], name: str) -> list[Any]:
    return [row[name] for row in document["rows"]]


def test_head_shows_the_first_rows(run_json: RunJson) -> None:
    found = run_json("head", TRADES, "-n", "1")
    (row,) = found["rows"]
    assert row == {
        "time": "2024-08-08T12:00:00Z",
        "exchange_time": None,
        "publish_time": None,
        "capture_time": None,
        "capture_sequence": None,
        "price": 61_680.0,
        "size": 0.25,
        "side": "sell",
        "trade_id": "t0",
        "sequence": None,
        "condition": None,
        "flags": 0,
    }


@pytest.mark.parametrize(
    ("options", "trades"),
    [
        (["-n", "3"], ["t0", "t1", "t0"]),
        (["-n", "3", "--tail"], ["t1", "t2", "t3"]),
        (["-n", "5", "--tail"], ["t1", "t0", "t1", "t2", "t3"]),
        (["--window", "2024-08-09", "-n", "2"], ["t0", "t1"]),
        (["-n", "0"], []),
        (["-n", "100"], ["t0", "t1", "t0", "t1", "t2", "t3"]),
        (["-n", "100", "--version", "2"], ["t0", "t1", "t2"]),
        (["--version", "1"], []),
    ],
)
def test_head_takes_rows_across_windows_from_either_end(run_json: RunJson, options: list[str], trades: list[str]) -> None:
    assert column(run_json("head", TRADES, *options), "trade_id") == trades


def test_head_shows_the_columns_asked_for_in_that_order(run_json: RunJson) -> None:
    found = run_json("head", TRADES, "--columns", "size, time")
    assert [heading["name"] for heading in found["columns"]] == ["size", "time"]
    assert [list(row) for row in found["rows"]] == [["size", "time"]] * 6


def test_json_keeps_every_byte_and_every_digit(run_json: RunJson) -> None:
    found = run_json("head", MESSAGES)
    assert [base64.b64decode(text) for text in column(found, "payload")] == [b'{"e":"trade"}', b"\xff\x00\x1b[2J", b"x" * 500, b""]
    assert column(found, "sequence") == [2**63 + row for row in range(4)]
    assert column(found, "time")[0] == "2024-08-08T12:00:00.000000001Z"
    assert column(found, "channel") == [None] * 4


def test_json_tells_numbers_that_it_has_no_words_for(run_json: RunJson) -> None:
    assert column(run_json("head", RUN, "--window", "equity"), "equity") == ["NaN", "Infinity"]


def test_a_table_shows_bytes_as_letters_cut_and_without_steering_the_terminal(run: Run) -> None:
    lines = run("head", MESSAGES, "--columns", "payload").stdout.splitlines()
    assert lines == ["payload", '{"e":"trade"}', "\\xff\\x00\\x1b[2J", "x" * 99 + "…", ""]


def test_of_several_series_one_must_be_chosen(run: Run, run_json: RunJson) -> None:
    result = run("head", RUN)
    assert result.exit_code == 2
    assert "choose one of equity, metrics" in result.stderr
    assert column(run_json("head", RUN, "--window", "metrics"), "value") == [1.5]


def test_every_unknown_column_is_named(run: Run) -> None:
    result = run("head", TRADES, "--columns", "prise,time,sise")
    assert result.exit_code == 2
    assert "prise" in result.stderr
    assert "sise" in result.stderr


def test_an_unknown_window_is_not_found(run: Run) -> None:
    assert run("head", TRADES, "--window", "2031-01-01").exit_code == 3
