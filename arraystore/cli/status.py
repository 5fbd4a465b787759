"""`status`: how the store is, at a glance or for a monitor."""

from typing import TYPE_CHECKING

import click

from arraystore.cli.command import command, with_store
from arraystore.cli.output import Column, count, counted, left, print_json, right, size, table, to_the_second
from arraystore.errors import InvalidInput, Problem

if TYPE_CHECKING:
    from arraystore.store import Store
    from arraystore.upkeep.status import ClassStatus

__all__ = ["status"]

_COLUMNS: tuple[Column, ...] = (
    left("class"),
    right("datasets"),
    right("windows"),
    right("unfinished"),
    right("rows"),
    right("size"),
    left("last commit"),
    right("failures"),
    left("states"),
)


@command(
    "status",
    examples=[
        "arraystore status --root data",
        "arraystore status --root data --deep",
        "arraystore status --root data --prometheus > arraystore.prom",
    ],
)
@click.option("--deep", is_flag=True, help="Look for garbage, too, which takes a look at every folder.")
@click.option("--prometheus", "as_metrics", is_flag=True, help="Print the numbers in Prometheus' text format.")
@with_store
def status(store: "Store", *, deep: bool, as_metrics: bool, as_json: bool) -> None:
    """Show what each class holds, and how it is.

    Tells datasets, windows and those not complete, rows, bytes, the last commit, and failures: datasets that can't be opened, runs that
    failed or were abandoned. Costs what changed since somebody last looked; rows aren't read, see verify.
    """
    from arraystore.upkeep.status import prometheus

    if as_metrics and as_json:
        raise InvalidInput(Problem("--prometheus", "give it or --json"))
    classes = store.status(deep=deep)
    if as_metrics:
        click.echo(prometheus(store.uuid, classes), nl=False)
    elif as_json:
        print_json({"store": store.url, "uuid": store.uuid, "deep": deep, "classes": [each.to_json() for each in classes]})
    else:
        _show(classes, deep=deep)


def _show(classes: "list[ClassStatus]", *, deep: bool) -> None:
    columns = (*_COLUMNS, right("garbage")) if deep else _COLUMNS
    table(columns, [_cells(each, deep=deep) for each in classes])
    if unreadable := [each for one in classes for each in one.unreadable]:
        click.echo()
        table((left("can't be opened"), left("problem")), [[each.dataset, each.problem] for each in unreadable])
    click.echo(f"\n{counted(sum(each.datasets for each in classes), 'dataset')}, {size(sum(each.bytes for each in classes))}")


def _cells(each: "ClassStatus", *, deep: bool) -> list[str]:
    cells = [
        each.storage_class,
        count(each.datasets),
        count(each.windows),
        count(each.unfinished),
        count(each.rows),
        size(each.bytes),
        to_the_second(each.to_json()["last_commit"]),
        count(each.failures),
        ", ".join(f"{number} {state}" for state, number in each.states.items()),
    ]
    return [*cells, f"{counted(each.garbage or 0, 'object')}, {size(each.garbage_bytes or 0)}"] if deep else cells
