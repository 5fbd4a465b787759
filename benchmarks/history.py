"""`open_history`: a dataset of many commits, opened anew: its newest version and an old one. Isolates what history costs a reader."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import arraystore
from benchmarks import frame
from benchmarks.frame import Figure, Goal, Setting, ahead, judged, scratch, take_turns
from benchmarks.growth import nothing_is_synced
from benchmarks.tables.base import Data, WrongValues, tree_bytes
from benchmarks.tables.installed import installed

COLUMNS = {name: cell for name, cell in frame.COLUMNS.items() if name not in ("GB/s", "of the limit")}
KEY = ("venue", "table", "X")
ROWS = 10

type Rows = dict[str, np.ndarray]


class Kept(NamedTuple):
    """A history on disk: `newest` and `earlier` open it anew, and give the times of all its rows at the newest version, or half-way."""

    newest: Callable[[], np.ndarray]
    earlier: Callable[[], np.ndarray]


def run(*, small: bool = False, setting: Setting | None = None) -> list[Figure]:
    """As many appends of ten rows, a commit each, by every contestant that has versions."""
    setting = setting or Setting(small=small)
    commits = 20 if setting.small else 1_000
    with scratch(setting) as folder:
        kept = {}
        for name, write in writers().items():
            place = Path(folder) / name
            place.mkdir()
            kept[name] = write(place, commits)
        sizes = {name: tree_bytes(Path(folder) / name) for name in kept}
        return [each for what in ("newest", "earlier") for each in _opened(what, kept, commits, sizes, setting)]


def _opened(what: str, kept: dict[str, Kept], commits: int, sizes: dict[str, int], setting: Setting) -> list[Figure]:
    count = commits if what == "newest" else commits // 2
    wanted = np.concatenate([rows(number)["time"] for number in range(count)])
    calls = {name: getattr(each, what) for name, each in kept.items()}
    for name, call in calls.items():
        found = np.sort(call())
        if not np.array_equal(found, wanted):
            raise WrongValues(f"{name}: {what} of {commits} versions has {len(found)} rows, not the {len(wanted)} that were written")
    told = "newest version" if what == "newest" else "version half-way"
    data = Data(name=f"{commits:,} commits, {told}", columns={"time": wanted})
    taken = take_turns(calls, setting.turns(15))
    figures = [samples.figure(data, name, "ours" if name == "arraystore" else "peer", bytes=sizes[name]) for name, samples in taken.items()]
    return judged(figures, _goals)


def _goals(by_name: dict[str, Figure], figures: list[Figure]) -> Iterable[Goal]:
    return ahead(by_name["arraystore"], figures, 1, "times the best peer", "peer")


def rows(number: int) -> Rows:
    """Ten rows of a commit."""
    random = np.random.default_rng(number)
    time = arraystore.parse_time("2024-08-08") + np.arange(number * ROWS, (number + 1) * ROWS) * 1_000_000
    return {"time": time, "price": (60_000 + np.cumsum(random.integers(-2, 3, ROWS))) / 10}


def writers() -> dict[str, Callable[[Path, int], Kept]]:
    """Those whose libraries are installed."""
    listed: dict[str, Callable[[Path, int], Kept]] = {"arraystore": _ours}
    if installed("arcticdb", "pandas"):
        listed["ArcticDB"] = _arctic
    if installed("lance", "pyarrow"):
        listed["Lance"] = _lance
    if installed("icechunk"):
        listed["Icechunk"] = _icechunk
    return listed


def _ours(place: Path, commits: int) -> Kept:
    columns = (arraystore.Column(name="time", kind=arraystore.Kind.TIME), arraystore.Column(name="price"))
    store = arraystore.open_store(place, role="data-quality", create=True)
    dataset = store.canonical.create(KEY, arraystore.Schema(name="plain", order="arrival", columns=columns))
    first = dataset.version
    with nothing_is_synced():
        for number in range(commits):
            dataset.append(rows(number))

    def read(version: int | None) -> np.ndarray:
        opened: Any = arraystore.open_store(place, role="backtesting").canonical[KEY]
        frame = (opened if version is None else opened.at(version)).read(columns=["time"])
        return np.asarray(frame["time"]).view(np.int64)

    return Kept(lambda: read(None), lambda: read(first + commits // 2))


def _arctic(place: Path, commits: int) -> Kept:
    import arcticdb
    import pandas as pd

    library: Any = arcticdb.Arctic(f"lmdb://{place}?map_size=4GB").get_library("library", create_if_missing=True)
    for number in range(commits):
        told = rows(number)
        frame = pd.DataFrame({"price": told["price"]}, index=pd.DatetimeIndex(told["time"].view("datetime64[ns]"), name="time"))
        library.append("X", frame)

    # A process opens an LMDB database once, so opening isn't in it.
    def read(version: int | None) -> np.ndarray:
        return np.asarray(library.read("X", as_of=version, columns=[]).data.index.to_numpy().view(np.int64))

    return Kept(lambda: read(None), lambda: read(commits // 2 - 1))


def _lance(place: Path, commits: int) -> Kept:
    import lance
    import pyarrow as pa

    where = str(place / "table.lance")
    for number in range(commits):
        lance.write_dataset(pa.table(rows(number)), where, mode="append" if number else "create")

    def read(version: int | None) -> np.ndarray:
        return np.asarray(lance.dataset(where, version=version).to_table(columns=["time"])["time"].to_numpy())

    return Kept(lambda: read(None), lambda: read(commits // 2))


def _icechunk(place: Path, commits: int) -> Kept:
    import icechunk
    import zarr

    icechunk.set_logs_filter("error")
    storage = icechunk.local_filesystem_storage(str(place / "repository"))
    repository: Any = icechunk.Repository.create(storage)
    snapshots = []
    for number in range(commits):
        session = repository.writable_session("main")
        group = zarr.open_group(session.store, mode="a")
        for name, values in rows(number).items():
            if name not in group:
                group.create_array(name, shape=(0,), chunks=(10_000,), dtype=values.dtype)
            group[name].append(values)
        snapshots.append(session.commit("append"))

    def read(**version: str) -> np.ndarray:
        opened: Any = icechunk.Repository.open(icechunk.local_filesystem_storage(str(place / "repository")))
        return np.asarray(zarr.open_array(opened.readonly_session(**version).store, path="time", mode="r")[:])

    return Kept(lambda: read(branch="main"), lambda: read(snapshot_id=snapshots[commits // 2 - 1]))
