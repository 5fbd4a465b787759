"""What operators want to hear of is logged, with what it is about, and nothing where nobody listens."""

import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import arraystore
from tests.store.conftest import rows


def heard(caplog: pytest.LogCaptureFixture, event: str) -> list[dict[str, Any]]:
    return [record.__dict__ for record in caplog.records if record.getMessage() == event]


@pytest.fixture
def listening(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, logger="arraystore")
    return caplog


def test_commits_are_told(trades: arraystore.Dataset, listening: pytest.LogCaptureFixture) -> None:
    trades.append(rows(10))
    (told,) = heard(listening, "commit")
    assert (told["dataset"], told["version"], told["operation"]) == ("canonical/venue/trades/BTCUSDT", 2, "append")
    assert (told["role"], told["windows"], told["levelname"]) == ("data-quality", 1, "INFO")
    assert told["seconds"] > 0


def test_a_slow_commit_is_a_warning(trades: arraystore.Dataset, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arraystore.versions.log.SLOW_SECONDS", 0.0)
    trades.append(rows(10))
    (told,) = heard(caplog, "slow commit")
    assert (told["levelname"], told["version"]) == ("WARNING", 2)


def test_a_refused_access_is_told(root: Path, listening: pytest.LogCaptureFixture) -> None:
    with pytest.raises(arraystore.AccessDenied):
        arraystore.open_store(root, role="live").raw.find()
    (told,) = heard(listening, "access refused")
    assert (told["role"], told["action"], told["what"]) == ("live", "read", "raw")


def test_conflicts_and_lost_races_are_told(root: Path, trades: arraystore.Dataset, listening: pytest.LogCaptureFixture) -> None:
    trades.append(rows(10))
    other = arraystore.open_store(root, role="data-quality").canonical["venue/trades/BTCUSDT"]
    other.append(rows(10, first=10))
    with pytest.raises(arraystore.Conflict):
        trades.replace("2024-08-08", rows(5), reason="late")
    (told,) = heard(listening, "conflict")
    assert (told["levelname"], told["window"], told["version"]) == ("WARNING", "2024-08-08", 3)


def test_maintenance_is_told(root: Path, trades: arraystore.Dataset, listening: pytest.LogCaptureFixture) -> None:
    for part in range(3):
        trades.append(rows(20_000, first=20_000 * part))
    operations = arraystore.open_store(root, role="operations")
    dataset = operations.canonical["venue/trades/BTCUSDT"]
    dataset.compact()
    assert [each["segments"] for each in heard(listening, "compacted")] == [1]
    (nobodys,) = [dataset.segments()[0]]
    left = root / "canonical" / Path(nobodys).parent / f"1-{'0' * 31}1"
    left.mkdir()
    (left / "zarr.json").write_bytes(b"{}")
    operations.gc(["canonical"], grace="0s", dry_run=False)
    assert [each["objects"] for each in heard(listening, "garbage removed")] == [1]
    dataset.refresh()
    dataset.purge("2024-08-08", reason="licence ended")
    assert [each["windows"] for each in heard(listening, "purged")] == [["2024-08-08"]]


def test_it_is_quiet_until_somebody_listens() -> None:
    code = (
        "import arraystore\n"
        "store = arraystore.open_store('memory://x', role='live', create=True)\n"
        "try:\n    store.raw.find()\nexcept arraystore.AccessDenied:\n    pass\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("", "")
