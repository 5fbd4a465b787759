"""The one door to DuckDB: a dataset as a relation whose scans read what a query needs."""

from collections.abc import Iterable
from types import ModuleType
from typing import Any

from arraystore.arguments import TimeLike
from arraystore.datasets.view import DatasetView
from arraystore.errors import InvalidInput
from arraystore.frames.arrow import pyarrow
from arraystore.frames.given import missing_library


def relation_of(
    view: DatasetView,
    connection: Any,
    start: TimeLike | None,
    end: TimeLike | None,
    columns: Iterable[str] | None,
    *,
    window: str | None,
    instruments: Iterable[str] | str | None,
) -> Any:
    """See `DatasetView.to_duckdb`."""
    duckdb = _duckdb()
    pyarrow()
    from arraystore.tabular.arrowdata import arrow_dataset

    if connection is not None and not isinstance(connection, duckdb.DuckDBPyConnection):
        raise InvalidInput(f"a {type(connection).__name__} is no connection: pass what duckdb.connect gave, or None", "connection")
    data = arrow_dataset(view, start, end, columns, window=window, instruments=instruments, microseconds=True)
    return (duckdb.default_connection() if connection is None else connection).from_arrow(data)


def _duckdb() -> ModuleType:
    try:
        import duckdb
    except ImportError as error:
        raise missing_library("to_duckdb", "duckdb", "duckdb") from error
    module: ModuleType = duckdb
    return module
