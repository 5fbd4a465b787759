"""A process that stops itself (SIGSTOP) before a chosen call to its storage, in the midst of whatever it is doing, until it is woken."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple, override

import numpy as np

import arraystore
from arraystore.datasets.request import Request
from arraystore.storage import open_storage
from tests.attack.failing import Medium
from tests.store.conftest import DAY, START, rows

KEY = ("product", "variant", "venue", "X")
DAYS = ("2024-08-08", "2024-08-09")
BIG = 6_000
"""Rows that are too many for a tail."""


class Stopping(Medium):
    """Counts calls from when it is armed, and stops the process before the one of a number."""

    at: int | None = None

    def arm(self, at: int) -> None:
        self.at, self.calls = at, 0

    @override
    def step(self, name: str, key: str = "") -> bool:
        self.calls += 1
        if self.calls == self.at:
            os.kill(os.getpid(), signal.SIGSTOP)
        return False


def pieces() -> Iterator[dict[str, Any]]:
    """A stream of some batches, over two days."""
    for batch in range(4):
        yield rows(BIG, START + (batch // 2) * DAY, 1000, 100_000 + batch * BIG)


type Act = Callable[[arraystore.Dataset, arraystore.Dataset], object]

ACTS: dict[str, Act] = {
    "append a tail": lambda mine, _: mine.append(rows(5, START, 1000, 100_000), reopen=True),
    "append with a token": lambda mine, _: mine.append(rows(5, START, 1000, 100_000), reopen=True, token=("w", 1)),
    "append a segment": lambda mine, _: mine.append(rows(BIG, START, 1000, 100_000), reopen=True),
    "append a stream": lambda mine, _: mine.append_stream(pieces(), reopen=True),
    "replace": lambda mine, _: mine.replace(DAYS[0], rows(BIG, START, 1000, 100_000), reason="r"),
    "withdraw": lambda mine, _: mine.withdraw(DAYS[0], reason="r"),
    "complete": lambda mine, _: mine.update(window=DAYS[0], completeness="complete"),
    "keep a file": lambda mine, _: mine.add_file(b"f" * 200_000, "file"),
    "seal": lambda mine, _: mine.commit(Request(operation="seal", role=mine.role, completeness="complete", state="sealed")),
    "compact": lambda _, maintained: maintained.compact(),
    "purge": lambda _, maintained: maintained.purge(DAYS[0], reason="r"),
}


class Told(NamedTuple):
    """What became of it: an error's name and text, and how many calls it took."""

    error: str
    text: str
    calls: int


def work(url: str, what: str, at: int, pipe: Connection) -> None:
    """Open the dataset, say so, do it, stopped once, and tell."""
    medium = Stopping(open_storage)
    mine = arraystore.open_store(url, role="analysis", opener=medium.opener).derived[KEY]
    maintained = arraystore.open_store(url, role="operations", opener=medium.opener).derived[KEY]
    mine.read()
    pipe.send("ready")
    pipe.recv()
    medium.arm(at)
    error: Exception | None = None
    try:
        ACTS[what](mine, maintained)
    except Exception as failure:  # noqa: BLE001 - told by the test
        error = failure
    pipe.send(Told(type(error).__name__ if error else "", str(error or ""), medium.calls))


class Sleeper:
    """The process, from outside."""

    def __init__(self, process: Any, pipe: Connection) -> None:
        self._process, self._pipe = process, pipe

    def begin(self) -> None:
        self._pipe.send("go")

    def sleeps(self) -> bool:
        """Whether it stopped; it has told what became of it, otherwise."""
        while not self._pipe.poll():
            if Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T":
                return True
            time.sleep(0.001)
        return False

    def wake(self) -> None:
        os.kill(self._process.pid, signal.SIGCONT)

    def told(self) -> Told:
        assert self._pipe.poll(100), "it hangs"
        return self._pipe.recv()


@contextmanager
def sleeper(url: str, what: str, at: int) -> Iterator[Sleeper]:
    """One that is about to do it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.attack.suspended"])
    ours, theirs = context.Pipe()
    process = context.Process(target=work, args=(url, what, at, theirs))
    process.start()
    theirs.close()
    try:
        assert ours.recv() == "ready"
        yield Sleeper(process, ours)
    finally:
        process.kill()
        process.join()
        ours.close()


class Found(NamedTuple):
    """What a fresh reader finds: the numbers of rows by day, files' sizes, whether it is sealed, and what verify finds."""

    days: dict[str, tuple[int, ...]]
    files: dict[str, int]
    sealed: bool
    problems: list[str]


def look(url: str) -> Found:
    dataset = arraystore.open_store(url, role="analysis").derived[KEY]
    days = {name: tuple(np.asarray(dataset.read(window=name)["size"]).astype(int).tolist()) for name in dataset.windows()}
    files = {name: len(artifact.read()) for name, artifact in dataset.artifacts().items()}
    assert len({*dataset.versions()}) == len(dataset.versions())
    return Found(days, files, dataset.sealed, [finding.problem for finding in dataset.verify(deep=True)])


def after(before: Found, what: str) -> Found:
    """What is there once it was done."""
    first, second = (before.days[name] for name in DAYS)
    new = tuple(range(100_000, 100_000 + BIG))
    days = {
        "append a tail": (first + new[:5], second),
        "append with a token": (first + new[:5], second),
        "append a segment": (first + new, second),
        "append a stream": (first + tuple(range(100_000, 100_000 + 2 * BIG)), second + tuple(range(100_000 + 2 * BIG, 100_000 + 4 * BIG))),
        "replace": (new, second),
        "withdraw": ((), second),
        "purge": ((), second),
    }.get(what, (first, second))
    files = {"file": 200_000} if what == "keep a file" else before.files
    return Found(dict(zip(DAYS, days, strict=True)), files, what == "seal", [])
