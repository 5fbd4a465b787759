"""`arraystore` by itself: the store at a glance; and `tree`: where in it everything lies."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

from arraystore.cli.addresses import addresses_matching
from arraystore.cli.command import command, patterns_argument, with_store
from arraystore.cli.output import Column, count, counted, left, print_json, printable, right, size, table, to_the_second
from layouts.classes import StorageClass
from layouts.naming import unescape

if TYPE_CHECKING:
    from arraystore.store import Store
    from arraystore.versions.entry import Entry

__all__ = ["show_glance", "tree"]

_COLUMNS: tuple[Column, ...] = (
    left("class"),
    right("datasets"),
    right("windows"),
    right("rows"),
    right("size"),
    left("first"),
    left("last"),
    left("last commit"),
)


def show_glance(root: str, role: str, *, as_json: bool) -> None:
    """Print what each class of a store holds."""
    from arraystore.store import open_store

    store = open_store(root, role=role)
    classes = [each.to_json() for each in store.status()]
    if as_json:
        print_json({"store": store.url, "uuid": store.uuid, "role": role, "classes": classes})
        return
    click.echo(f"{printable(store.url)} as {role}\n")
    table(_COLUMNS, [_cells(each) for each in classes])
    datasets, rows, stored = (sum(each[name] for each in classes) for name in ("datasets", "rows", "bytes"))
    failures = sum(each["failures"] for each in classes)
    broken = f", {counted(failures, 'failure')} (`arraystore status` tells)" if failures else ""
    click.echo(f"\n{counted(datasets, 'dataset')}, {counted(rows, 'row')}, {size(stored)}{broken}")
    click.echo("`arraystore ls` or `tree` lists datasets, `info CLASS/KEY` shows one, `--help` lists all commands")


def _cells(each: dict[str, Any]) -> list[str]:
    first, last = each["span"] or (None, None)
    return [
        each["storage_class"],
        count(each["datasets"]),
        count(each["windows"]),
        count(each["rows"]),
        size(each["bytes"]),
        to_the_second(first),
        to_the_second(last),
        to_the_second(each["last_commit"]),
    ]


@command(
    "tree",
    examples=["arraystore tree --root data", "arraystore tree canonical --depth 2 --root data", "arraystore tree --root data --json"],
)
@patterns_argument
@click.option("--depth", type=click.IntRange(min=1), help="Show so many levels; what lies below is put together.")
@with_store
def tree(store: "Store", *, patterns: tuple[str, ...], depth: int | None, as_json: bool) -> None:
    """Show datasets as a tree, with rows and bytes at every level.

    From classes over venues and feeds to datasets, as their keys are made. Costs what changed since somebody last looked.

    A PATTERN names datasets as for ls.
    """
    root = _Node("")
    for address, entry in _entries(store, patterns):
        root.add(address.split("/"), entry)
    if as_json:
        print_json({"store": store.url, "role": str(store.role), **root.to_json(depth)})
        return
    click.echo(printable(store.url))
    lines = [*root.lines(depth)]
    table((left(""), right("datasets"), right("rows"), right("size")), lines)
    click.echo(f"\n{counted(root.datasets, 'dataset')}, {counted(root.rows, 'row')}, {size(root.bytes)}")


def _entries(store: "Store", patterns: Iterable[str]) -> "Iterator[tuple[str, Entry]]":
    """Each dataset that matches, in short, without opening it."""
    wanted = list(addresses_matching(store, patterns))
    for storage_class in StorageClass:
        own = [address for address in wanted if address.partition("/")[0] == storage_class.value]
        if own:
            found = {f"{storage_class.value}/{entry.path}": entry for entry in store.surface(storage_class).summaries()}
            yield from ((address, found[address]) for address in own if address in found)


class _Node:
    """A level: what lies below it, and its sums."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.below: dict[str, _Node] = {}
        self.datasets = self.rows = self.bytes = 0

    def add(self, parts: list[str], entry: "Entry") -> None:
        """Put a dataset below it."""
        self.datasets, self.rows, self.bytes = self.datasets + 1, self.rows + entry.rows, self.bytes + entry.bytes
        if parts:
            self.below.setdefault(parts[0], _Node(parts[0])).add(parts[1:], entry)

    def lines(self, depth: int | None, indent: str = "") -> Iterator[list[str]]:
        """What is below, line by line."""
        last = len(self.below) - 1
        for number, each in enumerate(self.below.values()):
            arm, shaft = ("└─ ", "   ") if number == last else ("├─ ", "│  ")
            datasets = count(each.datasets) if each.below else ""
            yield [f"{indent}{arm}{unescape(each.name)}", datasets, count(each.rows), size(each.bytes)]
            if depth is None or depth > 1:
                yield from each.lines(None if depth is None else depth - 1, indent + shaft)

    def to_json(self, depth: int | None) -> dict[str, Any]:
        """Plain JSON types; names as addresses have them."""
        told: dict[str, Any] = {"datasets": self.datasets, "rows": self.rows, "bytes": self.bytes}
        if self.below and (depth is None or depth > 0):
            less = None if depth is None else depth - 1
            told["below"] = {name: each.to_json(less) for name, each in self.below.items()}
        return told
