"""`write`: a day of trades from memory to disk; ours returns when it is durable, the peers' don't sync. Isolates encoding and syncs."""

import itertools
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from arraystore.datasets.parts import load_parts
from arraystore.segments.reader import open_sources
from benchmarks import frame, synthetic
from benchmarks.frame import Figure, Goal, Setting, ahead, all_ways, judged, of, scratch, take_turns
from benchmarks.limit import WriteLimit
from benchmarks.tables.base import EVERYTHING, Data, check, tree_bytes
from benchmarks.tables.ours import Dataset, new_dataset, segments

COLUMNS = frame.COLUMNS
DURABLE = ("arraystore",)


def run(*, small: bool = False, setting: Setting | None = None) -> list[Figure]:
    """Every form that a way keeps, once; each written anew every round, and read back and compared the first time."""
    setting = setting or Setting(small=small)
    data = synthetic.trades(setting.count(10_000_000, 100_000))
    with scratch(setting) as folder:
        return _written(data, setting, Path(folder))


def _written(data: Data, setting: Setting, folder: Path) -> list[Figure]:
    forms = {}
    for way in all_ways():
        if setting.wants(way):
            forms.setdefault(way.kept, way)
    groups, sizes = {}, {}
    for way in forms.values():
        place = folder / "first" / way.kept
        place.parent.mkdir(exist_ok=True)
        way.write(place, data)
        table = way.open(place)
        check(way.name, table.arrays(table.read(EVERYTHING)), data.columns)
        groups[_told(way.kept)], sizes[_told(way.kept)] = way.group, tree_bytes(place)
        if way.group != "ours":
            shutil.rmtree(place)
    limit = _limit(folder, data)
    numbers = itertools.count()

    def writer(kept: str) -> Callable[[], object]:
        if kept == "arraystore":
            return lambda: empty.append(data.columns, completeness="complete")
        return lambda: forms[kept].write(folder / f"{next(numbers)}" / kept, data)

    def tidy() -> None:
        """Remove what was written, and have an empty dataset ready."""
        nonlocal empty
        for place in folder.iterdir():
            if place.name not in ("first", "limit"):
                shutil.rmtree(place)
        limit.forget()
        empty = new_dataset(folder / f"{next(numbers)}", data)

    empty = new_dataset(folder / f"{next(numbers)}", data)
    calls = {_told(kept): writer(kept) for kept in forms}
    beside = {"limit: encode, write, sync": limit.write, "encode alone": limit.encode}
    groups |= {"limit: encode, write, sync": "limit", "encode alone": "encode"}
    taken = take_turns(calls | beside, setting.turns(5), after=tidy, least=2)
    figures = [samples.figure(data, name, groups[name], bytes=sizes.get(name)) for name, samples in taken.items()]
    return judged(figures, _goals)


def _told(kept: str) -> str:
    return kept if kept in DURABLE else f"{kept} (not synced)"


def _limit(folder: Path, data: Data) -> WriteLimit:
    """The same chunks, and files of the same sizes as ours."""
    place = folder / "first" / "arraystore"
    dataset = Dataset(place).dataset
    elements = {}
    state = dataset.state
    parts = load_parts(dataset._log, state, *(state.window(name) for name in state.window_names()))
    for source in open_sources(dataset._place.storage, parts):
        assert source.index is not None
        elements |= {name: table.entry.chunk for name, table in source.index.tables.items()}
    files = [path for segment in segments(place) for path in segment.rglob("*") if path.is_file()]
    return WriteLimit(folder / "limit", data.columns, elements, [path.stat().st_size for path in files])


def _goals(by_name: dict[str, Figure], figures: list[Figure]) -> Iterable[Goal]:
    mine = by_name["arraystore"]
    yield of(mine, by_name["limit: encode, write, sync"], 0.9, "of the limit")
    for kept in ("parquet-zstd", "vortex"):
        if (peer := by_name.get(_told(kept))) is not None:
            yield of(mine, peer, 1, f"times the speed of {peer.contestant}")
    yield from ahead(mine, figures, 0, "times the best peer, synced or not", "peer", "parquet")
