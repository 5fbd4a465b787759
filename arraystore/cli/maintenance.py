"""`compact`: what operations does to a store so that it stays small and quick."""

from typing import TYPE_CHECKING

import click

from arraystore.cli.command import command, with_store
from arraystore.cli.output import count, counted, left, print_json, right, size, table

if TYPE_CHECKING:
    from arraystore.store import Store

__all__ = ["compact"]

_RUNS = (left("dataset"), left("window"), right("segments"), right("tails"), right("rows"), right("size"), right("size after"))


@command(
    "compact",
    examples=[
        "arraystore compact 'canonical/*/trades' --root data --dry-run",
        "arraystore compact raw canonical --leave-bytes 67108864 --root data",
    ],
)
@click.argument("patterns", metavar="PATTERN...", nargs=-1, required=True)
@click.option("--max-rows", type=int, help="Rows of a segment at most.")
@click.option("--leave-bytes", type=int, metavar="BYTES", help="Leave segments of so many bytes or more as they are.")
@click.option("--dry-run", is_flag=True, help="Show what would become one segment, and change nothing.")
@with_store
def compact(
    store: "Store", *, patterns: tuple[str, ...], max_rows: int | None, leave_bytes: int | None, dry_run: bool, as_json: bool
) -> None:
    """Make one segment of the many small ones and tails of a window.

    Rows stay what they are, and older versions read what they read before. Take role operations.

    A PATTERN names datasets as for ls.
    """
    options = {name: value for name, value in (("max_rows", max_rows), ("leave_bytes", leave_bytes)) if value is not None}
    done = store.compact(patterns, dry_run=dry_run, **options)
    if as_json:
        print_json({"store": store.url, "dry_run": dry_run, "datasets": {address: found.to_json() for address, found in done.items()}})
        return
    rows = [(address, run.to_json()) for address, found in done.items() for run in found.runs]
    table(
        _RUNS,
        [
            [
                address,
                run["window"],
                count(run["segments"]),
                count(run["tails"]),
                count(run["rows"]),
                size(run["bytes"]),
                "" if run["bytes_after"] is None else size(run["bytes_after"]),
            ]
            for address, run in rows
        ],
    )
    click.echo(f"\n{counted(len(rows), 'segment')} {'to write' if dry_run else 'written'} in {counted(len(done), 'dataset')}")
