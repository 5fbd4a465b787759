"""Processes whose clocks are years ahead or behind write and maintain one dataset: no order changes, and nothing goes that shouldn't."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import arraystore
from tests.store.conftest import rows

KEY = ("product", "variant", "venue", "X")
YEARS = 365 * 86_400 * 10**9
CHILD = """
import sys, time
true, offset = time.time_ns, int(sys.argv[2])
time.time_ns = lambda: true() + offset  # before anything takes hold of it
time.time = lambda: time.time_ns() / 1e9
import arraystore
from tests.store.conftest import rows
dataset = arraystore.open_store(sys.argv[1], role="analysis").derived["product", "variant", "venue", "X"]
operations = arraystore.open_store(sys.argv[1], role="operations")
for number in map(int, sys.argv[3:]):
    dataset.append(rows(1, first=number))
operations.expire("derived", dry_run=False)
operations.gc("derived", dry_run=False)
assert abs(dataset.refresh().versions()[-1].time - true() - offset) < 3_600_000_000_000
"""


def with_clock(url: Path, years: int, *numbers: int) -> None:
    """Append rows, expire by the class's rule and collect garbage, in a process whose clock is so many years off."""
    command = [sys.executable, "-c", CHILD, str(url), str(years * YEARS), *map(str, numbers)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("jumps", [(30, -30), pytest.param((-30, 30), marks=pytest.mark.slow)])
def test_clocks_that_are_years_off_end_no_version_and_change_no_order(tmp_path: Path, jumps: tuple[int, int]) -> None:
    """The rule keeps ten versions, and ends others that haven't been the newest for days: of a right clock, not of one that jumped."""
    url = tmp_path / "store"
    dataset = arraystore.open_store(url, role="analysis", create=True).derived.create(KEY, arraystore.schema_by_name("trades"))
    for number in range(14):
        dataset.append(rows(1, first=number))
    pin = dataset.at(3).pin()
    with_clock(url, jumps[0], 14, 15)
    with_clock(url, 0, 16)
    with_clock(url, jumps[1], 17, 18)
    with_clock(url, 0, 19)
    found = arraystore.open_store(url, role="operations").derived[KEY]
    assert found.read()["size"].tolist() == list(range(20))
    versions = found.versions()
    assert [version.number for version in versions] == list(range(1, found.version + 1))
    for version in versions:
        assert np.array_equal(found.at(version.number).read()["size"], np.arange(found.at(version.number).rows))
    assert arraystore.open_store(url, role="analysis").read(pin).row_count == 2
    assert found.verify(deep=True) == []
