"""One worker of a sweep, as somebody would write it: tries every run in an order of its own until all are finished, whoever dies.

python -m tests.stories.sweep ROOT SEED RUNS SECONDS
"""

import random
import sys
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

import arraystore

TRADES = ("venue", "trades", "BTCUSDT")
DAY = np.timedelta64(1, "D")
START = np.datetime64("2024-08-08")
DAYS, ROWS = 5, 40


def backtest(run: arraystore.Run, trades: arraystore.Dataset, number: int, seconds: float) -> None:
    """What a run does: reads some days, keeps its equity in two parts, a report and its metrics."""
    frame = run.read(trades, START, START + (1 + number % DAYS) * DAY, columns=["time", "price"])
    for part in range(2):
        run.write("equity", equity(part))
        time.sleep(seconds / 2)
    run.add_file(f"run {number}".encode(), "report.txt")
    run.log(rows=frame.row_count, number=number)


def equity(part: int) -> Mapping[str, Any]:
    """Half of a run's equity."""
    times = START + np.timedelta64(1, "s") * (part * ROWS + np.arange(ROWS))
    columns = ("price", "position", "balance", "fee", "trading_volume", "trading_value", "equity")
    numbers = dict.fromkeys(columns, np.zeros(ROWS))
    return {"time": times, "num_trades": np.zeros(ROWS, np.int64), "currency": ["USDT"] * ROWS, **numbers}


def main(root: str, seed: str, runs: str, seconds: str) -> None:
    store = arraystore.open_store(root, role="backtesting")
    trades, left = store.canonical[TRADES], list(range(int(runs)))
    random.Random(seed).shuffle(left)
    while left:
        number = left.pop()
        params = {"width": number % 10, "depth": number // 10}
        try:
            with store.experiments.run("sweep", f"r{number:04}", params=params, retry=True) as run:
                if not run.done:
                    backtest(run, trades, number, float(seconds))
        except arraystore.Conflict:
            left.insert(0, number)  # somebody is at it: see later what came of it
            time.sleep(0.002)


if __name__ == "__main__":
    main(*sys.argv[1:])
