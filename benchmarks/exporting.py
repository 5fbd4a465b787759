"""`export_hdf5`: a table out to one HDF5 file. Isolates compressing on all processors, against reading everything back once more.

h5py writes the same arrays, in the same chunks with the same filters, from memory; ours are read from the store, and the file is proved.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

import arraystore
from arraystore.hdf5.contents import stored_arrays
from arraystore.hdf5.filters import Flavor, filters_of
from benchmarks import frame, synthetic
from benchmarks.frame import Figure, Goal, Setting, build, judged, of, scratch, take_turns
from benchmarks.limit import THREADS
from benchmarks.tables import ours
from benchmarks.tables.base import check

COLUMNS = frame.COLUMNS
WANTED = {"portable": 1.7, "fast": 1.0}
"""On two processors, of which h5py keeps one busy; Blosc is so quick that reading back takes half of our time."""


def run(*, small: bool = False, setting: Setting | None = None) -> list[Figure]:
    """Trades and quotes, every column, in both flavors, on two threads; what h5py reads from either file is compared before."""
    setting = setting or Setting(small=small)
    figures: list[Figure] = []
    for make in (synthetic.trades, synthetic.quotes):
        data = make(setting.count(2_000_000, 20_000))
        mine = next(way for way in ours.ways() if way.group == "ours")
        dataset = ours.Dataset(build(mine, data, setting.folder)).dataset
        for flavor in Flavor.PORTABLE, Flavor.FAST:
            with scratch(setting) as folder:
                figures += _measured(dataset, data, flavor, Path(folder), setting)
    return figures


def _measured(dataset: arraystore.Dataset, data: Any, flavor: Flavor, folder: Path, setting: Setting) -> list[Figure]:
    names = {"arraystore": folder / "ours.h5", "h5py, same filters": folder / "theirs.h5"}
    arrays = _arrays(dataset)
    calls: dict[str, Callable[[], object]] = {
        "arraystore": lambda: arraystore.export_hdf5(names["arraystore"], dataset, flavor=flavor, threads=THREADS),
        "h5py, same filters": lambda: _write(names["h5py, same filters"], dataset, arrays, flavor),
    }

    def tidy() -> None:
        for path in names.values():
            path.unlink(missing_ok=True)

    for call in calls.values():
        call()
    expected = {name: array.tobytes() for name, array in arrays.items()}
    sizes = {}
    for name, path in names.items():
        found = _read(path, arrays)
        check(
            f"{name} of {data.name}",
            {each: np.frombuffer(array, np.uint8) for each, array in found.items()},
            {each: np.frombuffer(array, np.uint8) for each, array in expected.items()},
        )
        sizes[name] = path.stat().st_size
    tidy()
    taken = take_turns(calls, setting.turns(5), after=tidy)
    told = [samples.figure(data, name, "ours" if name == "arraystore" else "peer", bytes=sizes[name]) for name, samples in taken.items()]
    return [_named(each, flavor) for each in judged(told, lambda by_name, _: _goals(by_name, flavor))]


def _arrays(dataset: arraystore.Dataset) -> dict[str, np.ndarray]:
    """What the file holds, in memory."""
    rows = dataset.read().rows
    return {stored.spec.name: np.ascontiguousarray(stored.of(rows), stored.dtype) for stored in stored_arrays(dataset.schema, rows.count)}


def _write(path: Path, dataset: arraystore.Dataset, arrays: dict[str, np.ndarray], flavor: Flavor) -> None:
    import h5py

    filters = filters_of(flavor)
    chunks = {stored.spec.name: stored.chunk_shape for stored in stored_arrays(dataset.schema, dataset.rows)}
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array, chunks=chunks[name], maxshape=(None, *array.shape[1:]), **filters.options(array.dtype))


def _read(path: Path, names: Iterable[str]) -> dict[str, bytes]:
    import h5py

    with h5py.File(path) as file:
        return {name: file[name][:].tobytes() for name in names}


def _named(figure: Figure, flavor: Flavor) -> Figure:
    return frame.replace(figure, data=f"{figure.data}, {flavor}")


def _goals(by_name: dict[str, Figure], flavor: Flavor) -> Iterable[Goal]:
    yield of(by_name["arraystore"], by_name["h5py, same filters"], WANTED[flavor], "times plain h5py")
