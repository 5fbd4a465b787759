"""`repair`: what is damaged or missing, put back from a copy."""

from itertools import count as count_from
from typing import TYPE_CHECKING

import click

from arraystore.cli.command import command, no_match, patterns_argument, split_address, with_store
from arraystore.cli.exits import FINDINGS
from arraystore.cli.output import counted, left, print_json, table
from arraystore.cli.progress import Step, progress
from arraystore.errors import InvalidInput, Problem

if TYPE_CHECKING:
    from arraystore.store import Store
    from arraystore.upkeep.mending import Mended

__all__ = ["repair"]


@command(
    "repair",
    examples=[
        "arraystore repair --root data --from /mnt/backup/data",
        "arraystore repair canonical/binance-usdm --root data --from s3://bucket/data --dry-run",
    ],
)
@patterns_argument
@click.option("--from", "source", metavar="URL", help="A copy of this store; without one, only what the log itself tells is made anew.")
@click.option(
    "--expect",
    "expected",
    metavar="CLASS/KEY=VERSION:DIGEST",
    multiple=True,
    help="A version that is known to be right, where store and copy differ in their newest.",
)
@click.option("--dry-run", is_flag=True, help="Tell what would be put back, and write nothing.")
@with_store
def repair(
    store: "Store", *, patterns: tuple[str, ...], source: str | None, expected: tuple[str, ...], dry_run: bool, as_json: bool
) -> None:
    """Put back what is damaged or missing.

    Reads all that kept versions name, takes what isn't what was written from the copy, and proves it by digest, before and after. Only
    damaged objects are replaced. Ends with exit code 1 if something couldn't be put back.
    """
    seen = count_from(1)

    def step(now: "Mended") -> Step:
        return Step(done=next(seen), unit="datasets", note=f"{now.dataset}: {counted(len(now.restored), 'object')} put back")

    with progress(step) as tell:
        done = store.repair(source, patterns, trial=dry_run, expect=_heads(expected), tell=tell)
    if patterns and not done.checked:
        raise no_match(store, patterns)
    if as_json:
        print_json(done.to_json() | {"url": store.url, "dry_run": dry_run})
    else:
        if done.restored:
            listed = [[_where(each.dataset, each.where), each.before[:12], each.sha256[:12], each.proof] for each in done.restored]
            table((left("put back"), left("sha-256 before"), left("after"), left("proof")), listed)
        for mended in done.datasets:
            if mended.versions is not None:
                click.echo(f"{mended.dataset}: versions {mended.versions.have + 1} to {mended.versions.version} came back")
        if done.unrepaired:
            rest = [[_where(each.dataset, each.where), each.problem, each.remedy] for each in done.unrepaired]
            table((left("not put back"), left("problem"), left("remedy")), rest)
        verb = "would be put back" if dry_run else "put back"
        click.echo(f"{counted(done.checked, 'dataset')}: {counted(len(done.restored), 'object')} {verb}, {len(done.unrepaired)} not")
    if done.unrepaired:
        click.get_current_context().exit(FINDINGS)


def _where(dataset: str, where: str) -> str:
    return f"{dataset.partition('/')[0]}/{where}" if dataset else where


def _heads(expected: tuple[str, ...]) -> dict[str, dict[int, str]]:
    """The versions that options tell."""
    heads: dict[str, dict[int, str]] = {}
    for option in expected:
        address, _, head = option.rpartition("=")
        version, _, digest = head.partition(":")
        if not version.isdecimal() or len(digest) != 64:
            raise InvalidInput(Problem(f"--expect {option!r}", "give CLASS/KEY=VERSION:DIGEST, the digest being 64 hex digits"))
        storage_class, key = split_address(address)
        heads.setdefault(f"{storage_class}/{key}", {})[int(version)] = digest
    return heads
