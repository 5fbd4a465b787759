"""What users write for times where they select, as int64 ns: texts stand for as long as they say, everything else for one moment."""

# mypy: disable-error-code="import-untyped"

from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from arraystore.errors import InvalidInput
from layouts.times import parse_time

MISSING = np.iinfo(np.int64).min


def bounds_of(label: Any) -> tuple[int, int]:
    """The first and the last ns of what a label stands for: "2024-08-08" is a day, a datetime a moment."""
    label = plain(label)
    if is_text(label):
        moment = _moment(label)
        if moment.tzinfo is not None:
            return _ns(moment), _ns(moment)
        try:
            period = pd.Period(label)
        except ValueError as error:
            raise InvalidInput(f"{label!r} isn't a time ({error}): give ISO text, a datetime or ns since 1970", "label") from error
        return _ns(period.start_time), _ns(period.end_time)
    if label is pd.NaT or (isinstance(label, np.datetime64) and np.isnat(label)):
        return MISSING, MISSING
    time = _ns(_moment(label)) if isinstance(label, date) else parse_time(label, "label")
    return time, time


def is_text(label: Any) -> bool:
    """Whether it is a text, of Python or NumPy."""
    return isinstance(label, str)


def plain(label: Any) -> Any:
    """A label out of the array without dimensions that it may be."""
    if isinstance(label, xr.Variable | xr.DataArray):
        label = label.values
    return label[()] if isinstance(label, np.ndarray) and label.ndim == 0 else label


def names_one(text: Any, near: pd.DatetimeIndex) -> bool:
    """Whether a text names a row as exactly as the times around it go, as "2024-08-08" does among daily bars; pandas' rule."""
    return (
        is_text(plain(text))
        and _RANK[near.resolution] >= _RANK[pd.DatetimeIndex([pd.Period(plain(text)).end_time + pd.Timedelta(1)]).resolution]
    )


_RANK = {name: rank for rank, name in enumerate(("nanosecond", "microsecond", "millisecond", "second", "minute", "hour", "day"))}


def as_array(label: Any) -> np.ndarray:
    """Labels as an array: int64 ns in the shape they came in, a single text or moment as it is, or a mask."""
    if isinstance(label, xr.Variable | xr.DataArray):
        label = label.values
    given = label if isinstance(label, np.ndarray) else None
    if given is None:
        listed = list(label) if isinstance(label, pd.Index | pd.Series | list | tuple | range) else None
        if listed is None:
            single = np.empty((), object)
            single[()] = label
            return single
        given = np.empty(len(listed), object)
        given[:] = listed
        if listed and all(isinstance(each, bool | np.bool_) for each in listed):
            return given.astype(np.bool_)
    if given.dtype == np.bool_:
        return given
    if given.ndim == 0:
        single = np.empty((), object)
        single[()] = given[()]
        return single
    return _ns_of(given)


def _ns_of(given: np.ndarray) -> np.ndarray:
    if given.dtype.kind == "M":
        return given.astype("datetime64[ns]").astype(np.int64)
    if given.dtype.kind in "iu":
        return given.astype(np.int64)
    flat = [MISSING if each is None else bounds_of(each)[0] for each in given.ravel().tolist()]
    return np.array(flat, np.int64).reshape(given.shape)


def _moment(label: Any) -> pd.Timestamp:
    try:
        return pd.Timestamp(label)
    except ValueError as error:
        raise InvalidInput(f"{label!r} isn't a time ({error}): give ISO text, a datetime or ns since 1970", "label") from error


def _ns(moment: pd.Timestamp) -> int:
    return int(moment.tz_convert("UTC").as_unit("ns").value) if moment.tzinfo is not None else int(moment.as_unit("ns").value)
