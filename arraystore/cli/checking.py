"""`verify`: whether the store still holds what was acknowledged."""

from typing import TYPE_CHECKING, Any

import click

from arraystore.cli.command import address_of, command, with_store
from arraystore.cli.exits import FINDINGS
from arraystore.cli.listing import datasets_matching
from arraystore.cli.output import counted, left, print_json, table
from arraystore.errors import NotFound

if TYPE_CHECKING:
    from arraystore.store import Store
    from arraystore.view import DatasetView

__all__ = ["verify"]


@command("verify", examples=["arraystore verify --root data", "arraystore verify canonical/binance-usdm --root data --deep"])
@click.argument("patterns", metavar="[PATTERN]...", nargs=-1)
@click.option("--deep", is_flag=True, help="Read and decode every byte, not only the log, the indexes and the sizes.")
@with_store
def verify(store: "Store", *, patterns: tuple[str, ...], deep: bool, as_json: bool) -> None:
    """Check that data are what was written.

    Ends with exit code 1 if anything is wrong.

    A PATTERN names datasets as for ls; without one, all datasets that the role may read are checked.
    """
    checked = 0
    findings: list[dict[str, Any]] = []
    for dataset in datasets_matching(store, patterns):
        checked += 1
        findings += _findings(dataset, deep=deep)
    if patterns and not checked:
        msg = f"no dataset in {store.url} matches {' or '.join(map(repr, patterns))}; `arraystore ls` lists them"
        raise NotFound(msg)
    if as_json:
        print_json({"store": store.url, "deep": deep, "datasets": checked, "findings": findings})
    else:
        if findings:
            table((left("where"), left("problem")), [[finding["where"], finding["problem"]] for finding in findings])
        click.echo(f"{counted(checked, 'dataset')} checked{' to the last byte' if deep else ''}: {counted(len(findings), 'finding')}")
    if findings:
        click.get_current_context().exit(FINDINGS)


def _findings(dataset: "DatasetView", *, deep: bool) -> list[dict[str, Any]]:
    address = address_of(dataset.storage_class, dataset.key)
    return [
        {"dataset": address, "where": f"{dataset.storage_class}/{finding.where}", "problem": finding.problem}
        for finding in dataset.verify(deep=deep)
    ]
