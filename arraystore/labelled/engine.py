"""The engine that xarray knows as "arraystore": datasets by path or URL, and whole venues, classes or stores as trees."""

from collections.abc import Iterable
from typing import Any

import msgspec
import xarray as xr
from xarray.backends import BackendEntrypoint

from arraystore import arguments
from arraystore.arguments import TimeLike
from arraystore.classes.roots import locate
from arraystore.datasets.view import DatasetView
from arraystore.errors import ArrayStoreError
from arraystore.frames.xarrayframe import rowwise_specs
from arraystore.labelled.lazy import lazy_dataset
from arraystore.labelled.places import open_view, role_of, views_below
from arraystore.labelled.source import Source, source_of
from arraystore.storage import open_storage
from arraystore.versions.fetch import DOCUMENT_BYTES, fetch

PIECE_BYTES = 128 << 20  # as Dask has it


class ArrayStoreEntrypoint(BackendEntrypoint):
    """`xr.open_dataset(path, engine="arraystore", …)` and `xr.open_datatree`.

    The path or URL is a dataset's place, as in `data/canonical/binance-usdm/trades/BTCUSDT`; a tree's is any place above one, up to the
    store. What comes back is as `DatasetView.to_xarray` gives it, lazily; with `chunks={}` in pieces along windows and chunks ("auto" is
    xarray's own, which takes no columns of text, bytes or labels). xarray names Dask's tasks after the path and the options: give
    `version` when several versions of one dataset meet in a computation.

    Parameters
    ----------
    drop_variables
        Names to leave out.
    role
        As which role to look; by default what `ARRAYSTORE_ROLE` says, else analysis. What it may not read raises `AccessDenied`; what is
        above that, a tree leaves out.
    version
        As `DatasetView.at` takes it; in a tree, a time rather than a number, which each dataset counts for itself.
    start, end, columns, clock, window
        As `DatasetView.to_xarray` takes them. In a tree, a column or clock is wanted of those that have it.
    """

    description = "Open datasets of an arraystore, versioned and checked, as one role"
    open_dataset_parameters = ("filename_or_obj", "drop_variables", "role", "version", "start", "end", "columns", "clock", "window")
    supports_groups = True

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        """Whether a directory on this machine, or a memory, says of itself that it is a dataset of ours."""
        try:
            location = locate(filename_or_obj)
            if "://" in location and not location.startswith(("file://", "memory://")):
                return False
            found = msgspec.json.decode(fetch(open_storage(location), "zarr.json", DOCUMENT_BYTES))
            return "key" in found["attributes"]["arraystore"]
        except (ArrayStoreError, OSError, msgspec.MsgspecError, KeyError, TypeError):
            return False

    def open_dataset(
        self,
        filename_or_obj: Any,
        *,
        drop_variables: str | Iterable[str] | None = None,
        role: str | None = None,
        version: int | TimeLike | None = None,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        columns: Iterable[str] | None = None,
        clock: str | None = None,
        window: str | None = None,
    ) -> xr.Dataset:
        """One dataset, lazily; see the class."""
        view = open_view(filename_or_obj, role_of(role), version)
        return _dataset(view, drop_variables, start, end, columns, clock, window)

    def open_groups_as_dict(
        self,
        filename_or_obj: Any,
        *,
        drop_variables: str | Iterable[str] | None = None,
        role: str | None = None,
        version: TimeLike | None = None,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        columns: Iterable[str] | None = None,
        clock: str | None = None,
    ) -> dict[str, xr.Dataset]:
        """Every dataset below a place by its path from there (as on disk), a run's series below it; see the class."""
        groups: dict[str, xr.Dataset] = {"/": xr.Dataset()}
        wanted = None if columns is None else {columns} if isinstance(columns, str) else set(columns)
        for path, view in views_below(filename_or_obj, role_of(role), version):
            for name, window in _series(view):
                schema = view.schema if window is None else view.schema_of(window)
                chosen = None if wanted is None else [column for column in schema.names if column in wanted]
                by = clock if clock in schema.clocks else None
                place = "/".join(filter(None, ("", path, name)))
                groups[f"/{place.strip('/')}"] = _dataset(view, drop_variables, start, end, chosen, by, window)
        return groups

    def open_datatree(self, filename_or_obj: Any, *, drop_variables: str | Iterable[str] | None = None, **options: Any) -> xr.DataTree:
        """A tree of every dataset below a place; see the class."""
        return xr.DataTree.from_dict(self.open_groups_as_dict(filename_or_obj, drop_variables=drop_variables, **options))


def _series(view: DatasetView) -> list[tuple[str, str | None]]:
    """What of a dataset is a Dataset of its own: itself, or each of a run's series (by its name on disk, and as told)."""
    if view.state.schema is not None:
        return [("", None)]
    return [
        (on_disk, told) for on_disk, told in zip(view.state.window_names(), view.windows(), strict=True) if view.state.summary(on_disk).rows
    ]


def _dataset(
    view: DatasetView,
    drop_variables: str | Iterable[str] | None,
    start: TimeLike | None,
    end: TimeLike | None,
    columns: Iterable[str] | None,
    clock: str | None,
    window: str | None,
) -> xr.Dataset:
    source = source_of(view, start, end, clock, window)
    data = lazy_dataset(source, arguments.columns(source.schema, columns))
    dropped = {drop_variables} if isinstance(drop_variables, str) else set(drop_variables or ())
    data = data.drop_vars(dropped & set(data.variables))
    for name, variable in data.data_vars.items():
        variable.encoding["preferred_chunks"] = _preferred(source, str(name))
    return data


def _preferred(source: Source, name: str) -> dict[str, tuple[int, ...] | int]:
    spec = next(spec for spec in rowwise_specs(source.schema) if spec.name == name)
    widest = max(each.element_bytes for each in source.schema.arrays())
    lengths = source.extent.blocks(PIECE_BYTES // widest)
    return {spec.dimensions[0]: lengths, **dict(zip(spec.dimensions[1:], spec.inner_shape, strict=True))}
