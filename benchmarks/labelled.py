"""`dask_scan`: a day, all columns, as Dask arrays of a lazy Dataset, on as many threads as a scan. Isolates what the graph costs."""

from collections.abc import Callable, Iterable
from typing import Any

from benchmarks import frame, synthetic
from benchmarks.frame import Figure, Goal, Setting, ahead, build, judged, of, take_turns
from benchmarks.limit import THREADS
from benchmarks.tables import arrays, ours
from benchmarks.tables.base import check, tree_bytes

COLUMNS = frame.COLUMNS
ZARR = "xr.open_zarr of to_zarr, Dask"


def run(*, small: bool = False, setting: Setting | None = None) -> list[Figure]:
    """Quotes, 12 columns: every chunk decoded by the threads of Dask (`persist`), beside our own read, and xarray's Zarr through Dask.

    `compute` copies the chunks into one array for each column besides, as Dask does for all its arrays.
    """
    import dask
    import xarray as xr

    setting = setting or Setting(small=small)
    data = synthetic.quotes(setting.count(10_000_000, 100_000))
    mine, zarr = next(way for way in ours.ways() if way.group == "ours"), arrays.ways()[0]
    places = {"ours": build(mine, data, setting.folder), "zarr": build(zarr, data, setting.folder)}
    dataset = ours.Dataset(places["ours"]).dataset

    def lazy() -> xr.Dataset:
        return dataset.to_xarray(chunks="auto")

    def plain() -> xr.Dataset:
        return xr.open_zarr(places["zarr"] / arrays.STORE, consolidated=False, decode_times=False, chunks="auto")

    def threaded(call: Callable[[], xr.Dataset]) -> Callable[[], xr.Dataset]:
        def run() -> xr.Dataset:
            with dask.config.set(scheduler="threads", num_workers=THREADS):
                return call()

        return run

    calls: dict[str, Callable[[], object]] = {
        "arraystore": threaded(lambda: lazy().persist()),
        "arraystore, computed into one array each": threaded(lambda: lazy().compute()),
        "arraystore, read": dataset.read,
        ZARR: threaded(lambda: plain().persist()),
        f"{ZARR}, computed into one array each": threaded(lambda: plain().compute()),
    }
    for name, call in calls.items():
        found: Any = call()
        check(name, {column: ours.plain(getattr(found[column], "values", found[column])) for column in data.columns}, data.columns)
        del found
    sizes = {"arraystore": tree_bytes(places["ours"]), ZARR: tree_bytes(places["zarr"])}
    groups = {"arraystore": "ours", "arraystore, computed into one array each": "copied", "arraystore, read": "limit"}
    taken = take_turns(calls, setting.turns())
    return judged([samples.figure(data, name, groups.get(name, "peer"), bytes=sizes.get(name)) for name, samples in taken.items()], _goals)


def _goals(by_name: dict[str, Figure], figures: list[Figure]) -> Iterable[Goal]:
    mine = by_name["arraystore"]
    yield of(mine, by_name["arraystore, read"], 0.8, "of our own threaded scan")
    yield from ahead(mine, figures, 1, "times the best peer", "peer")
