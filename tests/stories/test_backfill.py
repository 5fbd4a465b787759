"""Five years of a vendor's files are loaded in parallel; it is killed with -9, started again with --resume, and nothing is amiss."""

import gzip
import json
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import arraystore
from arraystore.cli import main
from arraystore.testing import generate
from tests.stories.conftest import program

MAPPING = """
into = "canonical/vendor/bars-1m/{symbol}"

[schema]
name = "bars"
options = { interval = "1m" }

[file]
name = '(?P<symbol>[A-Z]+)_(?P<date>\\d{4}-\\d{2}-\\d{2})'
span = true

[columns]
open_time = { from = "minute", unit = "ms" }
close_time = { from = "minute", unit = "ms", plus = "1m" }
open = { from = "o" }
high = { from = "h" }
low = { from = "l" }
close = { from = "c" }
volume = { from = "v" }
trade_count = { from = "n", null = ["-"] }
is_revision = { value = false }
"""
COLUMNS = ("open", "high", "low", "close", "volume")
MINUTE = 60 * 10**9
DAY = 1440 * MINUTE

type Table = dict[str, np.ndarray]


def vendor_files(folder: Path, days: int, each: int) -> tuple[list[Path], Table]:
    """A file per day of the last five years, `each` minutes in it; and all of it in memory, as it must be read back."""
    bars = generate("bars", days * each, seed=5, interval="1m")
    first = arraystore.parse_time("2019-08-08")
    bars["open_time"] = (first + np.arange(days)[:, None] * DAY + np.arange(each) * MINUTE).ravel()
    counts = np.where(bars["trade_count_valid"], bars["trade_count"].astype(object), "-")
    columns = [bars["open_time"] // 1_000_000, *(bars[name] for name in COLUMNS), counts]
    texts = [np.asarray(column).astype(str).tolist() for column in columns]
    rows = [",".join(row) for row in zip(*texts, strict=True)]
    files = []
    for day in range(days):
        date = np.datetime64(int(first + day * DAY), "ns").astype("datetime64[D]")
        text = "\n".join(["minute,o,h,l,c,v,n", *rows[day * each : (day + 1) * each], ""])
        files.append(folder / f"BTCUSDT_{date}.csv.gz")
        files[-1].write_bytes(gzip.compress(text.encode(), 1))
    return files, bars


@pytest.mark.parametrize(
    ("days", "each", "kills"),
    [
        pytest.param(40, 60, [9], id="weeks"),
        pytest.param(1827, 1440, [1, 100, 333, 700], id="five-years", marks=[pytest.mark.slow, pytest.mark.timeout(1800)]),
    ],
)
def test_a_backfill_is_killed_and_resumed(root: Path, tmp_path: Path, days: int, each: int, kills: list[int]) -> None:
    files, truth = vendor_files(tmp_path, days, each)
    mapping = tmp_path / "vendor-bars.toml"
    mapping.write_text(MAPPING)
    command = ("arraystore", "ingest", *files, "--mapping", mapping, "--root", root, "--workers", 4, "--resume")
    store = arraystore.open_store(root, role="analysis")

    # It is killed when some files are in. What is there then are whole files, each once.
    for wanted in kills:
        with program(*command) as process:
            done = 0
            while done < wanted and process.poll() is None:
                time.sleep(0.02)
                done = files_in(store)
            process.kill()
        dataset = store.canonical["vendor", "bars-1m", "BTCUSDT"]
        assert wanted <= files_in(store) < days, "it was killed in the middle"
        assert dataset.rows == files_in(store) * each
        assert set(dataset.read(columns=["open_time"])["open_time"].view(np.int64).tolist()) <= set(truth["open_time"].tolist())

    # It goes on where it was, and says so.
    before = files_in(store)
    result = CliRunner().invoke(main, [*map(str, command[1:]), "--json"])
    assert result.exit_code == 0
    states = [file["state"] for file in json.loads(result.stdout)["files"]]
    assert (states.count("known"), states.count("ingested")) == (before, days - before)

    # Nothing is missing, nothing is there twice, no bit is another.
    dataset = store.canonical["vendor", "bars-1m", "BTCUSDT"]
    frame = dataset.read()
    assert frame.row_count == days * each
    assert frame["open_time"].view(np.int64).tobytes() == truth["open_time"].tobytes()
    for name in COLUMNS:
        assert frame[name].tobytes() == truth[name].tobytes(), name
    valid = truth["trade_count_valid"]
    assert np.array_equal(frame["trade_count"][valid], truth["trade_count"][valid])
    assert np.array_equal(frame.valid("trade_count"), valid)
    assert dataset.verify() == []
    assert [version.operation for version in dataset.versions()].count("append") == days


def files_in(store: arraystore.Store) -> int:
    """How many files are in by now."""
    try:
        return store.canonical["vendor", "bars-1m", "BTCUSDT"].version - 1
    except arraystore.NotFound:
        return 0
