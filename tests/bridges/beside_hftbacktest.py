"""Run by a test with hftbacktest and without arraystore: compares feeds with those of hftbacktest's own converter, and runs on both.

Reads cases as JSON: captures, feeds made of them, and the tick size; prints as JSON what it found.
"""

import contextlib
import gzip
import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
from hftbacktest import GTX, LIMIT, BacktestAsset, HashMapMarketDepthBacktest, types
from hftbacktest.data.utils import binancefutures
from hftbacktest.data.validation import correct_event_order
from numba import njit

FIELDS = ("ev", "exch_ts", "local_ts", "px", "qty", "order_id", "ival", "fval")
ROWS = 20_000


@njit
def make_market(engine, tick, told):
    """Two quotes around the mid, leaning against the position, moved ten times a second; `told` gets the state after each step."""
    row, number = 0, 1
    while engine.elapse(100_000_000) == 0 and row < len(told):
        engine.clear_inactive_orders(0)
        depth, position = engine.depth(0), engine.position(0)
        if not (depth.best_bid > 0 and depth.best_ask > 0):
            continue
        orders = engine.orders(0).values()
        while orders.has_next():
            order = orders.get()
            if order.cancellable:
                engine.cancel(0, order.order_id, False)
        fair = (depth.best_bid + depth.best_ask) / 2 - position * 20 * tick
        if position < 0.1:
            engine.submit_buy_order(0, number, np.floor(min(fair - tick, depth.best_bid) / tick) * tick, 0.01, GTX, LIMIT, False)
        if position > -0.1:
            engine.submit_sell_order(0, number + 1, np.ceil(max(fair + tick, depth.best_ask) / tick) * tick, 0.01, GTX, LIMIT, False)
        number += 2
        state = engine.state_values(0)
        told[row, 0], told[row, 1], told[row, 2] = engine.current_timestamp, depth.best_bid, depth.best_ask
        told[row, 3], told[row, 4], told[row, 5], told[row, 6] = state.position, state.balance, state.fee, state.num_trades
        row += 1
    return row


def run(feeds, tick):
    asset = (
        BacktestAsset()
        .data(feeds)
        .linear_asset(1.0)
        .constant_order_latency(10_000_000, 10_000_000)
        .risk_adverse_queue_model()
        .no_partial_fill_exchange()
        .trading_value_fee_model(-0.00005, 0.0007)
        .tick_size(tick)
        .lot_size(0.001)
        .last_trades_capacity(0)
    )
    engine = HashMapMarketDepthBacktest([asset])
    told = np.zeros((ROWS, 7))
    rows = make_market(engine, tick, told)
    engine.close()
    return told[:rows]


def converted(capture, offset, folder):
    """hftbacktest's own feed of a capture, with a given offset in place of the one that it found for this file."""
    events = binancefutures.convert(capture, buffer_size=1_000_000)
    with gzip.open(capture, "rt") as lines:
        first = min(int(line[:19]) for line in lines if '@bookTicker"' not in line[:120])  # which it leaves out
    events["local_ts"] += offset - (int(events["local_ts"].min()) - first)
    path = str(Path(folder, Path(capture).name + ".npz"))
    np.savez(path, data=events)
    return path, events


def compare(case, folder, offset):
    theirs = [converted(capture, offset, folder) for capture in case["captures"]]
    ours = [np.load(path)["data"] for path in case["feeds"]]
    different = [
        [name for name in FIELDS if not np.array_equal(left[name], right[name])] for left, (_, right) in zip(ours, theirs, strict=True)
    ]
    runs = [run(feeds, case["tick"]) for feeds in (case["feeds"], [path for path, _ in theirs])]
    return {
        "events": list(map(len, ours)),
        "different": different,
        "fills": int(runs[0][-1, 6]),
        "same_run": bool(np.array_equal(*runs)),
    }


def compare_orders(by_both_clocks):
    """Random events in both libraries' order."""
    seed = np.random.default_rng(7)
    different = 0
    for _ in range(300):
        count = int(seed.integers(1, 50))
        events = np.zeros(count, types.event_dtype)
        events["exch_ts"] = seed.integers(0, 12, count)
        events["local_ts"] = np.cumsum(seed.integers(0, 3, count))
        events["ival"] = np.arange(count)
        by = [np.argsort(events[name], kind="mergesort") for name in ("exch_ts", "local_ts")]
        different += not np.array_equal(correct_event_order(events, *by), by_both_clocks(events))
    return {"tried": 300, "different": different}


def main(hftevents, folder, offset):
    spec = importlib.util.spec_from_file_location("hftevents", hftevents)
    ours = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = ours
    spec.loader.exec_module(ours)
    names = (
        "DEPTH_EVENT",
        "TRADE_EVENT",
        "DEPTH_CLEAR_EVENT",
        "DEPTH_SNAPSHOT_EVENT",
        "EXCH_EVENT",
        "LOCAL_EVENT",
        "BUY_EVENT",
        "SELL_EVENT",
    )
    with contextlib.redirect_stdout(sys.stderr):  # the converter talks
        cases = [compare(case, folder, offset) for case in json.load(sys.stdin)]
        random = compare_orders(ours.by_both_clocks)
    constants = [*(getattr(types, name) for name in names), types.event_dtype.itemsize]
    print(json.dumps({"cases": cases, "random": random, "constants": constants}))  # noqa: T201 - what the test reads


main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
