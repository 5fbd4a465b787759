"""The one door to pandas: rows as a DataFrame indexed by their axis clock, and DataFrames and Series as given columns."""

# mypy: disable-error-code="import-untyped"

import sys
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np

from arraystore.errors import InvalidInput, Problem
from arraystore.frames.arrow import from_column, given_from_arrow, meanings_of
from arraystore.frames.columns import Labels, value_of
from arraystore.frames.given import Given, given_from_objects, missing_library, repeated_names
from arraystore.frames.rows import Rows
from layouts.schema import Column, Kind, Schema

FLOAT_WHOLES = 2.0**53  # below, a float64 tells every whole number from the next

# Out


def dataframe_from(rows: Rows, *, by_axis: bool = True) -> Any:
    """All columns but the axis, which becomes a DatetimeIndex in UTC (with `by_axis=False` all of them, numbered from 0).

    Floats are NaN where null; other nullable numbers get pandas' masked types; vocabularies and labels are categorical; text, bytes,
    decimals and levels stay Arrow arrays.
    """
    pd = _pandas()
    axis = rows.schema.axis if by_axis else None
    index = pd.DatetimeIndex(value_of(rows, axis), tz="UTC", name=axis) if axis is not None and axis in rows.schema else None
    columns = {column.name: _series(pd, rows, column) for column in rows.schema.columns if column.name != axis}
    return pd.DataFrame(columns, index=pd.RangeIndex(rows.count) if index is None else index, copy=False)


def _series(pd: ModuleType, rows: Rows, column: Column) -> Any:
    value, valid = value_of(rows, column.name), rows.validity(column.name)
    if column.kind is Kind.TIME:
        return pd.DatetimeIndex(value, tz="UTC").array
    if column.kind is Kind.VOCABULARY:
        value = meanings_of(column, np.asarray(value), valid)
    if isinstance(value, Labels):
        return pd.Categorical.from_codes(value.codes, categories=pd.Index(value.labels, dtype=object))
    if not isinstance(value, np.ndarray) or value.ndim == 2:
        return pd.arrays.ArrowExtensionArray(from_column(rows, column.name))
    if not column.nullable or value.dtype.kind == "f":
        return value
    mask = np.zeros(len(value), np.bool_) if valid is None else ~valid
    return pd.arrays.BooleanArray(value, mask) if value.dtype == np.bool_ else pd.arrays.IntegerArray(value, mask)


def _pandas() -> ModuleType:
    try:
        import pandas as pd
    except ImportError as error:
        raise missing_library("to_pandas", "pandas", "pandas") from error
    return pd  # type: ignore[no-any-return]


# In


def is_dataframe(data: Any) -> bool:
    """Whether this is a DataFrame, told without loading pandas for those who don't use it."""
    pd = sys.modules.get("pandas")
    return pd is not None and isinstance(data, pd.DataFrame)


def is_series(data: Any) -> bool:
    """Whether this is a Series, an Index or one of pandas' own arrays."""
    pd = sys.modules.get("pandas")
    return pd is not None and isinstance(data, pd.Series | pd.Index | pd.api.extensions.ExtensionArray)


def givens_from_dataframe(data: Any, schema: Schema, problems: list[Problem]) -> dict[str, Given]:
    """The columns, and what of the index the schema knows; a DatetimeIndex without a name is the axis."""
    givens: dict[str, Given] = {}
    columns = [(str(name), data.iloc[:, place]) for place, name in enumerate(data.columns)]
    names = [name for name, _ in columns]
    for level, name in enumerate(data.index.names):
        is_axis = name is None and data.index.nlevels == 1 and data.index.dtype.kind == "M"
        name = schema.axis if is_axis else name  # noqa: PLW2901 - the name it goes by
        if name in schema and name not in names:
            columns.append((name, data.index.get_level_values(level)))
    problems += repeated_names(names)
    for name, values in columns:
        try:
            givens[name] = given_from_series(name, values, schema.column(name) if name in schema else None)
        except InvalidInput as error:
            problems += error.problems
    return givens


def given_from_series(name: str, data: Any, column: Column | None) -> Given:
    """A Series, Index or extension array; NaN among plain floats is null where the column may be null, as pandas means it."""
    pd = _pandas()
    array = getattr(data, "array", data)
    dtype = array.dtype
    if type(array) is pd.arrays.NumpyExtensionArray:  # and none of the string arrays that derive from it
        dtype = dtype.numpy_dtype
    if isinstance(dtype, pd.CategoricalDtype):
        labels = array.categories.tolist()
        if all(isinstance(label, str) for label in labels):
            return Given(values=Labels(np.asarray(array.codes, np.int32), tuple(labels)))
    elif isinstance(dtype, pd.DatetimeTZDtype):
        return Given(values=array.tz_convert("UTC").tz_localize(None).to_numpy())
    elif isinstance(dtype, np.dtype) and dtype.kind != "O":
        values = array.to_numpy()
        is_null = np.isnan(values) if column is not None and column.nullable and dtype.kind == "f" else None
        valid = None if is_null is None else ~is_null
        return Given(values=values if valid is None or column is None else _whole_again(column, values, valid), valid=valid)
    elif isinstance(dtype, pd.ArrowDtype) or (isinstance(dtype, pd.StringDtype) and find_spec("pyarrow")):
        return given_from_arrow(name, array.__arrow_array__())
    elif dtype.kind in "biuf" and hasattr(dtype, "numpy_dtype"):
        return Given(values=array.to_numpy(dtype=dtype.numpy_dtype, na_value=0), valid=~array.isna())
    return given_from_objects(np.asarray(array, object))


def _whole_again(column: Column, values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Whole numbers that pandas made floats of, because it had no other place for null; unchanged if they may have lost digits by it."""
    if column.kind not in (Kind.NUMBER, Kind.VOCABULARY, Kind.FLAGS) or np.dtype(column.dtype).kind not in "iu" or valid.all():
        return values
    held = values[valid]
    if not ((np.trunc(held) == held) & (np.abs(held) < FLOAT_WHOLES)).all():
        return values
    return np.where(valid, values, 0).astype(np.int64)
