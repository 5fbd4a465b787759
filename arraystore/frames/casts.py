"""Numbers, times and decimals in the type their column has: a value survives as it is, or the cast is refused."""

import decimal
from collections.abc import Iterator
from typing import Any

import numpy as np

from arraystore.errors import InvalidInput, Problem
from arraystore.frames.columns import EXACT, Decimals, Labels, Ragged, Value
from layouts.columns import INT64_MAX, INT64_MIN
from layouts.schema import Column
from layouts.times import parse_time

BLOCK_ROWS = 1 << 20
FLOAT_MANTISSAS = 10**15  # up to here a float64 tells its decimal; beyond, several decimals share one
EXACT_OR_ERROR = decimal.Context(prec=EXACT.prec, traps=[decimal.Inexact, decimal.InvalidOperation, decimal.Overflow])

type Converted = tuple[np.ndarray, np.ndarray | None]


def refused(column: Column, what: str) -> InvalidInput:
    """The error about a column."""
    return InvalidInput(Problem(f"column {column.name!r}", what))


def blocks(count: int, length: int = BLOCK_ROWS) -> Iterator[slice]:
    """Cut `count` rows up, so that temporaries stay small."""
    return (slice(start, min(start + length, count)) for start in range(0, count, length))


def kind_of(values: Value) -> str:
    """What a given column is called in messages."""
    match values:
        case Ragged():
            return "text" if values.text else "bytes"
        case Labels():
            return "labels"
        case Decimals():
            return "decimals"
    return "text" if values.dtype.kind in "UT" else "bytes" if values.dtype.kind == "S" else str(values.dtype)


def numbers(column: Column, values: Value, valid: np.ndarray | None) -> np.ndarray:
    """The column's dtype and shape; what lies under nulls is left as it comes."""
    if isinstance(values, np.ndarray) and values.dtype.kind == "O":
        values = _numbers_of_objects(column, values, valid)
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "biuf":
        raise refused(column, f"holds {kind_of(values)} where {column.dtype} is wanted; convert it before")
    wanted = f"[row, {column.levels} levels]" if column.levels else "[row]"
    if values.ndim != (2 if column.levels else 1) or (column.levels and values.shape[1] != column.levels):
        raise refused(
            column, f"has the shape {list(values.shape)} where {wanted} is wanted; give every row as many values as the schema says"
        )
    return cast_exactly(column, values, np.dtype(column.dtype), valid)


def cast_exactly(column: Column, values: np.ndarray, dtype: np.dtype[Any], valid: np.ndarray | None) -> np.ndarray:
    """A view where the type is right already, else a cast that every value survives."""
    source = values.dtype
    if source == dtype:
        return np.ascontiguousarray(values)
    if (dtype.kind == "b" and source.kind != "b") or (dtype.kind in "iu" and source.kind not in "biu"):
        remedy = (
            "convert 0 and 1 with .astype('bool')"
            if dtype.kind == "b"
            else f"where all are whole numbers, convert with .astype({dtype.name!r})"
        )
        raise refused(column, f"holds {source} where {dtype} is wanted; {remedy}")
    is_wide = source.kind in "iu" and source.itemsize == 8 and dtype.kind == "f"  # NumPy calls it safe, and it isn't
    if np.can_cast(source, dtype, "safe") and not is_wide:
        return values.astype(dtype)
    result = np.empty(values.shape, dtype)
    with np.errstate(all="ignore"):
        for block in blocks(len(values)):
            result[block] = values[block]
            survived = _survived(values[block], result[block])
            kept = survived if survived.ndim == 1 else survived.all(axis=1)
            if not (kept if valid is None else kept | ~valid[block]).all():
                row = block.start + int(np.argmin(kept if valid is None else kept | ~valid[block]))
                raise refused(
                    column, f"row {row} holds {_shown(values[row])}, which {dtype} can't hold{_limits(dtype)}; declare a wider type"
                )
    return result


def _survived(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    if before.dtype.kind == "f":
        same: np.ndarray = (after == before) | (np.isnan(after) & np.isnan(before))
    elif after.dtype.kind == "f":
        beyond = 2.0 ** (64 if before.dtype.kind == "u" else 63)  # casting that back is undefined
        same = (after < beyond) & (after.astype(before.dtype) == before)
    else:
        same = after == before
    return same


def _limits(dtype: np.dtype[Any]) -> str:
    if dtype.kind == "f":
        return " exactly"
    return f" ({np.iinfo(dtype).min} to {np.iinfo(dtype).max})"


def _shown(value: Any) -> str:
    return str(value.tolist())


def _numbers_of_objects(column: Column, values: np.ndarray, valid: np.ndarray | None) -> np.ndarray:
    """Python numbers, or rows of them, as the NumPy type that holds all of them."""
    filler = values[0 if valid is None else int(np.argmax(valid))]  # some valid value, of the type that the others have
    items = [value if ok else filler for value, ok in zip(values, _flags(valid, len(values)), strict=True)]
    if values.ndim == 1 and not column.levels:
        for kind in set(map(type, items)):
            if not issubclass(kind, bool | np.bool_ | int | np.integer | float | np.floating):
                row = next(row for row, item in enumerate(items) if type(item) is kind)
                raise refused(
                    column, f"row {row} holds {items[row]!r}, a {kind.__name__}, where {column.dtype} is wanted; convert it before"
                )
    try:
        result = np.array(items)
    except (ValueError, OverflowError) as error:
        raise refused(
            column, f"rows can't be put into one array of {column.dtype} ({error}); give each the same number of values"
        ) from error
    if result.dtype.kind == "O":
        raise refused(column, f"holds {type(np.ravel(result)[0]).__name__} objects that {column.dtype} can't hold; declare another type")
    if result.dtype.kind == "f" and result.ndim == 1:
        for row, item in enumerate(items):
            if isinstance(item, int) and item != float(item):
                raise refused(column, f"row {row} holds {item}, which float64 can't hold exactly; make the column an integer one")
    return result


def _are_whole(values: np.ndarray, valid: np.ndarray | None) -> bool:
    return all(
        issubclass(kind, int | np.integer) and kind is not bool for kind in set(map(type, values if valid is None else values[valid]))
    )


def _flags(valid: np.ndarray | None, count: int) -> list[bool]:
    return [True] * count if valid is None else valid.tolist()


def times(column: Column, values: Value, valid: np.ndarray | None) -> Converted:
    """int64 nanoseconds since 1970 UTC, and which are valid: NaT is null."""
    if isinstance(values, np.ndarray) and values.dtype.kind == "O" and _are_whole(values, valid):
        values = _numbers_of_objects(column, values, valid)
    if not isinstance(values, np.ndarray) or values.dtype.kind in "OUT":
        return _parsed_times(column, values, valid)
    if values.ndim != 1 or values.dtype.kind not in "iuM":
        advice = "give datetime64, int64 nanoseconds since 1970 UTC, datetimes, or ISO 8601 text, one per row"
        raise refused(column, f"holds {values.dtype} of shape {list(values.shape)}, which are no times; {advice}")
    if values.dtype.kind != "M":
        return cast_exactly(column, values, np.dtype(np.int64), valid), valid
    is_time = ~np.isnat(values)
    if not is_time.all():
        valid = is_time if valid is None else valid & is_time
    if values.dtype == np.dtype("datetime64[ns]"):
        return np.ascontiguousarray(values).view(np.int64), valid
    return _nanoseconds(column, values, valid), valid


def _nanoseconds(column: Column, values: np.ndarray, valid: np.ndarray | None) -> np.ndarray:
    if np.datetime_data(values.dtype)[0] == "generic":
        raise refused(column, "holds datetime64 without a unit; convert with .astype('datetime64[ns]')")
    result = np.empty(len(values), "datetime64[ns]")
    for block in blocks(len(values)):
        given = values[block]
        survived = np.ones(len(given), np.bool_)
        try:
            result[block] = given
            survived = (result[block].astype(given.dtype) == given) | np.isnat(given)
        except OverflowError:  # newer versions of NumPy say so themselves
            survived = np.abs(given.astype("datetime64[D]").astype(np.int64)) < INT64_MAX // 86_400_000_000_000
        if not (survived if valid is None else survived | ~valid[block]).all():
            row = block.start + int(np.argmin(survived if valid is None else survived | ~valid[block]))
            raise refused(
                column, f"row {row} holds {values[row]}, which int64 nanoseconds since 1970 can't hold (1677-09-22 to 2262-04-11)"
            )
    return result.view(np.int64)


def _parsed_times(column: Column, values: Value, valid: np.ndarray | None) -> Converted:
    """Texts and Python's, NumPy's or pandas' moments, one by one."""
    if isinstance(values, Decimals) or (isinstance(values, Ragged) and not values.text):
        raise refused(column, f"holds {kind_of(values)}, which are no times; give datetime64 or int64 nanoseconds since 1970 UTC")
    result = np.full(len(values), INT64_MIN, np.int64)
    is_time = np.ones(len(values), np.bool_) if valid is None else valid.copy()
    for row, value in enumerate(values):
        if not is_time[row]:
            continue
        if value is None or (isinstance(value, np.datetime64 | float) and np.isnan(value)):
            is_time[row] = False
            continue
        try:
            result[row] = parse_time(value, f"row {row}")
        except InvalidInput as error:
            raise refused(column, "; ".join(map(str, error.problems))) from error
    return result, None if is_time.all() else is_time


def decimals(column: Column, values: Value, valid: np.ndarray | None) -> np.ndarray:
    """Mantissas with the column's places; a value with more is refused, not rounded."""
    assert column.places is not None
    if isinstance(values, Decimals):
        return _rescaled(column, values.mantissa, column.places - values.places, values.places, valid)
    if isinstance(values, np.ndarray) and values.ndim == 1 and values.dtype.kind in "iu":
        return _rescaled(column, cast_exactly(column, values, np.dtype(np.int64), valid), column.places, 0, valid)
    if isinstance(values, np.ndarray) and values.ndim == 1 and values.dtype.kind == "f":
        return _mantissas_of_floats(column, values, valid)
    if isinstance(values, np.ndarray) and (values.ndim != 1 or values.dtype.kind not in "OUT"):
        raise refused(
            column, f"holds {values.dtype} of shape {list(values.shape)} where decimals are wanted; give Decimals, text or numbers"
        )
    return _parsed_decimals(column, values, valid)


def _rescaled(column: Column, mantissa: np.ndarray, shift: int, places: int, valid: np.ndarray | None) -> np.ndarray:
    if shift == 0:
        return np.ascontiguousarray(mantissa)
    factor = np.int64(10 ** min(abs(shift), 18))
    limit = np.int64(INT64_MAX // int(factor))
    result = np.empty(len(mantissa), np.int64)
    for block in blocks(len(mantissa)):
        given = mantissa[block]
        result[block] = given * factor if shift > 0 else given // factor
        survived = (given <= limit) & (given >= -limit) if shift > 0 else result[block] * factor == given
        if not (survived if valid is None else survived | ~valid[block]).all():
            row = block.start + int(np.argmin(survived if valid is None else survived | ~valid[block]))
            raise _not_representable(column, row, str(decimal.Decimal(int(mantissa[row])).scaleb(-places, EXACT)))
    return result


def _mantissas_of_floats(column: Column, values: np.ndarray, valid: np.ndarray | None) -> np.ndarray:
    assert column.places is not None
    scale = 10.0**column.places
    result = np.empty(len(values), np.int64)
    for block in blocks(len(values)):
        given = values[block].astype(np.float64)
        if valid is not None:
            given[~valid[block]] = 0
        with np.errstate(all="ignore"):
            rounded = np.rint(given * scale)
            survived = (np.abs(rounded) <= FLOAT_MANTISSAS) & (rounded / scale == given)
            result[block] = np.where(survived, rounded, 0)
        if not survived.all():
            row = block.start + int(np.argmin(survived))
            if abs(values[row]) * scale > FLOAT_MANTISSAS:
                what = f"of which a float tells too few digits for {column.places} places; give text, Decimals or decimal.Decimal"
                raise refused(column, f"row {row} holds {values[row]}, {what}")
            raise _not_representable(column, row, str(values[row]))
    return result


def _parsed_decimals(column: Column, values: Value, valid: np.ndarray | None) -> np.ndarray:
    """Python's decimals, numbers and texts, one by one."""
    assert column.places is not None
    result = np.zeros(len(values), np.int64)
    for row, (item, ok) in enumerate(zip(values, _flags(valid, len(values)), strict=True)):
        if ok:
            value = item.item() if isinstance(item, np.generic) else item
            try:
                exact = decimal.Decimal(repr(value) if isinstance(value, float) else value).scaleb(column.places, EXACT_OR_ERROR)
            except (decimal.DecimalException, TypeError, ValueError) as error:
                raise _not_representable(column, row, repr(value)) from error
            if not exact.is_finite() or exact.adjusted() > 19 or int(exact) != exact or not INT64_MIN <= int(exact) <= INT64_MAX:
                raise _not_representable(column, row, repr(value))
            result[row] = int(exact)
    return result


def _not_representable(column: Column, row: int, shown: str) -> InvalidInput:
    what = f"isn't a decimal of {column.places} places with a mantissa of 64 bits"
    return refused(column, f"row {row} holds {shown}, which {what}; round it, or make the column one with other places")
