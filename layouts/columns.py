"""One column as a value: its kind, its type, and what its codes mean."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import msgspec
import numpy as np

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
        vocabulary: Any = self.vocabulary
        if isinstance(vocabulary, Mapping):
            msgspec.structs.force_setattr(self, "vocabulary", tuple(vocabulary.items()))
        elif isinstance(vocabulary, list):
            pairs = tuple(tuple(pair) if isinstance(pair, list) else pair for pair in vocabulary)
            msgspec.structs.force_setattr(self, "vocabulary", pairs)

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
        value = np.nan if dtype.kind == "f" else {Kind.TIME: INT64_MIN, Kind.DICTIONARY: -1}.get(self.kind, 0)
        stand_in: np.generic = dtype.type(value)
        return stand_in


def coerce_member(struct: msgspec.Struct, field: str, enumeration: type[StrEnum]) -> None:
    """Replace a plain string by the member it names; leave anything else for validation to tell."""
    value = getattr(struct, field)
    if type(value) is str and value in enumeration:
        msgspec.structs.force_setattr(struct, field, enumeration(value))
