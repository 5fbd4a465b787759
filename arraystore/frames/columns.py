"""Column values that NumPy has no type for: bytes and text of any length, labels behind codes, decimals behind integers."""

import decimal
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import batched
from typing import Any, Self, overload

import numpy as np

from arraystore.frames.rows import Rows, gather_bytes, stand_ins
from layouts.schema import Kind

BLOCK_ROWS = 1 << 16
EXACT = decimal.Context(prec=40)  # whatever the caller's context, an int64 mantissa isn't rounded

type Index = slice | Sequence[int] | Sequence[bool] | np.ndarray
type Value = np.ndarray | Ragged | Labels | Decimals


@dataclass(frozen=True, slots=True, eq=False)
class Ragged:
    """Bytes or UTF-8 text of any length per row, without a Python object per row: row i is `data[offsets[i]:offsets[i + 1]]`.

    `data` is uint8; `offsets` is int64, one longer than there are rows, and may start above 0 (as Arrow's). Rows where `valid`
    (bool per row; None: all) is False are null, and empty. Item access gives `bytes` or `str`, a slice or a mask another `Ragged`.
    """

    data: np.ndarray
    offsets: np.ndarray
    text: bool = False
    valid: np.ndarray | None = None

    @classmethod
    def from_counts(cls, data: np.ndarray, counts: np.ndarray, *, text: bool, valid: np.ndarray | None = None) -> Self:
        """From the length of each row, as the format keeps it."""
        offsets = np.zeros(len(counts) + 1, np.int64)
        np.cumsum(counts, out=offsets[1:])
        return cls(data, offsets, text, valid)

    @classmethod
    def from_values(cls, values: Iterable[str | bytes | None], *, text: bool) -> Self:
        """From Python's `bytes` and `str` (as UTF-8); None is null."""
        encoded = [value.encode() if isinstance(value, str) else value for value in values]
        counts = np.fromiter((0 if value is None else len(value) for value in encoded), np.int64, len(encoded))
        valid = np.fromiter((value is not None for value in encoded), np.bool_, len(encoded))
        data = np.frombuffer(b"".join(value for value in encoded if value), np.uint8)
        return cls.from_counts(data, counts, text=text, valid=None if valid.all() else valid)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @overload
    def __getitem__(self, index: int) -> bytes | str | None: ...
    @overload
    def __getitem__(self, index: Index) -> "Ragged": ...
    def __getitem__(self, index: int | Index) -> "bytes | str | Ragged | None":
        chosen = _chosen(index, len(self))
        if isinstance(chosen, int):
            if self.valid is not None and not self.valid[chosen]:
                return None
            value = self.data[self.offsets[chosen] : self.offsets[chosen + 1]].tobytes()
            return value.decode() if self.text else value
        valid = None if self.valid is None else self.valid[chosen]
        if isinstance(chosen, slice):
            return Ragged(self.data, self.offsets[chosen.start : chosen.stop + 1], self.text, valid)
        counts = self.counts[chosen]
        return Ragged.from_counts(gather_bytes(self.data, self.offsets[:-1][chosen], counts), counts, text=self.text, valid=valid)

    def __iter__(self) -> Iterator[bytes | str | None]:
        for start in range(0, len(self), BLOCK_ROWS):
            offsets = self.offsets[start : start + BLOCK_ROWS + 1]
            block = self.data[offsets[0] : offsets[-1]].tobytes()
            ends = (offsets - offsets[0]).tolist()
            valid = [True] * (len(ends) - 1) if self.valid is None else self.valid[start : start + BLOCK_ROWS].tolist()
            for first, last, is_valid in zip(ends[:-1], ends[1:], valid, strict=True):
                value = block[first:last]
                yield (value.decode() if self.text else value) if is_valid else None

    def __repr__(self) -> str:
        return _described(self, f"{'text' if self.text else 'bytes'}, {self.nbytes} bytes")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:  # noqa: FBT001 - as NumPy calls it
        return _object_array(self, len(self), dtype, copy)

    @property
    def counts(self) -> np.ndarray:
        """Bytes of each row, int64."""
        return np.diff(self.offsets)

    @property
    def nbytes(self) -> int:
        """Bytes of all rows together."""
        return int(self.offsets[-1] - self.offsets[0])

    @property
    def content(self) -> np.ndarray:
        """All rows' bytes back to back, as a view."""
        return self.data[self.offsets[0] : self.offsets[-1]]

    def tolist(self) -> list[bytes | str | None]:
        """One Python object per row; None where null."""
        return list(self)

    def to_arrow(self) -> Any:
        """A `pyarrow` LargeString or LargeBinary array over the same memory."""
        from arraystore.frames.arrow import from_ragged

        return from_ragged(self)


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """One of a few texts per row: row i is `labels[codes[i]]`, or null where the code (int32) is −1."""

    codes: np.ndarray
    labels: tuple[str, ...]

    @classmethod
    def from_values(cls, values: Iterable[str | None]) -> Self:
        """From Python's `str`; None is null; codes count labels in order of first appearance."""
        code_of: dict[str | None, int] = {None: -1}
        codes: list[np.ndarray] = [np.empty(0, np.int32)]
        for batch in batched(values, BLOCK_ROWS):
            for label in dict.fromkeys(batch):
                code_of.setdefault(label, len(code_of) - 1)
            codes.append(np.fromiter(map(code_of.__getitem__, batch), np.int32, len(batch)))
        return cls(np.concatenate(codes), tuple(label for label in code_of if label is not None))

    def __len__(self) -> int:
        return len(self.codes)

    @overload
    def __getitem__(self, index: int) -> str | None: ...
    @overload
    def __getitem__(self, index: Index) -> "Labels": ...
    def __getitem__(self, index: int | Index) -> "str | Labels | None":
        chosen = _chosen(index, len(self))
        if isinstance(chosen, int):
            code = int(self.codes[chosen])
            return None if code < 0 else self.labels[code]
        return Labels(self.codes[chosen], self.labels)

    def __iter__(self) -> Iterator[str | None]:
        named = (*self.labels, None)  # code −1 is the last
        for start in range(0, len(self), BLOCK_ROWS):
            yield from (named[code] for code in self.codes[start : start + BLOCK_ROWS].tolist())

    def __repr__(self) -> str:
        return _described(self, f"{len(self.labels)} labels")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:  # noqa: FBT001 - as NumPy calls it
        return _object_array(self, len(self), dtype, copy)

    @property
    def valid(self) -> np.ndarray | None:
        """Which rows aren't null; None where all are valid."""
        valid = self.codes != -1
        return None if valid.all() else valid

    def matches(self, *labels: str) -> np.ndarray:
        """Which rows have one of these labels, as a bool mask, without making a text per row."""
        wanted = np.array([*(label in labels for label in self.labels), False], np.bool_)
        return np.take(wanted, self.codes, mode="wrap")

    def tolist(self) -> list[str | None]:
        """One Python object per row; None where null."""
        return list(self)

    def to_arrow(self) -> Any:
        """A `pyarrow` dictionary array over the same codes."""
        from arraystore.frames.arrow import from_labels

        return from_labels(self)


@dataclass(frozen=True, slots=True, eq=False)
class Decimals:
    """Exact decimals: row i is `mantissa[i]` (int64) divided by 10 to the power of `places`; null where `valid` is False.

    As a NumPy array they are float64, by that division. Item access gives `decimal.Decimal`.
    """

    mantissa: np.ndarray
    places: int
    valid: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.mantissa)

    @overload
    def __getitem__(self, index: int) -> decimal.Decimal | None: ...
    @overload
    def __getitem__(self, index: Index) -> "Decimals": ...
    def __getitem__(self, index: int | Index) -> "decimal.Decimal | Decimals | None":
        chosen = _chosen(index, len(self))
        if isinstance(chosen, int):
            return next(iter(self[chosen : chosen + 1]))
        return Decimals(self.mantissa[chosen], self.places, None if self.valid is None else self.valid[chosen])

    def __iter__(self) -> Iterator[decimal.Decimal | None]:
        for start in range(0, len(self), BLOCK_ROWS):
            mantissas = self.mantissa[start : start + BLOCK_ROWS].tolist()
            valid = [True] * len(mantissas) if self.valid is None else self.valid[start : start + BLOCK_ROWS].tolist()
            for mantissa, is_valid in zip(mantissas, valid, strict=True):
                yield decimal.Decimal(mantissa).scaleb(-self.places, EXACT) if is_valid else None

    def __repr__(self) -> str:
        return _described(self, f"{self.places} places")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:  # noqa: FBT001 - as NumPy calls it
        if dtype is not None and np.dtype(dtype) == np.dtype(object):
            return _object_array(self, len(self), dtype, copy)
        _refuse_no_copy(copy)
        values = self.mantissa / 10.0**self.places
        if self.valid is not None:
            values[~self.valid] = np.nan
        return values if dtype is None else values.astype(dtype)

    def tolist(self) -> list[decimal.Decimal | None]:
        """One Python object per row; None where null."""
        return list(self)

    def to_arrow(self) -> Any:
        """A `pyarrow` decimal128 array."""
        from arraystore.frames.arrow import from_decimals

        return from_decimals(self)


def value_of(rows: Rows, name: str) -> Value:
    """A column of rows as users meet it: times as datetime64[ns], text and bytes ragged, labels and decimals decoded on demand."""
    column = rows.schema.column(name)
    arrays = rows.arrays if name in rows.arrays else stand_ins(column, rows.count)
    if column.is_ragged:
        return Ragged.from_counts(arrays[name], arrays[f"{name}_count"], text=column.kind is Kind.TEXT, valid=rows.validity(name))
    if column.kind is Kind.DICTIONARY:
        return Labels(arrays[name], rows.labels.get(name, ()))
    if column.kind is Kind.DECIMAL:
        assert column.places is not None
        return Decimals(arrays[name], column.places, rows.validity(name))
    return arrays[name].view("datetime64[ns]") if column.kind is Kind.TIME else arrays[name]


def _chosen(index: int | Index, length: int) -> int | slice | np.ndarray:
    """The row, the forward slice with both ends, or the row numbers that an index means."""
    if isinstance(index, slice):
        start, stop, step = index.indices(length)
        return slice(start, max(start, stop)) if step == 1 else np.arange(start, stop, step)
    rows = np.asarray(index)
    if rows.dtype == np.bool_ and rows.shape == (length,):
        return np.flatnonzero(rows)
    if rows.size == 0 and rows.ndim == 1:
        return np.empty(0, np.int64)
    if rows.dtype.kind not in "iu" or rows.ndim > 1:
        msg = f"rows are chosen by a number, a slice, row numbers or a mask of {length}, not by {index!r}"
        raise IndexError(msg)
    rows = rows.astype(np.int64)
    if rows.min() < -length or rows.max() >= length:
        msg = f"row {index!r} isn't among {length} rows"
        raise IndexError(msg)
    rows = np.where(rows < 0, rows + length, rows)
    return rows if rows.ndim else int(rows)


def _object_array(values: Iterable[object], length: int, dtype: Any, copy: bool | None) -> np.ndarray:  # noqa: FBT001 - as NumPy calls it
    _refuse_no_copy(copy)
    result = np.empty(length, object)
    result[:] = list(values)
    return result if dtype is None else result.astype(dtype)


def _refuse_no_copy(copy: bool | None) -> None:  # noqa: FBT001 - as NumPy calls it
    if copy is False:
        msg = "these values have no NumPy form of their own, so an array is always a copy"
        raise ValueError(msg)


def _described(values: "Ragged | Labels | Decimals", what: str) -> str:
    head = ", ".join(repr(value) for value in values[:3])
    return f"{type(values).__name__}([{head}{', …' if len(values) > 3 else ''}], {len(values)} rows, {what})"
