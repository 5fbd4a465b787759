"""Eight processes of two hundred appends each, on one dataset or on eight, among readers, maintenance and corrections.

`pytest -m slow -n 0 --log-cli-level=INFO tests/attack/test_crowds.py` tells what one writer and eight get done in a second.
"""

import logging
import multiprocessing
import sys
import time
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import arraystore
from tests.attack import actors
from tests.attack.actors import KEY, PER_WRITER, check, sizes, told
from tests.processes import running
from tests.store.conftest import DAY, START, rows

WRITERS, APPENDS = 8, 200
CORRECTED = 500
"""Rows of the other day, which is replaced again and again: all of one version have one number."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(sys.platform != "linux", reason="needs fork"),
]


def make(root: Path, *keys: tuple[str, str, str]) -> str:
    for key in keys:
        arraystore.open_store(root, role="data-quality", create=True).canonical.create(key, arraystore.schema_by_name("trades"))
    return str(root)


def write(url: str, key: tuple[str, str, str], writer: int, acks: Connection) -> None:
    """As `actors.write`, from when it is told to start."""
    dataset = arraystore.open_store(url, role="data-quality").canonical[key]
    acks.send("ready")
    acks.recv()
    actors.append(dataset, writer, sizes(writer, APPENDS), acks)


def correct(url: str, results: Connection) -> None:
    """Replace the other day until told to stop."""
    dataset, number = arraystore.open_store(url, role="data-quality").canonical[KEY], 0
    dataset.append(rows(CORRECTED, START + DAY, 1000) | {"size": np.zeros(CORRECTED) - 1.0})
    results.send("ready")
    while not results.poll():
        number += 1
        data = rows(CORRECTED, START + DAY, 1000) | {"size": np.full(CORRECTED, -1.0 - number)}
        try:
            dataset.refresh().replace("2024-08-09", data, reason="again")
        except arraystore.Conflict:
            number -= 1
    results.send(number)


def maintain(url: str, results: Connection) -> None:
    """Compact, expire and collect until told to stop, with no regard for anybody."""
    store, rounds = arraystore.open_store(url, role="operations"), 0
    results.send("ready")
    while not results.poll():
        store.compact()
        store.expire(keep_versions=30, delay="0s", dry_run=False)
        store.gc(grace="0s", dry_run=False)
        rounds += 1
    results.send(rounds)


def watch(url: str, results: Connection) -> None:
    """Read until told to stop: whole versions, none older than the last."""
    dataset, seen, last = arraystore.open_store(url, role="analysis").canonical[KEY], 0, 0
    results.send("ready")
    while not results.poll():
        try:
            frame = dataset.refresh().read()
        except arraystore.VersionExpired:
            continue  # a reader that was so slow that its version is gone is told so
        assert frame.pin is not None
        assert frame.pin.version >= last
        whole(np.asarray(frame["size"]))
        last, seen = frame.pin.version, seen + 1
    results.send(seen)


def whole(numbers: np.ndarray) -> dict[int, int]:
    """Rows of each writer, after a look at those of the other day: all of one correction, or none yet."""
    corrected = numbers[numbers < 0]
    assert len(corrected) in (0, CORRECTED)
    assert len(np.unique(corrected)) <= 1
    return check(numbers)


def crowd(url: str, keys: list[tuple[str, str, str]], *others: Any) -> tuple[float, list[list[tuple[int, int]]], list[int]]:
    """Seconds, acknowledgements of each writer (one on each key), and how often each of the others did what it does."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.attack.actors"])
    spawn = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        beside = [stack.enter_context(running(context, other, url))[1] for other in others]
        ways = [spawn if number == 1 else context for number in range(len(keys))]
        writers = [
            stack.enter_context(running(way, write, url, key, number)) for number, (way, key) in enumerate(zip(ways, keys, strict=True))
        ]
        for line in (*beside, *(acks for _, acks in writers)):
            assert line.recv() == "ready"
        began = time.perf_counter()
        for _, acks in writers:
            acks.send("go")
        acked = []
        for process, acks in writers:
            process.join(1200)
            assert process.exitcode == 0
            acked.append(list(told(acks)))
        seconds = time.perf_counter() - began
        for line in beside:
            line.send("stop")
        done = [line.recv() for line in beside]
    return seconds, acked, done


def finished(url: str, key: tuple[str, str, str], writers: list[int]) -> arraystore.Dataset:
    """The dataset as a fresh reader finds it: all rows of these writers, once each and in order."""
    dataset = arraystore.open_store(url, role="analysis").canonical[key]
    assert not dataset.verify(deep=True)
    assert whole(np.asarray(dataset.read(columns=["size"])["size"])) == {writer: sum(sizes(writer, APPENDS)) for writer in writers}
    return dataset


def test_eight_writers_of_one_dataset_and_of_eight_lose_and_double_nothing(tmp_path: Path) -> None:
    alone = make(tmp_path / "alone", KEY)
    one, _, _ = crowd(alone, [KEY])
    finished(alone, KEY, [0])
    together = make(tmp_path / "together", KEY)
    many, acked, _ = crowd(together, [KEY] * WRITERS)
    dataset = finished(together, KEY, list(range(WRITERS)))
    versions = sorted(version for each in acked for _, version in each)
    assert versions == list(range(2, dataset.version + 1)), "each append is one version of its own, and there are no others"
    assert len(versions) == WRITERS * APPENDS
    assert all(each == sorted(each) for each in acked)
    keys = [("venue", "trades", f"X{writer}") for writer in range(WRITERS)]
    apart = make(tmp_path / "apart", *keys)
    disjoint, acked, _ = crowd(apart, keys)
    for writer, key in enumerate(keys):
        assert finished(apart, key, [writer]).version == APPENDS + 1
        assert [version for _, version in acked[writer]] == list(range(2, APPENDS + 2))
    rates = [APPENDS / one, WRITERS * APPENDS / many, WRITERS * APPENDS / disjoint]
    logging.getLogger(__name__).info("appends/s: one writer %.0f, eight of one dataset %.0f, of eight %.0f", *rates)


def test_eight_writers_among_readers_maintenance_and_corrections_lose_and_double_nothing(tmp_path: Path) -> None:
    url = make(tmp_path / "store", KEY)
    seconds, acked, done = crowd(url, [KEY] * WRITERS, watch, watch, maintain, correct)
    dataset = finished(url, KEY, list(range(WRITERS)))
    versions = [version for each in acked for _, version in each]
    assert len(versions) == len(set(versions)) == WRITERS * APPENDS
    assert all(each == sorted(each) for each in acked)
    kept = [version.number for version in dataset.versions()]
    assert kept == list(range(kept[0], dataset.version + 1))
    assert min(done) > 0, "the others came to something, too"
    message = "%.0f appends/s among %d and %d reads, %d rounds of maintenance, %d corrections"
    logging.getLogger(__name__).info(message, len(versions) / seconds, *done)
    assert max(sum(sizes(writer, APPENDS)) for writer in range(WRITERS)) < PER_WRITER
