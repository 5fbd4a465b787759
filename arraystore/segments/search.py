"""Looks into stretches of rows for the rows in force at many times, decoding only the chunks that can hold one; and gathers those rows."""

import threading
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import accumulate

import numpy as np

from arraystore.frames.rows import Rows
from arraystore.pool import Job, run_jobs, run_small_jobs
from arraystore.segments.assembly import SMALL_BYTES, Source, assemble, read_array
from arraystore.segments.chunkreads import decode_each
from arraystore.segments.fetches import Fetch, plan_fetches
from arraystore.segments.inforce import Present, Sought, Spans, latest, latest_of
from arraystore.segments.plan import rows_of_chunks, run, runs_of
from arraystore.segments.stretches import Stretch
from arraystore.storage.base import Storage
from layouts.schema import Schema

JOB_BYTES = 1 << 18  # stored: what one job fetches at once, about
DEEPEST = 64


class Search:
    """A search for the rows in force at the times `sought`, by a clock, and by the labels of a dictionary column (None: any row).

    `labels` are those that the numbers in `sought.labels` mean. Not to be shared between threads; works on `threads` of them itself.
    """

    def __init__(
        self, storage: Storage, sought: Sought, clock: str, by: str | None, labels: Sequence[str], threads: int | None = None
    ) -> None:
        self.sought = sought
        self._storage = storage
        self._clock = clock
        self._by = by
        self._labels = labels
        self._threads = threads
        self._looked: list[Stretch] = []
        self._codes: dict[Stretch, np.ndarray] = {}  # what stands for each label that is sought, in each stretch; −1 where none does
        self._noting = threading.Lock()

    def look_into(self, stretches: Sequence[Stretch]) -> None:
        """Find, for each time, the row in force among those of these stretches and of all that were looked into before."""
        self._looked += stretches
        if self._by is not None:
            self._codes |= {stretch: self._codes_of(stretch.labels(self._by)) for stretch in stretches}
        bounds = [stretch.bounds(self._clock) for stretch in stretches]
        low, high, last_row = (np.concatenate(each) for each in zip(*bounds, strict=True))
        owner = np.repeat(np.arange(len(stretches)), [len(each[0]) for each in bounds])
        chunk = np.concatenate([np.arange(len(each[0])) for each in bounds])
        filled = low <= high
        low, high, last_row, owner, chunk = (each[filled] for each in (low, high, last_row, owner, chunk))
        spans = Spans(low, high, last_row, None if self._by is None else self._presence(stretches, self._by, owner, chunk))
        places, position = np.arange(len(self.sought.times)), spans.start(self.sought)
        depth = 0.5  # the second wave, too, asks for one chunk
        while len(places):
            wave = spans.wave(self.sought, places, position, max(1, int(depth)))
            asked: dict[int, dict[int, np.ndarray]] = {}
            for span, whose in wave.by_span():
                asked.setdefault(int(owner[span]), {})[int(chunk[span])] = whose
            self._run([job for number, each in asked.items() for job in self._jobs(stretches[number], each)])
            places, position = wave.places, wave.position
            depth = min(2 * depth, DEEPEST)  # what is rare may lie far back

    def rows(self, schema: Schema) -> tuple[Rows, np.ndarray]:
        """The rows found, each once, and which of them each time has found (−1: none)."""
        found = self.sought.rows >= 0
        numbers, whose = np.unique(self.sought.rows[found], return_inverse=True)
        looked = sorted(self._looked, key=lambda stretch: stretch.first_row)
        cuts = np.searchsorted(numbers, [stretch.first_row for stretch in looked] + [np.iinfo(np.int64).max])
        sources: list[Source] = []
        where = np.empty(len(numbers), np.int64)
        for stretch, start, stop in zip(looked, cuts.tolist(), cuts[1:].tolist(), strict=False):
            if start < stop:
                own, places = stretch.sources_of(numbers[start:stop] - stretch.first_row)
                sources += own
                where[start:stop] = start + places
        result = np.full(len(found), -1, np.int64)
        result[found] = where[whose]
        return assemble(self._storage, sources, schema, self._threads), result

    def _run(self, jobs: list[tuple[int, Job]]) -> None:
        small = sum(size for size, _ in jobs) <= SMALL_BYTES
        (run_small_jobs if small else run_jobs)([job for _, job in jobs], self._threads)

    def _jobs(self, stretch: Stretch, asked: Mapping[int, np.ndarray]) -> list[tuple[int, Job]]:
        """What is to be done to look into chunks for the times that ask for each, and how many bytes that decodes."""
        if stretch.held is not None:
            return [(0, partial(self._look_at_held, stretch, stretch.held, asked[0]))]
        table = stretch.index.tables[self._clock]
        if self._by is not None or f"{self._clock}_valid" in stretch.index.tables:
            return [(table.chunk_bytes, partial(self._look_at_columns, stretch, chunk, whose)) for chunk, whose in asked.items()]
        length = table.entry.chunk
        runs = rows_of_chunks(runs_of(np.sort(np.fromiter(asked, np.int64, len(asked)))), length, table.elements)
        return [
            (-(-fetch.runs.count // length) * table.chunk_bytes, partial(self._look_at_clock, stretch, fetch, asked))
            for fetch in plan_fetches(table, runs, 0, JOB_BYTES)
        ]

    def _look_at_clock(self, stretch: Stretch, fetch: Fetch, asked: Mapping[int, np.ndarray]) -> None:
        """Chunks of a clock that has no nulls, where any row will do."""
        for take, clock in decode_each(self._storage, stretch.sources[0].part.prefix, fetch):
            places = asked[take.chunk]
            found = latest(clock, self.sought.times[places])
            self._note(places, clock, found, stretch.first_row + take.chunk * fetch.table.entry.chunk)

    def _look_at_columns(self, stretch: Stretch, chunk: int, places: np.ndarray) -> None:
        """The rows of a clock's chunk, by all that decides."""
        source, table = stretch.sources[0], stretch.index.tables[self._clock]
        first = chunk * table.entry.chunk
        rows = Source(part=source.part, index=source.index, runs=run(first, min(first + table.entry.chunk, table.elements)))
        names = [name for name in (self._clock, f"{self._clock}_valid", self._by) if name is not None and name in stretch.index.tables]
        arrays = {name: read_array(self._storage, rows, name, threads=1) for name in names}
        self._look(stretch, arrays, places, stretch.first_row + first)

    def _look_at_held(self, stretch: Stretch, held: Rows, places: np.ndarray) -> None:
        self._look(stretch, held.arrays, places, stretch.first_row)

    def _look(self, stretch: Stretch, arrays: Mapping[str, np.ndarray], places: np.ndarray, first_row: int) -> None:
        """Find rows among those that arrays hold, the first of which has the number `first_row`."""
        clock, valid = arrays[self._clock], arrays.get(f"{self._clock}_valid")
        rows = None if valid is None else np.flatnonzero(valid)
        times = self.sought.times[places]
        clock = clock if rows is None else clock[rows]
        if self._by is None:
            found = latest(clock, times)
        else:
            wanted = self._codes[stretch][self.sought.labels[places]]
            places, times, wanted = (each[wanted >= 0] for each in (places, times, wanted))
            codes = arrays[self._by] if rows is None else arrays[self._by][rows]
            found = latest_of(clock, codes, times, wanted)
        self._note(places, clock, found, first_row, rows)

    def _note(self, places: np.ndarray, clock: np.ndarray, found: np.ndarray, first_row: int, rows: np.ndarray | None = None) -> None:
        there = found >= 0
        if not there.all():
            places, found = places[there], found[there]
        numbers = found if rows is None else rows[found]
        with self._noting:
            self.sought.note(places, clock[found], first_row + numbers)

    def _codes_of(self, labels: Sequence[str]) -> np.ndarray:
        code_of = {label: code for code, label in enumerate(labels)}
        return np.array([code_of.get(label, -1) for label in self._labels], np.int64)

    def _presence(self, stretches: Sequence[Stretch], by: str, owner: np.ndarray, chunk: np.ndarray) -> Present:
        """Whether chunks can hold rows with the labels that times ask for, as far as indexes tell."""
        codes = np.stack([self._codes[stretch] for stretch in stretches])
        sets = [_sets_of(stretch, self._clock, by) for stretch in stretches]
        starts = [0, *accumulate(1 if each is None else len(each) for each in sets)]
        table = np.full((starts[-1], max((each.shape[1] for each in sets if each is not None), default=1)), 255, np.uint8)
        for start, each in zip(starts, sets, strict=False):
            if each is not None:
                table[start : start + len(each), : each.shape[1]] = each
        told = np.array([each is not None for each in sets])
        line = np.array(starts[:-1])[owner] + np.where(told[owner], chunk, 0)

        def present(spans: np.ndarray, places: np.ndarray) -> np.ndarray:
            code = codes[owner[spans], self.sought.labels[places]]
            byte = table[line[spans], np.minimum(code >> 3, table.shape[1] - 1)]
            there: np.ndarray = (code >= 0) & (~told[owner[spans]] | (byte >> (code & 7) & 1).astype(np.bool_))
            return there

        return present


def _sets_of(stretch: Stretch, clock: str, by: str) -> np.ndarray | None:
    """Per chunk of a clock the bit set of the codes in its rows; None where no index tells."""
    if stretch.held is not None or by not in stretch.index.codes:
        return None
    sets, times, codes = stretch.index.codes[by], stretch.index.tables[clock], stretch.index.tables[by]
    starts = np.arange(times.count) * times.entry.chunk
    first = starts // codes.entry.chunk
    last = (np.minimum(starts + times.entry.chunk, times.elements) - 1) // codes.entry.chunk
    united = sets[first]
    for step in range(1, int((last - first).max(initial=0)) + 1):
        united |= sets[np.minimum(first + step, last)]
    return united
