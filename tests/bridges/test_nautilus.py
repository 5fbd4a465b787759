"""NautilusTrader's engine sees every tick that was recorded, in order, to the venue's last decimal."""

import gzip
import json
import uuid
from decimal import Decimal

import numpy as np
import pytest
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.common.actor import Actor
from nautilus_trader.config import LoggingConfig
from nautilus_trader.model.currencies import USDT
from nautilus_trader.model.data import QuoteTick, TradeTick
from nautilus_trader.model.enums import AccountType, AggressorSide, OmsType
from nautilus_trader.model.identifiers import Venue
from nautilus_trader.model.objects import Money
from nautilus_trader.test_kit.providers import TestInstrumentProvider

import arraystore
from arraystore import schema_by_name, to_nautilus

SECOND = 10**9
START = arraystore.parse_time("2024-08-08T12:00")
OFFSET = 1_600_000_000
BITCOIN = TestInstrumentProvider.btcusdt_perp_binance()  # prices of 1 decimal, sizes of 3


class Witness(Actor):
    """Writes down what the engine shows it."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_start(self):
        self.subscribe_quote_ticks(BITCOIN.id)
        self.subscribe_trade_ticks(BITCOIN.id)

    def on_quote_tick(self, tick):
        self.seen.append((self.clock.timestamp_ns(), tick))

    def on_trade_tick(self, tick):
        self.seen.append((self.clock.timestamp_ns(), tick))


def run(**streams):
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
    engine.add_venue(Venue("BINANCE"), OmsType.NETTING, AccountType.MARGIN, [Money(1_000_000, USDT)], base_currency=USDT)
    engine.add_instrument(BITCOIN)
    witness = Witness()
    engine.add_actor(witness)
    for name, ticks in streams.items():
        engine.add_data_iterator(name, ticks)
    engine.run()
    engine.dispose()
    return witness.seen


def messages(path, kind):
    """Messages of a kind as the venue sent them: capture time, and the decimals as they were written."""
    with gzip.open(path, "rt") as lines:
        for line in lines:
            if f"@{kind}" in line[:60]:
                yield int(line[:19]), json.loads(line[20:])["data"]


@pytest.mark.filterwarnings("ignore:Timestamp.utcnow")  # the engine calls it
def test_a_backtest_sees_every_recorded_tick_in_order_as_the_venue_told_it(minutes, captures):
    quotes, trades = (minutes.canonical["binance-usdm", feed, "BTCUSDT"] for feed in ("quotes", "trades"))
    options = {"latency_offset": OFFSET, "batch_rows": 1_000}
    seen = run(quotes=to_nautilus(quotes, BITCOIN, **options), trades=to_nautilus(trades, BITCOIN, **options))
    capture = next(path for path in captures if "20240718" in path.name)

    assert [clock for clock, _ in seen] == [tick.ts_init for _, tick in seen] == sorted(tick.ts_init for _, tick in seen)
    found = [tick for _, tick in seen if isinstance(tick, QuoteTick)]
    wanted = [
        (time + OFFSET, told["T"] * 10**6, *(Decimal(told[name]) for name in ("b", "a", "B", "A")))
        for time, told in messages(capture, "bookTicker")
    ]
    assert [
        (tick.ts_init, tick.ts_event, *(each.as_decimal() for each in (tick.bid_price, tick.ask_price, tick.bid_size, tick.ask_size)))
        for tick in found
    ] == wanted
    found = [tick for _, tick in seen if isinstance(tick, TradeTick)]
    sides = {True: AggressorSide.SELLER, False: AggressorSide.BUYER}
    wanted = [
        (time + OFFSET, told["T"] * 10**6, Decimal(told["p"]), Decimal(told["q"]), sides[told["m"]], str(told["t"]))
        for time, told in messages(capture, "trade")
    ]
    assert [
        (tick.ts_init, tick.ts_event, tick.price.as_decimal(), tick.size.as_decimal(), tick.aggressor_side, str(tick.trade_id))
        for tick in found
    ] == wanted
    assert len(found) == 974


@pytest.fixture
def store():
    return arraystore.open_store(f"memory://{uuid.uuid4().hex}", role="data-quality", create=True)


def made(store, name, data, **options):
    dataset = store.canonical.create(("v", name, str(len(store.canonical.find()))), schema_by_name(name, **options))
    dataset.append(data)
    return dataset


def trades_of(price=(61680.1,), size=(0.25,), **more):
    count = len(price)
    data = {"time": START + np.arange(count), "price": list(price), "size": list(size), "side": ["buy"] * count, "flags": [0] * count}
    return data | more


def ticks_of(*args, **options):
    return [tick for ticks in to_nautilus(*args, **options) for tick in ticks]


def test_a_list_has_no_more_ticks_than_asked_for_and_a_range_is_by_what_was_seen(store):
    trades = made(store, "trades", trades_of(price=np.full(10, 5.0), size=np.ones(10)))
    assert [len(ticks) for ticks in to_nautilus(trades, BITCOIN, START + 1, START + 9, batch_rows=3)] == [3, 3, 2]
    assert [str(tick.trade_id) for tick in ticks_of(trades, BITCOIN, batch_rows=4)] == [str(row) for row in range(10)]


def test_a_tick_happened_when_the_exchange_says_or_else_was_sent_or_else_was_seen(store):
    prices = {"price": (1.0, 2.0, 3.0), "size": (1.0, 1.0, 1.0)}
    told = {"exchange_time": [START - 10, START, START], "exchange_time_valid": [True, False, False]}
    sent = {"publish_time": [START - 9, START - 8, START], "publish_time_valid": [True, True, False]}
    captured = made(store, "trades", trades_of(**prices) | told | sent)
    assert [tick.ts_event - START for tick in ticks_of(captured, BITCOIN, latency_offset=5)] == [-10, -8, 7]
    vendor = made(store, "trades", trades_of(**prices) | {"capture_time": START + np.array([30, 20, 10])}, clock="exchange")
    assert [(tick.ts_init - START, tick.ts_event - START) for tick in ticks_of(vendor, BITCOIN)] == [(10, 2), (20, 1), (30, 0)]


def test_decimals_and_sides_and_conditions(store):
    labels = arraystore.Labels.from_values(["MARKET", "ADL", None])
    data = trades_of(price=("1.5", "2.5", "3.5"), size=("0.001", "1", "2"), condition=labels, side=["sell", "buy", "none"])
    trades = made(store, "trades", data, decimals=(1, 3))
    assert [(str(tick.price), str(tick.size), tick.aggressor_side) for tick in ticks_of(trades, BITCOIN)] == [
        ("1.5", "0.001", AggressorSide.SELLER),
        ("2.5", "1.000", AggressorSide.BUYER),
        ("3.5", "2.000", AggressorSide.NO_AGGRESSOR),
    ]
    assert [str(tick.price) for tick in ticks_of(trades, BITCOIN, conditions="MARKET")] == ["1.5"]


def test_what_no_tick_can_tell_is_refused_and_never_rounded(store):
    fine = made(store, "trades", trades_of())
    bars = store.canonical.create(("v", "bars", "X"), schema_by_name("bars"))
    halves = {"time": [START, START + 1], "bid_price": [1.0, 2.0], "bid_size": [1.0, 1.0], "ask_price": [1.1, 2.1], "ask_size": [1.0, 1.0]}
    quotes = made(store, "quotes", halves | {"flags": [0, 0], "ask_price_valid": [False, True]})
    for call, told in (
        (
            lambda: ticks_of(made(store, "trades", trades_of(price=(1.25,))), BITCOIN),
            r"price .*1\.25.* isn't a number of 1 decimals, as BTCUSDT-PERP",
        ),
        (lambda: ticks_of(made(store, "trades", trades_of(size=(0.0005,))), BITCOIN), r"size .* isn't a number of 3 decimals"),
        (lambda: ticks_of(made(store, "trades", trades_of(size=(0.0,))), BITCOIN), r"has size 0\.0, and a TradeTick has more than 0"),
        (lambda: ticks_of(made(store, "trades", trades_of(exchange_time=[-5])), BITCOIN), "times before 1970"),
        (lambda: ticks_of(quotes, BITCOIN), "seen at 2024-08-08T12:00:00Z has no bid or no ask.*one_sided='skip'"),
        (lambda: to_nautilus(bars, BITCOIN), "neither of quotes nor of trades: it has no price, size, side"),
        (lambda: to_nautilus("BTC", BITCOIN), "a str isn't a dataset"),
        (lambda: to_nautilus(fine, "BTC"), "a str isn't an instrument of NautilusTrader"),
        (lambda: to_nautilus(fine, BITCOIN, one_sided="drop"), "neither 'refuse' nor 'skip'"),
        (lambda: to_nautilus(fine, BITCOIN, batch_rows=0), "batch_rows"),
    ):
        with pytest.raises(arraystore.InvalidInput, match=told):
            call()
    assert [str(tick.ask_price) for tick in ticks_of(quotes, BITCOIN, one_sided="skip")] == ["2.1"]
