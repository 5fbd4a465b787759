"""`audit`: who wrote what, and whether it still is what they wrote."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from arraystore.cli.command import command, no_match, patterns_argument, split_address, with_store
from arraystore.cli.exits import FINDINGS
from arraystore.cli.output import Column, count, counted, left, print_json, right, table
from arraystore.errors import InvalidInput, Problem

if TYPE_CHECKING:
    from arraystore.store import Store
    from arraystore.upkeep.auditing import Audit, Head, Heads, Written

__all__ = ["audit"]

_HEAD = re.compile(r"(?:(?P<address>[^=].*)=)?(?P<version>[1-9][0-9]*):(?P<digest>[0-9a-f]{64})")
_COLUMNS: tuple[Column, ...] = (
    left("time"),
    left("role"),
    left("host"),
    right("process"),
    left("dataset"),
    right("version"),
    left("operation"),
    right("rows"),
    left("windows"),
    left("reason"),
)


@command(
    "audit",
    examples=[
        "arraystore audit --root data",
        "arraystore audit --root data --head --json > heads.json",
        "arraystore audit --root data --expect heads.json --copy /mnt/backup/data",
        f"arraystore audit raw/binance-usdm/market/rec-1 --root data --expect 12:{'c0ffee' * 10}beef",
    ],
)
@patterns_argument
@click.option("--head", "heads_only", is_flag=True, help="Print the newest version and digest of every dataset, to be kept elsewhere.")
@click.option(
    "--expect",
    "expected",
    metavar="HEAD|FILE",
    multiple=True,
    help="Hold it to this: VERSION:DIGEST of the dataset named, CLASS/KEY=VERSION:DIGEST, or a file of heads.",
)
@click.option("--copy", "copies", metavar="URL", multiple=True, help="Hold it to the newest versions of this copy.")
@with_store
def audit(
    store: "Store", *, patterns: tuple[str, ...], heads_only: bool, expected: tuple[str, ...], copies: tuple[str, ...], as_json: bool
) -> None:
    """Tell who wrote what, and check it.

    Prints every commit in the order of their times: when, in which role, from which host and process. Checks each chain of commits, and
    holds it to what is known of it elsewhere: heads exported before, tags, pins in other datasets' commits, copies. Ends with exit code 1
    if a chain is broken, or doesn't hold to an anchor.

    A PATTERN names datasets as for ls.
    """
    if heads_only:
        _print_heads(store.heads(patterns), as_json=as_json)
        return
    done = store.audit(patterns, expect=[_expected(text, patterns, store.uuid) for text in expected], copies=copies)
    if patterns and not done.datasets and not done.anchors:
        raise no_match(store, patterns)
    if as_json:
        print_json(done.to_json() | {"url": store.url})
    else:
        _show(done)
    if not done.is_clean:
        click.get_current_context().exit(FINDINGS)


def _expected(text: str, patterns: tuple[str, ...], store: str) -> "Head | Heads":
    from arraystore.upkeep.auditing import Head, read_heads

    if found := _HEAD.fullmatch(text):
        address = found["address"] or (patterns[0] if len(patterns) == 1 else "")
        if not address or "*" in address:
            raise InvalidInput(Problem("--expect", f"{text!r} is a version of which dataset? Name one, or give CLASS/KEY={text}"))
        storage_class, key = split_address(address)
        return Head(dataset=f"{storage_class}/{key}", uuid="", version=int(found["version"]), digest=found["digest"])
    path = Path(text)
    if not path.is_file():
        raise InvalidInput(Problem("--expect", f"{text!r} is neither VERSION:DIGEST (64 hex digits) nor a file of heads"))
    return read_heads(path.read_bytes(), store, text)


def _print_heads(heads: "Heads", *, as_json: bool) -> None:
    if as_json:
        print_json(heads.to_json())
        return
    table((left("dataset"), left("head")), [[head.dataset, f"{head.version}:{head.digest}"] for head in heads.heads])
    click.echo(f"\nstore {heads.store}: {counted(len(heads.heads), 'head')}, digest {heads.digest}")


def _show(done: "Audit") -> None:
    table(_COLUMNS, map(_cells, done.written))
    broken = [anchor for anchor in done.anchors if anchor.status == "broken"]
    if done.findings:
        click.echo()
        table((left("broken chain"), left("problem"), left("remedy")), [[each.where, each.problem, each.remedy] for each in done.findings])
    if broken:
        click.echo()
        cells = [[f"{each.kind}: {each.source}", each.dataset, str(each.version), each.digest[:12], each.problem] for each in broken]
        table((left("broken anchor"), left("dataset"), right("version"), left("digest"), left("now")), cells)
    loose = [each for each in done.datasets if each.anchored < each.version]
    if loose:
        click.echo()
        cells = [[each.dataset, str(each.anchored or ""), str(each.version)] for each in loose]
        table((left("rests on itself"), right("after version"), right("up to")), cells)
    held = sum(anchor.status == "held" for anchor in done.anchors)
    told = f"{counted(len(done.written), 'version')} of {counted(len(done.datasets), 'dataset')}"
    click.echo(f"\n{told}: {counted(len(done.findings), 'finding')}; {counted(held, 'anchor')} held, {len(broken)} broken")


def _cells(written: "Written") -> list[str]:
    version = written.to_json()
    windows = version["windows"]
    named = windows[0] if len(windows) == 1 else f"{windows[0]} … {windows[-1]}" if windows else ""
    return [
        version["time"],
        version["role"],
        version["host"],
        version["process"],
        written.dataset,
        str(version["version"]),
        version["operation"],
        count(version["rows"]),
        named,
        version["reason"],
    ]
