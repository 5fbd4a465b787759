"""`repair` of a store: class roots, every dataset, tags and lineage, from a copy, with the proof of all that was put back."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import msgspec

from arraystore.classes.catalog import is_part
from arraystore.classes.surface import Surface
from arraystore.classes.tags import Tag, Tags
from arraystore.errors import AlreadyExists, ArrayStoreError
from arraystore.findings import Finding
from arraystore.storage.base import Storage
from arraystore.upkeep.copying import Replica, objects_below
from arraystore.upkeep.evidence import get_if_readable, sha256_of
from arraystore.upkeep.mending import MISSING, Mended, Mender, Restored
from arraystore.versions.lineage import PACKED, Dependent
from arraystore.versions.log import Log
from arraystore.versions.record import decode_record
from layouts.classes import StorageClass
from layouts.naming import KEY_TEMPLATES

type KnownHeads = Mapping[str, Mapping[int, str]]
"""Digests of versions that are known to be right, by dataset."""


class Repaired(msgspec.Struct, frozen=True, kw_only=True):
    """What a repair did (or, on trial, would do): datasets in which there was something to do, and what lies beside the classes."""

    store: str
    source: str
    checked: int = 0
    datasets: tuple[Mended, ...] = ()
    others: tuple[Restored, ...] = ()
    lost: tuple[Finding, ...] = ()

    @property
    def restored(self) -> tuple[Restored, ...]:
        """All objects that were put back, but for those of versions that came back as a whole."""
        return (*(each for mended in self.datasets for each in mended.restored), *self.others)

    @property
    def unrepaired(self) -> tuple[Finding, ...]:
        """All that couldn't be put back."""
        return (*(each for mended in self.datasets for each in mended.lost), *self.lost)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        built: dict[str, Any] = msgspec.to_builtins(self)
        return built


def mend_class(
    storage_class: StorageClass,
    surface: Surface,
    replica: Replica | None,
    wanted: Callable[[str], bool],
    *,
    trial: bool,
    expect: KnownHeads,
) -> Iterator[Mended]:
    """Repair every wanted dataset of a class that is here or in the copy; what there was nothing to do for comes back empty."""
    there = None if replica is None else replica.class_root(storage_class)
    mine = {log.prefix: log for log in surface.logs()}
    copied = set() if there is None else set(datasets_in(there, storage_class))
    for path in sorted({*mine, *copied}):
        address = f"{storage_class.value}/{path}"
        if wanted(address):
            source = Log(there, path, storage_class.value) if there is not None and path in copied else None
            yield Mender(mine.get(path) or surface.log_at(path), source, trial, expect.get(address, {})).run()


def datasets_in(storage: Storage, storage_class: StorageClass) -> Iterator[str]:
    """Paths of the datasets that lie in a class root."""
    above = [""]
    for _ in KEY_TEMPLATES[storage_class]:
        above = [f"{path}/{name}".lstrip("/") for path in above for name in storage.list(path).prefixes if is_part(name)]
    return (path for path in above if "_log" in storage.list(path).prefixes)


def mend_tags(here: Storage, there: Storage, *, trial: bool) -> tuple[list[Restored], list[Finding]]:
    """Tags that are missing or damaged, as the version after them names them, or (the newest) as the copy has them."""
    restored, lost = [], []
    mine, theirs = Tags(lambda *, create: here), Tags(lambda *, create: there)  # noqa: ARG005 - both are there
    for name in sorted({*mine.names(), *theirs.names()}):
        wanted = ""
        for version in range(max([*mine.versions(name), *theirs.versions(name)], default=0), 0, -1):
            where = mine.where(name, version)
            own, copied = _tag(mine, name, version), _tag(theirs, name, version)
            if own is not None and own[1] == (wanted or own[1]):
                if not wanted and copied is not None and copied[1] != own[1]:
                    lost.append(Finding(where, "differs from the copy's, and no later version tells which is right", remedy="compare both"))
                wanted = own[0].previous
            elif copied is not None and copied[1] == (wanted or copied[1]):
                proof = f"version {version + 1} names it" if wanted else "it is whole in the copy, and not here"
                restored.append(_put_back(here, there, where.removeprefix("tags/"), "tags", proof, trial=trial))
                wanted = copied[0].previous
            else:
                lost.append(Finding(where, f"isn't what was written{f' ({wanted})' if wanted else ''}, nor is the copy's"))
                wanted = ""
    return restored, lost


def _tag(tags: Tags, name: str, version: int) -> tuple[Tag, str] | None:
    try:
        return tags.record(name, version)
    except ArrayStoreError:
        return None


def mend_lineage(here: Storage, there: Storage, *, trial: bool) -> tuple[list[Restored], list[Finding]]:
    """Edges that are missing or damaged; what neither has, `rebuild_lineage` makes anew. Their names are random, so contents count."""
    restored, known, damaged = [], set(), []
    for key in _edge_keys(here):
        edge = _edge(here, key)
        if edge is None:
            damaged.append(key)
        else:
            known.add(_said(key, edge))
    for key in _edge_keys(there):
        edge = _edge(there, key)
        if edge is not None and (key in damaged or _said(key, edge) not in known):
            restored.append(_put_back(here, there, key, "lineage", "it is whole in the copy, and not here", trial=trial))
    put_back = {each.where for each in restored}
    rest = [f"lineage/{key}" for key in damaged if f"lineage/{key}" not in put_back]
    return restored, [Finding(where, "is damaged", remedy="make the index anew: `store.rebuild_lineage()`") for where in rest]


def _edge_keys(storage: Storage) -> list[str]:
    return sorted(key for key in objects_below(storage) if not key.startswith(f"{PACKED}/"))


def _edge(storage: Storage, key: str) -> Dependent | None:
    data = get_if_readable(storage, key)
    with suppress(ArrayStoreError):
        return None if data is None else decode_record("lineage", data, Dependent, key)[0]
    return None


def _said(key: str, edge: Dependent) -> tuple[object, ...]:
    return key.rpartition("/")[0], edge.storage_class, edge.key, edge.dataset, edge.version


def _put_back(here: Storage, there: Storage, key: str, folder: str, proof: str, *, trial: bool) -> Restored:
    before, data = sha256_of(here, key), there.get(key)
    if not trial:
        try:
            here.create(key, data)
        except AlreadyExists:
            here.put(key, data, durable=True)
    after = sha256_of(there if trial else here, key)
    return Restored(where=f"{folder}/{key}", dataset="", proof=proof, before=before or MISSING, sha256=after)
