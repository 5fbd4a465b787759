"""Carries out planned reads of chunks: fetches their bytes, proves them, and decodes them where they belong."""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple, Protocol

import numpy as np

from arraystore.errors import Corrupt, NotFound
from arraystore.pool import map_in_order
from arraystore.segments.codec import STOPS_EARLY, decode_chunk
from arraystore.segments.index import ChunkTable
from arraystore.segments.plan import Fetch, Place, Take, plan_fetches, plan_takes, run
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


def fetch_into(storage: Storage, prefix: str, fetch: Fetch, out: np.ndarray, finish: Finish | None = None) -> None:
    """Read what is planned of one object, and put it where it belongs in `out`."""
    name, stored = _fetch(storage, prefix, fetch)
    for take, place, data in stored:
        target = out[take.target : take.target + take.elements]
        try:
            _decode(fetch.table, take, place, data, target)
            if finish is not None:
                finish.apply(target)
        except Corrupt as error:
            raise Corrupt(f"{name}: chunk {take.chunk} is damaged: {error}") from error


def decode_each(storage: Storage, prefix: str, fetch: Fetch) -> Iterator[tuple[Take, np.ndarray]]:
    """Read what is planned of one object, and tell its chunks one by one, each in the memory that the one before was told in.

    A take's `source` is a slice, and says which of the chunk's elements are told.
    """
    name, stored = _fetch(storage, prefix, fetch)
    entry = fetch.table.entry
    chunk = np.empty((entry.chunk, *entry.shape[1:]), entry.dtype)
    whole = Take(0, slice(0, entry.chunk), 0, entry.chunk)
    for take, place, data in stored:
        try:
            _decode(fetch.table, whole, place, data, chunk)
        except Corrupt as error:
            raise Corrupt(f"{name}: chunk {take.chunk} is damaged: {error}") from error
        yield take, chunk[take.source]


def _fetch(storage: Storage, prefix: str, fetch: Fetch) -> tuple[str, Iterator[tuple[Take, Place, bytes]]]:
    """The object's name, and the stored bytes of each take's chunk."""
    name = f"{prefix}/{fetch.table.object_name(fetch.shard)}"
    ranges, places = fetch.ranges()
    try:
        pieces = storage.get_ranges(name, ranges)
    except NotFound as error:
        raise Corrupt(f"{name}: the object is missing, though a commit names its segment") from error
    stored = (pieces[place.range][place.start : place.start + place.length] for place in places)
    return name, zip(fetch.takes, places, stored, strict=True)


def _decode(table: ChunkTable, take: Take, place: Place, stored: bytes, target: np.ndarray) -> None:
    if len(stored) != place.length:
        raise Corrupt(f"the object ends after {len(stored)} of its {place.length} bytes")
    entry = table.entry
    if take.elements == entry.chunk and target.dtype == entry.dtype:
        decode_chunk(entry.codec, stored, place.crc32c, target)
        return
    beginning = entry.codec in STOPS_EARLY
    needed = (take.source.stop if isinstance(take.source, slice) else int(take.source[-1]) + 1) if beginning else entry.chunk
    decoded = np.empty((needed, *entry.shape[1:]), entry.dtype)
    decode_chunk(entry.codec, stored, place.crc32c, decoded, beginning=beginning)
    target[...] = decoded[take.source]


def iter_chunks(storage: Storage, prefix: str, table: ChunkTable, threads: int | None = None) -> Iterator[np.ndarray]:
    """The decoded elements of an array's chunks, in order; decoded a few fetches of about a megabyte ahead."""
    takes = plan_takes(run(0, table.elements), table, 0) if table.elements else []

    def decode(fetch: Fetch) -> list[np.ndarray]:
        base = fetch.takes[0].target
        takes = [take._replace(target=take.target - base) for take in fetch.takes]
        out = np.empty((sum(take.elements for take in takes), *table.entry.shape[1:]), table.entry.dtype)
        fetch_into(storage, prefix, replace(fetch, takes=takes), out)
        return [out[take.target : take.target + take.elements] for take in takes]

    for chunks in map_in_order(decode, plan_fetches(table, takes, ITERATION_BYTES), threads):
        yield from chunks
