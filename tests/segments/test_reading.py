"""Whatever is written as segments and tails reads back: every byte, any selection, in the right order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arraystore.commit import SegmentEntry
from arraystore.errors import InvalidInput
from arraystore.reader import Part, Selection, read
from arraystore.record import unpack_arrays
from arraystore.rows import concat
from arraystore.segment import decode_tail, encode_tail, write_segment
from arraystore.storage.memory import MemoryStorage
from arraystore.testing.strategies import START, differences, rows_of, schemas, small_chunks
from layouts.schema import Order


def put(storage, rows, number=0, profile="dense", threads=None):
    """Write rows as a segment and return the part that reads it."""
    name = f"{number}-{number:032x}"
    prefix = f"dataset/window/{name}"
    with storage.batch() as batch:
        entry = write_segment(batch, prefix, name, rows, schema_number=0, profile=profile, threads=threads)
    return Part(prefix=prefix, entry=entry, rows=None, schema=rows.schema)


def as_tail(rows, number=0):
    """The part that reads rows inlined in a commit."""
    tail, pieces = encode_tail(rows, 0)
    body = memoryview(b"".join(pieces))
    entry = SegmentEntry(schema=0, rows=tail.rows, clocks=tail.clocks, bytes=len(body), tail=number + 1)
    return Part(prefix=f"dataset/_log/{number}", entry=entry, rows=decode_tail(tail, body, rows.schema, "a tail"), schema=rows.schema)


budgets = st.tuples(st.integers(1, 600), st.integers(1, 600), st.integers(1, 3000))
profiles = st.sampled_from(("dense", "portable"))


@st.composite
def histories(draw):
    """A schema, and the rows of several parts of it."""
    schema = draw(schemas())
    return schema, draw(st.lists(rows_of(schema, least=1, most=120), min_size=1, max_size=4))


def write(storage, history, sizes, profile, tails):
    schema, pieces = history
    with small_chunks(*sizes):
        return [as_tail(rows, n) if n >= len(pieces) - tails else put(storage, rows, n, profile, 1) for n, rows in enumerate(pieces)]


def in_reading_order(history):
    """The model: all rows one after another, and sorted by time where the schema says so."""
    schema, pieces = history
    rows = concat(pieces, schema)
    return rows.take(np.argsort(rows.arrays["time"], kind="stable")) if schema.order is Order.TIME else rows


def sorted_if_due(history):
    """One append to a dataset in time order is in order itself."""
    schema, pieces = history
    if schema.order is not Order.TIME:
        return history
    return schema, [rows.take(np.argsort(rows.arrays["time"], kind="stable")) for rows in pieces]


@given(histories().map(sorted_if_due), budgets, profiles, st.integers(0, 4), st.sampled_from((1, 2)))
def test_all_rows_read_back_bit_for_bit_in_order(history, sizes, profile, tails, threads):
    storage = MemoryStorage()
    parts = write(storage, history, sizes, profile, tails)
    found = read(storage, parts, history[0], threads=threads)
    assert differences(found, in_reading_order(history)) == []


@given(histories().map(sorted_if_due), budgets, profiles, st.integers(0, 4), st.data())
def test_a_time_range_reads_the_rows_whose_clock_lies_in_it(history, sizes, profile, tails, data):
    storage, schema = MemoryStorage(), history[0]
    parts = write(storage, history, sizes, profile, tails)
    whole = in_reading_order(history)
    clock = data.draw(st.sampled_from((None, *schema.clocks)))
    bound = st.one_of(st.none(), st.integers(START - 70, START + 700))
    start, stop = data.draw(bound), data.draw(bound)
    columns = data.draw(st.one_of(st.none(), st.sets(st.sampled_from(schema.names), min_size=1)))

    found = read(storage, parts, schema, Selection(start=start, stop=stop, clock=clock), columns, threads=1)

    times = whole.arrays.get(clock or "time", np.zeros(whole.count, np.int64))
    valid = whole.validity(clock or "time")
    mask = np.ones(whole.count, bool) if valid is None or (clock is None and start is None and stop is None) else valid.copy()
    mask &= (times >= start) if start is not None else True
    mask &= (times < stop) if stop is not None else True
    wanted = whole.take(np.flatnonzero(mask)).project(schema.names if columns is None else columns)
    assert differences(found, wanted) == []


@given(histories().map(sorted_if_due), budgets, st.integers(0, 4), st.data())
def test_a_row_range_reads_these_rows_of_the_order_they_read_in(history, sizes, tails, data):
    storage, schema = MemoryStorage(), history[0]
    parts = write(storage, history, sizes, "dense", tails)
    whole = in_reading_order(history)
    first, last = sorted(data.draw(st.tuples(st.integers(0, whole.count + 5), st.integers(0, whole.count + 5))))
    columns = data.draw(st.sets(st.sampled_from(schema.names), min_size=1))
    found = read(storage, parts, schema, Selection(rows=(first, last)), columns, threads=1)
    wanted = whole.slice(min(first, whole.count), min(last, whole.count)).project(columns)
    assert differences(found, wanted) == []
