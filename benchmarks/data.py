"""The recordings that cases run on, as arrays; smaller stand-ins of the same shape where they aren't there."""

import io
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from arraystore import parse_time

SHARED = Path(__file__).parents[2] / "shared" / "data"


@dataclass(frozen=True, slots=True, eq=False)
class Quotes:
    """Best bid and ask: `time` int64 ns since 1970 UTC, ascending; prices float64."""

    name: str
    time: np.ndarray
    bid: np.ndarray
    ask: np.ndarray


def folder() -> Path:
    """Where the recordings lie; `ARRAYSTORE_DATA` says otherwise."""
    return Path(os.environ.get("ARRAYSTORE_DATA", SHARED))


def xauusd(days: int | None = None) -> Quotes:
    """XAUUSD quotes of OANDA, all days or the first few; a random walk in cents where they aren't there."""
    files = sorted((folder() / "oanda-xauusd").glob("*_quote.zip"))[:days]
    if not files:
        return _walk(1_300_000 if days is None else 20_000 * days)
    parts = [_oanda_day(path) for path in files]
    return Quotes("XAUUSD", *(np.concatenate(column) for column in zip(*parts, strict=True)))


def _oanda_day(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    with zipfile.ZipFile(path) as archive:
        table = np.loadtxt(io.BytesIO(archive.read(archive.namelist()[0])), delimiter=",")
    day = path.name[:8]
    midnight = parse_time(f"{day[:4]}-{day[4:6]}-{day[6:]}")
    # Milliseconds with up to four decimals: a tenth of a microsecond is the finest there is.
    times = midnight + np.rint(table[:, 0] * 10_000).astype(np.int64) * 100
    return times, table[:, 1], table[:, 2]


def _walk(count: int) -> Quotes:
    rng = np.random.default_rng(7)
    time = parse_time("2014-05-01") + np.cumsum(rng.integers(1, 1_000, count)) * 1_000_000
    bid = 128_000 + np.cumsum(rng.integers(-3, 4, count))
    return Quotes("random walk", time, bid / 100, (bid + rng.integers(20, 60, count)) / 100)


def captures() -> list[Path]:
    """Websocket captures of Binance futures, gzip; none where they aren't there."""
    return sorted((folder() / "binance-usdm").glob("*.gz"))
