"""`changes`, `dependents`, `lineage`, `impact` and `tag` from the shell."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import arraystore
from arraystore.cli import main
from tests.cli.conftest import build
from tests.store.conftest import DAY, START, rows

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


def test_a_version_of_which_many_ranges_were_read_is_told_once(tmp_path: Path) -> None:
    root, trades = tmp_path / "store", arraystore.schema_by_name("trades")
    source = arraystore.open_store(root, role="data-quality", create=True).canonical.create(("venue", "trades", "X"), trades)
    source.append(rows(10, step=DAY))
    read = source.pin()
    bars = arraystore.open_store(root, role="analysis").derived.create(("bars", "1m", "venue", "X"), trades)
    pins = [source.pin(START + day * DAY, START + (day + 1) * DAY) for day in range(10)]
    bars.append(rows(10, step=DAY), inputs=pins)
    for window in source.windows()[:6]:
        source.replace(window, rows(1, START + source.windows().index(window) * DAY), reason="late")
    other = arraystore.open_store(root, role="analysis").derived.create(("bars", "2m", "venue", "X"), trades)
    other.append(rows(10, step=DAY), inputs=[bars.pin(START, START + DAY), bars.pin(START + DAY)])

    def told(*args: str) -> list[str]:
        result = CliRunner().invoke(main, [*args, "--root", str(root)], prog_name="arraystore")
        assert result.exit_code == 0, result.output
        return result.stdout.splitlines()

    below = f"        canonical/venue/trades/X @ {read.version}  (10 pins)"
    assert told("lineage", "derived/bars/2m/venue/X") == [
        "derived/bars/2m/venue/X @ 2",
        "    derived/bars/1m/venue/X @ 2  (2 pins)",
        below,
    ]
    assert [line.split()[2:] for line in told("impact", "canonical/venue/trades/X")[1:]] == [
        [f"2024-08-{8 + day:02}", "2", str(3 + day)] for day in range(6)
    ]
    assert "10 from 2024-08-08 to 2024-08-17" in told("dependents", "canonical/venue/trades/X")[1]


def test_a_tag_is_made_shown_and_listed(own: Callable[..., Any]) -> None:
    assert own("tag", "release", TRADES, "--dry-run")["pins"][0]["version"] == 4
    assert own("tag") == []
    assert own("tag", "release", TRADES, "--reason", "first")["version"] == 1
    assert own("tag", "release")["reason"] == "first"
    assert own("tag") == ["release"]
