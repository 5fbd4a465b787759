"""Rows by their number in reading order: which these are by a clock, and they themselves, decoding only chunks that hold any."""

from collections.abc import Iterable, Sequence
from itertools import islice

import numpy as np

from arraystore.frames.rows import Rows
from arraystore.segments.assembly import Source, assemble, read_array
from arraystore.segments.plan import Cluster, Part, Runs, Selection, arrange, join_runs, match_times, may_match, run, runs_of, runs_where
from arraystore.segments.reader import match_clock, open_sources
from arraystore.storage.base import Storage
from layouts.schema import Schema


def pick_rows(
    storage: Storage, parts: Sequence[Part], schema: Schema, picked: Runs, columns: Iterable[str], threads: int | None = None
) -> Rows:
    """The rows that have these numbers, counted from 0 in the order in which the parts (given by order key) read, in that order."""
    sources, order = _narrowed(storage, parts, schema, picked, threads)
    rows = assemble(storage, sources, schema.only(columns), threads)
    return rows if order is None else rows.take(order)


def pick_validity(
    storage: Storage, parts: Sequence[Part], schema: Schema, picked: Runs, column: str, threads: int | None = None
) -> np.ndarray:
    """Which of the rows with these numbers aren't null in a column, as bool, without reading the column itself."""
    sources, order = _narrowed(storage, parts, schema, picked, threads)
    pieces = [
        read_array(storage, source, f"{column}_valid", threads)
        if f"{column}_valid" in source.arrays
        else np.full(source.runs.count, column in source.arrays)
        for source in sources
    ]
    valid = np.concatenate(pieces) if len(pieces) != 1 else pieces[0]
    return valid if order is None else valid[order]


def _narrowed(
    storage: Storage, parts: Sequence[Part], schema: Schema, picked: Runs, threads: int | None
) -> tuple[list[Source], np.ndarray | None]:
    """The sources of the rows with these numbers, one after another, and in which order their rows read (None: in that)."""
    clusters = [
        (cluster, own)
        for cluster, begun in _begun(parts, arrange([part.entry for part in parts], schema))
        if (own := _cut(picked, begun, begun + sum(parts[number].entry.rows for number in cluster.parts))).count
    ]
    opened = iter(open_sources(storage, [parts[number] for cluster, _ in clusters for number in cluster.parts]))
    merging = any(cluster.merge for cluster, _ in clusters)
    pieces: list[Source] = []
    orders: list[np.ndarray] = []
    target = 0
    for cluster, own in clusters:
        sources = list(islice(opened, len(cluster.parts)))
        if cluster.merge:
            orders.append(_spread_over(storage, sources, schema, own, threads) + target)
        else:
            sources[0].runs = own
            orders += [np.arange(target, target + own.count)] if merging else []
        pieces += [source for source in sources if source.runs.count]
        target += own.count
    return pieces, np.concatenate(orders) if merging else None


def _begun(parts: Sequence[Part], clusters: Sequence[Cluster]) -> Iterable[tuple[Cluster, int]]:
    """Each cluster with the number of rows before it."""
    begun = 0
    for cluster in clusters:
        yield cluster, begun
        begun += sum(parts[number].entry.rows for number in cluster.parts)


def _cut(picked: Runs, start: int, stop: int) -> Runs:
    """The runs within some rows, counted from the first of these."""
    low, high = np.searchsorted(picked.stops, start, side="right"), np.searchsorted(picked.starts, stop, side="left")
    starts, stops = picked.starts[low:high], picked.stops[low:high]
    return Runs(np.maximum(starts, start) - start, np.minimum(stops, stop) - start)


def _spread_over(storage: Storage, sources: Sequence[Source], schema: Schema, own: Runs, threads: int | None) -> np.ndarray:
    """Narrow each of the sources to what its share of some rows of their merge is, and tell in which order their rows come then."""
    times = assemble(storage, sources, schema.only([schema.axis]), threads).arrays[schema.axis]
    chosen = np.argsort(times, kind="stable")[own.positions()]  # where each wanted row is, sources one after another
    ascending = np.sort(chosen)
    begun = 0
    for source in sources:
        low, high = np.searchsorted(ascending, (begun, begun + source.part.entry.rows))
        source.runs = runs_of(ascending[low:high] - begun)
        begun += source.part.entry.rows
    order: np.ndarray = np.searchsorted(ascending, chosen)
    return order


def rows_within(
    storage: Storage, parts: Sequence[Part], schema: Schema, start: int | None, stop: int | None, clock: str, threads: int | None = None
) -> Runs:
    """The numbers of the rows whose clock lies in `start` ≤ … < `stop`; looks into as few chunks as can tell."""
    selection = Selection(start=start, stop=stop, clock=clock)
    clusters = arrange([part.entry for part in parts], schema)
    found: list[Runs] = []
    for cluster, begun in _begun(parts, clusters):
        members = [parts[number] for number in cluster.parts]
        if not any(may_match(part.entry, clock, selection) for part in members):
            continue
        if not cluster.merge:
            sources = open_sources(storage, members)
            match_clock(storage, sources, clock, selection, threads)
            own = sources[0].runs
        elif clock == schema.axis:
            own = run(
                0 if start is None else _count_before(storage, members, start, clock, threads),
                sum(part.entry.rows for part in members) if stop is None else _count_before(storage, members, stop, clock, threads),
            )
        else:
            own = _looked_up(storage, members, schema, selection, clock, threads)
        found.append(Runs(own.starts + begun, own.stops + begun))
    return join_runs(found)


def _count_before(storage: Storage, members: Sequence[Part], time: int, clock: str, threads: int | None) -> int:
    """How many rows of a merge come before a time, which is where in its order that time lies."""
    selection = Selection(stop=time, clock=clock)
    sources = open_sources(storage, [part for part in members if may_match(part.entry, clock, selection)])
    match_clock(storage, sources, clock, selection, threads)
    return sum(source.runs.count for source in sources)


def _looked_up(storage: Storage, members: Sequence[Part], schema: Schema, selection: Selection, clock: str, threads: int | None) -> Runs:
    """Rows of a merge by another clock than the one that merged them: by looking at each."""
    rows = pick_rows(storage, members, schema, run(0, sum(part.entry.rows for part in members)), [clock], threads)
    if clock not in rows.arrays:
        return runs_of(np.empty(0, np.int64))
    times = rows.arrays[clock]
    mask = match_times(times, selection)
    valid = rows.validity(clock)
    return runs_where(mask if valid is None else mask & valid)
