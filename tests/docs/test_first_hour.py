"""The README's first hour runs as it stands, and each of its steps does what is said."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import arraystore
from tests.conftest import PROJECT


@pytest.mark.timeout(600)  # some twenty processes, on a machine that may be busy
def test_the_first_hour_runs(tmp_path: Path) -> None:
    section = (PROJECT / "README.md").read_text().partition("\n## The first hour\n")[2]
    script = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert script
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {"PATH": path, "HOME": str(tmp_path), "MPLCONFIGDIR": str(tmp_path), "COLUMNS": "200"}
    shell = ["bash", "-euo", "pipefail"]
    run = subprocess.run(shell, input=script[1], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert not run.stderr
    for told in (
        "3,600 rows of 1 file",  # ingest
        "600.000000",  # a slice in pandas
        "│ 528 ┆ 201.05    │",  # Polars
        "│ 2024-01-02 08:31:00",  # DuckDB
        "200.14",  # xarray
        "[200.] [199.95]",  # both versions
        "3,600       3,600  bid_price  ",  # what the correction changed
        "0 findings",
    ):
        assert told in run.stdout, run.stdout
    assert {"sap.png", "sap.h5", "sap.parquet", "first-hour.html"} <= {path.name for path in tmp_path.iterdir()}
    quotes = arraystore.open_store(tmp_path / "first-hour", role="analysis").canonical["my-venue/quotes/SAP"]
    assert [version.operation for version in quotes.versions()] == ["create", "append", "replace"]
