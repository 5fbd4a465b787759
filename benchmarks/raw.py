"""`raw`: recorded messages as received, into Arrow. Isolates ragged bytes: payloads of differing length, and none an object."""

import gzip
import itertools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import arraystore
from benchmarks import frame
from benchmarks.data import captures
from benchmarks.frame import Figure, Goal, Setting, ahead, judged, scratch, take_turns
from benchmarks.limit import Limit
from benchmarks.tables.base import Data, WrongValues, tree_bytes
from benchmarks.tables.installed import installed

COLUMNS = frame.COLUMNS
KEY = ("venue", "raw", "X")


class Form(NamedTuple):
    """How one keeps an Arrow table of times and payloads: `write` it below a folder; `read` is told the folder once, then called."""

    group: str
    write: Callable[[Path, pa.Table], object]
    reader: Callable[[Path], Callable[[], pa.Table]]


def run(*, small: bool = False, setting: Setting | None = None) -> list[Figure]:
    """All shared captures one after another; made-up messages where they aren't there."""
    setting = setting or Setting(small=small)
    table = messages(setting)
    payload = table["payload"].nbytes
    data = Data(name=f"{len(table):,} messages", columns={"time": table["time"].to_numpy()})
    with scratch(setting) as folder:
        readers: dict[str, Callable[[], Any]] = {}
        groups: dict[str, str] = {}
        sizes: dict[str, int] = {}
        for name, form in forms().items():
            if setting.only and form.group != "ours" and not any(only.lower() in name.lower() for only in setting.only):
                continue
            place = Path(folder) / name.replace(" ", "-")
            place.mkdir()
            form.write(place, table)
            readers[name], groups[name], sizes[name] = form.reader(place), form.group, tree_bytes(place)
            _check(name, readers[name](), table)
        limit = Limit(arraystore.open_store(Path(folder) / "arraystore", role="backtesting").canonical[KEY])
        beside = {"limit, reused memory": limit.reused, "memcpy": limit.copied}
        groups |= {"limit, reused memory": "limit", "memcpy": "memcpy"}
        taken = take_turns(readers | beside, setting.turns())
    decoded = payload + data.decoded
    figures = [samples.figure(data, name, groups[name], bytes=sizes.get(name), decoded=decoded) for name, samples in taken.items()]
    return judged(figures, _goals)


def _goals(by_name: dict[str, Figure], figures: list[Figure]) -> Iterable[Goal]:
    return ahead(by_name["arraystore"], figures, 1, "times the best peer", "peer", "parquet")


def messages(setting: Setting) -> pa.Table:
    """Times (int64) and payloads (LargeBinary) of the captures, in order of time."""
    lines: list[bytes] = []
    for path in captures()[:1] if setting.small else captures():
        with gzip.open(path) as file:
            lines += itertools.islice(file, setting.rows) if setting.rows else file
    if not lines:
        random = np.random.default_rng(4)
        count = setting.count(240_000, 11_000)
        prices = 600_000 + np.cumsum(random.integers(-2, 3, count))
        lines = [
            b'%019d {"e":"trade","s":"X","p":"%d.%d"}\n' % (number, price // 10, price % 10) for number, price in enumerate(prices.tolist())
        ]
    pairs = [line.rstrip(b"\n").split(b" ", 1) for line in lines]
    pairs.sort(key=lambda pair: pair[0])
    times = np.array([int(time) for time, _ in pairs], np.int64)
    return pa.table({"time": times, "payload": pa.array([payload for _, payload in pairs], pa.large_binary())})


def forms() -> dict[str, Form]:
    """Those whose libraries are installed."""
    listed = {
        "arraystore": Form("ours", _write_ours, _read_ours),
        "Parquet zstd, PyArrow": Form("parquet", _write_parquet, lambda place: lambda: pq.read_table(place / "table.parquet")),
    }
    if installed("polars"):
        listed["Parquet zstd, Polars"] = Form("parquet", _write_parquet, _read_polars)
    if installed("duckdb"):
        listed["Parquet zstd, DuckDB"] = Form("parquet", _write_parquet, _read_duckdb)
    if installed("vortex"):
        listed["Vortex"] = Form("peer", _write_vortex, _read_vortex)
    if installed("lance"):
        listed["Lance"] = Form("peer", _write_lance, _read_lance)
    return listed


def _check(name: str, found: pa.Table, wanted: pa.Table) -> None:
    for column, kind in (("time", pa.int64()), ("payload", pa.large_binary())):
        if not found[column].cast(kind).combine_chunks().equals(wanted[column].combine_chunks()):
            raise WrongValues(f"{name}: its {column}s aren't those that were written")


def _write_ours(place: Path, table: pa.Table) -> None:
    columns = (
        arraystore.Column(name="time", kind=arraystore.Kind.TIME),
        arraystore.Column(name="payload", kind=arraystore.Kind.BYTES),
    )
    schema = arraystore.Schema(name="messages", order="arrival", columns=columns)
    arraystore.open_store(place, role="data-quality", create=True).canonical.create(KEY, schema).append(table)


def _read_ours(place: Path) -> Callable[[], Any]:
    dataset = arraystore.open_store(place, role="backtesting").canonical[KEY]
    return lambda: dataset.read().to_arrow()


def _write_parquet(place: Path, table: pa.Table) -> None:
    pq.write_table(table, place / "table.parquet", compression="zstd")


def _read_polars(place: Path) -> Callable[[], Any]:
    import polars as pl

    return lambda: pl.read_parquet(place / "table.parquet").to_arrow()


def _read_duckdb(place: Path) -> Callable[[], Any]:
    import duckdb

    connection = duckdb.connect()
    return lambda: connection.sql(f"SELECT * FROM read_parquet('{place / 'table.parquet'}')").to_arrow_table()


def _write_vortex(place: Path, table: pa.Table) -> None:
    import vortex.io

    vortex.io.write(table, str(place / "table.vortex"))


def _read_vortex(place: Path) -> Callable[[], Any]:
    import vortex

    file = vortex.open(str(place / "table.vortex"))
    return lambda: file.to_arrow().read_all()


def _write_lance(place: Path, table: pa.Table) -> None:
    import lance

    lance.write_dataset(table, str(place / "table.lance"))


def _read_lance(place: Path) -> Callable[[], Any]:
    import lance

    dataset = lance.dataset(str(place / "table.lance"))
    return dataset.to_table
