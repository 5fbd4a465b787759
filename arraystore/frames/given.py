"""One column as the caller gave it, whatever it came as: values in one of a few forms, and which of them are valid."""

from dataclasses import dataclass

import numpy as np

from arraystore.errors import InvalidInput, Problem
from arraystore.frames.columns import Value

NULL_TYPES = frozenset({"NoneType", "NAType", "NaTType", "MaskedConstant"})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Given:
    """`values` before the schema looks at them, and `valid`, bool per row (None: all); what lies under a null means nothing.

    A NumPy array may be of numbers, times, fixed-width or variable-width text, or Python objects; the first dimension is rows.
    """

    values: Value
    valid: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def is_all_null(self) -> bool:
        """Whether no row has a value, so that the type of what is there says nothing."""
        return self.valid is not None and not self.valid.any()


def all_null(count: int) -> Given:
    """A column of nulls, of no type."""
    return Given(values=np.zeros(count, np.int8), valid=np.zeros(count, np.bool_))


def given_from_objects(values: np.ndarray) -> Given:
    """Python objects, among which None, and what pandas and NumPy put in its place, are null."""
    null_types = {kind for kind in set(map(type, values)) if kind.__name__ in NULL_TYPES}
    if not null_types:
        return Given(values=values)
    return Given(values=values, valid=np.fromiter((type(value) not in null_types for value in values), np.bool_, len(values)))


def repeated_names(names: list[str]) -> list[Problem]:
    """The problems of a table in which a name stands more than once."""
    return [Problem(f"column {name!r}", "comes more than once; give it once") for name in sorted(set(names)) if names.count(name) > 1]


def missing_library(what: str, library: str, extra: str) -> InvalidInput:
    """The error of a border whose optional library isn't installed."""
    return InvalidInput(Problem(what, f"this needs {library}, which isn't installed; pip install 'arraystore[{extra}]'"))
