"""Reads one run of few chunks, with as little beside decoding as can be: of a minute's rows that would take longer than their codecs."""

from collections.abc import Mapping

import numpy as np

from arraystore.errors import Corrupt, NotFound
from arraystore.segments.chunkreads import Finish, cut_short, missing
from arraystore.segments.codec import STOPS_EARLY, decode_chunk
from arraystore.segments.index import ChunkTable
from arraystore.storage.base import Storage

type Decoded = Mapping[tuple[str, int], np.ndarray]
"""Chunks that are decoded already, by array and number."""


def lies_in_one_object(table: ChunkTable, first: int, stop: int) -> bool:
    """Whether one object holds the elements from `first` to before `stop`, of which there are some."""
    return first // table.entry.shard == (stop - 1) // table.entry.shard


def read_run(
    storage: Storage,
    prefix: str,
    table: ChunkTable,
    span: tuple[int, int],
    out: np.ndarray,
    finish: Finish | None = None,
    decoded: Decoded | None = None,
) -> None:
    """Fill `out`, of the array's type, with the elements from the first of `span` to before the second, which lie in one object."""
    first, stop = span
    entry, length = table.entry, table.entry.chunk
    early = entry.codec in STOPS_EARLY
    wanted: list[tuple[int, int, int, np.ndarray]] = []
    ranges: list[tuple[int, int]] = []
    for chunk in range(first // length, (stop - 1) // length + 1):
        base = chunk * length
        low, high = max(first - base, 0), min(stop - base, length)
        target = out[base + low - first : base + high - first]
        if decoded and (held := decoded.get((entry.array, chunk))) is not None:
            target[...] = held[low:high]
        else:
            begin = table.offset.item(chunk)
            ranges.append((begin, begin + table.length.item(chunk)))
            wanted.append((chunk, low, high, target))
    if ranges:
        name = f"{prefix}/{table.object_name(first // entry.shard)}"
        try:
            pieces = storage.get_ranges(name, ranges)
        except NotFound as error:
            raise missing(name) from error
        for (chunk, low, high, target), (begin, end), stored in zip(wanted, ranges, pieces, strict=True):
            try:
                if len(stored) != end - begin:
                    raise cut_short(stored, (begin, end))
                checksum = table.crc32c.item(chunk)
                if low == 0 and (high == length or early):
                    decode_chunk(entry.codec, stored, checksum, target, beginning=high < length)
                else:
                    whole = np.empty((high if early else length, *target.shape[1:]), target.dtype)
                    decode_chunk(entry.codec, stored, checksum, whole, beginning=early)
                    target[...] = whole[low:high]
            except Corrupt as error:
                raise Corrupt(f"{name}: chunk {chunk} is damaged: {error}") from error
    if finish is not None:
        finish.apply(out)
