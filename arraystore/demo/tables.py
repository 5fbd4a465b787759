"""Small things every role does with frames, windows and lineage."""

from collections.abc import Iterable

import numpy as np

import arraystore
from arraystore.demo.captures import NS_PER_DAY


def rows_where(frame: arraystore.Frame, chosen: np.ndarray) -> dict[str, object]:
    """The rows that a mask chooses, as columns that can be written again: nulls stay null."""
    columns: dict[str, object] = {}
    for name, values in frame.items():
        columns[name] = values[chosen]
        valid = frame.valid(name)
        if valid is not None:
            columns[f"{name}_valid"] = valid[chosen]
    return columns


def day_of(window: str) -> tuple[int, int]:
    """Start and end of a window of a day, which is named after it: int64 ns since 1970 UTC."""
    start = arraystore.parse_time(window)
    return start, start + NS_PER_DAY


def version_used(lineage: Iterable[arraystore.Pin], source: arraystore.Dataset) -> int | None:
    """The newest version of a source that something was made from; None if it wasn't."""
    return max((pin.version for pin in lineage if pin.dataset == source.uuid), default=None)


def numbers(frame: arraystore.Frame, name: str) -> np.ndarray:
    """A column that is a plain array."""
    values = frame[name]
    assert isinstance(values, np.ndarray), name
    return values


def nanoseconds(frame: arraystore.Frame, name: str) -> np.ndarray:
    """A time column as int64 ns since 1970 UTC."""
    return numbers(frame, name).view(np.int64)


def labels(frame: arraystore.Frame, name: str) -> arraystore.Labels:
    """A dictionary column."""
    values = frame[name]
    assert isinstance(values, arraystore.Labels), name
    return values


def payloads(frame: arraystore.Frame, name: str) -> arraystore.Ragged:
    """A column of bytes or text."""
    values = frame[name]
    assert isinstance(values, arraystore.Ragged), name
    return values
