"""Rows inlined in a commit: a few of them, until they are folded into a segment (FORMAT.md section 6)."""

from collections.abc import Iterator, Mapping

import numpy as np

from arraystore.domain import TRUTH, domain_of, invalid_utf8_row
from arraystore.errors import Corrupt
from arraystore.frames.rows import Rows
from arraystore.segments.logical import clock_spans
from arraystore.versions.commit import Tail
from arraystore.versions.record import pack_arrays, unpack_arrays
from layouts.schema import Column, Kind, Schema


def encode_tail(rows: Rows, schema_number: int, start: int = 0) -> tuple[Tail, list[bytes]]:
    """Rows as a commit holds them: the tail's description, and the pieces of the commit's body from byte `start` on."""
    rows = rows.tidy()
    refs, pieces = pack_arrays({spec.name: rows.arrays[spec.name] for spec in rows.schema.arrays() if spec.name in rows.arrays}, start)
    labels = {column: list(labels) for column, labels in rows.labels.items() if column in rows.arrays}
    tail = Tail(schema=schema_number, rows=rows.count, clocks=clock_spans(rows), arrays=refs, labels=labels)
    return tail, pieces


def decode_tail(tail: Tail, body: memoryview, schema: Schema, where: str) -> Rows:
    """The rows of a tail as read-only views of the commit's body, found to agree with the schema."""
    arrays = unpack_arrays(tail.arrays, body, where)
    labels = {column: tuple(listed) for column, listed in tail.labels.items()}
    specs = {spec.name: spec for spec in schema.arrays()}
    problems = [f"{name!r} isn't an array of its schema" for name in arrays.keys() - specs.keys()]
    for name in arrays.keys() & specs.keys():
        spec, array = specs[name], arrays[name]
        length = len(array) if spec.is_payload and array.ndim == 1 else tail.rows
        if array.dtype != np.dtype(spec.dtype) or array.shape != (length, *spec.inner_shape):
            problems.append(f"{name!r} is {array.dtype} {array.shape}, where {spec.dtype} {(length, *spec.inner_shape)} belongs")
    if tail.rows < 1:
        problems.append("it has no rows")
    if not problems:
        problems = [problem for column in schema.columns for problem in _column_problems(column, arrays, labels)]
    if not problems:
        rows = Rows(schema=schema, count=tail.rows, arrays=arrays, labels=labels)
        if (spans := clock_spans(rows)) == {clock: tuple(span) for clock, span in tail.clocks.items()}:
            return rows
        problems = [f"its clocks span {spans}, where it says {tail.clocks}"]
    raise Corrupt(f"{where}: damaged tail: {'; '.join(sorted(problems))}")


def _column_problems(column: Column, arrays: Mapping[str, np.ndarray], labels: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    name = column.name
    if name not in arrays:
        if not column.nullable:
            yield f"{name!r} is missing, and can't be null"
        if f"{name}_count" in arrays or f"{name}_valid" in arrays or name in labels:
            yield f"{name!r} isn't whole"
        return
    if column.is_ragged:
        counts = arrays.get(f"{name}_count")
        if counts is None or int(counts.sum(dtype=np.int64)) != len(arrays[name]):
            yield f"the rows of {name!r} don't add up to its bytes"
        elif column.kind is Kind.TEXT and (row := invalid_utf8_row(arrays[name], counts)) is not None:
            yield f"row {row} of {name!r} isn't UTF-8"
    yield from _value_problems(column, arrays, labels.get(name, ()))


def _value_problems(column: Column, arrays: Mapping[str, np.ndarray], labels: tuple[str, ...]) -> Iterator[str]:
    name = column.name
    has_nulls = f"{name}_valid" in arrays
    if has_nulls and (problem := TRUTH.problem(arrays[f"{name}_valid"])):
        yield f"the validity of {name!r}: {problem}"
    limits = domain_of(column, has_nulls=has_nulls)
    if limits is not None and (problem := limits.problem(arrays[name])):
        yield f"{name!r}: {problem}"
    if column.kind is Kind.DICTIONARY:
        codes = arrays[name]
        least = -1 if has_nulls else 0
        if codes.min(initial=0) < least or codes.max(initial=-1) >= len(labels) or len(set(labels)) < len(labels):
            yield f"{name!r} has codes without a label, or a label twice"
