"""Getting files in: vendors' CSV, Parquet, Arrow and DBN files into datasets, by small TOML mappings (docs/ingest.md).

What does it is loaded when first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Mapping as AnyMapping
    from pathlib import Path

    from arraystore.ingest.loading import Files
    from arraystore.ingest.mapping import ColumnRule, FileRule, Mapping, SchemaRule, load_mapping
    from arraystore.ingest.reports import FileReport, IngestReport
    from arraystore.store import Store

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

_HOMES = dict.fromkeys(("ColumnRule", "FileRule", "Mapping", "SchemaRule", "load_mapping"), "mapping") | dict.fromkeys(
    ("FileReport", "IngestReport"), "reports"
)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def shipped_mappings() -> dict[str, str]:
    """The mappings that come with the package: names, and what each is for."""
    from arraystore.ingest import mapping

    return mapping.shipped_mappings()


def ingest(
    store: "Store",
    files: "Files",
    *,
    mapping: "Mapping | AnyMapping[str, Any] | str | Path",
    into: str | None = None,
    parameters: dict[str, str] | None = None,
    resume: bool = False,
    workers: int = 2,
    dry_run: bool = False,
    completeness: str | None = None,
    reopen: bool = False,
    keep_originals: bool = False,
    progress: "Callable[[FileReport], None] | None" = None,
    tell: "Callable[[int], None] | None" = None,
) -> "IngestReport":
    """Load files into datasets, each in one commit, all of its rows or none; durable when this returns.

    A file whose rows go to several datasets (the mapping's `split`, or members of an archive) is read to its end before anything of it is
    committed, and then is one commit in each of them.

    Parameters
    ----------
    store
        Opened as a role that may write there.
    files
        CSV (plain, gzip, zstd, or zip of one or many), Parquet, Arrow or DBN, as the mapping says. Files larger than memory are fine:
        a worker holds about half a gigabyte.
    mapping
        The name of a shipped mapping, a TOML file, or what one says (docs/ingest.md).
    into
        Where to: `class/key`, which may name parts of the file's name (`canonical/binance/trades/{symbol}`); by default as the mapping
        says. The dataset is made if there is none.
    parameters
        Values for the mapping's parameters.
    resume
        Pass over files that were ingested with this mapping before, whatever they are called now; without it they are an error.
    workers
        How many files are read at once, in threads. Where arrival order counts, they are committed in the order given all the same.
    dry_run
        Read and check everything, write nothing.
    completeness, reopen
        As in `append`, for the windows each file touches.
    keep_originals
        Keep each file as it is beside its rows, as an artifact `originals/<name>`.
    progress
        Called with the report of each file as it is done, from this thread.
    tell
        Called with the number of rows of each batch as it is read, from the workers' threads.

    Raises
    ------
    InvalidInput
        With the file, line, column and text of what can't be taken. Nothing of such a file is in; other files are not affected.
    AlreadyExists, WindowClosed
        Where a file is in already, or lies in a window that is complete.
    """
    from arraystore.ingest.loading import load

    options: dict[str, Any] = {"resume": resume, "workers": workers, "dry_run": dry_run, "completeness": completeness, "reopen": reopen}
    options |= {"keep_originals": keep_originals, "progress": progress, "tell": tell}
    return load(store, files, mapping=mapping, into=into, parameters=parameters, **options)
