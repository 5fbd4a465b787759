"""`runs`, `sessions` and `quarantine` from the shell."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import arraystore
from arraystore.cli import main
from tests.sessions.conftest import fills
from tests.store.conftest import rows

KEY = ("venue", "trades", "X")
HELD, CANONICAL, DAY = "quarantine/venue/trades/X", "canonical/venue/trades/X", "2024-08-08"

type Run = Callable[..., Result]


def build(root: Path) -> None:
    """A sweep of four runs, a session with a bust, one that misses a number, and a case with evidence."""
    stores = {role: arraystore.open_store(root, role=role, create=True) for role in ("backtesting", "live", "data-quality")}
    experiments = stores["backtesting"].experiments
    for width in (1, 2):
        with experiments.run("mm grid", f"w{width}", params={"width": width, "fast": width == 1}) as run:
            run.log(sharpe=width / 2, worst=float("-inf"))
    with pytest.raises(ZeroDivisionError), experiments.run("mm grid", "wrong"):
        _ = 1 / 0
    experiments.run("other", "left")
    session = stores["live"].execution_records.session("live", "2024/08")
    session.append("fills", fills("a", "b", ("c", "a", 0.0), ("d", "gone", 1.0)))
    case = {"schema": arraystore.schema_by_name("trades"), "reason": "gap", "failed_checks": ["ids"], "source": "x.gz:17"}
    stores["data-quality"].quarantine.hold(KEY, rows(3), **case, evidence=b"12 missing")
    stores["data-quality"].canonical.create(KEY, arraystore.schema_by_name("trades"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    build(tmp_path / "store")
    return tmp_path / "store"


@pytest.fixture
def run(root: Path) -> Run:
    return lambda *args: CliRunner().invoke(main, [*args, "--root", str(root)], prog_name="arraystore")


@pytest.fixture
def run_json(run: Run) -> Callable[..., Any]:
    def document(*args: str, code: int = 0) -> Any:
        result = run(*args, "--json")
        assert (result.exit_code, result.stderr) == (code, ""), result.output
        return json.loads(result.stdout)

    return document


def test_experiments_and_their_runs_are_shown(run: Run, run_json: Callable[..., Any]) -> None:
    found = run_json("runs")["experiments"]
    assert [(each["experiment"], each["runs"], each["states"]) for each in found] == [
        ("mm grid", 3, {"finished": 2, "failed": 1}),
        ("other", 1, {"running": 1}),
    ]
    assert [row["run"] for row in run_json("runs", "mm=20grid")["runs"]] == ["w1", "w2", "wrong"]
    assert [row["run"] for row in run_json("runs", "mm=20grid", "--state", "failed")["runs"]] == ["wrong"]
    one = run_json("runs", "mm=20grid/w2")
    assert (one["params"], one["metrics"], one["attempt"]) == ({"width": 2, "fast": False}, {"sharpe": 1.0, "worst": "-inf"}, 1)
    shown = run("runs", "mm=20grid").stdout.splitlines()
    assert shown[0].split()[:3] == ["run", "state", "attempt"]
    assert "params.width" in shown[0]
    assert "note" not in shown[0], "a column in which nothing is said"
    assert "ZeroDivisionError: division by zero" in shown[3]
    assert "metrics.sharpe  1.0" in " ".join(run("runs", "mm=20grid/w2").stdout.split("\n")).replace("   ", "  ")
    assert run("runs", "none").exit_code == 3
    assert run("runs", "mm=20grid/none").exit_code == 3


def test_a_run_is_abandoned(run: Run, run_json: Callable[..., Any]) -> None:
    marked = ("runs", "other/left", "--abandon", "lost", "--force", "--yes", "--role", "backtesting")
    before = run_json(*marked, "--dry-run")
    assert (before["note"], before["version"], before["dry_run"]) == ("lost", 2, True)
    assert run_json("runs", "other/left")["version"] == 1
    assert run_json(*marked)["note"] == "lost"
    assert run(*marked).exit_code == 2
    assert run("runs", "other/left", "--abandon", "lost").exit_code == 4
    assert run("runs", "other/left", "--abandon", "lost", "--dry-run").exit_code == 4
    assert run("runs", "other", "--abandon", "lost").exit_code == 2
    assert run("runs", "other/left", "--force").exit_code == 2


def test_a_session_tells_its_last_record_and_which_fills_count(run: Run, run_json: Callable[..., Any], root: Path) -> None:
    (found,) = run_json("sessions")["sessions"]
    refused = run("sessions", "paper")
    assert (refused.exit_code, "'paper' is none of live, backtest" in refused.stderr) == (2, True)
    assert (found["session"], found["rows"], found["last_sequence"], found["last_record"]) == ("live/2024=2F08", {"fills": 4}, 4, "fills")
    assert found["last_row"]["fill_id"] == "d"
    settled = run_json("sessions", "live/2024=2F08", "--reconcile")["reconciled"]
    assert settled == {"effective": [2, 4], "busted": {"1": 3}, "corrected": {}, "unknown": {"4": "gone"}, "repeated": []}
    shown = run("sessions", "live/2024=2F08", "--reconcile").stdout
    assert "2 fills count" in shown
    assert "gone, which isn't there" in shown
    assert "whole" in run("sessions").stdout
    assert run("sessions", "--reconcile").exit_code == 2
    assert run("sessions", "live/none").exit_code == 3
    live = arraystore.open_store(root, role="live").execution_records
    live.create(("live", "bad", "fills"), arraystore.schema_by_name("fills")).append(fills("x", sequence=[7]))
    assert run_json("sessions", "live/bad", code=1)["gaps"] == [[1, 7]]
    assert "1 gap, 0 repeated numbers" in run("sessions").stdout


def test_a_case_is_shown_annotated_and_released(run: Run, run_json: Callable[..., Any], root: Path) -> None:
    (case,) = run_json("quarantine", "--state", "held", "--reason", "gap")["cases"]
    assert (case["dataset"], case["window"], case["rows"], case["failed_checks"]) == (HELD, DAY, 3, ["ids"])
    assert run_json("quarantine", "--older-than", "1d")["cases"] == []
    assert HELD in run("quarantine", HELD).stdout
    role = ("--role", "data-quality")
    assert run_json("quarantine", HELD, DAY, "--note", "asked", "--dry-run", *role)["notes"][0]["text"] == "asked"
    assert run_json("quarantine", HELD, DAY)["notes"] == []
    assert run_json("quarantine", HELD, DAY, "--note", "asked", *role)["notes"][0]["text"] == "asked"
    assert run_json("quarantine", HELD, DAY, "--release", CANONICAL, "--dry-run", *role)["state"] == "released"
    assert run_json("quarantine", HELD, DAY)["state"] == "held"
    assert arraystore.open_store(root, role="data-quality").canonical[KEY].rows == 0
    released = run_json("quarantine", HELD, DAY, "--release", CANONICAL, "--note", "theirs", *role)
    assert (released["state"], released["note"], released["released_into"][0]["version"]) == ("released", "theirs", 2)
    assert arraystore.open_store(root, role="data-quality").canonical[KEY].rows == 3
    shown = run("quarantine", HELD, DAY).stdout
    for words in ("released into", "canonical/venue/trades/X version 2", "data-quality: asked", "/evidence", "as data-quality"):
        assert words in shown
    assert run("quarantine", HELD, DAY, "--reject", "--note", "no", *role).exit_code == 2
    assert run("quarantine", HELD, DAY, "--reject", "--note", "no", "--dry-run", *role).exit_code == 2


def test_a_case_is_rejected_with_a_reason(run: Run, run_json: Callable[..., Any]) -> None:
    role = ("--role", "data-quality")
    assert run("quarantine", HELD, DAY, "--reject", *role).exit_code == 2
    assert run_json("quarantine", HELD, DAY, "--reject", "--note", "no", "--yes", *role)["state"] == "rejected"
    assert run_json("quarantine", "--state", "rejected")["cases"][0]["note"] == "no"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([HELD, DAY, "--note", "x"], 4),
        ([HELD, DAY, "--note", "x", "--dry-run"], 4),
        ([HELD, "2024-08-09"], 3),
        ([CANONICAL, DAY], 2),
        ([HELD, "--reject", "--note", "x"], 2),
        ([HELD, DAY, "--reject", "--release", CANONICAL], 2),
        ([HELD, DAY, "--reopen"], 2),
        (["--older-than", "long"], 2),
        ([HELD, DAY, "--release", "canonical/venue/trades/none", "--role", "data-quality"], 3),
    ],
)
def test_what_cannot_be_decided_is_one_line_and_a_code(run: Run, arguments: list[str], code: int) -> None:
    result = run("quarantine", *arguments)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (code, "", 1)
