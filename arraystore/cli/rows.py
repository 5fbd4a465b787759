"""`head`: some rows, as they were written."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import click

from arraystore.cli.cells import as_base64, as_letters, cells_of, shown
from arraystore.cli.command import address_of, command, dataset_at, key_argument, version_option, with_store
from arraystore.cli.output import left, print_json, right, table
from arraystore.errors import InvalidInput, NotFound, Problem
from layouts.columns import Kind

if TYPE_CHECKING:
    from arraystore.datasets.view import DatasetView
    from arraystore.frames.frame import Frame
    from arraystore.store import Store
    from layouts.schema import Schema

__all__ = ["head"]

HEAD_LENGTH = 10

_ON_THE_RIGHT = (Kind.NUMBER, Kind.DECIMAL, Kind.FLAGS)


@command(
    "head",
    examples=[
        "arraystore head canonical/binance-usdm/trades/BTCUSDT --root data -n 5 --columns time,price,size",
        "arraystore head experiments/mm-grid/7f3a --root data --window equity --tail --json",
    ],
)
@key_argument
@click.option("-n", "--number", type=click.IntRange(min=0), default=HEAD_LENGTH, show_default=True, help="Show this many rows.")
@click.option("--columns", metavar="NAME,…", help="Show only these columns, in this order.")
@click.option("--window", help="Look into this window only; of an experiment run, into this series.")
@click.option("--tail", is_flag=True, help="Show the last rows instead of the first.")
@version_option
@with_store
def head(
    store: "Store",
    *,
    key: str,
    number: int,
    columns: str | None,
    window: str | None,
    tail: bool,
    version: str | None,
    as_json: bool,
) -> None:
    """Show the first rows of a dataset.

    In the order in which it reads back. In JSON, bytes are base64, and NaN and infinities are text.
    """
    dataset = dataset_at(store, key, version)
    window = _series(dataset, window)
    schema = dataset.schema if window is None else dataset.schema_of(window)
    names = _names(schema, columns)
    frame = dataset.last(number, names, window=window) if tail else dataset.read(rows=(0, number), columns=names, window=window)
    lines = list(_lines(frame, as_base64 if as_json else as_letters))
    if as_json:
        described = [{"name": name, "kind": str(schema.column(name).kind), "unit": schema.column(name).unit or None} for name in names]
        told = {"dataset": address_of(dataset.storage_class, dataset.key), "version": dataset.version, "columns": described}
        print_json(told | {"rows": [dict(zip(names, line, strict=True)) for line in lines]})
        return
    headings = [right(name) if schema.column(name).kind in _ON_THE_RIGHT else left(name) for name in names]
    table(headings, [[*map(shown, line)] for line in lines])


def _series(dataset: "DatasetView", window: str | None) -> str | None:
    """The window to read, None for all; of several series, each with its own schema, one must have been chosen."""
    if window is not None:
        return window
    try:
        _ = dataset.schema
    except NotFound:
        windows = dataset.windows()
        if len(windows) == 1:
            return windows[0]
        what = f"this dataset keeps several series; choose one of {', '.join(windows) or 'none yet'}"
        raise InvalidInput(Problem("--window", what)) from None
    return None


def _names(schema: "Schema", columns: str | None) -> list[str]:
    """The columns to show; every unknown one is a problem."""
    if columns is None:
        return list(schema.names)
    names = [name.strip() for name in columns.split(",")]
    if problems := [problem for name in names if name not in schema for problem in _unknown(schema, name)]:
        raise InvalidInput(problems)
    return names


def _unknown(schema: "Schema", name: str) -> tuple[Problem, ...]:
    try:
        schema.column(name)
    except InvalidInput as error:
        return error.problems
    return ()


def _lines(frame: "Frame", binary: Callable[[bytes], str]) -> Iterable[tuple[Any, ...]]:
    """The rows' cells, row by row."""
    cells = [cells_of(column, frame[column.name], frame.valid(column.name), binary) for column in frame.schema.columns]
    return zip(*cells, strict=True)
