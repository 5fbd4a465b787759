"""What engines take of canonical rows: prices as floats, trades of some conditions."""

from collections.abc import Iterable

import numpy as np

from arraystore import arguments
from arraystore.datasets.view import DatasetView
from arraystore.errors import InvalidInput
from arraystore.frames.columns import Decimals
from arraystore.frames.frame import Frame
from layouts.classes import Action


def readable(given: DatasetView, where: str) -> None:
    """Refuse what isn't a dataset, or may not be read; before any I/O."""
    if not isinstance(given, DatasetView):
        raise InvalidInput(f"a {type(given).__name__} isn't a dataset: open one as store.canonical[key]", where)
    given._place.require(Action.READ)  # noqa: SLF001 - asked before a byte is read


def floats(values: np.ndarray | Decimals) -> np.ndarray:
    """Prices or sizes as float64, the nearest of each decimal; NaN where null."""
    if not isinstance(values, Decimals):
        return values
    numbers: np.ndarray = values.mantissa / 10.0**values.places
    return numbers if values.valid is None else np.where(values.valid, numbers, np.nan)


def wanted_conditions(given: Iterable[str] | str | None) -> frozenset[str] | None:
    """Conditions of trades that are wanted; None for all."""
    return None if given is None else frozenset(arguments.texts([given] if isinstance(given, str) else given, "conditions"))


def of_conditions(frame: Frame, conditions: frozenset[str] | None) -> np.ndarray | None:
    """Which trades have one of these conditions: bool per row; None where all do."""
    if conditions is None:
        return None
    if "condition" not in frame:
        return np.zeros(frame.row_count, np.bool_)
    labels = frame["condition"]
    chosen: np.ndarray = np.array([*(label in conditions for label in labels.labels), False])[labels.codes]
    return chosen
