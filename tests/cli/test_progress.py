"""Whoever watches is told how far a command is, in one line that goes away; nobody else sees any of it."""

import itertools
import sys
from collections.abc import Callable

import pytest

from arraystore.cli.progress import Line, Step, progress, say


def ticking(step: float) -> Callable[[], float]:
    ticks = itertools.count()
    return lambda: next(ticks) * step


@pytest.mark.parametrize(
    ("step", "seconds", "text"),
    [
        (Step(done=50, unit="rows", total=200), 10.0, "█████░░░░░░░░░░░░░░░  25%  50 of 200 rows  5.0 rows/s  0:30 left"),
        (Step(done=3 << 20, unit="bytes", note="raw/x"), 2.0, "3.0 MiB  1.5 MiB/s  raw/x"),
        (Step(done=12_345_678, unit="rows", note="a\x1b[2J"), 1.0, "12,345,678 rows  12.3 M rows/s  a\\x1b[2J"),
        (Step(done=400, unit="datasets", total=400), 2.0, "████████████████████ 100%  400 of 400 datasets  200 datasets/s  0:00 left"),
        (Step(done=2 << 20, unit="bytes", total=2 << 30), 1.0, "░░░░░░░░░░░░░░░░░░░░   0%  2.0 MiB of 2.0 GiB  2.0 MiB/s  17:03 left"),
        (Step(done=0, unit="rows"), 5.0, "0 rows  0.0 rows/s"),
    ],
)
def test_the_line_tells_amount_rate_and_what_is_left(step: Step, seconds: float, text: str) -> None:
    assert Line(lambda: 0.0).text(step, seconds) == text


def test_nothing_is_drawn_in_the_first_second_nor_too_often(capsys: pytest.CaptureFixture[str]) -> None:
    line = Line(ticking(0.03))
    for done in range(100):
        line.show(Step(done=done, unit="rows"))
    drawn = capsys.readouterr().err.split("\r")[1:]  # click leaves escapes out where there is no terminal
    assert drawn[0].startswith("33 rows")
    assert len(drawn) == 17  # of 67 after the first second, each fourth
    line.clear()
    assert capsys.readouterr().err == "\r"


def test_a_line_is_cut_where_the_terminal_ends(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    Line(ticking(2)).show(Step(done=10, unit="rows", note="x" * 100))
    assert len(capsys.readouterr().err.removeprefix("\r")) == 29


def test_what_is_counted_anew_for_each_dataset_has_one_rate() -> None:
    line = Line(lambda: 0.0)
    line.show(Step(done=100, unit="rows"))
    line.show(Step(done=20, unit="rows"))
    assert line.text(Step(done=20, unit="rows"), 10.0) == "20 rows  12 rows/s"


@pytest.mark.parametrize("watched", [True, False])
def test_only_who_watches_is_told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, watched: bool) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: watched, raising=False)
    monkeypatch.setattr("time.monotonic", ticking(1))
    with progress(lambda done: Step(done=done, unit="rows")) as tell:
        tell(5)
        tell(10)
        say("half of it")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert ("10 rows" in shown.err) is watched
    assert ("\x1b" in shown.err) is watched
    assert "half of it\n" in shown.err
