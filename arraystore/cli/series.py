"""The schemas of a dataset as documents: usually one, for an experiment run one for each of its series."""

from typing import TYPE_CHECKING, Any

import msgspec

from arraystore.errors import NotFound
from layouts.codecs import codec_for

if TYPE_CHECKING:
    from arraystore.datasets.view import DatasetView
    from layouts.schema import Column, Schema

__all__ = ["series_of"]


def series_of(dataset: "DatasetView") -> list[dict[str, Any]]:
    """Each schema in force, with its columns told in short."""
    try:
        schemas = [dataset.schema]
    except NotFound:  # several series, each with its own
        schemas = []
        for window in dataset.windows():
            if (schema := dataset.schema_of(window)) not in schemas:
                schemas.append(schema)
    return [
        {"columns": [_column(schema, column, str(dataset.profile)) for column in schema.columns], "schema": msgspec.to_builtins(schema)}
        for schema in schemas
    ]


def _column(schema: "Schema", column: "Column", profile: str) -> dict[str, Any]:
    values = next(schema.arrays_of(column))
    return {
        "name": column.name,
        "kind": str(column.kind),
        "dtype": values.dtype if column.levels is None else f"{values.dtype} x {column.levels}",
        "nullable": column.nullable,
        "clock": None if column.clock is None else str(column.clock),
        "unit": column.unit or None,
        "codec": codec_for(profile, values.dtype, payload=values.is_payload).name,
    }
