"""Maintenance says what it would do, wants a yes for what destroys, and does what it said."""

import json
import shutil
from pathlib import Path
from unittest import mock

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


def test_pack_shows_its_plan_and_carries_it_out(copy: Path) -> None:
    dataset = arraystore.open_store(copy, role="data-quality").canonical["binance-usdm", "trades", "BTC/USDT"]
    for number in range(3):
        with mock.patch("arraystore.versions.checkpoint.is_due", return_value=number == 1):
            dataset.update(attributes={"number": number})
    before = trades(copy).versions()
    plan = json.loads(command(copy, "pack", "canonical", "--least", "2", "--json").stdout)
    assert plan["dry_run"]
    (made,) = plan["datasets"][TRADES]["packs"]
    assert (made["first"], plan["datasets"][TRADES]["removed"]) == (1, made["last"])
    assert "to pack; --yes does it" in command(copy, "pack", "canonical", "--least", "2").stdout
    assert "1 dataset packed" in command(copy, "pack", "canonical", "--least", "2", "--yes").stdout
    assert "0 datasets packed" in command(copy, "pack", "canonical", "--yes").stdout
    assert trades(copy).versions() == before
    assert command(copy, "pack", "canonical", "--role", "data-quality").exit_code == 4


def test_what_destroys_wants_a_yes(copy: Path) -> None:
    before = trades(copy)
    args = ("canonical", "--keep-versions", "1", "--delay", "0s", "--reason", "space")
    shown = command(copy, "expire", *args)
    assert "--yes takes the step" in shown.stdout
    assert command(copy, "expire", *args, "--dry-run").stdout == shown.stdout
    assert trades(copy).versions() == before.versions()
    done = json.loads(command(copy, "expire", *args, "--yes", "--json").stdout)
    assert (done["dry_run"], done["datasets"][TRADES]["step"], done["datasets"][TRADES]["target"]) == (False, "publish", before.version - 1)
    assert [version.number for version in trades(copy).versions()] == [before.version]
    assert "to remove; --yes does it" in command(copy, "gc", "canonical", "--grace", "0s").stdout
    assert "removed, in 1 dataset" in command(copy, "gc", "canonical", "--grace", "0s", "--yes").stdout
    again = json.loads(command(copy, "gc", "*", "--grace", "0s", "--json").stdout)
    assert {garbage["bytes"] for garbage in again["datasets"].values()} == {0}
    assert trades(copy).read()["price"].tolist() == before.read()["price"].tolist()


def test_a_mark_says_when_it_is_due(copy: Path) -> None:
    assert "mark" in command(copy, "expire", "canonical", "--keep-versions", "1", "--yes").stdout
    waiting = command(copy, "expire", "canonical", "--keep-versions", "1", "--yes").stdout
    assert "wait" in waiting
    assert trades(copy).at(1).version == 1


@pytest.mark.parametrize(
    "args", [("gc", "raw", "--yes", "--dry-run"), ("expire", "raw", "--keep", "never"), ("gc", "raw", "--grace", "-1s")]
)
def test_what_can_t_be_meant_is_refused(copy: Path, args: tuple[str, ...]) -> None:
    assert command(copy, *args).exit_code == 2


def test_purge_wants_a_reason_and_a_yes(copy: Path) -> None:
    before = trades(copy)
    args = ("canonical", "--window", "2024-08-08", "--reason", "licence ended")
    assert command(copy, "purge", *args[:3]).exit_code == 2
    assert "1 window to purge; --yes does it" in command(copy, "purge", *args).stdout
    assert trades(copy).version == before.version
    done = json.loads(command(copy, "purge", *args, "--yes", "--json").stdout)
    assert [window["rows"] for window in done["datasets"][TRADES]["windows"]] == [2]
    told = command(copy, "head", TRADES, "--version", str(before.version), "--window", "2024-08-08")
    assert told.exit_code == 3, told.output
    assert "was purged in version" in told.stderr
    assert "licence ended" in told.stderr
