"""An index over the axis clock that knows the bounds of windows and chunks, and decodes only those that a label lies in."""

# mypy: disable-error-code="import-untyped"

from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Self

import numpy as np
import pandas as pd
import xarray as xr
from xarray.core import indexing
from xarray.indexes import PandasIndex

from arraystore.errors import InvalidInput
from arraystore.frames.xarrayframe import rowwise_specs
from arraystore.labelled.arrays import ColumnArray, numbers_of
from arraystore.labelled.labels import as_array, bounds_of, names_one
from arraystore.labelled.source import Source
from arraystore.segments.plan import Runs

PANDAS_ROWS = 1 << 22
METHODS = {"ffill": "ffill", "pad": "ffill", "bfill": "bfill", "backfill": "bfill", "nearest": "nearest"}
LAST = np.iinfo(np.int64).max


class TimeIndex(xr.Index):
    """Rows `start` to `stop` of a source, labelled by their axis clock (datetime64[ns], UTC). Immutable and picklable.

    Selections of up to `PANDAS_ROWS` become a `PandasIndex`; so does what has no more rows side by side (positions, joins).
    """

    def __init__(self, source: Source, start: int, stop: int, name: Hashable, dim: Hashable) -> None:
        self.source = source
        self.start = start
        self.stop = stop
        self.name = name
        self.dim = dim

    def __repr__(self) -> str:
        advice = f"to align them with others: ds.assign_coords({self.name}=ds.{self.name}.values)"
        return f"<TimeIndex of {len(self):,} rows, not decoded; {advice}>"

    def _repr_inline_(self, max_width: int) -> str:
        return f"TimeIndex ({len(self):,} rows, not decoded)"[:max_width]

    def __len__(self) -> int:
        return self.stop - self.start

    @classmethod
    def from_variables(cls, variables: Mapping[Any, xr.Variable], *, options: Mapping[str, Any]) -> Self:
        """Refused: only a dataset has the bounds that this needs."""
        del options
        raise InvalidInput(
            f"a TimeIndex of {sorted(map(str, variables))} comes from DatasetView.to_xarray alone: set no index type", "index"
        )

    @property
    def index(self) -> pd.Index:
        """The labels themselves, decoded anew each time."""
        times = self.source.extent.times(self.start, self.stop).view("datetime64[ns]")
        return pd.DatetimeIndex(times, name=self.name, copy=False)

    def to_pandas_index(self) -> pd.Index:
        """As `index`."""
        return self.index

    def create_variables(self, variables: Mapping[Any, xr.Variable] | None = None) -> dict[Any, xr.Variable]:
        """The coordinate, which decodes what is taken of it."""
        model = None if variables is None else variables.get(self.name)
        attributes, encoding = (None, None) if model is None else (model.attrs, model.encoding)
        spec = next(spec for spec in rowwise_specs(self.source.schema) if spec.name == self.source.schema.axis)
        data = indexing.LazilyIndexedArray(ColumnArray(self.source, spec, self.start, self.stop))
        return {self.name: xr.Variable((self.dim,), data, attributes, encoding, fastpath=True)}

    # --- by position ---------------------------------------------------------------------------------------------

    def isel(self, indexers: Mapping[Any, Any]) -> xr.Index | None:
        """Rows next to each other stay lazy unless they are few; others get a pandas index of their times."""
        key = indexers[self.dim]
        if isinstance(key, xr.Variable):
            if key.dims != (self.dim,):
                return None
            key = key.data
        if not isinstance(key, slice):
            key = np.asarray(key)
            if key.ndim == 0:
                return None
            if key.dtype == np.bool_:
                key = np.flatnonzero(key)
        elif range(len(self))[key].step == 1:
            chosen = range(len(self))[key]
            return self._between(chosen.start, max(chosen.start, chosen.stop))
        return self._to_pandas(self._times(key))

    def _between(self, start: int, stop: int) -> xr.Index:
        if (start, stop) == (0, len(self)):
            return self
        part = type(self)(self.source, self.start + start, self.start + stop, self.name, self.dim)
        return part if stop - start > PANDAS_ROWS else self._to_pandas(part.index)

    def _times(self, key: Any) -> pd.Index:
        picked, order = numbers_of(key, len(self))
        axis = self.source.schema.axis
        rows = self.source.extent.read(Runs(picked.starts + self.start, picked.stops + self.start), [axis])
        times = rows.arrays[axis].view("datetime64[ns]")
        return pd.DatetimeIndex(times if order is None else times[order], name=self.name, copy=False)

    def _to_pandas(self, index: pd.Index) -> PandasIndex:
        return PandasIndex(index, self.dim, coord_dtype=np.dtype("datetime64[ns]"), fastpath=True)

    # --- by label ------------------------------------------------------------------------------------------------

    def sel(self, labels: dict[Any, Any], method: str | None = None, tolerance: Any = None) -> indexing.IndexSelResult:
        """Where a slice (both ends belong to it), a time or times are, as xarray has it of any index of times."""
        ((_, label),) = labels.items()
        if method is not None and method not in METHODS:
            raise InvalidInput(f"{method!r} is none of {', '.join(METHODS)}", "method")
        if isinstance(label, slice):
            if method is not None or tolerance is not None:
                raise NotImplementedError("cannot use ``method`` argument if any indexers are slice objects")
            return indexing.IndexSelResult({self.dim: self._slice(label)})
        array = as_array(label)
        found: Any
        if array.dtype == np.bool_:
            found = array
        elif array.ndim == 0 and method is None:
            found = self._exact(array[()])
        else:
            times = array if array.ndim else np.array(bounds_of(array[()])[0])
            found = self._nearby(times, None if method is None else METHODS[method], tolerance)
        if isinstance(label, xr.Variable):
            found = xr.Variable(label.dims, found)
        elif isinstance(label, xr.DataArray):
            found = xr.DataArray(found, coords=label._coords, dims=label.dims)  # noqa: SLF001 - as xarray's own indexes do
        return indexing.IndexSelResult({self.dim: found})

    def _slice(self, label: slice) -> slice:
        first = 0 if label.start is None else self._before(bounds_of(label.start)[0])
        last = len(self) if label.stop is None else self._before(bounds_of(label.stop)[1], inclusive=True)
        last = max(first, last)
        if (label.start, label.stop) != (None, None):
            self.source.extent.check_ascending(self.start + first, self.start + last)
        return slice(first, last, label.step)

    def _before(self, time: int, *, inclusive: bool = False) -> int:
        return int(self._all_before(np.array([time]), inclusive=inclusive)[0])

    def _all_before(self, times: np.ndarray, *, inclusive: bool = False) -> np.ndarray:
        """How many rows come before these times, or at them too."""
        if inclusive:
            end = times == LAST
            found = self.source.extent.rows_before(times + ~end)
            found[end] = self.stop
        else:
            found = self.source.extent.rows_before(times)
        numbers: np.ndarray = np.clip(found, self.start, self.stop) - self.start
        return numbers

    def _exact(self, label: Any) -> int | slice:
        low, high = bounds_of(label)
        first, last = self._before(low), self._before(high, inclusive=True)
        self.source.extent.check_ascending(self.start + first, self.start + last)
        if first == last:
            raise self._missing()
        near = self._times(slice(max(first - 8, 0), last + 8)) if last - first == 1 and low != high else None
        whole = last - first > 1 or (near is not None and not names_one(label, near))
        return slice(first, last) if whole else first

    def _nearby(self, labels: np.ndarray, method: str | None, tolerance: Any) -> np.ndarray:
        """Numbers of rows, in the shape of the labels."""
        times = labels.ravel()
        back = self._all_before(times, inclusive=True) - 1
        onward = self._all_before(times)
        if method is None:
            if bool((back > onward).any()):
                raise InvalidInput(
                    "several rows have one of these times, so that they don't tell rows apart: take a slice, or a method", "labels"
                )
            found = np.where(back == onward, onward, -1)
        elif method == "nearest":
            found = self._nearest(times, back, onward)
        else:
            found = back if method == "ffill" else np.where(onward < len(self), onward, -1)
        if tolerance is not None and bool((found >= 0).any()):
            limit = np.broadcast_to(np.asarray(pd.to_timedelta(tolerance)).astype("timedelta64[ns]").astype(np.int64), labels.shape).ravel()
            distance = np.abs(self.at(np.maximum(found, 0)) - times)
            found = np.where(distance <= limit, found, -1)
        if bool((found < 0).any()) or bool((times == np.iinfo(np.int64).min).any()):
            raise self._missing(advise=False)
        return found.reshape(labels.shape)

    def _nearest(self, times: np.ndarray, back: np.ndarray, onward: np.ndarray) -> np.ndarray:
        if not len(self):
            return np.full(len(times), -1)
        earlier = times - self.at(np.maximum(back, 0))
        later = self.at(np.minimum(onward, len(self) - 1)) - times
        take_earlier = (back >= 0) & ((earlier < later) | (onward >= len(self)))
        return np.where(take_earlier, back, onward)

    def at(self, numbers: np.ndarray) -> np.ndarray:
        """The times of some rows, int64 ns."""
        times: np.ndarray = self._times(numbers).asi8
        return times

    def _missing(self, *, advise: bool = True) -> KeyError:
        advice = ". Try setting the `method` keyword argument (example: method='nearest')." if advise else ""
        return KeyError(f"not all values found in index {self.name!r}{advice}")

    # --- with others ---------------------------------------------------------------------------------------------

    def equals(self, other: xr.Index, *, exclude: frozenset[Hashable] | None = None) -> bool:
        """Whether both have the same labels; told without decoding where they are the same rows."""
        del exclude
        if not isinstance(other, TimeIndex):
            return False
        if (self.source, self.start, self.stop) == (other.source, other.start, other.stop):
            return True
        if len(self) != len(other):
            return False
        ends = np.array([0, len(self) - 1])
        return not len(self) or (np.array_equal(self.at(ends), other.at(ends)) and self.index.equals(other.index))

    def join(self, other: "TimeIndex", how: str = "inner") -> PandasIndex:  # type: ignore[override] # what has gaps isn't lazy
        """The labels of both, or of either."""
        return self._to_pandas(self.index).join(PandasIndex(other.index, self.dim), how)

    def reindex_like(self, other: Any, method: str | None = None, tolerance: Any = None) -> dict[Hashable, Any]:
        """Where another index's labels are here."""
        return self._to_pandas(self.index).reindex_like(other, method, tolerance)

    @classmethod
    def concat(cls, indexes: Sequence[Any], dim: Hashable, positions: Iterable[Iterable[int]] | None = None) -> Any:
        """Rows that follow each other stay lazy; others get a pandas index."""
        first = indexes[0]
        lazy = all(isinstance(each, TimeIndex) and each.source == first.source for each in indexes)
        if lazy and positions is None and all(left.stop == right.start for left, right in pairwise(indexes)):
            return cls(first.source, first.start, indexes[-1].stop, first.name, first.dim)
        return PandasIndex.concat([PandasIndex(each.to_pandas_index(), dim) for each in indexes], dim, positions)

    def roll(self, shifts: Mapping[Any, int]) -> PandasIndex:  # type: ignore[override] # what has gaps isn't lazy
        """The labels, moved along."""
        return self._to_pandas(self.index).roll(shifts)

    def rename(self, name_dict: Mapping[Any, Hashable], dims_dict: Mapping[Any, Hashable]) -> "TimeIndex":
        """The same under another name."""
        name, dim = name_dict.get(self.name, self.name), dims_dict.get(self.dim, self.dim)
        return type(self)(self.source, self.start, self.stop, name, dim)

    def _copy(self, deep: bool = True, memo: dict[int, Any] | None = None) -> "TimeIndex":  # noqa: FBT001, FBT002 - as xarray has it
        del deep, memo
        return self
