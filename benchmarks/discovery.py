"""`discovery`: what there is, what changed, what was made of what, among datasets that were all written just now. Isolates looking."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import arraystore

DATASETS, RUNS, CHANGED = 20_000, 10_000, 10
SMALL = (60, 20, 3)
ROUNDS = 7
DAY = 86_400 * 10**9
START = arraystore.parse_time("2024-08-08")
FEEDS = ("trades", "quotes")
COLUMNS = {
    "found": lambda each: f"{each.found:,}",
    "seconds, new process": lambda each: f"{each.first:.3f}",
    "seconds, again": lambda each: f"{each.again:.3f}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Looking:
    """Seconds that one question takes: asked first in a new process, and again (median); loading the library isn't in it."""

    data: str
    contestant: str
    found: int
    first: float
    again: float

    @property
    def ratio(self) -> float:
        """How many times as long the first time takes."""
        return self.first / self.again


def run(*, small: bool) -> list[Looking]:
    """Build a class of datasets and an experiment of runs through the public interface, then ask."""
    datasets, runs, changed = SMALL if small else (DATASETS, RUNS, CHANGED)
    with tempfile.TemporaryDirectory() as place:
        cursor = build(Path(place), datasets, runs, changed)
        return _ask_here(Path(place), cursor) if small else ask(Path(place), cursor, datasets, runs)


def build(root: Path, datasets: int, runs: int, changed: int) -> str:
    """Two commits a dataset, three pinned days a run, then one more commit for some datasets; the cursor is of before these."""
    quality = arraystore.open_store(root, role="data-quality", create=True)
    for number in range(datasets):
        day = START + number % 20 * DAY
        dataset = quality.canonical.create(_key(number), arraystore.schema_by_name(FEEDS[number % 2]))
        dataset.append(_rows(number, day), coverage=(day, day + DAY), completeness="complete" if number % 50 == 0 else None)
    build_runs(root, min(20, datasets), runs)
    cursor = quality.canonical.changes().cursor
    for number in range(changed):
        quality.canonical[_key(number)].update(attributes={"note": "seen"})
    return cursor


def build_runs(root: Path, datasets: int, runs: int) -> None:
    """Each run reads a day of three datasets, the first of them always."""
    store = arraystore.open_store(root, role="backtesting")
    read = [store.canonical[_key(number)] for number in range(datasets)]
    for number in range(runs):
        with store.experiments.run("grid", f"r{number:05d}") as run:
            for place in (0, 1 + number % 7, 8 + number % 11):
                day = START + (number + place) % 20 * DAY
                run.uses(read[place % datasets].pin(day, day + DAY))


def _key(number: int) -> tuple[str, ...]:
    return (f"venue-{number % 5}", FEEDS[number % 2], f"X{number:05d}")


def _rows(number: int, day: int) -> dict[str, Any]:
    prices = {"price": [1.0, 2.0], "size": [1.0, 1.0], "side": [1, -1]}
    quotes = {"bid_price": [1.0, 2.0], "ask_price": [2.0, 3.0]}
    return {"time": [day, day + 10**9], **(quotes if number % 2 else prices), "flags": [0, 0]}


def questions(root: Path, cursor: str) -> dict[str, Callable[[], Sized]]:
    """What is asked, by name; each opens nothing anew."""
    store = arraystore.open_store(root, role="analysis")
    canonical, first = store.canonical, arraystore.open_store(root, role="data-quality")
    return {
        "os.scandir of the folders, names only": lambda: _walk(root / "canonical", 3),
        "find, all": canonical.find,
        "find, names": lambda: canonical.find("venue-1/*/X*6"),
        "find, venue": lambda: canonical.find(venue="venue-1"),
        "find, schema": lambda: canonical.find(schema="quotes"),
        "find, span": lambda: canonical.find(start="2024-08-10", end="2024-08-11"),
        "find, complete": lambda: canonical.find(complete=True),
        "changes since": lambda: canonical.changes(cursor),
        "changes since, reconciled": lambda: canonical.changes(cursor, reconcile=True),
        "dependents of a day": lambda: first.dependents(first.canonical[_key(0)], "2024-08-08"),
        "dependents of all days": lambda: first.dependents(first.canonical[_key(0)]),
    }


def _walk(folder: Path, depth: int) -> list[str]:
    with os.scandir(folder) as entries:
        names = [entry.path for entry in entries if entry.is_dir()]
    return names if depth == 1 else [name for each in names for name in _walk(Path(each), depth - 1)]


def ask(root: Path, cursor: str, datasets: int, runs: int) -> list[Looking]:
    """Every question in a process of its own, from a cold page cache where this user may drop it."""
    (root / "cursor").write_text(cursor)
    dropped = _drop_cache()
    data = f"{datasets:,} datasets, {runs:,} runs{'' if dropped else ', page cache warm'}"
    measured = []
    for name in questions(root, cursor):
        _drop_cache()
        command = [sys.executable, "-m", "benchmarks.discovery", str(root), name]
        told = subprocess.run(command, check=True, capture_output=True, cwd=Path(__file__).parents[1])
        measured.append(Looking(data=data, contestant=name, **json.loads(told.stdout)))
    return measured


def _ask_here(root: Path, cursor: str) -> list[Looking]:
    """Every question in this process; the figures mean nothing."""
    return [Looking(data="small", contestant=name, **_answered(question)) for name, question in questions(root, cursor).items()]


def _drop_cache() -> bool:
    os.sync()
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3")
    except OSError:
        return False
    return True


def _timed(question: Callable[[], Sized]) -> tuple[float, int]:
    start = time.perf_counter()
    found = len(question())
    return time.perf_counter() - start, found


def _answered(question: Callable[[], Sized]) -> dict[str, Any]:
    first, found = _timed(question)
    again = [_timed(question) for _ in range(ROUNDS)]
    assert {count for _, count in again} == {found}
    return {"found": found, "first": first, "again": statistics.median(seconds for seconds, _ in again)}


if __name__ == "__main__":
    place = Path(sys.argv[1])
    print(json.dumps(_answered(questions(place, (place / "cursor").read_text())[sys.argv[2]])))
