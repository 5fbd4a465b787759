"""analysis: bars into `derived`, made again when the canonical window they came from has a newer version."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

import arraystore
from arraystore.demo.bars import INTERVALS, Columns, make_bars
from arraystore.demo.recording import VENUE
from arraystore.demo.tables import day_of, labels, nanoseconds, numbers, version_used

COLUMNS = ("time", "price", "size", "side", "condition")


@dataclass(frozen=True, slots=True, kw_only=True)
class BarsWritten:
    """What became of one derived window: rows written, 0 where it was up to date."""

    key: tuple[str, ...]
    window: str
    rows: int
    revised: bool


def write_bars(store: arraystore.Store) -> list[BarsWritten]:
    """One-second and one-minute bars of every instrument with canonical trades."""
    written = []
    for key in store.canonical.find((VENUE, "trades", "*")):
        trades = store.canonical[key]
        for interval in INTERVALS:
            written += _write_interval(store, trades, interval)
    return written


def _write_interval(store: arraystore.Store, trades: arraystore.Dataset, interval: str) -> list[BarsWritten]:
    """Bars of one length of one instrument: a derived window per day (below a minute) or year."""
    instrument = trades.key[2]
    bars = store.derived.create(("bars", interval, VENUE, instrument), arraystore.schema_by_name("bars", interval=interval), exist_ok=True)
    sources: dict[str, list[str]] = {}
    for window in trades.windows():
        sources.setdefault(window[:4] if bars.schema.window == "year" else window, []).append(window)
    return [_write_window(bars, window, trades, days) for window, days in sources.items()]


def _write_window(bars: arraystore.Dataset, window: str, trades: arraystore.Dataset, days: list[str]) -> BarsWritten:
    """Write one derived window from the canonical windows it spans, unless it was made from their newest versions."""
    manifests = [trades.manifest(day) for day in days]
    revised = window in bars.windows()
    if revised:
        made_from = {day: _version_of_day(bars.manifest(window).lineage, trades, day) for day in days}
        if all((made_from[manifest.window] or 0) >= manifest.version for manifest in manifests):
            return BarsWritten(key=bars.key, window=window, rows=0, revised=False)
    rows = _bars_of(trades, days, INTERVALS[bars.key[1]])
    count = len(rows["open_time"])
    rows["is_revision"] = _revisions(bars, window, rows) if revised else np.zeros(count, bool)
    inputs = [trades.pin(*day_of(day), columns=COLUMNS) for day in days]
    coverage = [interval for manifest in manifests for interval in manifest.coverage]
    completeness = "complete" if bars.schema.window == "day" else "partial"
    if revised:
        reason = f"{'/'.join(trades.key)} has version {trades.version}"
        bars.replace(window, rows, reason=reason, inputs=inputs, coverage=coverage, completeness=completeness)
    else:
        bars.append(rows, inputs=inputs, coverage=coverage, completeness=completeness)
    return BarsWritten(key=bars.key, window=window, rows=count, revised=revised)


def _revisions(bars: arraystore.Dataset, window: str, rows: Columns) -> np.ndarray:
    """Which bars differ from those given before for the same time, or did so once already."""
    before = bars.read(window=window)
    open_time = nanoseconds(before, "open_time")
    _, new, old = np.intersect1d(rows["open_time"], open_time, assume_unique=True, return_indices=True)
    changed = numbers(before, "is_revision")[old]
    for name in ("open", "high", "low", "close", "volume", "buy_volume", "trade_count"):
        changed = changed | (rows[name][new] != before[name][old])
    revisions = np.zeros(len(rows["open_time"]), bool)
    revisions[new] = changed
    return revisions


def _version_of_day(lineage: Iterable[arraystore.Pin], trades: arraystore.Dataset, day: str) -> int | None:
    """The version of one canonical window that something was made from."""
    return version_used((pin for pin in lineage if pin.start == day_of(day)[0]), trades)


def _bars_of(trades: arraystore.Dataset, days: list[str], interval_ns: int) -> Columns:
    """Bars by capture time, the clock that live trading will have; only trades on the market count."""
    parts = []
    for day in days:
        frame = trades.read(*day_of(day), columns=COLUMNS)
        at_market = labels(frame, "condition").matches("MARKET")
        parts.append([numbers(frame, name)[at_market] for name in COLUMNS[:4]])
    time, price, size, side = (np.concatenate(column) for column in zip(*parts, strict=True))
    return make_bars(time.view(np.int64), price, size, side, interval_ns)
