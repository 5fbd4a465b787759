"""How a dataset's schema may change: added nullable columns, lossless widening, longer vocabularies, another length of future windows."""

from collections.abc import Iterator

import msgspec
import numpy as np

from layouts.columns import Column, Kind
from layouts.problems import Problem
from layouts.schema import Schema

_ADVICE = "such a change makes another dataset, which can say which one it supersedes"
_EXACT_INTEGER_BITS = {"float32": 24, "float64": 53}


def schema_change_problems(before: Schema, after: Schema) -> tuple[Problem, ...]:
    """Why `after` can't follow `before` in one dataset; none means that older segments read under it unchanged."""
    return tuple(_problems(before, after))


def successor(before: Schema, after: Schema, window_from: int | None = None) -> Schema:
    """`after` with what it needn't repeat of `before`: the lengths that windows had, and until when.

    `window_from` is the moment (ns) from which windows have the length that `after` gives.
    """
    if window_from is not None:
        return msgspec.structs.replace(after, earlier_windows=(*before.earlier_windows, (before.window, window_from)))
    return after if after.earlier_windows else msgspec.structs.replace(after, earlier_windows=before.earlier_windows)


def _problems(before: Schema, after: Schema) -> Iterator[Problem]:
    where = f"schema {before.name!r}"
    for field in ("name", "axis", "order"):
        old, new = getattr(before, field), getattr(after, field)
        if old != new:
            yield Problem(where, f"its {field} {str(old)!r} can't become {str(new)!r}: {_ADVICE}")
    yield from _window_problems(before, after, where)
    for column in before.columns:
        if column.name in after:
            yield from _column_problems(column, after.column(column.name))
        else:
            yield Problem(f"column {column.name!r}", f"it can't be dropped: {_ADVICE}, or leave it null if it is nullable")
    for column in after.columns:
        if column.name not in before and not column.nullable:
            yield Problem(f"column {column.name!r}", "a new column must be nullable, because older segments don't have it")


def _window_problems(before: Schema, after: Schema, where: str) -> Iterator[Problem]:
    """The lengths of windows stay as they were, but for one change more, which validity of the schema itself tells the rest of."""
    if after.earlier_windows == before.earlier_windows:
        if after.window != before.window:
            told = f"its window {str(before.window)!r} can't become {str(after.window)!r} for rows that are there"
            yield Problem(where, f"{told}: say from which moment on (window_from)")
    elif [(length, until) for length, until in after.earlier_windows[:-1]] != [*before.earlier_windows] or (
        after.earlier_windows[-1][0] != before.window
    ):
        yield Problem(where, "it tells another history of window lengths than the dataset has: leave earlier_windows out")


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
