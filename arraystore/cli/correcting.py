"""`diff`, `withdraw`, `replace` and `rm`: what changed, and dealing with what was wrong."""

from typing import TYPE_CHECKING, Any

import click

from arraystore.cli.command import address_of, command, confirm, dataset_at, key_argument, no_match, split_address, with_store, yes_option
from arraystore.cli.output import as_text, count, counted, facts, left, print_json, right, size, table
from arraystore.errors import InvalidInput, Problem
from arraystore.place import require
from layouts.classes import Action, StorageClass
from layouts.naming import KEY_TEMPLATES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from arraystore.datasets.adding import Receipt
    from arraystore.datasets.diff import Diff
    from arraystore.datasets.view import DatasetView
    from arraystore.store import Store

__all__ = ["diff", "replace", "rm", "withdraw"]

_DIFF_COLUMNS = (left("window"), left("change"), right("rows before"), right("rows after"), left("columns"), left("completeness"))
_RM_COLUMNS = (left("dataset"), right("version"), right("windows"), right("rows"), right("size"), right("made of it"))

reason_option = click.option("--reason", required=True, metavar="TEXT", help="Why, for people; it is kept in the log.")
dry_run_option = click.option("--dry-run", is_flag=True, help="Do all checks, show what would be done, and change nothing.")


def told_at(store: "Store", address: str) -> "DatasetView":
    """The dataset at CLASS/KEY, or at CLASS/KEY@VERSION (a number or a time); an escaped key has no @."""
    place, mark, version = address.partition("@")
    if mark and not version:
        raise InvalidInput(Problem("address", f"{address!r} names no version after @; give a number or a time, or leave out the @"))
    return dataset_at(store, place, version or None)


# --- diff --------------------------------------------------------------------------------------------------------


@command(
    "diff",
    examples=[
        "arraystore diff canonical/binance-usdm/trades/BTCUSDT 3 --root data",
        "arraystore diff canonical/binance-usdm/trades/BTCUSDT 3 2024-09-01 --root data --json",
        "arraystore diff canonical/binance-usdm/trades/BTCUSDT@3 canonical/binance-usdm/trades/ETHUSDT --root data",
    ],
)
@key_argument
@click.argument("before", metavar="VERSION|CLASS/KEY")
@click.argument("after", metavar="[VERSION]", required=False)
@with_store
def diff(store: "Store", *, key: str, before: str, after: str | None, as_json: bool) -> None:
    """Tell what changed from one version of a dataset to another, or what differs between two datasets.

    Versions are numbers, or times; without the second, the newest. Datasets may be told at a version, as CLASS/KEY@VERSION.
    """
    if "/" in before:
        if after is not None:
            raise InvalidInput(Problem("version", "two datasets are told with their versions, as CLASS/KEY@VERSION"))
        first, second = told_at(store, key), told_at(store, before)
    else:
        first, second = dataset_at(store, key, before), dataset_at(store, key, after)
    found = store.diff(first.pin(), second.pin())
    if as_json:
        print_json(found.to_json())
        return
    _show_diff(found)


def _show_diff(found: "Diff") -> None:
    sides = (("before", found.before), ("after", found.after))
    facts([(name, f"{address_of(pin.storage_class, pin.key)} version {pin.version}") for name, pin in sides])
    if not found:
        click.echo("\nnothing differs")
        return
    click.echo()
    rows = [[each.window, each.change, *map(count, each.rows), ", ".join(each.columns), _pair(each.completeness)] for each in found.windows]
    if rows:
        table(_DIFF_COLUMNS, rows)
    told = [(f"state {name}", _pair(pair)) for name, pair in (("", found.state),) if pair[0] != pair[1]]
    for what in ("schema", "attributes", "artifacts"):
        told += [(f"{what.removesuffix('s')} {name}", _pair(pair)) for name, pair in getattr(found, what).items()]
    facts(told)


def _pair(pair: "Iterable[Any]") -> str:
    before, after = (as_text(value) or "nothing" for value in pair)
    return before if before == after else f"{before} -> {after}"


# --- withdraw and replace ----------------------------------------------------------------------------------------


@command(
    "withdraw",
    examples=[
        "arraystore withdraw canonical/venue/trades/X 2024-08-08 --reason 'the feed was stale' --root data --role data-quality --dry-run",
        "arraystore withdraw canonical/venue/trades/X 2024-08-08 --reason 'the feed was stale' --yes --root data --role data-quality",
    ],
)
@key_argument
@click.argument("windows", metavar="WINDOW...", nargs=-1, required=True)
@reason_option
@yes_option
@dry_run_option
@with_store
def withdraw(store: "Store", *, key: str, windows: tuple[str, ...], reason: str, yes: bool, dry_run: bool, as_json: bool) -> None:
    """Take the rows of windows out of a dataset, in a new version each.

    Older versions and pins still read them. Rows come back by replace, or by ingest with --reopen.
    """
    dataset = _writable(store, key)
    for window in windows:
        dataset.manifest(window)  # none is taken out where one isn't there
    require(store.role, Action.REPLACE, StorageClass(dataset.storage_class), dataset.key)
    confirm(f"the rows of {counted(len(windows), 'window')} of {key} would be withdrawn", yes=yes, dry_run=dry_run)
    receipts = [dataset.withdraw(window, reason=reason) for window in windows]
    _show_receipts(store, key, receipts, dry_run=dry_run, as_json=as_json)


@command(
    "replace",
    examples=[
        "arraystore replace canonical/venue/trades/X 2024-08-08 --from canonical/venue/trades/X@3 --reason back --yes --role data-quality"
    ],
)
@key_argument
@click.argument("window")
@click.option("--from", "source", required=True, metavar="CLASS/KEY[@VERSION]", help="Take that dataset's rows of the window.")
@reason_option
@yes_option
@dry_run_option
@with_store
def replace(store: "Store", *, key: str, window: str, source: str, reason: str, yes: bool, dry_run: bool, as_json: bool) -> None:
    """Put another dataset's rows, or those of an earlier version, in a window's place, in a new version.

    Coverage and completeness come with the rows, and the version names what they were taken from as its input.
    """
    dataset, other = _writable(store, key), told_at(store, source)
    told, frame = other.manifest(window), other.read(window=window)
    assert frame.pin is not None
    require(store.role, Action.REPLACE, StorageClass(dataset.storage_class), dataset.key)
    confirm(f"the rows of window {window} of {key} would be replaced by those of {source}", yes=yes, dry_run=dry_run)
    receipt = dataset.replace(
        window, frame, reason=reason, inputs=[frame.pin], coverage=told.coverage or None, completeness=told.completeness
    )
    _show_receipts(store, key, [receipt], dry_run=dry_run, as_json=as_json)


def _writable(store: "Store", address: str) -> Any:
    storage_class, key = split_address(address)
    return store.surface(storage_class)[key]


def _show_receipts(store: "Store", address: str, receipts: "list[Receipt]", *, dry_run: bool, as_json: bool) -> None:
    dependents = [len(store.impact(dataset_at(store, address), receipt.windows[0])) for receipt in receipts]
    done = [
        {"window": receipt.windows[0], "version": receipt.version, "rows": receipt.rows, "stale": stale}
        for receipt, stale in zip(receipts, dependents, strict=True)
    ]
    if as_json:
        print_json({"dataset": address, "windows": done, "dry_run": dry_run})
        return
    table(
        (left("window"), right("version"), right("rows"), right("made of it, and stale")),
        [[str(told[name]) for name in ("window", "version", "rows", "stale")] for told in done],
    )


# --- rm ----------------------------------------------------------------------------------------------------------


@command(
    "rm",
    examples=[
        "arraystore rm 'derived/bars/1m/*/*' --reason 'made anew from the corrected trades' --root data --role analysis --dry-run",
        "arraystore rm derived/bars/1m/binance-usdm/BTCUSDT --reason 'unused' --yes --root data --role analysis",
    ],
)
@click.argument("patterns", metavar="CLASS/KEY...", nargs=-1, required=True)
@reason_option
@yes_option
@dry_run_option
@with_store
def rm(store: "Store", *, patterns: tuple[str, ...], reason: str, yes: bool, dry_run: bool, as_json: bool) -> None:
    """Delete datasets: their last version says who did it, when and why.

    Nothing on disk goes: pins of what they were still read, and another dataset may be made under the key.

    Each part of a key may be a pattern with * and ?; a class or a part of a key by itself deletes nothing.
    """
    chosen = [dataset for pattern in dict.fromkeys(patterns) for dataset in _datasets(store, pattern)]
    datasets = list({(each.storage_class, each.key): each for each in chosen}.values())
    for dataset in datasets:
        require(store.role, Action.DELETE, StorageClass(dataset.storage_class), dataset.key)
    if datasets:
        named = ", ".join(address_of(each.storage_class, each.key) for each in datasets[:3]) + (", …" if datasets[3:] else "")
        confirm(f"{counted(len(datasets), 'dataset')} would be deleted ({named})", yes=yes, dry_run=dry_run)
    listed = [_described(store, dataset) for dataset in datasets]
    for dataset, told in zip(datasets, listed, strict=True):
        told["version"] = store.surface(dataset.storage_class).delete(dataset.key, reason=reason)
    if as_json:
        print_json({"datasets": listed, "dry_run": dry_run})
        return
    table(_RM_COLUMNS, map(_cells, listed))
    click.echo(f"\n{counted(len(listed), 'dataset')} {'would be deleted' if dry_run else 'deleted'}")


def _datasets(store: "Store", pattern: str) -> "list[DatasetView]":
    """The datasets that a whole address names, part by part; NotFound where there is none."""
    storage_class, key = split_address(pattern)
    surface = store.surface(storage_class)
    template = KEY_TEMPLATES[storage_class]
    if key.count("/") + 1 != len(template):
        told = f"{pattern!r} names no key of {storage_class}, which are {'/'.join(template)}; give a pattern for each part"
        raise InvalidInput(Problem("address", told))
    if not any(sign in key for sign in "*?["):
        return [surface[key]]
    found: list[DatasetView] = [surface[each] for each in surface.find(key)]
    if not found:
        raise no_match(store, [pattern])
    return found


def _described(store: "Store", dataset: "DatasetView") -> dict[str, Any]:
    return {
        "dataset": address_of(dataset.storage_class, dataset.key),
        "version": dataset.version,
        "windows": len(dataset.windows()),
        "rows": dataset.rows,
        "bytes": dataset.bytes,
        "dependents": len(store.dependents(dataset)),
    }


def _cells(told: dict[str, Any]) -> list[str]:
    counts = (count(told[name]) for name in ("version", "windows", "rows"))
    return [told["dataset"], *counts, size(told["bytes"]), count(told["dependents"])]
