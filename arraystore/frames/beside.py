"""What may come beside a column: which of its rows are valid, and of a time in microseconds the exact nanoseconds."""

import numpy as np
from msgspec.structs import replace

from arraystore.errors import InvalidInput, Problem
from arraystore.frames.casts import times
from arraystore.frames.given import Given
from layouts.schema import Column, Kind, Schema
from layouts.times import format_time

VALID = "_valid"
EXACT = "_ns"
MICROSECOND = 1_000

type Givens = dict[str, Given]


def take_validity(givens: Givens, schema: Schema) -> Givens:
    """Take out every `<name>_valid`: what each says, by the name of its column."""
    found = [name for name in givens if name.endswith(VALID) and name not in schema and name.removesuffix(VALID) in schema]
    return {name.removesuffix(VALID): givens.pop(name) for name in found}


def with_validity(column: Column, given: Given | None, beside: Given | None, count: int) -> Given | None:
    """A given column and what `<name>_valid` says of it."""
    if beside is None:
        return given
    flags, where = beside.values, f"column '{column.name}{VALID}'"
    if not isinstance(flags, np.ndarray) or flags.ndim != 1 or beside.valid is not None:
        raise InvalidInput(Problem(where, "must be one bool per row, none of them null"))
    if flags.dtype.kind == "O":
        flags = np.array(flags.tolist())
    if flags.dtype != np.bool_ and len(flags):
        raise InvalidInput(Problem(where, f"holds {flags.dtype}, and must be one bool per row; convert it with .astype(bool)"))
    if len(flags) != count:
        raise InvalidInput(Problem(where, f"has {len(flags)} rows where there are {count}; give one bool per row"))
    if given is None:
        if flags.any():
            raise InvalidInput(
                Problem(where, f"says that row {int(np.argmax(flags))} has a value, and {column.name!r} is missing; give it too")
            )
        return None
    flags = flags.astype(np.bool_, copy=False)
    if len(given) != count:
        return given
    return Given(values=given.values, valid=flags if given.valid is None else given.valid & flags)


def take_exact_times(givens: Givens, schema: Schema, problems: list[Problem]) -> None:
    """Put every `<name>_ns` in the place of its column, which must say the same as far as microseconds can."""
    for beside in list(givens):
        name = _time_of(beside, schema)
        if name is None:
            continue
        exact = givens.pop(beside)
        try:
            if name in givens:
                _must_agree(schema.column(name), givens[name], exact, beside)
            givens[name] = exact
        except InvalidInput as error:
            problems += error.problems


def _time_of(name: str, schema: Schema) -> str | None:
    """The time whose nanoseconds this is; underlines at the end keep it apart from a column of the schema."""
    plain = name.rstrip("_")
    time = plain.removesuffix(EXACT)
    is_known = name not in schema and time != plain and time in schema and schema.column(time).kind is Kind.TIME
    return time if is_known else None


def _must_agree(column: Column, coarse: Given, exact: Given, beside: str) -> None:
    if len(coarse) != len(exact):
        what = f"has {len(exact)} rows where {column.name!r} has {len(coarse)}; give one of both, or as many rows of each"
        raise InvalidInput(Problem(f"column {beside!r}", what))
    if not len(exact):
        return
    (rough, rough_valid), (fine, fine_valid) = (
        times(replace(column, name=name), given.values, given.valid) for name, given in ((column.name, coarse), (beside, exact))
    )
    shown, told = (np.ones(len(fine), np.bool_) if valid is None else valid for valid in (rough_valid, fine_valid))
    agree = np.where(told & shown, (fine == rough) | (fine - fine % MICROSECOND == rough), told == shown)
    if not agree.all():
        row = int(np.argmin(agree))
        left, right = (format_time(int(each[row])) if ok[row] else "null" for each, ok in ((rough, shown), (fine, told)))
        what = f"row {row} is {right} where {column.name!r} is {left}; give one of both, or the same moments in each"
        raise InvalidInput(Problem(f"column {beside!r}", what))
