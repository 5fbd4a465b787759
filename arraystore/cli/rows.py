"""`head`: some rows, as they were written."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import click

from arraystore.cli.cells import as_base64, as_letters, cells_of, shown
from arraystore.cli.command import address_of, command, dataset_at, key_argument, version_option, with_store
from arraystore.cli.history import log_of
from arraystore.cli.output import left, print_json, right, table
from arraystore.errors import InvalidInput, NotFound, Problem
from layouts.columns import Kind

if TYPE_CHECKING:
    from arraystore.datasets.view import DatasetView
    from arraystore.frames.rows import Rows
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
    windows = dataset.windows() if window is None else (window,)
    schema = _schema(dataset, window, windows)
    names = _names(schema, columns)
    pieces = _pieces(store, dataset, windows, schema, names, number, tail=tail)
    binary = as_base64 if as_json else as_letters
    lines = [line for piece in pieces for line in _lines(piece, names, binary)]
    if as_json:
        described = [{"name": name, "kind": str(schema.column(name).kind), "unit": schema.column(name).unit or None} for name in names]
        told = {"dataset": address_of(dataset.storage_class, dataset.key), "version": dataset.version, "columns": described}
        print_json(told | {"rows": [dict(zip(names, line, strict=True)) for line in lines]})
        return
    headings = [right(name) if schema.column(name).kind in _ON_THE_RIGHT else left(name) for name in names]
    table(headings, [[*map(shown, line)] for line in lines])


def _schema(dataset: "DatasetView", window: str | None, windows: tuple[str, ...]) -> "Schema":
    """The schema to read with; of several series, each with its own, one must have been chosen."""
    if window is not None:
        return dataset.schema_of(window)
    try:
        return dataset.schema
    except NotFound:
        if len(windows) == 1:
            return dataset.schema_of(windows[0])
        what = f"this dataset keeps several series; choose one of {', '.join(windows) or 'none yet'}"
        raise InvalidInput(Problem("--window", what)) from None


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


def _pieces(
    store: "Store", dataset: "DatasetView", windows: Iterable[str], schema: "Schema", names: list[str], number: int, *, tail: bool
) -> "list[Rows]":
    """The first or last rows, window by window, decoding only the chunks that hold them."""
    from arraystore.datasets.parts import load_parts
    from arraystore.segments.reader import Selection, read

    log = log_of(store, dataset)
    state = log.at(dataset.version)
    pieces: list[Rows] = []
    for window in reversed(list(windows)) if tail else windows:
        if number == 0:
            break
        manifest = dataset.manifest(window)
        wanted = (max(manifest.rows - number, 0), manifest.rows) if tail else (0, min(number, manifest.rows))
        name = manifest.location.rpartition("/")[2]
        with log.explained(state.version, (name,)):
            parts = load_parts(log, state, state.window(name))
            pieces.append(read(log.storage, parts, schema, Selection(rows=wanted), columns=names))
        number -= wanted[1] - wanted[0]
    return pieces[::-1] if tail else pieces


def _lines(rows: "Rows", names: list[str], binary: Callable[[bytes], str]) -> Iterable[tuple[Any, ...]]:
    """The rows' cells, row by row."""
    from arraystore.frames.columns import value_of

    cells = [cells_of(rows.schema.column(name), value_of(rows, name), rows.validity(name), binary) for name in names]
    return zip(*cells, strict=True)
