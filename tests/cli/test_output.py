"""What people and scripts get to see."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arraystore.cli import output


def test_a_table_in_a_pipe_is_aligned_and_whole(capsys: pytest.CaptureFixture[str]) -> None:
    output.table([output.left("dataset"), output.right("rows")], [("raw/" + "x" * 200, "1"), ("b", "1,000")])
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["dataset" + " " * 200 + "rows", "raw/" + "x" * 200 + "      1", "b" + " " * 205 + "1,000"]


def test_a_table_on_a_terminal_is_drawn(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "40")
    output.table([output.left("dataset"), output.right("rows")], [("[bold]raw", "1")])
    shown = capsys.readouterr().out
    assert "[bold]raw" in shown
    assert "─" in shown


def test_a_table_too_wide_for_the_terminal_is_not_broken_up(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "40")
    output.table([output.left("dataset"), output.left("first")], [("raw/" + "x" * 30, "2024-08-08T00:00:00Z")])
    assert capsys.readouterr().out.splitlines()[1] == "raw/" + "x" * 30 + "  2024-08-08T00:00:00Z"


def test_a_table_on_a_terminal_that_has_not_all_letters_is_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for encoding, is_drawn in (("ascii", False), ("utf-8", True), ("cp437", True)):
        written = io.BytesIO()
        terminal = io.TextIOWrapper(written, encoding=encoding)
        monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
        monkeypatch.setattr("sys.stdout", terminal)
        output.table([output.left("dataset"), output.right("rows")], [("└─ canonical", "1")])
        terminal.flush()
        assert b"canonical" in written.getvalue()
        assert (b"rows\n" not in written.getvalue()) is is_drawn, encoding


def test_an_empty_table_still_has_its_heading(capsys: pytest.CaptureFixture[str]) -> None:
    output.table([output.left("dataset")], [])
    assert capsys.readouterr().out == "dataset\n"


def test_facts_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    output.facts([("rows", "1"), ("version", "2"), ("reason", "")])
    assert capsys.readouterr().out == "rows     1\nversion  2\nreason\n"


def test_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_json({"rows": 2**63, "name": "\x1b☃"})
    assert json.loads(capsys.readouterr().out) == {"rows": 2**63, "name": "\x1b☃"}


@given(st.text() | st.text(st.characters(max_codepoint=0x2069, min_codepoint=0x2020)))
def test_printable_text_steers_no_terminal(text: str) -> None:
    shown = output.printable(text)
    assert not any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in shown)
    assert not set(shown) & set("\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@given(st.integers(0, 2**63))
def test_a_size_is_short(number: int) -> None:
    assert output.size(number).endswith("B")
    assert len(output.size(number)) <= 15
