"""The end of the story, as tables for people."""

import os
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from arraystore.demo.report import ClassTotals, RawSize
from arraystore.demo.result import DemoResult


def _totals_table(totals: Sequence[ClassTotals]) -> Table:
    """A row per class."""
    table = Table(title="What lies where", title_justify="left", title_style="bold")
    table.add_column("storage class")
    for name in ("datasets", "windows", "rows", "stored", "decoded", "ratio"):
        table.add_column(name, justify="right")
    for row in totals:
        sizes = (_megabytes(row.bytes), _megabytes(row.decoded_bytes), f"{row.ratio:.1f}×")
        table.add_row(row.storage_class, f"{row.datasets}", f"{row.windows}", f"{row.rows:,}", *sizes)
    return table


def _sizes_table(sizes: Sequence[RawSize]) -> Table:
    """A row per raw dataset: its gzip originals, and what their every byte takes here."""
    table = Table(title="Raw beside its gzip originals", title_justify="left", title_style="bold")
    table.add_column("dataset")
    for name in ("gzip", "stored", "of gzip"):
        table.add_column(name, justify="right")
    for row in sizes:
        share = f"{row.stored_bytes / row.file_bytes:.0%}"
        table.add_row(f"raw/{'/'.join(row.key)}", _megabytes(row.file_bytes), _megabytes(row.stored_bytes), share)
    return table


def show(result: DemoResult, console: Console) -> None:
    """The end of the story, for people."""
    console.print()
    console.print(_totals_table(result.totals))
    if result.raw_sizes:
        console.print(_sizes_table(result.raw_sizes))
    on_disk = _bytes_on_disk(result.root)
    size = "" if on_disk is None else f", {_megabytes(on_disk)} in all, logs and indexes included"
    console.print(f"store    {result.root}{size}", highlight=False)
    console.print(f"picture  {result.picture or 'none: install the extra arraystore[plot] (matplotlib) and run again'}", highlight=False)
    console.print(f"verify   {len(result.findings)} findings", highlight=False)
    for finding in result.findings[:10]:
        console.print(f"         {finding}", highlight=False)
    console.print(f"[bold]{result.seconds:.1f} s[/]. Look around: arraystore ls --root {result.root}", highlight=False)


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.2f} MB"


def _bytes_on_disk(root: str) -> int | None:
    """All files below a local root, or None for a URL."""
    if "://" in root:
        return None
    return sum(Path(folder, name).stat().st_size for folder, _, names in os.walk(root) for name in names)
