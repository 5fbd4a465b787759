"""Which datasets were made from which, as a graph of names: upwards as far as may be read, downwards by the index of dependents."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from arraystore.datasets.view import DatasetView
from arraystore.errors import ArrayStoreError
from arraystore.pictures.drawings import Graph
from arraystore.pictures.rows import name_of
from arraystore.versions.commit import Pin
from layouts.naming import format_key

if TYPE_CHECKING:
    from arraystore.store import Store

MOST_NODES = 40
DEPTH = 4


def sources_of(view: DatasetView) -> dict[str, Pin]:
    """What a dataset's rows were made from: of each dataset the newest version that was read, without ranges and columns."""
    pins = [pin for manifest in view.manifests() for pin in manifest.lineage]
    if not pins:
        pins = [pin for version in view.versions() for pin in version.inputs]
    found: dict[str, Pin] = {}
    for pin in pins:
        name = f"{pin.storage_class}/{format_key(pin.key)}"
        if name not in found or found[name].version < pin.version:
            found[name] = msgspec.structs.replace(pin, start=None, end=None, columns=())
    return found


def graph_of(view: DatasetView, store: "Store | None") -> Graph:
    """A dataset with what it came from; with its store, as far up as may be read, and what was made from it."""
    name = name_of(view)
    nodes: dict[str, None] = {name: None}
    edges: set[tuple[str, str]] = set()
    waiting = [(name, view, DEPTH)]
    while waiting:
        made, each, depth = waiting.pop(0)
        for source, pin in sources_of(each).items():
            edges.add((source, made))
            if source not in nodes and depth > 0 and store is not None and len(nodes) < MOST_NODES:
                with suppress(ArrayStoreError):  # that it was read is known, if not what it came from
                    waiting.append((source, store.open_pin(pin), depth - 1))
            nodes[source] = None
    if store is not None:
        for dependent in store.dependents(view):
            made = f"{dependent.storage_class}/{format_key(dependent.key)}"
            nodes[made] = None
            edges.add((name, made))
    return _limited(list(nodes), edges, name)


def graph_between(views: Iterable[DatasetView]) -> Graph:
    """Datasets that were made from others, or that others were made from."""
    edges: set[tuple[str, str]] = set()
    for view in views:
        try:
            edges |= {(source, name_of(view)) for source in sources_of(view)}
        except ArrayStoreError:
            continue  # that it can't be read is told elsewhere
    nodes = list(dict.fromkeys(node for edge in sorted(edges) for node in edge))
    return _limited(nodes, edges, "")


def _limited(nodes: Sequence[str], edges: set[tuple[str, str]], name: str) -> Graph:
    """The first nodes, and the edges between them; a dataset that is made from itself has no edge."""
    kept = list(nodes)[:MOST_NODES]
    inside = frozenset((source, made) for source, made in edges if source in kept and made in kept and source != made)
    return Graph(nodes=tuple(kept), edges=inside, self_=name, left_out=len(nodes) - len(kept))
