"""Databento's files: every version, many instruments under the symbols they had that day, and recordings of a live feed."""

from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import arraystore

dbn = pytest.importorskip("databento_dbn")

DAY = 1_704_153_600_000_000_000  # 2024-01-02
DAYS = 86_400_000_000_000


def mapping_of(symbol: str, *intervals: tuple[date, date, str]) -> Any:
    """A mapping as the metadata holds it."""
    return SimpleNamespace(
        raw_symbol=symbol, intervals=[SimpleNamespace(start_date=start, end_date=stop, symbol=number) for start, stop, number in intervals]
    )


def metadata(schema: str | None, version: int, mappings: list[Any], **options: Any) -> bytes:
    given = dbn.Schema(schema) if schema else None
    stypes = (dbn.SType.RAW_SYMBOL, dbn.SType.INSTRUMENT_ID)
    return bytes(dbn.Metadata("GLBX.MDP3", DAY, *stypes, given, end=DAY + DAYS, version=version, mappings=mappings, **options).encode())


def trade(number: int, price: int, at: int, **fields: Any) -> Any:
    common = {"publisher_id": 1, "instrument_id": number, "ts_event": at, "size": 2, "depth": 0, "sequence": 42}
    return dbn.TradeMsg(
        **common | fields, price=price * 10**9, action=dbn.Action.TRADE, side=dbn.Side.from_str("B"), ts_recv=at + 1_000, flags=128
    )


JANUARY = (date(2024, 1, 2), date(2024, 1, 3), "7"), (date(2024, 1, 3), date(2024, 1, 4), "9")
MAPPINGS = [
    mapping_of("ESH4", *JANUARY),
    mapping_of("NQH4", (date(2024, 1, 2), date(2024, 1, 3), "8"), (date(2024, 1, 3), date(2024, 1, 4), "7")),
]


def written(path: Path, *parts: bytes) -> Path:
    data = b"".join(parts)
    path.write_bytes(pa.compress(data, "zstd", asbytes=True) if path.suffix == ".zst" else data)
    return path


@pytest.fixture
def store(tmp_path: Path) -> arraystore.Store:
    return arraystore.open_store(tmp_path / "store", role="data-quality", create=True)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_instruments_go_to_datasets_of_the_symbols_they_had_that_day(tmp_path: Path, store: arraystore.Store, version: int) -> None:
    records = [trade(7, 1, DAY), trade(8, 2, DAY + 1), trade(7, 3, DAY + DAYS), trade(9, 4, DAY + DAYS + 1)]
    path = written(tmp_path / "a.trades.dbn.zst", metadata("trades", version, MAPPINGS), *map(bytes, records))
    report = arraystore.ingest(store, path, mapping="databento-trades")
    assert [each.address for each in report.files] == ["canonical/GLBX.MDP3/trades/ESH4", "canonical/GLBX.MDP3/trades/NQH4"]
    assert store.canonical["GLBX.MDP3/trades/ESH4"].read()["price"].tolist() == [1, 4]
    assert store.canonical["GLBX.MDP3/trades/NQH4"].read()["price"].tolist() == [2, 3]


def test_an_instrument_without_a_symbol_is_named(tmp_path: Path, store: arraystore.Store) -> None:
    path = written(tmp_path / "a.dbn", metadata("trades", 3, MAPPINGS), bytes(trade(7, 1, DAY)), bytes(trade(5, 1, DAY)))
    with pytest.raises(arraystore.InvalidInput, match=r"has records of instrument 5 on 2024-01-02, for which its metadata has no symbol"):
        arraystore.ingest(store, path, mapping="databento-trades")
    assert store.canonical.find() == []


def test_a_recording_of_a_live_feed_names_its_instruments_as_it_goes(tmp_path: Path, store: arraystore.Store) -> None:
    told = dbn.SymbolMappingMsg(1, 7, DAY, dbn.SType.PARENT, "ES.FUT", dbn.SType.RAW_SYMBOL, "ESH4", DAY, DAY + DAYS)
    system = dbn.SystemMsg(DAY, "Heartbeat")
    records = [told, trade(7, 1, DAY), system, trade(7, 2, DAY + 5), system]
    path = written(tmp_path / "live.dbn", metadata(None, 3, []), *map(bytes, records))
    report = arraystore.ingest(store, path, mapping="databento-trades")
    assert (report.files[0].address, report.rows) == ("canonical/GLBX.MDP3/trades/ESH4", 2)


def test_a_file_of_another_schema_is_refused(tmp_path: Path, store: arraystore.Store) -> None:
    path = written(tmp_path / "a.dbn", metadata("trades", 3, MAPPINGS), bytes(trade(7, 1, DAY)))
    with pytest.raises(arraystore.InvalidInput, match=r"has records of schema 'trades', and the mapping is for ohlcv-1m"):
        arraystore.ingest(store, path, mapping="databento-ohlcv")


@pytest.mark.parametrize("kept", [3, 30, 200])
def test_half_a_file_is_refused(tmp_path: Path, store: arraystore.Store, kept: int) -> None:
    path = written(tmp_path / "a.dbn", metadata("trades", 3, MAPPINGS), bytes(trade(7, 1, DAY)), bytes(trade(7, 2, DAY)))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(arraystore.InvalidInput, match=r"a\.dbn:? (isn't DBN|is damaged or cut short)"):
        arraystore.ingest(store, path, mapping="databento-trades")


def test_ten_levels_of_a_book(tmp_path: Path, store: arraystore.Store) -> None:
    dtype = np.dtype(dbn.MBP10Msg._dtypes)
    row = np.zeros(1, dtype)
    row[["length", "rtype", "publisher_id", "instrument_id", "ts_event", "ts_recv"]] = (dtype.itemsize // 4, 10, 1, 7, DAY, DAY + 5)
    for level in range(10):
        row[f"bid_px_{level:02}"], row[f"bid_sz_{level:02}"] = (99 - level) * 10**9, 5
        row[f"ask_px_{level:02}"] = (101 + level) * 10**9 if level < 2 else dbn.UNDEF_PRICE
    path = written(tmp_path / "a.mbp-10.dbn", metadata("mbp-10", 3, MAPPINGS), row.tobytes())
    arraystore.ingest(store, path, mapping="databento-mbp-10")
    frame = store.canonical["GLBX.MDP3/book-snapshots/ESH4"].read()
    assert frame["bid_price"][0].tolist() == [99.0 - level for level in range(10)]
    assert (frame["bid_levels"].tolist(), frame["ask_levels"].tolist()) == ([10], [2])
    assert np.isnan(frame["ask_price"][0][2:]).all()


def test_orders_and_status(tmp_path: Path, store: arraystore.Store) -> None:
    order = np.zeros(2, np.dtype(dbn.MBOMsg._dtypes))
    order["length"], order["rtype"], order["instrument_id"], order["ts_event"], order["ts_recv"] = 14, 160, 7, DAY, DAY + 1
    order["order_id"], order["price"], order["size"] = [2**63 + 1, 0], [5 * 10**9, dbn.UNDEF_PRICE], 3
    order["action"], order["side"] = [b"A", b"R"], [b"B", b"N"]
    path = written(tmp_path / "a.mbo.dbn", metadata("mbo", 2, MAPPINGS), order.tobytes())
    arraystore.ingest(store, path, mapping="databento-mbo")
    frame = store.canonical["GLBX.MDP3/book-events/ESH4"].read()
    assert (frame["order_id"].tolist(), frame["price"][0]) == ([2**63 + 1, 0], 5.0)
    assert frame.valid("price").tolist() == [True, False]
    status = np.zeros(1, np.dtype(dbn.StatusMsg._dtypes))
    status["length"], status["rtype"], status["instrument_id"], status["ts_event"], status["ts_recv"] = 10, 18, 7, DAY, DAY + 1
    status["action"], status["reason"], status["is_trading"], status["is_quoting"], status["is_short_sell_restricted"] = (
        8,
        30,
        b"N",
        b"Y",
        b"~",
    )
    path = written(tmp_path / "a.status.dbn", metadata("status", 1, MAPPINGS), status.tobytes())
    arraystore.ingest(store, path, mapping="databento-status")
    frame = store.canonical["GLBX.MDP3/status/ESH4"].read()
    assert (frame["action"].tolist(), frame["reason"].tolist(), frame["is_trading"].tolist()) == ([8], ["30"], [False])
    assert frame.valid("is_short_sell_restricted").tolist() == [False]


@pytest.mark.parametrize("version", [1, 2, 3])
def test_definitions_of_every_version_fill_a_schema_of_ones_own(tmp_path: Path, store: arraystore.Store, version: int) -> None:
    dtype = np.dtype(getattr(dbn, f"v{version}").InstrumentDefMsg._dtypes)
    row = np.zeros(1, dtype)
    row[["length", "rtype", "instrument_id", "ts_event", "ts_recv"]] = (dtype.itemsize // 4, 19, 7, DAY, DAY + 1)
    row["raw_symbol"], row["min_price_increment"], row["instrument_class"] = b"ESH4", 250_000_000, b"F"
    row["expiration"] = 2**64 - 1
    path = written(tmp_path / "a.definition.dbn.zst", metadata("definition", version, MAPPINGS), row.tobytes())
    columns = [
        {"name": "time", "kind": "time"},
        {"name": "raw_symbol", "kind": "text"},
        {"name": "class", "kind": "dictionary"},
        {"name": "tick"},
        {"name": "expiry", "kind": "time", "nullable": True},
    ]
    own = {
        "into": "canonical/{dataset}/definitions/_all",
        "schema": {"name": "definitions", "columns": columns, "window": "year"},
        "file": {"format": "dbn", "records": ["definition"], "split": ["dataset"]},
        "columns": {
            "time": {"from": "ts_recv", "unit": "ns"},
            "raw_symbol": {"from": "raw_symbol"},
            "class": {"from": "instrument_class", "words": {"F": "future"}, "other": "another"},
            "tick": {"from": "min_price_increment", "scale": "1e-9"},
            "expiry": {"from": "expiration", "unit": "ns", "null": ["18446744073709551615"]},
        },
    }
    arraystore.ingest(store, path, mapping=own)
    frame = store.canonical["GLBX.MDP3", "definitions", "_all"].read()
    assert (frame["raw_symbol"].tolist(), frame["class"].tolist(), frame["tick"].tolist()) == (["ESH4"], ["future"], [0.25])
    assert frame.valid("expiry").tolist() == [False]
