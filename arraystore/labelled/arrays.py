"""The variables of a lazy Dataset: arrays that read rows of a dataset when they are indexed."""

import threading
from typing import Any

import numpy as np
from xarray.backends import BackendArray
from xarray.core import indexing

from arraystore.frames.xarrayframe import rowwise_specs, rowwise_values
from arraystore.labelled.source import Source
from arraystore.segments.plan import Runs, run, runs_of
from layouts.schema import ArraySpec


class ColumnArray(BackendArray):
    """One of the arrays of a Dataset by row. Picklable; safe to share between threads.

    Called from a thread that isn't the main one it decodes on that thread alone: whoever has threads of his own, as Dask has, keeps the
    processors busy himself.
    """

    def __init__(self, source: Source, spec: ArraySpec, start: int, stop: int) -> None:
        self.source = source
        self.spec = spec
        self.start = start
        self.stop = stop
        self.shape = (stop - start, *spec.inner_shape)
        self.dtype = np.dtype(spec.dtype)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, indexing.VectorizedIndexer):
            return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self.read)
        return self.read(key.tuple)

    def read(self, key: tuple[Any, ...]) -> Any:
        """What an orthogonal key chooses: per dimension an integer, a slice or an array of integers."""
        rows, *levels = key
        picked, order = numbers_of(rows, self.shape[0])
        threads = None if threading.current_thread() is threading.main_thread() else 1
        values = read_values(self.source, self.spec, Runs(picked.starts + self.start, picked.stops + self.start), threads)
        if order is not None:
            values = values[order]
        for level in levels:
            values = values[:, level]
        return values.reshape(values.shape[1:]) if isinstance(rows, int | np.integer) else values


def read_values(source: Source, spec: ArraySpec, picked: Runs, threads: int | None) -> np.ndarray:
    """Some rows of one of the arrays of a Dataset by row."""
    if spec.role == "valid":
        return source.extent.read_validity(picked, spec.column, threads)
    return rowwise_values(source.extent.read(picked, [spec.column], threads), spec)


def column_arrays(source: Source, columns: frozenset[str]) -> dict[str, ColumnArray]:
    """The arrays of some columns, over all rows of a source."""
    extent = source.extent
    return {spec.name: ColumnArray(source, spec, 0, extent.rows) for spec in rowwise_specs(extent.schema) if spec.column in columns}


def numbers_of(key: Any, size: int) -> tuple[Runs, np.ndarray | slice | None]:
    """Which rows a key chooses, as runs, and where among these each row of the result is (None: as they are)."""
    if isinstance(key, int | np.integer):
        number = int(key) % size
        return run(number, number + 1), None
    if isinstance(key, slice):
        chosen = range(size)[key]
        if chosen.step == 1:
            return run(chosen.start, chosen.stop), None
        numbers = np.arange(chosen.start, chosen.stop, chosen.step)
        return (runs_of(numbers), None) if chosen.step > 0 else (runs_of(numbers[::-1]), slice(None, None, -1))
    numbers = np.asarray(key, np.int64)
    numbers = np.where(numbers < 0, numbers + size, numbers)
    if bool((numbers[1:] > numbers[:-1]).all()):
        return runs_of(numbers), None
    unique, order = np.unique(numbers, return_inverse=True)
    return runs_of(unique), order
