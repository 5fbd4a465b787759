"""`init` makes a store, once, where it is told to."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from arraystore.cli import main


def init(*args: str) -> Result:
    return CliRunner().invoke(main, ["init", *args])


def document(result: Result) -> Any:
    assert (result.exit_code, result.stderr) == (0, "")
    return json.loads(result.stdout)


def test_init_makes_a_root_per_class(tmp_path: Path) -> None:
    made = document(init("--root", str(tmp_path / "store"), "--json"))
    classes = ["raw", "canonical", "derived", "quarantine", "experiments", "execution-records"]
    assert made["store"] == str(tmp_path / "store")
    assert list(made["classes"]) == classes
    assert all((tmp_path / "store" / name / "zarr.json").is_file() for name in classes)


def test_a_class_may_lie_elsewhere(tmp_path: Path) -> None:
    tapes = tmp_path / "tapes"
    made = document(
        init("--root", str(tmp_path / "store"), "--class-root", f"raw={tapes}", "--class-root", "derived=cheap/derived", "--json")
    )
    assert made["classes"]["raw"] == str(tapes)
    assert made["classes"]["derived"] == str(tmp_path / "store" / "cheap" / "derived")
    assert (tapes / "zarr.json").is_file()


def test_a_store_that_exists_stays_as_it_is(tmp_path: Path) -> None:
    first, again = (document(init("--root", str(tmp_path), "--json")) for _ in range(2))
    assert first == again
    moved = init("--root", str(tmp_path), "--class-root", "raw=elsewhere")
    assert moved.exit_code == 2
    assert moved.stderr.startswith("error: ")


def test_every_class_root_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    options = ["cooked=x", "raw", "derived=", "canonical=a", "canonical=b"]
    result = init("--root", str(tmp_path), *(word for option in options for word in ("--class-root", option)))
    assert result.exit_code == 2
    assert all(f"--class-root {option!r}" in result.stderr for option in ("cooked=x", "raw", "derived=", "canonical=b"))
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_cannot_be_made_is_an_error_of_the_medium(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    result = init("--root", str(tmp_path / "file" / "store"))
    assert result.exit_code in {2, 6}
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_tells_commands_and_exit_codes(flag: str) -> None:
    result = CliRunner().invoke(main, [flag])
    assert result.exit_code == 0
    for words in ("init", "verify", "Exit codes:", "3    no such store", "7    another writer was faster"):
        assert words in result.stdout
