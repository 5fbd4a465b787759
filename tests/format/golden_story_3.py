"""What the third golden store holds: old commits in packs, of every kind that packs hold differently, beside commits of their own."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np

import arraystore
from arraystore import Column, Role, Schema
from tests.format.golden import Json
from tests.format.make_golden import Book

MINUTE = 60 * 10**9
DAY = 24 * 60  # rows
START = arraystore.parse_time("2024-08-08")
TIME = Column(name="time", kind="time")
FILLED = Schema(name="filled", order="time", columns=(TIME, Column(name="size"), Column(name="venue", kind="dictionary", nullable=True)))
PLAIN = Schema(name="plain", order="arrival", columns=(TIME, Column(name="size")))


@contextmanager
def checkpoint() -> Iterator[None]:
    """One follows each commit."""
    with mock.patch("arraystore.versions.checkpoint.is_due", return_value=True):
        yield


def rows(first: int, count: int) -> Json:
    """A row a minute, with labels and nulls."""
    numbers = range(first, first + count)
    times = [START + number * MINUTE for number in numbers]
    return {"time": times, "size": np.arange(first, first + count) / 3, "venue": [["a", None, "é"][number % 3] for number in numbers]}


def packed(quality: arraystore.Store, operations: arraystore.Store) -> Book:
    """Three packs, the first of which took the place of others, a commit among them that was too long for one, and what follows them."""
    book = Book(quality.canonical.create(("golden", "packed", "X"), FILLED), FILLED)
    book.append(rows(0, 300), token=("loader", 1))  # of more than is filled up
    book.append(rows(DAY, 2), token=("loader", 2))
    book.replace("2024-08-09", rows(DAY + 10, 4), reason="late")
    book.add_file(b"notes", "notes.txt", "text/plain")
    with checkpoint():
        book.append(rows(302, 1), reopen=True, completeness="complete")
    book.update(attributes={"note": "one pack before it"})
    done(operations, book, [(1, 6)])
    for number in range(3):
        book.append(rows(303 + number, 1), token=("loader", 3 + number), reopen=True)
    with checkpoint():
        book.update(attributes={"note": "two"})
    book.withdraw("2024-08-09", "wrong day")
    done(operations, book, [(1, 6), (7, 11)])
    for number in range(7):
        book.append(rows(310 + number, 1), token=("other", number), reopen=True)
    with checkpoint():
        book.update(attributes={"note": None, "three": [1, 2]})
    book.append(rows(400, 2), token=("loader", 6), reopen=True)
    done(operations, book, [(1, 20)])
    long = rows(500, 400)
    with (
        mock.patch("arraystore.upkeep.packing.RECORD_BYTES", 5_000),
        mock.patch("arraystore.upkeep.packing.PACK_BYTES", 12_000),
        checkpoint(),
    ):
        book.append(rows(403, 2), reopen=True)
        book.append(rows(405, 2), reopen=True)
        book.append(long, reopen=True)
        book.append(rows(900, 2), reopen=True)
        book.append(rows(902, 2), reopen=True)
        book.append(rows(904, 2), reopen=True)
        done(operations, book, [(1, 20), (21, 23), (25, 26)])
    return book


def whole(quality: arraystore.Store, operations: arraystore.Store) -> Book:
    """All but the newest commit in one pack, and not a word about where the newest is."""
    book = Book(quality.canonical.create(("golden", "whole", "X"), PLAIN), PLAIN)
    for number in range(12):
        with checkpoint():
            book.append({"time": [START + number], "size": [float(number)]}, token=("w", number))
    done(operations, book, [(1, 12)])
    return book


def done(operations: arraystore.Store, book: Book, packs: list[tuple[int, int]]) -> None:
    key = book.dataset.key
    operations.pack(f"canonical/{'/'.join(key)}", dry_run=False, least=2)
    found = operations.canonical[key]._log.floor_record().packs
    assert list(found) == packs, (found, book.dataset.version)


def tell(root: Path) -> list[Book]:
    """Write the store at `root`; the books say what is in it."""
    arraystore.init_store(root)
    quality, operations = (arraystore.open_store(root, role=role) for role in (Role.DATA_QUALITY, Role.OPERATIONS))
    books = [packed(quality, operations), whole(quality, operations)]
    shutil.rmtree(root / "canonical" / "_catalog")  # it tells of the file system that this was written on
    return books
