"""The frame of cases about tables: data are built once, values are compared before a figure is told, contestants take turns."""

import functools
import hashlib
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.tables import arrays, databases, hdf5, ours, parquet
from benchmarks.tables.base import EVERYTHING, Data, Opened, Query, Way, check, tree_bytes

BUILT = "built"
OURS = "arraystore"  # how the folders of what we wrote begin
VARIANTS = ("fresh", "given")  # other ways to call ours


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What a case must show, and what it did: a ratio that should be at least `wanted`, and that of CPU times where it has a meaning."""

    what: str
    wanted: float
    found: float
    beside: str = ""
    cpu: float | None = None

    @property
    def met(self) -> bool:
        """Whether it does."""
        return self.found >= self.wanted

    def __str__(self) -> str:
        beside = f" ({self.beside})" if self.beside else ""
        cpu = "" if self.cpu is None else f", by CPU time {self.cpu:.2f}"
        return f"{self.what} ≥ {self.wanted:g}: {self.found:.2f}{beside}{cpu}, {'met' if self.met else 'NOT MET'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What one contestant took for one data set: medians over rounds, quartiles beside them."""

    data: str
    contestant: str
    group: str
    milliseconds: float
    low: float
    high: float
    cpu: float
    rows: int
    decoded: int
    bytes: int | None = None
    p99: float | None = None
    first: float | None = None
    ours: float | None = None
    limit: float | None = None
    goals: tuple[Goal, ...] = field(default=())

    @property
    def ratio(self) -> float | None:
        """How many times as long as ours."""
        return None if self.ours is None else self.milliseconds / self.ours

    @property
    def of_limit(self) -> float | None:
        """The limit's time as a part of this one's."""
        return None if self.limit is None else self.limit / self.milliseconds


COLUMNS: dict[str, Callable[[Figure], str]] = {
    "median ms": lambda each: f"{each.milliseconds:,.2f}",
    "quartiles": lambda each: f"{each.low:,.2f} – {each.high:,.2f}",
    "CPU ms": lambda each: f"{each.cpu:,.1f}",
    "GB/s": lambda each: f"{each.decoded / each.milliseconds / 1e6:.2f}",
    "MB on disk": lambda each: "" if each.bytes is None else f"{each.bytes / 1e6:,.1f}",
    "× ours": lambda each: "" if each.ratio is None else f"{each.ratio:.2f}",
    "of the limit": lambda each: "" if each.of_limit is None else f"{each.of_limit:.0%}",
    "goals": lambda each: "\n".join(map(str, each.goals)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How much to measure, and where what is built lies; `only` names contestants, ours aside."""

    small: bool = False
    cache: Path | None = None
    rounds: int | None = None
    rows: int | None = None
    only: tuple[str, ...] = ()

    def count(self, full: int, small: int) -> int:
        """Rows to measure with."""
        return self.rows or (small if self.small else full)

    def wide(self, full: int, small: int) -> int:
        """Rows of tables that are ten times as wide."""
        return self.count(full * 10, small * 10) // 10

    def turns(self, full: int = 7) -> int:
        """Rounds."""
        return self.rounds or (2 if self.small else full)

    @property
    def folder(self) -> Path:
        """Where what is built is kept: below the user's cache unless told otherwise."""
        default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "arraystore-benchmarks"
        return self.cache or default

    def wants(self, way: Way) -> bool:
        """Whether a way takes part."""
        return not self.only or way.group in ("ours", *VARIANTS) or any(name.lower() in way.name.lower() for name in self.only)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrant:
    """A way, open, with the bytes it takes; it has given back what it was given."""

    way: Way
    table: Opened
    place: Path
    bytes: int


def all_ways() -> list[Way]:
    """Every way whose library is installed."""
    return [way for module in (ours, parquet, databases, arrays, hdf5) for way in module.ways()]


def build(way: Way, data: Data, folder: Path) -> Path:
    """The folder that holds a data set in a way's form; written now if it isn't there whole."""
    name = f"{way.kept}-{_written_how()}" if way.kept.startswith(OURS) else way.kept
    place = folder / _key(data) / name
    if not (mark := place.with_name(f"{name}.{BUILT}")).exists():
        shutil.rmtree(place, ignore_errors=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        way.write(place, data)
        os.sync()
        mark.touch()
    return place


def _key(data: Data) -> str:
    """A name that changes with the data."""
    told = hashlib.sha256()
    for name, values in data.columns.items():
        told.update(f"{name} {values.dtype} {values.shape}".encode())
        told.update(np.ascontiguousarray(values[:: max(1, len(values) // 1000)]).tobytes())
    return f"{data.name.split(',')[0].replace(' ', '-')}-{data.rows}-{told.hexdigest()[:12]}"


@functools.cache
def _written_how() -> str:
    """What changes with how we lay out and encode: what is built is built again then, and what others wrote isn't."""
    top = Path(__file__).parents[1]
    sources = [path for folder in ("layouts", "arraystore/segments") for path in sorted((top / folder).glob("*.py"))]
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]


def built_store(name: str, make: Callable[[Path], object], setting: Setting, *, ours: bool = True) -> Path:
    """The folder that a case makes for itself, once; its name says what is in it. Of `ours` another is made when we write otherwise."""
    place = setting.folder / (f"{name}-{_written_how()}" if ours else name)
    mark = place.with_name(f"{place.name}.{BUILT}")
    if not mark.exists():
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        make(place)
        os.sync()
        mark.touch()
    return place


def enter(data: Data, setting: Setting, ways: Iterable[Way] | None = None, queries: Sequence[Query] = (EVERYTHING,)) -> list[Entrant]:
    """Those that take part: built, opened, and found to answer these queries right, which warms the page cache, too.

    Raises `WrongValues` for one that doesn't.
    """
    entrants = []
    two_dimensional = any(values.ndim == 2 for values in data.columns.values())
    for way in all_ways() if ways is None else ways:
        if not setting.wants(way) or (two_dimensional and not way.two_dimensional):
            continue
        place = build(way, data, setting.folder)
        table = way.open(place)
        for query in queries:
            check(f"{way.name} of {data.name}", table.arrays(table.read(query)), query.of(data))
        entrants.append(Entrant(way=way, table=table, place=place, bytes=tree_bytes(place)))
    return entrants


@dataclass(frozen=True, slots=True)
class Samples:
    """Milliseconds of each call, by the clock and of the process's processors."""

    wall: list[float]
    cpu: list[float]

    def figure(self, data: Data, contestant: str, group: str, **more: Any) -> Figure:
        """Their medians and quartiles."""
        low, high = np.quantile(self.wall, (0.25, 0.75))
        shape = {"rows": data.rows, "decoded": data.decoded} | more
        return Figure(
            data=data.name,
            contestant=contestant,
            group=group,
            milliseconds=statistics.median(self.wall),
            low=float(low),
            high=float(high),
            cpu=statistics.median(self.cpu),
            **shape,
        )


def take_turns(
    calls: Mapping[str, Callable[[], object]],
    rounds: int,
    *,
    budget_seconds: float = 30.0,
    least: int = 3,
    after: Callable[[], object] = lambda: None,
    block: int = 1,
) -> dict[str, Samples]:
    """Time each call by turns in changing order; one that has used up its budget is left out after `least` rounds.

    What a call returns is dropped after the clock has stopped, and `after` tidies up. Each has `block` rounds in a row: after the first of
    them the processor's caches hold what it uses itself and not what the others left there, as where one program runs.
    """
    random = np.random.default_rng(5)
    names = list(calls)
    taken = {name: Samples([], []) for name in names}
    for begin in range(0, rounds, block):
        for place in random.permutation(len(names)):
            name = names[place]
            for number in range(begin, min(begin + block, rounds)):
                if number >= least and sum(taken[name].wall) > budget_seconds * 1e3:
                    break
                begun, worked = time.perf_counter(), time.process_time()
                result = calls[name]()
                taken[name].wall.append((time.perf_counter() - begun) * 1e3)
                taken[name].cpu.append((time.process_time() - worked) * 1e3)
                del result
                after()
    return taken


def judged(figures: list[Figure], goals: Callable[[dict[str, Figure], list[Figure]], Iterable[Goal]]) -> list[Figure]:
    """Figures of one data set with their ratios to ours and to the limit, and ours with its goals."""
    by_name = {each.contestant: each for each in figures}
    mine = by_name["arraystore"]
    limit = next((each.milliseconds for each in figures if each.group == "limit"), None)
    told = tuple(goals(by_name, figures))
    return [
        replace(each, ours=mine.milliseconds, limit=limit, goals=told if each is mine else ())
        for each in sorted(figures, key=lambda each: each.milliseconds)
    ]


def best(figures: Iterable[Figure], *groups: str) -> Figure | None:
    """The fastest of some groups."""
    return min((each for each in figures if each.group in groups), key=lambda each: each.milliseconds, default=None)


def ahead(mine: Figure, figures: Iterable[Figure], wanted: float, what: str, *groups: str) -> list[Goal]:
    """How many times as fast as the best of some groups; no goal where none takes part."""
    among = [each for each in figures if each.group in groups]
    found = best(among, *groups)
    if found is None:
        return []
    cpu = min(each.cpu for each in among) / mine.cpu if mine.cpu else None
    return [Goal(what=what, wanted=wanted, found=found.milliseconds / mine.milliseconds, beside=found.contestant, cpu=cpu)]


def of(mine: Figure, other: Figure, wanted: float, what: str) -> Goal:
    """Another's time as a part of ours."""
    cpu = other.cpu / mine.cpu if mine.cpu else None
    return Goal(what=what, wanted=wanted, found=other.milliseconds / mine.milliseconds, cpu=cpu)


def dropped_cache() -> str:
    """Drop the page cache, and say how; without the right to, "" (files are then evicted one by one: `evict`)."""
    os.sync()
    try:
        Path("/proc/sys/vm/drop_caches").write_text("1")
    except OSError:
        return ""
    return "page cache dropped"


def evict(place: Path) -> str:
    """Ask the system to forget the files below a folder."""
    for path in place.rglob("*"):
        if path.is_file():
            fd = os.open(path, os.O_RDONLY)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(fd)
    return "files evicted by posix_fadvise"


def scratch(setting: Setting) -> tempfile.TemporaryDirectory[str]:
    """A folder for what isn't kept, on the same disk as what is."""
    setting.folder.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(dir=setting.folder)
