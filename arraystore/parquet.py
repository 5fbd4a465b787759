"""Rows of a dataset as Parquet files that appear under their names only whole, durable and read back."""

# mypy: disable-error-code="import-untyped"

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from arraystore import arguments
from arraystore.arguments import TimeLike
from arraystore.datasets.view import DatasetView
from arraystore.digest import LogicalDigest
from arraystore.errors import Corrupt, InvalidInput
from arraystore.frames.arrow import arrow_schema, pyarrow, table_from
from arraystore.frames.intake import rows_from
from arraystore.segments.logical import add_digests
from arraystore.storage.outfile import appearing
from arraystore.versions.commit import Pin
from layouts.naming import escape
from layouts.schema import Schema

__all__ = ["ParquetExport", "ParquetProgress", "export_parquet"]

SCAN_BYTES = 96 << 20  # decoded: the batch that is written, and the next one
ROW_GROUP_ROWS = 1 << 20
READ_ROWS = 1 << 18
COMPRESSIONS = ("zstd", "snappy", "gzip", "lz4", "none")

type Digests = dict[str, LogicalDigest]


@dataclass(frozen=True, slots=True, kw_only=True)
class ParquetProgress:
    """How far an export is: which file, and how many of at most how many rows are written to it."""

    path: str
    rows: int
    most_rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ParquetExport:
    """One file that was written: its bytes and rows, and the pin of what they are."""

    path: str
    bytes: int
    rows: int
    pin: Pin

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {"path": self.path, "bytes": self.bytes, "rows": self.rows, "pin": msgspec.to_builtins(self.pin)}


def export_parquet(
    path: str | os.PathLike[str],
    dataset: DatasetView,
    start: TimeLike | None = None,
    end: TimeLike | None = None,
    columns: Iterable[str] | None = None,
    *,
    window: str | None = None,
    per_window: bool = False,
    instruments: Iterable[str] | str | None = None,
    compression: str = "zstd",
    row_group_rows: int = ROW_GROUP_ROWS,
    overwrite: bool = False,
    progress: Callable[[ParquetProgress], None] | None = None,
) -> list[ParquetExport]:
    """Write rows of a dataset, at the version its handle sees, to a Parquet file, or to one for each window.

    A file is written beside its name, read back and compared with the logical digests of what was read from the store, synced, and
    renamed. Rows are streamed: memory stays within a few hundred MiB. Times are timestamp[ns, UTC], vocabularies and labels dictionaries,
    decimals decimal128, levels lists; pages have checksums. The file's metadata say what it is of (`arraystore_class`, `_key`,
    `_version`, `_digest`, `_pin`, `_schema`), a field's its `unit` and `description`.

    Parameters
    ----------
    path
        The file to make, on a local disk; with `per_window` the directory for `<window>.parquet`, made if it isn't there.
    start, end, columns, window, instruments
        As `read` takes them.
    compression
        zstd, snappy, gzip, lz4 or none.
    row_group_rows
        Rows of a row group at most.
    overwrite
        Replace files of that name, each once the new one is whole.
    progress
        Called with a `ParquetProgress` after every batch.

    Raises
    ------
    AlreadyExists, StorageError, Corrupt
        There is such a file; the medium refused; what was read back isn't what was written. There is no file of that name, or the old one.

    Examples
    --------
    >>> import arraystore, tempfile, pyarrow.parquet as pq
    >>> store = arraystore.open_store("memory://parquet", role="data-quality", create=True)
    >>> trades = store.canonical.create(("venue", "trades", "X"), arraystore.schema_by_name("trades"))
    >>> trades.append({"time": [1, 2], "price": [1.0, 2.5], "size": [1.0, 1.0], "side": ["buy", "sell"], "flags": [0, 0]}).version
    2
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     (written,) = arraystore.export_parquet(f"{folder}/trades.parquet", trades, columns=["time", "side"])
    ...     pq.read_table(written.path)["side"].to_pylist()
    ['buy', 'sell']
    """
    if compression not in COMPRESSIONS:
        raise InvalidInput(f"{compression!r} is none of {', '.join(COMPRESSIONS)}", "compression")
    options = {"compression": compression, "row_group_size": arguments.whole(row_group_rows, "row_group_rows", 1)}
    still, place = dataset.at(dataset.version), Path(path)
    if per_window:
        place.mkdir(parents=True, exist_ok=True)
    windows = (window,) if window is not None or not per_window else still.windows(start, end)
    sources = {
        place / f"{escape(str(name))}.parquet" if per_window else place: _source(still, (start, end), columns, name, instruments, options)
        for name in windows
    }
    return [_export(file, source, overwrite=overwrite, progress=progress) for file, source in sources.items()]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """What goes into one file, and how."""

    view: DatasetView
    schema: Schema
    selected: dict[str, Any]
    pin: Pin
    most_rows: int
    options: dict[str, Any]


def _source(
    view: DatasetView,
    span: tuple[TimeLike | None, TimeLike | None],
    columns: Iterable[str] | None,
    window: str | None,
    instruments: Iterable[str] | str | None,
    options: dict[str, Any],
) -> _Source:
    """The rows of a whole dataset, or of a window of it."""
    start, end = arguments.bounds(*span)
    schema = view.schema if window is None else view.schema_of(window)
    wanted = arguments.columns(schema, columns)
    return _Source(
        view=view,
        schema=replace(schema, columns=tuple(map(schema.column, wanted))),
        selected={"start": start, "end": end, "columns": wanted, "window": window, "instruments": instruments},
        pin=view.pin(start, end, columns=() if columns is None else wanted, window=window),
        most_rows=view.rows if window is None else view.manifest(window).rows,
        options=options,
    )


def _export(place: Path, source: _Source, *, overwrite: bool, progress: Callable[[ParquetProgress], None] | None) -> ParquetExport:
    """Write, read back, compare, sync and only then name a file."""
    pyarrow()
    with appearing(place, overwrite=overwrite) as partial:
        rows, written = _write(partial, source, str(place), progress)
        found = _digests_of_file(partial, source.schema)
        for name, wanted in written.items():
            if found.get(name) != wanted:
                raise Corrupt(f"{str(place)!r}: {name} reads back as {found.get(name)}, and was written as {wanted}: nothing has that name")
    return ParquetExport(path=str(place), bytes=place.stat().st_size, rows=rows, pin=source.pin)


def _write(partial: Path, source: _Source, name: str, progress: Callable[[ParquetProgress], None] | None) -> tuple[int, Digests]:
    import pyarrow.parquet as pq

    digests: Digests = {}
    rows = 0
    schema = arrow_schema(source.schema)
    told = [field.with_metadata(_field_metadata(source.schema, field.name)) for field in schema]
    with pq.ParquetWriter(
        partial,
        pyarrow().schema(told, _provenance(source)),
        compression=source.options["compression"],
        version="2.6",
        write_page_checksum=True,
    ) as writer:
        for frame in source.view.scan(memory=SCAN_BYTES, prefetch=1, **source.selected):
            add_digests(digests, frame.rows, source.schema)
            writer.write_table(table_from(frame.rows).cast(writer.schema), row_group_size=source.options["row_group_size"])
            rows += frame.row_count
            if progress is not None:
                progress(ParquetProgress(path=name, rows=rows, most_rows=source.most_rows))
    return rows, digests


def _digests_of_file(path: Path, schema: Schema) -> Digests:
    """The logical digests of what a file holds, a few row groups' worth at a time."""
    import pyarrow.parquet as pq

    digests: Digests = {}
    with pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=False) as file:  # buffered ahead, it would be kept whole
        for batch in file.iter_batches(READ_ROWS):
            add_digests(digests, rows_from(pyarrow().Table.from_batches([batch]), schema), schema)
    return digests


def _field_metadata(schema: Schema, name: str) -> dict[str, str]:
    column = schema.column(name)
    told = {"unit": column.unit, "description": column.description, "clock": column.clock and column.clock.value}
    return {key: value for key, value in told.items() if value}


def _provenance(source: _Source) -> dict[str, str]:
    """Which rows these are: of which dataset, class, key, version, digest and range, in which schema."""
    pin = source.pin
    return {
        "arraystore_class": pin.storage_class,
        "arraystore_key": msgspec.json.encode(pin.key).decode(),
        "arraystore_dataset": pin.dataset,
        "arraystore_version": str(pin.version),
        "arraystore_digest": pin.digest,
        "arraystore_pin": msgspec.json.encode(pin).decode(),
        "arraystore_schema": msgspec.json.encode(source.schema).decode(),
    }
