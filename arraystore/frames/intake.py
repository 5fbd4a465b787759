"""Rows of a schema from whatever the caller has: everything is checked, every problem told, and no value changed."""

import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from arraystore.errors import InvalidInput, Problem
from arraystore.frames.arrow import given_from_arrow, givens_from_stream, meanings_of
from arraystore.frames.beside import take_exact_times, take_validity, with_validity
from arraystore.frames.casts import blocks
from arraystore.frames.columns import Decimals, Labels, Ragged, value_of
from arraystore.frames.convert import Names, convert
from arraystore.frames.frame import Frame
from arraystore.frames.given import Given, given_from_objects
from arraystore.frames.pandasframe import given_from_series, givens_from_dataframe, is_dataframe, is_series
from arraystore.frames.rows import Arrays, Rows, empty
from arraystore.frames.xarrayframe import givens_from_dataset, is_dataarray, is_dataset
from layouts.schema import Column, Kind, Order, Schema
from layouts.times import format_time
from layouts.windows import AXIS_MAX, AXIS_MIN

IN_MEMORY = ("nbytes", "estimated_size")  # which tables of pyarrow and Polars have, and streams can't

type Givens = dict[str, Given]


def rows_from(data: Any, schema: Schema) -> Rows:
    """Check and convert `data` to rows of `schema`; arrays of the right type aren't copied.

    `data` is a mapping of columns (arrays, lists, masked arrays, Arrow arrays, Series, `Ragged`, `Labels`, `Decimals`), a `Frame`, an
    xarray Dataset, a pandas DataFrame, or anything with `__arrow_c_stream__`. None, an empty mapping and no rows are no rows. A nullable
    column may be left out, or come with a bool column `<name>_valid`; None, NaT, masked and Arrow's null are null; NaN is a value. Of a
    time `<name>_ns` may come instead, or beside one in microseconds that it completes (`DatasetView.to_duckdb` shows them so).
    Raises `InvalidInput` with every problem: names, types, lengths, values, nulls, and the order of times where the schema has one.
    """
    if (rows := _as_it_is(data, schema)) is not None:
        return rows
    problems: list[Problem] = []
    givens = _gather(data, schema, problems)
    take_exact_times(givens, schema, problems)
    validity = take_validity(givens, schema)
    problems += _name_problems(givens, schema)
    count, lengths = _count(givens, schema)
    problems += lengths
    if count:
        problems += _missing_problems(givens, schema, count, {problem.where for problem in problems})
    arrays: Arrays = {}
    labels: Names = {}
    for column in schema.columns:
        try:
            given = with_validity(column, givens.get(column.name), validity.get(column.name), count)
            if given is not None:
                held, named = convert(column, given)
                arrays |= held
                labels |= named
        except InvalidInput as error:
            problems += error.problems
    if schema.axis in arrays:
        problems += _axis_problems(schema, arrays[schema.axis])
    if problems:
        raise InvalidInput(problems)
    return Rows(schema=schema, count=count, arrays=arrays, labels=labels) if count else empty(schema)


def is_stream(data: Any) -> bool:
    """Whether this is an Arrow stream whose rows may be more than memory holds: a reader, a scan, a query's result, a dataset."""
    if isinstance(data, Frame | Rows | Mapping) or is_dataset(data) or is_dataarray(data) or is_dataframe(data):
        return False
    return hasattr(data, "__arrow_c_stream__") and not any(hasattr(data, name) for name in IN_MEMORY)


def _as_it_is(data: Any, schema: Schema) -> Rows | None:
    """The rows of a dict of arrays that are what is stored, as live writers have them; None for anything that needs a closer look."""
    dtypes = schema.plain_dtypes
    if dtypes is None or type(data) is not dict or data.keys() != dtypes.keys() or not hasattr(data[schema.axis], "__len__"):
        return None
    count = len(data[schema.axis])
    arrays: Arrays = {}
    for name, dtype in dtypes.items():
        array = data[name]
        if type(array) is not np.ndarray or array.shape != (count,) or array.dtype != dtype:
            return None
        arrays[name] = np.ascontiguousarray(array)
    closer = [column for column in schema.columns if column.kind not in (Kind.NUMBER, Kind.TIME)]
    try:
        for column in closer:
            convert(column, Given(values=arrays[column.name]))
    except InvalidInput:
        return None
    if not count or _axis_problems(schema, arrays[schema.axis]):
        return None
    return Rows(schema=schema, count=count, arrays=arrays)


def _gather(data: Any, schema: Schema, problems: list[Problem]) -> Givens:
    """The columns of any kind of data, before the schema looks at them."""
    match data:
        case None:
            return {}
        case Frame():
            return _from_rows(data.rows, schema)
        case Rows():
            return _from_rows(data, schema)
    if is_dataset(data):
        return givens_from_dataset(data, schema, problems)
    if is_dataframe(data):
        return givens_from_dataframe(data, schema, problems)
    if isinstance(data, np.ndarray) and data.dtype.names:
        data = {name: data[name] for name in data.dtype.names}
    if isinstance(data, Mapping):
        return _from_mapping(data, schema, problems)
    if hasattr(data, "__arrow_c_stream__"):
        return givens_from_stream(data, schema, problems)
    what = f"a {type(data).__name__} isn't rows; give a mapping of columns, a DataFrame, an xarray Dataset or an Arrow table"
    raise InvalidInput(Problem("data", what))


def _from_mapping(data: Mapping[Any, Any], schema: Schema, problems: list[Problem]) -> Givens:
    givens: Givens = {}
    for key, value in data.items():
        try:
            givens[str(key)] = given_from(str(key), value, schema.column(key) if key in schema else None)
        except InvalidInput as error:
            problems += error.problems
    return givens


def given_from(name: str, value: Any, column: Column | None = None) -> Given:
    """Take one column of a mapping: an array of any library, a sequence, or values of our own."""
    match value:
        case Ragged() | Labels() | Decimals():
            return Given(values=value, valid=value.valid)
        case np.ndarray():
            return _from_masked(name, value) if _is_masked(value) else _from_numpy(name, value)
        case str() | bytes() | bytearray() | Mapping() | None:
            raise _not_a_column(name, value)
    if is_series(value):
        return given_from_series(name, value, column)
    if is_dataarray(value):
        return _from_numpy(name, value.to_numpy())
    if hasattr(value, "__arrow_c_stream__") or hasattr(value, "__arrow_c_array__"):
        return given_from_arrow(name, value, encode=column is not None and column.kind in (Kind.DICTIONARY, Kind.VOCABULARY))
    if hasattr(value, "__array__") or isinstance(value, memoryview):
        return _from_numpy(name, np.asarray(value))
    if isinstance(value, Iterable):
        return given_from_objects(np.fromiter(value, object))
    raise _not_a_column(name, value)


def _not_a_column(name: str, value: object) -> InvalidInput:
    return InvalidInput(
        Problem(f"column {name!r}", f"a {type(value).__name__} isn't a column; give an array or a list with one value per row")
    )


def _is_masked(value: np.ndarray) -> bool:
    # Who has one has loaded its module, which takes as long as a fifth of numpy.
    return "numpy.ma" in sys.modules and isinstance(value, np.ma.MaskedArray)


def _from_masked(name: str, value: Any) -> Given:
    mask = np.ma.getmaskarray(value)
    if mask.ndim == 2:
        some, every = mask.any(axis=1), mask.all(axis=1)
        if (partly := some & ~every).any():
            what = f"row {int(np.argmax(partly))} is masked in part; a row is null as a whole: put NaN in single levels instead"
            raise InvalidInput(Problem(f"column {name!r}", what))
        mask = every
    given = _from_numpy(name, np.asarray(value.data))
    return Given(values=given.values, valid=~mask if given.valid is None else given.valid & ~mask)


def _from_numpy(name: str, value: np.ndarray) -> Given:
    if value.ndim == 0:
        raise InvalidInput(Problem(f"column {name!r}", f"{value!r} is a single value; give an array with one value per row"))
    return given_from_objects(value) if value.dtype.kind == "O" else Given(values=value)


def _from_rows(rows: Rows, schema: Schema) -> Givens:
    """Columns that are in our form already; codes whose vocabulary differs go by their meaning."""
    givens: Givens = {}
    for column in rows.schema.columns:
        value, valid = value_of(rows, column.name), rows.validity(column.name)
        if isinstance(value, np.ndarray) and column.kind is Kind.TIME:
            value = value.view(np.int64)
        elif isinstance(value, np.ndarray) and column.kind is Kind.VOCABULARY:
            same = column.name in schema and schema.column(column.name).vocabulary == column.vocabulary
            value = value if same else meanings_of(column, value, valid)
        givens[column.name] = Given(values=value, valid=valid)
    return givens


def _name_problems(givens: Givens, schema: Schema) -> list[Problem]:
    """Columns that the schema doesn't have."""
    problems: list[Problem] = []
    for name in givens:
        if name not in schema:
            try:
                schema.column(name)
            except InvalidInput as error:
                problems += error.problems
    return problems


def _missing_problems(givens: Givens, schema: Schema, count: int, told: set[str]) -> list[Problem]:
    what = f"is missing, and isn't nullable; give a value for each of the {count} rows"
    wanted = [column.name for column in schema.columns if not column.nullable and column.name not in givens]
    return [Problem(f"column {name!r}", what) for name in wanted if f"column {name!r}" not in told]


def _count(givens: Givens, schema: Schema) -> tuple[int, list[Problem]]:
    """How many rows there are: as many as the axis has, or else most columns; and which columns have another number."""
    lengths = {name: len(given) for name, given in givens.items() if name in schema}
    if not lengths:
        return 0, []
    most = Counter(lengths.values()).most_common(1)[0][0]
    like = schema.axis if schema.axis in lengths else next(name for name, length in lengths.items() if length == most)
    count = lengths[like]
    what = f"where {like!r} has {count}; give every column one value per row"
    return count, [Problem(f"column {name!r}", f"has {length} rows, {what}") for name, length in lengths.items() if length != count]


def _axis_problems(schema: Schema, times: np.ndarray) -> list[Problem]:
    """Times out of range, and, in time order, the first that steps back."""
    if not len(times):
        return []
    problems: list[Problem] = []
    where = f"column {schema.axis!r}"
    if times.min() < AXIS_MIN or times.max() >= AXIS_MAX:
        row = next(
            b.start + int(np.argmax(out)) for b in blocks(len(times)) if (out := (times[b] < AXIS_MIN) | (times[b] >= AXIS_MAX)).any()
        )
        told = f"row {row} holds {format_time(int(times[row]))} ({times[row]} ns)"
        limits = f"from {format_time(AXIS_MIN)} to {format_time(AXIS_MAX)}, which isn't included"
        problems.append(Problem(where, f"{told}; the axis goes {limits}: is it in nanoseconds since 1970 UTC?"))
    if schema.order is Order.TIME and (later := first_step_back(times)) is not None:
        told = f"row {later} ({format_time(int(times[later]))}) comes before row {later - 1} ({format_time(int(times[later - 1]))})"
        problems.append(
            Problem(where, f"{told}, and rows of one append must be in time order; sort them by {schema.axis!r}, keeping ties as they are")
        )
    return problems


def first_step_back(times: np.ndarray) -> int | None:
    """The first row whose time is before that of the row above it, or None; temporaries stay small."""
    for block in blocks(len(times) - 1):
        back: np.ndarray = times[block.start + 1 : block.stop + 1] < times[block]
        if back.any():
            return int(block.start + 1 + np.argmax(back))
    return None
