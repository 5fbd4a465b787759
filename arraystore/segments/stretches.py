"""Rows of a window's parts as stretches in reading order, each with the numbers its rows have, to look for single rows in.

A stretch is a segment, of which only the chunks asked for are decoded; or rows held in memory: tails that follow each other, or parts
in time order whose times overlap, merged.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from arraystore.frames.rows import Rows
from arraystore.segments.assembly import Source, assemble
from arraystore.segments.index import ZoneIndex
from arraystore.segments.logical import time_bounds
from arraystore.segments.plan import Part, arrange, runs_of
from arraystore.segments.reader import open_sources
from arraystore.storage.base import Storage
from arraystore.versions.state import merge_clocks
from layouts.schema import Schema


class Unopened(NamedTuple):
    """Parts that make one stretch, the number of their first row, how many rows they have, and the clock's bounds in them."""

    parts: tuple[Part, ...]
    merge: bool
    first_row: int
    rows: int
    low: int
    high: int


def divide(parts: Sequence[Part], schema: Schema, clock: str, first_row: int) -> Iterator[Unopened]:
    """A window's parts, given by order key, as stretches in reading order; those in which the clock is null throughout are left out."""
    tails: list[Part] = []
    for cluster in arrange([part.entry for part in parts], schema):
        members = [parts[number] for number in cluster.parts]
        if members[0].rows is not None and not cluster.merge:
            tails += members
            continue
        for group, merge in ((tails, False), (members, cluster.merge)):
            yield from _unopened(group, clock, first_row, merge=merge)
            first_row += sum(part.entry.rows for part in group)
        tails = []
    yield from _unopened(tails, clock, first_row, merge=False)


def _unopened(parts: Sequence[Part], clock: str, first_row: int, *, merge: bool) -> Iterator[Unopened]:
    span = merge_clocks(part.entry.clocks for part in parts).get(clock)
    if span is not None:
        yield Unopened(tuple(parts), merge, first_row, sum(part.entry.rows for part in parts), *span)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stretch:
    """Sources whose rows have the numbers from `first_row` on; and, unless it is one segment, what decides of all of them, in order.

    `order` tells where rows of the stretch lie among those of all sources, one after another (None: right there).
    """

    first_row: int
    sources: Sequence[Source]
    held: Rows | None = None
    order: np.ndarray | None = None

    @property
    def index(self) -> ZoneIndex:
        """Of one segment."""
        assert self.sources[0].index is not None
        return self.sources[0].index

    def bounds(self, clock: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The least and the greatest clock (the first above the second where there is none) of each chunk, and its last row's number."""
        if self.held is not None:
            first, last = time_bounds(self.held.arrays[clock], self.held.arrays.get(f"{clock}_valid"))
            return np.array([first]), np.array([last]), np.array([self.first_row + self.held.count - 1])
        low, high = self.index.bounds[clock]
        table = self.index.tables[clock]
        ends = np.minimum(np.arange(1, table.count + 1) * table.entry.chunk, table.elements)
        return low, high, self.first_row + ends - 1

    def labels(self, column: str) -> tuple[str, ...]:
        """The labels that a dictionary column has in it."""
        if self.held is not None:
            return self.held.labels.get(column, ())
        return self.index.labels.get(column, ())

    def sources_of(self, positions: np.ndarray) -> tuple[list[Source], np.ndarray]:
        """Sources that give the rows at ascending positions, and where among those that they give each of these is."""
        flat = positions if self.order is None else self.order[positions]
        order = np.argsort(flat)
        flat, places = flat[order], np.empty(len(flat), np.int64)
        places[order] = np.arange(len(flat))
        sources = []
        for source in self.sources:
            own = int(np.searchsorted(flat, source.part.entry.rows))
            sources.append(Source(part=source.part, index=source.index, runs=runs_of(flat[:own])))
            flat = flat[own:] - source.part.entry.rows
        return sources, places


def open_stretches(storage: Storage, found: Sequence[Unopened], schema: Schema, names: set[str], threads: int | None) -> list[Stretch]:
    """Load the indexes of segments; of what isn't one segment, hold the columns `names` in memory."""
    sources = iter(open_sources(storage, [part for each in found for part in each.parts]))
    stretches = []
    for each in found:
        own = [next(sources) for _ in each.parts]
        if len(own) == 1 and own[0].index is not None:
            stretches.append(Stretch(first_row=each.first_row, sources=own))
            continue
        wanted = names | {schema.axis} if each.merge else names
        held, order = assemble(storage, own, schema.only(wanted), threads), None
        if each.merge:
            order = np.argsort(held.arrays[schema.axis], kind="stable")
            held = held.take(order)
        stretches.append(Stretch(first_row=each.first_row, sources=own, held=held, order=order))
    return stretches
