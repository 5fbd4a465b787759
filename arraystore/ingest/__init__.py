"""Getting files in: vendors' CSV, Parquet, Arrow and DBN files into datasets, by small TOML mappings (docs/ingest.md)."""

from arraystore.ingest.loading import ingest
from arraystore.ingest.mapping import ColumnRule, FileRule, Mapping, SchemaRule, load_mapping, shipped_mappings
from arraystore.ingest.reports import FileReport, IngestReport

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
