"""hftbacktest gets what was recorded: each event once for the exchange and once for the trader, each in order of its own clock."""

import json
import os
import re
import shutil
import subprocess
import uuid
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import arraystore
from arraystore import schema_by_name, to_hftbacktest
from arraystore.bridges import hftevents
from arraystore.bridges.hftevents import BUY, DEPTH, DEPTH_CLEAR, DEPTH_SNAPSHOT, EVENT, EXCHANGE, LOCAL, SELL, TRADE, by_both_clocks
from arraystore.demo.sources import find_captures
from tests.conftest import PROJECT
from tests.replays.conftest import promoted

SECOND = 10**9
MIDNIGHT = arraystore.parse_time("2024-08-09")
OFFSET = 1_600_000_000  # the recorder's clock was so much behind, and a little less


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2)), max_size=60))
def test_each_event_is_once_for_the_exchange_and_once_for_the_trader_in_order(steps):
    """`steps` are the exchange's times, in the order seen, and how much later each is seen than the one before."""
    events = np.zeros(len(steps), EVENT)
    events["exch_ts"] = [exchange for exchange, _ in steps]
    events["local_ts"] = np.cumsum([later for _, later in steps], dtype=np.int64) if steps else []
    events["ival"] = np.arange(len(steps))
    found = by_both_clocks(events)

    seen, happened = found[(found["ev"] & LOCAL) != 0], found[(found["ev"] & EXCHANGE) != 0]
    assert seen["ival"].tolist() == list(range(len(steps)))
    assert happened["ival"].tolist() == sorted(range(len(steps)), key=lambda row: steps[row][0])
    assert ((found["ev"] & (LOCAL | EXCHANGE)) != 0).all()
    twice = len(found) - len(steps)
    late = [row for row in range(len(steps)) if any(steps[before][0] > steps[row][0] for before in range(row))]
    assert twice == len(late)
    for name in ("exch_ts", "local_ts"):
        assert (np.sort(found[name]) == np.sort(np.concatenate([events[name], events[name][late]]))).all()


@pytest.fixture
def store():
    return arraystore.open_store(f"memory://{uuid.uuid4().hex}", role="data-quality", create=True)


def ticks(count, start, latency=SECOND // 10, **more):
    times = start + np.arange(count) * SECOND
    return {
        "time": times,
        "exchange_time": times - latency,
        "capture_sequence": np.arange(count) + int(start % 10**12),
        "flags": [128] * count,
    } | more


def trades_of(count, start, **more):
    return ticks(count, start, price=np.arange(count) + 100.0, size=np.ones(count), side=np.ones(count, np.int8), **more)


def levels_of(count, start, **more):
    numbers = np.arange(count)
    return ticks(
        count,
        start,
        action=np.where(numbers % 3 == 2, 2, 1).astype(np.int8),
        side=np.where(numbers % 2, 1, -1).astype(np.int8),
        price=100.0 - np.where(numbers % 2, 1, -1) * (1 + numbers % 4),
        size=numbers + 1.0,
        **more,
    )


def snapshot_of(start, sides=(1, 1, 1, -1, -1)):
    count = len(sides)
    action = [3 if row == 0 or sides[row - 1] != sides[row] else 1 for row in range(count)]
    price = [np.nan if each == 3 else 100.0 - side * (row + 1) for row, (each, side) in enumerate(zip(action, sides, strict=True))]
    return {
        "time": [start] * count,
        "exchange_time": [start - 1] * count,
        "capture_sequence": [int(start % 10**12) - 1] * count,
        "action": np.array(action, np.int8),
        "side": np.array(sides, np.int8),
        "price": price,
        "price_valid": ~np.isnan(price),
        "size": [5.0] * count,
        "size_valid": ~np.isnan(price),
        "flags": [32] * (count - 1) + [32 | 128],
    }


@pytest.fixture
def made(store):
    """Trades and a book of two days, around midnight, the book with a snapshot at the beginning."""
    trades = store.canonical.create(("v", "trades", "X"), schema_by_name("trades"))
    book = store.canonical.create(("v", "book_updates", "X"), schema_by_name("book_updates"))
    trades.append(trades_of(20, MIDNIGHT - 10 * SECOND))
    book.append(snapshot_of(MIDNIGHT - 11 * SECOND))
    book.append(levels_of(20, MIDNIGHT - 10 * SECOND))
    return trades, book


def loaded(paths):
    return [np.load(path)["data"] for path in paths]


def book_of(*arrays):
    """The levels that these events leave, as hftbacktest's documentation says what each does; told apart by side."""
    levels = {BUY: {}, SELL: {}}
    for event in np.concatenate(arrays):
        if not event["ev"] & LOCAL or event["ev"] & 0xFF == TRADE:
            continue
        side, kind, price = BUY if event["ev"] & BUY else SELL, event["ev"] & 0xFF, float(event["px"])
        if kind == DEPTH_CLEAR:
            sign = 1 if side == BUY else -1
            levels[side] = {each: size for each, size in levels[side].items() if not np.isnan(price) and (price - each) * sign > 0}
        else:
            assert kind in (DEPTH, DEPTH_SNAPSHOT)
            levels[side].pop(price, None)
            if event["qty"]:
                levels[side][price] = float(event["qty"])
    return levels


def test_a_file_per_window_has_all_rows_and_an_offset_is_common_to_all(made, tmp_path):
    paths = to_hftbacktest(*made, latency_offset="2s", cache_dir=tmp_path)
    assert [re.sub(r"-[0-9a-f]{32}", "", Path(path).name) for path in paths] == ["X-2024-08-08.npz", "X-2024-08-09.npz"]
    first, second = loaded(paths)
    assert first.dtype == EVENT
    assert (len(first), len(second)) == (20 + 5, 20)
    assert (first["local_ts"] - first["exch_ts"])[5:].tolist() == [2 * SECOND + SECOND // 10] * 20
    assert first["local_ts"][-1] < second["local_ts"][0]
    assert (first["ev"][:5] & 0xFF).tolist() == [DEPTH_CLEAR, DEPTH_SNAPSHOT, DEPTH_SNAPSHOT, DEPTH_CLEAR, DEPTH_SNAPSHOT]
    assert first["px"][:5].tolist() == [97.0, 98.0, 97.0, 105.0, 105.0]  # cleared as far as the snapshot reaches
    deleted = (first["ev"] & 0xFF == DEPTH) & (first["qty"] == 0)
    assert deleted.sum() == 3


def test_what_was_made_is_used_again_until_its_window_changes(made, tmp_path):
    trades, book = made
    paths = to_hftbacktest(trades, book, cache_dir=tmp_path)
    times = [Path(path).stat().st_mtime_ns for path in paths]
    trades.append(trades_of(3, MIDNIGHT + 86_400 * SECOND))
    again = to_hftbacktest(trades, book, cache_dir=tmp_path)
    assert again[:2] == paths
    assert [Path(path).stat().st_mtime_ns for path in paths] == times
    assert len(again) == 3
    rest = trades.read(window="2024-08-09").take(slice(0, 4))
    trades.replace("2024-08-09", rest, reason="an example")
    changed = to_hftbacktest(trades, book, cache_dir=tmp_path)
    assert (changed[0], changed[2]) == (again[0], again[2])
    assert changed[1] != again[1]
    assert len(loaded(changed[1:2])[0]) == 14
    assert to_hftbacktest(trades, book, cache_dir=tmp_path, latency_offset=1)[0] != paths[0]
    assert set(to_hftbacktest(trades, book, cache_dir=tmp_path, conditions="MARKET")).isdisjoint(changed)


def test_an_offset_that_is_too_small_is_refused_with_the_least_that_will_do(store, tmp_path):
    trades = store.canonical.create(("v", "trades", "X"), schema_by_name("trades"))
    book = store.canonical.create(("v", "book_updates", "X"), schema_by_name("book_updates"))
    trades.append(trades_of(4, MIDNIGHT - 2 * SECOND, latency=-np.array([5, 7, 6, 9])))
    with pytest.raises(
        arraystore.InvalidInput,
        match="with 8 ns, what was seen at 2024-08-09T00:00:01Z would be seen 1 ns before it happened: give at least 9,",
    ):
        to_hftbacktest(trades, book, latency_offset=8, cache_dir=tmp_path)
    assert not list(tmp_path.iterdir())
    assert len(to_hftbacktest(trades, book, latency_offset=9, cache_dir=tmp_path)) == 2


@pytest.mark.parametrize("moment", [MIDNIGHT - 5 * SECOND - 1, MIDNIGHT, MIDNIGHT + 4 * SECOND])
def test_a_start_within_the_data_begins_with_the_levels_that_stood_then(made, tmp_path, moment):
    whole = loaded(to_hftbacktest(*made, cache_dir=tmp_path))
    part = loaded(to_hftbacktest(*made, moment, cache_dir=tmp_path))
    assert book_of(*part) == book_of(*whole)
    before = [events[events["local_ts"] < moment] for events in whole]
    levels = part[0][: int(np.argmax(part[0]["ev"] & 0xFF != DEPTH_SNAPSHOT))]
    assert len(levels)
    assert book_of(levels) == book_of(*before)
    bare = loaded(to_hftbacktest(*made, moment, cache_dir=tmp_path, prime=False))
    assert np.array_equal(bare[0], part[0][len(levels) :])
    for name, flag in (("exch_ts", EXCHANGE), ("local_ts", LOCAL)):
        times = np.concatenate([events[name][(events["ev"] & flag) != 0] for events in part])
        assert (np.diff(times) >= 0).all()


def test_both_clocks_go_on_from_one_file_to_the_next(store, tmp_path):
    trades = store.canonical.create(("v", "trades", "X"), schema_by_name("trades"))
    book = store.canonical.create(("v", "book_updates", "X"), schema_by_name("book_updates"))
    latency = np.array([50, 10, 40, 2 * SECOND, SECOND, 0])
    trades.append(trades_of(6, MIDNIGHT - 3 * SECOND, latency=latency))
    first, second = loaded(to_hftbacktest(trades, book, cache_dir=tmp_path))
    times = np.concatenate([events["exch_ts"][(events["ev"] & EXCHANGE) != 0] for events in (first, second)])
    assert (np.diff(times) >= 0).all()
    assert times[3:].tolist() == [MIDNIGHT - SECOND - 40, MIDNIGHT, MIDNIGHT + 2 * SECOND]


def test_vendors_data_on_the_exchanges_clock_and_decimals_serve_as_well(store, tmp_path):
    trades = store.canonical.create(("v", "trades", "X"), schema_by_name("trades", clock="exchange", decimals=(2, 3)))
    book = store.canonical.create(("v", "book_updates", "X"), schema_by_name("book_updates", clock="exchange"))
    happened = MIDNIGHT + np.arange(3) * SECOND
    seen = happened + np.array([2 * SECOND, 2 * SECOND, 10])
    data = {"price": ["1.25", "2.50", "3.75"], "size": ["0.001", "1", "2"], "side": [1, -1, 1], "flags": [0, 0, 0]}
    trades.append(data | {"time": happened, "capture_time": seen})
    (events,) = loaded(to_hftbacktest(trades, book, cache_dir=tmp_path))
    assert [(event["px"], event["qty"]) for event in events if event["ev"] & LOCAL] == [(1.25, 0.001), (3.75, 2.0), (2.5, 1.0)]
    assert [event["px"] for event in events if event["ev"] & EXCHANGE] == [1.25, 2.5, 3.75]


def test_what_hftbacktest_cannot_be_given_is_refused(store, made, tmp_path):
    trades, book = made
    clockless = store.canonical.create(("v", "trades", "Y"), schema_by_name("trades"))
    clockless.append(trades_of(2, MIDNIGHT) | {"exchange_time_valid": [True, False]})
    only_axis = store.canonical.create(("v", "trades", "Z"), schema_by_name("trades"))
    only_axis.append({name: values for name, values in trades_of(2, MIDNIGHT).items() if name != "exchange_time"})
    bookless = store.canonical.create(("v", "book_updates", "Y"), schema_by_name("book_updates"))
    bookless.append(levels_of(5, MIDNIGHT))
    for call, told in (
        (lambda: to_hftbacktest(trades, "book", cache_dir=tmp_path), "a str isn't a dataset"),
        (lambda: to_hftbacktest(book, trades, cache_dir=tmp_path), "schema 'trades' has no column 'action'"),
        (lambda: to_hftbacktest(clockless, book, cache_dir=tmp_path), "v/trades/Y: 1 rows from .* have no exchange_time"),
        (lambda: to_hftbacktest(only_axis, book, cache_dir=tmp_path), "'time' is its only clock, and hftbacktest needs both"),
        (lambda: to_hftbacktest(trades, bookless, MIDNIGHT + 3 * SECOND, cache_dir=tmp_path), r"no snapshot before .*prime=False"),
        (lambda: to_hftbacktest(trades, book, latency_offset=-1, cache_dir=tmp_path), "latency_offset"),
    ):
        with pytest.raises(arraystore.InvalidInput, match=told):
            call()
    assert to_hftbacktest(trades, book, MIDNIGHT + 1_000 * SECOND, cache_dir=tmp_path) == []


def test_the_recorded_book_is_rebuilt_wherever_one_begins(minutes, tmp_path):
    trades, book = (minutes.canonical["binance-usdm", feed, "BTCUSDT"] for feed in ("trades", "book_updates"))
    options = {"latency_offset": OFFSET, "conditions": "MARKET", "cache_dir": tmp_path}
    (whole,) = loaded(to_hftbacktest(trades, book, **options))
    moment = arraystore.parse_time("2024-07-18T23:58:30")
    (part,) = loaded(to_hftbacktest(trades, book, moment, **options))
    bids, asks = (book_of(part)[side].items() for side in (BUY, SELL))
    kind, prices = whole["ev"] & 0xFF, whole["px"]
    reach = [float(prices[(kind == DEPTH_CLEAR) & ((whole["ev"] & side) != 0)][0]) for side in (BUY, SELL)]
    assert np.isfinite(reach).all()  # each side is cleared directly before its levels, as far as these go
    more = book_of(whole)  # levels beyond the snapshot that were told before it
    assert bids <= more[BUY].items()
    assert asks <= more[SELL].items()
    assert all(price < reach[0] for price in more[BUY].keys() - dict(bids).keys())
    assert all(price > reach[1] for price in more[SELL].keys() - dict(asks).keys())
    assert len(bids) > 900
    assert ((whole["ev"] & 0xFF == TRADE) & ((whole["ev"] & LOCAL) != 0)).sum() == 974


RECORDED = {("BTCUSDT", "20240718", "20240719"): [80_846, 337_541], ("BTCUSDT", "20240808"): [491_973], ("ETHUSDT", "20240808"): [452_115]}
SIMULATED = {("ALPHAUSDT", "20240718", "20240719"): None, ("BETAUSDT", "20240808"): None}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_recorded_events_and_a_market_maker_are_those_of_hftbacktests_own_converter(tmp_path):
    """In an environment of its own: hftbacktest holds NumPy at 2.2, and this suite runs with the newest."""
    captures, is_recorded = find_captures((), tmp_path, messages=20_000).paths, (PROJECT.parent / "shared" / "data").is_dir()
    expected = RECORDED if is_recorded else SIMULATED
    cases = []
    for symbol, *names in expected:
        files = [path for path in captures if symbol.lower() in path.name and any(name in path.name for name in names)]
        store = promoted(captures, *(f"{symbol.lower()}_{name}" for name in names))
        trades, book = (store.canonical["binance-usdm", feed, symbol] for feed in ("trades", "book_updates"))
        paths = to_hftbacktest(trades, book, latency_offset=OFFSET, conditions="MARKET", cache_dir=tmp_path / symbol)
        assert len(paths) == len(files) == len(names)
        cases.append(
            {"captures": [str(path) for path in files], "feeds": paths, "tick": 0.01 if symbol in ("ETHUSDT", "BETAUSDT") else 0.1}
        )
    uv = os.environ.get("UV") or shutil.which("uv")
    assert uv, "uv makes the environment of hftbacktest"
    script = Path(__file__).with_name("beside_hftbacktest.py")
    environment = [uv, "run", "--no-project", "--isolated", "--with", "hftbacktest>=2.4.4", "python"]
    arguments = [str(script), hftevents.__file__, str(tmp_path), str(OFFSET)]
    done = subprocess.run(environment + arguments, input=json.dumps(cases), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["constants"] == [DEPTH, TRADE, DEPTH_CLEAR, DEPTH_SNAPSHOT, EXCHANGE, LOCAL, BUY, SELL, EVENT.itemsize]
    if is_recorded:
        assert [case["events"] for case in told["cases"]] == list(expected.values())
    for case in told["cases"]:
        assert case["different"] == [[] for _ in case["events"]]
        assert case["fills"] > 20
        assert case["same_run"]
    assert told["random"] == {"tried": 300, "different": 0}
