"""Rows as the format sees them: one NumPy array per array of FORMAT.md section 5, and the labels that codes index."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np

from layouts.schema import Column, Kind, Schema

MARK_ROWS = 4096
GATHER_BYTES = 1 << 20
RUN_BYTES = 256

type Arrays = dict[str, np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """`count` rows of `schema`, held as arrays named as on disk; nothing in it is ever changed.

    `arrays` has `x` per column (`x` and `x_count` for text and bytes) and, where rows of `x` are null, `x_valid`. A column that
    isn't there is null throughout; without `x_valid` every row is valid; under a null lies the stand-in. `labels` has one tuple per
    dictionary column.
    Slices share memory with what they were cut from. Methods may be called from many threads.
    """

    schema: Schema
    count: int
    arrays: Arrays
    labels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _marks: Arrays = field(default_factory=dict, init=False, repr=False)  # bytes before every 4,096th row of a ragged column

    def __post_init__(self) -> None:
        for column in self.schema.columns:
            if column.name in self.arrays:
                per_row = f"{column.name}_count" if column.is_ragged else column.name
                assert len(self.arrays[per_row]) == self.count, (per_row, len(self.arrays[per_row]), self.count)

    def __len__(self) -> int:
        return self.count

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays and labels, as if nothing were shared."""
        labels = sum(len(label) for labels in self.labels.values() for label in labels)
        return labels + sum([array.nbytes for array in self.arrays.values()])

    def validity(self, name: str) -> np.ndarray | None:
        """Which rows of a column aren't null: bool per row, or None where all are valid."""
        if name not in self.arrays:
            return np.zeros(self.count, np.bool_) if self.count else None
        return self.arrays.get(f"{name}_valid")

    def byte_position(self, name: str, row: int) -> int:
        """How many bytes of a text or bytes column come before `row`."""
        counts = self.arrays[f"{name}_count"]
        if name not in self._marks:
            starts = np.arange(0, len(counts), MARK_ROWS)
            sums = np.add.reduceat(counts, starts, dtype=np.int64) if len(counts) else np.zeros(0, np.int64)
            self._marks[name] = np.concatenate(([0], np.cumsum(sums)))
        mark = min(row // MARK_ROWS, len(self._marks[name]) - 1)
        return int(self._marks[name][mark]) + int(counts[mark * MARK_ROWS : row].sum(dtype=np.int64))

    def slice(self, start: int, stop: int) -> "Rows":
        """Rows `start` to `stop` (both from 0 to `count`), as views."""
        assert 0 <= start <= stop <= self.count, (start, stop, self.count)
        if start == 0 and stop == self.count:
            return self
        arrays: Arrays = {}
        for column, name in self._held():
            if column.is_ragged and name == column.name:
                arrays[name] = self.arrays[name][self.byte_position(name, start) : self.byte_position(name, stop)]
            else:
                arrays[name] = self.arrays[name][start:stop]
        return Rows(schema=self.schema, count=stop - start, arrays=arrays, labels=self.labels)

    def take(self, indices: np.ndarray) -> "Rows":
        """The rows at `indices` (integers from 0), in that order, as copies."""
        arrays: Arrays = {}
        for column, name in self._held():
            if column.is_ragged and name == column.name:
                counts = self.arrays[f"{name}_count"]
                ends = np.cumsum(counts, dtype=np.int64)
                arrays[name] = gather_bytes(self.arrays[name], (ends - counts)[indices], counts[indices])
            else:
                arrays[name] = np.take(self.arrays[name], indices, axis=0)
        return Rows(schema=self.schema, count=len(indices), arrays=arrays, labels=self.labels)

    def project(self, columns: Iterable[str]) -> "Rows":
        """Only these columns, in the schema's order; the axis goes too unless it is named."""
        names = set(columns)
        schema = self.schema.only(names)
        assert len(schema.columns) == len(names), names - set(self.schema.names)
        if schema is self.schema:
            return self
        arrays = {name: self.arrays[name] for column, name in self._held() if column.name in names}
        labels = {name: labels for name, labels in self.labels.items() if name in names}
        return Rows(schema=schema, count=self.count, arrays=arrays, labels=labels)

    def reorder(self, columns: Sequence[str]) -> "Rows":
        """The same rows with the columns in this order, which names each of them once."""
        if columns == self.schema.names:
            return self
        ordered = tuple(map(self.schema.column, columns))
        assert len(ordered) == len(self.schema.columns), (columns, self.schema.names)
        schema = msgspec.structs.replace(self.schema, columns=ordered)
        return Rows(schema=schema, count=self.count, arrays=self.arrays, labels=self.labels)

    def tidy(self) -> "Rows":
        """The same rows as a segment stores them: no needless `x_valid`, no column that is null throughout, no unused label."""
        if not self.labels and not any(name.endswith("_valid") for name in self.arrays):
            return self
        arrays, labels = dict(self.arrays), dict(self.labels)
        for column in self.schema.columns:
            name = column.name
            valid = arrays.get(f"{name}_valid")
            if valid is not None and valid.all():
                del arrays[f"{name}_valid"]
            elif valid is not None and not valid.any():
                for gone in array_names(column):
                    arrays.pop(gone, None)
                labels.pop(name, None)
            if name in labels and name in arrays:
                arrays[name], labels[name] = _used_labels(arrays[name], labels[name])
        return Rows(schema=self.schema, count=self.count, arrays=arrays, labels=labels)

    def _held(self) -> list[tuple[Column, str]]:
        """Each array that is there, beside the column it belongs to."""
        return [(column, name) for column in self.schema.columns for name in array_names(column) if name in self.arrays]


def array_names(column: Column) -> tuple[str, ...]:
    """Names of the arrays that a column may have."""
    if column.is_ragged:
        return column.name, f"{column.name}_count", f"{column.name}_valid"
    return column.name, f"{column.name}_valid"


def stand_ins(column: Column, count: int) -> Arrays:
    """The arrays of a column that is null throughout, without its validity."""
    if column.is_ragged:
        return {column.name: np.empty(0, np.uint8), f"{column.name}_count": np.zeros(count, np.uint32)}
    shape = (count,) if column.levels is None else (count, column.levels)
    return {column.name: np.full(shape, column.null_stand_in, column.dtype)}


def empty(schema: Schema) -> Rows:
    """No rows."""
    arrays: Arrays = {}
    for column in schema.columns:
        arrays |= stand_ins(column, 0)
    return Rows(schema=schema, count=0, arrays=arrays, labels={c.name: () for c in schema.columns if c.kind is Kind.DICTIONARY})


def concat(parts: Sequence[Rows], schema: Schema | None = None) -> Rows:
    """The rows of all parts, in order, as rows of `schema` (by default the last part's), whose older forms the parts may have.

    Columns that a part lacks are null there, narrower numbers are widened, and codes are renumbered for the union of the labels.
    """
    schema = schema or parts[-1].schema
    if len(parts) == 1 and parts[0].schema == schema:
        return parts[0]
    arrays: Arrays = {}
    labels: dict[str, tuple[str, ...]] = {}
    for column in schema.columns:
        name = column.name
        if not any(name in part.arrays for part in parts):
            continue
        pieces = [part.arrays if name in part.arrays else stand_ins(column, part.count) for part in parts]
        if column.kind is Kind.DICTIONARY:
            arrays[name], labels[name] = _concat_codes(
                [(piece[name], part.labels.get(name, ())) for piece, part in zip(pieces, parts, strict=True)]
            )
        else:
            arrays[name] = np.concatenate([piece[name] for piece in pieces], dtype=column.dtype)
        if column.is_ragged:
            arrays[f"{name}_count"] = np.concatenate([piece[f"{name}_count"] for piece in pieces])
        valid = [part.validity(name) for part in parts]
        if any(each is not None for each in valid):
            filled = (np.ones(part.count, np.bool_) if each is None else each for part, each in zip(parts, valid, strict=True))
            arrays[f"{name}_valid"] = np.concatenate(list(filled))
            if column.dtype.startswith("float") and any(piece[name].dtype.kind != "f" for piece in pieces):
                restore_stand_ins(arrays, column)
    return Rows(schema=schema, count=sum(part.count for part in parts), arrays=arrays, labels=labels)


def restore_stand_ins(arrays: Arrays, column: Column) -> None:
    """Under nulls that were widened from integers to floats lies NaN again."""
    valid = arrays.get(f"{column.name}_valid")
    if valid is not None:
        arrays[column.name][~valid] = column.null_stand_in


def gather_bytes(data: np.ndarray, starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The bytes of many stretches of `data`, back to back; temporaries stay near a few megabytes."""
    ends = np.cumsum(counts, dtype=np.int64)
    result = np.empty(int(ends[-1]) if len(ends) else 0, np.uint8)
    row = 0
    while row < len(counts):
        done = int(ends[row]) - int(counts[row])
        last = max(row + 1, int(np.searchsorted(ends, done + GATHER_BYTES, side="right")))
        last = min(last, row + GATHER_BYTES)
        _gather_block(data, starts[row:last], counts[row:last].astype(np.int64), result[done : int(ends[last - 1])])
        row = last
    return result


def _gather_block(data: np.ndarray, starts: np.ndarray, counts: np.ndarray, out: np.ndarray) -> None:
    """Copy by runs where stretches follow each other closely enough to be worth it, else byte by byte in one go."""
    breaks = np.flatnonzero(starts[1:] != starts[:-1] + counts[:-1]) + 1
    if (len(breaks) + 1) * RUN_BYTES <= len(out):
        firsts = np.concatenate(([0], breaks))
        lengths = np.add.reduceat(counts, firsts)
        position = 0
        for start, length in zip(starts[firsts].tolist(), lengths.tolist(), strict=True):
            out[position : position + length] = data[start : start + length]
            position += length
    else:
        shifts = starts - (np.cumsum(counts) - counts)
        np.take(data, np.repeat(shifts, counts) + np.arange(len(out)), out=out, mode="clip")


def _concat_codes(pieces: list[tuple[np.ndarray, tuple[str, ...]]]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Codes over the union of the pieces' labels, in order of first listing."""
    code_of: dict[str, int] = {}
    for _, labels in pieces:
        for label in labels:
            code_of.setdefault(label, len(code_of))
    out = np.empty(sum(len(codes) for codes, _ in pieces), np.int32)
    done = 0
    for codes, labels in pieces:
        renumbered = np.array([*(code_of[label] for label in labels), -1], np.int32)
        np.take(renumbered, codes, out=out[done : done + len(codes)], mode="wrap")  # code -1, a null, wraps to the last
        done += len(codes)
    return out, tuple(code_of)


def _used_labels(codes: np.ndarray, labels: tuple[str, ...]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Drop labels that no row has; the others keep their order."""
    used = np.zeros(len(labels) + 1, np.bool_)
    used[codes] = True
    used[-1] = False
    if used[:-1].all():
        return codes, labels
    renumbered = np.where(used, np.cumsum(used) - 1, -1).astype(np.int32)
    return np.take(renumbered, codes, mode="wrap"), tuple(label for label, kept in zip(labels, used[:-1], strict=True) if kept)
