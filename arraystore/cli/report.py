"""`report`: one page about the store, or about a dataset."""

from typing import TYPE_CHECKING

import click

from arraystore.cli.command import command, dataset_at, version_option, with_store
from arraystore.cli.output import print_json, size
from arraystore.errors import InvalidInput, Problem

if TYPE_CHECKING:
    from arraystore.store import Store

__all__ = ["report"]


@command(
    "report",
    examples=[
        "arraystore report --html store.html --root data",
        "arraystore report --html trades.html canonical/binance-usdm/trades/BTCUSDT --verify deep --root data",
    ],
)
@click.argument("key", metavar="[CLASS/KEY]", required=False)
@click.option("--html", "path", metavar="FILE", required=True, help="The page to make.")
@click.option(
    "--verify",
    type=click.Choice(["no", "quick", "deep"]),
    help="Whether to look if all is what was written, and how; quick by default, but for stores of more than 500 datasets.",
)
@click.option("--overwrite", "--force", is_flag=True, help="Replace a file of that name, once the new one is whole.")
@version_option
@with_store
def report(store: "Store", *, key: str | None, path: str, verify: str | None, overwrite: bool, version: str | None, as_json: bool) -> None:
    """Write one page about the store, or about a dataset of it.

    Tells what there is, coverage, sizes and ratios, versions, lineage and whether all is whole, in one HTML file that loads nothing else.
    It appears under its name only when it is whole.
    """
    if key is None and version is not None:
        raise InvalidInput(Problem("--version", "is of a dataset: name one"))
    dataset = None if key is None else dataset_at(store, key, version)
    written = store.report(path, dataset, verify=verify, overwrite=overwrite)
    if as_json:
        print_json({"of": store.url if key is None else key, "file": path, "bytes": written})
    else:
        click.echo(f"{path}: {size(written)}")
