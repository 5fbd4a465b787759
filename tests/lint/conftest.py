"""A segment of many kinds of columns, as we write it and as a plain Zarr group, to break in one place at a time."""

import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import arraystore
from arraystore import Column, Schema

ROWS = 40_000
SCHEMA = Schema(
    name="many_kinds",
    columns=(
        Column(name="time", kind="time"),
        Column(name="price", unit="USD", description="what was paid"),
        Column(name="bids", levels=3),
        Column(name="side", kind="vocabulary", vocabulary=(("buy", 1), ("sell", -1))),
        Column(name="symbol", kind="dictionary", nullable=True),
        Column(name="cost", kind="decimal", places=2),
        Column(name="note", kind="text"),
    ),
)
KEY = ("venue", "many", "X")
SECOND = 10**9
START = arraystore.parse_time("2024-08-08")


def rows(count: int = ROWS, start: int = START, labels: Iterable[str] = ("a", "b", "c")) -> dict[str, Any]:
    """Rows two seconds apart, within a day."""
    numbers, listed = np.arange(count), [*labels]
    return {
        "time": start + numbers * 2 * SECOND,
        "price": 100 + numbers % 7 / 10,
        "bids": np.stack([numbers, numbers + 1, numbers + 2], axis=1).astype(float),
        "side": np.where(numbers % 2, 1, -1).astype(np.int8),
        "symbol": [listed[row % len(listed)] for row in range(count)],
        "cost": ["1.25"] * count,
        "note": [f"n{row}" for row in range(count)],
    }


def store_as(root: Path, role: str = "data-quality") -> arraystore.Store:
    return arraystore.open_store(root, role=role, create=True)


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one dataset of one complete day; nobody writes to it."""
    root = tmp_path_factory.mktemp("lint") / "store"
    dataset = store_as(root).canonical.create(KEY, SCHEMA)
    dataset.append(rows(), completeness="complete")
    return root


@pytest.fixture
def segment(written: Path, tmp_path: Path) -> Path:
    """A copy of the segment, in a folder of its name."""
    (place,) = written.glob("canonical/venue/many/X/2024-08-08/*")
    return Path(shutil.copytree(place, tmp_path / place.name))


@pytest.fixture
def group(segment: Path) -> Path:
    """The same as a plain Zarr group, which says nothing of us."""
    edit(segment, attributes={"Conventions": "CF-1.11"})
    return segment.rename(segment.with_name("group"))


def edit(node: Path, change: Callable[[Any], None] | None = None, **fields: Any) -> Path:
    """Change a node's zarr.json; the node comes back."""
    file = node / "zarr.json"
    document = json.loads(file.read_text("utf-8")) | fields
    if change is not None:
        change(document)
    file.write_text(json.dumps(document), "utf-8")
    return node
