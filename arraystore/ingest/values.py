"""From the columns of a file to values of the dataset's columns: exact, or refused. One of the doors to pyarrow."""

# mypy: disable-error-code="import-untyped"

from collections.abc import Mapping as AnyMapping
from fractions import Fraction
from typing import Any

import numpy as np

from arraystore.errors import InvalidInput, Problem
from arraystore.frames.arrow import pyarrow
from arraystore.frames.columns import Decimals, Labels
from arraystore.ingest.checks import Rule
from arraystore.ingest.mapping import Source
from arraystore.ingest.moments import moments, plain
from arraystore.ingest.names import Names, is_template
from layouts.columns import INT64_MAX, Column, Kind
from layouts.times import parse_time

type Columns = AnyMapping[Source, Any]

EXACT = 1 << 53
TENS = 10**22  # the largest power of ten that a float holds exactly


def value_of_column(rule: Rule, columns: Columns, names: Names, count: int, first_row: int) -> Any:
    """The values of one target column, as `append` takes them; raises what is wrong with the first that can't be."""
    pa = pyarrow()
    try:
        return _value(rule, columns, names, count, first_row)
    except (pa.ArrowException, ValueError, OverflowError) as error:
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput(Problem(rule.where, str(error))) from error


def _value(rule: Rule, columns: Columns, names: Names, count: int, first_row: int) -> Any:  # noqa: PLR0911 - a way per kind of rule
    spec, column = rule.spec, rule.column
    if spec.value is not None:
        return constant(rule, names, count)
    if spec.row is not None:
        numbers = np.arange(first_row + spec.row, first_row + spec.row + count)
        return numbers if column.kind is not Kind.TEXT else pyarrow().array(numbers).cast("string")
    if spec.tally is not None:
        return sum(_with_nulls(columns[source], rule).is_valid().to_numpy(zero_copy_only=False).astype(np.int64) for source in rule.sources)
    if column.levels is not None:
        return np.stack([_level(rule, columns[source]) for source in rule.sources], axis=1)
    array = _with_nulls(_source(rule, columns, names, count), rule)
    if column.kind is Kind.TIME:
        return moments(rule, array, names)
    if spec.words:
        return words(rule, array)
    if spec.sign:
        return signs(rule, array)
    if column.kind in (Kind.NUMBER, Kind.FLAGS, Kind.DECIMAL):
        return _filled(rule, numbers_of(rule, array))
    return array


def _filled(rule: Rule, numbers: Any) -> Any:
    """The numbers, what is null being what the rule says."""
    import pyarrow.compute as pc

    fill = rule.spec.fill
    if fill is None:
        return numbers
    if isinstance(numbers, Decimals):
        raise InvalidInput(Problem(rule.where, "fill isn't for decimals: leave it out"))
    return np.ma.filled(numbers, fill) if isinstance(numbers, np.ndarray) else pc.fill_null(numbers, fill)


def _source(rule: Rule, columns: Columns, names: Names, count: int) -> Any:
    """What the rule reads: a column, or the texts of several joined."""
    import pyarrow.compute as pc

    pa, spec = pyarrow(), rule.spec
    if not isinstance(spec.source, tuple) and not spec.pad:
        array = columns[rule.sources[0]]
        numbered = rule.column.kind in (Kind.TEXT, Kind.DICTIONARY) and pa.types.is_integer(array.type)
        return array.cast(pa.string()) if numbered else array
    parts = spec.source if isinstance(spec.source, tuple) else (rule.sources[0],)
    texts = [
        pa.array([names.fill(str(part), rule.where)] * count, pa.string()) if part not in rule.sources else _as_text(columns[part])
        for part in parts
    ]
    if spec.pad:
        texts[-1] = pc.utf8_lpad(texts[-1], spec.pad, "0")
    return texts[0] if len(texts) == 1 else pc.binary_join_element_wise(*texts, spec.join)


def _as_text(array: Any) -> Any:
    """The texts of an array, without blanks around them."""
    import pyarrow.compute as pc

    pa = pyarrow()
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    return pc.utf8_trim_whitespace(array.cast(pa.string()))


def constant(rule: Rule, names: Names, count: int) -> Any:
    """The same value in every row."""
    column, value = rule.column, rule.spec.value
    if is_template(value):
        value = names.fill(str(value), rule.where)
    if column.kind is Kind.TIME:
        return np.full(count, parse_time(value), np.int64)
    if isinstance(value, str) and column.kind in (Kind.VOCABULARY, Kind.DICTIONARY, Kind.TEXT):
        return Labels(np.zeros(count, np.int32), (value,))
    if isinstance(value, str) and column.kind is Kind.DECIMAL:
        return pyarrow().array([value] * count)
    shape = count if column.levels is None else (count, column.levels)
    return np.full(shape, float(value) if isinstance(value, str) else value)


def _with_nulls(array: Any, rule: Rule) -> Any:
    """The array, what the rule calls null being null."""
    if not rule.spec.null:
        return array
    import pyarrow.compute as pc

    pa = pyarrow()
    values = array.cast(array.type.value_type) if pa.types.is_dictionary(array.type) else array
    nulls = pa.array([str(value) for value in rule.spec.null]).cast(values.type)
    taken = pc.if_else(pc.is_in(values, nulls), pa.scalar(None, values.type), values)
    numeric = rule.column.kind in (Kind.NUMBER, Kind.FLAGS, Kind.DECIMAL) and rule.column.dtype != "bool" and not rule.spec.words
    is_text = pa.types.is_string(taken.type) or pa.types.is_large_string(taken.type)
    return _without_null_numbers(rule, taken) if is_text and (numeric or rule.spec.sign) else taken


def _without_null_numbers(rule: Rule, texts: Any) -> Any:
    """Texts without those of numbers that are null, however they are written: 0 is 0.00 too."""
    import pyarrow.compute as pc

    pa = pyarrow()
    nulls = {number for value in rule.spec.null if (number := _number(str(value))) is not None}
    if not nulls:
        return texts
    written = plain(rule, texts)
    # Doubles of either sign (there is a -0.0) find what may be meant; what remains is compared exactly: not every int64 is a double.
    near = pc.is_in(written.cast(pa.float64()), pa.array([sign * float(number) for number in nulls for sign in (1, -1)]))
    meant = [text for text in pc.unique(written.filter(near)).to_pylist() if _number(text) in nulls]
    return pc.if_else(pc.is_in(written, pa.array(meant, written.type)), pa.scalar(None, texts.type), texts)


def _number(text: str | None) -> Fraction | None:
    """The number that a text is, exactly; None if it is none."""
    try:
        return None if text is None else Fraction(text)
    except (ValueError, ZeroDivisionError):
        return None


def _level(rule: Rule, array: Any) -> np.ndarray:
    """One level of a column that has several: NaN, or what `fill` says, where there is none."""
    import pyarrow.compute as pc

    numbers = numbers_of(rule, _with_nulls(array, rule))
    if isinstance(numbers, np.ma.MaskedArray):
        return np.ma.filled(numbers, np.nan if rule.spec.fill is None else rule.spec.fill)
    if isinstance(numbers, np.ndarray):
        return numbers
    fill = rule.spec.fill if rule.spec.fill is not None else np.nan if rule.column.dtype.startswith("float") else 0
    if isinstance(fill, float) and pyarrow().types.is_integer(numbers.type):
        numbers = numbers.cast("float64") if numbers.null_count else numbers
        fill = fill if numbers.null_count else 0
    result: np.ndarray = pc.fill_null(numbers, fill).to_numpy(zero_copy_only=False)
    return result


def words(rule: Rule, array: Any) -> Any:
    """What the words mean: labels, or numbers where they stand for numbers."""
    coded = encoded(array)
    labels = coded.dictionary.to_pylist()
    unknown = [label for label in labels if label is not None and label not in rule.spec.words]
    if unknown and rule.spec.other is None:
        told = ", ".join(map(repr, rule.spec.words))
        raise InvalidInput(Problem(rule.where, f"holds {unknown[0]!r}, where words has {told}: add it there if it is right, or say other"))
    codes, valid = _codes(coded)
    meanings = [rule.spec.words.get(label, rule.spec.other) if label is not None else None for label in labels]
    if rule.column.kind in (Kind.VOCABULARY, Kind.DICTIONARY, Kind.TEXT):
        return Labels(np.where(valid, codes, np.int32(-1)), tuple(str(meaning) for meaning in meanings))
    table = np.array([0 if meaning is None else meaning for meaning in meanings] or [0])
    taken = table[codes]
    return taken if valid.all() else np.ma.MaskedArray(taken, ~valid)


def encoded(array: Any) -> Any:
    """A dictionary array of texts, whatever it was."""
    pa = pyarrow()
    if pa.types.is_dictionary(array.type):
        return array
    return array.cast(pa.string()).dictionary_encode()


def _codes(coded: Any) -> tuple[np.ndarray, np.ndarray]:
    codes = coded.indices.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int32)
    valid: np.ndarray = coded.is_valid().to_numpy(zero_copy_only=False)
    return codes, valid


def signs(rule: Rule, array: Any) -> Labels:
    """Meanings by the sign of numbers."""
    import pyarrow.compute as pc

    pa = pyarrow()
    array = plain(rule, array)
    numbers = array.cast(pa.float64()) if not pa.types.is_floating(array.type) else array
    valid = numbers.is_valid().to_numpy(zero_copy_only=False)
    values = pc.fill_null(numbers, 0.0).to_numpy(zero_copy_only=False)
    names, codes = list(rule.spec.sign), np.full(len(values), -2, np.int32)
    for name, chosen in (("positive", values > 0), ("negative", values < 0), ("zero", values == 0)):
        if name in names:
            codes[chosen] = names.index(name)
    codes[~valid] = -1
    if (codes == -2).any():
        row = int(np.argmax(codes == -2))
        what = f"holds {array[row]}, and sign says only what {', '.join(names)} mean: say it of the other signs too"
        raise InvalidInput(Problem(rule.where, what))
    return Labels(codes, tuple(str(value) for value in rule.spec.sign.values()))


def numbers_of(rule: Rule, array: Any) -> Any:
    """Numbers as the column wants them: text read to the nearest value there is, or scaled exactly."""
    import pyarrow.compute as pc

    pa, column = pyarrow(), rule.column
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    array = plain(rule, array)
    if rule.scale is not None:
        result = scaled(column, array, rule.scale)
        if not rule.spec.absolute:
            return result
        return Decimals(np.abs(result.mantissa), result.places, result.valid) if isinstance(result, Decimals) else np.abs(result)
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        wanted = pa.decimal128(38, column.places) if column.kind is Kind.DECIMAL else pa.type_for_alias(column.dtype)
        array = array.cast(wanted)
    elif pa.types.is_decimal(array.type) and column.kind is Kind.NUMBER:
        array = array.cast(pa.string()).cast(pa.type_for_alias(column.dtype))  # to the nearest value, which Arrow's own cast may miss
    return pc.abs_checked(array) if rule.spec.absolute else array


def scaled(column: Column, array: Any, scale: Fraction) -> Any:
    """Numbers times the scale, in exact arithmetic, then the nearest value that the column can hold."""
    pa = pyarrow()
    valid = array.is_valid().to_numpy(zero_copy_only=False)
    fast = _scaled_integers(column, array, scale)
    if fast is not None:
        return fast if valid.all() else np.ma.MaskedArray(fast, ~valid)
    coded = array.dictionary_encode() if not pa.types.is_dictionary(array.type) else array
    products = [None if value is None else Fraction(str(value).strip()) * scale for value in coded.dictionary.to_pylist()]
    codes, _ = _codes(coded)
    if column.kind is Kind.DECIMAL:
        assert column.places is not None
        mantissas = np.array([_whole(column, product, 10**column.places) for product in products] or [0], np.int64)
        return Decimals(mantissas[codes], column.places, None if valid.all() else valid)
    if column.dtype.startswith("float"):
        table = np.array([0.0 if product is None else float(product) for product in products] or [0.0], column.dtype)
    else:
        table = np.array([_whole(column, product, 1) for product in products] or [0], np.int64)
    return table[codes] if valid.all() else np.ma.MaskedArray(table[codes], ~valid)


def _scaled_integers(column: Column, array: Any, scale: Fraction) -> np.ndarray | None:
    """Whole numbers, if a float holds both sides of one division, which then is the nearest; None if something else is needed."""
    pa = pyarrow()
    if column.dtype != "float64" or column.kind is not Kind.NUMBER or (scale.denominator > EXACT and TENS % scale.denominator):
        return None
    try:
        whole = array.cast(pa.int64()) if not pa.types.is_floating(array.type) else None
    except pa.ArrowInvalid:
        return None
    if whole is None:
        return None
    values = whole.fill_null(0).to_numpy(zero_copy_only=False)
    limit = EXACT // max(1, abs(scale.numerator))
    if len(values) and not (values.max() <= limit and values.min() >= -limit):
        return None
    result: np.ndarray = (values * scale.numerator).astype(np.float64) / float(scale.denominator)
    return result


def _whole(column: Column, product: Fraction | None, factor: int) -> int:
    if product is None:
        return 0
    value = product * factor
    if value.denominator != 1 or abs(value.numerator) > INT64_MAX:
        what = f"{float(product)!r} after scaling isn't a whole number of its unit that 64 bits hold; choose another scale, dtype or places"
        raise InvalidInput(Problem(f"column {column.name!r}", what))
    return value.numerator
