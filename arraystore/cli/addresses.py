"""From what is typed to datasets: addresses, patterns of them, versions, and completing them in a shell."""

from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from arraystore.errors import ArrayStoreError, InvalidInput, NotFound, Problem
from layouts.classes import Action, Role, StorageClass, may, parse_storage_class
from layouts.naming import KEY_TEMPLATES, format_key

if TYPE_CHECKING:
    from arraystore.datasets.view import DatasetView
    from arraystore.store import Store

__all__ = [
    "address_of",
    "addresses_matching",
    "at_version",
    "complete_address",
    "dataset_at",
    "datasets_matching",
    "no_match",
    "split_address",
]

SIGNS = "*?["
NAMED = 5
COMPLETED = 500
"""More keys than that are no help to who types."""


def split_address(address: str) -> tuple[StorageClass, str]:
    """The storage class and the escaped key that an address names.

    >>> split_address("canonical/binance-usdm/trades/BTCUSDT")
    (<StorageClass.CANONICAL: 'canonical'>, 'binance-usdm/trades/BTCUSDT')
    """
    name, _, key = address.partition("/")
    if not key:
        what = f"{address!r} names no dataset; give CLASS/KEY, such as canonical/binance-usdm/trades/BTCUSDT (`arraystore ls` lists them)"
        raise InvalidInput(Problem("address", what))
    return parse_storage_class(name), key


def address_of(storage_class: str, key: Sequence[str]) -> str:
    """What `split_address` takes apart again."""
    return f"{storage_class}/{format_key(key)}"


def dataset_at(store: "Store", address: str, version: str | None = None) -> "DatasetView":
    """The dataset at an address, or the only one that a pattern matches, at a version (a number or a time) or at its newest."""
    if any(sign in address for sign in SIGNS):
        found = list(addresses_matching(store, [address]))
        if not found:
            raise no_match(store, [address])
        if len(found) > 1:
            named = ", ".join(found[:NAMED]) + (f", … ({len(found)} in all)" if found[NAMED:] else "")
            raise InvalidInput(Problem("address", f"{address!r} matches several datasets, and this is for one: {named}"))
        address = found[0]
    storage_class, key = split_address(address)
    return at_version(store.surface(storage_class)[key], version)


def at_version(dataset: "DatasetView", version: str | None) -> "DatasetView":
    """The dataset at a version, which is told as a number or a time; None for the one it is at."""
    return dataset if version is None else dataset.at(int(version) if version.isdecimal() else version)


def no_match(store: "Store", patterns: Iterable[str]) -> NotFound:
    """What is raised where patterns name nothing."""
    return NotFound(f"no dataset in {store.url} matches {' or '.join(map(repr, patterns))}; `arraystore ls` lists them")


def addresses_matching(store: "Store", patterns: Iterable[str], venue: str | None = None) -> Iterator[str]:
    """The datasets that any pattern names (no pattern: all), class by class, sorted by key; of a venue, in the classes that tell it.

    Classes that the role may not read are left out, unless a pattern names one: then AccessDenied.
    """
    wanted = [pattern.rstrip("/") for pattern in patterns]
    named = {pattern.partition("/")[0] for pattern in wanted}
    for storage_class in StorageClass:
        if storage_class.value not in named and not may(store.role, storage_class, Action.READ):
            continue
        if wanted and not any(_reaches(pattern.partition("/")[0], storage_class.value) for pattern in wanted):
            continue
        if venue is not None and "venue" not in KEY_TEMPLATES[storage_class]:
            continue
        for key in store.surface(storage_class).find(venue=venue):
            address = address_of(storage_class, key)
            if not wanted or any(_matches(address, pattern) for pattern in wanted):
                yield address


def datasets_matching(store: "Store", patterns: Iterable[str], venue: str | None = None) -> "Iterator[DatasetView]":
    """The same, opened."""
    return (dataset_at(store, address) for address in addresses_matching(store, patterns, venue))


def _reaches(first: str, storage_class: str) -> bool:
    """Whether what a pattern begins with may name something of a class."""
    return first == storage_class or any(sign in first for sign in SIGNS)


def _matches(address: str, pattern: str) -> bool:
    return fnmatchcase(address, pattern) or fnmatchcase(address, f"{pattern}/*")


def complete_address(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Addresses of the store that begin so; nothing where there is no store to look into."""
    from arraystore.cli.configuration import setting
    from arraystore.store import open_store

    del parameter
    try:
        root = context.params.get("root") or setting("root")
        if not root:
            return []
        store = open_store(root, role=context.params.get("role") or setting("role") or Role.OPERATIONS.value)
        found = (address for address in addresses_matching(store, ()) if address.startswith(incomplete))
        return [CompletionItem(address) for address, _ in zip(found, range(COMPLETED), strict=False)]
    except (ArrayStoreError, OSError):
        return []  # a shell has no place for complaints
