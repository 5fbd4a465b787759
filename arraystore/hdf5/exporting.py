"""`to_hdf5`: rows of one or many datasets in one HDF5 file, that appears under its name only whole, durable and proved."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from arraystore.frames.rows import Rows
from arraystore.hdf5.filters import Flavor, filters_of
from arraystore.hdf5.proving import prove
from arraystore.hdf5.writing import GroupWriter
from arraystore.storage.outfile import appearing
from arraystore.versions.commit import Pin
from layouts.schema import Schema

FORMAT = "arraystore-hdf5-1"

type Tell = Callable[["ExportProgress"], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportProgress:
    """How far an export is: which dataset, and how many of at most how many rows of it are written."""

    group: str
    rows: int
    most_rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What goes into one group: rows of a schema (at most `most_rows`), what pins them, and what else to say of them.

    `batches` may be called more than once, and tells the same rows each time.
    """

    group: str
    schema: Schema
    most_rows: int
    batches: Callable[[], Iterator[Rows]]
    pin: Pin
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written: the file, its bytes, and per group the rows and what they were read from."""

    path: str
    bytes: int
    rows: Mapping[str, int]
    pins: Mapping[str, Pin]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {"path": self.path, "bytes": self.bytes, "rows": dict(self.rows), "pins": msgspec.to_builtins(dict(self.pins))}


def export(
    path: str | os.PathLike[str], sources: Sequence[Source], *, flavor: Flavor, overwrite: bool, threads: int | None, tell: Tell
) -> Exported:
    """Write, read back, compare, sync and only then name the file."""
    place = Path(path)
    rows: dict[str, int] = {}
    with appearing(place, overwrite=overwrite) as partial:
        if flavor is Flavor.PANDAS:
            from arraystore.hdf5.pandastables import write_tables

            rows = write_tables(partial, sources, tell)
        else:
            rows = _write(partial, sources, flavor, threads, tell)
    return Exported(path=str(place), bytes=place.stat().st_size, rows=rows, pins={source.group: source.pin for source in sources})


def _write(partial: Path, sources: Sequence[Source], flavor: Flavor, threads: int | None, tell: Tell) -> dict[str, int]:
    import h5py

    filters = filters_of(flavor)
    writers: list[GroupWriter] = []
    with h5py.File(partial, "w-", libver=("v108", "v110")) as file:
        file.attrs["format"] = FORMAT
        for source in sources:
            group = file.require_group(source.group)
            writer = GroupWriter(group, source.schema, source.most_rows, filters)
            writers.append(writer)
            writer.fill(source.batches(), threads, _teller(source, tell))
            writer.finish(provenance(source))
    with h5py.File(partial, "r") as file:
        for source, writer in zip(sources, writers, strict=True):
            prove(file[source.group], source.schema, source.most_rows, filters, writer.digests, threads)
    return {source.group: writer.rows for source, writer in zip(sources, writers, strict=True)}


def _teller(source: Source, tell: Tell) -> Callable[[int], None]:
    return lambda rows: tell(ExportProgress(group=source.group, rows=rows, most_rows=source.most_rows))


def provenance(source: Source) -> dict[str, Any]:
    """Attributes that say which rows these are: of which dataset, class, key, version, digest and range, in which schema."""
    pin = source.pin
    return {
        "arraystore_class": pin.storage_class,
        "arraystore_key": msgspec.json.encode(pin.key).decode(),
        "arraystore_dataset": pin.dataset,
        "arraystore_version": pin.version,
        "arraystore_digest": pin.digest,
        "arraystore_pin": msgspec.json.encode(pin).decode(),
        "arraystore_schema": msgspec.json.encode(source.schema).decode(),
        **source.attributes,
    }
