"""`head`, `tail` and `sample`: some rows, as they were written."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from arraystore.cli.cells import as_base64, as_letters, cells_of, shown
from arraystore.cli.command import address_of, columns_option, command, dataset_at, key_argument, version_option, window_option, with_store
from arraystore.cli.output import left, print_json, right, table
from arraystore.errors import InvalidInput, NotFound, Problem
from layouts.columns import Kind

if TYPE_CHECKING:
    from arraystore.datasets.view import DatasetView
    from arraystore.frames.frame import Frame
    from arraystore.store import Store
    from layouts.schema import Schema

__all__ = ["head", "names_of", "sample", "series_to_read", "tail"]

HEAD_LENGTH = 10

_ON_THE_RIGHT = (Kind.NUMBER, Kind.DECIMAL, Kind.FLAGS)


_number_option = click.option(
    "-n", "--number", type=click.IntRange(min=0), default=HEAD_LENGTH, show_default=True, help="Show this many rows."
)


@command(
    "head",
    examples=[
        "arraystore head canonical/binance-usdm/trades/BTCUSDT --root data -n 5 --columns time,price,size",
        "arraystore head experiments/mm-grid/7f3a --root data --window equity --tail --json",
    ],
)
@key_argument
@_number_option
@columns_option
@window_option
@click.option("--tail", "from_end", is_flag=True, help="Show the last rows instead of the first.")
@version_option
@with_store
def head(store: "Store", *, key: str, from_end: bool, as_json: bool, **asked: Any) -> None:
    """Show the first rows of a dataset.

    In the order in which it reads back. In JSON, bytes are base64, and NaN and infinities are text.
    """
    _show_rows(store, key, _last if from_end else _first, as_json=as_json, **asked)


@command(
    "tail",
    examples=["arraystore tail canonical/binance-usdm/trades/BTCUSDT --root data -n 5", "arraystore tail 'raw/*/market/rec-1' --root data"],
)
@key_argument
@_number_option
@columns_option
@window_option
@version_option
@with_store
def tail(store: "Store", *, key: str, as_json: bool, **asked: Any) -> None:
    """Show the last rows of a dataset.

    In the order in which it reads back; decodes only the chunks that hold them.
    """
    _show_rows(store, key, _last, as_json=as_json, **asked)


@command(
    "sample",
    examples=[
        "arraystore sample canonical/binance-usdm/trades/BTCUSDT --root data -n 5",
        "arraystore sample canonical/binance-usdm/trades/BTCUSDT --root data --seed 7 --columns time,price --json",
    ],
)
@key_argument
@_number_option
@columns_option
@window_option
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Another number draws other rows.")
@version_option
@with_store
def sample(store: "Store", *, key: str, seed: int, as_json: bool, **asked: Any) -> None:
    """Show rows of a dataset drawn at random.

    Without repetition, in the order in which they read back; the same seed draws the same rows of a version.
    """
    _show_rows(store, key, partial(_drawn, seed), as_json=as_json, **asked)


def _first(dataset: "DatasetView", number: int, names: list[str], window: str | None) -> "Frame":
    return dataset.read(rows=(0, number), columns=names, window=window)


def _last(dataset: "DatasetView", number: int, names: list[str], window: str | None) -> "Frame":
    return dataset.last(number, names, window=window)


def _drawn(seed: int, dataset: "DatasetView", number: int, names: list[str], window: str | None) -> "Frame":
    return dataset.sample(number, names, seed=seed, window=window)


def _show_rows(
    store: "Store",
    key: str,
    read: "Callable[[DatasetView, int, list[str], str | None], Frame]",
    *,
    number: int,
    columns: list[str] | None,
    window: str | None,
    version: str | None,
    as_json: bool,
) -> None:
    """Print the rows that `read` takes of a dataset."""
    dataset = dataset_at(store, key, version)
    window = series_to_read(dataset, window)
    schema = dataset.schema if window is None else dataset.schema_of(window)
    names = names_of(schema, columns)
    lines = list(_lines(read(dataset, number, names, window), as_base64 if as_json else as_letters))
    if as_json:
        described = [{"name": name, "kind": str(schema.column(name).kind), "unit": schema.column(name).unit or None} for name in names]
        told = {"dataset": address_of(dataset.storage_class, dataset.key), "version": dataset.version, "columns": described}
        print_json(told | {"rows": [dict(zip(names, line, strict=True)) for line in lines]})
        return
    headings = [right(name) if schema.column(name).kind in _ON_THE_RIGHT else left(name) for name in names]
    table(headings, [[*map(shown, line)] for line in lines])


def series_to_read(dataset: "DatasetView", window: str | None) -> str | None:
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


def names_of(schema: "Schema", columns: list[str] | None) -> list[str]:
    """The columns to show; every unknown one is a problem."""
    if columns is None:
        return list(schema.names)
    if problems := [problem for name in columns if name not in schema for problem in _unknown(schema, name)]:
        raise InvalidInput(problems)
    return columns


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
