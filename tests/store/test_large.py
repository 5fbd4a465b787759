"""However many rows there are, reading them takes the memory of the result, and scanning them that of the batches."""

import subprocess
import sys

import numpy as np
import pytest

import arraystore
from tests.store.conftest import START

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

ROWS, APPENDS = 100_000_000, 10
RESULT = ROWS * (8 + 8 + 1)
SLACK = 256 << 20
SCHEMA = arraystore.Schema(
    name="large",
    window="month",
    columns=(
        arraystore.Column(name="time", kind="time"),
        arraystore.Column(name="price"),
        arraystore.Column(name="side", kind="vocabulary", vocabulary=(("buy", 1), ("sell", -1))),
    ),
)

CHILD = """
import sys
import arraystore

def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) * 1024

dataset = arraystore.open_store(sys.argv[1], role="analysis").canonical["venue", "trades", "X"]
dataset.last(1)
before = peak()
{what}
print(peak() - before)
"""
SCAN = "print(sum(int(each['price'].sum()) for each in dataset.scan(memory=128 << 20, prefetch=1)))"
READS = {
    "all of it": ("print(int(dataset.read()['price'].sum()))", RESULT),
    "into arrays": (
        "import numpy; out = {'price': numpy.empty(100_000_000)}; dataset.read(columns=['price'], out=out); print(int(out['price'].sum()))",
        ROWS * 8,
    ),
    "each tenth": ("print(int(dataset.read(every=10)['price'].sum()))", RESULT // 10),
    "in batches": (SCAN, 128 << 20),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    path = tmp_path_factory.mktemp("large") / "store"
    dataset = arraystore.open_store(path, role="data-quality", create=True).canonical.create(("venue", "trades", "X"), SCHEMA)
    each = ROWS // APPENDS
    for number in range(APPENDS):
        rows = np.arange(number * each, (number + 1) * each)
        dataset.append(
            {"time": START + rows * 10_000, "price": (rows % 1000).astype(np.float64), "side": (rows % 2 * 2 - 1).astype(np.int8)}
        )
    return path


@pytest.mark.parametrize("what", READS)
def test_memory_stays_within_the_result_and_a_little_more(place, what):
    code, result = READS[what]
    done = subprocess.run([sys.executable, "-c", CHILD.replace("{what}", code), str(place)], capture_output=True, text=True, check=True)
    total, peak = map(int, done.stdout.split())
    assert total == (sum(range(0, 1000, 10)) * ROWS // 1000 if what == "each tenth" else sum(range(1000)) * (ROWS // 1000))
    assert peak < result + SLACK
