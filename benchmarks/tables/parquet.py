"""Parquet: through PyArrow, Polars and DuckDB, with default and with tuned encodings."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.tables.base import Data, Query, Way, from_arrow, to_arrow
from benchmarks.tables.installed import installed

FILE = "table.parquet"


def write_default(place: Path, data: Data, compression: str = "snappy") -> None:
    """As `write_table` does it: dictionaries where they help, pages compressed."""
    import pyarrow.parquet as pq

    place.mkdir(parents=True, exist_ok=True)
    pq.write_table(to_arrow(data.columns), place / FILE, compression=compression)


def write_zstd(place: Path, data: Data) -> None:
    write_default(place, data, "zstd")


def write_tuned(place: Path, data: Data) -> None:
    """Integers as packed deltas, floats split by byte, all under zstd, in groups of 256 Ki rows: smaller, and its statistics tell more."""
    import pyarrow.parquet as pq

    encodings = {name: _tuned(values) for name, values in data.columns.items() if values.dtype.itemsize > 1}
    place.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        to_arrow(data.columns),
        place / FILE,
        compression="zstd",
        use_dictionary=[name for name in data.columns if name not in encodings],
        column_encoding=encodings,
        row_group_size=1 << 18,
    )


def _tuned(values: np.ndarray) -> str:
    return "BYTE_STREAM_SPLIT" if values.dtype.kind == "f" else "DELTA_BINARY_PACKED"


def write_polars(place: Path, data: Data) -> None:
    """As `DataFrame.write_parquet` does it: zstd."""
    import polars as pl

    place.mkdir(parents=True, exist_ok=True)
    pl.from_arrow(to_arrow(data.columns)).write_parquet(place / FILE)  # type: ignore[union-attr]


def write_duckdb(place: Path, data: Data) -> None:
    """As DuckDB's `COPY` does it, with zstd."""
    import duckdb

    place.mkdir(parents=True, exist_ok=True)
    table = to_arrow(data.columns)
    with duckdb.connect() as connection:
        connection.register("given", table)
        connection.execute(f"COPY given TO '{place / FILE}' (FORMAT parquet, COMPRESSION zstd)")


class PyArrow:
    """`pyarrow.parquet.read_table`; a slice through a dataset that is open."""

    def __init__(self, place: Path) -> None:
        import pyarrow.dataset
        import pyarrow.parquet

        self._path = place / FILE
        self._parquet: Any = pyarrow.parquet
        self._dataset: Any = pyarrow.dataset.dataset(self._path)
        self._field: Any = pyarrow.dataset.field

    def read(self, query: Query) -> Any:
        columns = None if query.columns is None else list(query.columns)
        if query.start is None:
            return self._parquet.read_table(self._path, columns=columns)
        time = self._field("time")
        return self._dataset.to_table(columns=columns, filter=(time >= query.start) & (time < query.stop))

    def arrays(self, result: Any) -> dict[str, np.ndarray]:
        return from_arrow(result)


class Polars:
    """`scan_parquet`, filtered, selected, collected."""

    def __init__(self, place: Path) -> None:
        import polars as pl

        self._column: Any = pl.col
        self._lazy: Any = pl.scan_parquet(place / FILE)

    def read(self, query: Query) -> Any:
        lazy = self._lazy
        if query.start is not None:
            time = self._column("time")
            lazy = lazy.filter((time >= query.start) & (time < query.stop))
        return (lazy if query.columns is None else lazy.select(query.columns)).collect()

    def arrays(self, result: Any) -> dict[str, np.ndarray]:
        return from_arrow(result.to_arrow())


class DuckDB:
    """`SELECT … FROM read_parquet`, into Arrow."""

    def __init__(self, place: Path) -> None:
        import duckdb

        self._connection: Any = duckdb.connect()
        self._path = place / FILE

    def read(self, query: Query) -> Any:
        columns = "*" if query.columns is None else ", ".join(f'"{name}"' for name in query.columns)
        rows = "" if query.start is None else f" WHERE time >= {query.start} AND time < {query.stop}"
        return self._connection.sql(f"SELECT {columns} FROM read_parquet('{self._path}'){rows}").to_arrow_table()

    def arrays(self, result: Any) -> dict[str, np.ndarray]:
        return from_arrow(result)


def ways() -> list[Way]:
    """Those whose libraries are installed."""
    kinds: list[tuple[str, str, Callable[[Path, Data], None], Callable[[Path], Any], str]] = [
        ("Parquet snappy, PyArrow", "parquet-snappy", write_default, PyArrow, "pyarrow"),
        ("Parquet zstd, PyArrow", "parquet-zstd", write_zstd, PyArrow, "pyarrow"),
        ("Parquet tuned, PyArrow", "parquet-tuned", write_tuned, PyArrow, "pyarrow"),
        ("Parquet zstd, Polars", "parquet-polars", write_polars, Polars, "polars"),
        ("Parquet tuned, Polars", "parquet-tuned", write_tuned, Polars, "polars"),
        ("Parquet zstd, DuckDB", "parquet-duckdb", write_duckdb, DuckDB, "duckdb"),
        ("Parquet tuned, DuckDB", "parquet-tuned", write_tuned, DuckDB, "duckdb"),
    ]
    return [
        Way(name=name, kept=kept, write=write, open=opened, group="parquet", two_dimensional=library == "pyarrow")
        for name, kept, write, opened, library in kinds
        if installed(library, "pyarrow")
    ]
