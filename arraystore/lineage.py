"""Which datasets were made from which: an index of names beside the classes, that can be rebuilt (FORMAT.md section 15)."""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from arraystore.commit import Pin
from arraystore.errors import Corrupt, NotFound
from arraystore.journal import mark_name
from arraystore.record import decode_record, encode_record
from arraystore.storage.base import Storage
from layouts.naming import format_key


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


@dataclass(frozen=True, slots=True)
class LineageIndex:
    """Edges from what was read to what was made of it, under `<root>/lineage`. Safe to share between threads.

    `beside` opens that place, which there may not be before the first edge; with `create=True` it is made.
    """

    beside: Beside

    def add(self, made: Dependent) -> None:
        """Note, durably, a version and its inputs: one object for each dataset among these."""
        by_dataset: dict[tuple[str, tuple[str, ...]], list[Pin]] = {}
        for pin in made.inputs:
            by_dataset.setdefault((pin.storage_class, pin.key), []).append(pin)
        with self.beside(create=True).batch() as batch:
            for (storage_class, key), pins in by_dataset.items():
                data, _ = encode_record("lineage", msgspec.structs.replace(made, inputs=tuple(pins)))
                batch.put(f"{_folder(storage_class, key)}/{made.version}-{secrets.token_hex(8)}", data)

    def dependents(
        self, storage_class: str, key: Sequence[str], span: tuple[int, int] | None = None, versions: range | None = None
    ) -> list[Dependent]:
        """What was made from a dataset: from rows in `span` (ns, half-open; None: any), read at `versions` (None: any), oldest first.

        An unreadable edge raises `Corrupt`: rebuild the index then.
        """
        folder = _folder(storage_class, tuple(key))
        found: dict[tuple[str, tuple[str, ...], str, int], Dependent] = {}
        storage = self.beside(create=False)
        for name in storage.list(folder).objects:
            edge = _read(storage, f"{folder}/{name}")
            if any(_matches(pin, span, versions) for pin in edge.inputs):
                found[edge.storage_class, edge.key, edge.dataset, edge.version] = edge
        return sorted(found.values(), key=lambda edge: (edge.time, edge.storage_class, edge.key, edge.version))

    def rebuild(self, made: Iterable[Dependent]) -> int:
        """Note every version there is, given anew, and forget all that was noted before; returns their number."""
        storage = self.beside(create=True)
        folders = [f"{top}/{folder}" for top in storage.list("").prefixes for folder in storage.list(top).prefixes]
        old = [f"{folder}/{name}" for folder in folders for name in storage.list(folder).objects]
        count = 0
        for each in made:
            self.add(each)
            count += 1
        for key in old:
            storage.delete(key)
        return count


def _read(storage: Storage, where: str) -> Dependent:
    try:
        return decode_record("lineage", storage.get(where), Dependent, where)[0]
    except NotFound as error:
        msg = f"{where}: went while it was read: ask again"
        raise Corrupt(msg) from error


def _folder(storage_class: str, key: tuple[str, ...]) -> str:
    return f"{storage_class}/{mark_name(format_key(key))}"


def _matches(pin: Pin, span: tuple[int, int] | None, versions: range | None) -> bool:
    if versions is not None and pin.version not in versions:
        return False
    return span is None or reaches(pin, span)


def reaches(pin: Pin, span: tuple[int, int]) -> bool:
    """Whether a pin's range shares a moment with `span` (ns, half-open)."""
    return (pin.start is None or pin.start < span[1]) and (pin.end is None or pin.end > span[0])
