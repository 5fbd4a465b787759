"""One column as a value: its kind, its type, what its codes mean, and what is wrong with it."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import msgspec
import numpy as np

from layouts.problems import Problem

NAME_PATTERN = re.compile(r"[a-z][a-z0-9_]*\Z")
NAME_LIMIT = 64
PLACES_LIMIT = 18
INT64_MIN = -(1 << 63)
INT64_MAX = (1 << 63) - 1


class Kind(StrEnum):
    """What a column holds; FORMAT.md section 5 tells the arrays each becomes."""

    NUMBER = "number"
    TIME = "time"
    VOCABULARY = "vocabulary"
    FLAGS = "flags"
    DICTIONARY = "dictionary"
    DECIMAL = "decimal"
    TEXT = "text"
    BYTES = "bytes"


class Clock(StrEnum):
    """Which clock a time column was read from."""

    AXIS = "axis"
    EXCHANGE = "exchange"
    PUBLISH = "publish"
    CAPTURE = "capture"
    OTHER = "other"


INTEGER_DTYPES = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")

#: The dtypes each kind may have; the first is the default.
DTYPES: Mapping[Kind, tuple[str, ...]] = MappingProxyType(
    {
        Kind.NUMBER: ("float64", "float32", "bool", *INTEGER_DTYPES),
        Kind.TIME: ("int64",),
        Kind.VOCABULARY: ("int8", "uint8"),
        Kind.FLAGS: ("uint8", "uint16", "uint32"),
        Kind.DICTIONARY: ("int32",),
        Kind.DECIMAL: ("int64",),
        Kind.TEXT: ("uint8",),
        Kind.BYTES: ("uint8",),
    },
)

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


class Column(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One column of a schema.

    Only `name` must be given. `dtype` follows from the kind where left out (float64 for numbers); plain strings are
    taken for `kind` and `clock`. Nothing is checked here: `validate_schema` tells every problem.
    """

    name: str
    kind: Kind = msgspec.field(default_factory=lambda: Kind.NUMBER)  # a factory, because plain defaults aren't written
    dtype: str = ""
    nullable: bool = False
    clock: Clock | None = None
    unit: str | None = None
    levels: int | None = None
    vocabulary: tuple[tuple[str, int], ...] = ()
    places: int | None = None
    description: str = ""
    attributes: dict[str, Any] = {}

    def __post_init__(self) -> None:
        """Turn what users type into what we mean."""
        coerce_member(self, "kind", Kind)
        coerce_member(self, "clock", Clock)
        if not self.dtype and isinstance(self.kind, Kind):
            msgspec.structs.force_setattr(self, "dtype", DTYPES[self.kind][0])
        if isinstance(self.vocabulary, Mapping):
            msgspec.structs.force_setattr(self, "vocabulary", tuple(self.vocabulary.items()))
        elif isinstance(self.vocabulary, list):
            msgspec.structs.force_setattr(self, "vocabulary", tuple(map(tuple, self.vocabulary)))

    @property
    def is_ragged(self) -> bool:
        """Whether rows have lengths of their own: an array of bytes and one of counts."""
        return self.kind in (Kind.TEXT, Kind.BYTES)

    @property
    def null_stand_in(self) -> np.generic:
        """What lies under a null in the column's array (in its count, for text and bytes)."""
        if self.is_ragged:
            return np.uint32(0)
        dtype = np.dtype(self.dtype)
        if dtype.kind == "f":
            return dtype.type(np.nan)
        return dtype.type({Kind.TIME: INT64_MIN, Kind.DICTIONARY: -1}.get(self.kind, 0))


def coerce_member(struct: msgspec.Struct, field: str, enumeration: type[StrEnum]) -> None:
    """Replace a plain string by the member it names; leave anything else for validation to tell."""
    value = getattr(struct, field)
    if type(value) is str and value in enumeration:
        msgspec.structs.force_setattr(struct, field, enumeration(value))


def name_problems(name: object, where: str) -> Iterator[Problem]:
    """Whether a schema, column or array may be called so."""
    if not isinstance(name, str) or not NAME_PATTERN.match(name):
        yield Problem(where, f"the name {name!r} must match [a-z][a-z0-9_]*; use lower-case letters, digits and _")
    elif len(name) > NAME_LIMIT:
        yield Problem(where, f"the name has {len(name)} characters, more than {NAME_LIMIT}; shorten it")


def json_problems(value: object, where: str) -> Iterator[Problem]:
    """Everything in a value that JSON can't hold and give back unchanged."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                yield Problem(where, f"the key {key!r} isn't text; JSON objects have text keys")
            yield from json_problems(item, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for position, item in enumerate(value):
            yield from json_problems(item, f"{where}[{position}]")
    elif isinstance(value, float):
        if not math.isfinite(value):
            yield Problem(where, f"{value} has no JSON; leave it out or write it as text")
    elif isinstance(value, str):
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            yield Problem(where, "lone surrogates aren't UTF-8; give valid text")
    elif isinstance(value, int):
        if not INT64_MIN <= value < 1 << 64:
            yield Problem(where, f"{value} doesn't fit 64 bits; write it as text")
    elif value is not None:
        yield Problem(where, f"a {type(value).__name__} isn't JSON; use numbers, text, lists and objects")


def column_problems(column: Column) -> Iterator[Problem]:
    """Everything wrong with one column by itself."""
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


def _unit_problems(column: Column, where: str) -> Iterator[Problem]:
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
        yield Problem(where, f"CF readers would decode unit {unit!r} into a date; make it a time column of int64 nanoseconds since 1970 UTC")


def _number_problems(column: Column, where: str) -> Iterator[Problem]:
    levels, places = column.levels, column.places
    if levels is not None:
        if column.kind is not Kind.NUMBER:
            yield Problem(where, f"a {column.kind} column has one value per row; levels={levels!r} are for numbers")
        elif isinstance(levels, bool) or not isinstance(levels, int) or levels < 1:
            yield Problem(where, f"levels={levels!r} must be a whole number from 1 on")
    if column.kind is Kind.DECIMAL:
        if isinstance(places, bool) or not isinstance(places, int) or not 0 <= places <= PLACES_LIMIT:
            yield Problem(where, f"places={places!r} must be a whole number from 0 to {PLACES_LIMIT}")
    elif places is not None:
        yield Problem(where, f"places={places!r} are for decimal columns; this one is {column.kind}")


def _vocabulary_problems(column: Column, where: str) -> Iterator[Problem]:
    if column.kind not in (Kind.VOCABULARY, Kind.FLAGS):
        if column.vocabulary:
            yield Problem(where, f"a {column.kind} column has no vocabulary; make its kind vocabulary or flags")
        return
    if not column.vocabulary:
        yield Problem(where, f"a {column.kind} column needs a vocabulary: (meaning, value) pairs")
        return
    if not isinstance(column.vocabulary, tuple) or not all(isinstance(pair, tuple) and len(pair) == 2 for pair in column.vocabulary):  # noqa: PLR2004
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


def _code_problems(column: Column, value: object, where: str) -> Iterator[Problem]:
    if isinstance(value, bool) or not isinstance(value, int):
        yield Problem(where, f"the vocabulary value {value!r} isn't a whole number")
        return
    if column.dtype in DTYPES[column.kind]:
        limits = np.iinfo(column.dtype)
        if not limits.min <= value <= limits.max:
            yield Problem(where, f"the vocabulary value {value} doesn't fit {column.dtype} ({limits.min} to {limits.max})")
    if column.kind is Kind.FLAGS and (value <= 0 or value & (value - 1)):
        yield Problem(where, f"the flag mask {value} isn't one bit; use 1, 2, 4, …")


def _attribute_problems(column: Column, where: str) -> Iterator[Problem]:
    if not isinstance(column.attributes, dict):
        yield Problem(where, f"attributes are {column.attributes!r}, and must be a dict")
        return
    reserved = RESERVED_ATTRIBUTES | ({"decimal_places"} if column.kind is Kind.DECIMAL else set())
    for name in column.attributes:
        if name in reserved:
            yield Problem(where, f"the attribute {name!r} follows from kind, unit and description; give it another name")
    yield from json_problems(column.attributes, f"{where} attributes")
