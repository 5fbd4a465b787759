"""`replay`: many datasets as one sequence by capture time, from disk. Isolates merging: the rows themselves are read as in a scan."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

import arraystore
from benchmarks import frame, synthetic
from benchmarks.frame import Figure, Goal, Setting, built_store, judged, take_turns
from benchmarks.tables.base import Data, WrongValues, tree_bytes
from benchmarks.tables.installed import installed
from benchmarks.tables.ours import schema_of

COLUMNS = {name: cell for name, cell in frame.COLUMNS.items() if name not in ("GB/s", "of the limit")} | {
    "M rows/s": lambda each: f"{each.rows / each.milliseconds / 1e3:.2f}",
}
COLUMNS["goals"] = COLUMNS.pop("goals")
FEW, LOT = 2, 50
NAUTILUS_ROWS = 500_000


def run(*, small: bool = False, setting: Setting | None = None) -> list[Figure]:
    """Trades and quotes of a day, two streams of them; then as many rows in fifty."""
    setting = setting or Setting(small=small)
    rows = setting.count(10_000_000, 50_000)
    two = built_store(f"replay-{FEW}-{rows}", lambda place: _make(place, [synthetic.trades(rows), _thin(synthetic.quotes(rows))]), setting)
    each = 2 * rows // LOT
    lot = built_store(f"replay-{LOT}-{each}", lambda place: _make(place, (synthetic.trades(each, seed=n) for n in range(LOT))), setting)
    for place in (two, lot):
        _check(place)
    calls: dict[str, Callable[[], object]] = {
        "arraystore": lambda: replayed(two),
        "arraystore, gathering price or bid": lambda: replayed(two, gather=True),
        "arraystore, 50 streams": lambda: replayed(lot),
        "plain scan of both": lambda: scanned(two),
        "plain scan of 50": lambda: scanned(lot),
    }
    counts = dict.fromkeys(calls, 2 * rows) | dict.fromkeys(("arraystore, 50 streams", "plain scan of 50"), each * LOT)
    if installed("nautilus_trader") and (not setting.only or "nautilus" in setting.only):
        from benchmarks.nautilus import Catalog

        count = min(NAUTILUS_ROWS, rows)
        catalog = Catalog(built_store(f"nautilus-{count}", lambda place: Catalog.make(place, count), setting, ours=False))
        calls["NautilusTrader catalog stream"] = catalog.stream
        counts["NautilusTrader catalog stream"] = 2 * count
        if (found := catalog.stream()) != 2 * count:
            raise WrongValues(f"NautilusTrader's catalog streams {found} rows, where {2 * count} were written")
    taken = take_turns(calls, setting.turns(5))
    data = Data(name=f"{2 * rows:,} rows", columns={"time": np.zeros(0, np.int64)})
    figures = [
        samples.figure(data, name, "ours" if name == "arraystore" else "beside", rows=counts[name], decoded=0, bytes=_size(name, two, lot))
        for name, samples in taken.items()
    ]
    return judged(figures, _goals)


def _goals(by_name: dict[str, Figure], _: list[Figure]) -> Iterable[Goal]:
    mine, lot, scan = (by_name[name] for name in ("arraystore", "arraystore, 50 streams", "plain scan of both"))
    yield _ratio("of the plain scan's rows a second", 0.2, mine, scan)
    yield _ratio("3 × the time an event takes of 2 streams, by that of 50", 1, lot, mine, 3)
    if (nautilus := by_name.get("NautilusTrader catalog stream")) is not None:
        yield _ratio("times NautilusTrader's catalog stream, per row", 10, mine, nautilus)


def _ratio(what: str, wanted: float, mine: Figure, other: Figure, factor: float = 1) -> Goal:
    """Rows a second beside another's."""
    rows = factor * mine.rows / other.rows
    return Goal(what=what, wanted=wanted, found=rows * other.milliseconds / mine.milliseconds, cpu=rows * other.cpu / mine.cpu)


def _size(name: str, two: Path, lot: Path) -> int | None:
    if name == "arraystore":
        return tree_bytes(two / "canonical")
    return tree_bytes(lot / "canonical") if name == "arraystore, 50 streams" else None


def _thin(quotes: Data) -> Data:
    names = ("time", "bid_price", "bid_size", "ask_price", "ask_size")
    return Data(name=quotes.name, columns={name: quotes.columns[name] for name in names})


def _make(place: Path, streams: Iterable[Data]) -> None:
    surface = arraystore.open_store(place, role="data-quality", create=True).canonical
    for number, data in enumerate(streams):
        surface.create(("venue", "stream", f"X{number:02d}"), schema_of(data)).append(data.columns, completeness="complete")


def streams_of(place: Path) -> list[Any]:
    """The datasets of a store, in order of their keys."""
    surface: Any = arraystore.open_store(place, role="backtesting").canonical
    return [surface[each] for each in sorted(surface)]


def replayed(place: Path, *, gather: bool = False) -> int:
    """Every batch, its order known; with the price or the bid of each row in that order, if gathered."""
    rows = 0
    for batch in arraystore.replay(streams_of(place)):
        rows += len(batch.time) if not gather else len(batch.gather(["price", "bid_price"]))
        rows += len(batch.stream) - len(batch.row)
    return rows


def scanned(place: Path) -> list[Any]:
    """The same rows, read one dataset after another."""
    return [dataset.read() for dataset in streams_of(place)]


def _check(place: Path) -> None:
    """The sequence must be the stable merge of all times, row by row."""
    streams = streams_of(place)
    times = [np.asarray(dataset.read(columns=["time"])["time"]).view(np.int64) for dataset in streams]
    order = np.argsort(np.concatenate(times), kind="stable")
    ranks = np.repeat(np.arange(len(times)), [len(each) for each in times])[order]
    done = 0
    for batch in arraystore.replay(streams):
        count = len(batch)
        if not np.array_equal(batch.stream, ranks[done : done + count]):
            raise WrongValues(f"replay: rows from {done} to {done + count} aren't the merge of {len(streams)} streams by time")
        done += count
    if done != len(order):
        raise WrongValues(f"replay: {done} rows, where there are {len(order)}")
