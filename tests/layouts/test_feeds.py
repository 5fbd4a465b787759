"""The shipped schemas, column by column as they were agreed: `?` nullable, `~` dictionary."""

import re

import pytest

from layouts import (
    FLAGS,
    SCHEMAS,
    SIDE,
    STATUS,
    InvalidInput,
    bars,
    book_events,
    book_snapshots,
    book_updates,
    derivative_ticker,
    fills,
    instrument_definitions,
    instrument_status,
    liquidations,
    order_events,
    positions,
    quotes,
    schema_by_name,
    trades,
    validate_schema,
)

AGREED = {
    "raw_messages": """time, sequence uint64, direction (recv, send, http, connect, disconnect), connection~, channel~?, request~?,
        monotonic_time? int64, encoding~, payload bytes | time arrival day""",
    "trades": "M, price, size, side, trade_id? text, sequence? uint64, condition~?, flags | time arrival day",
    "quotes": """M, bid_price?, bid_size?, ask_price?, ask_size?, bid_count? uint32, ask_count? uint32, sequence? uint64, flags
        | time arrival day""",
    "book_updates": """M, action (set, delete, clear), side, price?, size?, order_count? uint32, first_sequence? uint64,
        sequence? uint64, previous_sequence? uint64, flags | time arrival day""",
    "bars": """open_time, close_time, open, high, low, close, volume, turnover?, vwap?, trade_count? uint64, buy_volume?,
        is_revision bool | open_time time year""",
    "order_events": """time, sequence uint64, exchange_time?, account~, strategy~, instrument~, client_order_id text,
        venue_order_id? text, parent_order_id? text, exec_type~, status~, side, type~, tif~, price?, trigger_price?, size, filled,
        leaves, average_price?, post_only bool, reduce_only bool, reason~?, reconciliation bool | time arrival day""",
    "fills": """time, sequence uint64, exchange_time?, capture_time?, account~, strategy~, instrument~, client_order_id? text,
        venue_order_id? text, fill_id text, ref_fill_id? text, side, price, size, fee?, fee_currency~?, liquidity~?,
        position_id? text | time arrival day""",
    "equity": """time, instrument~?, price, position, balance, fee, num_trades int64, trading_volume, trading_value, equity,
        currency~ | time time whole""",
    "metrics": "time, name~, value | time time whole",
    "book_snapshots": """M, bid_price [20], bid_size [20], ask_price [20], ask_size [20], bid_count [20] uint32, ask_count [20] uint32,
        bid_levels uint16, ask_levels uint16, sequence? uint64, origin (venue, rebuilt) | time arrival day""",
    "book_events": """M, action (add, modify, cancel, clear, trade, fill), order_id? text, side, price?, size?, channel? uint8,
        sequence? uint64, flags | time arrival day""",
    "derivative_ticker": """M, mark_price?, index_price?, last_price?, funding_rate?, predicted_funding_rate?, funding_interval? int64,
        next_funding_time?, open_interest? | time arrival day""",
    "liquidations": "M, side, price, size, order_id? text | time arrival day",
    "instrument_definitions": """time, valid_from, valid_to?, instrument_uid~, raw_symbol text, class~, base~, quote~, settlement~,
        underlying~?, is_inverse bool, price_increment, size_increment, price_precision int8, size_precision int8, lot_size, multiplier,
        min_size?, max_size?, min_notional?, maker_fee?, taker_fee?, margin_init?, margin_maint?, activation?, expiry?, strike?,
        option_kind? (call, put), info? bytes | time time year""",
    "symbology": "instrument_uid~, venue~, symbol text, valid_from, valid_to?, known_from | known_from time year",
    "corporate_actions": """instrument_uid~, announced?, ex_time, kind~, ratio?, cash?, currency~?, new_symbol? text
        | ex_time time year""",
    "instrument_status": """M, action (none, pre_open, pre_cross, quoting, cross, rotation, new_price_indication, trading, halt, pause,
        suspend, pre_close, close, post_close, short_sell_restriction_change, not_available_for_trading), reason~?, is_trading? bool,
        is_quoting? bool, is_short_sell_restricted? bool | time arrival month""",
    "positions": """time, sequence uint64, account~, instrument~, size, entry_price?, mark_price?, unrealized_pnl?, realized_pnl?,
        currency~ | time arrival day""",
    "balances": """time, sequence uint64, account~, currency~, total, available?, locked?, change?, reason~?
        | time arrival day""",
    "order_latency": "request_time, exchange_time, response_time | request_time time day",
}
MARKET = ["time", "exchange_time?", "publish_time?", "capture_time?", "capture_sequence? uint64"]
CLOCKS = {
    "exchange_time": "exchange",
    "publish_time": "publish",
    "capture_time": "capture",
}
MARKET_SCHEMAS = [
    trades,
    quotes,
    book_updates,
    book_snapshots,
    book_events,
    derivative_ticker,
    liquidations,
    instrument_status,
]


def written_as_agreed(column):
    """A column in the notation of the table above."""
    words = " (" + ", ".join(meaning for meaning, _ in column.vocabulary) + ")" if column.vocabulary else ""
    label = {"dictionary": "~", "text": "", "bytes": ""}.get(column.kind, "")
    text = column.name + label + ("?" if column.nullable else "") + (f" [{column.levels}]" if column.levels else "")
    if column.kind in ("text", "bytes"):
        return f"{text} {column.kind}"
    if column.kind == "number" and column.dtype != "float64":
        return f"{text} {column.dtype}"
    return text if column.name in ("side", "flags") else text + words


@pytest.mark.parametrize("name", AGREED)
def test_columns_nullability_order_and_window_are_as_agreed(name):
    schema = schema_by_name(name)
    columns, _, rest = AGREED[name].partition("|")
    agreed = [" ".join(column.split()) for column in re.split(r",(?![^(]*\))", columns)]
    assert [written_as_agreed(column) for column in schema.columns] == (MARKET if agreed[0] == "M" else agreed[:1]) + agreed[1:]
    assert [schema.name, schema.axis, schema.order, schema.window] == [name, *rest.split()]


def test_every_agreed_schema_is_shipped_and_no_other():
    assert set(SCHEMAS) == set(AGREED)


@pytest.mark.parametrize("name", AGREED)
def test_every_shipped_schema_is_valid_and_describes_every_column(name):
    schema = schema_by_name(name)
    assert validate_schema(schema) == ()
    assert [column.name for column in schema.columns if not column.description] == []


@pytest.mark.parametrize("name", AGREED)
def test_times_are_the_clocks_they_are_named_after(name):
    schema = schema_by_name(name)
    times = {column.name: column.clock for column in schema.columns if column.kind == "time"}
    assert times == {column: "axis" if column == schema.axis else CLOCKS.get(column, "other") for column in times}
    assert schema.clocks == (schema.axis, *(column for column in times if column != schema.axis))


@pytest.mark.parametrize("make", MARKET_SCHEMAS)
def test_market_data_without_a_capture_clock_is_in_exchange_time_order(make):
    captured, delivered = make(), make(clock="exchange")
    assert (captured.order, delivered.order) == ("arrival", "time")
    assert delivered.names == captured.names
    assert delivered.axis == "time"
    with pytest.raises(InvalidInput, match="clock: 'wall' must be 'capture'"):
        make(clock="wall")


@pytest.mark.parametrize("make", MARKET_SCHEMAS)
def test_only_datasets_of_many_instruments_carry_the_instrument(make):
    assert "instrument" not in make()
    every = make(all_instruments=True)
    assert every.names == (*make().names[:5], "instrument", *make().names[5:])
    assert (every.column("instrument").kind, every.column("instrument").nullable) == ("dictionary", False)


def test_bars_of_many_instruments_carry_the_instrument_behind_their_times():
    assert "instrument" not in bars()
    every = bars("5m", all_instruments=True)
    assert every.names == (*bars().names[:2], "instrument", *bars().names[2:])
    assert (every.column("instrument").kind, every.column("instrument").nullable) == ("dictionary", False)


@pytest.mark.parametrize("make", [trades, book_events, liquidations, order_events, fills])
def test_identifiers_are_text_or_numbers(make):
    text = {column.name for column in make().columns if column.kind == "text"}
    numbers = make(identifiers="uint64")
    assert text
    assert {column.name for column in numbers.columns if column.dtype == "uint64"} >= text
    assert [column.nullable for column in numbers.columns] == [column.nullable for column in make().columns]
    with pytest.raises(InvalidInput, match="identifiers: 'int' must be 'text' or 'uint64'"):
        make(identifiers="int")


@pytest.mark.parametrize(
    ("make", "prices", "sizes"),
    [
        (trades, {"price"}, {"size"}),
        (quotes, {"bid_price", "ask_price"}, {"bid_size", "ask_size"}),
        (book_updates, {"price"}, {"size"}),
        (book_events, {"price"}, {"size"}),
        (derivative_ticker, {"mark_price", "index_price", "last_price"}, {"open_interest"}),
        (liquidations, {"price"}, {"size"}),
        (
            instrument_definitions,
            {"price_increment", "strike"},
            {"size_increment", "lot_size", "min_size", "max_size"},
        ),
        (positions, {"entry_price", "mark_price"}, {"size"}),
        (bars, {"open", "high", "low", "close"}, {"volume", "buy_volume"}),
        (order_events, {"price", "trigger_price"}, {"size", "filled", "leaves"}),
        (fills, {"price"}, {"size"}),
    ],
)
def test_prices_and_sizes_tell_their_places_or_become_decimals(make, prices, sizes):
    exact = make(decimals=(2, 5))
    assert {column.name: column.places for column in exact.columns if column.kind == "decimal"} == {
        **dict.fromkeys(prices, 2),
        **dict.fromkeys(sizes, 5),
    }
    told = make(decimal_places=(1, 3))
    assert {column.name: column.attributes["decimal_places"] for column in told.columns if column.attributes} == {
        **dict.fromkeys(prices, 1),
        **dict.fromkeys(sizes, 3),
    }
    assert {column.dtype for column in told.columns if column.name in prices | sizes} == {"float64"}
    assert {column.places for column in make(decimals=(0, 0)).columns if column.kind == "decimal"} == {0}
    assert make(decimal_places=3) == make(decimal_places=(3, 3))
    assert [column.nullable for column in exact.columns] == [column.nullable for column in make().columns]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decimals": 2}, "decimals: 2 must be the digits"),
        ({"decimals": (2, 19)}, "places=19 must be"),
        ({"decimals": (-1, 2)}, "decimals"),
        ({"decimals": (True, 2)}, "decimals"),
        ({"decimal_places": "2"}, "decimal_places: '2' must be"),
        ({"decimal_places": -2}, "decimal_places"),
        ({"decimal_places": 2, "decimals": (2, 2)}, "drop decimal_places"),
    ],
    ids=str,
)
def test_impossible_places_are_refused(options, message):
    with pytest.raises(InvalidInput, match=message):
        trades(**options)


@pytest.mark.parametrize(
    ("interval", "window"), [("1s", "day"), ("59s", "day"), ("500ms", "day"), ("60s", "year"), ("1m", "year"), ("1d", "year")]
)
def test_bars_below_a_minute_have_windows_of_a_day(interval, window):
    schema = bars(interval, "mark")
    assert schema.window == window
    assert schema.attributes == {"interval": interval, "price_type": "mark"}


@pytest.mark.parametrize("interval", ["", "0s", "one minute", "1M"])
def test_bars_of_no_length_are_refused(interval):
    with pytest.raises(InvalidInput, match="interval"):
        bars(interval)


@pytest.mark.parametrize("levels", [0, -1, 10_001, True, 2.0, "20"])
def test_an_impossible_number_of_levels_is_refused(levels):
    with pytest.raises(InvalidInput, match=r"levels: .* from 1 to 10000"):
        book_snapshots(levels)


def test_snapshots_keep_as_many_levels_as_asked_and_tell_their_places():
    schema = book_snapshots(5, decimal_places=(1, 3), all_instruments=True)
    leveled = {column.name: column.attributes.get("decimal_places") for column in schema.columns if column.levels == 5}
    assert leveled == {"bid_price": 1, "bid_size": 3, "ask_price": 1, "ask_size": 3, "bid_count": None, "ask_count": None}


def test_states_of_a_market_have_the_values_that_dbn_and_nautilus_give_them():
    states = dict(STATUS)
    assert list(states.values()) == list(range(16))
    assert (states["trading"], states["halt"], states["not_available_for_trading"]) == (7, 8, 15)
    assert schema_by_name("instrument_status").column("action").vocabulary == STATUS


def test_sides_and_flags_have_the_values_of_the_vocabulary():
    assert dict(SIDE) == {"buy": 1, "sell": -1, "none": 0}
    assert dict(FLAGS) == {
        "last": 128,
        "top_of_book": 64,
        "snapshot": 32,
        "by_price": 16,
        "bad_receive_time": 8,
        "maybe_bad_book": 4,
        "publisher_specific": 2,
    }
    assert trades().column("side").vocabulary == SIDE
    assert (trades().column("side").dtype, trades().column("flags").dtype) == ("int8", "uint8")
    assert trades().column("flags").vocabulary == FLAGS


def test_the_monotonic_clock_is_a_number_of_nanoseconds_and_no_clock():
    column = schema_by_name("raw_messages").column("monotonic_time")
    assert (column.kind, column.dtype, column.unit, column.clock) == ("number", "int64", "ns", None)


def test_an_unknown_schema_is_refused_with_the_nearest_one():
    with pytest.raises(InvalidInput, match="did you mean 'trades'"):
        schema_by_name("trade")
    with pytest.raises(InvalidInput, match="there are raw_messages, trades"):
        schema_by_name("zzz")


def test_unknown_options_are_refused_with_those_there_are():
    with pytest.raises(InvalidInput, match="levels: schema 'quotes' has no such option; it has clock, all_instruments") as caught:
        schema_by_name("quotes", levels=5, depth=3)
    assert len(caught.value.problems) == 2
    with pytest.raises(InvalidInput, match="it has none"):
        schema_by_name("metrics", levels=5)
