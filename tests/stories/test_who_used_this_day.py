"""A day of data turns out to be bad: which experiments used it?"""

import shutil
from pathlib import Path
from random import Random

import numpy as np
import pytest

import arraystore
from arraystore.testing import generate

TRADES = ("venue", "trades", "BTCUSDT")
BAD = "2024-08-12"


def days(store: arraystore.Store, count: int) -> list[str]:
    """Trades of so many days, each complete."""
    trades = store.canonical.create(TRADES, arraystore.schema_by_name("trades"))
    names = [str(np.datetime64("2024-08-08") + np.timedelta64(day, "D")) for day in range(count)]
    for seed, name in enumerate(names):
        trades.append(generate("trades", 500, seed=seed, start=name), completeness="complete", coverage=(name, np.datetime64(name) + DAY))
    return names


DAY = np.timedelta64(1, "D")


@pytest.mark.parametrize(
    ("runs", "each"),
    [
        pytest.param(12, 2, id="few"),
        pytest.param(2_000, 3, id="many", marks=[pytest.mark.slow, pytest.mark.timeout(1200)]),
    ],
)
def test_the_experiments_that_used_a_day_are_named(root: Path, runs: int, each: int) -> None:
    quality = arraystore.open_store(root, role="data-quality")
    names = days(quality, 10)

    # Backtests read days as they like, in one go or several; the run remembers which, nobody has to.
    backtesting = arraystore.open_store(root, role="backtesting")
    trades, draw, used = backtesting.canonical[TRADES], Random(11), {}
    for number in range(runs):
        chosen = sorted(draw.sample(range(len(names)), each))
        with backtesting.experiments.run("sweep", f"r{number:04}", params={"number": number}) as run:
            if number % 2:  # everything from the first of them to the last
                chosen = list(range(chosen[0], chosen[-1] + 1))
                run.read(trades, names[chosen[0]], np.datetime64(names[chosen[-1]]) + DAY, columns=["price"])
            else:
                for day in chosen:
                    run.read(trades, names[day], np.datetime64(names[day]) + DAY)
            run.log(days=len(chosen))
        used[run.key] = [names[day] for day in chosen]

    # Data quality may not read experiments, and finds out all the same whom to tell.
    wanted = {key for key, read in used.items() if BAD in read}
    assert 0 < len(wanted) < runs
    found = quality.dependents(quality.canonical[TRADES], window=BAD)
    assert {(each.storage_class, each.key) for each in found} == {("experiments", key) for key in wanted}
    with pytest.raises(arraystore.AccessDenied):
        quality.experiments["sweep"].runs()

    # The day is withdrawn; the same runs are now stale, and no other.
    dataset = quality.canonical[TRADES]
    dataset.withdraw(BAD, reason="the venue's clock was an hour off")
    assert {stale.dependent.key for stale in quality.impact(dataset)} == wanted
    assert {stale.window for stale in quality.impact(dataset)} == {BAD}

    # What they had read can be read as ever, and who asks a run finds its pins.
    key = min(wanted)
    inputs = backtesting.experiments[key].versions()[-1].inputs
    assert sum(backtesting.read(pin).row_count for pin in inputs) == 500 * len(used[key])

    # The answer comes from an index, which is lost without harm.
    shutil.rmtree(root / "lineage")
    assert quality.dependents(dataset) == []
    operations = arraystore.open_store(root, role="operations")
    assert operations.rebuild_lineage() == runs
    assert quality.dependents(dataset, window=BAD) == found
