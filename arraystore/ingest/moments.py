"""Times of files as int64 nanoseconds since 1970 UTC, exact to the last digit. One of the doors to pyarrow."""

# mypy: disable-error-code="import-untyped"

from datetime import UTC
from typing import Any

import numpy as np

from arraystore.errors import InvalidInput, Problem
from arraystore.frames.arrow import pyarrow
from arraystore.ingest.checks import Rule
from arraystore.ingest.forms import read_form
from arraystore.ingest.mapping import BY_SIZE, DAYS, UNITS
from arraystore.ingest.names import Names
from layouts.columns import INT64_MAX
from layouts.times import parse_duration, parse_time

DIGITS = 38
SIZES = (10**11, 10**14, 10**17)  # below the first seconds, then milliseconds, microseconds, nanoseconds: from 1973 on
DAY = 86_400_000_000_000
UTC_SUFFIX = r"\s*(UTC|GMT)$"
AWARE = r":\d\d(:\d\d([.,]\d+)?)?\s*(Z|z|[+-]\d\d(:?\d\d)?)$"
SPACED_OFFSET = r"\s+([+-]\d\d(:?\d\d)?|[Zz])$"  # as many programs write it, and Arrow doesn't read it
CHOICES = {"error": "raise", "earlier": "earliest", "later": "latest"}


def moments(rule: Rule, array: Any, names: Names) -> np.ndarray:
    """The moments that a column of a file means; masked where it is null."""
    pa, spec = pyarrow(), rule.spec
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    valid = array.is_valid().to_numpy(zero_copy_only=False)
    units = np.ones(1, np.int64)
    if pa.types.is_temporal(array.type):
        times = _typed(rule, array)
    elif spec.round is not None:
        times = _rounded(rule, array)
    elif spec.unit == DAYS:
        times = _checked_product(rule, _whole_numbers(rule, array), DAY)
    elif spec.unit in UNITS:
        times = _counted(rule, array, UNITS[spec.unit])
        units = np.full(1, 10 ** UNITS[spec.unit], np.int64)
    elif spec.unit == BY_SIZE:
        times, units = _by_size(rule, array)
    elif pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        times = _formatted(rule, array) if spec.unit == "format" else _iso(rule, array)
    else:
        what = f"holds {array.type}, and the mapping doesn't say which unit its times have: one of {', '.join(map(str, UNITS))}"
        raise InvalidInput(Problem(rule.where, what))
    times = _since(rule, times, names)
    if spec.plus is not None:
        times = times + (units if spec.plus == "unit" else parse_duration(names.fill(spec.plus, rule.where)))
    return times if valid.all() else np.ma.MaskedArray(times, ~valid)


def _typed(rule: Rule, array: Any) -> np.ndarray:
    """Arrow's own timestamps and dates; those without a zone are in the rule's."""
    pa = pyarrow()
    if pa.types.is_time(array.type) or pa.types.is_duration(array.type):
        raise InvalidInput(Problem(rule.where, f"holds {array.type}, which is no moment; convert it, or give a unit and since"))
    zone = getattr(array.type, "tz", None)
    times = _nanoseconds(array.cast(pa.timestamp("ns", zone)))
    return times if zone is not None else _local(rule, times)


def _counted(rule: Rule, array: Any, power: int) -> np.ndarray:
    """Counts of a unit, with or without a fraction, as nanoseconds; in exact decimal arithmetic."""
    pa = pyarrow()
    if pa.types.is_floating(array.type):
        what = f"holds {array.type}, and floats tell times only roughly: say how exactly they are meant, such as round = '1us'"
        raise InvalidInput(Problem(rule.where, what))
    if pa.types.is_integer(array.type):
        return _checked_product(rule, array, 10**power)
    array = plain(rule, array).cast(pa.decimal128(DIGITS, power))
    words = np.frombuffer(array.buffers()[1], np.int64, 2 * len(array), 16 * array.offset).reshape(-1, 2)
    valid = array.is_valid().to_numpy(zero_copy_only=False)
    if beyond := np.flatnonzero((words[:, 1] != words[:, 0] >> 63) & valid).tolist():
        raise _too_far(rule, array[beyond[0]])
    return np.where(valid, words[:, 0], 0)


def _checked_product(rule: Rule, array: Any, factor: int) -> np.ndarray:
    pa = pyarrow()
    values = array.fill_null(0).cast(pa.int64()).to_numpy(zero_copy_only=False)
    if len(values) and (values.max() > INT64_MAX // factor or values.min() < -(INT64_MAX // factor)):
        row = int(np.argmax(np.abs(values.astype(np.float64))))
        raise _too_far(rule, array[row])
    result: np.ndarray = values * np.int64(factor)
    return result


def _rounded(rule: Rule, array: Any) -> np.ndarray:
    """Counts that floats tell, or that have more digits than count, as the nearest multiple of the step that they are meant to."""
    pa, spec = pyarrow(), rule.spec
    assert spec.round is not None
    step = parse_duration(spec.round)
    unit = DAY if spec.unit == DAYS else 10 ** UNITS[spec.unit]
    values = plain(rule, array).cast(pa.float64()).fill_null(0.0).to_numpy(zero_copy_only=False)
    counts = np.rint(values * (unit / step))
    if beyond := np.flatnonzero(~(np.abs(counts) <= INT64_MAX // step)).tolist():
        raise _too_far(rule, array[beyond[0]])
    result: np.ndarray = counts.astype(np.int64) * np.int64(step)
    return result


def plain(rule: Rule, array: Any) -> Any:
    """Numbers in text as everybody writes them: with a point, and nothing else between the digits."""
    import pyarrow.compute as pc

    pa = pyarrow()
    if not (pa.types.is_string(array.type) or pa.types.is_large_string(array.type)):
        return array
    array = pc.utf8_trim_whitespace(array)
    for letter in rule.thousands:
        array = pc.replace_substring(array, letter, "")
    return pc.replace_substring(array, rule.decimal, ".") if rule.decimal != "." else array


def _whole_numbers(rule: Rule, array: Any) -> Any:
    """Numbers without a fraction."""
    pa = pyarrow()
    if pa.types.is_floating(array.type):
        what = f"holds {array.type}, and floats tell times only roughly: say how exactly they are meant, such as round = '1ms'"
        raise InvalidInput(Problem(rule.where, what))
    return plain(rule, array).cast(pa.int64())


def _by_size(rule: Rule, array: Any) -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers whose size tells their unit; also how many nanoseconds that is."""
    values = _whole_numbers(rule, array).fill_null(0).to_numpy(zero_copy_only=False)
    places = np.searchsorted(SIZES, np.abs(values), side="right")
    units = np.array([10**9, 10**6, 10**3, 1], np.int64)[places]
    return values * units, units


def _iso(rule: Rule, array: Any) -> np.ndarray:
    """ISO 8601 text, up to nine digits of a second; with an offset, or else in the rule's zone."""
    import pyarrow.compute as pc

    pa = pyarrow()
    array = pc.replace_substring_regex(pc.utf8_trim_whitespace(array), UTC_SUFFIX, "Z")
    if rule.spec.since is not None:  # a time of day
        array = pc.binary_join_element_wise("1970-01-01", array, "T")
        return _nanoseconds(array.cast(pa.timestamp("ns")))
    aware = pc.match_substring_regex(array, AWARE)
    if pc.all(aware).as_py():
        if pc.any(pc.match_substring_regex(array, SPACED_OFFSET)).as_py():
            array = pc.replace_substring_regex(array, SPACED_OFFSET, r"\1")
        return _nanoseconds(array.cast(pa.timestamp("ns", "UTC")))
    if pc.any(aware).as_py():
        raise InvalidInput(Problem(rule.where, "some times have an offset and some have none; write all alike"))
    return _local(rule, _nanoseconds(array.cast(pa.timestamp("ns"))))


def _formatted(rule: Rule, array: Any) -> np.ndarray:
    """Text of a form of one's own; each different text is read once."""
    form = rule.spec.format or ""
    coded = array.dictionary_encode()
    read = read_form(coded.dictionary.to_pylist(), form, rule.where, since=rule.spec.since is not None)
    times = read[coded.indices.fill_null(0).to_numpy(zero_copy_only=False)]
    return times if "%z" in form or rule.spec.since is not None else _local(rule, times)


def _since(rule: Rule, times: np.ndarray, names: Names) -> np.ndarray:
    """Times told since a moment: of the file's date, or of the mapping."""
    since = rule.spec.since
    if since is None:
        return times
    if since != "date":
        return times + parse_time(names.fill(since, rule.where))
    assert names.midnight is not None
    if rule.spec.zone is None:
        return times + parse_time(names.midnight)
    return _local(rule, times + parse_time(names.midnight.replace(tzinfo=UTC)))  # the wall clock since midnight


def _local(rule: Rule, times: np.ndarray) -> np.ndarray:
    """Wall clock times of the rule's zone as moments; what a change of clocks skips or repeats is an error unless the rule chooses."""
    if rule.spec.zone in (None, "UTC"):
        return times
    import pyarrow.compute as pc

    pa, spec = pyarrow(), rule.spec
    naive = pa.array(times.view("datetime64[ns]"))
    try:
        zoned = pc.assume_timezone(naive, spec.zone, ambiguous=CHOICES[spec.fold], nonexistent=CHOICES[spec.gap])
    except pa.ArrowInvalid as error:
        told = " ".join(str(error).split())
        what = f"{told}; clocks change there: say which is meant, gap = 'earlier' or 'later' for skipped times, fold for repeated ones"
        raise InvalidInput(Problem(rule.where, what)) from error
    return _nanoseconds(zoned)


def _nanoseconds(array: Any) -> np.ndarray:
    pa = pyarrow()
    result: np.ndarray = array.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    return result


def _too_far(rule: Rule, value: Any) -> InvalidInput:
    return InvalidInput(Problem(rule.where, f"holds {value}, which int64 nanoseconds can't hold: is the unit {rule.spec.unit!r} right?"))
