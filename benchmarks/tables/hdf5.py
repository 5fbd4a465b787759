"""HDF5: h5py with gzip and with Blosc, and pandas' HDFStore."""

import warnings
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.tables.base import Data, Query, Way, wanted_names, wanted_rows
from benchmarks.tables.installed import installed

FILE = "table.h5"


def _writer(options: Callable[[], dict[str, Any]]) -> Callable[[Path, Data], None]:
    def write(place: Path, data: Data) -> None:
        import h5py

        place.mkdir(parents=True, exist_ok=True)
        with h5py.File(place / FILE, "w") as file:
            for name, values in data.columns.items():
                chunk = max(1, min(len(values), 262_144 // (values.nbytes // len(values))))
                file.create_dataset(name, data=values, chunks=(chunk, *values.shape[1:]), **options())

    return write


def _gzip() -> dict[str, Any]:
    return {"compression": "gzip", "shuffle": True}


def _blosc() -> dict[str, Any]:
    import hdf5plugin

    return dict(hdf5plugin.Blosc(cname="zstd", clevel=5, shuffle=hdf5plugin.Blosc.SHUFFLE))


class H5py:
    """Arrays of a file that is open; rows are found in the times, which are in memory."""

    def __init__(self, place: Path) -> None:
        if installed("hdf5plugin"):
            import hdf5plugin  # noqa: F401 - registers its filters
        import h5py

        self._file: Any = h5py.File(place / FILE, "r")
        self._time = self._file["time"][:]

    def read(self, query: Query) -> dict[str, np.ndarray]:
        rows = wanted_rows(self._time, query)
        return {name: self._file[name][rows] for name in wanted_names(list(self._file), query)}

    def arrays(self, result: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return result


def write_store(place: Path, data: Data) -> None:
    """pandas' table format, whose index can be queried, with Blosc."""
    import pandas as pd

    place.mkdir(parents=True, exist_ok=True)
    index = pd.DatetimeIndex(data.columns["time"].view("datetime64[ns]"), name="time")
    frame = pd.DataFrame(dict(list(data.columns.items())[1:]), index=index, copy=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pd.HDFStore(str(place / FILE), mode="w", complevel=5, complib="blosc:zstd") as store:
            store.put("table", frame, format="table")


class HDFStore:
    """`HDFStore.select`."""

    def __init__(self, place: Path) -> None:
        import pandas as pd

        self._store: Any = pd.HDFStore(str(place / FILE), mode="r")
        weakref.finalize(self, self._store.close)

    def read(self, query: Query) -> Any:
        rows = None if query.start is None else f"index >= Timestamp({query.start}) & index < Timestamp({query.stop})"
        columns = None if query.columns is None else [name for name in query.columns if name != "time"]
        return self._store.select("table", where=rows, columns=columns)

    def arrays(self, result: Any) -> dict[str, np.ndarray]:
        return {"time": result.index.to_numpy().view(np.int64)} | {name: result[name].to_numpy() for name in result.columns}


def ways() -> list[Way]:
    """Those whose libraries are installed; h5py is."""
    listed = [Way(name="HDF5 gzip, h5py", kept="hdf5-gzip", write=_writer(_gzip), open=H5py, two_dimensional=True)]
    if installed("hdf5plugin"):
        listed.append(Way(name="HDF5 Blosc, h5py", kept="hdf5-blosc", write=_writer(_blosc), open=H5py, two_dimensional=True))
    if installed("tables", "pandas"):
        listed.append(Way(name="HDFStore, pandas", kept="hdfstore", write=write_store, open=HDFStore))
    return listed
