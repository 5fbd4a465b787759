"""Which datasets go into which groups of a file, and their rows in batches of bounded size."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import Any

from msgspec.structs import replace

from arraystore import arguments
from arraystore.arguments import TimeLike
from arraystore.datasets.view import DatasetView
from arraystore.errors import InvalidInput
from arraystore.frames.rows import Rows
from arraystore.hdf5.exporting import Exported, ExportProgress, Source, Tell, export
from arraystore.hdf5.filters import Flavor
from layouts.naming import escape

__all__ = ["ExportProgress", "Exported", "export_hdf5"]

SCAN_BYTES = 128 << 20  # decoded: the batch that is compressed, and the next one


def export_hdf5(
    path: str | PurePath,
    datasets: DatasetView | Iterable[DatasetView] | Mapping[str, DatasetView],
    start: TimeLike | None = None,
    end: TimeLike | None = None,
    columns: Iterable[str] | None = None,
    *,
    clock: str | None = None,
    instruments: Iterable[str] | str | None = None,
    flavor: Flavor | str = Flavor.PORTABLE,
    overwrite: bool = False,
    threads: int | None = None,
    progress: Tell | None = None,
) -> Exported:
    """Write the selected rows of datasets to one HDF5 file, each at the version its handle sees.

    A single dataset fills the root group; of several each has a group, `class/key…` (escaped as in paths) or the names of a mapping.
    The file appears under its name only when it is whole: it is written beside it, read back and compared with the logical digests
    of what was read, synced, and renamed. Memory stays within about 256 MiB, however many rows there are.

    Parameters
    ----------
    path
        The file to make, on a local disk; it must not exist unless `overwrite`.
    datasets
        One dataset, several, or a mapping of group names (`a/b` nests).
    start, end, columns, clock, instruments
        As of `Dataset.read`; every dataset must have the columns that are named.
    flavor
        `portable` (gzip, shuffle and Fletcher-32: any HDF5 reader), `fast` (Blosc with zstd: readers with that filter), or `pandas`
        (tables for `pandas.read_hdf`).
    threads
        Compressors at work; the number of cores by default.
    progress
        Called with a `ExportProgress` after every batch.

    Returns
    -------
    Exported
        The path, its bytes, rows and pins per group.

    Raises
    ------
    AlreadyExists
        There is such a file, and `overwrite` is false.
    StorageError
        The medium refused (full, read-only); there is no file of that name, or the old one.
    Corrupt
        What was read back isn't what was written; there is no file of that name, or the old one.

    Examples
    --------
    >>> import arraystore, tempfile, h5py
    >>> store = arraystore.open_store("memory://exported", role="data-quality", create=True)
    >>> trades = store.canonical.create(("venue", "trades", "X"), arraystore.schema_by_name("trades"))
    >>> trades.append({"time": [1, 2], "price": [1.0, 2.5], "size": [1.0, 1.0], "side": [1, 1], "flags": [0, 0]}).version
    2
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     written = arraystore.export_hdf5(f"{folder}/trades.h5", trades)
    ...     with h5py.File(written.path) as file:
    ...         print(written.rows, file["price"][:], file["time"].attrs["units"])
    {'/': 2} [1.  2.5] nanoseconds since 1970-01-01
    """
    flavor, threads = _flavor(flavor), arguments.threads(threads)
    named = _named(datasets)
    wanted = None if columns is None else tuple(arguments.texts((columns,) if isinstance(columns, str) else columns, "columns"))
    span = arguments.bounds(start, end)
    sources = [source for group, view in named.items() for source in _sources(group, view, span, wanted, clock, instruments, threads)]
    return export(str(path), sources, flavor=flavor, overwrite=overwrite, threads=threads, tell=progress or _silently)


def _silently(_: ExportProgress) -> None:
    pass


def _flavor(given: Flavor | str) -> Flavor:
    try:
        return Flavor(given)
    except ValueError as error:
        raise InvalidInput(f"{given!r} isn't one of {', '.join(Flavor)}", "flavor") from error


def _named(datasets: DatasetView | Iterable[DatasetView] | Mapping[str, DatasetView]) -> dict[str, DatasetView]:
    if isinstance(datasets, DatasetView):
        return {"/": datasets}
    if isinstance(datasets, Mapping):
        named = {"/" + "/".join(part for part in str(name).split("/") if part): view for name, view in datasets.items()}
    else:
        views = list(datasets)
        named = {"/" + "/".join([view.storage_class, *map(escape, view.key)]): view for view in views}
        if len(named) < len(views):
            raise InvalidInput("a dataset is there twice: give each once, or a mapping of group names", "datasets")
    if not named:
        raise InvalidInput("there is no dataset to export: give at least one", "datasets")
    for name in named:
        if inside := next((other for other in named if other != name and (name == "/" or other.startswith(f"{name}/"))), None):
            raise InvalidInput(f"group {inside!r} would lie within {name!r}: name groups that don't", "datasets")
    return named


def _sources(
    group: str,
    view: DatasetView,
    span: tuple[int | None, int | None],
    columns: tuple[str, ...] | None,
    clock: str | None,
    instruments: Iterable[str] | str | None,
    threads: int | None,
) -> Iterator[Source]:
    """One group of a dataset, or one for each series of an experiment run."""
    series: tuple[str | None, ...] = (None,) if view.state.schema is not None else view.windows()
    for window in series:
        still = view.at(view.version)
        whole = still.schema if window is None else still.schema_of(window)
        schema = replace(whole, columns=tuple(map(whole.column, arguments.columns(whole, columns))))
        selected: dict[str, Any] = {
            "columns": schema.names,
            "clock": clock,
            "window": window,
            "instruments": instruments,
            "threads": threads,
        }
        windows = [still.manifest(name) for name in (still.windows() if window is None else (window,))]

        def batches(still: DatasetView = still, selected: dict[str, Any] = selected) -> Iterator[Rows]:
            return (frame.rows for frame in still.scan(*span, memory=SCAN_BYTES, prefetch=1, **selected))

        yield Source(
            group=group if window is None else f"{group.rstrip('/')}/{escape(window)}",
            schema=schema,
            most_rows=sum(manifest.rows for manifest in windows),
            batches=batches,
            pin=still.pin(*span, columns=() if columns is None else columns, window=window),
            attributes={"arraystore_profile": still.profile},
        )
