"""`export-parquet` writes a file for one dataset, and a tree of them for many."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from click.testing import Result


def test_the_command_writes_one_dataset_or_many(run: Callable[..., Result], run_json: Callable[..., Any], tmp_path: Path) -> None:
    trades = "canonical/binance-usdm/trades/BTC=2FUSDT"
    (file,) = run_json("export-parquet", trades, "-o", str(tmp_path / "t.parquet"), "--columns", "time, price")["files"]
    assert (file["rows"], pq.read_table(file["path"]).column_names) == (6, ["time", "price"])
    shown = run("export-parquet", "canonical", "raw", "-o", str(tmp_path / "all"))
    assert shown.stdout.splitlines()[-1].startswith("10 rows, ")
    assert pq.read_table(tmp_path / "all" / f"{trades}.parquet").num_rows == 6
    assert run("export-parquet", trades, "-o", str(tmp_path / "t.parquet")).exit_code == 2
    assert run("export-parquet", "canonical/no", "-o", str(tmp_path / "n")).exit_code == 3
    days = run_json("export-parquet", trades, "-o", str(tmp_path / "days"), "--per-window", "--version", "3")["files"]
    assert [each["rows"] for each in days] == [3, 4]
