"""`large`: ten times the rows, each read in a new process. Isolates what grows with a dataset beside its result: time, and memory."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks import synthetic
from benchmarks.cold import load
from benchmarks.frame import Goal, Setting, all_ways, enter
from benchmarks.tables.base import EVERYTHING

MIB = 1 << 20
WAYS = ("arraystore", "Parquet tuned, PyArrow", "Parquet zstd, Polars", "Vortex", "ArcticDB, Arrow")
COLUMNS: dict[str, Callable[["Reading"], str]] = {
    "rows": lambda each: f"{each.rows:,}",
    "median ms": lambda each: f"{each.milliseconds:,.0f}",
    "CPU ms": lambda each: f"{each.cpu:,.0f}",
    "ns a row": lambda each: f"{each.milliseconds * 1e6 / each.rows:.1f}",
    "MiB beyond the result": lambda each: f"{each.beyond / MIB:,.0f}",
    "goals": lambda each: "\n".join(map(str, each.goals)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One contestant's read of everything: medians over processes, and the most memory that one took beyond its result."""

    data: str
    contestant: str
    rows: int
    milliseconds: float
    cpu: float
    beyond: int
    reference: float = 0.0
    goals: tuple[Goal, ...] = field(default=())

    @property
    def ratio(self) -> float:
        """How many times as long a row takes as one of the smaller data set."""
        return (self.milliseconds / self.rows) / self.reference if self.reference else 1.0


def run(*, small: bool = False, setting: Setting | None = None) -> list[Reading]:
    """Five columns of quotes: 10 M rows in a day, 100 M in ten."""
    setting = setting or Setting(small=small)
    rows = setting.count(100_000_000, 20_000)
    readings: list[Reading] = []
    for count in (rows // 10, rows):
        data = synthetic.top_of_book(count, max(count, rows) // 10)
        ways = [way for way in all_ways() if way.name in WAYS]
        entrants = [(each.way, each.place) for each in enter(data, setting, ways)]
        name, decoded = data.name, data.decoded
        del data  # the processes need the memory
        for way, place in entrants:
            samples = [_read_in_new_process(way.name, place, decoded) for _ in range(setting.rounds or (1 if setting.small else 3))]
            wall, cpu, beyond = zip(*samples, strict=True)
            middle = sorted(wall)[len(wall) // 2], sorted(cpu)[len(cpu) // 2]
            readings.append(
                Reading(data=name, contestant=way.name, rows=count, milliseconds=middle[0], cpu=middle[1], beyond=int(max(beyond)))
            )
    return list(_judged(readings, rows))


def _judged(readings: list[Reading], rows: int) -> Iterable[Reading]:
    per_row = {each.contestant: each.milliseconds / each.rows for each in readings if each.rows < rows}
    for each in readings:
        goals: tuple[Goal, ...] = ()
        if each.contestant == "arraystore" and each.rows == rows:
            per_byte = 256 * MIB / max(each.beyond, 1)
            goals = (
                Goal(
                    what="1.05 × the time a row takes of a tenth of the rows, by ours",
                    wanted=1,
                    found=1.05 * per_row["arraystore"] * rows / each.milliseconds,
                ),
                Goal(what="256 MiB, by the memory beyond the result", wanted=1, found=per_byte),
            )
        yield replace(each, reference=per_row[each.contestant], goals=goals)


def _read_in_new_process(name: str, place: Path, decoded: int) -> tuple[float, float, float]:
    command = [sys.executable, "-m", "benchmarks.large", name, str(place), str(decoded)]
    told = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    wall, cpu, beyond = json.loads(told.stdout.splitlines()[-1])
    return wall, cpu, beyond


def answer(name: str, place: Path, decoded: int) -> None:
    """What the new process does: load its libraries, forget what that took, open and read everything."""
    load(name)
    (way,) = [way for way in all_ways() if way.name == name]
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = memory("VmRSS")
    begun, worked = time.perf_counter(), time.process_time()
    result = way.open(place).read(EVERYTHING)
    wall, cpu = time.perf_counter() - begun, time.process_time() - worked
    beyond = memory("VmHWM") - before - decoded
    del result
    print(json.dumps([wall * 1e3, cpu * 1e3, max(beyond, 0)]))


def memory(what: str) -> int:
    """A figure of this process's status, in bytes."""
    found = re.search(rf"{what}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


if __name__ == "__main__":
    answer(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
