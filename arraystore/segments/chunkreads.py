"""Carries out planned reads of chunks: fetches their bytes, proves them, and decodes them where they belong."""

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import NamedTuple, Protocol

import numpy as np

from arraystore.errors import Corrupt, NotFound
from arraystore.pool import map_in_order
from arraystore.segments.codec import STOPS_EARLY, decode_chunk
from arraystore.segments.fetches import Fetch, Take, plan_fetches
from arraystore.segments.index import ChunkTable
from arraystore.segments.plan import run
from arraystore.storage.base import Storage

ITERATION_BYTES = 1 << 20


class Finish(Protocol):
    """What is done with elements right after they were decoded; raises `Corrupt` for such as can't be."""

    def apply(self, elements: np.ndarray, /) -> None:
        """Look at elements, or change them in place."""
        ...


class Codes(NamedTuple):
    """What to do with the codes of a dictionary column: there are `labels` of them, and each becomes what is at its place."""

    labels: int
    renumbered: np.ndarray | None = None  # the last is null's; None: they stay as they are
    least: int = -1  # 0 where no row may be null

    def apply(self, codes: np.ndarray) -> None:
        """Renumber codes in place; one that has no label is corruption."""
        if len(codes) and (codes.min() < self.least or codes.max() >= self.labels):
            null = "" if self.least else ", and no null"
            raise Corrupt(f"it has codes from {codes.min()} to {codes.max()}, where there are {self.labels} labels{null}")
        if self.renumbered is not None:
            codes[:] = np.take(self.renumbered, codes, mode="wrap")  # code -1 wraps to the last


def fetch_into(
    storage: Storage, prefix: str, fetch: Fetch, out: np.ndarray, finish: Finish | None = None, levels: slice | None = None
) -> None:
    """Read what is planned of one object, and put it (of its second dimension only `levels`) where it belongs in `out`."""
    table, codec = fetch.table, fetch.table.entry.codec
    straight = levels is None and out.dtype == table.entry.dtype
    whole = table.entry.chunk if straight else 0
    stops_early = straight and codec in STOPS_EARLY
    with _reading(storage, prefix, fetch) as fetched:
        for take, bounds, checksum, stored in fetched:
            chunk, source, first, elements = take
            target = out[first : first + elements]
            try:
                if len(stored) != bounds[1] - bounds[0]:
                    raise cut_short(stored, bounds)
                if elements == whole:
                    decode_chunk(codec, stored, checksum, target)
                elif stops_early and isinstance(source, slice) and source.stop == elements:  # so it starts at 0 and skips none
                    decode_chunk(codec, stored, checksum, target, beginning=True)
                else:
                    _decode_part(table, take, stored, checksum, target, levels)
                if finish is not None:
                    finish.apply(target)
            except Corrupt as error:
                raise Corrupt(f"{_name(prefix, fetch)}: chunk {chunk} is damaged: {error}") from error


def decode_each(storage: Storage, prefix: str, fetch: Fetch) -> Iterator[tuple[Take, np.ndarray]]:
    """Read what is planned of one object, and tell its chunks one by one, each in the memory that the one before was told in.

    A take says which of the chunk's elements are told.
    """
    entry = fetch.table.entry
    chunk = np.empty((entry.chunk, *entry.shape[1:]), entry.dtype)
    with _reading(storage, prefix, fetch) as fetched:
        for take, bounds, checksum, stored in fetched:
            try:
                if len(stored) != bounds[1] - bounds[0]:
                    raise cut_short(stored, bounds)
                decode_chunk(entry.codec, stored, checksum, chunk)
            except Corrupt as error:
                raise Corrupt(f"{_name(prefix, fetch)}: chunk {take.chunk} is damaged: {error}") from error
            yield take, chunk[take.chosen]


@contextmanager
def _reading(storage: Storage, prefix: str, fetch: Fetch) -> Iterator[Iterable[tuple[Take, tuple[int, int], int, bytes]]]:
    """Each take, with where its chunk lies in the object, its checksum and its stored bytes, while the object is read."""
    takes = fetch.takes()
    if not takes:
        yield ()
        return
    ranges, checksums = fetch.places(takes)
    name = _name(prefix, fetch)
    try:
        with closing(storage.iter_ranges(name, ranges)) as pieces:
            yield zip(takes, ranges, checksums, pieces, strict=True)
    except NotFound as error:
        raise missing(name) from error


def missing(name: str) -> Corrupt:
    """The error for an object of a segment that isn't there."""
    return Corrupt(f"{name}: the object is missing, though a commit names its segment")


def cut_short(stored: bytes, bounds: tuple[int, int]) -> Corrupt:
    """The error for a chunk of which an object has only these bytes."""
    return Corrupt(f"the object ends after {len(stored)} of its {bounds[1] - bounds[0]} bytes")


def _name(prefix: str, fetch: Fetch) -> str:
    return f"{prefix}/{fetch.table.object_name(fetch.shard)}"


def _decode_part(table: ChunkTable, take: Take, stored: bytes, checksum: int, target: np.ndarray, levels: slice | None) -> None:
    """Decode a chunk of which not all goes to the result, or in another type."""
    entry = table.entry
    beginning = entry.codec in STOPS_EARLY
    needed = take.end if beginning else entry.chunk
    decoded = np.empty((needed, *entry.shape[1:]), entry.dtype)
    decode_chunk(entry.codec, stored, checksum, decoded, beginning=beginning)
    target[...] = decoded[take.chosen] if levels is None else decoded[take.chosen, levels]


def iter_chunks(storage: Storage, prefix: str, table: ChunkTable, threads: int | None = None) -> Iterator[np.ndarray]:
    """The decoded elements of an array's chunks, in order; decoded a few fetches of about a megabyte ahead."""

    def decode(fetch: Fetch) -> list[np.ndarray]:
        fetch = replace(fetch, target=0)
        out = np.empty((fetch.runs.count, *table.entry.shape[1:]), table.entry.dtype)
        fetch_into(storage, prefix, fetch, out)
        return [out[start : start + table.entry.chunk] for start in range(0, len(out), table.entry.chunk)]

    for chunks in map_in_order(decode, plan_fetches(table, run(0, table.elements), 0, ITERATION_BYTES), threads):
        yield from chunks
