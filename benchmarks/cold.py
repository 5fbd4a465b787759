"""`cold`: a scan right after the page cache was dropped, each in a new process. Isolates how many bytes a format has on disk."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from benchmarks import frame, synthetic
from benchmarks.frame import Entrant, Figure, Goal, Samples, Setting, ahead, all_ways, dropped_cache, enter, evict, judged
from benchmarks.tables.base import EVERYTHING, Data, tree_bytes

COLUMNS = {name: cell for name, cell in frame.COLUMNS.items() if name != "of the limit"}
# Other readers of files that are read already, slower or as fast when warm: a new process each takes its time.
SAME_BYTES = ("our bytes, Zarr default pipeline", "our bytes, Zarr fused pipeline", "ArcticDB, pandas", "xarray + Zarr, default")


def run(*, small: bool = False, setting: Setting | None = None) -> list[Figure]:
    """Trades, opened and read; libraries are loaded before the clock starts."""
    setting = setting or Setting(small=small)
    data = synthetic.trades(setting.count(10_000_000, 50_000))
    entrants = [each for each in enter(data, setting) if each.way.group not in frame.VARIANTS and each.way.name not in SAME_BYTES]
    return _cold(data, entrants, setting.rounds or (1 if setting.small else 5))


def _cold(data: Data, entrants: list[Entrant], rounds: int) -> list[Figure]:
    taken = {each.way.name: Samples([], []) for each in entrants}
    how = ""
    for number in range(rounds):
        for each in entrants[number % len(entrants) :] + entrants[: number % len(entrants)]:
            command = [sys.executable, "-m", "benchmarks.cold", each.way.name, str(each.place)]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stdout.readline() == "loaded\n", f"{each.way.name} couldn't be loaded in a new process"
            how = dropped_cache() or evict(each.place)
            told, _ = process.communicate("go\n")
            wall, cpu = json.loads(told)
            taken[each.way.name].wall.append(wall)
            taken[each.way.name].cpu.append(cpu)
    named = Data(name=f"{data.name}, {how}", columns=data.columns)
    by_name = {each.way.name: each for each in entrants}
    figures = [
        samples.figure(named, name, by_name[name].way.group, bytes=tree_bytes(by_name[name].place)) for name, samples in taken.items()
    ]
    return judged(figures, _goals)


def _goals(by_name: dict[str, Figure], figures: list[Figure]) -> Iterable[Goal]:
    yield from ahead(by_name["arraystore"], figures, 1, "times the best peer", "peer", "parquet", "zarr", "uncompressed")


def answer(name: str, place: Path) -> None:
    """What the new process does: load, wait until the cache is dropped, open and read."""
    (way,) = [way for way in all_ways() if way.name == name]
    load(way.name)
    print("loaded", flush=True)
    sys.stdin.readline()
    begun, worked = time.perf_counter(), time.process_time()
    result = way.open(place).read(EVERYTHING)
    wall, cpu = time.perf_counter() - begun, time.process_time() - worked
    del result
    print(json.dumps([wall * 1e3, cpu * 1e3]))


def load(name: str) -> None:
    """Have a way's libraries loaded, all of them: what is small is read through it, elsewhere."""
    with tempfile.TemporaryDirectory() as folder:
        data = synthetic.trades(2_000)
        (way,) = [way for way in all_ways() if way.name == name]
        way.write(Path(folder) / "warm", data)
        way.open(Path(folder) / "warm").read(EVERYTHING)


if __name__ == "__main__":
    answer(sys.argv[1], Path(sys.argv[2]))
