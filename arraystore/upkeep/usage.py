"""What takes how much space: every object of every dataset, by what it is for."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import msgspec

from arraystore.errors import ArrayStoreError, NotFound
from arraystore.storage.base import Storage
from arraystore.upkeep.garbage import Collector, objects_below
from arraystore.versions.log import Log
from layouts.retention import retention_of

KINDS = ("rows", "indexes", "metadata", "commits", "checkpoints", "artifacts", "other")
_PLACES = {"_log": "commits", "_packs": "commits", "_checkpoints": "checkpoints", "_manifests": "checkpoints", "_artifacts": "artifacts"}
BESIDE = ("_catalog", "_journal", "_deleted")


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What a dataset takes, deleted ones and versions that aren't current included; bytes as stored.

    `kinds` are `rows` (columns' chunks), `indexes`, `metadata` (`zarr.json`), `commits` (which hold small appends' rows), `checkpoints`,
    `artifacts` and `other`. `columns` divides `rows` by column. `garbage` is what `gc` would remove now, None where that wasn't looked
    for or can't be told. A `dataset` that is a class's name stands for what lies beside its datasets.
    """

    dataset: str
    objects: int
    kinds: Mapping[str, int]
    columns: Mapping[str, int]
    garbage: int | None = None

    @property
    def bytes(self) -> int:
        """Bytes of all objects."""
        return sum(self.kinds.values())

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        built: dict[str, Any] = msgspec.to_builtins(self)
        return built | {"bytes": self.bytes}


def usage_of(log: Log, storage_class: str, role: str, *, garbage: bool) -> Usage:
    """A dataset's; one that can't be opened is counted all the same."""
    kinds: Counter[str] = Counter()
    columns: Counter[str] = Counter()
    objects = 0
    for path, size in _sizes(log.storage, log.prefix):
        objects += 1
        kind, array = _kind_of(path.removeprefix(f"{log.prefix}/").split("/"))
        kinds[kind] += size
        if array:
            columns[array] += size
    found = None
    if garbage:
        with suppress(ArrayStoreError):
            found = Collector(log, role, grace_ns=retention_of(storage_class).grace_ns).plan().bytes
    return Usage(
        dataset=f"{storage_class}/{log.prefix}",
        objects=objects,
        kinds={kind: kinds[kind] for kind in KINDS if kinds[kind]},
        columns=_by_column(log, columns),
        garbage=found,
    )


def usage_beside(storage: Storage, storage_class: str, datasets: Iterable[str]) -> Usage:
    """What lies in a class beside its datasets: the catalog, the journal, metadata of the class and of what is above datasets."""
    kinds: Counter[str] = Counter()
    above = {"/".join(parts[:length]) for parts in (path.split("/") for path in datasets) for length in range(1, len(parts))}
    sizes = [pair for path in ("zarr.json", *(f"{each}/zarr.json" for each in sorted(above))) for pair in _size(storage, path)]
    sizes += [pair for folder in BESIDE for pair in _sizes(storage, folder)]
    for path, size in sizes:
        kinds["metadata" if path.endswith("zarr.json") else "other"] += size
    return Usage(dataset=storage_class, objects=len(sizes), kinds={kind: kinds[kind] for kind in KINDS if kinds[kind]}, columns={})


def _sizes(storage: Storage, prefix: str) -> Iterator[tuple[str, int]]:
    for path in objects_below(storage, prefix):
        yield from _size(storage, path)


def _size(storage: Storage, path: str) -> Iterable[tuple[str, int]]:
    with suppress(NotFound):  # gone since it was listed
        yield path, storage.size(path)


def _kind_of(parts: list[str]) -> tuple[str, str]:
    """What an object below a dataset is for, and of which array if it holds rows."""
    if parts[0] in _PLACES:
        return _PLACES[parts[0]], ""
    if parts[-1] == "zarr.json":
        return "metadata", ""
    if parts[-1] == "_index":
        return "indexes", ""
    return ("rows", parts[2]) if len(parts) > 3 else ("other", "")


def _by_column(log: Log, arrays: Mapping[str, int]) -> dict[str, int]:
    """Arrays as columns of the schemas there are: lengths and validity count with the column they are of."""
    owner: dict[str, str] = {}
    with suppress(ArrayStoreError):
        for schema in log.head().schemas:
            owner |= {spec.name: spec.column for spec in schema.arrays()}
    found: Counter[str] = Counter()
    for array, size in arrays.items():
        found[owner.get(array, array)] += size
    return dict(found.most_common())
