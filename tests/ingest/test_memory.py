"""A worker's memory doesn't grow with the file."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import arraystore
from arraystore.ingest.sources import Member
from arraystore.ingest.tables import read_parquet
from tests.ingest.conftest import DAY, INTO

MEASURED = """
import resource
import sys
import arraystore
from tests.ingest.conftest import INTO, mapping

store = arraystore.open_store(sys.argv[1], role="data-quality")
file = {"split": ["symbol"]} if "{" in sys.argv[3] else {}
report = arraystore.ingest(store, sys.argv[2], mapping=mapping(file), into=sys.argv[3], workers=1)
print(report.rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)
"""


def big(path: Path, size: int, symbols: int) -> int:
    """A file of so many bytes, and how many rows it has."""
    rows = 0
    with path.open("wb") as file:
        file.write(b"symbol,time,bid,ask,note\n")
        while file.tell() < size:
            second = rows // 1_000
            moment = f"{DAY}T{second // 3600 % 24:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
            lines = (f"S{n % symbols},{moment}.{n:03d},{100 + n / 8},{100.5 + n / 8},{'x' * 40}\n" for n in range(1_000))
            file.write("".join(lines).encode())
            rows += 1_000
    return rows


def test_of_a_parquet_file_no_more_is_held_than_a_few_row_groups(tmp_path: Path) -> None:
    path, random = tmp_path / "x.parquet", np.random.default_rng(1)
    with pq.ParquetWriter(path, pa.schema([("x", pa.float64())]), compression="none") as writer:
        for _ in range(40):
            writer.write_table(pa.table({"x": random.random(20_000)}))
    before, most = pa.total_allocated_bytes(), 0
    for _ in read_parquet(Member(path=path), ("x",)):
        most = max(most, pa.total_allocated_bytes() - before)
    assert most < path.stat().st_size // 2


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("into", "limit"), [(INTO, 900), ("canonical/venue/quotes/{symbol}", 900)])
def test_a_gigabyte_of_csv_needs_less_than_a_gigabyte(tmp_path: Path, into: str, limit: int) -> None:
    """Of one dataset, and of fifty at once."""
    arraystore.open_store(tmp_path / "store", role="data-quality", create=True)
    rows = big(tmp_path / "big.csv", 1 << 30, 50 if "{" in into else 1)
    command = [sys.executable, "-c", MEASURED, str(tmp_path / "store"), str(tmp_path / "big.csv"), into]
    told = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]).stdout.split()
    assert int(told[0]) == rows
    assert int(told[1]) < limit
