"""A hundred million rows go from Parquet into a dataset and on to HDF5, through less than a gigabyte of memory."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import arraystore

ROWS = int(os.environ.get("ARRAYSTORE_STREAMED_ROWS", "100_000_000"))
GROUP = 1_000_000
LIMIT_BYTES = 1_000_000_000
START = 1_723_075_200_000_000_000
STEP = 5_000_000  # ns: 17 million rows a day


def make_parquet(path: Path, rows: int) -> None:
    """Trades that walk, a row group at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer = None
    for first in range(0, rows, GROUP):
        random, numbers = np.random.default_rng(first), np.arange(first, min(first + GROUP, rows))
        table = pa.table(
            {
                "time": START + numbers * STEP,
                "price": 60_000 + np.cumsum(random.integers(-3, 4, len(numbers))) * 0.1,
                "size": random.integers(1, 500, len(numbers)) * 0.001,
                "side": random.choice(np.array([-1, 1], np.int8), len(numbers)),
                "flags": np.zeros(len(numbers), np.uint8),
            }
        )
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    assert writer is not None
    writer.close()


def stream(folder: str) -> None:
    """In, and out; how much memory that took at most."""
    import pyarrow.parquet as pq

    store = arraystore.open_store(f"{folder}/store", role="data-quality", create=True)
    dataset = store.canonical.create(("venue", "trades", "X"), arraystore.schema_by_name("trades"))
    with pq.ParquetFile(f"{folder}/in.parquet", pre_buffer=False) as file:  # buffered ahead, Arrow keeps the file's bytes
        dataset.append_stream(file.iter_batches(batch_size=GROUP // 4), token=("stream", 1))
    appended = peak()
    exported = dataset.to_hdf5(f"{folder}/out.h5")
    print(json.dumps({"rows": exported.rows["/"], "appended": appended, "exported": peak(), "bytes": exported.bytes}))  # noqa: T201


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_any_number_of_rows_goes_through_a_gigabyte(tmp_path: Path) -> None:
    import h5py
    import pyarrow.parquet as pq

    make_parquet(tmp_path / "in.parquet", ROWS)
    command = [sys.executable, "-c", f"from tests.hdf5.test_memory import stream; stream({str(tmp_path)!r})"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    told = json.loads(done.stdout)
    print(told)  # noqa: T201 - what it is run for
    assert told["rows"] == ROWS
    assert told["exported"] < LIMIT_BYTES
    with h5py.File(tmp_path / "out.h5") as file, pq.ParquetFile(tmp_path / "in.parquet") as source:
        for group in {0, source.num_row_groups // 2, source.num_row_groups - 1}:
            table, first = source.read_row_group(group), group * GROUP
            for name in table.column_names:
                assert np.array_equal(file[name][first : first + table.num_rows], table[name].to_numpy()), name
        assert file["time"][-1] == START + (ROWS - 1) * STEP
