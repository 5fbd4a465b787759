"""What an as-of read returns: for each time (and lag) the row in force, or none."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec
import numpy as np

from arraystore.frames.frame import Frame
from arraystore.frames.rows import Arrays, Rows, stand_ins
from arraystore.versions.commit import Pin
from layouts.schema import Column, Kind, Schema

TIME = "asof_time"
LAG = "asof_lag_ns"


@dataclass(frozen=True, kw_only=True, eq=False)
class AsOf(Mapping[str, Any]):
    """Columns of the rows in force, by name, in the shape of what was asked for: `(times,)`, or `(times, lags)` of a list of lags.

    In the first shape values are what a `Frame` has. In the second all are NumPy arrays: labels, text and bytes as objects (None where
    null), decimals as float64. Where no row is in force every column is null: NaN, NaT, otherwise 0; `found` and `valid(name)` tell.
    Nothing in it is ever changed. `len()` counts columns.

    Attributes
    ----------
    frame : Frame
        The same rows one after another, those of one time's lags side by side; every column is nullable in it.
    found : bool array
        Where a row is in force.
    time : datetime64[ns] array
        The clock of that row, in UTC; NaT where there is none.
    row : int64 array
        Its number in reading order, counted from 0 over all windows (over those read, where one was named); −1 where there is none.
    lags : tuple of int, or None
        In ns, one for each place along the second dimension; None where none, or a single one, was asked for.
    """

    frame: Frame
    found: np.ndarray
    time: np.ndarray
    row: np.ndarray
    lags: tuple[int, ...] | None

    @property
    def shape(self) -> tuple[int, ...]:
        """`(times,)` or `(times, lags)`."""
        return self.found.shape

    @property
    def schema(self) -> Schema:
        """The schema of the columns, all of them nullable."""
        return self.frame.schema

    @property
    def pin(self) -> Pin | None:
        """What names the version that was looked into."""
        return self.frame.pin

    def __getitem__(self, name: str) -> Any:
        value = self.frame[name]
        if self.lags is None:
            return value
        array = np.asarray(value)
        return array.reshape(*self.shape, *array.shape[1:])

    def __contains__(self, name: object) -> bool:
        return name in self.frame

    def __iter__(self) -> Iterator[str]:
        return iter(self.frame)

    def __len__(self) -> int:
        return len(self.frame)

    __eq__ = object.__eq__  # a Mapping's would compare arrays for truth
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"AsOf {self.schema.name}: {int(self.found.sum())} of {' × '.join(map(str, self.shape))} found, {', '.join(self)}"

    def valid(self, name: str) -> np.ndarray | None:
        """Where a column isn't null, in `shape`; None where it is null nowhere."""
        valid = self.frame.valid(name)
        return None if valid is None else valid.reshape(self.shape)

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame` in the order of the times, those of one time's lags following each other, numbered from 0.

        Its columns are as `Frame.to_pandas` has them, the axis among them; then `asof_time`, the clock of the row in force, and where
        lags were listed `asof_lag_ns`.
        """
        from arraystore.frames.pandasframe import dataframe_from

        return dataframe_from(self._long, by_axis=False)

    def to_arrow(self) -> Any:
        """A `pyarrow.Table` with the columns of `to_pandas`, as `Frame.to_arrow` has them."""
        from arraystore.frames.arrow import table_from

        return table_from(self._long)

    def to_polars(self) -> Any:
        """A `polars.DataFrame`, by way of Arrow."""
        from arraystore.frames.arrow import polars_from

        return polars_from(self._long)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """What Arrow libraries (polars, DuckDB, pandas, pyarrow itself) ask of a table."""
        stream: object = self.to_arrow().__arrow_c_stream__(requested_schema)
        return stream

    @cached_property
    def _long(self) -> Rows:
        """The rows with what tells them apart beside them."""
        time = Column(name=TIME, kind=Kind.TIME, dtype="int64")
        rows = beside(self.frame.rows, time, self.time.reshape(-1).view(np.int64), self.found.reshape(-1))
        if self.lags is None:
            return rows
        lags = np.tile(np.array(self.lags, np.int64), self.shape[0])
        return beside(rows, Column(name=LAG, kind=Kind.NUMBER, dtype="int64", unit="ns"), lags, np.ones(len(lags), np.bool_))


def beside(rows: Rows, column: Column, values: np.ndarray, valid: np.ndarray) -> Rows:
    """The rows with one more column, nullable, of one array."""
    added: Arrays = {column.name: values} if valid.all() else {column.name: values, f"{column.name}_valid": valid}
    schema = msgspec.structs.replace(rows.schema, columns=(*rows.schema.columns, msgspec.structs.replace(column, nullable=True)))
    return Rows(schema=schema, count=rows.count, arrays=rows.arrays | added, labels=rows.labels)


def spread(rows: Rows, whose: np.ndarray) -> Rows:
    """For each of `whose` its row, by number, or nulls (−1); every column is nullable then."""
    found = whose >= 0
    taken = rows.take(whose[found])
    schema = msgspec.structs.replace(rows.schema, columns=tuple(msgspec.structs.replace(c, nullable=True) for c in rows.schema.columns))
    if found.all():
        return Rows(schema=schema, count=len(whose), arrays=taken.arrays, labels=taken.labels)
    arrays: Arrays = {}
    for column in schema.columns:
        if column.name in taken.arrays:
            arrays |= _spread(column, taken, found)
    return Rows(schema=schema, count=len(whose), arrays=arrays, labels=taken.labels)


def _spread(column: Column, taken: Rows, found: np.ndarray) -> Arrays:
    name = column.name
    arrays = stand_ins(column, len(found))
    arrays[f"{name}_count" if column.is_ragged else name][found] = taken.arrays[f"{name}_count" if column.is_ragged else name]
    if column.is_ragged:
        arrays[name] = taken.arrays[name]  # a null has no bytes
    valid = found.copy()
    if f"{name}_valid" in taken.arrays:
        valid[found] = taken.arrays[f"{name}_valid"]
    return arrays | {f"{name}_valid": valid}
