"""From a given column to the arrays of its kind (FORMAT.md section 5), every value checked and none changed."""

import numpy as np

from arraystore.frames.casts import decimals, numbers, refused, times
from arraystore.frames.columns import Labels, Ragged, Value
from arraystore.frames.given import Given
from arraystore.frames.rows import Arrays, stand_ins
from arraystore.frames.texts import labels, ragged
from layouts.schema import Column, Kind

type Names = dict[str, tuple[str, ...]]
type Converted = tuple[np.ndarray, np.ndarray | None]


def convert(column: Column, given: Given) -> tuple[Arrays, Names]:
    """The column's arrays and labels; nothing where every row is null. Raises `InvalidInput` with the first row that can't be taken."""
    if not len(given):
        return stand_ins(column, 0), {column.name: ()} if column.kind is Kind.DICTIONARY else {}
    values, valid = given.values, _valid_rows(given)
    if valid is not None and not valid.any():
        return _absent(column, valid)
    if column.is_ragged:
        content, counts, valid = ragged(column, values, valid)
        arrays = {column.name: np.ascontiguousarray(content), f"{column.name}_count": counts}
        return _with_validity(column, arrays, valid), {}
    if column.kind is Kind.DICTIONARY:
        coded = labels(column, values, valid)
        return _with_validity(column, {column.name: np.ascontiguousarray(coded.codes)}, coded.valid), {column.name: coded.labels}
    array, valid = _fixed_width(column, values, valid)
    return _with_validity(column, {column.name: _filled(column, array, valid, given.values)}, valid), {}


def _valid_rows(given: Given) -> np.ndarray | None:
    valid = given.valid
    if isinstance(given.values, Labels) and (named := given.values.valid) is not None:
        valid = named if valid is None else valid & named
    return None if valid is None or valid.all() else valid


def _fixed_width(column: Column, values: Value, valid: np.ndarray | None) -> Converted:
    match column.kind:
        case Kind.TIME:
            return times(column, values, valid)
        case Kind.DECIMAL:
            return decimals(column, values, valid), valid
        case Kind.VOCABULARY:
            return vocabulary(column, values, valid)
        case Kind.FLAGS:
            return flags(column, values, valid), valid
        case _:
            return numbers(column, values, valid), valid


def _with_validity(column: Column, arrays: Arrays, valid: np.ndarray | None) -> Arrays:
    """Add `x_valid` where there are nulls, if there may be; without any value nothing is left of the column."""
    if valid is None or valid.all():
        return arrays
    if not valid.any() or not column.nullable:
        return _absent(column, valid)[0]
    return {**arrays, f"{column.name}_valid": np.ascontiguousarray(valid)}


def _absent(column: Column, valid: np.ndarray) -> tuple[Arrays, Names]:
    if column.nullable:
        return {}, {}
    row, count = int(np.argmin(valid)), int(len(valid) - np.count_nonzero(valid))
    more = f" (and {count - 1} more)" if count > 1 else ""
    raise refused(column, f"row {row}{more} is null, and the column isn't nullable; give a value, or declare nullable=True")


def _filled(column: Column, array: np.ndarray, valid: np.ndarray | None, given: Value) -> np.ndarray:
    """Put stand-ins under the nulls, in a copy unless the array is ours."""
    if valid is None:
        return array
    own = not isinstance(given, np.ndarray) or not np.may_share_memory(array, given)
    filled = array if own and array.flags.writeable else array.copy()
    filled[~valid] = column.null_stand_in
    return filled


def vocabulary(column: Column, values: Value, valid: np.ndarray | None) -> Converted:
    """Codes of a closed vocabulary, from codes or from meanings."""
    code_of = dict(column.vocabulary)
    if isinstance(values, Labels | Ragged) or values_are_text(values, valid):
        named = labels(column, values, valid)
        used = np.zeros(len(named.labels) + 1, np.bool_)
        used[named.codes] = True
        codes = np.array([*(code_of.get(label, 0) for label in named.labels), 0], column.dtype)
        for place, label in enumerate(named.labels):
            if used[place] and label not in code_of:
                raise refused(column, f"row {int(np.argmax(named.codes == place))} holds {label!r}; {_meanings(column)}")
        return np.take(codes, named.codes, mode="wrap"), named.valid
    array = numbers(column, values, valid)
    held = array if valid is None else array[valid]
    used = np.zeros(256, np.bool_)
    used[held.view(np.uint8)] = True
    known = np.array([value for _, value in column.vocabulary]).astype(np.uint8)
    used[known] = False
    if used.any():
        unknown = used[array.view(np.uint8)] if valid is None else used[array.view(np.uint8)] & valid
        row = int(np.argmax(unknown))
        raise refused(column, f"row {row} holds the code {array[row]}; {_meanings(column)}")
    return array, valid


def values_are_text(values: Value, valid: np.ndarray | None) -> bool:
    """Whether an array holds texts, also as Python objects."""
    if not isinstance(values, np.ndarray):
        return False
    if values.dtype.kind != "O":
        return values.dtype.kind in "UST"
    first = 0 if valid is None else int(np.argmax(valid))
    return isinstance(values[first], str | bytes | float)  # a float: pandas' NaN for missing text


def flags(column: Column, values: Value, valid: np.ndarray | None) -> np.ndarray:
    """Bit sets that use no other bits than the masks."""
    array = numbers(column, values, valid)
    known = int(np.bitwise_or.reduce(np.array([mask for _, mask in column.vocabulary], np.int64)))
    unknown = array & array.dtype.type(~known & np.iinfo(array.dtype).max)
    if valid is not None:
        unknown[~valid] = 0
    if unknown.any():
        row = int(np.argmax(unknown != 0))
        raise refused(column, f"row {row} holds {array[row]}, of which the bits {unknown[row]} mean nothing; {_meanings(column)}")
    return array


def _meanings(column: Column) -> str:
    listed = ", ".join(f"{meaning} ({value})" for meaning, value in column.vocabulary)
    return f"the vocabulary has {listed}"
