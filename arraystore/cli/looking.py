"""`stats`, `coverage` and `gaps`: what datasets hold, in numbers; for which times there are rows, and for which there are none."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from arraystore.cli.addresses import datasets_matching
from arraystore.cli.cells import shown
from arraystore.cli.command import (
    address_of,
    at_version,
    columns_option,
    command,
    dataset_at,
    end_option,
    key_argument,
    no_match,
    some_patterns_argument,
    start_option,
    version_option,
    window_option,
    with_store,
)
from arraystore.cli.output import Column, count, counted, facts, left, print_json, right, table
from arraystore.cli.progress import Step, progress
from arraystore.cli.rows import names_of, series_to_read
from layouts.columns import Kind
from layouts.times import format_time

if TYPE_CHECKING:
    from arraystore.datasets.coverage import Coverage, WindowCoverage
    from arraystore.datasets.gaps import Gap
    from arraystore.datasets.statistics import ColumnStats
    from arraystore.datasets.view import DatasetView
    from arraystore.store import Store

__all__ = ["coverage", "gaps", "stats"]

PER = ("hour", "day", "month", "year")
COMMON = 3
UNITS = ((86_400_000_000_000, "d"), (3_600_000_000_000, "h"), (60_000_000_000, "m"), (1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "µs"))

_COVERAGE_COLUMNS = (left("window"), right("rows"), left("state"), right("observed"), left("first"), left("last"), left("remark"))
_GAP_COLUMNS = (left("from"), left("to"), right("length"), right("observed"), right("no window"))


@command(
    "stats",
    examples=[
        "arraystore stats canonical/binance-usdm/trades/BTCUSDT --root data",
        "arraystore stats canonical/binance-usdm/trades/BTCUSDT --root data --start 2024-08-08 --columns price,size --json",
    ],
)
@key_argument
@start_option
@end_option
@columns_option
@window_option
@click.option("--quantiles", metavar="SHARE,…", default="0.01,0.25,0.5,0.75,0.99", show_default=True, help="Shares from 0 to 1.")
@version_option
@with_store
def stats(
    store: "Store",
    *,
    key: str,
    start: str | None,
    end: str | None,
    columns: list[str] | None,
    window: str | None,
    quantiles: str,
    version: str | None,
    as_json: bool,
) -> None:
    """Tell a dataset's columns in numbers.

    Rows, nulls, least, greatest, mean, quantiles; of labels how often each is there, of text and bytes how long they are. Reads the rows
    once, in bounded memory; quantiles of more than 16,383 values are exact to 0.1 % of the rows.
    """
    from arraystore.errors import InvalidInput, Problem

    dataset = dataset_at(store, key, version)
    window = series_to_read(dataset, window)
    schema = dataset.schema if window is None else dataset.schema_of(window)
    try:
        shares = [float(share) for share in quantiles.split(",")]
    except ValueError:
        raise InvalidInput(Problem("--quantiles", f"{quantiles!r} isn't a list of shares, such as 0.05,0.5,0.95")) from None
    total = dataset.rows if window is None else dataset.manifest(window).rows

    def step(rows: int) -> Step:
        return Step(done=rows, total=total, unit="rows")

    with progress(step) as tell:
        found = dataset.stats(start, end, names_of(schema, columns), window=window, quantiles=shares, tell=tell)
    if as_json:
        print_json(found.to_json() | {"dataset": address_of(found.storage_class, found.key)})
        return
    facts([("dataset", f"{address_of(found.storage_class, found.key)} version {found.version}"), ("rows", count(found.rows))])
    for heading, listed in _by_kind([*found.columns], shares):
        click.echo()
        table(heading, listed)


def _by_kind(columns: "list[ColumnStats]", shares: list[float]) -> Iterator[tuple[list[Column], list[list[str]]]]:
    """A table for each sort of column: what is measured, what is counted, and what has a length."""
    measured = [each for each in columns if each.kind in (Kind.NUMBER, Kind.DECIMAL, Kind.TIME) and not each.values]
    if measured:
        heading = [left("column"), right("nulls"), right("NaN"), right("least"), *(right(f"{share:.4g}") for share in shares)]
        listed = []
        for each in measured:
            told = each.to_json()
            quantiles = [_value(told["quantiles"].get(f"{share:g}")) for share in shares]
            ends = [_value(told[name]) for name in ("max", "mean", "std")]
            listed.append([each.name, count(each.nulls), count(each.nan), _value(told["min"]), *quantiles, *ends])
        yield [*heading, right("greatest"), right("mean"), right("std")], listed
    if counted_ones := [each for each in columns if each.values or each.kind in (Kind.VOCABULARY, Kind.FLAGS, Kind.DICTIONARY)]:
        listed = [
            [each.name, count(each.nulls), "" if each.distinct is None else count(each.distinct), _values(each)] for each in counted_ones
        ]
        yield [left("column"), right("nulls"), right("distinct"), left("how often")], listed
    if ragged := [each for each in columns if each.kind in (Kind.TEXT, Kind.BYTES)]:
        lengths = [[_value(value) for value in each.lengths or ("", "", "")] for each in ragged]
        heading = [left("column"), right("nulls"), right("shortest"), right("longest"), right("mean bytes")]
        yield heading, [[each.name, count(each.nulls), *length] for each, length in zip(ragged, lengths, strict=True)]


def _values(each: "ColumnStats") -> str:
    told = ", ".join(f"{shown(name)} {number:,}" for name, number in each.values[:COMMON])
    return told + (", …" if each.values[COMMON:] else "")


def _value(value: Any) -> str:
    """A number with the digits that matter; nothing for none."""
    if isinstance(value, float):
        return f"{value:.8g}"
    return "" if value is None else str(value)


@command(
    "coverage",
    examples=[
        "arraystore coverage canonical/binance-usdm/trades/BTCUSDT --root data",
        "arraystore coverage 'canonical/*/trades' --per month --root data --json",
    ],
)
@some_patterns_argument
@start_option
@end_option
@click.option("--per", type=click.Choice(PER), help="In steps of this length instead of windows; longer windows are read for it.")
@version_option
@with_store
def coverage(
    store: "Store", *, patterns: tuple[str, ...], start: str | None, end: str | None, per: str | None, version: str | None, as_json: bool
) -> None:
    """Tell for which times datasets have rows, and how complete they are.

    Each window with its rows, its state and the share that its writer declared as observed; and the stretches between that have no
    window at all.

    A PATTERN names datasets as for ls.
    """
    found = [each.coverage(start, end, per=per) for each in _views(store, patterns, version)]
    if as_json:
        print_json({"datasets": [each.to_json() | {"dataset": address_of(each.storage_class, each.key)} for each in found]})
        return
    for number, each in enumerate(found):
        if number:
            click.echo()
        click.echo(f"{address_of(each.storage_class, each.key)} version {each.version}")
        table(_COVERAGE_COLUMNS, [cells for _, cells in sorted(_coverage_rows(each), key=lambda row: row[0])])
        absent = sum(stop - begin for begin, stop in each.absent)
        told = f", {duration(absent)} absent in {counted(len(each.absent), 'stretch').replace('stretchs', 'stretches')}" if absent else ""
        click.echo(f"{counted(len(each.windows), 'window')}, {counted(each.rows, 'row')}{told}")


def _coverage_rows(found: "Coverage") -> Iterator[tuple[int, list[str]]]:
    for number, each in enumerate(found.windows):
        yield (number if each.start is None else each.start), _window_cells(each)
    for start, stop in found.absent:
        yield start, [f"{_short(start)} to {_short(stop)}", "", "absent", "", "", "", duration(stop - start)]


def _window_cells(each: "WindowCoverage") -> list[str]:
    observed = ""
    if each.covered and each.start is not None and each.stop is not None:
        observed = f"{sum(stop - start for start, stop in each.covered) / (each.stop - each.start):.1%}"
    times = ["" if time is None else format_time(time) for time in (each.first, each.last)]
    remark = f"withdrawn: {each.withdrawn}" if each.withdrawn else ""
    return [each.window, count(each.rows), each.completeness, observed, *times, remark]


def _short(time: int) -> str:
    return format_time(time).removesuffix("T00:00:00Z")


@command(
    "gaps",
    examples=[
        "arraystore gaps canonical/binance-usdm/trades/BTCUSDT --longer-than 5m --root data",
        "arraystore gaps 'canonical/*/quotes' --longer-than 1h --start 2024-08-08 --end 2024-08-10 --root data --json",
    ],
)
@some_patterns_argument
@click.option("--longer-than", metavar="DURATION", required=True, help="Such as 500ms, 5m, 1h30m, 1d.")
@start_option
@end_option
@click.option("--clock", help="By this clock instead of the axis.")
@window_option
@version_option
@with_store
def gaps(
    store: "Store",
    *,
    patterns: tuple[str, ...],
    longer_than: str,
    start: str | None,
    end: str | None,
    clock: str | None,
    window: str | None,
    version: str | None,
    as_json: bool,
) -> None:
    """Tell stretches of time without a row.

    Each goes from a row to the next one, or from and to the ends of the range asked for, and tells how much of it the writer declared as
    observed (there nothing happened), and for how much there is no window at all. Reads the clock's column once.

    A PATTERN names datasets as for ls.
    """
    found = []
    for each in _views(store, patterns, version):
        series = series_to_read(each, window)
        found.append(
            (address_of(each.storage_class, each.key), each.version, each.gaps(longer_than, start, end, clock=clock, window=series))
        )
    if as_json:
        print_json(
            {
                "datasets": [
                    {"dataset": name, "version": number, "gaps": [gap.to_json() for gap in listed]} for name, number, listed in found
                ]
            }
        )
        return
    for name, number, listed in found:
        click.echo(f"{name} version {number}: {counted(len(listed), 'gap')} longer than {longer_than}")
        if listed:
            table(_GAP_COLUMNS, map(_gap_cells, listed))


def _gap_cells(gap: "Gap") -> list[str]:
    length = duration(gap.duration_ns)
    return [
        format_time(gap.start),
        format_time(gap.stop),
        length,
        *(f"{part / gap.duration_ns:.0%}" for part in (gap.covered_ns, gap.absent_ns)),
    ]


def duration(length_ns: int) -> str:
    """A length of time in its two greatest units.

    >>> duration(90_061_000_000_000), duration(1_500_000), duration(12)
    ('1d 1h', '1ms 500µs', '12ns')
    """
    for place, (unit, name) in enumerate(UNITS):
        if length_ns >= unit:
            more, below = (UNITS[place + 1] if UNITS[place + 1 :] else (1, "ns")), length_ns % unit
            rest = below // more[0]
            return f"{length_ns // unit}{name}" + (f" {rest}{more[1]}" if rest else "")
    return f"{length_ns}ns"


def _views(store: "Store", patterns: tuple[str, ...], version: str | None) -> "list[DatasetView]":
    found = [at_version(each, version) for each in datasets_matching(store, patterns)]
    if not found:
        raise no_match(store, patterns)
    return found
