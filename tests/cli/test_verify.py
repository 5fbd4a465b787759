"""`verify` finds what isn't what was written, and its exit code says so."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from arraystore.cli import main

TRADES = "canonical/binance-usdm/trades/BTC=2FUSDT"
MESSAGES = "raw/binance-usdm/market/rec-1"

type RunJson = Callable[..., Any]


@pytest.fixture
def damaged(store_root: Path, tmp_path: Path) -> Path:
    """A copy of the store in which one byte of a stored payload has changed."""
    copy = tmp_path / "store"
    shutil.copytree(store_root, copy)
    (shard,) = (copy / MESSAGES).glob("2024-08-08/*/payload/0")
    data = bytearray(shard.read_bytes())
    data[10] ^= 1
    shard.chmod(0o644)
    shard.write_bytes(data)
    return copy


def verify(root: Path, *args: str) -> Result:
    return CliRunner().invoke(main, ["verify", "--root", str(root), *args])


@pytest.mark.parametrize("depth", [[], ["--deep"]])
def test_a_healthy_store_has_no_findings(run_json: RunJson, depth: list[str]) -> None:
    found = run_json("verify", *depth)
    assert (found["datasets"], found["findings"], found["deep"]) == (4, [], bool(depth))


def test_a_changed_byte_is_found_by_looking_deep(damaged: Path) -> None:
    result = verify(damaged, "--deep", "--json")
    assert (result.exit_code, result.stderr) == (1, "")
    findings = json.loads(result.stdout)["findings"]
    assert {finding["dataset"] for finding in findings} == {MESSAGES}
    assert all(finding["where"].startswith(f"{MESSAGES}/2024-08-08/") for finding in findings)
    assert any("payload" in finding["problem"] for finding in findings)


def test_findings_are_told_to_people_too(damaged: Path) -> None:
    result = verify(damaged, "--deep")
    assert result.exit_code == 1
    assert "payload" in result.stdout
    assert re.search(r"\n4 datasets checked to the last byte: [12] findings?\n\Z", result.stdout)


def test_only_what_is_named_is_checked(damaged: Path) -> None:
    result = verify(damaged, "canonical", "--deep")
    assert (result.exit_code, result.stdout) == (0, "1 dataset checked to the last byte: 0 findings\n")


def test_a_name_that_matches_nothing_is_no_success(store_root: Path) -> None:
    result = verify(store_root, "canonical/binance-usdm/trades/ETHUSDT")
    assert result.exit_code == 3
    assert "ETHUSDT" in result.stderr


def test_reading_a_changed_byte_stops(damaged: Path) -> None:
    result = CliRunner().invoke(main, ["head", MESSAGES, "--root", str(damaged)])
    assert result.exit_code == 5
    assert "payload" in result.stderr
