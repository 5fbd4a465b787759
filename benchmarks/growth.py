"""`growth`: what an append, an open and the disk cost after many commits, or with many windows. Isolates what should stay as it was."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from unittest import mock

import numpy as np

import arraystore
from arraystore import Column, Kind, Schema
from benchmarks.append import files_below, new_dataset, some_rows
from benchmarks.timing import TIMING_COLUMNS, Timing, by_turns

COLUMNS = TIMING_COLUMNS
FEW = 100
HOUR = 3_600 * 10**9
KIBIBYTE_ROWS = 16  # of 8 columns of 8 bytes


def run(*, small: bool) -> list[Timing]:
    """Appends and opens of datasets that differ in size only, by turns; and the bytes that 10,000 appends of 1 KiB leave."""
    commits, windows, appends, rounds = (250, 150, 60, 3) if small else (100_000, 10_000, 10_000, 300)
    with tempfile.TemporaryDirectory() as place:
        return _commits(Path(place), commits, rounds) + _windows(Path(place), windows, rounds) + [_overhead(Path(place), appends)]


@contextmanager
def nothing_is_synced() -> Iterator[None]:
    """While a dataset is made that is to be measured later: what it is like doesn't depend on syncs."""
    with mock.patch("os.fsync"), mock.patch("os.fdatasync"):
        yield
    os.sync()


def _commits(place: Path, count: int, rounds: int) -> list[Timing]:
    """Two datasets of one window, with few commits and with many."""
    few, many = (new_dataset(place / name) for name in ("few", "many"))
    with nothing_is_synced():
        for dataset, commits in ((few, FEW), (many, count)):
            for number in range(commits):
                dataset.append(some_rows(1, 8, number))
    checkpoints = sum(path.stat().st_size for path in files_below(place / "many") if path.parent.name in {"_checkpoints", "_manifests"})
    batches = [some_rows(10, 8, count + number) for number in range(rounds)]
    contestants: dict[str, Callable[[int], object]] = {
        f"append at commit {FEW}": lambda number: few.append(batches[number]),
        f"append at commit {count:,}": lambda number: many.append(batches[number]),
    }
    appended = by_turns(contestants, rounds)
    opened = by_turns({f"open, {FEW} commits": _opener(place / "few"), f"open, {count:,} commits": _opener(place / "many")}, rounds)
    rows = _beside("one window", appended, "≤ 1") + _beside("one window", opened, "≤ 2 or 5 ms more")
    kept = Timing(
        data="one window",
        contestant=f"checkpoints of {count:,} commits, for each",
        milliseconds=0.0,
        reference=1.0,
        bytes=checkpoints / count,
        goal="≤ 2,048 bytes",
    )
    return [*rows, kept]


def _windows(place: Path, count: int, rounds: int) -> list[Timing]:
    """Datasets with few windows and with many, one commit each: as they are on average, between two checkpoints."""
    schema = Schema(name="hourly", order="arrival", window="hour", columns=(Column(name="time", kind=Kind.TIME), Column(name="value")))
    names = {}
    with nothing_is_synced():
        for windows in (FEW, count):
            folder = place / f"windows-{windows}"
            dataset = arraystore.open_store(folder, role="data-quality", create=True).canonical.create(("venue", "plain", "X"), schema)
            for number in range(windows):
                dataset.append({"time": np.array([number * HOUR]), "value": np.array([1.0])})
            names[f"open, {windows:,} windows"] = folder
    opened = by_turns({name: _opener(folder) for name, folder in names.items()}, min(rounds, 50))
    return _beside("a commit a window", opened, "≤ 2 or 5 ms more")


def _opener(place: Path) -> Callable[[int], object]:
    return lambda _: arraystore.open_store(place, role="analysis").canonical["venue", "plain", "X"].version


def _beside(data: str, taken: dict[str, float], goal: str) -> list[Timing]:
    reference = next(iter(taken.values()))
    last = len(taken) - 1
    return [
        Timing(data=data, contestant=name, milliseconds=each, reference=reference, goal=goal if place == last else "")
        for place, (name, each) in enumerate(taken.items())
    ]


def _overhead(place: Path, count: int) -> Timing:
    """What lies on disk beyond the rows themselves, partly used blocks and all."""
    dataset = new_dataset(place / "overhead")
    taken = []
    for number in range(count):
        data = some_rows(KIBIBYTE_ROWS, 8, number)
        taken.append(by_turns({"append": lambda _, data=data: dataset.append(data)}, 1)["append"])
    files = files_below(place / "overhead")
    rows = count * KIBIBYTE_ROWS * 8 * 8
    return Timing(
        data="1 KiB an append",
        contestant=f"beyond the rows, after {count:,} appends",
        milliseconds=median(taken),
        reference=median(taken),
        files=len(files) / count,
        bytes=(sum(path.stat().st_blocks * 512 for path in files) - rows) / count,
        goal="≤ 8,192 bytes",
    )
