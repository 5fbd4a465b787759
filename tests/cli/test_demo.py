"""`demo` hands its options to the demo, and ends as the demo did."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

import arraystore.demo
from arraystore.cli import main


@dataclass
class Played:
    """A demo that plays nothing and remembers how it was called."""

    findings: tuple[str, ...] = ()
    calls: list[tuple[Any, ...]] = field(default_factory=list)

    def __call__(self, root: str, captures: tuple[Path, ...], *, console: Console) -> "Played":
        self.calls.append((root, captures))
        console.print("× long line " * 12, end="end\n")
        return self

    def to_json(self) -> dict[str, Any]:
        return {"findings": len(self.findings)}


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Played:
    demo = Played()
    monkeypatch.setattr(arraystore.demo, "run_demo", demo)
    return demo


def test_letters_that_the_output_has_not_got_stop_nothing(played: Played) -> None:
    result = CliRunner(charset="ascii").invoke(main, ["demo"])
    assert (result.exit_code, result.stdout.count("? long line")) == (0, 12)


def test_without_options_it_plays_in_a_directory_of_its_own(played: Played) -> None:
    result = CliRunner().invoke(main, ["demo"], env={"ARRAYSTORE_ROOT": "/in/use"})
    assert (result.exit_code, result.stderr) == (0, "")
    assert played.calls == [("demo-store", ())]


def test_root_and_captures_are_handed_on(played: Played) -> None:
    result = CliRunner().invoke(main, ["demo", "--root", "trial", "--capture", "a.gz", "--capture", "b.gz"])
    assert result.exit_code == 0
    assert played.calls == [("trial", (Path("a.gz"), Path("b.gz")))]


def test_what_it_tells_is_not_broken_up_in_a_pipe(played: Played) -> None:
    assert CliRunner().invoke(main, ["demo"]).stdout == "× long line " * 12 + "end\n"


def test_json_is_all_that_stdout_gets(played: Played) -> None:
    result = CliRunner().invoke(main, ["demo", "--json"])
    assert json.loads(result.stdout) == {"findings": 0}
    assert "× long line" in result.stderr


def test_a_damaged_store_is_no_success(played: Played) -> None:
    played.findings = ("a chunk is gone",)
    assert CliRunner().invoke(main, ["demo"]).exit_code == 1


def test_a_capture_that_is_not_there_is_told_before_anything_is_written(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["demo", "--root", str(tmp_path / "store"), "--capture", "no-such-capture.gz"])
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "no-such-capture.gz" in result.stderr
    assert list(tmp_path.iterdir()) == []
