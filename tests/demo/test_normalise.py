"""Decoded messages become the tables of the shipped schemas, per instrument and in the order received."""

import numpy as np

from arraystore.demo.normalise import CLEAR, DELETE, SET, normalise

LAST, SNAPSHOT_FLAG, BY_PRICE, BAD = 128, 32, 16, 4


def tables(venue, *messages):
    decoded = venue.decode(*messages)
    rows = len(messages)
    return normalise(decoded, 1000 + np.arange(rows), np.arange(1, rows + 1, dtype=np.uint64))


def test_a_row_keeps_capture_time_and_capture_sequence_of_its_message(venue):
    trades = tables(venue, venue.ticker(), venue.trade(), venue.ticker(), venue.trade(t=12))["BTCUSDT"].trades
    assert trades["time"].tolist() == [1001, 1003]
    assert trades["capture_sequence"].tolist() == [2, 4]


def test_a_book_update_has_a_row_per_level_and_its_last_row_says_so(venue):
    book = tables(venue, venue.depth())["BTCUSDT"].book_updates
    assert book["action"].tolist() == [DELETE, SET, SET]
    assert book["side"].tolist() == [1, -1, -1]
    assert book["flags"].tolist() == [BY_PRICE, BY_PRICE, BY_PRICE | LAST]
    assert book["time"].tolist() == [1000] * 3


def test_a_snapshot_is_a_clear_per_side_and_flagged_levels(venue):
    book = tables(venue, venue.trade(), venue.snapshot)["BTCUSDT"].book_updates
    assert book["action"].tolist() == [CLEAR, CLEAR, SET, SET]
    assert book["side"].tolist() == [1, -1, 1, -1]
    assert book["price_valid"].tolist() == book["size_valid"].tolist() == [False, False, True, True]
    assert all(flags & SNAPSHOT_FLAG for flags in book["flags"].tolist())
    assert book["sequence"].tolist() == [32] * 4
    assert not book["previous_sequence_valid"].any()


def test_after_a_gap_the_book_may_be_bad_until_the_next_snapshot(venue):
    messages = [venue.depth(u=1, pu=0), venue.depth(u=3, pu=2), venue.depth(u=4, pu=3), venue.snapshot, venue.depth(u=5, pu=4)]
    book = tables(venue, *messages)["BTCUSDT"].book_updates
    bad = {int(time) for time, flags in zip(book["time"], book["flags"], strict=True) if flags & BAD}
    assert bad == {1001, 1002}


def test_an_empty_side_of_the_book_is_null(venue):
    quotes = tables(venue, venue.ticker(), venue.ticker(b="0.00", B="0.000"))["BTCUSDT"].quotes
    assert quotes["bid_price_valid"].tolist() == quotes["bid_size_valid"].tolist() == [True, False]
    assert "ask_price_valid" not in quotes


def test_a_time_the_venue_left_out_is_null(venue):
    message = venue.ticker()
    del message["data"]["E"]
    quotes = tables(venue, venue.ticker(), message)["BTCUSDT"].quotes
    assert quotes["publish_time_valid"].tolist() == [True, False]
    assert "exchange_time_valid" not in quotes


def test_instruments_of_one_connection_are_kept_apart(venue):
    found = tables(venue, venue.trade(), venue.trade(s="ETHUSDT"), venue.depth(s="ETHUSDT"), venue.depth(b=[]), venue.ticker(s="ETHUSDT"))
    assert found.keys() == {"BTCUSDT", "ETHUSDT"}
    assert [len(found[name].trades["time"]) for name in found] == [1, 1]
    assert [found[name].book_updates["time"].tolist() for name in found] == [[1003, 1003], [1002] * 3]
    assert [len(found[name].quotes["time"]) for name in found] == [0, 1]
