"""`changes`, `dependents`, `lineage`, `impact`, `tag` and `resolve`: what came when, from what, and under which name."""

from typing import TYPE_CHECKING, Any

import click

from arraystore.cli.command import address_of, command, dataset_at, key_argument, version_option, with_store
from arraystore.cli.output import facts, left, print_json, printable, right, table
from arraystore.errors import InvalidInput, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from arraystore.classes.ancestry import Ancestor
    from arraystore.store import Store
    from arraystore.versions.commit import Pin
    from arraystore.versions.lineage import Dependent

__all__ = ["changes", "dependents", "impact", "lineage", "resolve", "tag"]

window_option = click.option("--window", metavar="NAME", help="Only what read rows of this window.")

_CHANGE_COLUMNS = (left("dataset"), right("version"), left("operation"), left("windows"))
NAMED = 3
"""Of more windows the number is told, with the first and the last."""

_DEPENDENT_COLUMNS = (left("made"), right("version"), left("windows"), right("read version"))
_STALE_COLUMNS = (left("made"), right("version"), left("windows"), right("read version"), right("corrected in"))
_TAG_COLUMNS = (left("dataset"), right("version"), left("digest"))


@command("changes", examples=["arraystore changes canonical --root data", "arraystore changes raw --since cursor.json --root data --json"])
@click.argument("storage_class", metavar="CLASS")
@click.option(
    "--since", metavar="FILE", type=click.File("r"), help="A cursor that an earlier call printed with --json, as text or in its document."
)
@click.option("--reconcile", is_flag=True, help="Look at every dataset, and not only at those that the journal marks.")
@with_store
def changes(store: "Store", *, storage_class: str, since: Any, reconcile: bool, as_json: bool) -> None:
    """Tell what became visible in a class, once each, since a cursor (of all time without one)."""
    found = store.surface(storage_class).changes(None if since is None else _cursor(since.read()), reconcile=reconcile)
    if as_json:
        rows = [
            {
                "dataset": address_of(storage_class, each.key),
                "version": each.version,
                "operation": each.operation,
                "windows": list(each.windows),
            }
            for each in found
        ]
        print_json({"changes": rows, "cursor": found.cursor})
        return
    table(
        _CHANGE_COLUMNS,
        [[address_of(storage_class, each.key), str(each.version), each.operation, ", ".join(each.windows)] for each in found],
    )


def _cursor(text: str) -> str:
    import json

    try:
        document = json.loads(text)
    except ValueError:
        return text
    return str(document["cursor"]) if isinstance(document, dict) and "cursor" in document else text


@command("dependents", examples=["arraystore dependents canonical/binance-usdm/trades/BTCUSDT --window 2024-08-08 --root data"])
@key_argument
@window_option
@with_store
def dependents(store: "Store", *, key: str, window: str | None, as_json: bool) -> None:
    """Tell which versions of which datasets were made from this one."""
    found = store.dependents(dataset_at(store, key, None), window)
    if as_json:
        print_json([edge.to_json() for edge in found])
        return
    table(_DEPENDENT_COLUMNS, [[_made(edge), str(edge.version), _counted(edge.windows), _versions(edge.inputs)] for edge in found])


def _made(edge: "Dependent") -> str:
    return address_of(edge.storage_class, edge.key)


def _versions(pins: "Sequence[Pin]") -> str:
    return ", ".join(str(version) for version in sorted({pin.version for pin in pins}))


@command(
    "lineage",
    examples=[
        "arraystore lineage derived/bars/1m/binance-usdm/BTCUSDT --root data",
        "arraystore lineage canonical/binance-usdm/trades/BTCUSDT --mermaid --root data > lineage.mmd",
    ],
)
@key_argument
@version_option
@click.option("--depth", type=click.IntRange(0, 64), default=16, show_default=True, help="How far up to look.")
@click.option("--mermaid", "as_mermaid", is_flag=True, help="Print a graph in Mermaid's language, as Markdown pages draw it.")
@with_store
def lineage(store: "Store", *, key: str, version: str | None, depth: int, as_mermaid: bool, as_json: bool) -> None:
    """Tell what a dataset was made from, and those from, as far as the role may read; and what was made of it."""
    if as_mermaid and as_json:
        raise InvalidInput(Problem("--mermaid", "give it or --json"))
    dataset = dataset_at(store, key, version)
    found, made = store.lineage(dataset.pin(), depth=depth), store.dependents(dataset)
    if as_json:
        print_json(found.to_json() | {"dependents": [edge.to_json() for edge in made]})
        return
    if as_mermaid:
        click.echo("\n".join(mermaid(found, made)))
        return
    for line in _tree(found):
        click.echo(printable(line))
    if made:
        click.echo("\nmade of it")
        table(_DEPENDENT_COLUMNS, [[_made(edge), str(edge.version), _counted(edge.windows), _versions(edge.inputs)] for edge in made])


def mermaid(found: "Ancestor", made: "Sequence[Dependent]") -> "Iterator[str]":
    """What a version came from, and what was made of its dataset, as a graph; each version once, arrows from what was read."""
    names: dict[tuple[str, int], str] = {}
    edges: dict[tuple[str, str], None] = {}
    boxes: list[str] = []

    def node(address: str, version: int, shape: str = "[]") -> str:
        if (address, version) not in names:
            name = names[address, version] = f"n{len(names)}"
            label = printable(address).replace('"', "#quot;")
            boxes.append(f'  {name}{shape[0]}"{label}<br/>version {version}"{shape[1]}')
        return names[address, version]

    def above(each: "Ancestor") -> str:
        own = node(address_of(each.pin.storage_class, each.pin.key), each.pin.version)
        for one in each.made_from:
            edges[above(one), own] = None
        return own

    own = above(found)
    for edge in made:
        edges[own, node(_made(edge), edge.version, "()")] = None
    yield "flowchart LR"
    yield from boxes
    yield from (f"  {start} --> {stop}" for start, stop in edges)
    yield f"  style {own} stroke-width:3px"


def _tree(*same: "Ancestor", indent: str = "") -> "Iterator[str]":
    """A version once, however many ranges or columns of it were read; below it what any of these was made from."""
    pin, unreadable = same[0].pin, same[0].unreadable
    times = f"  ({len(same)} pins)" if len(same) > 1 else ""
    yield f"{indent}{address_of(pin.storage_class, pin.key)} @ {pin.version}{times}{f'  ({unreadable})' if unreadable else ''}"
    above: dict[tuple[object, ...], dict[Pin, Ancestor]] = {}
    for each in (each for one in same for each in one.made_from):
        found = each.pin
        version = found.storage_class, found.key, found.dataset, found.version, each.unreadable
        above.setdefault(version, {})[found] = each
    for alike in above.values():
        yield from _tree(*alike.values(), indent=indent + "    ")


@command("impact", examples=["arraystore impact canonical/binance-usdm/trades/BTCUSDT --root data"])
@key_argument
@window_option
@click.option("--standing", is_flag=True, help="Leave out what was replaced, withdrawn, deleted or begun again since.")
@with_store
def impact(store: "Store", *, key: str, window: str | None, standing: bool, as_json: bool) -> None:
    """Tell what was made from rows that have been corrected since."""
    found = store.impact(dataset_at(store, key, None), window, only_standing=standing)
    if as_json:
        print_json([each.to_json() for each in found])
        return
    windows: dict[tuple[str, ...], list[str]] = {}
    for each in found:
        row = _made(each.dependent), str(each.dependent.version), str(each.pin.version), str(each.now)
        windows.setdefault(row, []).append(each.window)
    table(_STALE_COLUMNS, [[*row[:2], _counted(names), *row[2:]] for row, names in windows.items()])


def _counted(windows: "Sequence[str]") -> str:
    """Their names, or how many there are."""
    names = list(dict.fromkeys(windows))
    return ", ".join(names) if len(names) <= NAMED else f"{len(names)} from {min(names)} to {max(names)}"


@command(
    "tag",
    examples=[
        "arraystore tag --root data",
        "arraystore tag release-1 canonical/binance-usdm/trades/BTCUSDT --reason 'first release' --root data --role data-quality",
        "arraystore tag release-1 --root data --json",
    ],
)
@click.argument("name", required=False)
@click.argument("keys", metavar="[CLASS/KEY]...", nargs=-1)
@click.option("--reason", default="", help="Why, for people.")
@click.option("--dry-run", is_flag=True, help="Tell what would be named, and name nothing.")
@with_store
def tag(store: "Store", *, name: str | None, keys: tuple[str, ...], reason: str, dry_run: bool, as_json: bool) -> None:
    """List the tags, show one, or (with datasets) name their newest versions by it."""
    if name is None:
        names = store.tags()
        print_json(names) if as_json else click.echo("\n".join(names) or "no tags")
        return
    pins = [dataset_at(store, key, None).pin() for key in keys]
    made = store.tag(name, pins, reason=reason) if pins else store.tagged(name)
    document = {**made.to_json(), "dry_run": dry_run}
    if as_json:
        print_json(document)
        return
    facts([(field, str(document[field])) for field in ("name", "version", "role", "reason") if document.get(field)])
    table(_TAG_COLUMNS, [[address_of(pin["class"], pin["key"]), str(pin["version"]), pin["digest"][:16]] for pin in document["pins"]])


@command("resolve", examples=["arraystore resolve BTCUSDT --venue binance-usdm --at 2024-08-08 --root data"])
@click.argument("symbol")
@click.option("--venue", required=True, help="The venue that uses the symbol.")
@click.option("--at", "moment", required=True, metavar="TIME", help="When it was used.")
@click.option("--known-at", metavar="TIME", help="By what was known then.")
@with_store
def resolve(store: "Store", *, symbol: str, venue: str, moment: str, known_at: str | None, as_json: bool) -> None:
    """Tell which instrument a symbol named at a time."""
    found = store.resolve(symbol, venue=venue, at=moment, known_at=known_at).to_json()
    if as_json:
        print_json(found)
        return
    facts([(name, str(value)) for name, value in found.items() if value is not None])
