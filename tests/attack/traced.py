"""A writer in another process whose system calls are counted, fail or kill it, as strace is told; it keeps its handles and goes on.

The writer speaks through a socket with `recv` and `send`, so that no `write` or `read` is anything but the store's own.
"""

import json
import multiprocessing
import os
import shutil
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

import arraystore
from tests.attack.deeds import Deed, Doer, spend_spares

KEY = ("venue", "trades", "X")
can_trace = pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")


def serve(url: str, deeds: list[Deed], pipe: Any) -> None:
    """Do each deed when told to, and say what became of it."""
    with socket.socket(fileno=os.dup(pipe.fileno())) as line:
        spend_spares()
        doer = Doer(url, KEY)
        if deeds[0].kind != "create":
            doer.dataset.read()
        line.send(b"[]\n")
        for deed in deeds:
            if line.recv(1) != b"g":
                return
            error: arraystore.ArrayStoreError | None = None
            try:
                doer.do(deed)
            except arraystore.ArrayStoreError as failure:
                error = failure
            line.send(json.dumps([type(error).__name__ if error else "", str(error or "")]).encode() + b"\n")


class Writer:
    """Our end of it."""

    def __init__(self, process: Any, pipe: Any) -> None:
        self.process = process
        self._line = socket.socket(fileno=os.dup(pipe.fileno()))
        self._answers = self._line.makefile()

    def wait(self) -> None:
        """Until it is ready."""
        assert json.loads(self._answers.readline()) == []

    def do(self) -> list[str] | None:
        """Name and text of the error of the next deed, both empty if there was none; None if it died."""
        with suppress(OSError):
            self._line.send(b"g")
            if answer := self._answers.readline():
                return json.loads(answer)
        return None

    def close(self) -> None:
        self._answers.close()
        self._line.close()


@contextmanager
def writing(url: Path, deeds: list[Deed]) -> Iterator[Writer]:
    """A writer that is about to do these."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.attack.traced"])
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(str(url), deeds, theirs))
    process.start()
    theirs.close()
    writer = Writer(process, ours)
    try:
        writer.wait()
        yield writer
    finally:
        writer.close()
        ours.close()
        process.kill()
        process.join()


@contextmanager
def traced(writer: Writer, log: Path, *options: str) -> Iterator[None]:
    """Strace is at it, in all of its threads."""
    command = ["strace", "-f", "-o", log, *options, "-p", str(writer.process.pid)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
        assert strace.stderr is not None
        line = strace.stderr.readline()
        if "attached" not in line:
            pytest.skip(f"can't trace: {line}")
        try:
            yield
        finally:
            strace.terminate()  # it lets go of what it traces
            with suppress(subprocess.TimeoutExpired):
                strace.wait(2)
            strace.kill()  # it may wait for a thread of a process that was killed


def calls(log: Path) -> Mapping[str, int]:
    """How often the thread that makes a system call most often made it."""
    made: Counter[tuple[str, str]] = Counter()
    for line in log.read_text().splitlines():
        thread, _, rest = line.partition(" ")
        name = rest.strip().partition("(")[0]
        if name.isidentifier():
            made[name, thread] += 1
    found: dict[str, int] = {}
    for (name, _), count in made.items():
        found[name] = max(found.get(name, 0), count)
    return found
