"""Text, bytes and labels in the form their columns have, made without a Python object per row wherever they come without one."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np

from arraystore.domain import ASCII_LIMIT, invalid_utf8_row
from arraystore.frames.casts import blocks, cast_exactly, kind_of, refused
from arraystore.frames.columns import Decimals, Labels, Ragged, Value
from arraystore.frames.rows import gather_bytes
from layouts.schema import Column, Kind

OBJECT_ROWS = 1 << 16
SCAN_BYTES = 1 << 22
COUNT_LIMIT = 1 << 32

# Labels


def labels(column: Column, values: Value, valid: np.ndarray | None) -> Labels:
    """Codes and labels, in order of first appearance where there were none; what is null has the code −1."""
    if isinstance(values, Labels):
        return _checked_labels(column, values, valid)
    if isinstance(values, Decimals) or (isinstance(values, np.ndarray) and (values.ndim != 1 or values.dtype.kind not in "OUST")):
        raise refused(column, f"holds {kind_of(values)} where labels are wanted; give texts, or Labels(codes, labels)")
    if isinstance(values, Ragged):
        _counts(column, values)
        values = Ragged(values.data, values.offsets, values.text, valid)
    try:
        found = Labels.from_values(chain.from_iterable(_objects(values, valid)))
    except UnicodeDecodeError as error:
        raise refused(column, f"holds {error.object!r}, which isn't valid UTF-8; keep raw bytes in a bytes column") from error
    except TypeError as error:
        raise refused(column, f"holds objects that are no texts ({error}); convert them with str()") from error
    return Labels(found.codes, tuple(_label(column, label, values) for label in found.labels))


def _objects(values: np.ndarray | Ragged, valid: np.ndarray | None) -> Iterator[list[Any]]:
    """Python objects by blocks, None for nulls."""
    for block in blocks(len(values), OBJECT_ROWS):
        items = values[block].tolist()
        if valid is not None:
            items = [item if ok else None for item, ok in zip(items, valid[block].tolist(), strict=True)]
        if float in set(map(type, items)):  # pandas' NaN for missing text
            items = [None if item != item else item for item in items]  # noqa: PLR0124 - only NaN differs from itself
        yield items


def _label(column: Column, label: object, values: Value) -> str:
    text = label
    try:
        if isinstance(text, bytes):
            text = text.decode()
        if isinstance(text, str):
            text.encode()
            return str(text)
    except UnicodeError as error:
        raise refused(column, f"the label {label!r} isn't valid UTF-8 ({error}); keep raw bytes in a bytes column") from error
    row = next(row for row, item in enumerate(values) if item is label or item == label)
    raise refused(column, f"row {row} holds {label!r}, a {type(label).__name__}, where text is wanted; convert it with str()")


def _checked_labels(column: Column, values: Labels, valid: np.ndarray | None) -> Labels:
    """Codes within the labels, each label once."""
    if values.codes.dtype.kind not in "iu" or values.codes.ndim != 1:
        raise refused(
            column, f"its codes are {values.codes.dtype} of shape {list(values.codes.shape)}; codes are whole numbers, one per row"
        )
    codes = values.codes if valid is None else np.where(valid, values.codes, values.codes.dtype.type(0))
    codes = cast_exactly(column, codes, np.dtype(np.int32), None)
    if valid is not None:
        codes = np.where(valid, codes, np.int32(-1))
    if len(codes) and not (codes.min() >= -1 and codes.max() < len(values.labels)):
        row = int(np.argmax((codes < -1) | (codes >= len(values.labels))))
        what = (
            f"row {row} holds the code {codes[row]}, where there are {len(values.labels)} labels; codes count them from 0, and -1 is null"
        )
        raise refused(column, what)
    names = tuple(_label(column, label, np.array(values.labels, object)) for label in values.labels)
    if len(set(names)) == len(names):
        return Labels(codes, names)
    place_of = {label: place for place, label in enumerate(dict.fromkeys(names))}
    renumbered = np.array([*(place_of[label] for label in names), -1], np.int32)
    return Labels(np.take(renumbered, codes, mode="wrap"), tuple(place_of))


# Text and bytes


def ragged(column: Column, values: Value, valid: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """All rows' bytes back to back, the bytes of each (uint32), and which are valid; a null has none. Text is checked to be UTF-8."""
    if isinstance(values, Decimals) or (isinstance(values, np.ndarray) and (values.ndim != 1 or values.dtype.kind not in "OUST")):
        raise refused(column, f"holds {kind_of(values)} where {column.kind} is wanted; give str, bytes, or Ragged(data, offsets)")
    if isinstance(values, Labels):
        values = _spelled_out(column, values, valid)
    elif isinstance(values, np.ndarray):
        values, valid = _from_array(column, values, valid)
    counts = _counts(column, values)
    content = values.content
    if valid is not None and counts[~valid].any():
        content = gather_bytes(values.data, values.offsets[:-1][valid], counts[valid])
        counts[~valid] = 0
    if column.kind is Kind.TEXT and (row := invalid_utf8_row(content, counts)) is not None:
        raise refused(column, f"row {row} isn't valid UTF-8; make the column one of bytes, or decode and encode it before")
    return content, counts, valid


def _counts(column: Column, values: Ragged) -> np.ndarray:
    offsets, data = values.offsets, values.data
    if data.dtype != np.uint8 or data.ndim != 1 or offsets.dtype != np.int64 or offsets.ndim != 1 or not len(offsets):
        raise refused(column, "its data must be uint8 and its offsets int64, one more than there are rows")
    counts = np.empty(len(values), np.uint32)
    for block in blocks(len(values)):
        lengths = np.diff(offsets[block.start : block.stop + 1])
        if lengths.min() < 0 or lengths.max() >= COUNT_LIMIT:
            row = block.start + int(np.argmax((lengths < 0) | (lengths >= COUNT_LIMIT)))
            raise refused(
                column, f"row {row} goes from byte {offsets[row]} to {offsets[row + 1]}; a row has from 0 to {COUNT_LIMIT - 1} bytes"
            )
        counts[block] = lengths
    if offsets[0] < 0 or offsets[-1] > len(data):
        raise refused(column, f"its offsets go from {offsets[0]} to {offsets[-1]}, outside of the {len(data)} bytes there are")
    return counts


def _spelled_out(column: Column, values: Labels, valid: np.ndarray | None) -> Ragged:
    """Labels as text: each row the bytes of its label."""
    checked = _checked_labels(column, values, valid)
    spelled = Ragged.from_values([*checked.labels, ""], text=True)  # code −1 takes the last, an empty one
    codes = np.where(checked.codes < 0, len(checked.labels), checked.codes)
    return spelled[codes]


def _from_array(column: Column, values: np.ndarray, valid: np.ndarray | None) -> tuple[Ragged, np.ndarray | None]:
    try:
        if values.dtype.kind in "SU":
            return _from_fixed_width(values), valid
        parts = list(_parts(column, values, valid))
    except UnicodeEncodeError as error:
        raise refused(column, f"{error.object!r} can't be UTF-8 ({error.reason}); lone surrogates aren't text") from error
    content = np.concatenate([np.empty(0, np.uint8), *(part.data for part in parts)])
    counts = np.concatenate([np.empty(0, np.int64), *(part.counts for part in parts)])
    if any(part.valid is not None for part in parts):
        valid = np.concatenate([np.ones(len(part), np.bool_) if part.valid is None else part.valid for part in parts])
    return Ragged.from_counts(content, counts, text=column.kind is Kind.TEXT), valid


def _parts(column: Column, values: np.ndarray, valid: np.ndarray | None) -> Iterator[Ragged]:
    for block, items in zip(blocks(len(values), OBJECT_ROWS), _objects(values, valid), strict=True):
        for kind in set(map(type, items)):
            if not issubclass(kind, str | bytes | bytearray | None):
                row = block.start + next(row for row, item in enumerate(items) if type(item) is kind)
                raise refused(
                    column, f"row {row} holds {values[row]!r}, a {kind.__name__}, where {column.kind} is wanted; give str or bytes"
                )
        yield Ragged.from_values(items, text=column.kind is Kind.TEXT)


def _from_fixed_width(values: np.ndarray) -> Ragged:
    """NumPy's padded texts without their padding; by blocks, because the padding may outweigh the text."""
    contents: list[np.ndarray] = [np.empty(0, np.uint8)]
    counts: list[np.ndarray] = [np.empty(0, np.int64)]
    for block in blocks(len(values), max(1, SCAN_BYTES // max(1, values.itemsize))):
        padded = np.ascontiguousarray(values[block])
        if padded.dtype.kind == "U":
            padded = _utf8(padded)
        if not padded.itemsize:
            counts.append(np.zeros(len(padded), np.int64))
            continue
        lengths = np.strings.str_len(padded)
        grid = padded.view(np.uint8).reshape(len(padded), padded.itemsize)
        contents.append(grid[np.arange(padded.itemsize) < lengths[:, None]])
        counts.append(lengths)
    return Ragged.from_counts(np.concatenate(contents), np.concatenate(counts), text=True)


def _utf8(padded: np.ndarray) -> np.ndarray:
    points = padded.astype(padded.dtype.newbyteorder("="), copy=False).view(np.uint32)
    if points.size and points.max() < ASCII_LIMIT:
        return points.astype(np.uint8).view(f"S{padded.itemsize // 4}")
    return np.strings.encode(padded, "utf-8")
