"""A Parquet file holds exactly the rows that were asked for, or there is none of that name."""

import json
import os
import resource
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import arraystore
from arraystore.frames.arrow import table_from
from tests.store.conftest import DAY, START, rows
from tests.store.test_statistics import COLUMNS, some_rows

COUNT = 300


@pytest.fixture(scope="module")
def dataset() -> arraystore.Dataset:
    """Every kind of column, over three days."""
    store = arraystore.open_store(f"memory://{uuid.uuid4().hex}", role="data-quality", create=True)
    made = store.canonical.create(("venue", "any", "X"), arraystore.Schema(name="any", columns=COLUMNS, window="day"))
    made.append(some_rows(COUNT))
    return made


def test_a_file_holds_every_kind_of_column(dataset: arraystore.Dataset, tmp_path: Path) -> None:
    (written,) = dataset.to_parquet(tmp_path / "all.parquet")
    found = pq.read_table(written.path)
    wanted = table_from(dataset.read().rows)
    assert (written.rows, written.bytes) == (COUNT, (tmp_path / "all.parquet").stat().st_size)
    assert found.column_names == wanted.column_names
    for name in found.column_names:
        assert found[name].type == wanted[name].type, name
        assert str(found[name].to_pylist()) == str(wanted[name].to_pylist()), name
    assert pa.types.is_dictionary(found["side"].type)
    assert [path.name for path in tmp_path.iterdir()] == ["all.parquet"]


def test_a_file_tells_what_it_is_of(dataset: arraystore.Dataset, tmp_path: Path) -> None:
    (written,) = dataset.to_parquet(tmp_path / "x.parquet", START, START + DAY, ["time", "price"])
    schema = pq.read_schema(written.path)
    told = {name.decode(): value.decode() for name, value in schema.metadata.items()}
    assert (told["arraystore_class"], json.loads(told["arraystore_key"])) == ("canonical", ["venue", "any", "X"])
    assert (int(told["arraystore_version"]), told["arraystore_digest"]) == (dataset.version, dataset.digest)
    assert json.loads(told["arraystore_pin"])["columns"] == ["time", "price"]
    assert schema.field("price").metadata[b"unit"] == b"USDT"
    assert written.pin == dataset.read(START, START + DAY, ["time", "price"]).pin
    assert written.rows == dataset.read(START, START + DAY).row_count


def test_a_file_for_each_window(dataset: arraystore.Dataset, tmp_path: Path) -> None:
    written = dataset.to_parquet(tmp_path / "days", per_window=True, compression="snappy", row_group_rows=7)
    assert [Path(each.path).stem for each in written] == [*dataset.windows()]
    assert pq.ParquetFile(written[0].path).metadata.row_group(0).num_rows == 7
    together = pa.concat_tables([pq.read_table(each.path, columns=["large"]) for each in written])
    assert together["large"].to_pylist() == dataset.read(columns=["large"])["large"].tolist()


def test_no_rows_make_a_file_without_rows(dataset: arraystore.Dataset, tmp_path: Path) -> None:
    (written,) = dataset.to_parquet(tmp_path / "none.parquet", 0, 1)
    assert (written.rows, pq.read_table(written.path).num_rows) == (0, 0)


def test_what_reads_back_otherwise_never_gets_the_name(
    dataset: arraystore.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "x.parquet"
    dataset.to_parquet(place, columns=["time", "large"])
    before = place.read_bytes()
    told = table_from

    def forged(given: Any) -> Any:
        table = told(given)
        values = table["large"].to_numpy().copy()
        values[-1] += 1
        return table.set_column(1, table.schema.field("large"), pa.array(values))

    monkeypatch.setattr("arraystore.parquet.table_from", forged)
    with pytest.raises(arraystore.Corrupt, match="large reads back as"):
        dataset.to_parquet(place, columns=["time", "large"], overwrite=True)
    assert place.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["x.parquet"]


def test_a_full_disk_leaves_nothing(dataset: arraystore.Dataset, tmp_path: Path) -> None:
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    code = (
        "import resource, signal, sys, arraystore, numpy as np\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "store = arraystore.open_store('memory://x', role='data-quality', create=True)\n"
        "made = store.canonical.create(('v', 't', 'X'), arraystore.schema_by_name('trades'))\n"
        "n = 20_000\n"
        "made.append({'time': np.arange(n), 'price': np.random.default_rng(1).random(n), 'size': np.ones(n), 'side': np.ones(n, np.int8),"
        " 'flags': np.zeros(n, np.uint8)})\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, {limit[1]}))\n"
        "try:\n    made.to_parquet(sys.argv[1])\nexcept arraystore.StorageError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "x.parquet")], check=True, capture_output=True, text=True, env={**os.environ}
    )
    assert "nothing of it has that name" in done.stdout
    assert [*tmp_path.iterdir()] == []


def test_a_name_that_is_taken_stays(dataset: arraystore.Dataset, tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"mine")
    with pytest.raises(arraystore.AlreadyExists):
        dataset.to_parquet(tmp_path / "x.parquet")
    assert (tmp_path / "x.parquet").read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("options", "words"),
    [({"compression": "rar"}, "zstd"), ({"row_group_rows": 0}, "row_group_rows"), ({"columns": ["prise"]}, "prise")],
)
def test_what_cannot_be_is_refused(dataset: arraystore.Dataset, tmp_path: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(arraystore.InvalidInput, match=words):
        dataset.to_parquet(tmp_path / "x.parquet", **options)
    assert [*tmp_path.iterdir()] == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_memory_stays_bounded_however_many_rows(tmp_path: Path) -> None:
    store = arraystore.open_store(tmp_path / "store", role="data-quality", create=True)
    made = store.canonical.create(("venue", "trades", "X"), arraystore.schema_by_name("trades"))
    for part in range(24):
        made.append(rows(1_000_000, first=part * 1_000_000, step=10**8))
    code = (
        "import resource, sys, arraystore\n"
        f"made = arraystore.open_store({str(tmp_path / 'store')!r}, role='operations').canonical['venue/trades/X']\n"
        "(written,) = made.to_parquet(sys.argv[1])\n"
        "print(written.rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "x.parquet")], check=True, capture_output=True, text=True)
    count, peak_mib = map(int, done.stdout.split())
    assert count == 24_000_000
    assert peak_mib < 1024, "decoded they are 2 GiB"
    assert np.isclose(pq.ParquetFile(tmp_path / "x.parquet").metadata.num_rows, count)
