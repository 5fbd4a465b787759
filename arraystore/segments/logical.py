"""What a segment's arrays say, apart from how they are stored: logical digests of every kind of column, and spans of clocks."""

import hashlib

import numpy as np

from arraystore.digest import LogicalDigest, combine, digest
from arraystore.frames.rows import Rows
from arraystore.versions.commit import Interval
from layouts.schema import ArraySpec, Kind, Schema

LABEL_ROWS = 1 << 16


def clock_spans(rows: Rows) -> dict[str, Interval]:
    """The smallest and the largest valid time of each clock that has any."""
    spans: dict[str, Interval] = {}
    for clock in rows.schema.clocks:
        if clock in rows.arrays:
            low, high = time_bounds(rows.arrays[clock], rows.arrays.get(f"{clock}_valid"))
            if low <= high:
                spans[clock] = (low, high)
    return spans


def time_bounds(times: np.ndarray, valid: np.ndarray | None) -> Interval:
    """Minimum and maximum of the valid times; the first greater than the second where there are none."""
    times = times if valid is None else times[valid]
    if len(times):
        return int(times.min()), int(times.max())
    limits = np.iinfo(np.int64)
    return int(limits.max), int(limits.min)


def is_codes(schema: Schema, spec: ArraySpec) -> bool:
    """Whether an array holds codes of labels."""
    return spec.role == "values" and schema.column(spec.column).kind is Kind.DICTIONARY


def label_hashes(labels: tuple[str, ...]) -> np.ndarray:
    """What stands for each label, and at the end for null, in a logical digest."""
    hashes = [hashlib.sha256(label.encode()).digest()[:8] for label in labels]
    return np.frombuffer(b"".join([*hashes, bytes(8)]), "<u8")


def digest_elements(elements: np.ndarray, hashes: np.ndarray | None = None) -> LogicalDigest:
    """The logical digest of an array's elements, or of the labels that they are codes of."""
    if hashes is None:
        return digest(elements)
    pieces = (elements[start : start + LABEL_ROWS] for start in range(0, len(elements), LABEL_ROWS))
    return combine(digest(np.take(hashes, piece, mode="wrap")) for piece in pieces)  # code -1, a null, wraps to the last


def digest_of_rows(rows: Rows, schema: Schema, spec: ArraySpec) -> LogicalDigest:
    """The logical digest of an array of rows, there or not; `schema` is the whole one, of which rows may have some columns."""
    if spec.name not in rows.arrays:
        return digest_of_absent(spec, schema, rows.count, column_is_there=spec.column in rows.arrays)
    hashes = label_hashes(rows.labels[spec.column]) if is_codes(schema, spec) else None
    return digest_elements(rows.arrays[spec.name], hashes)


def add_digests(digests: dict[str, LogicalDigest], rows: Rows, schema: Schema) -> None:
    """Add the logical digests of more rows to those of the rows before them, array by array."""
    for spec in schema.arrays():
        digests[spec.name] = digests.get(spec.name, LogicalDigest()) + digest_of_rows(rows, schema, spec)


def digest_of_absent(spec: ArraySpec, schema: Schema, rows: int, *, column_is_there: bool) -> LogicalDigest:
    """The digest of an array that a segment hasn't got: all valid if its column is there, else all null."""
    if spec.role == "valid":
        return digest(np.full(1, column_is_there)).repeat(rows)
    if spec.is_payload:
        return LogicalDigest()
    if is_codes(schema, spec):
        return digest(label_hashes(())).repeat(rows)
    return digest(np.full((1, *spec.inner_shape), schema.null_stand_in(spec.column), spec.dtype)).repeat(rows)
