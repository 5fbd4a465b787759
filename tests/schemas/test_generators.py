"""Generated data of every shipped schema goes through a real dataset and back, and is what it says it is."""

import inspect
import json
import uuid

import numpy as np
import pytest

import arraystore
from arraystore.frames.intake import rows_from
from arraystore.testing import generate
from arraystore.testing.generators import GENERATORS
from arraystore.testing.strategies import differences
from layouts import SCHEMAS, schema_by_name

ROWS = 2_000
OTHER = {
    "identifiers": "uint64",
    "clock": "exchange",
    "all_instruments": True,
    "decimal_places": (1, 4),
    "decimals": (2, 5),
    "levels": 3,
    "interval": "1s",
    "price_type": "mark",
}
VARIANTS = [
    pytest.param(name, options, id=f"{name}-{'-'.join(options) or 'plain'}")
    for name, make in SCHEMAS.items()
    for options in ({}, *({option: OTHER[option]} for option in inspect.signature(make).parameters))
]


def dataset_of(name, **options):
    """A new dataset of a shipped schema, in memory."""
    store = arraystore.open_store(f"memory://{uuid.uuid4().hex}", role="data-quality", create=True)
    return store.canonical.create(("venue", name, "_all" if options.get("all_instruments") else "BTCUSDT"), schema_by_name(name, **options))


def test_every_shipped_schema_has_a_generator():
    assert list(GENERATORS) == list(SCHEMAS)


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_what_is_generated_reads_back_from_a_dataset_as_it_was(name, options):
    data, dataset = generate(name, ROWS, seed=1, start="2024-12-31T23:59:50", **options), dataset_of(name, **options)
    half = {column: values[: ROWS // 2] for column, values in data.items()}
    rest = {column: values[ROWS // 2 :] for column, values in data.items()}
    dataset.append(half)
    dataset.append(rest)
    found = dataset.read()
    wanted = rows_from(data, dataset.schema)
    assert differences(found.rows, wanted) == []
    assert found.row_count == ROWS
    for column, values in data.items():
        if isinstance(values, np.ndarray) and f"{column}_valid" not in data and column in found:
            assert np.asarray(found[column]).view(values.dtype).tobytes() == values.tobytes()


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_any_number_of_rows_is_valid_and_nullable_columns_have_nulls_and_values(name, options):
    schema = schema_by_name(name, **options)
    for rows in (0, 1, 2, 3, 45):
        assert rows_from(generate(name, rows, **options), schema).count == rows
    rows = rows_from(generate(name, ROWS, **options), schema)
    shares = {column.name: rows.validity(column.name) for column in schema.columns if column.nullable}
    never = {"capture_time", "capture_sequence"} if schema.order == "time" else {"capture_time"} if schema.names[0] == "time" else set()
    always = {"exchange_time"} if options.get("clock") == "exchange" else set()
    assert {name for name, valid in shares.items() if valid is None or valid.all()} <= always
    assert {name for name, valid in shares.items() if valid is not None and not valid.any()} <= never


@pytest.mark.parametrize("name", SCHEMAS)
def test_equal_seeds_give_equal_data_and_others_other(name):
    schema = schema_by_name(name)
    first, again, other = (rows_from(generate(name, 500, seed=seed), schema) for seed in (3, 3, 4))
    assert differences(first, again) == []
    assert differences(first, other)


@pytest.mark.parametrize("name", [name for name, make in SCHEMAS.items() if "all_instruments" in inspect.signature(make).parameters])
def test_a_dataset_of_many_instruments_is_read_by_instrument(name):
    data, dataset = generate(name, ROWS, all_instruments=True), dataset_of(name, all_instruments=True)
    dataset.append(data)
    labels = data["instrument"].labels
    assert len(set(data["instrument"].codes.tolist())) > 3
    axis = dataset.schema.axis
    times = np.asarray(data[axis])
    middle = int(times[ROWS // 3])
    for wanted in (labels[:1], labels[-1:], labels[1:4]):
        expected = data["instrument"].matches(*wanted)
        found = dataset.read(instruments=wanted)
        assert differences(found.rows, rows_from(data, dataset.schema).take(np.flatnonzero(expected))) == []
        later = dataset.read(middle, instruments=wanted, columns=[axis])
        assert np.asarray(later[axis]).view(np.int64).tolist() == times[expected & (times >= middle)].tolist()


def test_the_newest_instrument_is_in_the_last_tenth_only():
    codes = generate("trades", ROWS, all_instruments=True)["instrument"].codes
    newest = np.flatnonzero(codes == codes.max())
    assert codes.max() == 6
    assert newest.min() >= ROWS * 9 // 10


def on_ticks(values, places):
    values = np.asarray(values)
    return bool((np.rint(values * 10**places) / 10**places == values).all())


def test_trades_are_on_ticks_at_times_that_never_step_back_with_numbers_that_grow():
    data = generate("trades", ROWS)
    assert on_ticks(data["price"], 2)
    assert on_ticks(data["size"], 3)
    assert data["size"].min() > 0
    assert (np.diff(data["time"]) >= 0).all()
    assert data["time"][0] >= arraystore.parse_time("2024-08-08")
    numbers = [int(number) for number in data["trade_id"]]
    assert all(number > before for number, before in zip(numbers[1:], numbers[:-1], strict=True))
    assert not (np.diff(data["exchange_time"][data["exchange_time_valid"]]) >= 0).all(), "venues' clocks do step back"
    assert (data["exchange_time"] < data["time"]).all()


def test_decimals_and_floats_of_one_seed_are_the_same_numbers():
    floats, exact = generate("trades", 100), generate("trades", 100, decimals=(2, 3))
    assert [str(price) for price in exact["price"]] == [f"{price:.2f}" for price in floats["price"]]


def test_the_ask_is_above_the_bid():
    data = generate("quotes", ROWS)
    assert (data["ask_price"] > data["bid_price"]).all()
    assert (~data["bid_price_valid"] == ~data["bid_size_valid"]).all()


def test_a_book_begins_with_a_clear_per_side_and_a_snapshot_and_its_messages_follow_each_other():
    data, schema = generate("book_updates", ROWS), schema_by_name("book_updates")
    actions, flags = dict(schema.column("action").vocabulary), dict(schema.column("flags").vocabulary)
    assert data["action"][:3].tolist() == [actions["clear"], actions["clear"], actions["set"]]
    assert sorted(data["side"][:2].tolist()) == [-1, 1]
    assert not data["price_valid"][:2].any()
    assert data["price_valid"][2:].all()
    in_snapshot = (data["flags"] & flags["snapshot"]) > 0
    assert np.flatnonzero(in_snapshot).tolist() == list(range(42))
    ends = (data["flags"] & flags["last"]) > 0
    assert (np.diff(data["time"])[~ends[:-1]] == 0).all(), "a message's rows have one time"
    begins = np.concatenate(([True], ends[:-1]))
    assert (data["first_sequence"][begins][1:] == data["sequence"][ends][:-1] + 1).all()
    assert (data["previous_sequence"][begins][1:] == data["sequence"][ends][:-1]).all()
    bids, asks = ((data["side"] == side) & data["price_valid"] for side in (1, -1))
    assert data["price"][bids].mean() < data["price"][asks].mean()


def test_levels_go_away_from_the_middle_and_end_in_nan_and_zero():
    data = generate("book_snapshots", 500, levels=7)
    for side, sign in (("bid", -1), ("ask", 1)):
        price, there = data[f"{side}_price"], data[f"{side}_levels"]
        beyond = np.arange(7) >= there[:, None]
        assert price.shape == (500, 7)
        assert (np.isnan(price) == beyond).all()
        assert (data[f"{side}_size"][beyond] == 0).all()
        assert (data[f"{side}_count"][beyond] == 0).all()
        assert (data[f"{side}_count"][~beyond] > 0).all()
        steps = np.diff(price, axis=1) * sign
        assert (steps[~beyond[:, 1:]] > 0).all()
        assert 0 <= there.min() < 7
    assert (data["bid_price"][:, 0] < data["ask_price"][:, 0])[(data["bid_levels"] > 0) & (data["ask_levels"] > 0)].all()


def test_orders_of_a_book_are_added_before_anything_else_happens_to_them():
    data, schema = generate("book_events", ROWS, identifiers="uint64"), schema_by_name("book_events")
    actions = dict(schema.column("action").vocabulary)
    added, side = set(), {}
    for action, order, valid, way in zip(data["action"], data["order_id"], data["order_id_valid"], data["side"], strict=True):
        if action == actions["add"]:
            added.add(order)
        if valid:
            assert order in added
            assert side.setdefault(order, way) == way


def test_bars_follow_each_other_and_hold_their_prices():
    data = generate("bars", ROWS, interval="5m", start="2024-08-08T00:03:07")
    assert data["open_time"][0] == arraystore.parse_time("2024-08-08")
    assert (data["open_time"][1:] == data["close_time"][:-1]).all()
    assert (data["open"][1:] == data["close"][:-1]).all()
    assert (data["high"] >= np.maximum(data["open"], data["close"])).all()
    assert (data["low"] <= np.minimum(data["open"], data["close"])).all()
    assert (data["buy_volume"] <= np.maximum(data["volume"], 100_000)).all()


def test_raw_messages_are_json_of_a_subscription_and_trades():
    data = generate("raw_messages", ROWS)
    assert data["sequence"].tolist() == list(range(1, ROWS + 1))
    directions = dict(schema_by_name("raw_messages").column("direction").vocabulary)
    silent = np.isin(data["direction"], [directions["connect"], directions["disconnect"]])
    assert silent[0]
    assert ((data["payload"].counts == 0) == silent).all()
    messages = [json.loads(payload) for payload in data["payload"] if payload]
    events = [message for message in messages if "e" in message]
    assert {message["method"] for message in messages if "method" in message} == {"SUBSCRIBE"}
    assert len(events) > ROWS * 0.9
    assert {message["s"] for message in events} == {"BTCUSDT"}
    assert abs(events[0]["E"] * 10**6 - data["time"][0]) < 10**9


def test_an_orders_events_add_up():
    data = generate("order_events", ROWS)
    ids, sizes, filled, leaves = data["client_order_id"].tolist(), data["size"], data["filled"], data["leaves"]
    status = data["status"].tolist()
    assert data["sequence"].tolist() == list(range(1, ROWS + 1))
    assert (np.diff(data["time"]) >= 0).all()
    assert (filled <= sizes).all()
    so_far: dict[str, float] = {}
    for row, order in enumerate(ids):
        assert filled[row] >= so_far.get(order, 0.0), "what is filled never shrinks"
        so_far[order] = filled[row]
        ended = status[row] in ("filled", "canceled", "rejected")
        assert leaves[row] == 0 if ended else leaves[row] == pytest.approx(sizes[row] - filled[row])
        assert (status[row] == "filled") == (filled[row] == sizes[row])
    assert set(status) == {"new", "partially_filled", "filled", "canceled", "rejected"}
    assert set(data["exec_type"]) == {"new", "trade", "canceled", "rejected"}


def test_equity_is_balance_and_position_less_fees():
    data = generate("equity", ROWS)
    assert np.allclose(data["equity"], data["balance"] + data["position"] * data["price"] - data["fee"])


def test_a_refused_request_has_the_exchange_time_zero_and_others_took_their_time():
    data = generate("order_latency", ROWS)
    took = data["exchange_time"] > 0
    assert 0 < (~took).sum() < ROWS // 10
    assert (data["exchange_time"][~took] == 0).all()
    assert (data["request_time"] < data["exchange_time"])[took].all()
    assert (data["exchange_time"] < data["response_time"]).all()


def test_names_are_used_again_by_other_instruments_and_resolve_to_the_one_of_the_time():
    data = generate("symbology", 120)
    dataset = dataset_of("symbology")
    dataset.append(data)
    # the dataset's feed is named after its schema, so the store finds it
    store = arraystore.open_store(dataset.location.partition("/canonical/")[0], role="analysis")
    named: dict[tuple[str, str], set[str]] = {}
    columns = (data["instrument_uid"], data["venue"], data["symbol"], data["valid_from"], data["valid_to"], data["valid_to_valid"])
    for uid, venue, symbol, start, stop, ended in zip(*columns, strict=True):
        named.setdefault((venue, symbol), set()).add(uid)
        found = store.resolve(symbol, venue=venue, at=int(stop) - 1 if ended else int(start))
        assert found.instrument_uid == uid
        assert ended or store.resolve(symbol, venue=venue, at=int(start), known_at=int(start)).valid_to is None
    assert max(map(len, named.values())) > 1


@pytest.mark.parametrize("rows", [-1, 1.5, "10", True])
def test_rows_are_counted(rows):
    with pytest.raises(arraystore.InvalidInput, match="rows"):
        generate("trades", rows)


def test_what_a_schema_does_not_know_its_generator_does_not_either():
    with pytest.raises(arraystore.InvalidInput, match="did you mean 'trades'"):
        generate("trade", 10)
    with pytest.raises(arraystore.InvalidInput, match="no such option"):
        generate("metrics", 10, all_instruments=True)
