"""Datasets that want maintenance, and the machine they lie on."""

import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import arraystore
from arraystore import Column, Kind, Schema
from tests.store.conftest import DAY, START

KEY = ("venue", "trades", "X")

type Opened = Callable[[str], arraystore.Store]


def schema_of(order: str = "arrival") -> Schema:
    return Schema(name="plain", order=order, columns=(Column(name="time", kind=Kind.TIME), Column(name="size")))


def plain(count: int, first: int = 0, start: int = START, step: int = 1) -> dict[str, Any]:
    """Rows told apart by their size."""
    numbers = np.arange(first, first + count)
    return {"time": start + numbers * step, "size": numbers.astype(float)}


def spread(count: int, days: int = 3) -> dict[str, Any]:
    """Rows over several windows."""
    return {"time": START + np.arange(count * days) * (DAY // count), "size": np.arange(count * days, dtype=float)}


@pytest.fixture
def opened() -> Opened:
    """Opens one store as any role."""
    url = f"memory://{uuid.uuid4().hex}"
    return lambda role: arraystore.open_store(url, role=role, create=True)


def made(opened: Opened, order: str = "arrival") -> arraystore.Dataset:
    return opened("data-quality").canonical.create(KEY, schema_of(order))


def maintained(opened: Opened) -> arraystore.Dataset:
    return opened("operations").canonical[KEY]


def values(dataset: arraystore.DatasetView) -> list[tuple[int, float]]:
    frame = dataset.read()
    return list(zip(frame["time"].view(np.int64).tolist(), frame["size"].tolist(), strict=True))
