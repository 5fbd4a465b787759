"""`sessions`: which there are, whether one's sequence is whole, its last record, and the fills that count."""

from typing import TYPE_CHECKING, Any

import click

from arraystore.cli.cells import cells_of
from arraystore.cli.command import command, with_store
from arraystore.cli.exits import FINDINGS
from arraystore.cli.output import as_text, count, counted, facts, left, print_json, right, table, to_the_second
from arraystore.errors import InvalidInput, NotFound, Problem
from layouts.naming import escape, unescape
from layouts.times import format_time

if TYPE_CHECKING:
    from arraystore.classes.execution import Session
    from arraystore.classes.reconciliation import Reconciliation
    from arraystore.classes.recovery import Recovery
    from arraystore.frames.frame import Frame
    from arraystore.store import Store

__all__ = ["sessions"]

KINDS = ("live", "backtest")


@command(
    "sessions",
    examples=[
        "arraystore sessions --root data",
        "arraystore sessions live/2024-08-08 --root data",
        "arraystore sessions live/2024-08-08 --reconcile --root data --json",
    ],
)
@click.argument("name", metavar="[live|backtest[/SESSION]]", required=False)
@click.option("--reconcile", is_flag=True, help="Apply corrections and busts to the session's fills, and tell which count.")
@with_store
def sessions(store: "Store", *, name: str | None, reconcile: bool, as_json: bool) -> None:
    """Show sessions, and audit their sequences.

    Ends with exit code 1 if the records of a session that is shown have gaps or repeated numbers.
    """
    kind, _, session_id = (name or "").partition("/")
    if kind not in ("", *KINDS):
        raise InvalidInput(
            Problem("name", f"{kind!r} is none of {', '.join(KINDS)}; give live or backtest, or one session as live/SESSION")
        )
    if not session_id:
        if reconcile:
            raise InvalidInput(Problem("--reconcile", "name the session: live/SESSION or backtest/SESSION"))
        whole = _show_all(store, kind or None, as_json=as_json)
    else:
        whole = _show_one(store.execution_records.session(kind, unescape(session_id)), reconcile=reconcile, as_json=as_json)
    if not whole:
        click.get_current_context().exit(FINDINGS)


def _show_all(store: "Store", kind: str | None, *, as_json: bool) -> bool:
    surface = store.execution_records
    listed = [(key, surface.session(*key).audit()) for key in surface.sessions(kind)]
    if as_json:
        print_json({"sessions": [{"session": _address(*key)} | _to_json(found) for key, found in listed]})
    else:
        columns = (left("session"), right("records"), left("last"), left("of"), left("audit"))
        table(columns, ([_address(*key), count(sum(found.rows.values())), *_cells(found)] for key, found in listed))
    return all(found.is_whole for _, found in listed)


def _show_one(session: "Session", *, reconcile: bool, as_json: bool) -> bool:
    found = session.audit()
    if not found.rows:
        raise NotFound(f"there is no session {_address(session.kind, session.session_id)}; `arraystore sessions` lists them")
    told = {"session": _address(session.kind, session.session_id), **_to_json(found)}
    settled = session.reconcile() if reconcile else None
    if settled is not None:
        told["reconciled"] = _settled_to_json(settled)
    if as_json:
        print_json(told)
        return found.is_whole
    last, of, audit = _cells(found)
    rows = [(f"{record} rows", count(number)) for record, number in found.rows.items()]
    facts(
        [
            ("session", told["session"]),
            *rows,
            ("last sequence", str(found.last_sequence)),
            ("last record", f"{of} {last}"),
            ("audit", audit),
        ]
    )
    if found.last_row is not None:
        facts([(f"  {name}", as_text(cells[0])) for name, cells in _row_of(found.last_row).items()])
    if settled is not None:
        _show_settled(settled)
    return found.is_whole


def _address(kind: str, session_id: str) -> str:
    return f"{kind}/{escape(session_id)}"


def _cells(found: "Recovery") -> list[str]:
    last = to_the_second(None if found.last_time is None else format_time(found.last_time))
    gaps, repeats = counted(len(found.gaps), "gap"), counted(len(found.repeated), "repeated number")
    return [last, found.last_record or "", "whole" if found.is_whole else f"{gaps}, {repeats}"]


def _row_of(frame: "Frame") -> dict[str, list[Any]]:
    return {column.name: cells_of(column, frame[column.name], frame.valid(column.name)) for column in frame.schema.columns}


def _to_json(found: "Recovery") -> dict[str, Any]:
    return {
        "rows": dict(found.rows),
        "last_sequence": found.last_sequence,
        "last_record": found.last_record,
        "last_time": None if found.last_time is None else format_time(found.last_time),
        "last_row": None if found.last_row is None else {name: cells[0] for name, cells in _row_of(found.last_row).items()},
        "gaps": [list(gap) for gap in found.gaps],
        "repeated": list(found.repeated),
    }


def _settled_to_json(found: "Reconciliation") -> dict[str, Any]:
    return {
        "effective": found.effective["sequence"].tolist(),
        "busted": {str(row): by for row, by in found.busted.items()},
        "corrected": {str(row): by for row, by in found.corrected.items()},
        "unknown": {str(row): name for row, name in found.unknown.items()},
        "repeated": list(found.repeated),
    }


def _show_settled(found: "Reconciliation") -> None:
    told = [(row, "busted", f"by {by}") for row, by in found.busted.items()]
    told += [(row, "corrected", f"by {by}") for row, by in found.corrected.items()]
    told += [(row, "refers to", f"{name}, which isn't there") for row, name in found.unknown.items()]
    told += [(row, "repeats", "a fill told before") for row in found.repeated]
    if told:
        click.echo()
        table((right("sequence"), left("what"), left("why")), ([str(row), what, why] for row, what, why in sorted(told)))
    click.echo(f"\n{counted(found.effective.row_count, 'fill')} count")
