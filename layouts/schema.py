"""What the rows of a dataset look like: columns, the axis clock, the order and the time window; and what is wrong with it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from functools import cached_property
from typing import Any, Literal

import msgspec
import numpy as np

from layouts.columnrules import NAME_LIMIT, column_problems, json_problems, name_problems
from layouts.columns import DTYPES, Clock, Column, Kind, coerce_member
from layouts.problems import InvalidInput, Problem
from layouts.windows import WindowLength, window_change_problems

__all__ = [
    "DTYPES",
    "LEVEL_DIMENSION",
    "NAME_LIMIT",
    "ArrayRole",
    "ArraySpec",
    "Clock",
    "Column",
    "Kind",
    "Order",
    "Schema",
    "parse_schema",
    "validate_schema",
]

LEVEL_DIMENSION = "level"
NARROWED = 64

type ArrayRole = Literal["values", "count", "valid"]


class Order(StrEnum):
    """In which order rows read back."""

    ARRIVAL = "arrival"
    TIME = "time"


class ArraySpec(msgspec.Struct, frozen=True, kw_only=True):
    """One array that a column becomes (FORMAT.md section 5).

    `inner_shape` is the shape of one element along the first dimension: `()`, or `(levels,)`.
    """

    name: str
    column: str
    role: ArrayRole
    dtype: str
    dimensions: tuple[str, ...]
    inner_shape: tuple[int, ...] = ()

    @property
    def is_payload(self) -> bool:
        """Whether these are the bytes of text or payloads, which are counted in bytes and not in rows."""
        return self.dimensions[0] == f"{self.column}_byte"

    @property
    def element_bytes(self) -> int:
        """Size of one element along the first dimension."""
        levels = self.inner_shape[0] if self.inner_shape else 1
        return np.dtype(self.dtype).itemsize * levels


class Schema(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, dict=True):
    """The columns of a dataset, which of them is the axis clock, the order of rows, and how long a time window is.

    Left out: axis `time`, time order, windows of a day. The axis column's clock is `axis`. `earlier_windows` has the lengths that
    windows had before, each with the moment until which; a dataset's `evolve` fills it in. Nothing is checked here:
    `validate_schema` tells every problem, `parse_schema` raises with them.
    """

    name: str
    axis: str = msgspec.field(default_factory=lambda: "time")  # factories, because plain defaults aren't written
    order: Order = msgspec.field(default_factory=lambda: Order.TIME)
    window: WindowLength = msgspec.field(default_factory=lambda: WindowLength.DAY)
    earlier_windows: tuple[tuple[WindowLength, int], ...] = ()
    attributes: dict[str, Any] = {}
    columns: tuple[Column, ...]

    def __post_init__(self) -> None:
        """Turn what users type into what we mean."""
        coerce_member(self, "order", Order)
        coerce_member(self, "window", WindowLength)
        earlier: Any = self.earlier_windows
        if earlier and isinstance(earlier, list | tuple):
            msgspec.structs.force_setattr(self, "earlier_windows", tuple(map(_with_length, earlier)))
        columns: Any = self.columns
        if isinstance(columns, list | tuple):
            msgspec.structs.force_setattr(self, "columns", tuple(map(self._with_axis_clock, columns)))

    def _with_axis_clock(self, column: Any) -> Any:
        if isinstance(column, Column) and column.name == self.axis and column.kind == Kind.TIME and column.clock is None:
            return msgspec.structs.replace(column, clock=Clock.AXIS)
        return column

    @cached_property
    def _by_name(self) -> dict[str, Column]:
        return {column.name: column for column in self.columns}

    def __contains__(self, name: object) -> bool:
        """Whether there is a column of this name."""
        return name in self._by_name

    def column(self, name: str) -> Column:
        """The column of this name, or `InvalidInput` with the nearest one."""
        try:
            return self._by_name[name]
        except KeyError:
            from difflib import get_close_matches

            nearest = get_close_matches(str(name), self.names, 1)
            advice = f"did you mean {nearest[0]!r}?" if nearest else f"there are {', '.join(self.names)}"
            raise InvalidInput(Problem(f"column {name!r}", f"schema {self.name!r} has no such column; {advice}")) from None

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of all columns, in order."""
        return tuple(column.name for column in self.columns)

    def only(self, names: Iterable[str]) -> "Schema":
        """The same schema with these columns only, in its own order; names that it hasn't got are passed over."""
        wanted = frozenset(names)
        known = self._narrowed.get(wanted)
        if known is None:
            columns = tuple(column for column in self.columns if column.name in wanted)
            known = self if len(columns) == len(self.columns) else msgspec.structs.replace(self, columns=columns)
            if len(self._narrowed) >= NARROWED:
                self._narrowed.clear()
            self._narrowed[wanted] = known
        return known

    @cached_property
    def _narrowed(self) -> dict[frozenset[str], "Schema"]:
        return {}  # readers ask for the same columns again and again

    def with_columns(self, *columns: Column) -> "Schema":
        """The same schema with more columns at its end; one of a name that is there takes that one's place."""
        given = {column.name: column for column in columns}
        kept = tuple(given.pop(column.name, column) for column in self.columns)
        return msgspec.structs.replace(self, columns=(*kept, *given.values()))

    @property
    def row_dimension(self) -> str:
        """Name of the dimension that counts rows: the axis column's."""
        return self.axis

    @cached_property
    def clocks(self) -> tuple[str, ...]:
        """Names of the time columns that are clocks, the axis first."""
        return (self.axis, *(c.name for c in self.columns if c.kind is Kind.TIME and c.clock is not None and c.name != self.axis))

    @cached_property
    def plain_dtypes(self) -> Mapping[str, np.dtype] | None:
        """The dtype of each column, if every one is an array of its values with one per row that needs nothing beside it; else None."""
        plain = (Kind.NUMBER, Kind.TIME, Kind.VOCABULARY, Kind.FLAGS)
        if any(column.kind not in plain or column.levels for column in self.columns):
            return None
        return {column.name: np.dtype(column.dtype) for column in self.columns}

    def arrays(self) -> tuple[ArraySpec, ...]:
        """Every array that a segment of this schema may hold, in the order of columns (FORMAT.md section 5)."""
        return self._arrays

    @cached_property
    def _arrays(self) -> tuple[ArraySpec, ...]:
        return tuple(spec for column in self.columns for spec in self.arrays_of(column))

    def arrays_of(self, column: Column) -> Iterator[ArraySpec]:
        """The arrays that one column becomes: values, then counts for text and bytes, then validity where nullable."""
        rows, name = (self.axis,), column.name
        if column.is_ragged:
            yield ArraySpec(name=name, column=name, role="values", dtype=column.dtype, dimensions=(f"{name}_byte",))
            yield ArraySpec(name=f"{name}_count", column=name, role="count", dtype="uint32", dimensions=rows)
        elif column.levels is not None:
            dimensions = (*rows, LEVEL_DIMENSION)
            yield ArraySpec(name=name, column=name, role="values", dtype=column.dtype, dimensions=dimensions, inner_shape=(column.levels,))
        else:
            yield ArraySpec(name=name, column=name, role="values", dtype=column.dtype, dimensions=rows)
        if column.nullable:
            yield ArraySpec(name=f"{name}_valid", column=name, role="valid", dtype="bool", dimensions=rows)

    def null_stand_in(self, column: Column | str) -> np.generic:
        """What lies under a null of this column (in its count, for text and bytes)."""
        return (column if isinstance(column, Column) else self.column(column)).null_stand_in


def _with_length(change: Any) -> Any:
    """A change of windows with its length as a value, if it is one."""
    if isinstance(change, list | tuple) and change and change[0] in tuple(WindowLength):
        return (WindowLength(change[0]), *change[1:])
    return change


def validate_schema(schema: Any) -> tuple[Problem, ...]:
    """Every problem of a schema; none means that a dataset can be made with it."""
    if not isinstance(schema, Schema):
        what = f"a {type(schema).__name__} isn't a Schema; build one from columns, or take a shipped one"
        return (Problem("schema", what),)
    return tuple(dict.fromkeys(_problems(schema)))  # building one checks nothing, so its fields may hold anything


def parse_schema(schema: Schema) -> Schema:
    """The same schema, or `InvalidInput` with every problem."""
    if problems := validate_schema(schema):
        raise InvalidInput(problems)
    return schema


def _problems(schema: Any) -> Iterator[Problem]:
    where = f"schema {schema.name!r}"
    yield from name_problems(schema.name, where)
    if not isinstance(schema.order, Order):
        yield Problem(where, f"the order {schema.order!r} isn't one of {', '.join(Order)}")
    if not isinstance(schema.window, WindowLength):
        yield Problem(where, f"the window {schema.window!r} isn't one of {', '.join(WindowLength)}")
    elif schema.earlier_windows:
        yield from window_change_problems(schema.earlier_windows, schema.window, where)
    if isinstance(schema.attributes, dict):
        yield from json_problems(schema.attributes, f"{where} attributes")
    else:
        yield Problem(where, f"attributes are {schema.attributes!r}, and must be a dict")
    columns = schema.columns
    if not isinstance(columns, tuple) or not all(isinstance(column, Column) and isinstance(column.name, str) for column in columns):
        yield Problem(where, f"columns are {columns!r}, and must be a tuple of Column with names")
        return
    for column in columns:
        yield from column_problems(column)
    yield from _axis_problems(schema, where)
    yield from _name_clashes(schema)
    yield from _level_problems(schema, where)


def _axis_problems(schema: Schema, where: str) -> Iterator[Problem]:
    axis = next((column for column in schema.columns if column.name == schema.axis), None)
    if axis is None:
        yield Problem(where, f"the axis {schema.axis!r} isn't among its columns; add it as a time column, or name another as axis")
    else:
        if axis.kind is not Kind.TIME:
            yield Problem(f"column {axis.name!r}", f"the axis must be a time column, and is of kind {axis.kind}")
        elif axis.clock is not Clock.AXIS:
            yield Problem(f"column {axis.name!r}", f"the axis must have the clock 'axis', and has {axis.clock!s}")
        if axis.nullable:
            yield Problem(f"column {axis.name!r}", "the axis can't be null; drop nullable=True")
    for column in schema.columns:
        if column.clock is Clock.AXIS and column.name != schema.axis:
            yield Problem(f"column {column.name!r}", f"only the axis {schema.axis!r} has the clock 'axis'; make it 'other'")


def _name_clashes(schema: Schema) -> Iterator[Problem]:
    owners: dict[str, Column] = {}
    for column in schema.columns:
        for name in _names_of(column):
            owner = owners.setdefault(name, column)
            if owner is not column:
                yield Problem(f"column {column.name!r}", f"the name {name!r} belongs to column {owner.name!r} already; rename one of them")


def _names_of(column: Column) -> Iterator[str]:
    """Every array and dimension a column makes; also those it may make once it becomes nullable stay out of others' way."""
    yield column.name
    if column.is_ragged:
        yield f"{column.name}_count"
        yield f"{column.name}_byte"
    if column.nullable:
        yield f"{column.name}_valid"


def _level_problems(schema: Schema, where: str) -> Iterator[Problem]:
    lengths = Counter(column.levels for column in schema.columns if column.levels is not None)
    if len(lengths) > 1:
        counts = ", ".join(str(length) for length in lengths)
        yield Problem(where, f"columns have {counts} levels, and share one dimension {LEVEL_DIMENSION!r}; give all the same number")
    if lengths and LEVEL_DIMENSION in schema:
        yield Problem(f"column {LEVEL_DIMENSION!r}", "this is the name of the second dimension of columns with levels; rename it")
