"""`verify`: whether the store still holds what was acknowledged."""

from typing import TYPE_CHECKING, Any

import click

from arraystore.cli.command import command, no_match, patterns_argument, with_store
from arraystore.cli.exits import FINDINGS
from arraystore.cli.output import counted, left, print_json, table
from arraystore.cli.progress import Step, progress

if TYPE_CHECKING:
    from arraystore.store import Store
    from arraystore.upkeep.verification import Verification

__all__ = ["verify"]

MEGABYTE = 1_000_000


@command(
    "verify",
    examples=[
        "arraystore verify --root data",
        "arraystore verify canonical/binance-usdm --root data --deep",
        "arraystore verify --root data --deep --rate 50 --progress verify.json",
    ],
)
@patterns_argument
@click.option("--deep", is_flag=True, help="Read and decode every byte, not only the log, the indexes and the sizes.")
@click.option("--rate", metavar="MB/s", type=click.FloatRange(min=0, min_open=True), help="Read no more megabytes a second than this.")
@click.option("--progress", "progress_file", metavar="FILE", help="Keep here how far it has come; what was interrupted goes on.")
@with_store
def verify(store: "Store", *, patterns: tuple[str, ...], deep: bool, rate: float | None, progress_file: str | None, as_json: bool) -> None:
    """Check that data are what was written.

    Ends with exit code 1 if anything is wrong.

    A PATTERN names datasets as for ls; without one, all datasets that the role may read are checked, and the tags.
    """
    from arraystore.errors import ArrayStoreError

    bytes_per_second = None if rate is None else rate * MEGABYTE
    try:
        with progress(_step) as tell:
            done = store.verify(patterns, deep=deep, rate=bytes_per_second, progress=progress_file, tell=tell)
    except (KeyboardInterrupt, ArrayStoreError):
        if progress_file is not None:
            click.echo(f"interrupted; the same command goes on from what {progress_file} tells", err=True)
        raise
    if patterns and not done.covered and not done.findings:
        raise no_match(store, patterns)
    findings = [_finding(finding.to_json()) for finding in done.findings]
    if as_json:
        told = done.to_json() | {"store": store.url, "uuid": done.store, "datasets": len(done.covered), "findings": findings}
        print_json(told)
    else:
        _show(done, findings, deep=deep)
    if findings:
        click.get_current_context().exit(FINDINGS)


def _finding(told: dict[str, Any]) -> dict[str, Any]:
    """A finding as it is printed: its place begins with the class."""
    storage_class = told["dataset"].partition("/")[0]
    return told | {"where": f"{storage_class}/{told['where']}"} if storage_class else told


def _show(done: "Verification", findings: list[dict[str, Any]], *, deep: bool) -> None:
    if findings:
        table(
            (left("where"), left("problem"), left("remedy")), [[told[name] for name in ("where", "problem", "remedy")] for told in findings]
        )
    datasets = counted(len(done.covered), "dataset")
    click.echo(f"{datasets} checked{' to the last byte' if deep else ''}: {counted(len(findings), 'finding')}")


def _step(now: "Verification") -> Step:
    done = sum(covered.done for covered in now.covered)
    at = "" if not now.covered or now.covered[-1].done else f", at {now.covered[-1].dataset}"
    return Step(done=now.bytes_read, unit="bytes", note=f"{counted(done, 'dataset')}, {counted(len(now.findings), 'finding')}{at}")
