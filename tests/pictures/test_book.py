"""Books drawn are the books that were: rebuilt as by the engine bridge's book, and snapshots level by level."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import arraystore
from arraystore.bridges.hftevents import Book, Ticks
from arraystore.pictures.book import depth_of
from arraystore.pictures.bookstate import ASK, BID, BookState
from arraystore.pictures.rows import asked
from tests.pictures.conftest import SECOND, START, lines, words

prices = st.integers(95, 105).map(float)
update = st.tuples(st.sampled_from([1, 1, 1, 2, 3]), st.sampled_from([1, -1]), prices | st.just(float("nan")), st.integers(0, 9).map(float))


@given(st.lists(update, max_size=60), st.lists(st.integers(0, 60), max_size=4))
def test_a_rebuilt_book_is_the_one_that_engines_get(updates, cuts):
    updates = [each for each in updates if each[0] == 3 or each[2] == each[2]]
    action, side, price, size = (np.array([each[place] for each in updates], float) for place in range(4))
    action, side = action.astype(np.int8), side.astype(np.int8)
    state, model = BookState(), Book()
    edges = sorted({0, len(updates), *(cut for cut in cuts if cut < len(updates))})
    for start, stop in pairwise(edges):
        state.apply(action[start:stop], side[start:stop], price[start:stop], size[start:stop])
    none = np.zeros(len(updates), np.int64)
    model.apply(Ticks(local=none, exchange=none, sequence=none, side=side, price=price, size=size, action=action, flags=none))
    for each in (BID, ASK):
        there = {level: amount for level, amount in model.levels[each].items() if amount > 0}
        assert dict(zip(*(column.tolist() for column in state.levels[each]), strict=True)) == there
        assert (np.diff(state.levels[each][0]) > 0).all()


def updates_of(rows):
    """Rows (second, action, side, price, size) as columns; a price of None clears a whole side."""
    seconds, action, side, price, size = (list(column) for column in zip(*rows, strict=True))
    times = START + np.array(seconds, np.int64) * SECOND
    return {"time": times, "action": action, "side": side, "price": price, "size": size, "flags": np.zeros(len(rows), np.uint8)}


def test_depth_is_added_up_step_by_step(store):
    book = store.canonical.create(("venue", "book_updates", "X"), arraystore.schema_by_name("book_updates"))
    rows = [
        (0, "clear", "buy", None, None),
        (0, "set", "buy", 99.0, 5.0),
        (0, "set", "sell", 101.0, 7.0),
        (4, "set", "buy", 100.0, 2.0),
        (8, "delete", "buy", 100.0, None),
        (9, "set", "sell", 102.0, 1.0),
    ]
    book.append(updates_of(rows))
    found = depth_of(asked(book), steps=10)
    assert len(found.times) - 1 == len(found.mid) == len(found.bids)
    at = [int(np.searchsorted(found.times, START + second * SECOND, side="right")) - 1 for second in (0, 4, 8, 9)]
    assert found.best_bid[at].tolist() == [99.0, 100.0, 99.0, 99.0]
    assert found.mid[at].tolist() == [100.0, 100.5, 100.0, 100.0]
    assert found.bids.sum(axis=1)[at].tolist() == [5.0, 7.0, 5.0, 5.0]
    assert found.asks.sum(axis=1)[at].tolist() == [7.0, 7.0, 7.0, 8.0]
    row = int(np.searchsorted(found.prices, 99.0)) - 1
    assert found.bids[at[0], row] == 5.0
    later = depth_of(asked(book, START + 5 * SECOND), steps=5)
    assert later.best_bid[0] == 100.0, "what came before in the window counts"
    figure = book.plot.book()
    assert np.nanmax(lines(figure)["mid"][1]) == 100.5
    assert all(name in words(figure) for name in ("bid size", "ask size", "mid price"))


def test_a_book_begins_with_what_the_last_snapshot_left_in_an_earlier_window(store):
    book = store.canonical.create(("venue", "book_updates", "PRIMED"), arraystore.schema_by_name("book_updates"))
    day = 86_400
    book.append(updates_of([(0, "set", "buy", 42.0, 1.0)]))  # from before the snapshot: not known to be there any more
    told = [(1, "clear", side, None, None) for side in ("buy", "sell")] + [(1, "set", "buy", 99.0, 5.0), (1, "set", "sell", 101.0, 7.0)]
    book.append(updates_of([(day + second, *rest) for second, *rest in told]))
    book.append(updates_of([(2 * day, "set", "buy", 98.0, 1.0)]))
    book.append(updates_of([(3 * day, "set", "sell", 103.0, 1.0), (3 * day + 5, "set", "buy", 100.0, 2.0)]))
    found = depth_of(asked(book, START + 3 * day * SECOND, START + (3 * day + 10) * SECOND), steps=10, depth=80)
    assert found.best_bid[[0, -1]].tolist() == [99.0, 100.0]
    assert found.best_ask[[0, -1]].tolist() == [101.0, 101.0]
    assert found.bids.sum(axis=1)[[0, -1]].tolist() == [6.0, 8.0], "with 98 of the day between, and without 42 of the day before"
    first = depth_of(asked(book, START, START + SECOND), steps=1)
    assert (first.best_bid[0], np.isnan(first.best_ask[0])) == (42.0, True)


def test_snapshots_are_drawn_as_they_are(store):
    book = store.canonical.create(("venue", "book_snapshots", "X"), arraystore.schema_by_name("book_snapshots", levels=2))
    bid, ask = np.array([[99.0, 98.0], [100.0, np.nan]]), np.array([[101.0, 102.0], [101.0, 103.0]])
    sizes = {"bid_size": np.array([[1.0, 2.0], [3.0, np.nan]]), "ask_size": np.array([[4.0, 5.0], [6.0, 7.0]])}
    levels = {"bid_levels": np.array([2, 1], np.uint16), "ask_levels": np.array([2, 2], np.uint16)}
    counts = {f"{side}_count": np.zeros((2, 2), np.uint32) for side in ("bid", "ask")}
    book.append(
        {
            "time": [START, START + 10 * SECOND],
            "bid_price": bid,
            "ask_price": ask,
            **sizes,
            **levels,
            **counts,
            "origin": ["venue", "venue"],
        }
    )
    found = depth_of(asked(book), depth=5, steps=10)
    assert (found.best_bid[0], found.best_ask[0], found.mid[-1]) == (99.0, 101.0, 100.5)
    assert (found.bids[0].sum(), found.asks[0].sum(), found.bids[-1].sum(), found.asks[-1].sum()) == (3.0, 9.0, 3.0, 13.0)
    assert "the snapshot in force" in words(book.plot.book())


def test_what_keeps_no_book_is_told(store, trades):
    from tests.pictures.conftest import trades_at

    trades.append(trades_at(START + np.arange(2, dtype=np.int64), np.ones(2)))
    with pytest.raises(arraystore.InvalidInput, match="keeps no book by price"):
        trades.plot.book()
    empty = store.canonical.create(("venue", "book_updates", "X"), arraystore.schema_by_name("book_updates"))
    empty.append(updates_of([(0, "clear", "buy", None, None), (3, "clear", "sell", None, None)]))
    with pytest.raises(arraystore.NotFound, match="the book is empty"):
        empty.plot.book()
    empty.append(updates_of([(4, "set", "buy", 1.0, 1.0)]))
    with pytest.raises(arraystore.InvalidInput, match="more than 0"):
        empty.plot.book(depth=0)
