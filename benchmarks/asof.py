"""`as_of`: the quote in force at each of 10,000 times among 100 M, files to answer. Isolates how little must be read to look up."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import frame, synthetic
from benchmarks.frame import Figure, Goal, Setting, ahead, best, build, judged, take_turns
from benchmarks.tables import arrays, ours, parquet
from benchmarks.tables.base import Columns, Data, Way, check, tree_bytes
from benchmarks.tables.installed import installed

COLUMNS = {name: cell for name, cell in frame.COLUMNS.items() if name not in ("GB/s", "of the limit")}
TIMES = 10_000

type Look = Callable[[np.ndarray], dict[str, np.ndarray]]


def run(*, small: bool = False, setting: Setting | None = None) -> list[Figure]:
    """Times drawn at random over all days, in no order; what loading takes is in it."""
    setting = setting or Setting(small=small)
    data = synthetic.top_of_book(setting.count(100_000_000, 300_000))
    times, wanted = questions(data, min(TIMES, data.rows // 10))
    calls: dict[str, Callable[[], object]] = {}
    groups, sizes = {}, {}
    for name, (way, opened) in contestants().items():
        if not setting.wants(way):
            continue
        place = build(way, data, setting.folder)
        look = opened(place, list(data.columns))
        check(f"{name}, as of", look(times), wanted)
        calls[name] = lambda look=look: look(times)
        groups[name], sizes[name] = way.group, tree_bytes(place)
    taken = take_turns(calls, setting.turns(5), budget_seconds=60)
    told = Data(name=f"{len(times):,} times, {data.name}", columns=data.columns)
    return judged([samples.figure(told, name, groups[name], bytes=sizes[name]) for name, samples in taken.items()], _goals)


def questions(data: Data, count: int) -> tuple[np.ndarray, Columns]:
    """Times at which one row alone is in force (libraries differ in which of several they take), and what that row holds."""
    time = data.columns["time"]
    random = np.random.default_rng(17)
    times = random.integers(int(time[0]), int(time[-1]), 2 * count)
    rows = np.searchsorted(time, times, side="right") - 1
    alone = np.flatnonzero(time[np.maximum(rows - 1, 0)] != time[rows])[:count]
    return times[alone], {name: values[rows[alone]] for name, values in data.columns.items()}


def _goals(by_name: dict[str, Figure], figures: list[Figure]) -> Iterable[Goal]:
    mine = by_name["arraystore"]
    yield from ahead(mine, figures, 1, "times the best peer", "parquet", "peer")
    if (mapped := best(figures, "uncompressed")) is not None:
        yield Goal(
            what="times a search in mapped files, nothing compressed or checked", wanted=0, found=mapped.milliseconds / mine.milliseconds
        )


def contestants() -> dict[str, tuple[Way, Callable[[Path, list[str]], Look]]]:
    """Who looks up, in what is kept how."""
    ways = {way.name: way for module in (ours, parquet, arrays) for way in module.ways()}
    listed = {
        "arraystore": (ways["arraystore"], _ours),
        "searchsorted in mapped .npy": (ways["np.load"], _mapped),
    }
    if "Parquet tuned, PyArrow" in ways:
        tuned = ways["Parquet tuned, PyArrow"]
        if installed("polars"):
            listed["Polars join_asof"] = (tuned, _polars)
        if installed("duckdb"):
            listed["DuckDB ASOF JOIN"] = (tuned, _duckdb)
        if installed("pandas"):
            listed["pandas merge_asof"] = (tuned, _pandas)
    return listed


def _ours(place: Path, columns: list[str]) -> Look:
    dataset: Any = ours.Dataset(place).dataset

    def look(times: np.ndarray) -> dict[str, np.ndarray]:
        found = dataset.as_of(times, columns)
        return {name: ours.plain(found[name]) for name in columns}

    return look


def _mapped(place: Path, columns: list[str]) -> Look:
    def look(times: np.ndarray) -> dict[str, np.ndarray]:
        mapped = {name: np.load(place / f"{name}.npy", mmap_mode="r") for name in columns}
        rows = np.searchsorted(mapped["time"], times, side="right") - 1
        return {name: np.asarray(values[rows]) for name, values in mapped.items()}

    return look


def _polars(place: Path, columns: list[str]) -> Look:
    import polars as pl

    def look(times: np.ndarray) -> dict[str, np.ndarray]:
        order = np.argsort(times, kind="stable")
        asked = pl.LazyFrame({"asked": times[order]}).set_sorted("asked")
        table = pl.scan_parquet(place / parquet.FILE).select(columns).set_sorted("time")
        found = asked.join_asof(table, left_on="asked", right_on="time", coalesce=False).collect()
        return _unsorted({name: found[name].to_numpy() for name in columns}, order)

    return look


def _duckdb(place: Path, columns: list[str]) -> Look:
    import duckdb

    connection: Any = duckdb.connect()
    chosen = ", ".join(f"kept.{name}" for name in columns)

    def look(times: np.ndarray) -> dict[str, np.ndarray]:
        connection.register("asked", {"place": np.arange(len(times)), "asked": times})
        found = connection.sql(
            f"SELECT {chosen} FROM asked ASOF JOIN read_parquet('{place / parquet.FILE}') kept ON asked.asked >= kept.time "
            "ORDER BY asked.place"
        )
        return {name: np.asarray(values) for name, values in found.fetchnumpy().items()}

    return look


def _pandas(place: Path, columns: list[str]) -> Look:
    import pandas as pd

    def look(times: np.ndarray) -> dict[str, np.ndarray]:
        order = np.argsort(times, kind="stable")
        table = pd.read_parquet(place / parquet.FILE, columns=columns)
        found = pd.merge_asof(pd.DataFrame({"asked": times[order]}), table, left_on="asked", right_on="time")
        return _unsorted({name: found[name].to_numpy() for name in columns}, order)

    return look


def _unsorted(columns: dict[str, np.ndarray], order: np.ndarray) -> dict[str, np.ndarray]:
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order))
    return {name: values[places] for name, values in columns.items()}
