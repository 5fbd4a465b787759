"""How far a command is: one line on the terminal of whoever watches, once it has taken longer than a second."""

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import click

from arraystore.cli.output import count, printable, size

__all__ = ["Line", "Step", "progress", "say"]

PATIENCE_SECONDS = 1.0
"""What is done by then needs no line."""

REFRESH_SECONDS = 0.1
BAR_WIDTH = 20
CLEARED = "\r\x1b[2K"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """So much of so much (None: unknown) is done, counted in `unit`; `bytes` are told as sizes. `note` says what is at hand."""

    done: int
    unit: str
    total: int | None = None
    note: str = ""


@contextmanager
def progress[T](told: Callable[[T], Step]) -> Iterator[Callable[[T], None]]:
    """What to call with each news, which `told` puts into numbers; the line is gone when the work is done, or has failed.

    Does nothing where stderr is no terminal.
    """
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    line = Line(time.monotonic)
    try:
        yield lambda now: line.show(told(now))
    finally:
        line.clear()


def say(text: str) -> None:
    """Print a line on stderr, where there may be one that tells how far it is."""
    click.echo(f"{CLEARED if sys.stderr.isatty() else ''}{text}", err=True)


class Line:
    """The line: a bar where the total is known, the rate, and how long the rest takes at that rate."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began = clock()
        self._drawn: float | None = None
        self._before = self._last = 0

    def show(self, step: Step) -> None:
        """Draw it anew, unless it is too early or was drawn just now."""
        if step.done < self._last:  # the next of several that are counted each by itself
            self._before += self._last
        self._last = step.done
        now = self._clock()
        if now - self._began < PATIENCE_SECONDS or (self._drawn is not None and now - self._drawn < REFRESH_SECONDS):
            return
        self._drawn = now
        width = shutil.get_terminal_size().columns
        click.echo(f"{CLEARED}{self.text(step, now - self._began)[: width - 1]}", nl=False, err=True)

    def text(self, step: Step, seconds: float) -> str:
        """What the line says after so many seconds."""
        rate = (self._before + step.done) / seconds
        parts = []
        if step.total:
            share = min(step.done / step.total, 1.0)
            filled = int(share * BAR_WIDTH)
            parts += [f"{'█' * filled}{'░' * (BAR_WIDTH - filled)} {share:4.0%}"]
        amount = _amount(step.done, step.unit)
        parts.append(amount if step.total is None else f"{_amount(step.done, '')} of {_amount(step.total, step.unit)}")
        if step.unit == "bytes":
            parts[-1] = size(step.done) if step.total is None else f"{size(step.done)} of {size(step.total)}"
        parts.append(f"{size(int(rate))}/s" if step.unit == "bytes" else f"{_rounded(rate)} {step.unit}/s")
        if step.total and rate > 0:
            parts.append(f"{_clock_text(max(step.total - step.done, 0) / rate)} left")
        return "  ".join([*parts, printable(step.note)]).rstrip()

    def clear(self) -> None:
        """Take it away."""
        if self._drawn is not None:
            click.echo(CLEARED, nl=False, err=True)


def _amount(number: int, unit: str) -> str:
    return f"{count(number)} {unit}".rstrip()


def _rounded(rate: float) -> str:
    """A rate with two or three digits that matter."""
    for power, letter in ((9, " G"), (6, " M"), (3, " k")):
        if rate >= 10**power:
            return f"{rate / 10**power:.1f}{letter}"
    return f"{rate:.0f}" if rate >= 10 else f"{rate:.1f}"


def _clock_text(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
