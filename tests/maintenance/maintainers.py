"""What processes of the tests do to one store at the same time."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import arraystore
from arraystore.datasets.writer import Writer
from arraystore.errors import Conflict, NotFound
from tests.maintenance.conftest import KEY
from tests.store.conftest import START

WRITER_ROWS = 1_000_000  # numbers of one writer's rows lie in a million of their own


def opened(root: str, role: str) -> arraystore.Dataset:
    return arraystore.open_store(root, role=role).canonical[KEY]


def rows(writer: int, first: int, count: int) -> dict[str, Any]:
    numbers = np.arange(first, first + count)
    return {"time": START + numbers, "size": (writer * WRITER_ROWS + numbers).astype(float)}


def append(root: str, writer: int, appends: int) -> None:
    """Append small and large pieces, each acknowledged by a line."""
    dataset, done = opened(root, "data-quality"), 0
    with Path(root, f"acked-{writer}").open("a") as acked:
        for number in range(appends):
            count = 9_000 if number % 7 == 3 else 3
            dataset.append(rows(writer, done, count), token=(f"w{writer}", number))
            done += count
            acked.write(f"{done}\n")
            acked.flush()


def correct(root: str, stop: str) -> None:
    """Replace a window of its own again and again; a lost race is no error."""
    number = 0
    while not Path(stop).exists():
        number += 1
        dataset = opened(root, "data-quality")
        data = {"time": START - 86_400 * 10**9 + np.arange(9_000), "size": np.full(9_000, -float(number))}
        try:
            dataset.replace("2024-08-07", data, reason="again") if "2024-08-07" in dataset.windows() else dataset.append(data)
        except Conflict:
            continue


def again_and_again(root: str, stop: str, what: str) -> None:
    """One kind of maintenance, over and over."""
    store = arraystore.open_store(root, role="operations")
    while not Path(stop).exists():
        try:
            MAINTENANCE[what](store)
        except Conflict:
            continue


MAINTENANCE: dict[str, Callable[[arraystore.Store], object]] = {
    "compact": lambda store: store.compact("canonical"),
    "gc": lambda store: store.gc("canonical", grace="0s", dry_run=False),
    "expire": lambda store: store.expire("canonical", keep_versions=20, delay="0s", dry_run=False),
}


def look(root: str, stop: str, found: str) -> None:
    """Read whole versions: of each writer the rows up to some number, in order, and never fewer than before."""
    seen: dict[int, int] = {}
    looks = 0
    while not Path(stop).exists():
        dataset = opened(root, "analysis")
        try:
            sizes = dataset.read("2024-08-08", "2024-08-09")["size"]
        except NotFound:
            continue  # expired and collected while it was read: told, and not wrong
        for writer in np.unique(sizes // WRITER_ROWS).astype(int).tolist():
            own = sizes[sizes // WRITER_ROWS == writer] - writer * WRITER_ROWS
            assert own.tolist() == list(range(len(own))), writer
            assert len(own) >= seen.get(writer, 0), writer
            seen[writer] = len(own)
        old = dataset.read("2024-08-07", "2024-08-08")["size"]
        assert len(np.unique(old)) <= 1
        assert len(old) in (0, 9_000)
        looks += 1
    Path(found).write_text(str(looks))


def append_and_sleep(root: str) -> None:
    """Append rows whose segment is written, and be suspended before they are published."""
    true = Writer._write

    def write(self: Writer, *args: Any) -> Any:
        written = true(self, *args)
        if not Path(root, "slept").exists():
            Path(root, "slept").touch()
            os.kill(os.getpid(), signal.SIGSTOP)
            time.sleep(0.1)
        return written

    with mock.patch.object(Writer, "_write", write):
        receipt = opened(root, "data-quality").append(rows(9, 0, 9_000))
    Path(root, "landed").write_text(str(receipt.version))
