"""Messages of the venue become columns of exact numbers, and what can't be read is named."""

import json
from decimal import Decimal

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arraystore.demo import decoding
from arraystore.demo.captures import read_batches
from arraystore.demo.decoding import NO_TIME, decode_messages
from arraystore.demo.wire import decimal_places, decode_message


def test_a_trade_by_a_buyer_who_was_the_maker_was_sold(venue):
    trades = venue.decode(venue.trade(), venue.trade(m=True, t=12)).trades
    assert trades["side"].tolist() == [1, -1]
    assert trades["price"].tolist() == [61800.30, 61800.30]
    assert trades["trade_id"].tolist() == [11, 12]
    assert trades["exchange_time"].tolist() == [6_000_000] * 2
    assert trades["publish_time"].tolist() == [7_000_000] * 2


def test_a_time_that_the_venue_left_out_is_no_time(venue):
    message = venue.trade()
    del message["data"]["T"]
    assert venue.decode(message).trades["exchange_time"].tolist() == [NO_TIME]


def test_a_book_ticker_tells_both_sides(venue):
    quotes = venue.decode(venue.ticker()).quotes
    assert [quotes[name].item() for name in ("bid_price", "bid_size", "ask_price", "ask_size", "sequence")] == [
        61800.2,
        2.507,
        61800.3,
        2.51,
        21,
    ]


def test_levels_lie_bids_first_and_a_snapshot_clears_both_sides(venue):
    decoded = venue.decode(venue.depth(), venue.snapshot, venue.depth(b=[], a=[]))
    assert decoded.books["row"].tolist() == [0, 1, 2]
    assert decoded.books["bids"].tolist() == [1, 1, 0]
    assert decoded.books["asks"].tolist() == [2, 1, 0]
    assert decoded.books["is_snapshot"].tolist() == [False, True, False]
    assert decoded.books["previous_sequence"].tolist() == [30, 0, 30]
    assert str(decoded.levels["price"].tolist()) == "[10.5, 11.0, 12.0, nan, nan, 10.0, 11.0]"


@given(st.decimals(min_value=Decimal("0.00000001"), max_value=Decimal(99999999), places=8))
def test_a_price_is_the_double_nearest_to_the_decimal(venue, price):
    assert venue.decode(venue.trade(p=str(price))).trades["price"].item() == float(price)


UNREADABLE = {
    "cut off": (lambda _: b'{"stream":"btcusdt@tr', "garbled"),
    "not text": (lambda _: b"\xff\xfe", "garbled"),
    "empty": (lambda _: b"", "garbled"),
    "price not a number": (lambda venue: venue.trade(p="abc"), "malformed trade"),
    "negative id": (lambda venue: venue.trade(t=-1), "malformed trade"),
    "half a level": (lambda venue: venue.depth(b=[["1"]]), "malformed depthUpdate"),
    "another stream": (lambda venue: venue.stream("btcusdt@markPrice", e="markPriceUpdate", p="1"), "unknown kind: markPriceUpdate"),
    "an answer": (lambda _: {"result": None, "id": 1}, "unknown kind: without a kind"),
    "no object": (lambda _: b"[1, 2]", "unknown kind: list"),
}


@pytest.mark.parametrize(("payload", "reason"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_message_that_cannot_be_read_is_named_and_its_neighbours_are_read(venue, payload, reason):
    decoded = venue.decode(venue.trade(), payload(venue), venue.ticker())
    assert [item.row for item in decoded.rejected] == [1]
    assert decoded.rejected[0].reason.startswith(reason)
    assert (decoded.trades["row"].tolist(), decoded.quotes["row"].tolist()) == ([0], [2])


def test_a_snapshot_among_several_symbols_belongs_to_nobody(venue):
    decoded = venue.decode(venue.trade(), venue.trade(s="ETHUSDT"), venue.snapshot)
    assert decoded.symbols == ("BTCUSDT", "ETHUSDT")
    assert [(item.row, item.reason.split(":")[0]) for item in decoded.rejected] == [(2, "unattributed snapshot")]
    assert len(decoded.levels["price"]) == 0


def test_only_the_rows_asked_for_are_decoded(venue):
    assert venue.decode(venue.trade(t=1), b"?", venue.trade(t=3), rows=np.array([0, 2])).trades["row"].tolist() == [0, 2]


@pytest.mark.parametrize("other", ["BTCUSDT", "ETHUSDT"])
def test_blocks_decode_to_what_the_whole_decodes_to(venue, monkeypatch, other):
    messages = [
        venue.trade(),
        venue.snapshot,
        venue.depth(),
        b"?",
        venue.ticker(),
        venue.depth(s=other),
        venue.snapshot,
        venue.trade(s=other),
    ]
    whole = venue.decode(*messages)
    monkeypatch.setattr(decoding, "BLOCK_ROWS", 3)
    blocks = venue.decode(*messages)
    assert (blocks.symbols, blocks.rejected) == (whole.symbols, whole.rejected)
    for kind in ("trades", "quotes", "books", "levels"):
        for name, values in getattr(whole, kind).items():
            np.testing.assert_array_equal(getattr(blocks, kind)[name], values)


def test_nothing_decodes_to_nothing(venue):
    decoded = venue.decode()
    assert decoded.symbols == ()
    assert all(len(values) == 0 for table in (decoded.trades, decoded.quotes, decoded.books, decoded.levels) for values in table.values())


def test_decimal_places_are_counted_in_the_symbols_own_messages(venue):
    payloads = [venue.trade(s="ETHUSDT", p="2681.6", q="1"), venue.ticker(), venue.trade(s="BTCUSDT", p="1.5", q="1")]
    data = np.frombuffer(b"".join(json.dumps(payload, separators=(",", ":")).encode() for payload in payloads), np.uint8)
    assert decimal_places(data, "BTCUSDT") == (2, 3)
    assert decimal_places(data, "ETHUSDT") == (1, 0)
    assert decimal_places(data, "SOLUSDT") is None


def test_recorded_messages_agree_with_a_plain_reading_of_their_json(shared_data):
    batch = next(read_batches(shared_data / "binance-usdm" / "usdm_btcusdt_20240718.gz", rows=4_000))
    decoded = decode_messages(batch.data, batch.offsets)
    plain = [json.loads(batch.payload(row)) for row in range(len(batch))]
    trades = [message["data"] for message in plain if message.get("stream", "").endswith("@trade")]
    books = [message.get("data", message) for message in plain if "bids" in message or message["data"]["e"] == "depthUpdate"]
    levels = [
        [None] * 2 * ("bids" in book) + [float(price) for price, _ in book.get("bids", book.get("b")) + book.get("asks", book.get("a"))]
        for book in books
    ]
    assert decoded.rejected == ()
    assert decoded.trades["price"].tolist() == [float(data["p"]) for data in trades]
    assert decoded.trades["size"].tolist() == [float(data["q"]) for data in trades]
    assert decoded.books["sequence"].tolist() == [book.get("lastUpdateId", book.get("u")) for book in books]
    np.testing.assert_array_equal(decoded.levels["price"], np.array([price for book in levels for price in book], float))


def test_one_message_decodes_to_the_venues_fields(venue):
    message = decode_message(msgspec.json.encode(venue.trade()))
    assert (message.s, message.X, message.m) == ("BTCUSDT", "MARKET", False)
