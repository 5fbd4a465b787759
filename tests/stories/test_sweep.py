"""A sweep: many workers, killed at random and replaced; every run is finished once, whole, and one table tells all."""

import contextlib
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import arraystore
from arraystore.testing import generate
from tests.stories.conftest import program
from tests.stories.sweep import DAY, DAYS, ROWS, START, TRADES

EACH = 200


@contextlib.contextmanager
def workers(count: int, *work: object) -> Iterator[list[subprocess.Popen[str]]]:
    """As many workers at once; whatever is left of them is ended at the end."""
    started = [program("tests.stories.sweep", work[0], seed, *work[1:]) for seed in range(count)]
    try:
        yield started
    finally:
        for process in started:
            process.kill()
            process.communicate()


def at_work(surface: arraystore.ExperimentsSurface) -> dict[int, str]:
    """The runs that are under way, by the process that is at them."""
    try:
        table = surface["sweep"].runs(state="running")
    except arraystore.NotFound:
        return {}
    return {surface["sweep", row.run].attributes["owner"]["process"]: row.run for row in table}


def kill_some(surface: arraystore.ExperimentsSurface, running: list[subprocess.Popen[str]], kills: int, *work: object) -> int:
    """Kill workers in the middle of a run, one after the other, each replaced; how many runs were told to be dead at once."""
    chance, found_dead, killed = random.Random(7), 0, 0
    while killed < kills or not found_dead:
        time.sleep(chance.uniform(0, 0.05))
        places = {process.pid: place for place, process in enumerate(running)}
        met = [(places[process], run) for process, run in at_work(surface).items() if process in places]
        if met:
            place, run = chance.choice(met)
            running[place].kill()
            running[place].communicate()
            found_dead += surface.state_of(("sweep", run)) == "abandoned"
            running[place] = program("tests.stories.sweep", work[0], 1_000 + killed, *work[1:])
            killed += 1
        assert killed or any(process.poll() is None for process in running), "they ended before any was killed"
    return found_dead


@pytest.mark.parametrize(
    ("count", "runs", "kills", "seconds"),
    [
        pytest.param(2, 6, 1, 0.3, id="small"),
        pytest.param(16, 500, 40, 0.2, id="full", marks=[pytest.mark.slow, pytest.mark.timeout(1200)]),
    ],
)
def test_a_sweep_whose_workers_are_killed_finishes_every_run_once(root: Path, count: int, runs: int, kills: int, seconds: float) -> None:
    quality = arraystore.open_store(root, role="data-quality")
    trades = quality.canonical.create(TRADES, arraystore.schema_by_name("trades"))
    for day in range(DAYS):
        trades.append(generate("trades", EACH, seed=day, start=START + day * DAY), completeness="complete")

    # Workers share nothing but the store. Whatever they die of, another takes their run over.
    surface = arraystore.open_store(root, role="analysis").experiments
    with workers(count, root, runs, seconds) as running:
        assert kill_some(surface, running, kills, root, runs, seconds) > 0
        for process in running:
            process.communicate(timeout=900)
            assert process.returncode == 0

    # One table tells every run: finished, once, with its parameters and metrics.
    began = time.perf_counter()
    table = arraystore.open_store(root, role="analysis").experiments["sweep"].runs()
    print(f"\ntable of {len(table)} runs, cold: {time.perf_counter() - began:.3f} s")  # noqa: T201 - measured, not asserted
    assert table.states() == {"finished": runs}
    assert [row.run for row in table] == [f"r{number:04}" for number in range(runs)]
    assert sum(row.attempt - 1 for row in table) > 0, "a kill met a run"
    for number, row in enumerate(table):
        assert row.metrics == {"rows": EACH * (1 + number % DAYS), "number": number}
    for name in ("pandas", "polars"):
        whole = getattr(table, f"to_{name}")()
        assert whole["metrics.number"].to_list() == list(range(runs))
    grid = table.to_xarray(["depth", "width"], ["number"])
    assert grid["number"].values.ravel().tolist() == list(range(runs))

    # Every run is whole: both parts of its equity, its report, its inputs; no attempt but the last ever ended.
    for number, row in enumerate(table):
        dataset = surface["sweep", row.run]
        assert dataset.sealed
        assert dataset.windows() == ("equity", "metrics")
        times = dataset.read(window="equity")["time"]
        assert np.array_equal(times, (START + np.timedelta64(1, "s") * np.arange(2 * ROWS)).astype("datetime64[ns]"))
        assert dataset.artifacts()["report.txt"].read() == f"run {number}".encode()
        (pin,) = dataset.versions()[-1].inputs
        assert (pin.key, days_of(pin)) == (TRADES, 1 + number % DAYS)
        operations = [version.operation for version in dataset.versions()]
        assert (operations.count("seal"), operations.count("create")) == (1, row.attempt)


def days_of(pin: arraystore.Pin) -> int:
    """How many days a pin names."""
    assert pin.start is not None
    assert pin.end is not None
    return (pin.end - pin.start) // (86_400 * 10**9)
