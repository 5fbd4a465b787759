"""One worker of a sweep: tries runs in an order of its own until every one is finished, however often its like are killed."""

import random
import sys
import time

import arraystore
from tests.runs.conftest import equity
from tests.store.conftest import START

KEY = ("venue", "trades", "BTCUSDT")
ROWS = 50


def main(root: str, seed: str, count: str, pause: str) -> None:
    """Work through `count` runs, each taking about `pause` seconds."""
    store = arraystore.open_store(root, role="backtesting")
    trades, order = store.canonical[KEY], list(range(int(count)))
    random.Random(seed).shuffle(order)
    while order:
        number = order.pop()
        try:
            run = store.experiments.run("sweep", f"r{number:04}", params={"width": number % 10, "depth": number // 10}, retry=True)
        except arraystore.Conflict:
            order.insert(0, number)  # somebody is at it; see later what came of it
            time.sleep(0.002)
            continue
        with run:
            if run.done:
                continue
            frame = run.read(trades, START, START + 10**9 * (number + 1), columns=["price"])
            for _ in range(2):
                run.write("equity", equity(ROWS))
                time.sleep(float(pause) / 2)
            run.log(rows=frame.row_count, number=number)
            run.add_file(str(number).encode(), "number.txt")


if __name__ == "__main__":
    main(*sys.argv[1:])
