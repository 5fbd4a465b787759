"""`dask_scan`: a day, all columns, as Dask arrays of a lazy Dataset, on as many threads as a scan. Isolates what the graph costs."""

from collections.abc import Callable, Iterable

import numpy as np

from benchmarks import frame, synthetic
from benchmarks.frame import Figure, Goal, Setting, ahead, build, judged, of, take_turns
from benchmarks.limit import THREADS
from benchmarks.tables import arrays, ours
from benchmarks.tables.base import Columns, check, tree_bytes

COLUMNS = frame.COLUMNS


def run(*, small: bool = False, setting: Setting | None = None) -> list[Figure]:
    """Quotes, 12 columns: computed in the threads of Dask, beside our own read, and xarray's Zarr through Dask."""
    import dask
    import xarray as xr

    setting = setting or Setting(small=small)
    data = synthetic.quotes(setting.count(10_000_000, 100_000))
    mine, zarr = next(way for way in ours.ways() if way.group == "ours"), arrays.ways()[0]
    places = {"ours": build(mine, data, setting.folder), "zarr": build(zarr, data, setting.folder)}
    dataset = ours.Dataset(places["ours"]).dataset

    def computed(opened: xr.Dataset) -> dict[str, np.ndarray]:
        with dask.config.set(scheduler="threads", num_workers=THREADS):
            loaded = opened.compute()
        return {name: ours.plain(loaded[name].values) for name in data.columns}

    calls: dict[str, Callable[[], Columns]] = {
        "arraystore": lambda: computed(dataset.to_xarray(chunks="auto")),
        "arraystore, read": lambda: {name: ours.plain(values) for name, values in dataset.read().items()},
        "xr.open_zarr of to_zarr, Dask": lambda: computed(
            xr.open_zarr(places["zarr"] / arrays.STORE, consolidated=False, decode_times=False, chunks="auto")
        ),
    }
    for name, call in calls.items():
        check(name, call(), data.columns)
    sizes = {"arraystore": tree_bytes(places["ours"]), "xr.open_zarr of to_zarr, Dask": tree_bytes(places["zarr"])}
    groups = {"arraystore": "ours", "arraystore, read": "limit", "xr.open_zarr of to_zarr, Dask": "peer"}
    taken = take_turns(calls, setting.turns())
    return judged([samples.figure(data, name, groups[name], bytes=sizes.get(name)) for name, samples in taken.items()], _goals)


def _goals(by_name: dict[str, Figure], figures: list[Figure]) -> Iterable[Goal]:
    mine = by_name["arraystore"]
    yield of(mine, by_name["arraystore, read"], 0.8, "of our own threaded scan")
    yield from ahead(mine, figures, 1, "times the best peer", "peer")
