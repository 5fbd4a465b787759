"""`xarray_open`: a dataset as an xarray Dataset, opened and a minute selected. Isolates the time index, which others decode whole."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

import arraystore
from benchmarks import frame, synthetic
from benchmarks.frame import Figure, Goal, Setting, ahead, build, judged, take_turns
from benchmarks.slicing import MINUTE
from benchmarks.tables import arrays, ours
from benchmarks.tables.base import Data, Query, check, tree_bytes

COLUMNS = {name: cell for name, cell in frame.COLUMNS.items() if name not in ("GB/s", "of the limit")}


def run(*, small: bool = False, setting: Setting | None = None) -> list[Figure]:
    """100 M quotes over ten days: opening alone, and opening with `.sel` of a minute, loaded."""
    setting = setting or Setting(small=small)
    data = synthetic.top_of_book(setting.count(100_000_000, 100_000))
    start = int(data.columns["time"][data.rows // 3])
    query = Query(start=start, stop=start + MINUTE)
    mine, zarr = next(way for way in ours.ways() if way.group == "ours"), arrays.ways()[0]
    places = {"arraystore": build(mine, data, setting.folder), "xr.open_zarr of to_zarr": build(zarr, data, setting.folder)}
    opens: dict[str, Callable[[], Any]] = {
        "arraystore": lambda: opened(places["arraystore"]),
        "xr.open_zarr of to_zarr": lambda: _plain_zarr(places["xr.open_zarr of to_zarr"]),
    }
    wanted = query.of(data)
    for name, call in opens.items():
        check(name, selected(call(), query), wanted)
    sizes = {name: tree_bytes(place) for name, place in places.items()}
    figures: list[Figure] = []
    calls: dict[str, dict[str, Callable[[], object]]] = {
        "open": dict(opens),
        "open, .sel of a minute": {name: lambda call=call: selected(call(), query) for name, call in opens.items()},
    }
    for what, contestants in calls.items():
        taken = take_turns(contestants, setting.turns(15))
        told = Data(name=f"{data.name}: {what}", columns=data.columns)
        groups = {name: "ours" if name == "arraystore" else "peer" for name in taken}
        figures += judged([each.figure(told, name, groups[name], bytes=sizes[name]) for name, each in taken.items()], _goals)
    return figures


def _goals(by_name: dict[str, Figure], figures: list[Figure]) -> Iterable[Goal]:
    mine = by_name["arraystore"]
    if mine.data.endswith("open"):
        yield Goal(what="50 ms, by the median", wanted=1, found=50 / mine.milliseconds)
    yield from ahead(mine, figures, 1, "times the best peer", "peer")


def opened(place: Path) -> Any:
    """Through the whole of the way: the store, the dataset, the lazy Dataset."""
    dataset: Any = arraystore.open_store(place, role="backtesting").canonical[ours.KEY]
    return dataset.to_xarray()


def _plain_zarr(place: Path) -> Any:
    """As xarray does it: the index is made of all times, at once; times are given their unit, which the file doesn't have."""
    import xarray as xr

    plain = xr.open_zarr(place / arrays.STORE, consolidated=False, chunks=None, decode_times=False)
    return plain.assign_coords(time=plain["time"].values.view("datetime64[ns]"))


def selected(dataset: Any, query: Query) -> dict[str, np.ndarray]:
    """A slice of times, both ends in it as with xarray, loaded."""
    assert query.start is not None
    assert query.stop is not None
    first, last = np.datetime64(query.start, "ns"), np.datetime64(query.stop - 1, "ns")
    loaded = dataset.sel(time=slice(first, last)).load()
    return {name: ours.plain(loaded[name].values) for name in ["time", *loaded.data_vars]}
