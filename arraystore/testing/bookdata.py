"""Generated order books: updates by price, snapshots of levels, events by order."""

import numpy as np

from arraystore.testing.draws import MILLISECOND, Columns, Draw

SNAPSHOT_LEVELS = 20


def book_updates(draw: Draw) -> Columns:
    """Messages of several changes each; first of all both sides are cleared, and set by a snapshot."""
    begins = draw.random.random(draw.count) < 0.3
    begins[:1] = True
    ends, message = np.concatenate((begins[1:], begins[:1])), np.cumsum(begins) - 1
    firsts, lasts = np.flatnonzero(begins)[message], np.flatnonzero(ends)[message]
    every = draw.market_codes()
    codes, mid = every[firsts], draw.walk(every)[firsts]
    bid = draw.random.random(draw.count) < 0.5
    depth = draw.random.geometric(0.2, draw.count)
    action = draw.codes("action", {"set": 0.7, "delete": 0.3})
    flags = draw.flags("by_price") + np.where(ends, draw.flags("last"), 0)
    null_price = np.zeros(draw.count, np.bool_)
    shown = min(2 + 2 * SNAPSHOT_LEVELS, draw.count)
    place = np.arange(shown)
    action[:shown] = np.where(place < 2, draw.code("action", "clear"), draw.code("action", "set"))
    bid[:shown], depth[:shown], mid[:shown], codes[:shown] = place % 2 == 0, np.maximum(place // 2, 1), mid[:1], codes[:1]
    flags[:shown] += draw.flags("snapshot")
    null_price[:2] = True
    no_size = action != draw.code("action", "set")
    numbers = np.arange(draw.count)
    of_snapshot = numbers < shown
    return {
        **draw.market(draw.arrivals(10 * MILLISECOND)[firsts], codes),
        "action": action,
        "side": np.where(bid, draw.code("side", "buy"), draw.code("side", "sell")).astype(np.int8),
        **draw.nullable("price", draw.scaled("price", mid + np.where(bid, -depth, depth), 2), null_price),
        **draw.nullable("size", draw.scaled("size", draw.sizes(), 3), no_size),
        **draw.nullable("order_count", draw.random.integers(1, 30, draw.count, dtype=np.uint32), no_size | draw.chance(0.5)),
        **draw.nullable("first_sequence", (1000 + firsts).astype(np.uint64), of_snapshot),
        **draw.nullable("sequence", (1000 + lasts).astype(np.uint64), 0.001),
        **draw.nullable("previous_sequence", (999 + firsts).astype(np.uint64), of_snapshot),
        "flags": flags.astype(np.uint8),
    }


def book_snapshots(draw: Draw) -> Columns:
    """Levels that go away from the middle, sometimes fewer than there is room for."""
    levels = draw.schema.column("bid_price").levels
    assert levels is not None
    codes = draw.market_codes()
    mid = draw.walk(codes)
    columns = draw.market(draw.arrivals(100 * MILLISECOND), codes)
    shape = (draw.count, levels)
    for side, sign in (("bid", -1), ("ask", 1)):
        there = np.where(draw.chance(0.02), draw.random.integers(0, levels + 1, draw.count), levels)
        ticks = np.cumsum(draw.random.integers(1, 4, shape, dtype=np.uint8), axis=1, dtype=np.int64)
        price = draw.scaled(f"{side}_price", mid[:, None] + sign * ticks, 2)
        size = draw.scaled(f"{side}_size", draw.random.integers(1, 5000, shape, dtype=np.uint16), 3)
        count = draw.random.integers(1, 30, shape, dtype=np.uint32)
        short = np.flatnonzero(there < levels)
        beyond = np.arange(levels) >= there[short, None]
        for values, nothing in ((price, np.nan), (size, 0), (count, 0)):
            values[short] = np.where(beyond, nothing, values[short])
        columns |= {f"{side}_price": price, f"{side}_size": size, f"{side}_count": count, f"{side}_levels": there.astype(np.uint16)}
    columns |= draw.nullable("sequence", np.arange(draw.count, dtype=np.uint64) * 11, 0.01)
    return {**columns, "origin": draw.codes("origin", {"venue": 0.1, "rebuilt": 0.9})}


def book_events(draw: Draw) -> Columns:
    """Orders that are added, and later modified, canceled or filled; trades against them."""
    codes = draw.market_codes()
    action = draw.codes("action", {"add": 0.5, "modify": 0.05, "cancel": 0.35, "trade": 0.05, "fill": 0.05})
    action[:1] = draw.code("action", "clear")
    action[1:2] = draw.code("action", "add")
    added = np.cumsum(action == draw.code("action", "add"))
    age = np.where(action == draw.code("action", "add"), 1, draw.random.geometric(0.05, draw.count))
    order = np.maximum(added - age, 0)
    bid = (order * 2_654_435_761 >> 7) % 2 == 0  # an order has one side in all its rows
    depth = 1 + order * 48_271 % 25
    cleared = action == draw.code("action", "clear")
    return {
        **draw.market(draw.arrivals(2 * MILLISECOND), codes),
        "action": action,
        **draw.nullable("order_id", draw.identifiers("order_id", order), cleared | (action == draw.code("action", "trade"))),
        "side": np.where(cleared, draw.code("side", "none"), np.where(bid, 1, -1)).astype(np.int8),
        **draw.nullable("price", draw.scaled("price", draw.walk(codes) + np.where(bid, -depth, depth), 2), cleared),
        **draw.nullable("size", draw.scaled("size", draw.sizes(), 3), cleared),
        **draw.nullable("channel", draw.random.integers(0, 4, draw.count, dtype=np.uint8), 0.01),
        **draw.nullable("sequence", np.arange(draw.count, dtype=np.uint64), 0.001),
        "flags": np.where(draw.chance(0.5), draw.flags("last"), 0).astype(np.uint8),
    }
