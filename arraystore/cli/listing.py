"""`ls`: what lies where."""

from typing import TYPE_CHECKING, Any

import click

from arraystore.cli.addresses import addresses_matching, dataset_at
from arraystore.cli.command import address_of, command, patterns_argument, with_store
from arraystore.cli.exits import Failure, failure
from arraystore.cli.extent import extent
from arraystore.cli.history import newest_versions
from arraystore.cli.output import count, counted, left, print_json, right, size, table, to_the_second
from arraystore.errors import StopAndVerify, StorageError

if TYPE_CHECKING:
    from arraystore.datasets.view import DatasetView
    from arraystore.store import Store

__all__ = ["ls"]

_COLUMNS = (
    left("dataset"),
    right("windows"),
    right("rows"),
    right("size"),
    left("first"),
    left("last"),
    right("version"),
    left("committed"),
)


@command(
    "ls", examples=["arraystore ls --root data", "arraystore ls --root data 'canonical/*/trades'", "arraystore ls --root data raw --json"]
)
@patterns_argument
@click.option("--venue", help="Only datasets of this venue, in the classes whose keys name one.")
@with_store
def ls(store: "Store", *, patterns: tuple[str, ...], venue: str | None, as_json: bool) -> None:
    """List datasets and how much they hold.

    Tells windows, rows, bytes, first and last time on the axis clock, version and last commit.

    A PATTERN names a dataset or what it lies below, and may hold * and ?: canonical, canonical/*/trades, 'raw/binance*'.

    Those that can't be read are told after the others, and by the exit code.
    """
    listed: list[dict[str, Any]] = []
    unread: list[tuple[str, Failure]] = []
    for address in addresses_matching(store, patterns, venue):
        try:
            listed.append(_described(store, dataset_at(store, address)))
        except (StopAndVerify, StorageError) as error:
            unread.append((address, failure(error)))
    if as_json:
        problems = [{"dataset": address, "problem": why.message} for address, why in unread]
        print_json({"store": store.url, "role": str(store.role), "datasets": listed, "problems": problems})
    else:
        table(_COLUMNS, map(_cells, listed))
        rows, stored = (sum(entry[field] for entry in listed) for field in ("rows", "bytes"))
        click.echo(f"\n{counted(len(listed), 'dataset')}, {counted(rows, 'row')}, {size(stored)} in {store.url}")
    if unread:
        raise Failure("\n".join(f"{address} can't be read: {why.message}" for address, why in unread), unread[0][1].code)


def _described(store: "Store", dataset: "DatasetView") -> dict[str, Any]:
    (newest,) = newest_versions(store, dataset, 1)
    return {
        "dataset": address_of(dataset.storage_class, dataset.key),
        **extent(dataset),
        "version": dataset.version,
        "committed": newest["time"],
    }


def _cells(entry: dict[str, Any]) -> list[str]:
    return [
        entry["dataset"],
        count(entry["windows"]),
        count(entry["rows"]),
        size(entry["bytes"]),
        to_the_second(entry["first"]),
        to_the_second(entry["last"]),
        str(entry["version"]),
        to_the_second(entry["committed"]),
    ]
