"""What one group of an HDF5 file holds: the arrays of a schema's columns, their dimensions and their CF attributes.

Each array of FORMAT.md section 5 becomes a dataset of its name, with these differences: booleans are int8 with the attribute
`dtype = "bool"` (netCDF has none), the labels of a dictionary column are a dataset `<column>_label` of UTF-8 strings that its codes'
attribute `labels` names, and a nullable column always has its `<column>_valid`. Dimensions are HDF5 dimension scales: the axis column is
the scale of the rows; `level`, `<column>_byte` and `<column>_label` are scales as netCDF-4 writes dimensions without coordinates.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from arraystore.frames.rows import Rows, stand_ins
from layouts.codecs import CONVENTIONS, column_attributes
from layouts.schema import ArraySpec, Column, Kind, Schema

CHUNK_BYTES = 1 << 18  # as the store's own: a slice reads little, and compressors see enough
NO_VARIABLE = "This is a netCDF dimension but not a netCDF variable. {:9d}"  # netCDF-4's words, which its readers look for


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One array as a file holds it: `spec` of the schema, its dtype there, elements per chunk along the first dimension."""

    spec: ArraySpec
    column: Column
    dtype: np.dtype
    chunk: int

    @property
    def chunk_shape(self) -> tuple[int, ...]:
        """Shape of a chunk."""
        return (self.chunk, *self.spec.inner_shape)

    def of(self, rows: Rows) -> np.ndarray:
        """This array's elements for some rows, as stored: what isn't there is all valid, or all null."""
        spec, name = self.spec, self.spec.name
        found = rows.arrays.get(name)
        if found is None:
            there = spec.column in rows.arrays
            found = np.full(rows.count, there) if spec.role == "valid" else stand_ins(self.column, rows.count)[name]
        return found.view(np.int8) if found.dtype == np.bool_ else found

    def attributes(self) -> dict[str, Any]:
        """CF attributes; the labels of codes are a dataset of their own."""
        attributes = column_attributes(self.column, role=self.spec.role)
        if self.spec.role == "values" and self.column.kind is Kind.DICTIONARY:
            attributes["labels"] = label_name(self.column)
        if self.spec.dtype == "bool":
            attributes["dtype"] = "bool"
        return attributes


def stored_arrays(schema: Schema, rows: int) -> list[Stored]:
    """The arrays of a schema's columns; a chunk is never longer than `rows`, the most there can be (bytes are counted apart)."""
    found = []
    for column in schema.columns:
        for spec in schema.arrays_of(column):
            dtype = np.dtype(np.int8) if spec.dtype == "bool" else np.dtype(spec.dtype)
            chunk = max(1, CHUNK_BYTES // spec.element_bytes)
            found.append(Stored(spec=spec, column=column, dtype=dtype, chunk=chunk if spec.is_payload else max(1, min(chunk, rows))))
    return found


def label_name(column: Column) -> str:
    """Name of the dataset that holds the labels of a dictionary column, and of its dimension."""
    return f"{column.name}_label"


def lengths(schema: Schema) -> dict[str, int]:
    """The dimensions of fixed length."""
    return {spec.dimensions[1]: spec.inner_shape[0] for spec in schema.arrays() if spec.inner_shape}


def group_attributes(schema: Schema) -> dict[str, Any]:
    """What every group says of itself, whatever it came from."""
    return {"Conventions": CONVENTIONS, "title": schema.name}
