"""Which datasets were made from which: an index of names beside the classes, that can be rebuilt (FORMAT.md section 15)."""

import secrets
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import batched
from typing import Any, Protocol

import msgspec

from arraystore.errors import ArrayStoreError, Corrupt, InvalidInput, NotFound, Unsupported
from arraystore.storage.base import Storage
from arraystore.versions.commit import Pin
from arraystore.versions.fetch import fetch_record
from arraystore.versions.journal import mark_name
from arraystore.versions.record import decode_record, encode_record
from layouts.naming import format_key

PACKED = "packed"
PACK_AFTER = 256
PACK_BELOW = "02"
"""Who adds an edge whose name begins so, one of 128, sees whether it is time for a pack."""

TOGETHER = 256


class Beside(Protocol):
    """Opens a place beside the class roots."""

    def __call__(self, *, create: bool) -> Storage:
        """The place; made, if asked for."""
        ...


class Dependent(msgspec.Struct, frozen=True, kw_only=True):
    """A version that was made from others: names only, which whoever may read what it depends on may read.

    `inputs` are its pins of the one dataset that was asked about; `windows` those of its own that it changed.
    """

    storage_class: str = msgspec.field(name="class")
    key: tuple[str, ...]
    dataset: str
    version: int
    time: int
    windows: tuple[str, ...]
    inputs: tuple[Pin, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        built: dict[str, Any] = msgspec.to_builtins(self)
        return built


class Pack(msgspec.Struct, frozen=True):
    """The header of a pack: edges of one dataset, by the names they have in its folder."""

    edges: dict[str, Dependent]


@dataclass(frozen=True, slots=True)
class LineageIndex:
    """Edges from what was read to what was made of it, under `<root>/lineage`. Safe to share between threads.

    `beside` opens that place, which there may not be before the first edge; with `create=True` it is made.
    """

    beside: Beside

    def add(self, *made: Dependent) -> None:
        """Note, durably, versions and their inputs: one object of each for each dataset among these."""
        tokens: dict[str, str] = {}
        with self.beside(create=True).batch() as batch:
            for each in made:
                for (storage_class, key), pins in _by_dataset(each).items():
                    data, _ = encode_record("lineage", msgspec.structs.replace(each, inputs=tuple(pins)))
                    folder, token = _folder(storage_class, key), secrets.token_hex(8)
                    batch.put(f"{folder}/{each.version}-{token}", data)
                    tokens[folder] = min(token, tokens.get(folder, token))
        for folder, token in tokens.items():
            if token < PACK_BELOW:
                self._edges(folder)

    def dependents(
        self, storage_class: str, key: Sequence[str], span: tuple[int, int] | None = None, versions: range | None = None
    ) -> list[Dependent]:
        """What was made from a dataset: from rows in `span` (ns, half-open; None: any), read at `versions` (None: any), oldest first.

        An unreadable edge raises `Corrupt`: rebuild the index then.
        """
        found: dict[tuple[str, tuple[str, ...], str, int], Dependent] = {}
        for edge in self._edges(_folder(storage_class, tuple(key))).values():
            if any(_matches(pin, span, versions) for pin in edge.inputs):
                found[edge.storage_class, edge.key, edge.dataset, edge.version] = edge
        return sorted(found.values(), key=lambda edge: (edge.time, edge.storage_class, edge.key, edge.version))

    def _edges(self, folder: str) -> dict[str, Dependent]:
        """Every edge, by name: most from the pack, which is written again once many aren't in it."""
        storage = self.beside(create=False)
        packed = _packed(storage, folder)
        names = storage.list(folder).objects
        edges = {name: packed.get(name) or _read(storage, f"{folder}/{name}") for name in names}
        if sum(name not in packed for name in names) >= max(PACK_AFTER, len(names) // 8):
            with suppress(ArrayStoreError):
                storage.put(f"{PACKED}/{folder}", encode_record("lineages", Pack(edges))[0], durable=False)
        return edges

    def rebuild(self, made: Iterable[Dependent], is_there: Callable[[Dependent], bool]) -> int:
        """Note every version there is, given anew, and forget all that was noted before; returns their number.

        What was noted of a version that isn't there stays: it may be about to appear, and is all that keeps what it was made from.
        """
        storage = self.beside(create=True)
        packs = [f"{PACKED}/{top}/{name}" for top in storage.list(PACKED).prefixes for name in storage.list(f"{PACKED}/{top}").objects]
        tops = [top for top in storage.list("").prefixes if top != PACKED]
        folders = [f"{top}/{folder}" for top in tops for folder in storage.list(top).prefixes]
        noted = [f"{folder}/{name}" for folder in folders for name in storage.list(folder).objects]
        old = [key for key in noted if _is_outdated(storage, key, is_there)]
        count = 0
        for some in batched(made, TOGETHER):
            self.add(*some)
            count += len(some)
        for key in (*packs, *old):
            storage.delete(key)
        return count


def _by_dataset(made: Dependent) -> dict[tuple[str, tuple[str, ...]], list[Pin]]:
    found: dict[tuple[str, tuple[str, ...]], list[Pin]] = {}
    for pin in made.inputs:
        found.setdefault((pin.storage_class, pin.key), []).append(pin)
    return found


def _packed(storage: Storage, folder: str) -> dict[str, Dependent]:
    """The edges that a pack holds; a damaged one holds none, for each lies by itself, too."""
    try:
        where = f"{PACKED}/{folder}"
        return decode_record("lineages", fetch_record(storage, where), Pack, where)[0].edges
    except (NotFound, Corrupt, Unsupported):
        return {}


def _read(storage: Storage, where: str) -> Dependent:
    try:
        return decode_record("lineage", fetch_record(storage, where), Dependent, where)[0]
    except NotFound as error:
        msg = f"{where}: went while it was read: ask again"
        raise Corrupt(msg) from error


def _is_outdated(storage: Storage, where: str, is_there: Callable[[Dependent], bool]) -> bool:
    """Whether an edge is damaged, or about a version that is there, and so is noted anew."""
    try:
        return is_there(_read(storage, where))
    except (Corrupt, Unsupported, InvalidInput):
        return True


def _folder(storage_class: str, key: tuple[str, ...]) -> str:
    return f"{storage_class}/{mark_name(format_key(key))}"


def _matches(pin: Pin, span: tuple[int, int] | None, versions: range | None) -> bool:
    if versions is not None and pin.version not in versions:
        return False
    return span is None or reaches(pin, span)


def reaches(pin: Pin, span: tuple[int, int]) -> bool:
    """Whether a pin's range shares a moment with `span` (ns, half-open)."""
    return (pin.start is None or pin.start < span[1]) and (pin.end is None or pin.end > span[0])
