"""One table over the datasets its rows belong to: which rows are taken, and where each goes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from arraystore.frames.rows import Rows
from arraystore.ingest.converter import Converter, Guard
from arraystore.ingest.mapping import FileRule, Source
from arraystore.ingest.rules import merged_reads
from arraystore.ingest.tables import Batch, chosen_rows, texts_of
from layouts.columns import Kind

type Values = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where rows go, and how they are made."""

    address: str
    converter: Converter


@dataclass(slots=True, kw_only=True)
class Progress:
    """What was seen of a table so far, by destination; how many rows each took, and how many were left out."""

    guards: dict[str, Guard] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    left_out: int = 0

    def copy(self) -> "Progress":
        """The same, apart."""
        guards = {address: guard.copy() for address, guard in self.guards.items()}
        return Progress(guards=guards, counts=dict(self.counts), left_out=self.left_out)

    def next_table(self) -> "Progress":
        """What the next table of the same file goes on from: rows are counted on, order begins anew."""
        return Progress(counts=self.counts, left_out=self.left_out)


@dataclass(frozen=True, kw_only=True)
class Divider:
    """Makes rows of one table's batches. Without a state of its own; safe to share between threads.

    `split` names the columns by whose values rows go to different datasets, `find` gives the destination for such values. `example` is a
    converter for any of them: what is read of the file doesn't depend on where it goes.
    """

    rule: FileRule
    split: tuple[str, ...]
    example: Converter
    find: Callable[[Values], Destination]

    @cached_property
    def reads(self) -> Mapping[Source, str]:
        """Which columns of the file are read, and as what."""
        return merged_reads(
            self.example.rules, tuple(dict.fromkeys((*self.example.same, *self.split, *self.rule.where, *self.rule.unless)))
        )

    @property
    def probe(self) -> Source | None:
        """A source column of numbers, by which a line of data is told from a header."""
        chosen = [rule for rule in self.example.rules if rule.column.kind is Kind.TIME and rule.sources]
        return chosen[0].sources[0] if chosen else None

    def portions(self, batch: Batch, progress: Progress) -> list[tuple[Destination, Rows]]:
        """The batch's rows, by where they go, each in the file's order; they follow what was seen. Raises what can't be taken."""
        chosen = chosen_rows(batch, self.rule.where, self.rule.unless)
        progress.left_out += batch.count - chosen.count
        return [self._rows(destination, part, progress) for destination, part in self._parts(chosen)]

    def _rows(self, destination: Destination, part: Batch, progress: Progress) -> tuple[Destination, Rows]:
        guard = progress.guards.setdefault(destination.address, Guard())
        done = progress.counts.get(destination.address, 0)
        rows = destination.converter.rows(part, guard, done)
        progress.counts[destination.address] = done + rows.count
        return destination, rows

    def _parts(self, batch: Batch) -> list[tuple[Destination, Batch]]:
        if not batch.count:
            return []
        if not self.split:
            return [(self.find(()), batch)]
        coded = [texts_of(batch.columns[name]) for name in self.split]
        together = np.zeros(batch.count, np.int64)
        for texts, codes in coded:
            together = together * max(1, len(texts)) + codes
        groups, first, codes = np.unique(together, return_index=True, return_inverse=True)
        rows = np.argsort(codes, kind="stable")
        ends = np.searchsorted(codes[rows], np.arange(1, len(groups) + 1))
        parts = []
        for group in np.argsort(first).tolist():
            values = tuple(texts[codes[first[group]]] for texts, codes in coded)
            whole = len(groups) == 1
            parts.append((self.find(values), batch if whole else batch.take(rows[ends[group - 1] if group else 0 : ends[group]])))
        return parts
