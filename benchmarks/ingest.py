"""`ingest`: zipped CSV quotes into a dataset, durable, beside Polars' CSV read and Parquet write of the same files. Isolates getting in."""

import shutil
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

import arraystore
from benchmarks.data import folder, xauusd

ROUNDS = 5
COLUMNS = {
    "rows": lambda each: f"{each.rows:,}",
    "seconds": lambda each: f"{each.seconds:.3f}",
    "times as fast as Polars": lambda each: f"{each.ratio:.2f}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Loading:
    """Seconds that one contestant takes for all files: the best of several rounds, each into a new place."""

    data: str
    contestant: str
    rows: int
    seconds: float
    reference: float

    @property
    def ratio(self) -> float:
        """How many times as fast as Polars."""
        return self.reference / self.seconds


def run(*, small: bool) -> list[Loading]:
    """Every contestant on the same files; rows are counted before times are told."""
    with tempfile.TemporaryDirectory() as place:
        files = _files(Path(place), days=1 if small else None)
        contestants: dict[str, Callable[[Path], int]] = {
            "Polars, read_csv and write_parquet, not synced": lambda target: _polars(files, target),
            "arraystore, durable": lambda target: _ours(files, target, 2),
            "arraystore, durable, 1 worker": lambda target: _ours(files, target, 1),
        }
        rows = {name: load(Path(place) / f"warm-{number}") for number, (name, load) in enumerate(contestants.items())}
        assert len(set(rows.values())) == 1, rows
        best = dict.fromkeys(contestants, float("inf"))
        for _ in range(1 if small else ROUNDS):
            for name, load in contestants.items():
                best[name] = min(best[name], _timed(load, Path(place) / "store"))
        reference = next(iter(best.values()))
        label = f"XAUUSD, {len(files)} zips"
        return [Loading(data=label, contestant=name, rows=rows[name], seconds=taken, reference=reference) for name, taken in best.items()]


def _timed(load: Callable[[Path], int], target: Path) -> float:
    shutil.rmtree(target, ignore_errors=True)
    start = time.perf_counter()
    load(target)
    return time.perf_counter() - start


def _ours(files: list[Path], target: Path, workers: int) -> int:
    store = arraystore.open_store(target, role="data-quality", create=True)
    return arraystore.ingest(store, files, mapping="oanda-xauusd", workers=workers).rows


def _polars(files: list[Path], target: Path) -> int:
    target.mkdir()
    rows = 0
    for path in files:
        with zipfile.ZipFile(path) as archive:
            frame = pl.read_csv(archive.read(archive.namelist()[0]), has_header=False, new_columns=["milliseconds", "bid", "ask"])
        frame.write_parquet(target / f"{path.stem}.parquet")
        rows += frame.height
    return rows


def _files(place: Path, days: int | None) -> list[Path]:
    """The recordings; where they aren't there, stand-ins written in the same form."""
    found = sorted((folder() / "oanda-xauusd").glob("*_quote.zip"))[:days]
    if found:
        return found
    quotes = xauusd(1)
    day = 86_400 * 10**9
    with zipfile.ZipFile(place / "20140501_quote.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        values = zip(quotes.time, quotes.bid, quotes.ask, strict=True)
        archive.writestr("quotes.csv", "".join(f"{at % day / 1e6:.4f},{bid:.2f},{ask:.2f}\n" for at, bid, ask in values))
    return [place / "20140501_quote.zip"]
