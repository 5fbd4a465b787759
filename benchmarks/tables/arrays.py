"""Files of arrays: xarray and Zarr as they write by themselves, Icechunk, TensorStore, and plain NumPy files."""

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.tables.base import Data, Query, Way, wanted_names, wanted_rows
from benchmarks.tables.installed import installed
from benchmarks.tables.ours import PIPELINES

STORE = "table.zarr"


def _dataset(data: Data) -> Any:
    import xarray as xr

    columns = {name: (("time",) if values.ndim == 1 else ("time", "level"), values) for name, values in data.columns.items()}
    time = columns.pop("time")
    # Integers without units: times stay what they are, on the way in and out.
    return xr.Dataset(columns, coords={"time": ("time", time[1])})


def write_zarr(place: Path, data: Data) -> None:
    """As `Dataset.to_zarr` does it: chunks and codec by Zarr's own choice."""
    place.mkdir(parents=True, exist_ok=True)
    _dataset(data).to_zarr(place / STORE, zarr_format=3, consolidated=False)


class XarrayZarr:
    """`xr.open_zarr`, loaded; a slice is selected by place, found in the times, which are in memory once it is open, as xarray has it."""

    def __init__(self, place: Path, pipeline: str) -> None:
        import zarr

        self._config: Any = zarr.config
        self._setting = {"codec_pipeline.path": PIPELINES[pipeline]}
        self._place = place
        with self._config.set(self._setting):
            self._source = self._open(place)
        self._time = self._source["time"].values

    def _open(self, place: Path) -> Any:
        import xarray as xr

        return xr.open_zarr(place / STORE, consolidated=False, chunks=None, decode_times=False)

    def read(self, query: Query) -> Any:
        with self._config.set(self._setting):
            # A scan opens anew: else times, which are in memory once it is open, would be had for nothing.
            source = self._open(self._place) if query.start is None else self._source
            names = wanted_names(["time", *source.data_vars], query)
            chosen = source[[name for name in names if name != "time"]]
            if query.start is not None:
                chosen = chosen.isel(time=wanted_rows(self._time, query))
            return chosen.copy().load()

    def arrays(self, result: Any) -> dict[str, np.ndarray]:
        return {name: np.asarray(result[name].values) for name in ["time", *result.data_vars]}


def write_icechunk(place: Path, data: Data) -> None:
    """The same arrays in one commit of a local repository."""
    import icechunk

    icechunk.set_logs_filter("error")
    place.mkdir(parents=True, exist_ok=True)
    repository: Any = icechunk.Repository.create(icechunk.local_filesystem_storage(str(place / "repository")))
    session = repository.writable_session("main")
    _dataset(data).to_zarr(session.store, zarr_format=3, consolidated=False)
    session.commit("write")


class Icechunk(XarrayZarr):
    """xarray through a read-only session."""

    def __init__(self, place: Path) -> None:
        super().__init__(place, "default")

    def _open(self, place: Path) -> Any:
        import icechunk
        import xarray as xr

        icechunk.set_logs_filter("error")
        repository: Any = icechunk.Repository.open(icechunk.local_filesystem_storage(str(place / "repository")))
        store = repository.readonly_session("main").store
        return xr.open_zarr(store, consolidated=False, chunks=None, decode_times=False)


class TensorStore:
    """TensorStore's own reader of that Zarr."""

    def __init__(self, place: Path) -> None:
        import tensorstore

        names = sorted(path.parent.name for path in (place / STORE).glob("*/zarr.json"))
        self._arrays: dict[str, Any] = {}
        for name in names:
            spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(place / STORE / name) + "/"}}
            self._arrays[name] = tensorstore.open(spec, read=True).result()
        self._time = self._arrays["time"].read().result()

    def read(self, query: Query) -> dict[str, np.ndarray]:
        rows = wanted_rows(self._time, query)
        reads = {name: self._arrays[name][rows].read() for name in wanted_names(list(self._arrays), query)}
        return {name: read.result() for name, read in reads.items()}

    def arrays(self, result: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return result


def write_numpy(place: Path, data: Data) -> None:
    """A file an array, as it is in memory."""
    place.mkdir(parents=True, exist_ok=True)
    for name, values in data.columns.items():
        np.save(place / f"{name}.npy", values)


class NumPy:
    """`np.load` of whole files: nothing is compressed or checked. A slice is of files mapped into memory, copied."""

    def __init__(self, place: Path) -> None:
        self._paths = {path.stem: path for path in place.glob("*.npy")}
        self._mapped = {name: np.load(path, mmap_mode="r") for name, path in self._paths.items()}

    def read(self, query: Query) -> dict[str, np.ndarray]:
        names = wanted_names(list(self._paths), query)
        if query.start is None:
            return {name: np.load(self._paths[name]) for name in names}
        rows = wanted_rows(self._mapped["time"], query)
        return {name: np.array(self._mapped[name][rows]) for name in names}

    def arrays(self, result: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return result


def ways() -> list[Way]:
    """Those whose libraries are installed."""
    kept = {"kept": "zarr", "write": write_zarr, "two_dimensional": True}
    pipelines = [name for name in PIPELINES if name != "zarrs" or installed("zarrs")]
    listed = [Way(name=f"xarray + Zarr, {name}", open=lambda place, name=name: XarrayZarr(place, name), **kept) for name in pipelines]
    if installed("icechunk"):
        listed.append(Way(name="Icechunk, xarray", kept="icechunk", write=write_icechunk, open=Icechunk, two_dimensional=True))
    if installed("tensorstore"):
        listed.append(Way(name="Zarr, TensorStore", open=TensorStore, **kept))
    listed.append(Way(name="np.load", kept="numpy", write=write_numpy, open=NumPy, group="uncompressed", two_dimensional=True))
    return listed
