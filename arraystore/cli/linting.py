"""`lint`: what isn't as the layout says, in a store or in anybody's Zarr."""

import os
from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from arraystore.cli.addresses import datasets_matching
from arraystore.cli.command import SettingOption, command, no_match, role_option
from arraystore.cli.exits import FINDINGS
from arraystore.cli.output import count, counted, print_json, printable
from layouts.classes import StorageClass
from layouts.deviations import Severity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from arraystore.store import Store
    from layouts.deviations import Deviation

__all__ = ["lint"]

SHOWN_PLACES = 5

_store_option = click.option(
    "--root",
    cls=SettingOption,
    metavar="URL",
    envvar="ARRAYSTORE_ROOT",
    show_envvar=True,
    help="The store that keys are of.",
)


@command(
    "lint",
    examples=["arraystore lint --root data", "arraystore lint 'canonical/*/trades' --root data --json", "arraystore lint bars.zarr"],
)
@click.argument("targets", metavar="[KEY|PATH]...", nargs=-1)
@_store_option
@role_option
@click.option("--all", "all_places", is_flag=True, help="Show every place, and not only the first few of each rule.")
def lint(*, targets: tuple[str, ...], root: str | None, role: str, all_places: bool, as_json: bool) -> None:
    """Tell what isn't as the layout says, why, and what to do (docs/lint.md).

    Ends with exit code 1 if there are deviations of severity error. Reads names and metadata only; `verify` is for the bytes.

    A KEY is a pattern of datasets as for ls, which begins with a class; a PATH or URL may be any Zarr group or array (write ./raw for
    one that is called as a class is). Without any, all of the store.
    """
    if not targets and root is None:
        raise click.UsageError("Missing option '--root', or the path of what to look at.")
    found = [each for target in targets or ("",) for each in _deviations(target, root, role)]
    counts = Counter(each.severity for each in found)
    if as_json:
        severities = {severity.value: counts[severity] for severity in Severity}
        print_json({"deviations": [each.to_json() for each in found], "counts": severities})
    else:
        _show(found, None if all_places else SHOWN_PLACES)
        told = ", ".join(
            counted(counts[each], each.value) if each is not Severity.ADVICE else f"{count(counts[each])} advice" for each in Severity
        )
        click.echo(told)
    if counts[Severity.ERROR]:
        click.get_current_context().exit(FINDINGS)


def _deviations(target: str, root: str | None, role: str) -> "Iterable[Deviation]":
    from arraystore.linting import lint as lint_place
    from arraystore.store import open_store

    first = target.partition("/")[0]
    if root is None or (target and not _names_a_class(first)):
        return lint_place(target, role=role)
    store = open_store(root, role=role)
    if not target:
        return store.lint()
    return store.surface(first).lint() if first == target.rstrip("/") else _of_datasets(store, target)


def _names_a_class(part: str) -> bool:
    return part in tuple(StorageClass) or (any(sign in part for sign in "*?[") and not os.path.lexists(part))


def _of_datasets(store: "Store", pattern: str) -> "list[Deviation]":
    datasets = list(datasets_matching(store, (pattern,)))
    if not datasets:
        raise no_match(store, [pattern])
    return [each for dataset in datasets for each in dataset.lint()]


def _show(found: "list[Deviation]", places: int | None) -> None:
    """By severity and rule: what is wanted, why, what to do, and where."""
    order = {severity: number for number, severity in enumerate(Severity)}

    def key(each: "Deviation") -> tuple[Any, ...]:
        return order[each.severity], each.rule, each.wanted, each.remedy

    for _, alike in groupby(sorted(found, key=key), key):
        listed = list(alike)
        first = listed[0]
        click.echo(f"{first.severity.value} {first.rule}: wanted {printable(first.wanted)}")
        click.echo(f"  why  {printable(first.why)}")
        click.echo(f"  do   {printable(first.remedy)}")
        for each in listed[:places]:
            click.echo(f"    {printable(each.place)}: {printable(each.found)}")
        if places is not None and listed[places:]:
            click.echo(f"    … and {count(len(listed) - places)} more places (--all shows them)")
        click.echo()
