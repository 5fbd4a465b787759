"""Whether a segment's values, as they are decoded one after another, are such as its schema and its index say."""

from collections.abc import Callable, Iterator

import numpy as np

from arraystore.domain import TRUTH, domain_of, invalid_utf8_row
from arraystore.segments.chunkreads import iter_chunks
from arraystore.segments.index import ZoneIndex
from arraystore.segments.logical import time_bounds
from arraystore.storage.base import Storage
from layouts.schema import ArraySpec, Column, Kind, Order

type Chunks = Iterator[np.ndarray]
type Reads = Callable[[str], Chunks]


def watched(storage: Storage, prefix: str, index: ZoneIndex, spec: ArraySpec, problems: list[str], threads: int | None = None) -> Chunks:
    """The decoded chunks of an array that is there, each looked at as it passes; what is wrong with any is noted, the first time."""

    def reads(array: str) -> Chunks:
        return iter_chunks(storage, prefix, index.tables[array], threads)

    column = index.schema.column(spec.column)
    tests: list[Callable[[int, np.ndarray, np.ndarray | None], str]] = []
    if spec.role == "valid":
        tests.append(lambda _, chunk, __: TRUTH.problem(chunk))
    elif spec.is_payload:
        if column.kind is Kind.TEXT:
            tests.append(_Text(index, column, reads))
    else:
        tests += _row_tests(index, spec, column)
    valid = _Cut(reads(f"{column.name}_valid")) if spec.role != "valid" and f"{column.name}_valid" in index.tables else None
    found = False
    for number, chunk in enumerate(reads(spec.name)):
        here = None if valid is None or spec.is_payload else valid.take(len(chunk))
        for test in () if found else tests:
            if problem := test(number, chunk, here):
                found = True
                problems.append(f"{prefix}/{spec.name}: chunk {number}: {problem}")
        yield chunk


def _row_tests(index: ZoneIndex, spec: ArraySpec, column: Column) -> Iterator[Callable[[int, np.ndarray, np.ndarray | None], str]]:
    yield lambda _, chunk, valid: _under_nulls(chunk, valid, column)
    if column.name in index.bounds:
        yield lambda number, chunk, valid: _bounds(index, column.name, number, time_bounds(chunk, valid))
    if column.name == index.schema.axis and index.schema.order == Order.TIME:
        yield _Ascending()
    if column.kind is Kind.DICTIONARY:
        yield lambda number, chunk, valid: _codes(index, column.name, number, chunk, valid)
    if spec.role == "count":
        yield lambda number, chunk, _: _bytes_of(index, column.name, number, chunk)
    elif (domain := domain_of(column, has_nulls=False)) is not None:
        yield lambda _, chunk, valid: domain.problem(chunk if valid is None else chunk[valid])


class _Cut:
    """A stream of truth values, cut anew into pieces of any length."""

    def __init__(self, chunks: Chunks) -> None:
        self._chunks = chunks
        self._rest = np.empty(0, np.bool_)

    def take(self, count: int) -> np.ndarray:
        """The next elements, which there are."""
        while len(self._rest) < count:
            self._rest = np.concatenate([self._rest, next(self._chunks)])
        taken, self._rest = self._rest[:count], self._rest[count:]
        return taken


def _under_nulls(chunk: np.ndarray, valid: np.ndarray | None, column: Column) -> str:
    if valid is None:
        return ""
    below, wanted = chunk[~valid], column.null_stand_in
    same = np.isnan(below) if below.dtype.kind == "f" else below == wanted
    return "" if same.all() else f"under a null lies {below[~same].flat[0]}, where {wanted} stands for it"


def _bounds(index: ZoneIndex, clock: str, number: int, found: tuple[int, int]) -> str:
    low, high = index.bounds[clock]
    told = int(low[number]), int(high[number])
    if found == told or (found[0] > found[1] and told[0] > told[1]):
        return ""
    return f"its times go from {found[0]} to {found[1]}, where the index says {told[0]} to {told[1]}"


class _Ascending:
    """In time order, axis times never decrease within a segment."""

    def __init__(self) -> None:
        self._last = np.iinfo(np.int64).min

    def __call__(self, _number: int, chunk: np.ndarray, _valid: np.ndarray | None) -> str:
        before, self._last = self._last, int(chunk[-1])
        return "its times step back" if chunk[0] < before or (chunk[1:] < chunk[:-1]).any() else ""


def _codes(index: ZoneIndex, column: str, number: int, chunk: np.ndarray, valid: np.ndarray | None) -> str:
    used = chunk if valid is None else chunk[valid]
    labels = len(index.labels[column])
    if len(used) and (used.min() < 0 or used.max() >= labels):
        return f"it has codes from {used.min()} to {used.max()}, where there are {labels} labels"
    if column not in index.codes:
        return ""
    told = np.unpackbits(index.codes[column][number], bitorder="little")[:labels].astype(np.bool_)
    found = np.bincount(used, minlength=labels).astype(np.bool_)
    return "" if np.array_equal(told, found) else "its labels aren't those that the index says"


def _bytes_of(index: ZoneIndex, column: str, number: int, chunk: np.ndarray) -> str:
    found, first = int(chunk.sum(dtype=np.int64)), index.elements[column]
    told = int(first[number + 1] - first[number])
    return "" if found == told else f"its rows have {found} bytes, where the index says {told}"


class _Text:
    """The bytes of a text column: every row by itself is UTF-8. Looks at the rows of one chunk of counts at a time."""

    def __init__(self, index: ZoneIndex, column: Column, reads: Reads) -> None:
        self._first = index.elements[column.name]
        self._counts = reads(f"{column.name}_count")
        self._number = 0  # of the chunk of counts that comes next
        self._pieces: list[np.ndarray] = []
        self._held = self._row = 0

    def __call__(self, _number: int, chunk: np.ndarray, _valid: np.ndarray | None) -> str:
        self._pieces.append(chunk)
        self._held += len(chunk)
        while self._number + 1 < len(self._first):
            wanted = int(self._first[self._number + 1] - self._first[self._number])
            if wanted > self._held:
                break
            counts = next(self._counts)
            whole = np.concatenate(self._pieces)
            self._pieces, self._held, self._number = [whole[wanted:]], self._held - wanted, self._number + 1
            if int(counts.sum(dtype=np.int64)) == wanted and (row := invalid_utf8_row(whole[:wanted], counts)) is not None:
                return f"row {self._row + row} isn't valid UTF-8"
            self._row += len(counts)
        return ""
