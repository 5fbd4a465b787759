"""`many`: 500 instruments of 200,000 rows at once, opened and read. Isolates what a dataset costs beside its rows."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

import arraystore
from benchmarks import frame, synthetic
from benchmarks.frame import Figure, Goal, Setting, ahead, built_store, judged, take_turns
from benchmarks.tables.base import Data, WrongValues, tree_bytes
from benchmarks.tables.installed import installed
from benchmarks.tables.ours import schema_of
from benchmarks.tables.parquet import write_zstd

COLUMNS = {name: cell for name, cell in frame.COLUMNS.items() if name != "of the limit"}
INSTRUMENTS, ROWS = 500, 200_000


def run(*, small: bool = False, setting: Setting | None = None) -> list[Figure]:
    """Trades of each instrument, all of one day; beside one dataset of as many rows, and as many Parquet files."""
    setting = setting or Setting(small=small)
    count, rows = (20, 5_000) if setting.small else (INSTRUMENTS, ROWS)
    rows = setting.rows // count if setting.rows else rows
    store = built_store(f"many-{count}-{rows}", lambda place: _make(place, count, rows), setting)
    files = built_store(f"many-parquet-{count}-{rows}", lambda place: _make_files(place, count, rows), setting, ours=False)
    calls: dict[str, Callable[[], Any]] = {
        "arraystore": lambda: _read_many(store),
        "arraystore, one dataset of that size": lambda: _read_one(store),
    }
    groups = {"arraystore": "ours", "arraystore, one dataset of that size": "one"}
    sizes = {"arraystore": tree_bytes(store / "canonical" / "venue")}
    if installed("polars"):
        calls["Parquet zstd, Polars"] = lambda: _polars(files)
    if installed("pyarrow"):
        calls["Parquet zstd, PyArrow"] = lambda: _pyarrow(files)
    total = _total(rows, count)
    for name, call in calls.items():
        if name != "arraystore, one dataset of that size":
            _check(name, call(), total)
        groups.setdefault(name, "parquet")
    taken = take_turns(calls, setting.turns(5))
    told = f"{count} × {rows:,} rows"
    decoded = count * synthetic.trades(rows).decoded
    shape = {"rows": count * rows, "decoded": decoded}
    data = Data(name=told, columns={"time": np.zeros(0, np.int64)})
    return judged([each.figure(data, name, groups[name], bytes=sizes.get(name), **shape) for name, each in taken.items()], _goals)


def _goals(by_name: dict[str, Figure], figures: list[Figure]) -> Iterable[Goal]:
    mine, one = by_name["arraystore"], by_name["arraystore, one dataset of that size"]
    found, cpu = 1.3 * one.milliseconds / mine.milliseconds, 1.3 * one.cpu / mine.cpu
    yield Goal(what="1.3 × the time of one dataset of that size, by ours", wanted=1, found=found, cpu=cpu)
    yield from ahead(mine, figures, 1, "times the best peer", "parquet")


def key(number: int) -> tuple[str, str, str]:
    """An instrument's key."""
    return ("venue", "trades", f"X{number:03d}")


def _make(place: Path, count: int, rows: int) -> None:
    surface = arraystore.open_store(place, role="data-quality", create=True).canonical
    pieces = []
    for number in range(count):
        data = synthetic.trades(rows, seed=number)
        surface.create(key(number), schema_of(data)).append(data.columns, completeness="complete")
        pieces.append(data.columns)
    # The same values in one dataset: instrument by instrument, a day each, so that chunks hold just what they hold above.
    whole = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
    days = np.repeat(np.arange(count, dtype=np.int64), rows) * synthetic.DAY
    one = surface.create(("one", "trades", "X"), _yearly(schema_of(data)))
    one.append(whole | {name: whole[name] + days for name in whole if name.endswith("time")})


def _yearly(schema: arraystore.Schema) -> arraystore.Schema:
    import msgspec

    return msgspec.structs.replace(schema, window=arraystore.WindowLength.YEAR)


def _make_files(place: Path, count: int, rows: int) -> None:
    for number in range(count):
        write_zstd(place / key(number)[-1], synthetic.trades(rows, seed=number))


def _total(rows: int, count: int) -> dict[int, float]:
    """The sum of prices of a few instruments, by number."""
    return {number: float(synthetic.trades(rows, seed=number).columns["price"].sum()) for number in (0, count // 2, count - 1)}


def _check(name: str, found: Any, wanted: dict[int, float]) -> None:
    for number, total in wanted.items():
        if found(number) != total:
            raise WrongValues(f"{name}: prices of {key(number)[-1]} add up to {found(number)}, where {total} was written")


def _read_many(place: Path) -> Callable[[int], float]:
    surface: Any = arraystore.open_store(place, role="backtesting").canonical
    frames = surface.read_many([key(number) for number in range(len(list((place / "canonical" / "venue" / "trades").glob("X*"))))])
    return lambda number: float(np.asarray(frames[key(number)]["price"]).sum())


def _read_one(place: Path) -> Any:
    return arraystore.open_store(place, role="backtesting").canonical["one", "trades", "X"].read()


def _polars(place: Path) -> Callable[[int], float]:
    import polars as pl

    paths = sorted(place.glob("X*/table.parquet"))
    frames = pl.collect_all([pl.scan_parquet(path) for path in paths])
    return lambda number: float(frames[number]["price"].to_numpy().sum())


def _pyarrow(place: Path) -> Callable[[int], float]:
    import pyarrow.parquet as pq

    tables = [pq.read_table(path) for path in sorted(place.glob("X*/table.parquet"))]
    return lambda number: float(tables[number]["price"].to_numpy().sum())
