"""What may be wrong with one column: every problem, each with its remedy."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from layouts.columns import DTYPES, INT64_MIN, Clock, Column, Kind
from layouts.problems import Problem

NAME_PATTERN = re.compile(r"[a-z][a-z0-9_]*\Z")
NAME_LIMIT = 64
PLACES_LIMIT = 18
LEVELS_LIMIT = 1 << 16

#: Attributes that a column's kind determines, or that would make CF readers change values on the way.
RESERVED_ATTRIBUTES = frozenset(
    {
        *("_FillValue", "_Unsigned", "add_offset", "calendar", "coordinates", "dtype", "encoding", "flag_masks", "flag_meanings"),
        *("flag_values", "labels", "long_name", "missing_value", "sample_dimension", "scale_factor", "units"),
    },
)

#: Units that CF readers take for a duration and decode; the short name says the same and stays a number.
DECODED_UNITS: Mapping[str, str] = MappingProxyType(
    {
        "days": "d",
        "hours": "h",
        "minutes": "min",
        "seconds": "s",
        "milliseconds": "ms",
        "microseconds": "us",
        "nanoseconds": "ns",
    },
)

_MEANING_PATTERN = re.compile(r"[A-Za-z0-9_.@+-]+\Z")


def name_problems(name: object, where: str) -> Iterator[Problem]:
    """Whether a schema, column or array may be called so."""
    if not isinstance(name, str) or not NAME_PATTERN.match(name):
        yield Problem(where, f"the name {name!r} must match [a-z][a-z0-9_]*; use lower-case letters, digits and _")
    elif len(name) > NAME_LIMIT:
        yield Problem(where, f"the name has {len(name)} characters, more than {NAME_LIMIT}; shorten it")


def json_problems(value: object, where: str) -> Iterator[Problem]:
    """Everything in a value that JSON can't hold and give back unchanged."""
    match value:
        case dict():
            for key, item in value.items():
                if not isinstance(key, str):
                    yield Problem(where, f"the key {key!r} isn't text; JSON objects have text keys")
                yield from json_problems(item, f"{where}.{key}")
        case list():
            for position, item in enumerate(value):
                yield from json_problems(item, f"{where}[{position}]")
        case _ if what := _scalar_problem(value):
            yield Problem(where, what)


def _scalar_problem(value: object) -> str:
    match value:
        case None | bool():
            return ""
        case str():
            return "" if _is_unicode(value) else "lone surrogates aren't UTF-8; give valid text"
        case int():
            return "" if INT64_MIN <= value < 1 << 64 else f"{value} doesn't fit 64 bits; write it as text"
        case float():
            return "" if math.isfinite(value) else f"{value} has no JSON; leave it out, or write it as text"
        case _:
            return f"a {type(value).__name__} isn't JSON; use numbers, text, lists and dicts"


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def column_problems(column: Column) -> Iterator[Problem]:
    """Everything wrong with one column by itself; its fields may hold anything, as building one checks nothing."""
    return _column_problems(column)


def _column_problems(column: Any) -> Iterator[Problem]:
    where = f"column {column.name!r}"
    yield from name_problems(column.name, where)
    if not isinstance(column.kind, Kind):
        yield Problem(where, f"the kind {column.kind!r} isn't one of {_listed(Kind)}")
        return
    if column.dtype not in DTYPES[column.kind]:
        yield Problem(where, f"dtype {column.dtype!r} isn't one that a {column.kind} column may have: {_listed(DTYPES[column.kind])}")
    if not isinstance(column.nullable, bool):
        yield Problem(where, f"nullable is {column.nullable!r}, and must be True or False")
    if column.clock is not None and not isinstance(column.clock, Clock):
        yield Problem(where, f"the clock {column.clock!r} isn't one of {_listed(Clock)}")
    elif column.clock is not None and column.kind is not Kind.TIME:
        yield Problem(where, f"a {column.kind} column can't be a clock; make its kind time, or drop clock={column.clock.value!r}")
    if not isinstance(column.description, str):
        yield Problem(where, f"the description {column.description!r} isn't text")
    yield from _unit_problems(column, where)
    yield from _number_problems(column, where)
    yield from _vocabulary_problems(column, where)
    yield from _attribute_problems(column, where)


def _listed(values: Iterable[str]) -> str:
    return ", ".join(str(value) for value in values)


def _unit_problems(column: Any, where: str) -> Iterator[Problem]:
    unit = column.unit
    if unit is None:
        return
    if not isinstance(unit, str) or not unit:
        yield Problem(where, f"the unit {unit!r} isn't text; leave it out where there is none")
    elif column.kind not in (Kind.NUMBER, Kind.DECIMAL):
        yield Problem(where, f"a {column.kind} column has no unit of its own; drop unit={unit!r}")
    elif unit in DECODED_UNITS:
        yield Problem(where, f"CF readers would decode unit {unit!r} into a duration; write {DECODED_UNITS[unit]!r}")
    elif " since " in unit:
        yield Problem(where, f"CF readers would decode unit {unit!r} into a date; make it a time column, in ns since 1970 UTC")


def _number_problems(column: Any, where: str) -> Iterator[Problem]:
    levels, places = column.levels, column.places
    if levels is not None:
        if column.kind is not Kind.NUMBER:
            yield Problem(where, f"a {column.kind} column has one value per row; levels={levels!r} are for numbers")
        elif isinstance(levels, bool) or not isinstance(levels, int) or not 1 <= levels <= LEVELS_LIMIT:
            yield Problem(where, f"levels={levels!r} must be a whole number from 1 to {LEVELS_LIMIT}")
    if column.kind is Kind.DECIMAL:
        if isinstance(places, bool) or not isinstance(places, int) or not 0 <= places <= PLACES_LIMIT:
            yield Problem(where, f"places={places!r} must be a whole number from 0 to {PLACES_LIMIT}")
    elif places is not None:
        yield Problem(where, f"places={places!r} are for decimal columns; this one is {column.kind}")


def _vocabulary_problems(column: Any, where: str) -> Iterator[Problem]:
    if column.kind not in (Kind.VOCABULARY, Kind.FLAGS):
        if column.vocabulary:
            yield Problem(where, f"a {column.kind} column has no vocabulary; make its kind vocabulary or flags")
        return
    if not column.vocabulary:
        yield Problem(where, f"a {column.kind} column needs a vocabulary: (meaning, value) pairs")
        return
    if not isinstance(column.vocabulary, tuple) or not all(isinstance(pair, tuple) and len(pair) == 2 for pair in column.vocabulary):
        yield Problem(where, f"the vocabulary {column.vocabulary!r} must be (meaning, value) pairs")
        return
    for index, what in ((0, "meaning"), (1, "value")):
        entries = [pair[index] for pair in column.vocabulary]
        for entry in dict.fromkeys(entry for entry in entries if entries.count(entry) > 1):
            yield Problem(where, f"the {what} {entry!r} occurs twice in the vocabulary; each must be unique")
    for meaning, value in column.vocabulary:
        if not isinstance(meaning, str) or not _MEANING_PATTERN.match(meaning):
            yield Problem(where, f"the meaning {meaning!r} must be one word of letters, digits and _ . @ + - (CF separates them by blanks)")
        yield from _code_problems(column, value, where)


def _code_problems(column: Any, value: object, where: str) -> Iterator[Problem]:
    if isinstance(value, bool) or not isinstance(value, int):
        yield Problem(where, f"the vocabulary value {value!r} isn't a whole number")
        return
    if column.dtype in DTYPES[column.kind]:
        limits = np.iinfo(column.dtype)
        if not limits.min <= value <= limits.max:
            yield Problem(where, f"the vocabulary value {value} doesn't fit {column.dtype} ({limits.min} to {limits.max})")
    if column.kind is Kind.FLAGS and (value <= 0 or value & (value - 1)):
        yield Problem(where, f"the flag mask {value} isn't one bit; use 1, 2, 4, …")


def _attribute_problems(column: Any, where: str) -> Iterator[Problem]:
    if not isinstance(column.attributes, dict):
        yield Problem(where, f"attributes are {column.attributes!r}, and must be a dict")
        return
    reserved = RESERVED_ATTRIBUTES | ({"decimal_places"} if column.kind is Kind.DECIMAL else set())
    for name in column.attributes:
        if name in reserved:
            yield Problem(where, f"the attribute {name!r} follows from kind, unit and description; give it another name")
    yield from json_problems(column.attributes, f"{where} attributes")
