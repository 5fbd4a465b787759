"""From a path or URL of a dataset, a folder of some, a class root or a store to what lies there, as one role may see it."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from arraystore.arguments import TimeLike
from arraystore.classes.roots import ClassAttributes, decode_attributes, locate
from arraystore.classes.surface import Surface
from arraystore.datasets.tombstone import gone
from arraystore.datasets.view import DatasetView
from arraystore.errors import Corrupt, InvalidInput, NotFound, Unsupported
from arraystore.place import Place, require
from arraystore.storage import open_storage
from arraystore.storage.base import Storage
from arraystore.store import open_store, parse_role
from arraystore.versions.fetch import DOCUMENT_BYTES, fetch
from arraystore.versions.log import Log
from layouts.classes import Action, Role, StorageClass, may
from layouts.naming import KEY_TEMPLATES, format_key, unescape

ROLE_VARIABLE = "ARRAYSTORE_ROLE"
DEFAULT_ROLE = Role.ANALYSIS


def role_of(given: Role | str | None) -> Role:
    """The role to look in: as given, else as the environment says, else analysis."""
    return parse_role(given or os.environ.get(ROLE_VARIABLE) or DEFAULT_ROLE)


@dataclass(frozen=True, slots=True)
class Below:
    """A place in a class: its root, and the parts of the path (as on disk) from there."""

    url: str
    storage_class: StorageClass
    parts: tuple[str, ...]

    @property
    def is_dataset(self) -> bool:
        """Whether a whole key leads there."""
        return len(self.parts) == len(KEY_TEMPLATES[self.storage_class])

    @property
    def key(self) -> tuple[str, ...]:
        """The parts, decoded."""
        return tuple(map(unescape, self.parts))


def find_below(url: Any, role: Role) -> Below | None:
    """Which class a place is in; None if in none, as a store is. What the path tells is checked against the matrix before any I/O."""
    location = locate(url).rstrip("/")
    scheme, mark, path = location.rpartition("://")
    names = path.split("/")
    most = max(map(len, KEY_TEMPLATES.values()))
    cuts = range(len(names), max(len(names) - most - 1, 0), -1)
    places = [(f"{scheme}{mark}{'/'.join(names[:cut])}", names[cut:]) for cut in cuts]
    for number, (place, parts) in enumerate(places):
        told = place.rsplit("/", 1)[-1]
        if told in tuple(StorageClass) and len(parts) <= len(KEY_TEMPLATES[StorageClass(told)]):
            _require(role, StorageClass(told), tuple(parts))
            places = [*places[number:], *places[:number]]
            break
    for place, parts in places:
        storage_class = _class_at(place)
        if storage_class is not None:
            _require(role, storage_class, tuple(parts))
            if len(parts) > len(KEY_TEMPLATES[storage_class]):
                raise NotFound(
                    f"{location}: lies within a dataset: give the dataset's path, {'/'.join(KEY_TEMPLATES[storage_class])} below {place}"
                )
            return Below(place, storage_class, tuple(parts))
    return None


def _require(role: Role, storage_class: StorageClass, parts: tuple[str, ...]) -> None:
    """A place within a key is asked for as far as it goes: grants are limited by first parts."""
    require(role, Action.READ, storage_class, tuple(map(unescape, parts)) or None)


def _class_at(url: str) -> StorageClass | None:
    """The class whose root lies there, if one's does."""
    try:
        document = fetch(open_storage(url), "zarr.json", DOCUMENT_BYTES)
        return StorageClass(decode_attributes(document, ClassAttributes, url).class_name) if b'"key"' not in document else None
    except (NotFound, Corrupt, Unsupported, InvalidInput, ValueError):
        return None


def open_view(url: Any, role: Role, version: int | TimeLike | None) -> DatasetView:
    """The dataset at a path or URL, at its newest version or another."""
    below = find_below(url, role)
    if below is None or not below.is_dataset:
        told = "its path is class/" + "/".join(KEY_TEMPLATES[below.storage_class if below else StorageClass.CANONICAL])
        raise NotFound(f"{locate(url)}: there is no dataset: {told} below the store; for all below a place, use open_datatree")
    return _view(open_storage(below.url), below.storage_class, below.key, role, version)


def _view(storage: Storage, storage_class: StorageClass, key: tuple[str, ...], role: Role, version: int | TimeLike | None) -> DatasetView:
    place = Place(storage, storage_class, key, role)
    place.require(Action.READ)
    log = Log(storage, place.path, storage_class.value)
    state = log.head()
    if not state.alive:
        raise gone(log, state)
    view = DatasetView(place, log, state)
    return view if version is None else view.at(version)


def views_below(url: Any, role: Role, version: int | TimeLike | None) -> Iterator[tuple[str, DatasetView]]:
    """Every dataset that the role may read at a place, under its path from there (as on disk)."""
    below = find_below(url, role)
    if below is None:
        store = open_store(url, role=role)
        for storage_class in StorageClass:
            if may(role, storage_class, Action.READ):
                surface = store.surface(storage_class)
                for key in surface.find():
                    view = surface[key]
                    yield f"{storage_class.value}/{format_key(key)}", view if version is None else view.at(version)
        return
    storage = open_storage(below.url)
    wanted = [*below.parts, *"*" * (len(KEY_TEMPLATES[below.storage_class]) - len(below.parts))]
    for key in Surface(storage, below.storage_class, role, _no_check).find("/".join(wanted)):
        yield "/".join(format_key(key).split("/")[len(below.parts) :]), _view(storage, below.storage_class, key, role, version)


def _no_check(pins: object) -> None:
    del pins
