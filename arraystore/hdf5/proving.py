"""Whether an HDF5 file holds what was exported to it: every chunk is read back and decoded, and the logical digests compared."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from arraystore.digest import LogicalDigest
from arraystore.errors import Corrupt
from arraystore.hdf5.contents import Stored, label_name, stored_arrays
from arraystore.hdf5.filters import Filters
from arraystore.pool import map_in_order
from arraystore.segments.logical import digest_elements, is_codes, label_hashes
from layouts.schema import Schema


def prove(group: Any, schema: Schema, rows: int, filters: Filters, digests: Mapping[str, LogicalDigest], threads: int | None) -> None:
    """Raise `Corrupt` unless each array of the group has the digest that was told of it."""
    for stored in stored_arrays(schema, rows):
        name = stored.spec.name
        dataset = group[name]
        hashes = None
        if is_codes(schema, stored.spec):
            hashes = label_hashes(tuple(group[label_name(stored.column)].asstr()[()]))
        found = LogicalDigest()
        for elements in decoded(dataset, stored, filters, threads):
            found += digest_elements(elements, hashes)
        if found != digests[name]:
            raise Corrupt(f"{dataset.file.filename}: {dataset.name} reads back as {found}, and was written as {digests[name]}")
        _prove_by_hdf5(dataset, stored, filters)


def decoded(dataset: Any, stored: Stored, filters: Filters, threads: int | None) -> Iterator[np.ndarray]:
    """An array's elements, chunk by chunk in order, decoded on all processors."""
    length, inner = dataset.shape[0], [0] * len(stored.spec.inner_shape)

    def raw() -> Iterator[tuple[int, int, bytes]]:
        for place in range(0, length, stored.chunk):
            mask, found = dataset.id.read_direct_chunk((place, *inner))
            yield place, mask, found

    def decode(chunk: tuple[int, int, bytes]) -> np.ndarray:
        place, mask, found = chunk
        out = np.empty(stored.chunk_shape, stored.dtype)
        try:
            filters.decode(found, mask, out)
        except Corrupt as error:
            raise Corrupt(f"{dataset.file.filename}: {dataset.name}, the chunk at {place}: {error}") from error
        return out[: length - place]

    return map_in_order(decode, raw(), threads)


def _prove_by_hdf5(dataset: Any, stored: Stored, filters: Filters) -> None:
    """What HDF5's own filters make of the last chunk, which is the one that may be filled up."""
    if not (length := dataset.shape[0]):
        return
    place = (length - 1) // stored.chunk * stored.chunk
    out = np.empty(stored.chunk_shape, stored.dtype)
    mask, found = dataset.id.read_direct_chunk((place, *(0 for _ in stored.spec.inner_shape)))
    filters.decode(found, mask, out)
    if dataset[place:length].tobytes() != out[: length - place].tobytes():
        raise Corrupt(f"{dataset.file.filename}: {dataset.name}: HDF5 itself reads other values than were written")
