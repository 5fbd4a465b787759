"""A store with something to read, and what runs write."""

from pathlib import Path

import numpy as np

import arraystore
from tests.store.conftest import START, root, trades

__all__ = ["equity", "experiments", "root", "sleeper", "trades"]


def equity(count: int) -> dict[str, object]:
    """A run's equity, one row a second."""
    zeros = np.zeros(count)
    columns = ("price", "position", "balance", "fee", "trading_volume", "trading_value", "equity")
    return {
        "time": START + np.arange(count) * 10**9,
        "num_trades": zeros.astype(np.int64),
        "currency": ["USDT"] * count,
        **dict.fromkeys(columns, zeros),
    }


def experiments(root: Path, role: str = "backtesting") -> arraystore.ExperimentsSurface:
    """The surface, opened anew as another process would."""
    return arraystore.open_store(root, role=role).experiments


#: Begins a run, writes some, tells so, and waits to be killed.
sleeper = """
import sys, time, arraystore
from tests.runs.conftest import equity
with arraystore.open_store(sys.argv[1], role="backtesting").experiments.run("grid", sys.argv[2], params={"width": 3}) as run:
    run.write("equity", equity(7))
    run.add_file(b"half", "half.txt")
    print("begun", flush=True)
    time.sleep(600)
"""
