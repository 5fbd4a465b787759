"""Rows of the store, in the form in which everybody's rows are compared."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from arraystore.frames.rows import Rows, stand_ins
from layouts.schema import Kind
from tests.format import golden
from tests.format.golden import Plain


@pytest.fixture(autouse=True, scope="package")
def _golden_stores_stay_as_they_are() -> Iterator[None]:
    yield
    for each in golden.GOLDENS:
        assert each.digest_now() == each.digest, f"a test wrote to {each.name}"


def plain(rows: Rows) -> dict[str, Plain]:
    """What arraystore read, with nothing left out."""
    found = {}
    for column in rows.schema.columns:
        arrays = rows.arrays if column.name in rows.arrays else stand_ins(column, rows.count)
        valid = rows.validity(column.name)
        data: Any = arrays[column.name]
        if column.is_ragged:
            ends = np.cumsum(arrays[f"{column.name}_count"], dtype=np.int64).tolist()
            data = np.array([*(data[start:end].tobytes() for start, end in zip([0, *ends], ends, strict=False)), None], object)[:-1]
        elif column.kind is Kind.DICTIONARY:
            data = np.array([*rows.labels.get(column.name, ()), None], object)[data]
        found[column.name] = Plain(data, np.ones(rows.count, bool) if valid is None else valid)
    return found
