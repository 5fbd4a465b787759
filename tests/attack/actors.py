"""What other processes do in these tests: they write, tell what was acknowledged, and may be stopped or killed at any moment.

Acknowledgements go through a pipe, one write each, after the call returned; so what arrived there was acknowledged, whatever became of
its writer.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection

import numpy as np

import arraystore
from tests.store.conftest import rows

KEY = ("venue", "trades", "X")
PER_WRITER = 100_000_000
BIG = 6_000
"""Rows of an append that is too large for a tail."""


def sizes(writer: int, count: int, most: int = 40) -> list[int]:
    """How many rows each append of a writer has: mostly a few, now and then enough for a segment."""
    random = np.random.default_rng(writer)
    return [BIG if random.random() < 0.2 else int(random.integers(1, most)) for _ in range(count)]


def write(url: str, writer: int, counts: Sequence[int], acks: Connection, *, first: int = 0, tokens: bool = False) -> None:
    """Append, from number `first` on; each row tells in `size` who wrote it and which of its rows it is."""
    dataset = arraystore.open_store(url, role="data-quality").canonical[KEY]
    append(dataset, writer, counts, acks, first=first, tokens=tokens)


def append(
    dataset: arraystore.Dataset, writer: int, counts: Sequence[int], acks: Connection, *, first: int = 0, tokens: bool = False
) -> None:
    done = sum(counts[:first])
    acks.send(("ready", writer))
    for number in range(first, len(counts)):
        data = rows(counts[number], step=1000, first=done) | {
            "size": writer * PER_WRITER + np.arange(done, done + counts[number], dtype=float)
        }
        receipt = dataset.append(data, token=(f"writer-{writer}", number) if tokens else None)
        done += counts[number]
        acks.send((number, receipt.version))


def write_and_fork(url: str, writers: tuple[int, int], counts: Sequence[int], acks: Connection) -> None:
    """Write as one, with a handle that was at work before, and fork: the child goes on with the same handle as the other."""
    dataset = arraystore.open_store(url, role="data-quality").canonical[KEY]
    dataset.read()
    dataset.append(rows(BIG) | {"size": np.full(BIG, -1.0)})
    child = os.fork()
    status = 1
    with suppress(BaseException):
        append(dataset, writers[0] if child else writers[1], counts, acks)
        status = 0
    if not child:
        os._exit(status)
    assert status == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def watch(url: str, results: Connection) -> None:
    """Read until told to stop: every version whole, none older than the last."""
    surface = arraystore.open_store(url, role="analysis").canonical
    dataset, seen, last = surface[KEY], 0, 0
    results.send("ready")
    while not results.poll():
        frame = dataset.refresh().read()
        assert frame.pin is not None
        assert frame.pin.version >= last
        assert frame.row_count == dataset.rows
        check(np.asarray(frame["size"]))
        last, seen = frame.pin.version, seen + 1
    results.send(seen)


def check(numbers: np.ndarray) -> dict[int, int]:
    """How many rows of each writer there are; raises unless each writer's are there from its first on, once, and in order."""
    found = {}
    for writer in np.unique(numbers[numbers >= 0] // PER_WRITER).astype(int):
        own = numbers[numbers // PER_WRITER == writer] - writer * PER_WRITER
        assert np.array_equal(own, np.arange(len(own))), f"writer {writer} has {own[:10]}… of {len(own)}"
        found[int(writer)] = len(own)
    return found


def told(acks: Connection) -> Iterator[tuple[int, int]]:
    """All acknowledgements that arrived: number of the append, and version."""
    with suppress(EOFError):
        while acks.poll():
            number, version = acks.recv()
            if number != "ready":
                yield number, version


def make(url: str, acks: Connection) -> None:
    """Make the store and its dataset."""
    arraystore.open_store(url, role="data-quality", create=True).canonical.create(KEY, arraystore.schema_by_name("trades"))
    acks.send("made")


def inspect(url: str, results: Connection) -> None:
    """Tell how many rows of writer 0 a fresh reader finds, and what verify finds."""
    dataset = arraystore.open_store(url, role="analysis").canonical[KEY]
    numbers = np.asarray(dataset.read(columns=["size"])["size"])
    results.send((check(numbers).get(0, 0), [finding.problem for finding in dataset.verify(deep=True)]))
