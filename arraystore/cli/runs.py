"""`runs`: experiments, their runs as a table, one run, and marking a dead one."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from arraystore.cli.command import command, confirm, with_store, yes_option
from arraystore.cli.output import as_text, counted, facts, left, print_json, right, table, to_the_second
from arraystore.errors import InvalidInput, Problem
from arraystore.place import require
from layouts.classes import Action, StorageClass
from layouts.times import format_time

if TYPE_CHECKING:
    from arraystore.classes.runtable import RunRow, RunTable
    from arraystore.store import Store

__all__ = ["runs"]

STATES = ("running", "finished", "failed", "abandoned")


@command(
    "runs",
    examples=[
        "arraystore runs --root data",
        "arraystore runs mm-grid --state failed --root data",
        "arraystore runs mm-grid/7f3a --root data --json",
        "arraystore runs mm-grid/7f3a --abandon 'its machine was lost' --yes --root data --role backtesting",
    ],
)
@click.argument("name", metavar="[EXPERIMENT[/RUN]]", required=False)
@click.option("--state", type=click.Choice(STATES), help="Show only runs in this state.")
@click.option("--abandon", "note", metavar="NOTE", help="Seal this run, whose process died, for good, and say why.")
@click.option("--force", is_flag=True, help="With --abandon: also a run that shows signs of life.")
@yes_option
@click.option("--dry-run", is_flag=True, help="With --abandon: show the run as it would be then, and change nothing.")
@with_store
def runs(
    store: "Store", *, name: str | None, state: str | None, note: str | None, force: bool, yes: bool, dry_run: bool, as_json: bool
) -> None:
    """Show experiments and their runs.

    Without a name all experiments, with an experiment's all its runs, with a run's that one.

    A run is abandoned once its process has ended or gave no sign of life for five minutes, or because it was marked so.
    """
    if note is not None or force or dry_run:
        _abandon(store, name, note, force=force, yes=yes, dry_run=dry_run)
    if name is None:
        _show_experiments(store, as_json=as_json)
        return
    experiment, _, run = name.partition("/")
    found = store.experiments[experiment].runs(state=state)
    if run:
        _show_run(_row(store, name), dry_run=dry_run, as_json=as_json)
    elif as_json:
        print_json({"experiment": found.experiment, "runs": [row_to_json(row) for row in found]})
    else:
        _show_runs(found)


def _abandon(store: "Store", name: str | None, note: str | None, *, force: bool, yes: bool, dry_run: bool) -> None:
    """Mark a run; what the options want of each other is checked before."""
    if note is None:
        raise InvalidInput(Problem("--abandon", "say why the run is abandoned; --force and --dry-run are for that"))
    if name is None or "/" not in name:
        raise InvalidInput(Problem("--abandon", "name the run: EXPERIMENT/RUN"))
    require(store.role, Action.WRITE, StorageClass.EXPERIMENTS)
    confirm(f"run {name} would be sealed as abandoned, for good", yes=yes, dry_run=dry_run)
    store.experiments.abandon(name, note, force=force)


def _row(store: "Store", name: str) -> "RunRow":
    key = store.experiments[name].key
    return next(row for row in store.experiments.rows_of(key[0]) if row.run == key[1])


def row_to_json(row: "RunRow") -> dict[str, Any]:
    """A run as plain JSON types, times as ISO-8601; metrics that aren't finite as text, as a run's attributes have them."""
    import math

    metrics = {name: value if math.isfinite(value) else str(value) for name, value in row.metrics.items()}
    return {
        "run": row.run,
        "state": row.state,
        "attempt": row.attempt,
        "params": dict(row.params),
        "metrics": metrics,
        "started": None if row.started is None else format_time(row.started),
        "ended": None if row.ended is None else format_time(row.ended),
        "error": row.error,
        "note": row.note,
        "version": row.version,
    }


def _show_experiments(store: "Store", *, as_json: bool) -> None:
    names = sorted({key[0] for key in store.experiments.find()})
    tables = {name: store.experiments.experiment(name).runs() for name in names}
    if as_json:
        print_json({"experiments": [{"experiment": name, "runs": len(found), "states": found.states()} for name, found in tables.items()]})
        return
    columns = (left("experiment"), right("runs"), *map(right, STATES))
    table(columns, ([name, str(len(found)), *(str(found.states().get(state, 0)) for state in STATES)] for name, found in tables.items()))


def _show_runs(found: "RunTable") -> None:
    """The table, without columns in which nothing is said."""
    columns = {name: [*map(_cell, [name] * len(found), values)] for name, values in found.columns().items()}
    named = {name: cells for name, cells in columns.items() if name in {"run", "state"} or any(cells)}
    headings = [right(name) if name.startswith(("metrics.", "params.", "attempt")) else left(name) for name in named]
    table(headings, (list(line) for line in zip(*named.values(), strict=True)))
    click.echo(f"\n{counted(len(found), 'run')} of {found.experiment}")


def _cell(name: str, value: Any) -> str:
    if name in {"started", "ended"}:
        return to_the_second(None if value is None else format_time(value))
    if isinstance(value, float):
        return f"{value:.6g}"
    return "no" if value is False else as_text(value)


def _show_run(row: "RunRow", *, dry_run: bool, as_json: bool) -> None:
    told = row_to_json(row)
    if as_json:
        print_json({"experiment": row.experiment, **told, "dry_run": dry_run})
        return
    plain = {name: value for name, value in told.items() if not isinstance(value, Mapping)}
    values = {f"{kind}.{name}": value for kind in ("params", "metrics") for name, value in told[kind].items()}
    facts([(name, as_text(value)) for name, value in ({"experiment": row.experiment} | plain | values).items()])
