"""`compact`, `pack`, `gc`, `expire` and `purge`: what operations does to a store so that it stays small and quick."""

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from arraystore.cli.command import command, some_patterns_argument, with_store
from arraystore.cli.output import count, counted, left, print_json, right, size, table, to_the_second
from arraystore.errors import InvalidInput, Problem

if TYPE_CHECKING:
    from arraystore.store import Store
    from arraystore.upkeep.garbage import GarbageItem

__all__ = ["compact", "expire", "gc", "pack", "purge"]

_RUNS = (left("dataset"), left("window"), right("segments"), right("tails"), right("rows"), right("size"), right("size after"))


@command(
    "compact",
    examples=[
        "arraystore compact 'canonical/*/trades' --root data --dry-run",
        "arraystore compact raw canonical --tiered --root data",
    ],
)
@some_patterns_argument
@click.option("--max-rows", type=int, help="Rows of a segment at most.")
@click.option("--leave-bytes", type=int, metavar="BYTES", help="Leave segments of so many bytes or more as they are.")
@click.option("--tiered", is_flag=True, help="Of windows that still grow, leave segments with more rows than all that came after them.")
@click.option("--dry-run", is_flag=True, help="Show what would become one segment, and change nothing.")
@with_store
def compact(
    store: "Store", *, patterns: tuple[str, ...], max_rows: int | None, leave_bytes: int | None, tiered: bool, dry_run: bool, as_json: bool
) -> None:
    """Make one segment of the many small ones and tails of a window.

    Rows stay what they are, and older versions read what they read before. Take role operations.

    A PATTERN names datasets as for ls.
    """
    options = {name: value for name, value in (("max_rows", max_rows), ("leave_bytes", leave_bytes)) if value is not None}
    done = store.compact(patterns, dry_run=dry_run, tiered=tiered, **options)
    if as_json:
        print_json({"store": store.url, "dry_run": dry_run, "datasets": {address: found.to_json() for address, found in done.items()}})
        return
    rows = [(address, run.to_json()) for address, found in done.items() for run in found.runs]
    table(
        _RUNS,
        [
            [
                address,
                run["window"],
                count(run["segments"]),
                count(run["tails"]),
                count(run["rows"]),
                size(run["bytes"]),
                "" if run["bytes_after"] is None else size(run["bytes_after"]),
            ]
            for address, run in rows
        ],
    )
    click.echo(f"\n{counted(len(rows), 'segment')} {'to write' if dry_run else 'written'} in {counted(len(done), 'dataset')}")


def _only_shown(*, dry_run: bool, yes: bool) -> bool:
    """Whether to change nothing: what destroys wants a word."""
    if dry_run and yes:
        raise InvalidInput(Problem("--yes", "this does it, and --dry-run doesn't; give one of them"))
    return not yes


_dry_run = click.option("--dry-run", is_flag=True, help="Show what would be done, and change nothing; so does leaving out --yes.")
_yes = click.option("--yes", is_flag=True, help="Do it.")

_GARBAGE = (left("dataset"), right("segments"), right("artifacts"), right("commits"), right("records"), right("size"))


@command("gc", examples=["arraystore gc '*' --root data", "arraystore gc canonical derived --yes --root data"])
@some_patterns_argument
@click.option("--grace", metavar="DURATION", help="Leave writers alone that planned within this time, such as 2h; a day unless said.")
@_dry_run
@_yes
@with_store
def gc(store: "Store", *, patterns: tuple[str, ...], grace: str | None, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Remove what no version that is kept, no pin and no tag names.

    What compacted and expired versions stood on, and what writers left that died. Take role operations.

    A PATTERN names datasets as for ls, also deleted ones.
    """
    shown = _only_shown(dry_run=dry_run, yes=yes)
    found = store.gc(patterns, dry_run=shown, grace=grace)
    if as_json:
        print_json({"store": store.url, "dry_run": shown, "datasets": {address: garbage.to_json() for address, garbage in found.items()}})
        return
    listed = {address: garbage for address, garbage in found.items() if garbage.items}
    table(_GARBAGE, [[address, *_counts(garbage.items), size(garbage.bytes)] for address, garbage in listed.items()])
    total = size(sum(garbage.bytes for garbage in listed.values()))
    click.echo(f"\n{total} {'to remove; --yes does it' if shown else 'removed'}, in {counted(len(listed), 'dataset')}")


def _counts(items: "Iterable[GarbageItem]") -> list[str]:
    kinds = Counter(item.kind for item in items)
    return [count(number) for number in (kinds["segment"], kinds["artifact"], kinds["commit"], kinds["checkpoint"] + kinds["manifest"])]


_EXPIRY = (left("dataset"), left("step"), right("gone up to"), right("next up to"), left("due"), left("kept"))


@command(
    "expire",
    examples=[
        "arraystore expire derived --root data",
        "arraystore expire 'canonical/*/trades' --keep 90d --keep-versions 5 --reason 'space' --yes --root data",
    ],
)
@some_patterns_argument
@click.option("--keep-versions", type=int, metavar="NUMBER", help="Keep so many newest versions, whatever the class's rule says.")
@click.option("--keep", metavar="DURATION", help="Keep what was the newest version within this time, such as 90d.")
@click.option("--delay", metavar="DURATION", help="Between marking versions and their end; 7 days unless said.")
@click.option("--reason", default="", help="Why, for who asks for a version that is gone.")
@_dry_run
@_yes
@with_store
def expire(
    store: "Store",
    *,
    patterns: tuple[str, ...],
    keep_versions: int | None,
    keep: str | None,
    delay: str | None,
    reason: str,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """End old versions, in two steps: mark them, and run again after the delay.

    Pinned and tagged versions stay readable. By rule only versions of derived data expire. Take role operations; gc then frees the space.

    A PATTERN names datasets as for ls, also deleted ones.
    """
    shown = _only_shown(dry_run=dry_run, yes=yes)
    done = store.expire(patterns, keep_versions=keep_versions, keep=keep, delay=delay, dry_run=shown, reason=reason)
    plain = {address: expiry.to_json() for address, expiry in done.items()}
    if as_json:
        print_json({"store": store.url, "dry_run": shown, "datasets": plain})
        return
    busy = {address: each for address, each in plain.items() if each["step"] != "nothing"}
    table(
        _EXPIRY,
        [
            [
                address,
                each["step"],
                str(each["floor"]),
                str(each["target"]),
                to_the_second(each["due"]),
                ", ".join(map(str, each["kept"])),
            ]
            for address, each in busy.items()
        ],
    )
    click.echo(f"\n{counted(len(busy), 'dataset')}{'; --yes takes the step' if shown and busy else ''}")


_PACKED = (left("dataset"), right("first"), right("last"), right("size"), right("objects that go"))


@command(
    "pack",
    examples=["arraystore pack '*' --root data", "arraystore pack execution-records --least 1000 --yes --root data"],
)
@some_patterns_argument
@click.option("--least", type=int, help="Leave datasets alone that have fewer commits to pack (256 by default).")
@_dry_run
@_yes
@with_store
def pack(store: "Store", *, patterns: tuple[str, ...], least: int | None, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Move old commits, a small file each, into few large ones.

    All versions read on, as they were; only commits that a checkpoint follows are packed. Take role operations.

    A PATTERN names datasets as for ls, also deleted ones.
    """
    shown = _only_shown(dry_run=dry_run, yes=yes)
    options = {} if least is None else {"least": least}
    done = {address: each.to_json() for address, each in store.pack(patterns, dry_run=shown, **options).items()}
    if as_json:
        print_json({"store": store.url, "dry_run": shown, "datasets": done})
        return
    busy = {address: each for address, each in done.items() if each["packs"] or each["removed"]}
    rows = []
    for address, each in busy.items():
        packs = each["packs"] or [{"first": "", "last": "", "bytes": 0}]
        for number, made in enumerate(packs):
            rows.append(
                [address, str(made["first"]), str(made["last"]), size(made["bytes"]), count(each["removed"]) if number == 0 else ""]
            )
    table(_PACKED, rows)
    click.echo(f"\n{counted(len(busy), 'dataset')} {'to pack; --yes does it' if shown else 'packed'}")


_PURGED = (left("dataset"), left("window"), right("rows"), right("size"), right("segments"), right("commits"))


@command(
    "purge",
    examples=[
        "arraystore purge raw/binance-usdm --before 2023-01-01 --reason 'two years old' --root data",
        "arraystore purge canonical/vendor/quotes/X --window 2024-08-08 --reason 'licence ended' --yes --root data",
        "arraystore purge canonical/vendor --window '*' --reason 'licence ended' --yes --root data",
    ],
)
@some_patterns_argument
@click.option("--window", "windows", multiple=True, help="Purge this window; may be repeated; '*' for all.")
@click.option("--before", metavar="TIME", help="Instead: all windows that end at this time or before.")
@click.option("--reason", required=True, help="Why, for who asks for these rows.")
@_dry_run
@_yes
@with_store
def purge(
    store: "Store",
    *,
    patterns: tuple[str, ...],
    windows: tuple[str, ...],
    before: str | None,
    reason: str,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Take windows out of every version, for good: their licence or age ended.

    It can't be undone. A tombstone stays, which whoever reads these rows by a pin is shown. Copies are purged by themselves. Take role
    operations.

    A PATTERN names datasets as for ls, also those that were deleted.
    """
    shown = _only_shown(dry_run=dry_run, yes=yes)
    done = store.purge(patterns, windows="*" if "*" in windows else windows or None, before=before, reason=reason, dry_run=shown)
    plain = {address: purged.to_json() for address, purged in done.items()}
    if as_json:
        print_json({"store": store.url, "dry_run": shown, "datasets": plain})
        return
    rows = [(address, window) for address, each in plain.items() for window in each["windows"]]
    table(
        _PURGED,
        [
            [address, each["window"], count(each["rows"]), size(each["bytes"]), count(each["segments"]), count(each["commits"])]
            for address, each in rows
        ],
    )
    click.echo(f"\n{counted(len(rows), 'window')} {'to purge; --yes does it' if shown else 'purged'}")
