"""Vortex, Lance and ArcticDB, each as its documentation shows."""

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.tables.base import Data, Query, Way, from_arrow, to_arrow
from benchmarks.tables.installed import installed


def write_vortex(place: Path, data: Data) -> None:
    import vortex.io

    place.mkdir(parents=True, exist_ok=True)
    vortex.io.write(to_arrow(data.columns), str(place / "table.vortex"))


class Vortex:
    """A file's scan, decoded to Arrow: what `read_all` gives by itself is still encoded."""

    def __init__(self, place: Path) -> None:
        import vortex
        import vortex.expr

        self._file: Any = vortex.open(str(place / "table.vortex"))
        self._column: Any = vortex.expr.column

    def read(self, query: Query) -> Any:
        columns = None if query.columns is None else list(query.columns)
        if query.start is None:
            return self._file.to_arrow(columns).read_all()
        time = self._column("time")
        rows = (time >= query.start) & (time < query.stop)
        return self._file.scan(columns, expr=rows).read_all().to_arrow_table()

    def arrays(self, result: Any) -> dict[str, np.ndarray]:
        return from_arrow(result)


def write_lance(place: Path, data: Data) -> None:
    import lance

    place.mkdir(parents=True, exist_ok=True)
    lance.write_dataset(to_arrow(data.columns), str(place / "table.lance"))


class Lance:
    """`LanceDataset.to_table`, a slice by a filter."""

    def __init__(self, place: Path) -> None:
        import lance

        self._dataset: Any = lance.dataset(str(place / "table.lance"))

    def read(self, query: Query) -> Any:
        columns = None if query.columns is None else list(query.columns)
        rows = None if query.start is None else f"time >= {query.start} AND time < {query.stop}"
        return self._dataset.to_table(columns=columns, filter=rows)

    def arrays(self, result: Any) -> dict[str, np.ndarray]:
        return from_arrow(result)


_libraries: dict[str, Any] = {}


def _arctic(place: Path) -> Any:
    """A library of an LMDB database, which a process opens once."""
    import arcticdb

    name = str(place)
    if name not in _libraries:
        place.mkdir(parents=True, exist_ok=True)
        _libraries[name] = arcticdb.Arctic(f"lmdb://{place}?map_size=32GB").get_library("library", create_if_missing=True)
    return _libraries[name]


def write_arctic(place: Path, data: Data) -> None:
    """A DataFrame under its times; columns of several levels as so many columns."""
    import pandas as pd

    columns = {}
    for name, values in list(data.columns.items())[1:]:
        columns |= {name: values} if values.ndim == 1 else {f"{name}_{level:02d}": values[:, level] for level in range(values.shape[1])}
    index = pd.DatetimeIndex(data.columns["time"].view("datetime64[ns]"), name="time")
    _arctic(place).write("table", pd.DataFrame(columns, index=index, copy=False))


class Arctic:
    """`Library.read` of columns and a range of dates, into pandas or into Arrow."""

    def __init__(self, place: Path, form: str) -> None:
        import pandas as pd

        self._library, self._form, self._moment = _arctic(place), form, pd.Timestamp

    def read(self, query: Query) -> Any:
        dates = None if query.start is None else (self._moment(query.start), self._moment(query.stop - 1))  # type: ignore[operator]
        columns = None if query.columns is None else [name for name in query.columns if name != "time"]
        return self._library.read("table", date_range=dates, columns=columns, output_format=self._form).data

    def arrays(self, result: Any) -> dict[str, np.ndarray]:
        if self._form == "PYARROW":
            return from_arrow(result)
        return {"time": result.index.to_numpy().view(np.int64)} | {name: result[name].to_numpy() for name in result.columns}


def ways() -> list[Way]:
    """Those whose libraries are installed."""
    listed = []
    if installed("vortex", "pyarrow"):
        listed.append(Way(name="Vortex", kept="vortex", write=write_vortex, open=Vortex, two_dimensional=True))
    if installed("lance", "pyarrow"):
        listed.append(Way(name="Lance", kept="lance", write=write_lance, open=Lance, two_dimensional=True))
    if installed("arcticdb", "pandas"):
        for output, form in (("pandas", "PANDAS"), ("Arrow", "PYARROW")):
            listed.append(
                Way(name=f"ArcticDB, {output}", kept="arctic", write=write_arctic, open=lambda place, form=form: Arctic(place, form))
            )
    return listed
