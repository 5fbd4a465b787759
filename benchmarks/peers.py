"""`peers`: the same small appends with SQLite, ArcticDB, Icechunk, zarr and Parquet, and what each loses at a power cut."""

import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.append import SMALL_COLUMNS, SMALL_ROWS, Sqlite, files_below, some_rows
from benchmarks.contestants import CONTESTANTS, opened
from benchmarks.powercut import loss_of
from benchmarks.timing import by_turns

CUTS = 5
COLUMNS = {
    "median ms": lambda each: f"{each.milliseconds:.3f}",
    "ratio": lambda each: f"{each.ratio:.2f}",
    "files": lambda each: f"{each.files:,}",
    "bytes each": lambda each: f"{each.bytes:,.0f}",
    "lost at power cuts, of those acknowledged": lambda each: each.lost,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Median milliseconds of an append, what it leaves on disk, and what of it a cut takes."""

    data: str
    contestant: str
    milliseconds: float
    reference: float
    files: int
    bytes: float
    lost: str = "not measured"

    @property
    def ratio(self) -> float:
        """How many times as long as ours."""
        return self.milliseconds / self.reference


def run(*, small: bool, power_cut: bool = False) -> list[Peer]:
    """Every contestant that is installed, by turns; rows are counted before times are told."""
    rounds = 3 if small else 300
    batches = [some_rows(SMALL_ROWS, SMALL_COLUMNS, number) for number in range(rounds)]
    with tempfile.TemporaryDirectory() as folder:
        there = {name: contestant for name in CONTESTANTS if (contestant := opened(name, Path(folder) / name)) is not None}
        taken = by_turns({name: partial(_append, contestant, batches) for name, contestant in there.items()}, rounds)
        for name, contestant in there.items():
            assert len(contestant.times()) == rounds * SMALL_ROWS, name
            if isinstance(contestant, Sqlite):
                contestant.close()
        sizes = {name: [path.stat() for path in files_below(Path(folder) / name)] for name in there}
    lost = {name: _told(name, 1 if small else CUTS) for name in there} if power_cut else {}
    label = f"{rounds} × {SMALL_ROWS} rows × {SMALL_COLUMNS}"
    return [
        Peer(
            data=label,
            contestant=name,
            milliseconds=median,
            reference=taken["arraystore"],
            files=len(sizes[name]),
            bytes=sum(status.st_blocks * 512 for status in sizes[name]) / rounds,
            lost=lost.get(name, "not measured"),
        )
        for name, median in taken.items()
    ]


def _append(contestant: object, batches: list[object], number: int) -> object:
    return contestant.append(batches[number])  # type: ignore[attr-defined]


def _told(name: str, cuts: int) -> str:
    losses = [loss_of(name, cut) for cut in range(cuts)]
    acknowledged, lost = sum(loss.acknowledged for loss in losses), sum(loss.lost for loss in losses)
    unreadable = sum(bool(loss.problem) for loss in losses)
    return f"{lost} of {acknowledged}" + (f"; unreadable after {unreadable} of {cuts} cuts" if unreadable else "")
