"""`plot`: pictures of what is in a store, as files."""

from typing import TYPE_CHECKING, Any

import click

from arraystore.cli.command import command, dataset_at, listed, version_option, with_store
from arraystore.cli.output import print_json, size
from arraystore.errors import InvalidInput, Problem

if TYPE_CHECKING:
    from arraystore.store import Store

__all__ = ["plot"]

_KINDS = ("series", "book", "latency", "coverage")
_TAKES = {
    "columns": ("series",),
    "clock": ("series", "book", "latency"),
    "window": ("series",),
    "instruments": ("series", "book", "latency"),
    "depth": ("book",),
    "exchange": ("latency",),
    "most": ("coverage",),
    "version": ("series", "book", "latency"),
}


@command(
    "plot",
    examples=[
        "arraystore plot series canonical/oanda/quotes/XAUUSD --columns bid_price,ask_price -o quotes.png --root data",
        "arraystore plot book canonical/binance-usdm/book_updates/BTCUSDT --start 2024-08-08 --end 2024-08-09 -o book.png --root data",
        "arraystore plot latency canonical/binance-usdm/trades/BTCUSDT -o latency.svg --root data",
        "arraystore plot coverage 'canonical/*' -o coverage.html --root data",
    ],
)
@click.argument("kind", type=click.Choice(_KINDS))
@click.argument("names", metavar="[CLASS/KEY|PATTERN]...", nargs=-1)
@click.option(
    "-o", "--output", "path", metavar="FILE", required=True, help="The file to make: .png, .svg or .html (which needs nothing else)."
)
@click.option("--start", metavar="TIME", help="Only from this time on.")
@click.option("--end", metavar="TIME", help="Only before this time.")
@click.option("--columns", metavar="NAME,…", callback=listed, help="series: these columns; prices by default.")
@click.option("--clock", metavar="NAME", help="Times of this clock; the axis clock by default.")
@click.option("--window", metavar="NAME", help="series: of an experiment run, this series.")
@click.option("--instruments", metavar="NAME,…", callback=listed, help="Of many instruments, these (one, for a book or latencies).")
@click.option("--depth", type=float, metavar="PRICE", help="book: look so far beyond the best bids and asks.")
@click.option("--exchange", metavar="NAME", help="latency: the column that tells when it happened.")
@click.option("--most", type=click.IntRange(1, 1000), help="coverage: so many datasets at most, those with the most rows; 60 by default.")
@click.option("--title", help="A title of your own.")
@click.option("--dpi", type=click.IntRange(20, 1000), default=120, show_default=True, help="Pixels an inch.")
@click.option("--overwrite", "--force", is_flag=True, help="Replace a file of that name, once the new one is whole.")
@version_option
@with_store
def plot(store: "Store", *, kind: str, names: tuple[str, ...], path: str, dpi: int, overwrite: bool, as_json: bool, **options: Any) -> None:
    """Draw a picture of a dataset, or of what datasets cover.

    series: columns over time, spikes and all, however many rows. book: depth over time, from book_snapshots or book_updates. latency:
    capture minus exchange time, by quantiles. coverage: datasets by days, rows and completeness; of all that PATTERNs name, as for ls.

    The file appears under its name only when it is whole. Needs matplotlib: pip install 'arraystore[plot]'.
    """
    from arraystore.pictures.files import checked_suffix, save_picture

    _refuse_others(kind, options)
    checked_suffix(path)
    figure = _coverage(store, names, options) if kind == "coverage" else _of_dataset(store, kind, names, options)
    written = save_picture(figure, path, dpi=dpi, overwrite=overwrite)
    if as_json:
        print_json({"kind": kind, "of": list(names), "file": path, "bytes": written})
    else:
        click.echo(f"{path}: {size(written)}")


def _refuse_others(kind: str, options: dict[str, Any]) -> None:
    """An option that this kind of picture has no use for is a mistake, and isn't passed over."""
    problems = [
        Problem(f"--{name}", f"is for {' and '.join(kinds)}, not for {kind}: leave it out")
        for name, kinds in _TAKES.items()
        if options[name] is not None and kind not in kinds
    ]
    if problems:
        raise InvalidInput(problems)


def _coverage(store: "Store", patterns: tuple[str, ...], options: dict[str, Any]) -> Any:
    more = {} if options["most"] is None else {"most": options["most"]}
    return store.plot.coverage(patterns, options["start"], options["end"], title=options["title"], **more)


def _of_dataset(store: "Store", kind: str, names: tuple[str, ...], options: dict[str, Any]) -> Any:
    if len(names) != 1:
        raise InvalidInput(Problem("CLASS/KEY", f"plot {kind} takes one dataset, such as canonical/binance-usdm/trades/BTCUSDT"))
    plots = dataset_at(store, names[0], options["version"]).plot
    instruments = options["instruments"]
    bounds = {name: options[name] for name in ("start", "end", "clock", "title")}
    if kind == "series":
        return plots.series(options["columns"], window=options["window"], instruments=instruments, **bounds)
    if instruments is not None and len(instruments) != 1:
        raise InvalidInput(Problem("--instruments", f"name one for {kind}"))
    instrument = None if instruments is None else instruments[0]
    if kind == "book":
        return plots.book(depth=options["depth"], instrument=instrument, **bounds)
    return plots.latency(exchange=options["exchange"], instrument=instrument, **bounds)
