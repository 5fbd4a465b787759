"""A company changes its symbol, another takes the old one: prices are read across the change, and nobody mixes the two up."""

from pathlib import Path

import numpy as np
import pytest

import arraystore
from arraystore.testing import generate

META, FUND = "US30303M1027", "US00000FUND1"
CHANGE, REUSE = "2022-06-09", "2022-06-13"


def tell(store: arraystore.Store, *names: tuple[object, ...]) -> None:
    """Keep who was called what, from when to when, and since when that is known."""
    symbology = store.canonical.create(("xnas", "symbology", "_all"), arraystore.schema_by_name("symbology"), exist_ok=True)
    columns = ("instrument_uid", "venue", "symbol", "valid_from", "valid_to", "known_from")
    symbology.append(dict(zip(columns, map(list, zip(*names, strict=True)), strict=True)))


def define(store: arraystore.Store, instrument_uid: str, symbol: str, since: str, tick: float) -> None:
    """Keep what an instrument is like from a day on; what doesn't matter here is as generated."""
    schema = arraystore.schema_by_name("instrument_definitions")
    told = generate("instrument_definitions", 1) | {
        "time": [since],
        "valid_from": [since],
        "valid_to": [None],
        "instrument_uid": [instrument_uid],
        "raw_symbol": [symbol],
        "price_increment": [tick],
    }
    told.pop("valid_to_valid", None)
    store.canonical.create(("xnas", "instrument_definitions", "_all"), schema, exist_ok=True).append(told)


def daily(store: arraystore.Store, symbol: str, days: np.ndarray, closes: np.ndarray) -> None:
    """A vendor's bars, which lie under the symbol of their day."""
    bars = generate("bars", len(days), interval="1d") | {"open_time": days, "close_time": days + np.timedelta64(1, "D"), "close": closes}
    key = ("xnas", "bars-1d", symbol)
    store.canonical.create(key, arraystore.schema_by_name("bars", interval="1d"), exist_ok=True).append(bars)


def closes_of(store: arraystore.Store, symbol: str, at: str, known_at: str | None = None) -> list[float]:
    """The closes of whatever the symbol named then, over all of its names."""
    instrument = store.resolve(symbol, venue="xnas", at=at, known_at=known_at)
    parts = [store.canonical["xnas", "bars-1d", name].read(start, stop, ["close"]) for name, start, stop in instrument.periods]
    return np.concatenate([part["close"] for part in parts]).tolist()


def test_an_instrument_is_read_across_a_change_of_its_symbol(root: Path) -> None:
    quality = arraystore.open_store(root, role="data-quality")
    days = np.arange("2022-06-06", "2022-06-18", dtype="datetime64[D]").astype("datetime64[ns]")
    closes = np.arange(len(days)) + 100.0
    tell(quality, (META, "xnas", "FB", "2012-05-18", None, "2012-05-18"))
    define(quality, META, "FB", "2012-05-18", tick=0.01)
    before = days < np.datetime64(CHANGE)
    daily(quality, "FB", days[before], closes[before])

    # The change is announced a few days before: the old name ends, the new one begins. Definitions change their tick.
    tell(quality, (META, "xnas", "FB", "2012-05-18", CHANGE, "2022-06-01"), (META, "xnas", "META", CHANGE, None, "2022-06-01"))
    define(quality, META, "META", CHANGE, tick=0.005)
    daily(quality, "META", days[~before], closes[~before])

    # A fund takes the old symbol; its bars lie where the company's did.
    tell(quality, (FUND, "xnas", "FB", REUSE, None, REUSE))
    reused = days >= np.datetime64(REUSE)
    daily(quality, "FB", days[reused], np.full(reused.sum(), 1.0))

    # One and the same instrument, by its old name when it had it and by its new one now: one series over both datasets.
    backtest = arraystore.open_store(root, role="backtesting")
    company = backtest.resolve("META", venue="xnas", at="2022-06-15")
    assert backtest.resolve("FB", venue="xnas", at="2022-06-08").instrument_uid == company.instrument_uid == META
    assert closes_of(backtest, "META", "2022-06-15") == closes_of(backtest, "FB", "2022-06-08") == closes.tolist()
    assert [symbol for symbol, _, _ in company.periods] == ["FB", "META"]

    # The old name now names the fund, and in between nothing: an error that says what is known of it.
    assert backtest.resolve("FB", venue="xnas", at="2022-06-14").instrument_uid == FUND
    assert set(closes_of(backtest, "FB", "2022-06-14")) == {1.0}
    with pytest.raises(arraystore.NotFound, match=f"'FB' is '{META}' from .* to {CHANGE}"):
        backtest.resolve("FB", venue="xnas", at="2022-06-10")

    # What was in force then is told with it, and a backtest that mustn't know of the change doesn't.
    ticks = [
        backtest.resolve(name, venue="xnas", at=at).definition["price_increment"] for name, at in (("FB", "2022-06-08"), ("META", CHANGE))
    ]
    assert ticks == [0.01, 0.005]
    then = backtest.resolve("FB", venue="xnas", at="2022-06-10", known_at="2022-05-31")
    assert (then.instrument_uid, then.periods) == (META, (("FB", arraystore.parse_time("2012-05-18"), None),))
