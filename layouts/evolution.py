"""How a dataset's schema may change: nullable columns are added, types widen without loss, vocabularies grow at their end."""

from collections.abc import Iterator

import numpy as np

from layouts.columns import Column, Kind
from layouts.problems import Problem
from layouts.schema import Schema

_ADVICE = "such a change makes another dataset"
_EXACT_INTEGER_BITS = {"float32": 24, "float64": 53}


def schema_change_problems(before: Schema, after: Schema) -> tuple[Problem, ...]:
    """Why `after` can't follow `before` in one dataset; none means that older segments read under it unchanged."""
    return tuple(_problems(before, after))


def _problems(before: Schema, after: Schema) -> Iterator[Problem]:
    where = f"schema {before.name!r}"
    for field in ("name", "axis", "order", "window"):
        old, new = getattr(before, field), getattr(after, field)
        if old != new:
            yield Problem(where, f"its {field} {str(old)!r} can't become {str(new)!r}: {_ADVICE}")
    for column in before.columns:
        if column.name in after:
            yield from _column_problems(column, after.column(column.name))
        else:
            yield Problem(f"column {column.name!r}", f"it can't be dropped: {_ADVICE}, or leave it null if it is nullable")
    for column in after.columns:
        if column.name not in before and not column.nullable:
            yield Problem(f"column {column.name!r}", "a new column must be nullable, because older segments don't have it")


def _column_problems(before: Column, after: Column) -> Iterator[Problem]:
    where = f"column {before.name!r}"
    for field in ("kind", "clock", "unit", "levels", "places"):
        old, new = getattr(before, field), getattr(after, field)
        if old != new:
            yield Problem(where, f"its {field} {_shown(old)} can't become {_shown(new)}: {_ADVICE}")
    if before.kind == after.kind and not widens(before.dtype, after.dtype):
        yield Problem(where, f"dtype {after.dtype} can't hold every {before.dtype}: {_ADVICE}")
    if before.nullable and not after.nullable:
        yield Problem(where, "it must stay nullable, because older segments may have nulls")
    if before.kind in (Kind.VOCABULARY, Kind.FLAGS) and after.vocabulary[: len(before.vocabulary)] != before.vocabulary:
        yield Problem(where, f"its vocabulary must begin as before ({before.vocabulary}); add new entries at the end")


def widens(before: str, after: str) -> bool:
    """Whether every value of one dtype is one of the other, bit for bit where it is the same kind of number.

    >>> widens("int32", "int64"), widens("int64", "float64"), widens("uint8", "int8")
    (True, False, False)
    """
    if before == after:
        return True
    old, new = np.dtype(before), np.dtype(after)
    if "b" in (old.kind, new.kind):
        return False
    if old.kind != "f" and new.kind == "f":
        return old.itemsize * 8 <= _EXACT_INTEGER_BITS[after]
    return np.can_cast(old, new, "safe")


def _shown(value: object) -> str:
    return "none" if value is None else repr(str(value))
