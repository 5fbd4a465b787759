"""Maintenance beside writers and readers in other processes; and a writer who sleeps through it."""

import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import arraystore
from tests.maintenance import maintainers
from tests.maintenance.conftest import KEY, schema_of

WRITERS, APPENDS = 3, 80


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "store"
    arraystore.open_store(root, role="data-quality", create=True).canonical.create(KEY, schema_of())
    return root


def started(function: Any, *args: Any) -> Any:
    process = multiprocessing.get_context("spawn").Process(target=function, args=args)
    process.start()
    return process


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_writer_suspended_past_the_floor_lands_when_it_goes_on(root: Path) -> None:
    maintainers.append(str(root), 1, 4)
    sleeper = started(maintainers.append_and_sleep, str(root))
    _, status = os.waitpid(sleeper.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    store = arraystore.open_store(root, role="operations")
    store.compact()
    store.expire("canonical", keep_versions=1, delay="0s", dry_run=False)
    done = store.gc("canonical", grace="0s", dry_run=False)["canonical/venue/trades/X"]
    assert sum(item.path.rpartition("/")[2].startswith("5-") for item in done.items if item.kind == "segment") >= 1
    os.kill(sleeper.pid, signal.SIGCONT)
    while not (root / "landed").exists():
        time.sleep(0.05)
    found = store.canonical[KEY]
    assert int((root / "landed").read_text()) == found.version
    sizes = found.read()["size"]
    assert sizes[sizes >= 9 * maintainers.WRITER_ROWS].tolist() == (9 * maintainers.WRITER_ROWS + np.arange(9_000)).tolist()
    assert not found.verify(deep=True)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_all_at_once_lose_nothing_and_show_nobody_a_half(root: Path) -> None:
    stop = str(root / "stop")
    writers = [started(maintainers.append, str(root), number, APPENDS) for number in range(1, WRITERS + 1)]
    others = [started(maintainers.again_and_again, str(root), stop, what) for what in maintainers.MAINTENANCE]
    others += [started(maintainers.correct, str(root), stop), started(maintainers.look, str(root), stop, str(root / "looks"))]
    try:
        for writer in writers:
            writer.join()
    finally:
        Path(stop).touch()
        for other in others:
            other.join()
    assert [process.exitcode for process in (*writers, *others)] == [0] * (WRITERS + 5)
    store = arraystore.open_store(root, role="operations")
    store.compact()
    store.expire("canonical", keep_versions=1, delay="0s", dry_run=False)
    store.gc("canonical", grace="0s", dry_run=False)
    found = store.canonical[KEY]
    sizes = found.read("2024-08-08", "2024-08-09")["size"]
    for number in range(1, WRITERS + 1):
        acked = int((root / f"acked-{number}").read_text().split()[-1])
        own = sizes[sizes // maintainers.WRITER_ROWS == number] - number * maintainers.WRITER_ROWS
        assert own.tolist() == list(range(acked))
    assert int((root / "looks").read_text()) > 3
    assert [len(found.manifest(window).segments) for window in found.windows()] == [1, 1]
    assert not found.verify(deep=True)
