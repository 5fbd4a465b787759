"""Fills one group of an HDF5 file from batches of rows: chunks are compressed on all processors, and written in order by one thread."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from arraystore.digest import LogicalDigest
from arraystore.frames.rows import Rows
from arraystore.hdf5.contents import NO_VARIABLE, Stored, group_attributes, label_name, lengths, stored_arrays
from arraystore.hdf5.filters import Filters
from arraystore.pool import map_in_order
from arraystore.segments.logical import add_digests
from layouts.schema import Column, Kind, Schema

type Block = tuple["_Filling", int, np.ndarray]


class GroupWriter:
    """One group: `fill` takes all rows, then `finish` writes what is known only afterwards. Used by one thread."""

    def __init__(self, group: Any, schema: Schema, most_rows: int, filters: Filters) -> None:
        self.rows = 0
        self.digests = {spec.name: LogicalDigest() for spec in schema.arrays()}
        self._group = group
        self._schema = schema
        self._filters = filters
        self._labels: dict[str, dict[str, int]] = {column.name: {} for column in schema.columns if column.kind is Kind.DICTIONARY}
        self._filling = {stored.spec.name: _Filling(group, stored, filters) for stored in stored_arrays(schema, most_rows)}

    def fill(self, batches: Iterable[Rows], threads: int | None, tell: Callable[[int], None]) -> None:
        """Write all rows; `tell` gets the number of rows done."""
        for filling, place, (stored, mask) in map_in_order(self._encode, self._blocks(batches, tell), threads):
            filling.write(place, stored, mask)

    def finish(self, attributes: dict[str, Any]) -> None:
        """Labels, dimension scales and attributes."""
        for column in self._schema.columns:
            if column.kind is Kind.DICTIONARY:
                self._write_labels(column)
        self._write_dimensions()
        self._group.attrs.update(group_attributes(self._schema) | attributes)
        for name, filling in self._filling.items():
            filling.dataset.attrs.update(filling.stored.attributes() | {"logical_digest": str(self.digests[name])})

    def _encode(self, block: Block) -> tuple["_Filling", int, tuple[bytes, int]]:
        filling, place, elements = block
        return filling, place, self._filters.encode(elements)

    def _blocks(self, batches: Iterable[Rows], tell: Callable[[int], None]) -> Iterator[Block]:
        for rows in batches:
            add_digests(self.digests, rows, self._schema)
            for filling in self._filling.values():
                spec = filling.stored.spec
                elements = filling.stored.of(rows)
                if spec.role == "values" and spec.column in self._labels:
                    elements = self._renumbered(spec.column, elements, rows.labels.get(spec.column, ()))
                yield from filling.blocks(elements)
            self.rows += rows.count
            tell(self.rows)
        for filling in self._filling.values():
            yield from filling.rest()

    def _renumbered(self, column: str, codes: np.ndarray, labels: tuple[str, ...]) -> np.ndarray:
        """Codes of the labels of all rows so far, which keep their numbers."""
        known = self._labels[column]
        numbers = np.array([*(known.setdefault(label, len(known)) for label in labels), -1], np.int32)
        return np.take(numbers, codes, mode="wrap")  # code -1, a null, wraps to the last

    def _write_labels(self, column: Column) -> None:
        from h5py import string_dtype

        labels = np.array(list(self._labels[column.name]), object)
        self._group.create_dataset(label_name(column), data=labels, dtype=string_dtype("utf-8"), shape=(len(labels),))

    def _write_dimensions(self) -> None:
        """Make a scale of each dimension, and attach it to all that have it."""
        known = lengths(self._schema)
        used: dict[str, list[tuple[Any, int]]] = {}
        for filling in self._filling.values():
            for axis, dimension in enumerate(filling.stored.spec.dimensions):
                used.setdefault(dimension, []).append((filling.dataset, axis))
                known.setdefault(dimension, filling.elements)
        for column in self._schema.columns:
            if column.kind is Kind.DICTIONARY:  # a scale of its own would make the labels its coordinate, which they are
                self._group[label_name(column)].make_scale(label_name(column))
        for dimension, places in used.items():
            scale = self._scale(dimension, known[dimension])
            for dataset, axis in places:
                if dataset != scale:
                    dataset.dims[axis].attach_scale(scale)

    def _scale(self, dimension: str, length: int) -> Any:
        if dimension in self._filling:
            scale = self._filling[dimension].dataset
            scale.make_scale(dimension)
        else:
            scale = self._group.create_dataset(dimension, shape=(length,), dtype=">f4", track_times=False)
            scale.make_scale(NO_VARIABLE.format(length))
        return scale


class _Filling:
    """One dataset, filled from the front chunk by chunk."""

    def __init__(self, group: Any, stored: Stored, filters: Filters) -> None:
        spec = stored.spec
        self.stored = stored
        self.elements = 0
        self.dataset = group.create_dataset(
            spec.name,
            shape=(0, *spec.inner_shape),
            maxshape=(None, *spec.inner_shape),
            chunks=stored.chunk_shape,
            dtype=stored.dtype,
            track_times=False,
            **filters.options(stored.dtype),
        )
        self._waiting: list[np.ndarray] = []
        self._count = 0  # elements that wait for their chunk to be full
        self._given = 0

    def blocks(self, elements: np.ndarray) -> Iterator[Block]:
        """Whole chunks that these elements complete."""
        chunk, start = self.stored.chunk, 0
        self.elements += len(elements)
        while self._count + len(elements) - start >= chunk:
            stop = start + chunk - self._count
            yield self._block([*self._waiting, elements[start:stop]])
            self._waiting, self._count, start = [], 0, stop
        if start < len(elements):
            self._waiting.append(elements[start:].copy())
            self._count += len(elements) - start

    def rest(self) -> Iterator[Block]:
        """The last chunk, which is filled up with zeros."""
        if self._count:
            padding = np.zeros((self.stored.chunk - self._count, *self.stored.spec.inner_shape), self.stored.dtype)
            yield self._block([*self._waiting, padding])
            self._waiting, self._count = [], 0

    def write(self, place: int, stored: bytes, mask: int) -> None:
        """Put a chunk where it belongs."""
        length = min(place + self.stored.chunk, self.elements)  # never longer than it will be: making it shorter rewrites a chunk
        if self.dataset.shape[0] < length:
            self.dataset.resize(length, axis=0)
        self.dataset.id.write_direct_chunk((place, *(0 for _ in self.stored.spec.inner_shape)), stored, mask)

    def _block(self, pieces: list[np.ndarray]) -> Block:
        place, self._given = self._given, self._given + self.stored.chunk
        whole = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
        return self, place, np.ascontiguousarray(whole, self.stored.dtype)
