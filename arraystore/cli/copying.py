"""`copy`: another place to read from, and to repair from."""

from typing import TYPE_CHECKING

import click

from arraystore.cli.command import command, no_match, patterns_argument, with_store
from arraystore.cli.exits import FINDINGS
from arraystore.cli.output import count, counted, left, print_json, right, size, table
from arraystore.cli.progress import Step, progress

if TYPE_CHECKING:
    from arraystore.store import Store
    from arraystore.upkeep.shipping import Shipped

__all__ = ["copy"]

_COLUMNS = (left("dataset"), right("had"), right("has"), right("segments"), right("files"), right("size"))


@command(
    "copy",
    examples=[
        "arraystore copy --root data --to /mnt/backup/data",
        "arraystore copy 'canonical/binance-usdm' --root data --to s3://bucket/data --dry-run",
    ],
)
@patterns_argument
@click.option("--to", "target", metavar="URL", required=True, help="Where to: a directory, or s3://, gs://, az://; made if there is none.")
@click.option("--dry-run", is_flag=True, help="Tell what would be brought, and write nothing.")
@with_store
def copy(store: "Store", *, patterns: tuple[str, ...], target: str, dry_run: bool, as_json: bool) -> None:
    """Make or renew a copy of the store.

    It has the store's identity and the same bytes, each compared with its digest on the way. It is whole at every moment: commits come
    last. Interrupted, or run again later, it goes on with what is missing; nothing is ever deleted in it. Ends with exit code 1 if
    something here is damaged, and so wasn't copied.

    A PATTERN names datasets as for ls; without one all are copied, and tags and lineage.
    """
    with progress(_step) as tell:
        done = store.copy(target, patterns, trial=dry_run, tell=tell)
    if patterns and not done.datasets and not done.problems:
        raise no_match(store, patterns)
    if as_json:
        print_json(done.to_json() | {"source": store.url, "dry_run": dry_run})
    else:
        table(_COLUMNS, map(_cells, [shipped for shipped in done.datasets if shipped.version > shipped.have]))
        if done.problems:
            table(
                (left("not copied"), left("problem"), left("remedy")),
                [[each.dataset or each.where, each.problem, each.remedy] for each in done.problems],
            )
        versions = counted(sum(shipped.version - shipped.have for shipped in done.datasets), "version")
        brought = f"{versions} and {counted(done.others, 'other object')}"
        click.echo(f"\n{brought} {'would be ' if dry_run else ''}brought to {done.target}: {counted(len(done.problems), 'problem')}")
    if done.problems:
        click.get_current_context().exit(FINDINGS)


def _cells(shipped: "Shipped") -> list[str]:
    return [
        shipped.dataset,
        str(shipped.have),
        str(shipped.version),
        count(shipped.segments),
        count(shipped.artifacts),
        size(shipped.bytes),
    ]


def _step(now: "Shipped") -> Step:
    return Step(done=now.bytes, unit="bytes", note=f"{now.dataset} version {now.version}")
