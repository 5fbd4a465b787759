"""From what analysis may read to the demo's picture: into `derived` as an artifact, and into a file for people."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import arraystore
from arraystore.demo.backtesting import CURRENCY, Backtest
from arraystore.demo.pictures import Coverage, Interval, Picture, draw
from arraystore.demo.recording import VENUE
from arraystore.demo.tables import nanoseconds, numbers

NAME = "overview.png"


def paint(store: arraystore.Store, backtest: Backtest, path: Path) -> Path | None:
    """Draw, keep the picture beside the one-second bars unless it lies there already, and write it to a file; None without matplotlib."""
    bars = store.derived["bars", "1s", VENUE, backtest.instrument]
    png = draw(_picture(store, backtest, bars))
    if png is None:
        return None
    kept = bars.artifacts().get(NAME)
    if kept is None or kept.sha256 != hashlib.sha256(png).hexdigest():
        bars.add_file(png, NAME, media_type="image/png")
    path.write_bytes(png)
    return path


def _picture(store: arraystore.Store, backtest: Backtest, bars: arraystore.Dataset) -> Picture:
    """Read prices from derived, fills from execution records, equity from the experiment."""
    prices = bars.read(columns=["open_time", "close"])
    fills = store.execution_records["backtest", backtest.session, "fills"].read(columns=["time", "price", "side"])
    curve = store.experiments[backtest.key].read(columns=["time", "equity"], window="equity")
    profit = f"profit {backtest.metrics['profit']:,.2f} {CURRENCY}"
    return Picture(
        title=f"{backtest.key[0]} on {backtest.instrument}: {backtest.orders} orders, {profit}",
        currency=CURRENCY,
        price_time=nanoseconds(prices, "open_time"),
        price=numbers(prices, "close"),
        fill_time=nanoseconds(fills, "time"),
        fill_price=numbers(fills, "price"),
        fill_side=numbers(fills, "side"),
        equity_time=nanoseconds(curve, "time"),
        equity=numbers(curve, "equity"),
        coverage=tuple(_coverage(store)),
    )


def _coverage(store: arraystore.Store) -> Iterator[Coverage]:
    """What each dataset covers: as its writers declared, or from its first to its last row where they declared nothing."""
    keys = [(store.canonical, key) for key in sorted(store.canonical.find(), key=lambda key: (key[2], key[1]))]
    keys += [(store.derived, key) for key in sorted(store.derived.find("bars/*/*/*"), key=lambda key: (key[3], key[1]))]
    keys += [(store.execution_records, key) for key in store.execution_records.find("backtest/*/*")]
    for surface, key in keys:
        intervals: list[Interval] = []
        for manifest in surface[key].manifests():
            intervals += manifest.coverage or [(first, last + 1) for first, last in list(manifest.clocks.values())[:1]]
        words = (key[3], *key[:2]) if surface.storage_class == "derived" else (key[2], key[1])
        label = " ".join(words)
        if not intervals:
            continue
        yield Coverage(storage_class=surface.storage_class, label=f"{surface.storage_class}  {label}", intervals=tuple(intervals))
