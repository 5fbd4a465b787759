"""Columns in numbers, from one pass over their rows in bounded memory."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from arraystore.datasets.sketch import QuantileSketch
from arraystore.frames.columns import EXACT
from arraystore.frames.frame import Frame
from layouts.columns import Column, Kind
from layouts.times import format_time

COMMON = 10
"""Of more values than that, the most frequent ones are told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnStats:
    """What a column holds, in numbers. Levels count each by itself.

    `rows` includes `nulls`. Of numbers, times (int ns since 1970 UTC) and decimals there are `min`, `max`, `mean`, `std` (not of times)
    and `quantiles`, whose ranks are exact to `rank_error` of the whole; `nan` and `infinite` are counted, NaN is left out of all, and
    infinities of mean and std. Of vocabularies, flags, labels and truth values `values` counts each (flags: rows that have the bit),
    most frequent first; of more than ten only these, of `distinct`. Of text and bytes `lengths` are the shortest, the longest and the
    mean, in bytes. What doesn't apply, or has no value to tell it from, is None or empty.
    """

    name: str
    kind: str
    unit: str
    rows: int
    nulls: int
    nan: int = 0
    infinite: int = 0
    min: Any = None
    max: Any = None
    mean: Any = None
    std: float | None = None
    quantiles: Mapping[float, Any] = field(default_factory=dict)
    rank_error: float = 0.0
    distinct: int | None = None
    values: tuple[tuple[str, int], ...] = ()
    lengths: tuple[int, int, float] | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types: times as ISO-8601 UTC, decimals and what isn't finite as text."""

        def told(value: Any) -> Any:
            if value is None or isinstance(value, bool | str):
                return value
            if self.kind == Kind.TIME:
                return format_time(value)
            if isinstance(value, float) and not math.isfinite(value):
                return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
            return value if isinstance(value, int | float) else str(value)

        document = {name: getattr(self, name) for name in ("name", "kind", "unit", "rows", "nulls", "nan", "infinite")}
        document |= {name: told(getattr(self, name)) for name in ("min", "max", "mean")}
        document["std"] = self.std
        document["quantiles"] = {f"{share:g}": told(value) for share, value in self.quantiles.items()}
        document["rank_error"] = self.rank_error
        document["distinct"] = self.distinct
        document["values"] = dict(self.values)
        document["lengths"] = None if self.lengths is None else dict(zip(("min", "max", "mean"), self.lengths, strict=True))
        return document


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetStats:
    """The columns of a dataset at a version in numbers, in the order asked for; `stats["price"]` is one of them."""

    storage_class: str
    key: tuple[str, ...]
    version: int
    rows: int
    columns: tuple[ColumnStats, ...]

    def __getitem__(self, name: str) -> ColumnStats:
        """The column of this name; KeyError where there is none."""
        found = {column.name: column for column in self.columns}
        return found[name]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "class": self.storage_class,
            "key": list(self.key),
            "version": self.version,
            "rows": self.rows,
            "columns": [column.to_json() for column in self.columns],
        }


def statistics_of(frames: Iterable[Frame], columns: Sequence[Column], shares: Sequence[float]) -> tuple[int, list[ColumnStats]]:
    """How many rows frames have in all, and their columns in numbers."""
    counters = [_counter(column) for column in columns]
    rows = 0
    for frame in frames:
        rows += frame.row_count
        for column, counter in zip(columns, counters, strict=True):
            counter.add(frame, column.name)
    return rows, [counter.told(shares) for counter in counters]


class _Counter:
    """What all kinds of columns have."""

    def __init__(self, column: Column) -> None:
        self.column = column
        self.rows = 0
        self.nulls = 0

    def add(self, frame: Frame, name: str) -> None:
        """Count the column's rows of a frame."""
        valid = frame.valid(name)
        self.rows += frame.row_count
        self.nulls += 0 if valid is None else int(frame.row_count - np.count_nonzero(valid))
        if name in frame.rows.arrays:
            self.look(frame, frame.rows.arrays[f"{name}_count" if self.column.is_ragged else name], valid)

    def look(self, frame: Frame, values: np.ndarray, valid: np.ndarray | None) -> None:
        """Look at values; some may be null."""
        raise AssertionError(frame, values, valid)

    def told(self, shares: Sequence[float]) -> ColumnStats:
        """What was found."""
        raise AssertionError(shares)

    def _made(self, **found: Any) -> ColumnStats:
        column = self.column
        return ColumnStats(name=column.name, kind=column.kind.value, unit=column.unit or "", rows=self.rows, nulls=self.nulls, **found)


class _Numbers(_Counter):
    """Numbers, times and decimals."""

    def __init__(self, column: Column) -> None:
        super().__init__(column)
        self.sketch = QuantileSketch()
        self.nan = self.infinite = self.finite = 0
        self.least: Any = None
        self.most: Any = None
        self.total = 0  # of whole numbers, exactly
        self.mean = self.squares = 0.0

    def look(self, frame: Frame, values: np.ndarray, valid: np.ndarray | None) -> None:
        """Look at values; some may be null."""
        del frame
        values = (values if valid is None else values[valid]).ravel()
        if values.dtype.kind == "f" and (nan := np.isnan(values)).any():
            self.nan += int(np.count_nonzero(nan))
            values = values[~nan]
        if not values.size:
            return
        least, most = values.min(), values.max()
        self.least = least if self.least is None else min(self.least, least)
        self.most = most if self.most is None else max(self.most, most)
        self.sketch.add(values)
        if values.dtype.kind == "f" and not (np.isfinite(least) and np.isfinite(most)):
            finite = np.isfinite(values)
            self.infinite += int(values.size - np.count_nonzero(finite))
            values = values[finite]
        if values.size:
            self._merge(values)

    def _merge(self, values: np.ndarray) -> None:
        """Mean and squares of deviations of both together (Chan, Golub and LeVeque, 1979)."""
        if values.dtype.kind in "iu":
            total = _exact_sum(values)
            self.total += total
            mean = total / values.size
        else:
            mean = float(values.mean(dtype=np.float64))
        deviations = values.astype(np.float64) - mean
        count = self.finite + values.size
        apart = mean - self.mean
        self.squares += float(np.dot(deviations, deviations)) + apart**2 * (self.finite / count) * values.size
        self.mean += apart * (values.size / count)
        self.finite = count

    def told(self, shares: Sequence[float]) -> ColumnStats:
        """What was found."""
        mean: Any = None
        if self.finite:
            mean = self.mean if np.dtype(self.column.dtype).kind == "f" else self.total / self.finite
        std = math.sqrt(self.squares / self.finite) if self.finite else None
        if self.column.kind is Kind.TIME:
            std = None
            mean = None if mean is None else self.total // self.finite
        elif self.column.kind is Kind.DECIMAL:
            scale = 10.0 ** (self.column.places or 0)
            mean, std = (None if each is None else each / scale for each in (mean, std))
        return self._made(
            nan=self.nan,
            infinite=self.infinite,
            min=self._value(self.least),
            max=self._value(self.most),
            mean=mean,
            std=std,
            quantiles=dict(zip(shares, map(self._value, self.sketch.quantiles(shares)), strict=False)),
            rank_error=self.sketch.rank_error,
        )

    def _value(self, found: Any) -> Any:
        """A value as Python has it; a mantissa as the decimal it stands for."""
        if found is None:
            return None
        if self.column.kind is Kind.DECIMAL:
            return EXACT.scaleb(EXACT.create_decimal(int(found)), -(self.column.places or 0))
        return found.item()


def _exact_sum(values: np.ndarray) -> int:
    """The sum of integers, which int64 may not hold: of the halves of each, which it does for 2³¹ of them."""
    wide = values.astype(np.int64 if values.dtype.kind == "i" else np.uint64, copy=False)
    low = wide & wide.dtype.type(0xFFFF_FFFF)
    return (int((wide >> wide.dtype.type(32)).sum()) << 32) + int(low.sum())


class _Values(_Counter):
    """Vocabularies, labels and truth values: each is counted."""

    def __init__(self, column: Column) -> None:
        super().__init__(column)
        self.counts: Counter[Any] = Counter()

    def look(self, frame: Frame, values: np.ndarray, valid: np.ndarray | None) -> None:
        """Look at values; some may be null."""
        values = (values if valid is None else values[valid]).ravel()
        if self.column.kind is Kind.DICTIONARY:
            counts = np.bincount(values[values >= 0])
            labels = frame.rows.labels.get(self.column.name, ())
            self.counts.update({labels[code]: int(counts[code]) for code in np.flatnonzero(counts)})
        else:
            for value, count in zip(*np.unique(values, return_counts=True), strict=True):
                self.counts[value.item()] += int(count)

    def told(self, shares: Sequence[float]) -> ColumnStats:
        """What was found."""
        del shares
        meanings: dict[Any, str] = {value: meaning for meaning, value in self.column.vocabulary}
        if self.column.dtype == "bool":
            meanings = {False: "false", True: "true"}
        told = {str(meanings.get(value, value)): number for value, number in self.counts.items()}
        ranked = sorted(told.items(), key=lambda pair: (-pair[1], pair[0]))
        return self._made(distinct=len(ranked), values=tuple(ranked[:COMMON]))


class _Flags(_Counter):
    """Bits: rows that have each of them."""

    def __init__(self, column: Column) -> None:
        super().__init__(column)
        self.counts = np.zeros(8 * np.dtype(column.dtype).itemsize, np.int64)

    def look(self, frame: Frame, values: np.ndarray, valid: np.ndarray | None) -> None:
        """Look at values; some may be null."""
        del frame
        values = (values if valid is None else values[valid]).ravel()
        for bit in np.flatnonzero([np.bitwise_or.reduce(values) >> bit & 1 for bit in range(len(self.counts))]) if values.size else ():
            self.counts[bit] += np.count_nonzero(values & values.dtype.type(1 << int(bit)))

    def told(self, shares: Sequence[float]) -> ColumnStats:
        """What was found."""
        del shares
        names = {value: meaning for meaning, value in self.column.vocabulary}
        found = [(names.get(1 << bit, f"bit {bit}"), int(count)) for bit, count in enumerate(self.counts) if count]
        return self._made(values=tuple(sorted(found, key=lambda pair: -pair[1])))


class _Lengths(_Counter):
    """Text and bytes: how long they are."""

    def __init__(self, column: Column) -> None:
        super().__init__(column)
        self.shortest, self.longest, self.total = math.inf, 0, 0

    def look(self, frame: Frame, values: np.ndarray, valid: np.ndarray | None) -> None:
        """Look at values; some may be null."""
        del frame
        values = values if valid is None else values[valid]
        if values.size:
            self.shortest, self.longest = min(self.shortest, int(values.min())), max(self.longest, int(values.max()))
            self.total += int(values.sum(dtype=np.int64))

    def told(self, shares: Sequence[float]) -> ColumnStats:
        """What was found."""
        del shares
        there = self.rows - self.nulls
        return self._made(lengths=(int(self.shortest), self.longest, self.total / there) if there else None)


def _counter(column: Column) -> _Counter:
    if column.is_ragged:
        return _Lengths(column)
    if column.kind is Kind.FLAGS:
        return _Flags(column)
    if column.kind in (Kind.VOCABULARY, Kind.DICTIONARY) or column.dtype == "bool":
        return _Values(column)
    return _Numbers(column)
