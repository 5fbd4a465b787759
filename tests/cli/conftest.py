"""A small store with something in every command's way, made once, and a way to run commands on it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import arraystore
from arraystore.cli import main

type Run = Callable[..., Result]


def trades_of(day: str, count: int) -> dict[str, Any]:
    """As many trades, a second apart, from noon on."""
    start = np.datetime64(f"{day}T12:00:00", "ns")
    return {
        "time": start + np.arange(count) * np.timedelta64(1, "s"),
        "price": 61_680.0 + np.arange(count) / 10,
        "size": np.full(count, 0.25),
        "side": ["buy" if row % 2 else "sell" for row in range(count)],
        "trade_id": [f"t{row}" for row in range(count)],
        "flags": np.zeros(count, np.uint8),
    }


def messages() -> dict[str, Any]:
    """Four messages; the second isn't text, the third is long, the fourth empty."""
    return {
        "time": np.datetime64("2024-08-08T12:00:00.000000001", "ns") + np.arange(4) * np.timedelta64(1, "ms"),
        "sequence": np.arange(4, dtype=np.uint64) + 2**63,
        "direction": ["recv"] * 4,
        "connection": ["ws-1"] * 4,
        "encoding": ["json"] * 4,
        "payload": [b'{"e":"trade"}', b"\xff\x00\x1b[2J", b"x" * 500, b""],
    }


def build(root: Path) -> None:
    """A corrected dataset of two windows, raw messages, a run of two series, and a dataset without rows."""
    quality = arraystore.open_store(root, role="data-quality", create=True)
    recording = arraystore.open_store(root, role="data-recording")
    raw = recording.raw.create(("binance-usdm", "market", "rec-1"), arraystore.schema_by_name("raw_messages"))
    receipt = raw.append(messages(), coverage=("2024-08-08", "2024-08-09"), completeness="complete")
    trades = quality.canonical.create(("binance-usdm", "trades", "BTC/USDT"), arraystore.schema_by_name("trades"))
    trades.append(trades_of("2024-08-08", 3), inputs=[receipt.pin])
    trades.append(trades_of("2024-08-09", 4))
    trades.replace("2024-08-08", trades_of("2024-08-08", 2), reason="one trade was a test of the venue's")
    backtesting = arraystore.open_store(root, role="backtesting")
    with backtesting.experiments.run("mm-grid", run_id="7f3a") as run:
        run.log(sharpe=1.5)
        run.write("equity", EQUITY, schema=arraystore.schema_by_name("equity"))
        run.add_file(b"<html>", name="report.html")
    analysis = arraystore.open_store(root, role="analysis")
    analysis.derived.create(("bars", "1m", "binance-usdm", "BTCUSDT"), arraystore.schema_by_name("bars", interval="1m"))


EQUITY = {
    "time": np.array(["2024-08-08T12:00", "2024-08-08T13:00"], "datetime64[ns]"),
    **dict.fromkeys(("price", "position", "balance", "fee", "trading_volume", "trading_value"), np.zeros(2)),
    "equity": [np.nan, np.inf],
    "num_trades": np.zeros(2, np.int64),
    "currency": ["USDT", "USDT"],
}


@pytest.fixture(scope="session")
def store_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store; nobody writes to it."""
    root = tmp_path_factory.mktemp("cli") / "store"
    build(root)
    return root


@pytest.fixture(scope="session")
def run(store_root: Path) -> Run:
    """Run a command line on the store."""

    def run_command(*args: str, **env: str) -> Result:
        return CliRunner().invoke(main, [*args], prog_name="arraystore", env={"ARRAYSTORE_ROOT": str(store_root), **env})

    return run_command


@pytest.fixture(scope="session")
def run_json(run: Run) -> Callable[..., Any]:
    """Run a command line that succeeds, and read the document that it prints."""

    def document(*args: str, **env: str) -> Any:
        result = run(*args, "--json", **env)
        assert (result.exit_code, result.stderr) == (0, ""), result.output
        return json.loads(result.stdout)

    return document
