"""`quarantine`: cases, one of them, and what a review decides."""

from typing import TYPE_CHECKING, Any

import click

from arraystore.cli.command import address_of, command, confirm, dataset_at, split_address, with_store, yes_option
from arraystore.cli.output import count, counted, facts, left, print_json, right, table, to_the_second
from arraystore.errors import InvalidInput, Problem
from arraystore.place import require
from layouts.classes import Action, StorageClass
from layouts.naming import format_key
from layouts.times import format_time

if TYPE_CHECKING:
    from arraystore.classes.cases import QuarantineCase
    from arraystore.store import Store

__all__ = ["quarantine"]

STATES = ("held", "released", "rejected")

_COLUMNS = (left("dataset"), left("window"), left("state"), left("reason"), right("rows"), left("held"), right("notes"), left("source"))


@command(
    "quarantine",
    examples=[
        "arraystore quarantine --state held --older-than 7d --root data",
        "arraystore quarantine quarantine/binance-usdm/trades/BTCUSDT 2024-08-08 --root data",
        "arraystore quarantine canonical/venue/trades/X 2024-08-08 --hold sequence-gap --failed-check ids --root data --role data-quality",
        "arraystore quarantine quarantine/binance-usdm/trades/BTCUSDT 2024-08-08 --note 'asked the venue' --root data --role data-quality",
        "arraystore quarantine quarantine/venue/trades/X 2024-08-08 --release canonical/venue/trades/X --root data --role data-quality",
        "arraystore quarantine quarantine/venue/trades/X 2024-08-08 --reject --note 'not worth it' --yes --root data --role data-quality",
    ],
)
@click.argument("key", metavar="[CLASS/KEY]", required=False)
@click.argument("window", required=False)
@click.option("--state", type=click.Choice(STATES), help="List only cases in this state.")
@click.option("--reason", help="List only cases held for this reason.")
@click.option("--older-than", metavar="DURATION", help="List only cases first held longer ago than this, such as 7d or 12h.")
@click.option("--hold", "code", metavar="CODE", help="Hold a copy of the window of this dataset of another class, for this reason.")
@click.option("--failed-check", "failed_checks", metavar="NAME", multiple=True, help="With --hold: a check that failed.")
@click.option("--release", "into", metavar="CLASS/KEY", help="Add the window's rows to this dataset, and mark it as released.")
@click.option("--reopen", is_flag=True, help="With --release: also beside the rows of a window that is complete there.")
@click.option("--reject", is_flag=True, help="Mark the window as rejected for good; --note says why.")
@click.option("--note", metavar="TEXT", help="Why; by itself, add this note to the case.")
@yes_option
@click.option("--dry-run", is_flag=True, help="Do all checks, show the case as it would be then, and change nothing.")
@with_store
def quarantine(
    store: "Store",
    *,
    key: str | None,
    window: str | None,
    state: str | None,
    reason: str | None,
    older_than: str | None,
    code: str | None,
    failed_checks: tuple[str, ...],
    into: str | None,
    reopen: bool,
    reject: bool,
    note: str | None,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Show what is kept from promotion, and decide on it.

    Without a window all cases, of one dataset or of all; with one that case, its notes, evidence and history.
    """
    _check(code, into, failed_checks, reopen=reopen, reject=reject, note=note)
    if window is None or key is None:
        if code is not None or into is not None or reject or note is not None:
            raise InvalidInput(Problem("window", "name the dataset and the window to hold, to decide on, or to add a note to"))
        cases = store.quarantine.cases(state=state, reason=reason, older_than=older_than)
        wanted = None if key is None else store.quarantine[_key_of(key)].key
        _show_all([case for case in cases if wanted in (None, case.key)], as_json=as_json)
        return
    name = _hold(store, key, window, code, failed_checks) if code is not None else _key_of(key)
    if into is not None:
        target = dataset_at(store, into)
        store.quarantine.release(name, window, into=target, note=note or "", reopen=reopen)  # type: ignore[arg-type] # it is the newest
    elif reject:
        require(store.role, Action.WRITE, StorageClass.QUARANTINE)
        confirm(f"window {window} of {key} would be rejected for good", yes=yes, dry_run=dry_run)
        store.quarantine.reject(name, window, note=note or "")
    elif note is not None:
        store.quarantine.note(name, window, note)
    _show_one(store.quarantine.case(name, window), dry_run=dry_run, as_json=as_json)


def _check(code: str | None, into: str | None, failed_checks: tuple[str, ...], *, reopen: bool, reject: bool, note: str | None) -> None:
    """What the options want of each other; every contradiction is a problem."""
    problems = []
    if (code is not None) + (into is not None) + reject > 1:
        problems.append(Problem("--release", "a case can't be held, released and rejected at once; give one of them"))
    if failed_checks and code is None:
        problems.append(Problem("--failed-check", "this goes with --hold"))
    if reject and not note:
        problems.append(Problem("--reject", "say why with --note"))
    if reopen and into is None:
        problems.append(Problem("--reopen", "this goes with --release"))
    if problems:
        raise InvalidInput(problems)


def _key_of(address: str) -> str:
    storage_class, key = split_address(address)
    if storage_class is not StorageClass.QUARANTINE:
        raise InvalidInput(Problem("address", f"{address!r} lies in {storage_class}; cases lie in quarantine/…"))
    return key


def _hold(store: "Store", address: str, window: str, code: str, failed_checks: tuple[str, ...]) -> str:
    """Put a copy of a window into quarantine, under the key it has; that key comes back."""
    source = dataset_at(store, address)
    if source.storage_class == StorageClass.QUARANTINE:
        raise InvalidInput(Problem("--hold", f"{address} is in quarantine; name the dataset that the window is to be held of"))
    frame, coverage = source.read(window=window), source.manifest(window).coverage
    assert frame.pin is not None
    told = f"{address} version {source.version}"
    store.quarantine.hold(
        source.key,
        frame,
        schema=source.schema_of(window),
        reason=code,
        failed_checks=failed_checks,
        source=told,
        inputs=[frame.pin],
        coverage=coverage or None,
    )
    return format_key(source.key)


def _show_all(cases: "list[QuarantineCase]", *, as_json: bool) -> None:
    if as_json:
        print_json({"cases": [_to_json(case) for case in cases]})
        return
    table(_COLUMNS, map(_cells, cases))
    click.echo(f"\n{counted(len(cases), 'case')}")


def _to_json(case: "QuarantineCase") -> dict[str, Any]:
    return {"dataset": address_of("quarantine", case.key), **case.to_json()}


def _cells(case: "QuarantineCase") -> list[str]:
    held = to_the_second(format_time(case.held))
    return [
        address_of("quarantine", case.key),
        case.window,
        case.state,
        case.reason,
        count(case.rows),
        held,
        str(len(case.notes)),
        case.source,
    ]


def _show_one(case: "QuarantineCase", *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        print_json({**_to_json(case), "dry_run": dry_run})
        return
    decided = "" if case.decided is None else f"{to_the_second(format_time(case.decided))} as {case.decided_by}"
    told = [
        ("dataset", address_of("quarantine", case.key)),
        ("window", case.window),
        ("state", case.state),
        ("reason", case.reason),
        ("failed checks", ", ".join(case.failed_checks)),
        ("source", case.source),
        ("rows", count(case.rows)),
        ("held", to_the_second(format_time(case.held))),
        ("decided", decided),
        ("why", case.note),
    ]
    told += [("released into", f"{address_of(pin.storage_class, pin.key)} version {pin.version}") for pin in case.released_into]
    told += [("made from", f"{address_of(pin.storage_class, pin.key)} version {pin.version}") for pin in case.lineage]
    told += [("evidence", name) for name in case.evidence]
    told += [("note", f"{to_the_second(format_time(note.time))} {note.role}: {note.text}") for note in case.notes]
    told += [("before", f"{earlier.get('state')}: {earlier.get('reason')}") for earlier in case.history]
    facts([pair for pair in told if pair[1]])
