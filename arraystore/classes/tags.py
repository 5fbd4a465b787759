"""Named sets of pins across datasets: what a result stood on, by one word (FORMAT.md section 16)."""

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from arraystore.errors import AlreadyExists, Conflict, Corrupt, NotFound
from arraystore.versions.commit import Pin
from arraystore.versions.draft import HOST
from arraystore.versions.fetch import fetch_record
from arraystore.versions.lineage import Beside
from arraystore.versions.record import decode_record, encode_record
from layouts.naming import escape, is_escaped, parse_version_name, unescape, version_name


class Tag(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a named set of pins. `time` is the writer's clock, ns since 1970 UTC; `previous` the digest of the version before."""

    name: str
    version: int
    previous: str
    role: str
    host: str
    process: str
    time: int
    reason: str
    pins: tuple[Pin, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        built: dict[str, Any] = msgspec.to_builtins(self)
        return built


@dataclass(frozen=True, slots=True)
class Tags:
    """The tags of a store, under `<root>/tags`. Safe to share between threads."""

    beside: Beside
    _known: dict[tuple[str, int], Tag] = field(default_factory=dict, repr=False, compare=False)

    def set(self, name: str, pins: Iterable[Pin], *, role: str, reason: str = "") -> Tag:
        """Make the next version of a tag, durable when this returns; earlier versions stay. The pins were checked by the store."""
        folder = escape(name)
        last = self._last(folder)
        previous = "" if last == 0 else self._read(folder, last)[1]
        tag = Tag(
            name=name,
            version=last + 1,
            previous=previous,
            role=role,
            host=HOST,
            process=str(os.getpid()),
            time=time.time_ns(),
            reason=reason,
            pins=tuple(pins),
        )
        storage, key, data = self.beside(create=True), f"{folder}/{version_name(tag.version)}", encode_record("tag", tag)[0]
        try:
            storage.create(key, data)
        except AlreadyExists as error:
            if storage.get(key) == data:  # an object store's own retry may report a conflict with the caller's own write
                return tag
            msg = f"tag {name!r}: another writer made version {tag.version}: look at it, then try again"
            raise Conflict(msg) from error
        return tag

    def get(self, name: str, version: int | None = None) -> Tag:
        """A tag's newest version, or an earlier one."""
        folder = escape(name)
        number = self._last(folder) if version is None else version
        if number < 1:
            known = ", ".join(self.names()[:6]) or "none"
            msg = f"there is no tag {name!r}; there are {known}"
            raise NotFound(msg)
        return self._read(folder, number)[0]

    def names(self) -> list[str]:
        """All tags, sorted."""
        return sorted(unescape(name) for name in self.beside(create=False).list("").prefixes if is_escaped(name))

    def versions(self, name: str) -> list[int]:
        """The versions of a tag that are there, ascending."""
        return sorted(map(parse_version_name, self.beside(create=False).list(escape(name)).objects))

    def record(self, name: str, version: int) -> tuple[Tag, str]:
        """A version of a tag, and the digest of its record."""
        return self._read(escape(name), version)

    def where(self, name: str, version: int) -> str:
        """Where a version of a tag lies, below the store's root."""
        return f"tags/{escape(name)}/{version_name(version)}"

    def every(self) -> Iterator[Tag]:
        """Every version of every tag: what there is, is looked up each time; what a version says never changes, and is read once."""
        for name in self.names():
            for version in self.versions(name):
                if (name, version) not in self._known:
                    self._known[name, version] = self._read(escape(name), version)[0]
                yield self._known[name, version]

    def _last(self, folder: str) -> int:
        return max(map(parse_version_name, self.beside(create=False).list(folder).objects), default=0)

    def _read(self, folder: str, version: int) -> tuple[Tag, str]:
        where = f"{folder}/{version_name(version)}"
        tag, _, digest = decode_record("tag", fetch_record(self.beside(create=False), where), Tag, where)
        if (escape(tag.name), tag.version) != (folder, version):
            msg = f"{where}: holds version {tag.version} of tag {tag.name!r}: restore it from a replica"
            raise Corrupt(msg)
        return tag, digest


def repeated(pins: Iterable[Pin]) -> list[Pin]:
    """The pins of datasets that an earlier pin named already."""
    seen: set[tuple[str, tuple[str, ...]]] = set()
    again = []
    for pin in pins:
        if (pin.storage_class, pin.key) in seen:
            again.append(pin)
        seen.add((pin.storage_class, pin.key))
    return again
