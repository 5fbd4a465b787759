"""The most frequent read in as few steps as can be: one run of one segment, its columns as they lie there, on the caller's thread.

What it gives is what `Assembly` would give, to which it leaves the rest: rows of several parts, in another type or with other levels,
into the caller's arrays, text and bytes, and more than one thread should decode.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from arraystore.domain import TRUTH, domain_of
from arraystore.frames.rows import Rows
from arraystore.pool import run_small_jobs
from arraystore.segments.assembly import SMALL_BYTES, Source
from arraystore.segments.chunkreads import Codes, Finish
from arraystore.segments.index import ChunkTable, ZoneIndex
from arraystore.segments.plan import INT64_MIN, Runs, Selection, match_times, run
from arraystore.segments.runreads import lies_in_one_object, read_run
from arraystore.storage.base import Storage
from layouts.schema import Column, Schema

KNOWN_SCHEMAS = 256


class Cell(NamedTuple):
    """An array of a result, and what its values can be, by whether the column has nulls."""

    column: Column
    array: str
    valid: str
    shape: tuple[int, ...]
    dtype: np.dtype
    row_bytes: int
    with_nulls: Finish | None
    without: Finish | None


_cells: dict[int, tuple[Schema, Sequence[Cell] | None]] = {}  # by identity: to hash a schema takes longer than to read a chunk


def cells_of(schema: Schema) -> Sequence[Cell] | None:
    """The arrays that rows of a schema may have; None where some count bytes instead of rows."""
    known = _cells.get(id(schema))
    if known is not None and known[0] is schema:
        return known[1]
    if len(_cells) >= KNOWN_SCHEMAS:
        _cells.clear()
    cells = None if any(column.is_ragged for column in schema.columns) else [*map(_cell, schema.columns), *_validities(schema)]
    _cells[id(schema)] = schema, cells
    return cells


def _cell(column: Column) -> Cell:
    shape, dtype = () if column.levels is None else (column.levels,), np.dtype(column.dtype)
    limits = domain_of(column, has_nulls=True), domain_of(column, has_nulls=False)
    return Cell(column, column.name, f"{column.name}_valid", shape, dtype, dtype.itemsize * math.prod(shape), *limits)


def _validities(schema: Schema) -> list[Cell]:
    nullable = [column for column in schema.columns if column.nullable]
    return [Cell(column, f"{column.name}_valid", "", (), np.dtype(np.bool_), 1, TRUTH, TRUTH) for column in nullable]


def load_straight(storage: Storage, sources: Sequence[Source], schema: Schema, threads: int | None) -> Rows | None:
    """The rows of all sources as rows of `schema`, whose columns with levels have all of them; None for what isn't for here."""
    live = [source for source in sources if len(source.runs.starts)]
    if len(live) != 1 or (index := live[0].index) is None or len(live[0].runs.starts) != 1 or live[0].runs.step != 1:
        return None
    source = live[0]
    first, stop = int(source.runs.starts[0]), int(source.runs.stops[0])
    found = _found(index, source.part.schema, schema, first, stop)
    if found is None:
        return None
    jobs = []
    arrays: dict[str, np.ndarray] = {}
    for cell, table in found:
        out = arrays[cell.array] = np.empty((stop - first, *cell.shape), cell.dtype)
        finish = cell.with_nulls if cell.valid in index.tables else cell.without
        if cell.array in index.labels:
            finish = Codes(len(index.labels[cell.array]), least=-1 if cell.valid in index.tables else 0)
        jobs.append(partial(read_run, storage, source.part.prefix, table, (first, stop), out, finish, source.decoded))
    run_small_jobs(jobs, threads)
    labels = {column.name: index.labels[column.name] for column in schema.columns if column.name in index.labels} if index.labels else {}
    return Rows(schema=schema, count=stop - first, arrays=arrays, labels=labels)


def range_straight(storage: Storage, source: Source, clock: str, selection: Selection, threads: int | None) -> Runs | None:
    """The rows of a whole segment whose clock lies in a range, if they lie side by side; None for what isn't for here.

    Of the chunks that may have such rows only the first and the last are looked into: the index must tell that all others have no other.
    """
    index = source.index
    if index is None or clock not in index.tables or f"{clock}_valid" in index.tables or source.runs.count < index.rows:
        return None
    table = index.tables[clock]
    met = _chunks_met(*index.bounds[clock], selection)
    if met is None or not lies_in_one_object(table, 0, table.elements):
        return None
    first, last, doubtful = met
    _look_into(storage, source, table, doubtful, threads)
    length = table.entry.chunk
    begin, end = first * length, min((last + 1) * length, table.elements)
    for chunk in doubtful:
        own = _side_by_side(match_times(source.decoded[clock, chunk], selection))
        if own is None or (chunk < last and own[1] < length) or (chunk > first and own[0]):
            return None
        begin = begin if chunk > first else chunk * length + own[0]
        end = end if chunk < last else chunk * length + own[1]
    return run(begin, end)


def _chunks_met(low: np.ndarray, high: np.ndarray, selection: Selection) -> tuple[int, int, list[int]] | None:
    """The first and the last chunk that may have times in a range, and which of the two may have others; None where it isn't as simple."""
    start = INT64_MIN if selection.start is None else selection.start
    stop = selection.stop
    possible = high >= start if stop is None else (high >= start) & (low < stop)
    chunks = possible.nonzero()[0]
    if not len(chunks):
        return None
    first, last = chunks.item(0), chunks.item(-1)
    if last - first >= len(chunks):
        return None
    low, high = low[first : last + 1], high[first : last + 1]
    certain = low >= start if stop is None else (low >= start) & (high < stop)
    if len(chunks) > 2 and not certain[1:-1].all():
        return None
    return first, last, [chunk for chunk in dict.fromkeys((first, last)) if not certain.item(chunk - first)]


def _look_into(storage: Storage, source: Source, table: ChunkTable, chunks: Sequence[int], threads: int | None) -> None:
    """Decode whole chunks, which the source keeps."""
    entry = table.entry
    spans = [(chunk * entry.chunk, min((chunk + 1) * entry.chunk, table.elements)) for chunk in chunks]
    found = [np.empty(stop - first, entry.dtype) for first, stop in spans]
    jobs = [partial(read_run, storage, source.part.prefix, table, span, out) for span, out in zip(spans, found, strict=True)]
    run_small_jobs(jobs, threads)
    source.decoded.update({(entry.array, chunk): out for chunk, out in zip(chunks, found, strict=True)})


def _side_by_side(mask: np.ndarray) -> tuple[int, int] | None:
    """From where to where a mask is True; None where it is so nowhere, or in several places."""
    count = int(np.count_nonzero(mask))
    first = int(mask.argmax())
    return (first, first + count) if count and mask[first : first + count].all() else None


def _found(index: ZoneIndex, own: Schema, schema: Schema, first: int, stop: int) -> list[tuple[Cell, ChunkTable]] | None:
    """The arrays that a segment has, whose schema is `own`; None where they aren't as they are wanted, or too much."""
    found = []
    decoded = 0
    for cell in cells_of(schema) or ():
        table, column = index.tables.get(cell.array), cell.column
        if table is None:
            continue
        length = table.entry.chunk
        decoded += ((stop - 1) // length - first // length + 1) * length * cell.row_bytes
        if decoded > SMALL_BYTES or not lies_in_one_object(table, first, stop):
            return None
        if (was := own.column(column.name)) is not column and was != column:
            return None
        found.append((cell, table))
    return found or None
