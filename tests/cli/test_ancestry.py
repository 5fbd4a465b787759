"""`changes`, `dependents`, `lineage`, `impact` and `tag` from the shell."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from arraystore.cli import main
from tests.cli.conftest import build

TRADES = "canonical/binance-usdm/trades/BTC=2FUSDT"
MESSAGES = "raw/binance-usdm/market/rec-1"

type Run = Callable[..., Result]
type RunJson = Callable[..., Any]


@pytest.fixture
def own(tmp_path: Path) -> Callable[..., Any]:
    """Runs a command on a store of its own, and reads the document it prints."""
    build(tmp_path / "store")

    def document(*args: str) -> Any:
        result = CliRunner().invoke(main, [*args, "--root", str(tmp_path / "store"), "--json"], prog_name="arraystore")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return document


def test_changes_are_told_once_each(run: Run, run_json: RunJson, tmp_path: Path) -> None:
    first = run_json("changes", "canonical")
    assert [change["version"] for change in first["changes"]] == [1, 2, 3, 4]
    assert {change["dataset"] for change in first["changes"]} == {TRADES}
    (tmp_path / "cursor").write_text(json.dumps(first))
    assert run_json("changes", "canonical", "--since", str(tmp_path / "cursor"))["changes"] == []
    (tmp_path / "cursor").write_text("yesterday")
    assert run("changes", "canonical", "--since", str(tmp_path / "cursor")).exit_code == 2
    assert "append" in run("changes", "raw").stdout


def test_lineage_goes_both_ways(run: Run, run_json: RunJson) -> None:
    assert [edge["key"] for edge in run_json("dependents", MESSAGES)] == [["binance-usdm", "trades", "BTC/USDT"]]
    assert run_json("dependents", TRADES, "--window", "2024-08-09") == []
    assert TRADES in run("dependents", MESSAGES).stdout
    assert run("lineage", TRADES, "--version", "2").stdout.splitlines() == [f"{TRADES} @ 2", f"    {MESSAGES} @ 2"]
    assert run_json("lineage", TRADES, "--version", "2")["made_from"][0]["pin"]["version"] == 2
    assert run_json("impact", TRADES) == run_json("impact", TRADES, "--standing") == []


def test_a_tag_is_made_shown_and_listed(own: Callable[..., Any]) -> None:
    assert own("tag", "release", TRADES, "--dry-run")["pins"][0]["version"] == 4
    assert own("tag") == []
    assert own("tag", "release", TRADES, "--reason", "first")["version"] == 1
    assert own("tag", "release")["reason"] == "first"
    assert own("tag") == ["release"]
