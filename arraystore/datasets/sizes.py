"""How much each column of a dataset takes, stored and as arrays: what zone indexes tell, without reading a value."""

import math
from dataclasses import dataclass

import numpy as np

from arraystore.datasets.view import DatasetView
from arraystore.segments.index import load_index
from layouts.classes import Action


@dataclass(slots=True)
class ColumnSize:
    """Bytes of a column in all current columnar segments: as stored (without the shards' own tables), and as arrays in memory."""

    name: str
    stored: int = 0
    decoded: int = 0

    @property
    def ratio(self) -> float | None:
        """How many times smaller it is kept; None where nothing is."""
        return self.decoded / self.stored if self.stored else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Columns by name, and the bytes of rows that travel in commits (`tails`), which have no columns yet."""

    columns: dict[str, ColumnSize]
    tails: int

    @property
    def decoded(self) -> int:
        """Bytes of all rows as arrays in memory."""
        return self.tails + sum(each.decoded for each in self.columns.values())

    @property
    def ratio(self) -> float | None:
        """Of all columns together."""
        stored = sum(each.stored for each in self.columns.values())
        return sum(each.decoded for each in self.columns.values()) / stored if stored else None


def sizes_of(view: DatasetView) -> Sizes:
    """The sizes of a dataset's columns at its version; of several series, columns of one name count together."""
    view._place.require(Action.READ)  # noqa: SLF001 - asked before a byte is read
    view = view._still()  # noqa: SLF001 - another thread may move the handle on
    schemas, found, tails = view.state.schemas, dict[str, ColumnSize](), 0
    for manifest in view.manifests():
        for entry in manifest.segments:
            if not entry.segment:
                tails += entry.bytes
                continue
            schema = schemas[entry.schema]
            index = load_index(view._place.storage, f"{manifest.location}/{entry.segment}", entry, schema)  # noqa: SLF001 - it is this one
            for column in schema.columns:
                size = found.setdefault(column.name, ColumnSize(column.name))
                for array in schema.arrays_of(column):
                    table = index.tables.get(array.name)
                    if table is not None:
                        size.stored += int(table.length.sum())
                        size.decoded += math.prod(table.entry.shape) * np.dtype(table.entry.dtype).itemsize
    return Sizes(columns=found, tails=tails)
