"""`compact` says what it does, and does what it said."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import arraystore
from arraystore.cli import main

TRADES = "canonical/binance-usdm/trades/BTC=2FUSDT"


@pytest.fixture
def copy(store_root: Path, tmp_path: Path) -> Path:
    """The store, to be changed."""
    return Path(shutil.copytree(store_root, tmp_path / "store"))


def command(root: Path, *args: str) -> Result:
    return CliRunner().invoke(main, [*args, "--root", str(root)], prog_name="arraystore")


def trades(root: Path) -> arraystore.Dataset:
    return arraystore.open_store(root, role="operations").canonical["binance-usdm", "trades", "BTC/USDT"]


def test_compact_shows_its_plan_and_carries_it_out(copy: Path) -> None:
    before = trades(copy)
    plan = json.loads(command(copy, "compact", "canonical", "--dry-run", "--json").stdout)["datasets"][TRADES]
    assert plan["version"] is None
    assert [(run["window"], run["tails"], run["rows"]) for run in plan["runs"]] == [("2024-08-09", 1, 4)]
    assert trades(copy).version == before.version
    shown = command(copy, "compact", "canonical")
    assert shown.exit_code == 0, shown.output
    assert "2024-08-09" in shown.stdout
    assert "1 segment written in 1 dataset" in shown.stdout
    assert trades(copy).version == before.version + 1
    assert trades(copy).read()["price"].tolist() == before.read()["price"].tolist()


def test_who_may_not_is_told_so(copy: Path) -> None:
    result = command(copy, "compact", "canonical", "--role", "data-quality")
    assert result.exit_code == 4
    assert "data-quality may not maintain canonical" in result.stderr


def test_a_pattern_that_names_nothing_is_an_error(copy: Path) -> None:
    assert command(copy, "compact", "canonical/nobody").exit_code == 3
