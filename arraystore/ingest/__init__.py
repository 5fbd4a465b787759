"""Getting files in: vendors' CSV, Parquet, Arrow and DBN files into datasets, by small TOML mappings (docs/ingest.md)."""

from arraystore.ingest.loading import FileReport, IngestReport, ingest
from arraystore.ingest.mapping import ColumnRule, FileRule, Mapping, SchemaRule, load_mapping, shipped_mappings

__all__ = [
    "ColumnRule",
    "FileReport",
    "FileRule",
    "IngestReport",
    "Mapping",
    "SchemaRule",
    "ingest",
    "load_mapping",
    "shipped_mappings",
]
