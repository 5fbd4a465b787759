"""A numbered sequence of all that is done to a dataset, whose outcome after any number of deeds can be told without a store.

A writer does one after the other and tells of each that was acknowledged; whoever stops it in between knows what must be there, bit for
bit: the outcome of all acknowledged deeds, or of one more.
"""

import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from numpy.random import default_rng  # loaded before any call is made to fail

import arraystore
from arraystore.storage import spares
from arraystore.versions import checkpoint
from tests.store.conftest import DAY, START, rows

ROWS_APART = 10_000
"""Rows of one deed have other numbers than those of any other."""

WEIGHTS = {"small": 40, "large": 15, "spread": 10, "replace": 8, "file": 8, "complete": 5, "compact": 8, "collect": 6, "pack": 8}
DAYS = ("2024-08-08", "2024-08-09")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """One call of the public interface."""

    number: int
    kind: str
    counts: tuple[int, ...] = ()
    day: int = 0
    size: int = 0

    @property
    def pieces(self) -> list[tuple[int, int, int]]:
        """Day, first number and count of the rows it brings."""
        if not self.counts:
            return []
        days = range(len(DAYS)) if self.kind == "spread" else [self.day]
        return [(day, self.number * ROWS_APART, count) for day, count in zip(days, self.counts, strict=True)]

    @property
    def data(self) -> dict[str, Any]:
        parts = [rows(count, START + day * DAY, 1000, first) for day, first, count in self.pieces]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    @property
    def bytes(self) -> bytes:
        return default_rng(self.number).bytes(self.size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a reader finds: rows by day, and files; no dataset before the first deed."""

    exists: bool = False
    days: Mapping[int, tuple[tuple[int, int, int], ...]] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)

    def after(self, deed: Deed) -> "Outcome":
        if deed.kind == "create":
            return replace(self, exists=True)
        if deed.kind == "file":
            return replace(self, files={**self.files, file_name(deed): hashlib.sha256(deed.bytes).hexdigest()})
        days = dict(self.days)
        for day, first, count in deed.pieces:
            before = () if deed.kind == "replace" else days.get(day, ())
            days[day] = (*before, (day, first, count))
        return replace(self, days=days)

    def told(self) -> Any:
        """As `look` tells it."""
        if not self.exists:
            return None
        days = {}
        for day, pieces in self.days.items():
            parts = [rows(count, START + day * DAY, 1000, first) for _, first, count in pieces]
            days[DAYS[day]] = _digest({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
        return days, dict(self.files)


def file_name(deed: Deed) -> str:
    return f"file-{deed.number % 3}"


def deed(seed: int, number: int, kinds: Mapping[str, int] = WEIGHTS) -> Deed:
    """The deed of that number; number 0 makes the dataset, and the next two give each day some rows."""
    random = default_rng((seed, number))
    if number == 0:
        return Deed(number=0, kind="create")
    kind = "spread" if number == 1 else str(random.choice(list(kinds), p=np.array(list(kinds.values())) / sum(kinds.values())))
    small = tuple(int(count) for count in random.integers(1, 40, 2))
    large = tuple(int(count) for count in random.integers(5_000, 8_000, 2))
    counts = {"small": small[:1], "large": large[:1], "replace": (large if random.random() < 0.5 else small)[:1]}
    counts["spread"] = (small[0], large[0])
    size = int(random.choice([10, 100_000, 3_000_000]))
    return Deed(number=number, kind=kind, counts=counts.get(kind, ()), day=int(random.integers(0, 2)), size=size)


def outcome(seed: int, count: int) -> Outcome:
    """What is there after the first `count` deeds."""
    found = Outcome()
    for number in range(count):
        found = found.after(deed(seed, number))
    return found


class Doer:
    """Who does them, with handles of one store."""

    def __init__(self, url: str, key: tuple[str, str, str]) -> None:
        self._key = key
        whole = Path(url, "execution-records", "zarr.json").exists()  # which init writes last
        self._writing = arraystore.open_store(url, role="data-quality", create=not whole)
        self._maintaining = arraystore.open_store(url, role="operations")
        self._dataset: arraystore.Dataset | None = None

    @property
    def dataset(self) -> arraystore.Dataset:
        if self._dataset is None:
            self._dataset = self._writing.canonical[self._key]
        return self._dataset

    def do(self, deed: Deed) -> None:
        acts: Mapping[str, Callable[[Deed], object]] = {
            "create": lambda _: self._writing.canonical.create(self._key, arraystore.schema_by_name("trades"), exist_ok=True),
            "replace": lambda deed: self.dataset.refresh().replace(DAYS[deed.day], deed.data, reason="r"),
            "file": lambda deed: self.dataset.add_file(deed.bytes, file_name(deed)),
            "complete": lambda deed: self.dataset.update(window=DAYS[deed.day], completeness="complete"),
            "compact": lambda _: self._maintaining.canonical[self._key].compact(),
            "collect": lambda _: self._collect(),
            "pack": lambda _: self._maintaining.pack(self._address, dry_run=False, least=2),
            "checkpoint": self._checkpoint,
        }
        acts.get(deed.kind, lambda deed: self.dataset.append(deed.data, reopen=True))(deed)

    @property
    def _address(self) -> str:
        return "canonical/" + "/".join(self._key)

    def _collect(self) -> None:
        self._maintaining.expire(self._address, keep_versions=1, delay="0s", dry_run=False)
        self._maintaining.gc(self._address, grace="0s", dry_run=False)

    def _checkpoint(self, deed: Deed) -> None:
        """Rows, and after them a checkpoint, however little there is to be spared by it."""
        with mock.patch("arraystore.versions.checkpoint.is_due", return_value=True):
            self.dataset.append(deed.data, reopen=True)


def checkpoint_often() -> None:
    """From now on this process writes a checkpoint every few commits, so that there is always something to pack."""
    checkpoint.MINIMUM_LOG_BYTES = 4096


def spend_spares() -> None:
    """From now on this process writes small commits into files that lie ready, as who appends all the time does."""
    spares.BUSY, spares.BATCH = 0, 3


def work(url: str, key: tuple[str, str, str], seed: int, acks: Any, *, first: int = 0) -> None:
    """Do one after the other from number `first` on, and tell of each that was acknowledged, until the medium fails."""
    spend_spares()
    checkpoint_often()
    doer = Doer(url, key)
    acks.send("ready")
    with suppress(arraystore.ArrayStoreError):  # the medium is gone: whoever took it away looks at what is left
        for number in range(first, first + 100_000):
            doer.do(deed(seed, number))
            acks.send(number)


def look(url: str, key: tuple[str, str, str]) -> tuple[Any, list[str]]:
    """What a fresh reader finds, and what verify does."""
    surface = arraystore.open_store(url, role="analysis").canonical
    if key not in surface:
        return None, []
    dataset = surface[key]
    days = {window: _digest(dataset.read(window=window)) for window in dataset.windows()}
    files = {name: hashlib.sha256(artifact.read()).hexdigest() for name, artifact in dataset.artifacts().items()}
    return (days, files), [finding.problem for finding in dataset.verify(deep=True)]


def tell(url: str, key: tuple[str, str, str], results: Any) -> None:
    """Look, from another process."""
    results.send(look(url, key))


def _digest(columns: Any) -> str:
    digest = hashlib.sha256()
    for name in ("time", "price", "size", "side", "flags"):
        digest.update(np.ascontiguousarray(columns[name]).view(np.uint8).tobytes())
    return digest.hexdigest()
