"""The shipped mappings read what the vendors document: to the bit, and with their quirks."""

import gzip
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import arraystore
from tests.ingest.conftest import written, zipped

TRADES = "exchange,symbol,timestamp,local_timestamp,id,side,price,amount\n"
BOOK = "exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount\n"


def ingested(root: Path, role: str, *files: Path, mapping: str, **options: Any) -> tuple[arraystore.Frame, arraystore.IngestReport]:
    store = arraystore.open_store(root, role=role, create=True)
    report = arraystore.ingest(store, files, mapping=mapping, **options)
    storage_class, _, key = report.files[0].address.partition("/")
    return store.surface(storage_class)[key].read(), report


def quality(root: Path, *files: Path, mapping: str, **options: Any) -> tuple[arraystore.Frame, str]:
    frame, report = ingested(root, "data-quality", *files, mapping=mapping, **options)
    return frame, report.files[0].address


@pytest.mark.parametrize("name", arraystore.shipped_mappings())
def test_every_shipped_mapping_says_what_it_is_for_and_is_documented(name: str) -> None:
    assert len(arraystore.shipped_mappings()[name]) > 20
    assert f"`{name}`" in (Path(__file__).parents[2] / "docs" / "ingest.md").read_text("utf-8")


def test_oanda_quotes_come_in_bit_for_bit(tmp_path: Path, shared_data: Path) -> None:
    files = sorted((shared_data / "oanda-xauusd").glob("*.zip"))
    frame, report = ingested(tmp_path, "data-quality", *files, mapping="oanda-xauusd", workers=2)
    assert (report.rows, frame.row_count) == (1_312_635, 1_312_635)
    assert [each.rows for each in report.files] == [129_744, 265_015, 9_889, 186_204, 161_552, 219_809, 199_123, 141_299]
    assert (str(frame["time"][0]), frame["bid_price"][0], frame["ask_price"][0]) == ("2014-05-01T00:00:00.043142000", 1291.677, 1292.033)
    last = len(frame["time"]) - 1
    assert str(frame["time"][last]) == "2014-05-09T20:59:58.844513000"
    with zipfile.ZipFile(files[1]) as archive:
        rows = [line.split(b",") for line in archive.read(archive.namelist()[0]).split()]
    day = slice(129_744, 129_744 + 265_015)
    assert frame["bid_price"][day].tolist() == [float(row[1]) for row in rows]
    assert frame["ask_price"][day].tolist() == [float(row[2]) for row in rows]
    midnight = arraystore.parse_time("2014-05-02")
    exact = [midnight + int(whole) * 10**6 + int(part.ljust(6, b"0")) for whole, _, part in (row[0].partition(b".") for row in rows)]
    assert frame["time"][day].view(np.int64).tolist() == exact


def test_us_minute_bars_go_to_a_dataset_per_stock_of_their_sessions(tmp_path: Path, shared_data: Path) -> None:
    files = sorted((shared_data / "us-minute-bars").glob("*.gz"))
    store = arraystore.open_store(tmp_path, role="data-quality", create=True)
    report = arraystore.ingest(store, files, mapping="us-minute-bars")
    counts = {each.address.rpartition("/")[2]: each.rows for each in report.files}
    assert counts == {"AZO": 25_833, "ERIE": 19_106, "FICO": 29_090, "NVR": 37_132, "SW": 51_124, "TPL": 17_914}
    frame = store.canonical["us-stocks/bars/SW"].read()
    first = [frame[name][0] for name in ("open", "high", "low", "close", "vwap", "volume")]
    assert (str(frame["open_time"][0]), first) == ("2024-07-08T13:45:00.000000000", [47.4, 47.4, 47.4, 47.4, 47.3972, 24828.0])
    assert (frame["close_time"] - frame["open_time"] == np.timedelta64(1, "m")).all()
    assert len(np.unique(frame["open_time"].astype("datetime64[D]"))) > 100


def test_fills_keep_their_order_among_equal_times(tmp_path: Path, shared_data: Path) -> None:
    frame, report = ingested(tmp_path, "backtesting", shared_data / "fills" / "transactions.csv", mapping="fills")
    assert report.files[0].address == "execution-records/backtest/pyfolio/fills"
    assert frame["sequence"].tolist() == list(range(1, 9_368))
    assert len(np.unique(frame["time"])) == 1_506
    assert (frame["instrument"][0], frame["price"][1], frame["size"][0]) == ("AMD", 4.82375000001, 448.0)
    assert (frame["instrument"][9_365], frame["size"][9_365], int(frame["side"][9_365])) == ("INTC", 1120.0, -1)


def test_positions_come_in_as_a_column_per_symbol(tmp_path: Path, shared_data: Path) -> None:
    frame, _ = ingested(tmp_path, "analysis", shared_data / "fills" / "positions.csv.gz", mapping="fills-positions")
    assert frame.row_count == 1_506
    assert (frame["amd"][0], frame["cash"][0]) == (6961.92, -6192.36029804)


def test_tardis_trades(tmp_path: Path) -> None:
    text = TRADES + (
        "deribit,BTC-PERPETUAL,1577836800094000,1577836800102345,T1,sell,7170,5000\n"
        "deribit,BTC-PERPETUAL,1577836800094000,1577836800102345,,unknown,7169.5,0.1\n"
    )
    path = written(tmp_path / "deribit_trades_2020-01-01_BTC-PERPETUAL.csv.gz", text)
    frame, address = quality(tmp_path / "s", path, mapping="tardis-trades")
    assert address == "canonical/deribit/trades/BTC-PERPETUAL"
    assert [str(time) for time in frame["time"]] == ["2020-01-01T00:00:00.102345000"] * 2
    assert str(frame["exchange_time"][0]) == "2020-01-01T00:00:00.094000000"
    assert (frame["side"].tolist(), frame["price"].tolist(), frame["trade_id"].tolist()) == ([-1, 0], [7170.0, 7169.5], ["T1", None])


def test_a_tardis_file_goes_where_its_columns_say_whatever_it_is_called(tmp_path: Path) -> None:
    path = written(tmp_path / "download.csv.gz", TRADES + "ftx,BTC/USD,1577836800094000,1577836800102345,T1,sell,1,1\n")
    frame, address = quality(tmp_path / "s", path, mapping="tardis-trades")
    assert (frame.row_count, address) == (1, "canonical/ftx/trades/BTC=2FUSD")


SEVERAL = TRADES + "".join(
    f"deribit,{symbol},1577836800094000,{1577836800102345 + n},{n},sell,{n},1\n" for n, symbol in enumerate("ABAACBA", 1)
)


def test_a_tardis_file_of_many_symbols_becomes_a_dataset_for_each(tmp_path: Path) -> None:
    path = written(tmp_path / "deribit_trades_2020-01-01_FUTURES.csv.gz", SEVERAL)
    store = arraystore.open_store(tmp_path / "s", role="data-quality", create=True)
    report = arraystore.ingest(store, path, mapping="tardis-trades")
    assert [(each.address[-1], each.rows, each.version) for each in report.files] == [("A", 4, 2), ("B", 2, 2), ("C", 1, 2)]
    assert store.canonical["deribit/trades/A"].read()["price"].tolist() == [1, 3, 4, 7]
    with pytest.raises(arraystore.AlreadyExists, match="was ingested into canonical/deribit/trades/A with this mapping"):
        arraystore.ingest(store, path, mapping="tardis-trades")
    assert {each.state for each in arraystore.ingest(store, path, mapping="tardis-trades", resume=True).files} == {"known"}


def test_a_tardis_file_of_many_symbols_may_stay_together_or_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "deribit_trades_2020-01-01_FUTURES.csv.gz", SEVERAL)
    with pytest.raises(arraystore.InvalidInput, match="line 3: column 'symbol': holds 'B' after 'A', and a dataset of one symbol is meant"):
        quality(tmp_path / "s", path, mapping="tardis-trades", into="canonical/deribit/trades/X")
    frame, address = quality(tmp_path / "s", path, mapping="tardis-trades", into="canonical/deribit/trades/_all")
    assert address == "canonical/deribit/trades/=5Fall"
    assert frame["instrument"].tolist() == list("ABAACBA")


def test_tardis_quotes_with_an_empty_side(tmp_path: Path) -> None:
    text = (
        "exchange,symbol,timestamp,local_timestamp,ask_amount,ask_price,bid_price,bid_amount\n"
        "bitmex,XBTUSD,1569888000143000,1569888000147333,145272,8289,8288.5,1000\n"
        "bitmex,XBTUSD,1569888000143000,1569888000147334,,,8288.5,1000\n"
    )
    frame, _ = quality(tmp_path / "s", written(tmp_path / "bitmex_quotes_2019-10-01_XBTUSD.csv.gz", text), mapping="tardis-quotes")
    assert (frame["ask_price"][0], frame["ask_size"][0], frame["bid_price"][1], frame["bid_size"][1]) == (8289.0, 145272.0, 8288.5, 1000.0)
    assert frame.valid("ask_price").tolist() == [True, False]


def test_tardis_book_updates_know_deletions_and_snapshots_and_keep_arrival_order(tmp_path: Path) -> None:
    text = BOOK + (
        "binance-futures,BTCUSDT,1598918400000000,1598918400004123,true,bid,11650.1,2.5\n"
        "binance-futures,BTCUSDT,1598918400009000,1598918400012000,false,ask,11650.2,0\n"
        "binance-futures,BTCUSDT,1598918400008000,1598918400011000,false,ask,11650.3,1e-3\n"
    )
    path = written(tmp_path / "binance-futures_incremental_book_L2_2020-09-01_BTCUSDT.csv.gz", text)
    frame, address = quality(tmp_path / "s", path, mapping="tardis-incremental-book-l2")
    assert address == "canonical/binance-futures/book/BTCUSDT"
    assert (frame["action"].tolist(), frame["side"].tolist(), frame["flags"].tolist()) == ([1, 2, 1], [1, -1, -1], [48, 16, 16])
    assert frame["size"].tolist() == [2.5, 0.0, 0.001]


def test_tardis_book_snapshots_of_a_shallow_book(tmp_path: Path) -> None:
    levels = [f"{side}s[{level}].{what}" for level in range(5) for side in ("ask", "bid") for what in ("price", "amount")]
    shallow = ["101", "1", "99", "2", "102", "3", "", "", *[""] * 12]
    text = ",".join(["exchange", "symbol", "timestamp", "local_timestamp", *levels]) + "\n"
    text += ",".join(["deribit", "X", "1598918400000000", "1598918400000001", *shallow]) + "\n"
    path = written(tmp_path / "deribit_book_snapshot_5_2020-09-01_X.csv.gz", text)
    frame, _ = quality(tmp_path / "s", path, mapping="tardis-book-snapshot", parameters={"levels": "5"})
    np.testing.assert_array_equal(frame["ask_price"], [[101, 102, np.nan, np.nan, np.nan]])
    np.testing.assert_array_equal(frame["bid_size"], [[2, 0, 0, 0, 0]])
    assert (frame["ask_levels"].tolist(), frame["bid_levels"].tolist()) == ([2], [1])


@pytest.mark.parametrize(
    ("name", "text", "times"),
    [
        pytest.param(
            "BTCUSDT-trades-2024-05-31.zip",
            "id,price,qty,quote_qty,time,is_buyer_maker\n5,68402.6,0.024,1641.6624,1717113600031,false\n6,68402.5,0.005,342,1717113600130,true\n",
            ["2024-05-31T00:00:00.031000000", "2024-05-31T00:00:00.130000000"],
            id="futures, header, ms",
        ),
        pytest.param(
            "BTCUSDT-trades-2020-03.zip",
            "5,68402.6,0.024,101.29,1583709433583,False,True\n6,68402.5,0.005,101.29,1583709433584,True,True\n",
            ["2020-03-08T23:17:13.583000000", "2020-03-08T23:17:13.584000000"],
            id="spot, no header, ms",
        ),
        pytest.param(
            "BTCUSDT-trades-2025-02.zip",
            "5,68402.6,0.024,5.12,1738368000182381,False,True\n6,68402.5,0.005,5.1,1738368000302865,True,True\n",
            ["2025-02-01T00:00:00.182381000", "2025-02-01T00:00:00.302865000"],
            id="spot, no header, us",
        ),
    ],
)
def test_binance_trades(tmp_path: Path, name: str, text: str, times: list[str]) -> None:
    frame, address = quality(tmp_path / "s", written(tmp_path / name, text), mapping="binance-trades")
    assert address == "canonical/binance/trades/BTCUSDT"
    assert [str(time) for time in frame["time"]] == times
    assert (frame["price"].tolist(), frame["size"].tolist(), frame["side"].tolist()) == ([68402.6, 68402.5], [0.024, 0.005], [1, -1])
    assert frame["trade_id"].tolist() == ["5", "6"]


def test_binance_aggregated_trades_out_of_order_are_put_into_the_order_of_time(tmp_path: Path) -> None:
    text = (
        "1862715434,26951.0,0.003,4130731517,4130731517,1696118404732,false\n"
        "1896999302,33944.3,0.001,4231745127,4231745127,1698418067575,false\n"
        "1862715435,26950.9,0.005,4130731518,4130731520,1696118404758,true\n"
    )
    path = written(tmp_path / "BTCUSDT-aggTrades-2023-10.zip", text)
    frame, _ = quality(tmp_path / "s", path, mapping="binance-agg-trades", parameters={"venue": "binance-usdm"})
    assert frame["trade_id"].tolist() == ["1862715434", "1862715435", "1896999302"]
    assert frame["sequence"].tolist() == [4130731517, 4130731520, 4231745127]


def test_a_binance_file_of_another_month_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "BTCUSDT-trades-2020-04.zip", "5,1,1,1,1583709433583,False,True\n")
    with pytest.raises(arraystore.InvalidInput, match=r"line 1: column 'time': holds 2020-03-08.* outside of 2020-04-01"):
        quality(tmp_path / "s", path, mapping="binance-trades")


def test_binance_klines_end_where_the_next_begins(tmp_path: Path) -> None:
    text = "1601510340000,4.15070000,4.15870000,4.15060000,4.15540000,539.23,1601510399999,2240.39860900,13,401.82,1669.98121300,0\n"
    path = written(tmp_path / "UNIUSDT-1m-2020-09.zip", text)
    frame, address = quality(tmp_path / "s", path, mapping="binance-klines")
    assert address == "canonical/binance/bars-1m/UNIUSDT"
    assert (str(frame["open_time"][0]), str(frame["close_time"][0])) == ("2020-09-30T23:59:00.000000000", "2020-10-01T00:00:00.000000000")
    assert [frame[name][0] for name in ("open", "high", "low", "close")] == [4.1507, 4.1587, 4.1506, 4.1554]
    assert (frame["turnover"][0], frame["trade_count"][0], frame["buy_volume"][0]) == (2240.398609, 13, 401.82)


def test_many_files_of_a_vendor_go_where_their_names_say(tmp_path: Path) -> None:
    for symbol in ("AAAUSDT", "BBBUSDT"):
        zipped(tmp_path / f"{symbol}-trades-2020-03.zip", {f"{symbol}-trades-2020-03.csv": "5,1,1,1,1583709433583,False,True\n"})
    store = arraystore.open_store(tmp_path / "s", role="data-quality", create=True)
    arraystore.ingest(store, sorted(tmp_path.glob("*.zip")), mapping="binance-trades")
    assert store.canonical.find() == [("binance", "trades", "AAAUSDT"), ("binance", "trades", "BBBUSDT")]


class TestDatabento:
    """Files made with Databento's own package, where it is installed."""

    @pytest.fixture
    def dbn(self) -> Any:
        return pytest.importorskip("databento_dbn")

    def write(self, dbn: Any, path: Path, schema: str, records: list[Any]) -> Path:
        start = 1_704_153_600_000_000_000
        symbols = dbn.SType.INSTRUMENT_ID
        metadata = dbn.Metadata("XNAS.ITCH", start, symbols, symbols, dbn.Schema(schema), end=start + 1)
        data = metadata.encode() + b"".join(bytes(record) for record in records)
        path.write_bytes(data)
        return path

    def common(self, dbn: Any, at: int) -> dict[str, Any]:
        return {"publisher_id": 2, "instrument_id": 7, "ts_event": at, "size": 10, "depth": 0, "sequence": 42}

    def trade(self, dbn: Any, price: int, side: str, at: int) -> Any:
        action, side = dbn.Action.TRADE, dbn.Side.from_str(side)
        return dbn.TradeMsg(**self.common(dbn, at), price=price, action=action, side=side, ts_recv=at + 1_000, flags=128)

    def test_trades(self, tmp_path: Path, dbn: Any) -> None:
        at = 1_704_153_600_000_000_123
        records = [self.trade(dbn, 5000_250000000, "B", at), self.trade(dbn, 123456789, "A", at + 1)]
        path = self.write(dbn, tmp_path / "a.trades.dbn", "trades", records)
        frame, _ = quality(tmp_path / "s", path, mapping="databento-trades", into="canonical/xnas/trades/X")
        assert (frame["price"].tolist(), frame["side"].tolist(), frame["flags"].tolist()) == ([5000.25, 0.123456789], [1, -1], [128, 128])
        assert (frame["time"].view(np.int64)[0], frame["exchange_time"].view(np.int64)[0]) == (at + 1_000, at)

    def test_a_file_cut_within_a_record_is_refused(self, tmp_path: Path, dbn: Any) -> None:
        path = self.write(dbn, tmp_path / "a.trades.dbn", "trades", [self.trade(dbn, 1, "B", 5)])
        path.write_bytes(path.read_bytes()[:-5])
        with pytest.raises(arraystore.InvalidInput, match="is damaged or cut short"):
            quality(tmp_path / "s", path, mapping="databento-trades", into="canonical/xnas/trades/X")

    def test_an_undefined_price_is_null(self, tmp_path: Path, dbn: Any) -> None:
        at = 1_704_153_600_000_000_123
        level = dbn.BidAskPair(bid_px=99_500000000, ask_px=dbn.UNDEF_PRICE, bid_sz=3, bid_ct=2)
        action, side = dbn.Action.ADD, dbn.Side.from_str("B")
        record = dbn.MBP1Msg(**self.common(dbn, at), price=1, action=action, side=side, ts_recv=at, levels=level)
        path = self.write(dbn, tmp_path / "a.mbp-1.dbn", "mbp-1", [record])
        frame, _ = quality(tmp_path / "s", path, mapping="databento-mbp-1", into="canonical/xnas/quotes/X")
        assert (frame["bid_price"][0], frame["bid_size"][0], frame["bid_count"][0]) == (99.5, 3.0, 2)
        assert frame.valid("ask_price").tolist() == [False]

    def test_bars(self, tmp_path: Path, dbn: Any) -> None:
        at = 1_704_153_600_000_000_000
        prices = {"open": 10**9, "high": 3 * 10**9, "low": 5 * 10**8, "close": 2 * 10**9}
        record = dbn.OHLCVMsg(rtype=dbn.RType.OHLCV_1S, publisher_id=2, instrument_id=7, ts_event=at, volume=11, **prices)
        path = self.write(dbn, tmp_path / "a.ohlcv-1s.dbn", "ohlcv-1s", [record])
        into = "canonical/xnas/bars-1s/X"
        frame, _ = quality(tmp_path / "s", path, mapping="databento-ohlcv", into=into, parameters={"interval": "1s"})
        assert [frame[name][0] for name in ("open", "high", "low", "close", "volume")] == [1.0, 3.0, 0.5, 2.0, 11.0]
        assert frame["close_time"].view(np.int64)[0] == at + 10**9


def test_without_databentos_package_the_error_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "databento_dbn", None)
    path = tmp_path / "a.dbn.gz"
    path.write_bytes(gzip.compress(b"DBN"))
    with pytest.raises(arraystore.InvalidInput, match=r"pip install 'arraystore\[databento\]'"):
        quality(tmp_path / "s", path, mapping="databento-trades", into="canonical/xnas/trades/X")
