"""`size`: what a data set takes on disk, metadata and all, beside the decoded arrays and peers. Isolates layout and codecs."""

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import arraystore
from arraystore.demo.captures import inspect_captures
from arraystore.demo.recording import record
from benchmarks import synthetic
from benchmarks.data import captures, xauusd
from benchmarks.frame import Goal, Setting, all_ways, enter
from benchmarks.tables.base import Data, Way, tree_bytes
from benchmarks.tables.ours import Dataset, write

COLUMNS = {
    "rows": lambda size: f"{size.rows:,}",
    "bytes": lambda size: f"{size.bytes:,}",
    "times smaller": lambda size: f"{size.ratio:.2f}",
    "goals": lambda size: "\n".join(map(str, size.goals)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Bytes of one data set, held by one contestant."""

    data: str
    contestant: str
    rows: int
    bytes: int
    decoded: int
    goals: tuple[Goal, ...] = field(default=())

    @property
    def ratio(self) -> float:
        """How many times smaller than the decoded arrays (of a capture: than its text)."""
        return self.decoded / self.bytes


def run(*, small: bool = False, setting: Setting | None = None) -> list[Size]:
    """Every contestant on every data set; values are compared before sizes are told."""
    with tempfile.TemporaryDirectory() as folder:
        setting = setting or Setting(small=small, cache=Path(folder))
        sizes = recorded(setting, Path(folder))
        for data in _made(setting):
            sizes += _table(data, setting)
    return sizes


def recorded(setting: Setting, folder: Path) -> list[Size]:
    """XAUUSD quotes, and captures."""
    sizes = _table(gold(small=setting.small), setting)
    for capture in captures()[: 1 if setting.small else None]:
        sizes += _capture(capture, folder)
    return sizes


def gold(*, small: bool) -> Data:
    """The recorded XAUUSD quotes: a time and two prices."""
    recorded = xauusd(1 if small else None)
    return Data(name=recorded.name, columns={"time": recorded.time, "bid_price": recorded.bid, "ask_price": recorded.ask})


def _made(setting: Setting) -> Iterable[Data]:
    yield synthetic.trades(setting.count(10_000_000, 20_000))
    yield synthetic.quotes(setting.count(10_000_000, 20_000))
    yield synthetic.books(setting.wide(1_000_000, 2_000))


def _write_portable(place: Path, data: Data) -> None:
    write(place, data, profile="portable")


def _table(data: Data, setting: Setting) -> list[Size]:
    portable = Way(
        name="arraystore portable", kept="arraystore-portable", write=_write_portable, open=Dataset, group="ours", two_dimensional=True
    )
    forms: dict[str, Way] = {}
    for way in [portable, *all_ways()]:
        forms.setdefault(way.kept, way)
    told = {"arraystore": "arraystore dense", "parquet-zstd": "Parquet zstd", "numpy": "decoded arrays"}
    sizes = []
    for each in enter(data, setting, list(forms.values())):
        name = told.get(each.way.kept, each.way.name)
        total = data.decoded if each.way.kept == "numpy" else each.bytes
        sizes.append(Size(data=data.name, contestant=name, rows=data.rows, bytes=total, decoded=data.decoded))
    return [
        replace(each, goals=tuple(_goals(each, sizes))) if each.contestant == "arraystore dense" else each
        for each in sorted(sizes, key=lambda each: each.bytes)
    ]


def _goals(mine: Size, sizes: list[Size]) -> Iterable[Goal]:
    others = [each for each in sizes if not each.contestant.startswith("arraystore")]
    smallest = min(others, key=lambda each: each.bytes)
    yield Goal(what="times smaller than the smallest other", wanted=1, found=smallest.bytes / mine.bytes, beside=smallest.contestant)
    for zstd in (each for each in others if each.contestant == "Parquet zstd" and mine.data == "XAUUSD"):
        yield Goal(what="times smaller than", wanted=2, found=zstd.bytes / mine.bytes, beside="Parquet zstd")


def measure_capture(path: Path) -> list[Size]:
    """A capture recorded as the demo records it, beside its gzip original."""
    with tempfile.TemporaryDirectory() as folder:
        return _capture(path, Path(folder))


def _capture(path: Path, folder: Path) -> list[Size]:
    root = folder / path.stem
    store = arraystore.open_store(root, role="data-recording", create=True)
    (recorded,) = record(store, inspect_captures([path]), recorder="benchmark")  # the demo's recorder: the same appends as the main job
    frame = store.raw[recorded.key].read(columns=["payload"])
    text = frame.rows.arrays["payload"].nbytes + 21 * frame.row_count  # a line: 19 digits, a space, the payload, a line feed
    sizes = {"gzip, as captured": path.stat().st_size, "arraystore dense": tree_bytes(root / "raw")}
    return [Size(data=path.stem, contestant=name, rows=frame.row_count, bytes=size, decoded=text) for name, size in sizes.items()]
