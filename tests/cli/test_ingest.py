"""`ingest` loads files from the command line, and ends as every command does."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from arraystore.cli import main
from tests.ingest.conftest import HEADER, lines, written

MAPPING = """
[schema]
name = "quotes"
options = { clock = "exchange" }
[columns]
time = { from = "time" }
bid_price = { from = "bid" }
ask_price = { from = "ask" }
flags = { value = 0 }
"""
INTO = "canonical/venue/quotes/X"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    assert CliRunner().invoke(main, ["init", "--root", str(tmp_path / "store")]).exit_code == 0
    (tmp_path / "own.toml").write_text(MAPPING)
    return tmp_path / "store"


def ingest(root: Path, *files: Path, options: tuple[str, ...] = ()) -> Result:
    own = ("--mapping", str(root.parent / "own.toml"), "--into", INTO, "--root", str(root))
    return CliRunner().invoke(main, ["ingest", *map(str, files), *own, *options], prog_name="arraystore")


def test_files_come_in_as_the_role_that_may_write_there(root: Path, tmp_path: Path) -> None:
    result = ingest(root, written(tmp_path / "a.csv", HEADER + lines(5)), options=("--json",))
    (report,) = json.loads(result.stdout)["files"]
    assert (result.exit_code, report["state"], report["rows"], report["windows"]) == (0, "ingested", 5, ["2024-08-08"])
    shown = CliRunner().invoke(main, ["log", INTO, "--root", str(root)])
    assert "data-quality" in shown.stdout


def test_what_was_in_already_is_told(root: Path, tmp_path: Path) -> None:
    files = [written(tmp_path / f"{n}.csv", HEADER + lines(5, 10 * n)) for n in range(2)]
    assert ingest(root, files[0]).exit_code == 0
    assert ingest(root, files[0]).exit_code == 2
    result = ingest(root, *files, options=("--resume", "--workers", "2"))
    assert (result.exit_code, "was in already" in result.stdout, "5 rows of 2 files" in result.stdout) == (0, True, True)


def test_a_dry_run_writes_nothing(root: Path, tmp_path: Path) -> None:
    result = ingest(root, written(tmp_path / "a.csv", HEADER + lines(5)), options=("--dry-run",))
    assert (result.exit_code, "would be ingested" in result.stdout) == (0, True)
    assert not (root / "canonical" / "venue").exists()


def test_a_bad_line_is_one_line_on_stderr(root: Path, tmp_path: Path) -> None:
    result = ingest(root, written(tmp_path / "a.csv", HEADER + lines(5) + "2024-08-09,x,1\n"))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    assert "a.csv line 7: column 'bid'" in result.stderr


@pytest.mark.parametrize(
    ("options", "told"),
    [(("--set", "x"), "give NAME=VALUE"), (("--role", "live"), "may not"), (("--into", "nowhere"), "storage class")],
)
def test_what_cannot_be_is_refused(root: Path, tmp_path: Path, options: tuple[str, ...], told: str) -> None:
    result = ingest(root, written(tmp_path / "a.csv", HEADER + lines(5)), options=options)
    assert result.exit_code in {2, 4}
    assert told in result.stderr


def test_without_a_mapping_the_list_of_mappings_is_named(root: Path) -> None:
    result = CliRunner().invoke(main, ["ingest", "x.csv", "--root", str(root)])
    assert (result.exit_code, "arraystore ingest --list" in result.stderr) == (2, True)


def test_the_shipped_mappings_are_listed() -> None:
    result = CliRunner().invoke(main, ["ingest", "--list"])
    assert (result.exit_code, "oanda-xauusd" in result.stdout) == (0, True)
    for arguments in (["--list", "--json"], ["--json", "--list"]):
        result = CliRunner().invoke(main, ["ingest", *arguments])
        assert (result.exit_code, "oanda-xauusd" in json.loads(result.stdout)) == (0, True)
