"""`export-parquet`: rows for whatever reads Parquet."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from arraystore.cli.addresses import datasets_matching
from arraystore.cli.command import (
    address_of,
    at_version,
    columns_option,
    command,
    end_option,
    no_match,
    some_patterns_argument,
    start_option,
    version_option,
    window_option,
    with_store,
)
from arraystore.cli.output import count, counted, left, print_json, right, size, table
from arraystore.cli.progress import Step, progress

if TYPE_CHECKING:
    from arraystore.parquet import ParquetProgress
    from arraystore.store import Store

__all__ = ["export_parquet"]


@command(
    "export-parquet",
    examples=[
        "arraystore export-parquet canonical/binance-usdm/trades/BTCUSDT -o trades.parquet --root data --columns time,price,size",
        "arraystore export-parquet 'canonical/*/trades' -o trades --per-window --root data --start 2024-08-08",
    ],
)
@some_patterns_argument
@click.option("-o", "--output", "path", metavar="PATH", required=True, help="The file to make; for several a directory, made if need be.")
@start_option
@end_option
@columns_option
@window_option
@click.option("--per-window", is_flag=True, help="A file for each window, <window>.parquet in the directory.")
@click.option(
    "--compression", type=click.Choice(["zstd", "snappy", "gzip", "lz4", "none"]), default="zstd", show_default=True, help="Of pages."
)
@click.option("--overwrite", is_flag=True, help="Replace files of that name, each once the new one is whole.")
@version_option
@with_store
def export_parquet(
    store: "Store",
    *,
    patterns: tuple[str, ...],
    path: str,
    start: str | None,
    end: str | None,
    columns: list[str] | None,
    window: str | None,
    per_window: bool,
    compression: str,
    overwrite: bool,
    version: str | None,
    as_json: bool,
) -> None:
    """Write datasets to Parquet files.

    One dataset becomes one file, or with --per-window one for each window in a directory; several become a file or a directory each,
    named by class and key. A file appears only when it is whole, and has been read back and compared with what was read from the store.

    A PATTERN names datasets as for ls.
    """
    import arraystore

    views = [at_version(each, version) for each in datasets_matching(store, patterns)]
    if not views:
        raise no_match(store, patterns)

    def step(now: "ParquetProgress") -> Step:
        return Step(done=now.rows, total=now.most_rows, unit="rows", note=now.path)

    done = []
    for view in views:
        place = Path(path)
        if len(views) > 1:
            place = place / address_of(view.storage_class, view.key)
            place = place if per_window else place.with_name(f"{place.name}.parquet")
            place.parent.mkdir(parents=True, exist_ok=True)
        with progress(step) as tell:
            done += arraystore.export_parquet(
                place,
                view,
                start,
                end,
                columns,
                window=window,
                per_window=per_window,
                compression=compression,
                overwrite=overwrite,
                progress=tell,
            )
    if as_json:
        print_json({"files": [each.to_json() for each in done]})
        return
    table((left("file"), right("rows"), right("size")), [[each.path, count(each.rows), size(each.bytes)] for each in done])
    rows, stored = sum(each.rows for each in done), sum(each.bytes for each in done)
    click.echo(f"\n{counted(rows, 'row')}, {size(stored)} in {counted(len(done), 'file')}")
