"""What other ways there are to append ten rows, each as its documentation shows; rows are told apart by their time."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

import arraystore
from benchmarks.append import SMALL_COLUMNS, Data, Sqlite, new_dataset, some_rows


class Contestant(Protocol):
    """One place that rows are appended to."""

    def append(self, data: Data) -> object:
        """Add rows; they count as acknowledged when this returns."""
        ...

    def times(self) -> np.ndarray:
        """The times of all rows there are, sorted."""
        ...


class Ours:
    """arraystore's `append`."""

    def __init__(self, place: Path) -> None:
        if (place / "zarr.json").exists():
            self._dataset = arraystore.open_store(place, role="data-quality").canonical["venue", "plain", "X"]
        else:
            self._dataset = new_dataset(place)

    def append(self, data: Data) -> object:
        return self._dataset.append(data)

    def times(self) -> np.ndarray:
        return np.asarray(self._dataset.read(columns=["time"])["time"]).astype(np.int64)


class Database(Sqlite):
    """SQLite, WAL, `synchronous=FULL`."""

    def times(self) -> np.ndarray:
        return np.array([time for (time,) in self._connection.execute("SELECT time FROM rows ORDER BY time")], np.int64)


class Arctic:
    """ArcticDB on LMDB: `Library.append` of a DataFrame."""

    def __init__(self, place: Path) -> None:
        import arcticdb
        import pandas as pd

        self._pandas = pd
        library = arcticdb.Arctic(f"lmdb://{place}?map_size=100MB").get_library("library", create_if_missing=True)
        self._library: Any = library

    def append(self, data: Data) -> object:
        index = self._pandas.DatetimeIndex(data["time"].view("datetime64[ns]"))
        return self._library.append("X", self._pandas.DataFrame({name: data[name] for name in list(data)[1:]}, index=index))

    def times(self) -> np.ndarray:
        return np.asarray(self._library.read("X").data.index.to_numpy().astype("datetime64[ns]").astype(np.int64))


class Icechunk:
    """Icechunk on a local disk: arrays appended to, and committed."""

    def __init__(self, place: Path) -> None:
        import icechunk
        import zarr

        self._zarr: Any = zarr
        icechunk.set_logs_filter("error")
        self._repository: Any = icechunk.Repository.open_or_create(icechunk.local_filesystem_storage(str(place)))
        session = self._repository.writable_session("main")
        _arrays(zarr.open_group(session.store, mode="a"))
        if session.has_uncommitted_changes:
            session.commit("begin")

    def append(self, data: Data) -> object:
        session = self._repository.writable_session("main")
        _append(self._zarr.open_group(session.store, mode="a"), data)
        return session.commit("append")

    def times(self) -> np.ndarray:
        return np.asarray(self._zarr.open_array(self._repository.readonly_session("main").store, path="time", mode="r")[:])


class Zarr:
    """zarr-python's `Array.append` on a directory."""

    def __init__(self, place: Path) -> None:
        import zarr

        self._group: Any = zarr.open_group(place, mode="a")
        _arrays(self._group)

    def append(self, data: Data) -> object:
        return _append(self._group, data)

    def times(self) -> np.ndarray:
        lengths = {array.shape[0] for array in (self._group[name] for name in _names())}
        if len(lengths) > 1:
            raise ValueError(f"columns have {sorted(lengths)} rows")
        return np.asarray(self._group["time"][:])


class Parquet:
    """A Parquet file for each append, named by its number."""

    def __init__(self, place: Path) -> None:
        place.mkdir(exist_ok=True)
        self._place = place
        self._count = len(list(place.glob("*.parquet")))

    def append(self, data: Data) -> object:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._count += 1
        return pq.write_table(pa.table(data), self._place / f"{self._count:08d}.parquet")

    def times(self) -> np.ndarray:
        import pyarrow.parquet as pq

        parts = [pq.read_table(path)["time"].to_numpy() for path in sorted(self._place.glob("*.parquet"))]
        return np.concatenate(parts) if parts else np.array([], np.int64)


CONTESTANTS: dict[str, Callable[[Path], Contestant]] = {
    "arraystore": Ours,
    "SQLite": Database,
    "ArcticDB": Arctic,
    "Icechunk": Icechunk,
    "zarr": Zarr,
    "Parquet": Parquet,
}


def opened(name: str, place: Path) -> Contestant | None:
    """A contestant at its place, which holds it already or is new; None where it isn't installed."""
    place.parent.mkdir(exist_ok=True, parents=True)
    if name == "SQLite":
        place.mkdir(exist_ok=True)
    try:
        return CONTESTANTS[name](place)
    except ImportError:
        return None


def _names() -> list[str]:
    return list(some_rows(1, SMALL_COLUMNS, 0))


def _arrays(group: Any) -> None:
    for name in _names():
        if name not in group:
            group.create_array(name, shape=(0,), chunks=(10_000,), dtype="int64" if name == "time" else "float64")


def _append(group: Any, data: Data) -> None:
    for name, values in data.items():
        group[name].append(values)
