"""A sweep by many processes, of which some are killed every now and then."""

import contextlib
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import arraystore
from tests.runs import sweep
from tests.runs.conftest import experiments
from tests.store.conftest import START, rows

REPOSITORY = Path(__file__).parents[2]


@contextlib.contextmanager
def workers(root: Path, count: int, runs: int, pause: float) -> Iterator[list[subprocess.Popen[bytes]]]:
    """As many workers at once; whatever is left of them is ended at the end."""
    started = [start(root, seed, runs, pause) for seed in range(count)]
    try:
        yield started
    finally:
        for process in started:
            process.kill()
            process.wait()


def start(root: Path, seed: int, runs: int, pause: float) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.runs.sweep", str(root), str(seed), str(runs), str(pause)]
    return subprocess.Popen(command, cwd=REPOSITORY)


def under_way(surface: arraystore.ExperimentsSurface) -> dict[int, tuple[str, ...]]:
    """The runs at work, by the process that is at them."""
    try:
        table = surface["sweep"].runs(state="running")
    except arraystore.NotFound:
        return {}
    return {surface["sweep", row.run].attributes["owner"]["process"]: ("sweep", row.run) for row in table}


def kill_some(root: Path, running: list[subprocess.Popen[bytes]], kills: int, runs: int, pause: float) -> int:
    """Kill workers in the middle of a run, one after another, each replaced; returns how many runs were told to be dead at once."""
    chance, surface, seen, killed = random.Random(7), experiments(root, "analysis"), 0, 0
    while killed < kills or not seen:
        time.sleep(chance.uniform(0, 0.05))
        places = {process.pid: place for place, process in enumerate(running)}
        met = [(places[owner], key) for owner, key in under_way(surface).items() if owner in places]
        if met:
            place, key = chance.choice(met)
            running[place].kill()
            running[place].wait()
            seen += surface.state_of(key) == "abandoned"
            running[place] = start(root, 1000 + killed, runs, pause)
            killed += 1
        assert killed or any(process.poll() is None for process in running), "they ended before any was killed"
    return seen


def check(root: Path, runs: int) -> None:
    """Every run finished, whole, and once."""
    surface = experiments(root, "analysis")
    table = surface["sweep"].runs()
    assert table.states() == {"finished": runs}
    assert [row.run for row in table] == [f"r{number:04}" for number in range(runs)]
    for number, row in enumerate(table):
        dataset = surface["sweep", row.run]
        assert row.metrics == {"rows": min(number + 1, 100), "number": number}
        assert dataset.windows() == ("equity", "metrics")
        assert dataset.read(window="equity").row_count == 2 * sweep.ROWS
        assert dataset.read(window="metrics").row_count == 2
        assert dataset.artifacts()["number.txt"].read() == str(number).encode()
        newest = dataset.versions()[-1]
        assert (newest.operation, dataset.sealed) == ("seal", True)
        assert [(pin.key, pin.start, pin.end) for pin in newest.inputs] == [(sweep.KEY, START, START + 10**9 * (number + 1))]
        operations = [version.operation for version in dataset.versions()]
        assert operations.count("seal") == 1, "no attempt but the last ever ended"
        assert operations.count("create") == row.attempt
    grid = table.to_xarray(["depth", "width"], ["number"])
    assert grid["number"].values.ravel().tolist() == list(range(runs))


def play(root: Path, *, count: int, runs: int, kills: int, pause: float) -> None:
    with workers(root, count, runs, pause) as running:
        assert kill_some(root, running, kills, runs, pause) > 0
        for process in running:
            assert process.wait(600) == 0
    check(root, runs)
    assert sum(row.attempt - 1 for row in experiments(root)["sweep"].runs()) > 0, "a kill met a run"


def test_a_sweep_whose_workers_are_killed_finishes_every_run_once(trades: arraystore.Dataset, root: Path) -> None:
    trades.append(rows(100))
    play(root, count=3, runs=30, kills=3, pause=0.1)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_sweep_of_500_runs_by_16_workers(trades: arraystore.Dataset, root: Path) -> None:
    trades.append(rows(100))
    play(root, count=16, runs=500, kills=40, pause=0.2)
