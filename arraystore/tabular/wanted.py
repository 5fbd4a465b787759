"""What a predicate of Polars leaves of clocks and instruments, as far as it can be told: what is told is never too little."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import polars as pl

from arraystore.arguments import INSTRUMENT_COLUMNS
from layouts.schema import Kind, Schema

UTC_NS = pl.Datetime("ns", "UTC")
UNITS_NS = {"ns": 1, "us": 1_000, "ms": 1_000_000}
LEAST, MOST = -(1 << 63), (1 << 63) - 1

type Range = tuple[int, int]
"""First and last moment, both in it; the first after the last: no row."""


def _from(value: int, unit: int) -> Range:
    del unit
    return value, MOST


def _until(value: int, unit: int) -> Range:
    return LEAST, value + unit - 1


def _within(value: int, unit: int) -> Range:
    return value, value + unit - 1


_COMPARED = (  # what it is compared by, and what that leaves of the left side, and of the right one
    (pl.Expr.__ge__, _from, _until),
    (pl.Expr.__gt__, _from, _until),
    (pl.Expr.__le__, _until, _from),
    (pl.Expr.__lt__, _until, _from),
    (pl.Expr.__eq__, _within, _within),
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A range [start, stop) of a clock and some instruments, outside of which a predicate leaves no row; None: nothing is told."""

    clock: str | None = None
    start: int | None = None
    stop: int | None = None
    instruments: tuple[str, ...] | None = None


def wanted_by(predicate: pl.Expr, schema: Schema) -> Wanted:
    """What of rows of a schema a predicate can leave."""
    label = next((name for name in INSTRUMENT_COLUMNS if name in schema and schema.column(name).kind is Kind.DICTIONARY), None)
    found = Wanted() if label is None else Wanted(instruments=_labels(predicate, label))
    for clock in schema.clocks:
        first, last = _range(predicate, clock)
        if (first, last) != (LEAST, MOST):
            start, stop = (first, first) if first > last else (first, last + 1)
            return replace(found, clock=clock, start=_bound(start, LEAST), stop=_bound(stop, MOST + 1))
    return found


def _bound(value: int, open_end: int) -> int | None:
    """A moment as an int64; None for none."""
    return None if value == open_end else min(max(value, LEAST), MOST)


def _range(expression: pl.Expr, clock: str) -> Range:
    """The moments of a clock that an expression can be true of."""
    parts = expression.meta.pop()
    match parts:
        case [right, left] if _is(expression, left & right):
            (first, last), (other_first, other_last) = _range(left, clock), _range(right, clock)
            return max(first, other_first), min(last, other_last)
        case [right, left] if _is(expression, left | right):
            return _hull([_range(left, clock), _range(right, clock)])
        case [right, left]:
            return _of_comparison(expression, left, right, clock)
        case [upper, lower, middle]:
            unit = _unit(middle, clock)
            low, high = _moment(lower), _moment(upper)
            if unit and low is not None and high is not None and _is_between(expression, middle, lower, upper):
                return low, high + unit - 1
    return LEAST, MOST


def _of_comparison(expression: pl.Expr, left: pl.Expr, right: pl.Expr, clock: str) -> Range:
    for compare, told, mirrored in _COMPARED:
        if _is(expression, compare(left, right)):
            if (unit := _unit(left, clock)) and (value := _moment(right)) is not None:
                return told(value, unit)
            if (unit := _unit(right, clock)) and (value := _moment(left)) is not None:
                return mirrored(value, unit)
    return LEAST, MOST


def _labels(expression: pl.Expr, name: str) -> tuple[str, ...] | None:
    """The labels of a column that an expression can be true of; None where it tells nothing of them."""
    match expression.meta.pop():
        case [right, left] if _is(expression, left & right):
            one, other = _labels(left, name), _labels(right, name)
            return other if one is None else one if other is None else tuple(label for label in one if label in other)
        case [right, left] if _is(expression, left | right):
            one, other = _labels(left, name), _labels(right, name)
            return None if one is None or other is None else tuple(dict.fromkeys((*one, *other)))
        case [right, left] if _is(expression, left == right):
            column, value = (left, right) if _is(left, pl.col(name)) else (right, left)
            return _texts(value) if _is(column, pl.col(name)) else None
        case [values, column] if _is(column, pl.col(name)) and _is(expression, column.is_in(values)):
            return _texts(values)
    return None


def _is(expression: pl.Expr, other: pl.Expr) -> bool:
    return bool(expression.meta.eq(other))


def _is_between(expression: pl.Expr, middle: pl.Expr, lower: pl.Expr, upper: pl.Expr) -> bool:
    return any(_is(expression, middle.is_between(lower, upper, closed=closed)) for closed in ("both", "left", "right", "none"))


def _unit(expression: pl.Expr, clock: str) -> int:
    """1 for a clock's column; for one cast to coarser times, how many ns these count; 0 for anything else."""
    if _is(expression, pl.col(clock)):
        return 1
    for unit, length in UNITS_NS.items():
        for strict in (True, False):
            if _is(expression, pl.col(clock).cast(pl.Datetime(unit, "UTC"), strict=strict)):  # type: ignore[arg-type]
                return length
    return 0


def _moment(expression: pl.Expr) -> int | None:
    """The ns since 1970 of an expression that is a time and the same for all rows; None if it isn't."""
    values = _evaluated(expression)
    if values is None or len(values) != 1 or not isinstance(values.dtype, pl.Datetime) or values.dtype.time_zone is None:
        return None
    value = values.to_physical()[0]
    return None if value is None else int(value) * UNITS_NS[values.dtype.time_unit]


def _texts(expression: pl.Expr) -> tuple[str, ...] | None:
    """The texts of an expression that is a text, or a list of texts, and the same for all rows."""
    values = _evaluated(expression)
    if values is None or len(values) != 1:
        return None
    values = values.explode() if isinstance(values.dtype, pl.List | pl.Array) else values
    if values.dtype not in (pl.String, pl.Categorical, pl.Enum):
        return None
    return tuple(text for text in values.cast(pl.String).to_list() if text is not None)


def _evaluated(expression: pl.Expr) -> pl.Series | None:
    if expression.meta.root_names():
        return None
    try:
        return pl.select(expression).to_series()
    except pl.exceptions.PolarsError:
        return None


def _hull(ranges: Iterable[Range]) -> Range:
    some = [each for each in ranges if each[0] <= each[1]]
    return (min(first for first, _ in some), max(last for _, last in some)) if some else (MOST, LEAST)
