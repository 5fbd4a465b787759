"""`checksums`: reading everything with and without looking at the CRC-32C of each chunk. Isolates what finding flipped bits costs."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np

import arraystore
from arraystore.demo.captures import inspect_captures
from arraystore.demo.recording import record
from arraystore.segments.codec import RESIDUE
from benchmarks.append import schema_of
from benchmarks.data import captures, xauusd
from benchmarks.timing import by_turns

COLUMNS = {
    "MB decoded": lambda each: f"{each.decoded / 1e6:.1f}",
    "CPU ms": lambda each: f"{each.milliseconds:.2f}",
    "GB/s of a core": lambda each: f"{each.decoded / each.milliseconds / 1e6:.2f}",
    "ratio": lambda each: f"{each.ratio:.3f}",
    "goal": lambda each: each.goal,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Median milliseconds of all processors for reading a dataset, and for reading it without looking at checksums."""

    data: str
    contestant: str
    decoded: int
    milliseconds: float
    reference: float
    goal: str = ""

    @property
    def ratio(self) -> float:
        """How many times as long as without checksums."""
        return self.milliseconds / self.reference


def run(*, small: bool) -> list[Reading]:
    """Quotes and a capture that were recorded, and floats that nothing compresses."""
    with tempfile.TemporaryDirectory() as folder:
        store = arraystore.open_store(folder, role="data-quality", create=True)
        datasets = {"XAUUSD quotes": (_quotes(store, small=small), "≤ 1.05")}
        for capture in () if small else captures()[-1:]:
            recorder = arraystore.open_store(Path(folder), role="data-recording")
            (recorded,) = record(recorder, inspect_captures([capture]), recorder="benchmark")
            datasets[capture.stem.split(".")[0]] = (recorder.raw[recorded.key], "≤ 1.05")
        datasets["random floats"] = (_noise(store, 50_000 if small else 2_000_000), "")
        return [each for name, (dataset, goal) in datasets.items() for each in _measured(name, dataset, goal, 3 if small else 60)]


def _measured(name: str, dataset: arraystore.DatasetView, goal: str, rounds: int) -> list[Reading]:
    decoded = sum(array.nbytes for array in dataset.read().rows.arrays.values())

    def unchecked(_: int) -> None:
        with mock.patch("arraystore.segments.codec.crc32c", _found_right):
            dataset.read()

    contestants: dict[str, Callable[[int], object]] = {"without a look at checksums": unchecked, "arraystore": lambda _: dataset.read()}
    taken = by_turns(contestants, rounds, time.process_time)
    reference = taken["without a look at checksums"]
    goals = {"arraystore": goal}
    return [
        Reading(data=name, contestant=each, decoded=decoded, milliseconds=median, reference=reference, goal=goals.get(each, ""))
        for each, median in taken.items()
    ]


def _found_right(_: object) -> int:
    """What checking finds in a chunk that is whole."""
    return RESIDUE


def _quotes(store: arraystore.Store, *, small: bool) -> arraystore.Dataset:
    quotes = xauusd(1 if small else None)
    dataset = store.canonical.create(("vendor", "quotes", "X"), arraystore.SCHEMAS["quotes"](clock="exchange"))
    columns = {"time": quotes.time, "bid_price": quotes.bid, "ask_price": quotes.ask, "flags": np.zeros(len(quotes.time), np.uint8)}
    dataset.append(columns, completeness="complete")
    return dataset


def _noise(store: arraystore.Store, count: int) -> arraystore.Dataset:
    random = np.random.default_rng(1)
    dataset = store.canonical.create(("vendor", "noise", "X"), schema_of(2))
    dataset.append({"time": np.arange(count), "value_1": random.normal(size=count)})
    return dataset
