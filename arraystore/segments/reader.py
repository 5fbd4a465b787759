"""Reads rows: plans from the indexes which chunks to touch, and decodes these into one preallocated result on all processors."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import batched

import numpy as np

from arraystore.errors import InvalidInput, Problem
from arraystore.frames.rows import Rows
from arraystore.pool import run_small_jobs
from arraystore.segments.assembly import Source, decode_chunks, read_array
from arraystore.segments.choice import Choice, Shape
from arraystore.segments.index import ZoneIndex, load_index
from arraystore.segments.plan import (
    NOTHING,
    Matches,
    Part,
    Runs,
    Selection,
    arrange,
    chunks_met,
    intersect_runs,
    join_runs,
    match_chunks,
    match_labels,
    match_times,
    may_match,
    possible_rows,
    run,
    runs_of,
    runs_where,
    wanted_codes,
)
from arraystore.segments.straight import range_straight
from arraystore.storage.base import Storage
from layouts.schema import Schema

__all__ = ["Part", "Selection", "choose", "read"]

EVERYTHING = Selection()

CHUNKS_AT_ONCE = 128
"""Of more chunks that must be looked into (32 MiB) so many are held at a time; what isn't held is decoded again if it is wanted."""

type Test = Callable[[Source, np.ndarray], np.ndarray]  # which of a source's values in one column pass


def read(
    storage: Storage,
    parts: Sequence[Part],
    schema: Schema,
    selection: Selection = EVERYTHING,
    columns: Iterable[str] | None = None,
    threads: int | None = None,
) -> Rows:
    """The selected rows of a window's parts, which are given by order key, as rows of `schema` with these columns (None: all).

    The parts may have older forms of the schema. Works on `threads` threads (None: one per processor). Raises `Corrupt`,
    naming object and chunk, if a byte that was needed isn't the one that was written.
    """
    names = frozenset(schema.column(name).name for name in (schema.names if columns is None else columns))
    return choose(storage, parts, schema, selection, threads).load(Shape(columns=names, threads=threads))


def choose(
    storage: Storage, parts: Sequence[Part], schema: Schema, selection: Selection = EVERYTHING, threads: int | None = None
) -> Choice:
    """The selected rows, found but not loaded."""
    clock = schema.axis if selection.clock is None else selection.clock
    if clock not in schema.clocks:
        problem = Problem(f"clock {clock!r}", f"schema {schema.name!r} has no such clock; there are {', '.join(schema.clocks)}")
        raise InvalidInput(problem)
    if selection.by_clock:
        parts = [part for part in parts if may_match(part.entry, clock, selection)]
    clusters = arrange([part.entry for part in parts], schema)
    choice = Choice(storage=storage, schema=schema, sources=open_sources(storage, parts), clusters=clusters)
    if selection.rows is not None:
        choice = choice.pick(*selection.rows, threads=threads)
    if selection.labels is not None:
        _leave_out_chunks(choice.sources, *selection.labels)
    if selection.by_clock:
        match_clock(storage, choice.sources, clock, selection, threads)
    if selection.labels is not None:
        _match_labels(storage, choice.sources, *selection.labels, threads)
    return choice if selection.every == 1 else choice.pick(0, choice.count, selection.every, threads)


def open_sources(storage: Storage, parts: Sequence[Part]) -> list[Source]:
    """All parts with all their rows, and with their indexes."""
    if len(parts) == 1:
        part = parts[0]
        index = None if part.rows is not None else load_index(storage, part.prefix, part.entry, part.schema)
        return [Source(part=part, index=index, runs=run(0, part.entry.rows))]
    indexes: list[ZoneIndex | None] = [None] * len(parts)

    def load(number: int) -> None:
        part = parts[number]
        indexes[number] = load_index(storage, part.prefix, part.entry, part.schema)

    run_small_jobs([partial(load, number) for number, part in enumerate(parts) if part.rows is None])
    return [Source(part=part, index=index, runs=run(0, part.entry.rows)) for part, index in zip(parts, indexes, strict=True)]


def match_clock(storage: Storage, sources: Sequence[Source], clock: str, selection: Selection, threads: int | None) -> None:
    """Narrow each source's runs to the rows whose time lies in the range."""
    if len(sources) == 1 and (own := range_straight(storage, sources[0], clock, selection, threads)) is not None:
        sources[0].runs = intersect_runs(sources[0].runs, own)
        return
    matches = [match_chunks(source.index, clock, selection) if source.index else None for source in sources]
    _narrow(storage, sources, clock, matches, lambda _, times: match_times(times, selection), threads)
    _drop_nulls(storage, [source for source in sources if f"{clock}_valid" in source.arrays], clock, threads)


def _leave_out_chunks(sources: Sequence[Source], column: str, wanted: frozenset[str]) -> None:
    """Narrow each source's runs to the chunks that can hold a wanted label, which takes no byte."""
    for source in sources:
        if source.index is not None:
            matches = match_labels(source.index, column, wanted)
            possible = possible_rows(matches, source.index.tables[column]) if column in source.arrays else NOTHING
            source.runs = intersect_runs(source.runs, possible)


def _match_labels(storage: Storage, sources: Sequence[Source], column: str, wanted: frozenset[str], threads: int | None) -> None:
    """Narrow each source's runs to the rows that have a wanted label."""

    def test(source: Source, codes: np.ndarray) -> np.ndarray:
        return np.take(wanted_codes(source.labels(column), wanted), codes, mode="wrap")  # code -1 wraps to the last

    matches = [match_labels(source.index, column, wanted) if source.index else None for source in sources]
    _narrow(storage, sources, column, matches, test, threads)


def _narrow(
    storage: Storage,
    sources: Sequence[Source],
    column: str,
    matches: Sequence[Matches | None],
    test: Test,
    threads: int | None,
) -> None:
    """Narrow each source's runs to rows whose value of a column passes a test, looking into chunks only where the index can't tell."""
    found: list[list[Runs]] = [[] for _ in sources]
    wanted = [
        (number, chunk)
        for number, (source, match) in enumerate(zip(sources, matches, strict=True))
        for chunk in _doubtful(source, column, match)
    ]
    for some in batched(wanted, CHUNKS_AT_ONCE):
        decode_chunks(storage, ((sources[number], column, chunk) for number, chunk in some), threads)
        for number, chunk in some:
            found[number].append(_look_into(sources[number], column, chunk, test))
            if len(wanted) > CHUNKS_AT_ONCE:
                del sources[number].decoded[column, chunk]
    for source, match, pieces in zip(sources, matches, found, strict=True):
        if column not in source.arrays:
            source.runs = NOTHING
        elif match is None:
            source.runs = intersect_runs(source.runs, runs_where(test(source, source.rows.arrays[column])))
        else:
            source.runs = intersect_runs(source.runs, join_runs([match.whole, *pieces]))


def _doubtful(source: Source, column: str, match: Matches | None) -> list[int]:
    if source.index is None or match is None or not len(match.doubtful):
        return []
    return chunks_met(match.doubtful, source.runs, source.index.tables[column].entry.chunk)


def _look_into(source: Source, column: str, chunk: int, test: Test) -> Runs:
    assert source.index is not None
    first = chunk * source.index.tables[column].entry.chunk
    return runs_where(test(source, source.decoded[column, chunk]), first)


def _drop_nulls(storage: Storage, sources: Sequence[Source], clock: str, threads: int | None) -> None:
    """Leave out the rows whose time is null."""
    column = f"{clock}_valid"
    for source in sources:
        valid = read_array(storage, source, column, threads)
        source.runs = runs_of(source.runs.positions()[valid])
