"""`copy`: another place that holds what a store holds, to read from, and to repair from."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import msgspec

from arraystore.classes.roots import Opener, StoreAttributes, check_class_root, decode_attributes, init_store, locate, open_place
from arraystore.errors import AlreadyExists, ArrayStoreError, InvalidInput, NotFound
from arraystore.findings import Finding
from arraystore.storage import MemoryStorage
from arraystore.storage.base import Storage
from arraystore.upkeep.shipping import Shipment, Shipped
from arraystore.versions.lineage import PACKED
from arraystore.versions.log import Log
from layouts.classes import StorageClass

BESIDE = ("lineage", "tags")


class Copied(msgspec.Struct, frozen=True, kw_only=True):
    """What a copy holds now: each dataset as far as it was brought, tags and edges of lineage that were, and what couldn't be."""

    target: str
    store: str
    datasets: tuple[Shipped, ...] = ()
    others: int = 0
    problems: tuple[Finding, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        built: dict[str, Any] = msgspec.to_builtins(self)
        return built


class Replica:
    """A store of the same identity in another place; `trial` makes and changes nothing there."""

    def __init__(self, url: str, store: str, opener: Opener, *, create: bool = False, trial: bool = False) -> None:
        self.url = locate(url)
        self._opener = opener
        self._trial = trial
        self.attributes: StoreAttributes | None = None
        if create and not trial:
            init_store(self.url, opener=opener, identity=store)
        try:
            self.attributes = decode_attributes(opener(self.url).get("zarr.json"), StoreAttributes, self.url)
        except NotFound as error:
            if not trial:
                raise NotFound(f"{self.url} holds no store: make a copy with `arraystore copy --to {self.url}`") from error
        if self.attributes is not None and self.attributes.store != store:
            msg = f"{self.url} holds store {self.attributes.store}, and this one is {store}: they are no copies of each other"
            raise InvalidInput(msg, "url")

    def class_root(self, storage_class: StorageClass) -> Storage:
        """The root of a class; an empty place where there is none on trial."""
        if self.attributes is None:
            return MemoryStorage()
        location = self.attributes.roots.get(storage_class.value, storage_class.value)
        root = open_place(self._opener, self.url, location)
        check_class_root(root, self.attributes.store, storage_class)
        return root

    def beside(self, name: str, *, create: bool = False) -> Storage:
        """What lies beside the classes."""
        try:
            return open_place(self._opener, self.url, name, create=create and not self._trial)
        except NotFound:
            return MemoryStorage()


def copy_datasets(
    classes: Mapping[StorageClass, Callable[[], Iterator[Log]]],
    target: Replica,
    wanted: Callable[[str], bool],
    *,
    trial: bool,
    tell: Callable[[Shipped], None] | None,
) -> tuple[list[Shipped], list[Finding]]:
    """Bring every wanted dataset of some classes up to date in the target; what is damaged here is told, and the others go on."""
    shipped: list[Shipped] = []
    problems: list[Finding] = []
    for storage_class, logs in classes.items():
        root = target.class_root(storage_class)
        for log in logs():
            address = f"{storage_class.value}/{log.prefix}"
            if not wanted(address):
                continue
            try:
                shipped.append(Shipment(log, Log(root, log.prefix, storage_class.value), trial, tell).run())
            except NotFound as error:
                if log.storage.list(f"{log.prefix}/_log").objects:
                    problems.append(Finding(log.prefix, str(error), address, remedy=REMEDY))
            except ArrayStoreError as error:
                problems.append(Finding(log.prefix, str(error), address, remedy=REMEDY))
    return shipped, problems


REMEDY = "`arraystore verify --deep` tells what is wrong here; repair it from another copy, then copy again"


def copy_beside(name: str, source: Storage, target: Callable[[], Storage], *, trial: bool) -> tuple[int, list[Finding]]:
    """Bring what lies beside the classes and isn't in the target; objects there that differ are told, and stay."""
    count, problems = 0, []
    there: Storage | None = None
    for key in sorted(key for key in objects_below(source) if not key.startswith(f"{PACKED}/")):  # what is folded from the others
        there = there or target()
        data = source.get(key)
        with suppress(NotFound):
            if there.get(key) != data:
                where = f"{name}/{key}"
                problems.append(Finding(where, f"in {there.url} it isn't what it is here: one of them was changed", remedy="compare both"))
            continue
        count += 1
        if not trial:
            with suppress(AlreadyExists):
                there.create(key, data)
    return count, problems


def objects_below(storage: Storage, prefix: str = "") -> Iterator[str]:
    """Every object's key."""
    listing = storage.list(prefix)
    head = f"{prefix}/" if prefix else ""
    yield from (head + name for name in listing.objects)
    for name in listing.prefixes:
        yield from objects_below(storage, head + name)
