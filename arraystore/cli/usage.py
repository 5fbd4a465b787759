"""`du` and `doctor`: what takes how much space; and what is wrong around a store."""

from collections import Counter
from typing import TYPE_CHECKING

import click

from arraystore.cli.command import command, no_match, patterns_argument, role_option, root_option, with_store
from arraystore.cli.exits import FINDINGS
from arraystore.cli.output import count, counted, left, print_json, right, size, table
from arraystore.cli.progress import Step, progress

if TYPE_CHECKING:
    from arraystore.store import Store
    from arraystore.upkeep.usage import Usage

__all__ = ["doctor", "du"]

KINDS = ("rows", "indexes", "metadata", "commits", "checkpoints", "artifacts", "other")


@command(
    "du",
    examples=[
        "arraystore du --root data",
        "arraystore du 'canonical/*/trades' --columns --root data",
        "arraystore du --garbage --root data --json",
    ],
)
@patterns_argument
@click.option("--columns", "by_column", is_flag=True, help="Tell what each column takes.")
@click.option("--garbage", is_flag=True, help="Tell what gc would free, too, which takes a look at every version that is kept.")
@with_store
def du(store: "Store", *, patterns: tuple[str, ...], by_column: bool, garbage: bool, as_json: bool) -> None:
    """Tell what takes how much space.

    By dataset and class, and what it is for: rows, indexes, metadata, commits (with the rows of small appends), checkpoints, artifacts.
    All versions and deleted datasets count. Looks at every object.

    A PATTERN names datasets as for ls; without one, what lies beside datasets is counted, too.
    """
    seen = 0

    def step(now: "Usage") -> Step:
        nonlocal seen
        seen += now.objects
        return Step(done=seen, unit="objects", note=now.dataset)

    with progress(step) as tell:
        found = store.du(patterns, garbage=garbage, tell=tell)
    if patterns and not found:
        raise no_match(store, patterns)
    if as_json:
        print_json({"store": store.url, "bytes": sum(each.bytes for each in found), "usage": [each.to_json() for each in found]})
        return
    if by_column:
        _show_columns(found)
        return
    kinds = [kind for kind in KINDS if any(each.kinds.get(kind) for each in found)]
    columns = [left("dataset"), right("objects"), *map(right, kinds), right("total"), *([right("gc frees")] if garbage else [])]
    table(columns, [_cells(each, kinds, garbage=garbage) for each in (*found, *_classes(found))])
    freed = sum(each.garbage or 0 for each in found)
    told = f", of which gc would free {size(freed)}" if garbage else ""
    click.echo(f"\n{size(sum(each.bytes for each in found))} in {counted(sum(each.objects for each in found), 'object')}{told}")


def _cells(each: "Usage", kinds: list[str], *, garbage: bool) -> list[str]:
    parts = [size(each.kinds[kind]) if kind in each.kinds else "" for kind in kinds]
    freed = [] if not garbage else ["" if each.garbage is None else size(each.garbage)]
    name = each.dataset if "/" in each.dataset or "," in each.dataset else f"{each.dataset}, beside datasets"
    return [name, count(each.objects), *parts, size(each.bytes), *freed]


def _classes(found: "list[Usage]") -> "list[Usage]":
    """The sums of classes that have more than one line."""
    from arraystore.upkeep.usage import Usage

    sums: dict[str, list[Usage]] = {}
    for each in found:
        sums.setdefault(each.dataset.partition("/")[0], []).append(each)
    return [
        Usage(
            dataset=f"{name}, all",
            objects=sum(each.objects for each in listed),
            kinds=Counter({kind: sum(each.kinds.get(kind, 0) for each in listed) for kind in KINDS}),
            columns={},
            garbage=sum(each.garbage or 0 for each in listed),
        )
        for name, listed in sums.items()
        if len(listed) > 1
    ]


def _show_columns(found: "list[Usage]") -> None:
    rows = [
        [each.dataset, column, size(stored), f"{stored / total:.1%}"]
        for each in found
        for total in (sum(each.columns.values()),)
        for column, stored in each.columns.items()
        if total
    ]
    table((left("dataset"), left("column"), right("size"), right("share")), rows)


@command("doctor", examples=["arraystore doctor --root data", "arraystore doctor --root data --probe --json"])
@root_option
@role_option
@click.option("--probe", is_flag=True, help="Also try linking and syncing, with files that are removed again.")
def doctor(*, root: str, role: str, probe: bool, as_json: bool) -> None:
    """Tell what is wrong around a store, and what to do.

    Looks at the root, its medium, space and inodes, what died writers left, rights of this user, heads of datasets, the clock, and
    versions of libraries. Changes nothing. Ends with exit code 1 if there is a problem; warnings are none.

    Whether bytes are what was written is for verify, whether they lie as they should for lint.
    """
    import arraystore

    checks = arraystore.doctor(root, role=role, probe=probe)
    problems, warnings = (sum(check.state == state for check in checks) for state in ("problem", "warning"))
    if as_json:
        print_json({"root": root, "problems": problems, "warnings": warnings, "checks": [check.to_json() for check in checks]})
    else:
        columns = (left("check"), left("state"), left("found"), left("remedy"))
        table(columns, [[check.name, check.state, check.found, check.remedy] for check in checks])
        click.echo(f"\n{counted(problems, 'problem')}, {counted(warnings, 'warning')}")
    if problems:
        click.get_current_context().exit(FINDINGS)
