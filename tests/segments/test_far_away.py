"""On object stores the same plan takes few requests: of what lies close together one, and several at once; and the rows are the same."""

import numpy as np
import pytest
from obstore.store import MemoryStore

from arraystore.frames.rows import Rows
from arraystore.segments.choice import Shape
from arraystore.segments.plan import Selection
from arraystore.segments.reader import choose
from arraystore.storage import transfers
from arraystore.storage.memory import MemoryStorage
from arraystore.storage.objects import ObjectStorage
from arraystore.testing.parts import segment_part
from arraystore.testing.strategies import differences, small_chunks
from layouts.schema import Column, Schema

ROWS = 4000
SCHEMA = Schema(name="s", columns=(Column(name="time", kind="time"), Column(name="noise", dtype="int64"), Column(name="note", kind="text")))


class Counted(ObjectStorage):
    """Notes the ranges of each object that are asked for, request by request."""

    def __init__(self):
        super().__init__(MemoryStore(), "s3://bucket")
        self.requests = []

    def _fetch(self, key, spans):
        if not key.endswith("/_index"):
            self.requests += [(key.split("/")[-2], start, stop) for start, stop in spans]
        return super()._fetch(key, spans)


@pytest.fixture(scope="module")
def rows():
    random = np.random.default_rng(5)
    counts = random.integers(0, 9, ROWS).astype(np.uint32)
    return Rows(
        schema=SCHEMA,
        count=ROWS,
        arrays={
            "time": np.arange(ROWS) * 1000,
            "noise": random.integers(-(1 << 62), 1 << 62, ROWS),
            "note": random.integers(97, 123, int(counts.sum())).astype(np.uint8),
            "note_count": counts,
        },
    )


SELECTIONS = [
    Selection(),
    Selection(rows=(1000, 1010)),
    Selection(rows=(ROWS - 5, ROWS)),
    Selection(start=500_000, stop=600_000),
    Selection(every=200),
    Selection(every=1300),
]


def read_through(storage, rows, selection, columns):
    """The rows of a segment of twenty chunks a column, two shards."""
    with small_chunks(1600, 1600, 16_000):
        part = segment_part(storage, rows)
    if isinstance(storage, Counted):
        storage.requests.clear()
    return choose(storage, [part], SCHEMA, selection, 2).load(Shape(columns=frozenset(columns), threads=2))


@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize("gap", [0, 300, 1 << 20])
def test_the_rows_are_the_same_however_requests_are_joined(rows, selection, gap, monkeypatch):
    monkeypatch.setattr(transfers.join_ranges, "__defaults__", (gap,))
    storage = Counted()
    found = read_through(storage, rows, selection, SCHEMA.names)
    assert differences(found, read_through(MemoryStorage(), rows, selection, SCHEMA.names)) == []


def test_what_lies_together_is_one_request_an_object(rows):
    storage = Counted()
    read_through(storage, rows, Selection(), ["noise"])
    assert len(storage.requests) == 2, "two shards"
    read_through(storage, rows, Selection(every=400), ["noise"])
    assert len(storage.requests) == 2, "every other chunk, but close together"


def test_what_lies_far_apart_is_fetched_by_itself(rows, monkeypatch):
    monkeypatch.setattr(transfers.join_ranges, "__defaults__", (1000,))
    storage = Counted()
    read_through(storage, rows, Selection(every=400), ["noise"])
    fetched = storage.requests
    assert len(fetched) == 10
    assert sum(stop - start for _, start, stop in fetched) < ROWS * 8 * 0.6


def test_a_slice_takes_a_request_an_array(rows):
    storage = Counted()
    read_through(storage, rows, Selection(start=500_000, stop=600_000), SCHEMA.names)
    arrays = [array for array, _, _ in storage.requests]
    assert sorted(set(arrays)) == ["noise", "note", "note_count", "time"]
    assert len(arrays) <= 8, "at most two shards of each"
