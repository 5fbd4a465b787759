"""Values of a column as JSON has them: exact, whatever JSON can't say being text."""

import base64
import decimal
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from layouts.columns import Column, Kind
from layouts.times import format_time

__all__ = ["as_base64", "as_letters", "cells_of", "shown"]

SHOWN_LENGTH = 100


def as_base64(data: bytes) -> str:
    """Bytes for machines."""
    return base64.b64encode(data).decode("ascii")


def as_letters(data: bytes) -> str:
    """Bytes for people: as UTF-8 as far as they are, escapes elsewhere."""
    return data.decode("utf-8", "backslashreplace")


def cells_of(column: Column, values: Any, valid: np.ndarray | None, binary: Callable[[bytes], str] = as_base64) -> list[Any]:
    """One JSON value per row of what a frame has under the column's name.

    Nulls are null; times ISO-8601; vocabulary entries their meanings; decimals text; bytes as `binary` tells them; NaN and
    infinities "NaN", "Infinity" and "-Infinity".
    """
    meanings = {value: meaning for meaning, value in column.vocabulary} if column.kind is Kind.VOCABULARY else {}
    return [None if valid is not None and not valid[row] else _plain(values[row], meanings, binary) for row in range(len(values))]


def shown(cell: Any) -> str:
    """A cell as a table shows it: cut where it is long."""
    text = "null" if cell is None else str(cell)
    return text if len(text) <= SHOWN_LENGTH else f"{text[: SHOWN_LENGTH - 1]}…"


def _plain(value: Any, meanings: Mapping[int, str], binary: Callable[[bytes], str]) -> Any:
    match value:
        case bytes():
            return binary(value)
        case decimal.Decimal():
            return str(value)
        case np.ndarray():
            return [_plain(element, meanings, binary) for element in value]
        case np.datetime64():
            return format_time(int(value.view(np.int64)))
        case np.floating():
            return value.item() if math.isfinite(value) else _not_finite(value.item())
        case np.integer():
            return meanings.get(value.item(), value.item())
        case np.bool_():
            return value.item()
    return value


def _not_finite(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
