"""Streams to replay: drawn ones beside an oracle that sorts all their rows at once, and recorded ones."""

import uuid
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import strategies as st

import arraystore
from arraystore import Column, Kind, Schema
from arraystore.datasets import writer
from arraystore.demo.captures import inspect_captures
from arraystore.demo.quality import review
from arraystore.demo.recording import record
from arraystore.testing.strategies import small_chunks

START = arraystore.parse_time("2024-08-08T23:59:59.999999000")  # a window ends 1,000 ns later


def schema_of(order: str, *, nullable: bool = False) -> Schema:
    """A clock beside the axis, something to tell ties by, and a number that no other row has."""
    return Schema(
        name="drawn",
        order=order,
        columns=(
            Column(name="time", kind=Kind.TIME),
            Column(name="exchange_time", kind=Kind.TIME, clock="exchange", nullable=nullable),
            Column(name="sequence", dtype="uint16", nullable=True),
            Column(name="number", dtype="int64"),
            Column(name="flag", dtype="uint8"),
            Column(name="label", kind=Kind.DICTIONARY, nullable=True),
            Column(name="text", kind=Kind.TEXT),
        ),
    )


def rows(times: np.ndarray, exchange: np.ndarray, sequences: np.ndarray, first: int, nulls: np.ndarray | None = None) -> dict[str, Any]:
    numbers = np.arange(first, first + len(times))
    found = {
        "time": times,
        "exchange_time": exchange,
        "sequence": np.where(sequences < 0, 0, sequences).astype(np.uint16),
        "sequence_valid": sequences >= 0,
        "number": numbers,
        "flag": (numbers % 3).astype(np.uint8),
        "label": arraystore.Labels.from_values([None if number % 5 == 0 else f"L{number % 7}" for number in numbers.tolist()]),
        "text": arraystore.Ragged.from_values([f"{number}" * (number % 4) for number in numbers.tolist()], text=True),
    }
    return found if nulls is None else found | {"exchange_time_valid": ~nulls}


TAILS = st.sampled_from((0, 1 << 17))


def tails(*, up_to: int) -> Any:
    """Appends of more bytes become segments of their own."""
    return mock.patch.object(writer, "TAIL_BYTES", up_to)


@st.composite
def stores(draw, most=3, *, nulls: bool = False) -> list[arraystore.DatasetView]:
    """Datasets of few moments, so that most are ties; in several appends, some of which are tails, some chunks of a few rows."""
    store = arraystore.open_store(f"memory://{uuid.uuid4().hex}", role="data-quality", create=True)
    found = []
    for stream in range(draw(st.integers(1, most))):
        order = draw(st.sampled_from(("arrival", "time")))
        dataset = store.canonical.create(("venue", "drawn", f"S{stream}"), schema_of(order, nullable=nulls))
        first = stream * 1_000_000
        for _ in range(draw(st.integers(0, 3))):
            count = draw(st.integers(1, 40))
            seed = np.random.default_rng(draw(st.integers(0, 2**32)))
            spread = draw(st.sampled_from((3, 40, 4_000)))
            times = START + seed.integers(0, spread, count)
            if order == "time" or draw(st.booleans()):
                times = np.sort(times)
            exchange = times - seed.integers(0, draw(st.sampled_from((1, 30))), count)
            null = seed.random(count) < 0.2 if nulls else None
            with small_chunks(draw(st.integers(8, 200)), 1 << 16, draw(st.sampled_from((1, 4_000)))), tails(up_to=draw(TAILS)):
                dataset.append(rows(times, exchange, seed.integers(-1, 3, count), first, null))
            first += count
        found.append(dataset)
    return found


def oracle(streams, clock=None, ties=(), start=None, end=None):
    """Numbers of all rows as the definition orders them: every row of every stream, sorted by all keys at once."""
    keys: list[list[Any]] = []
    for rank, each in enumerate(streams):
        frame = each.read()
        by = clock or "time"
        times, valid = frame[by].view(np.int64), frame.valid(by)
        columns = []
        for tie in ties:
            there = frame.valid(tie)
            there = np.ones(len(times), bool) if there is None else there
            columns += [~there, np.where(there, frame[tie].astype(np.int64), 0)]
        for row in range(len(times)):
            inside = (start is None or times[row] >= start) and (end is None or times[row] < end)
            if inside and (valid is None or valid[row]):
                keys.append([times[row], *(column[row] for column in columns), rank, row, frame["number"][row]])
    keys.sort()
    return [int(key[-1]) for key in keys], [int(key[0]) for key in keys], [int(key[-3]) for key in keys]


@pytest.fixture(scope="session")
def captures(shared_data: Path) -> list[Path]:
    """The shared captures of Binance USD-M."""
    return sorted((shared_data / "binance-usdm").glob("*.gz"))


def promoted(captures: list[Path], *names: str) -> arraystore.Store:
    """A store with the named captures' data in `canonical`, as data quality promotes them; seen by backtesting."""
    url = f"memory://{uuid.uuid4().hex}"
    recorder = arraystore.open_store(url, role="data-recording", create=True)
    record(recorder, inspect_captures([path for path in captures if any(name in path.name for name in names)]), recorder="test")
    review(arraystore.open_store(url, role="data-quality"))
    return arraystore.open_store(url, role="backtesting")


@pytest.fixture(scope="session")
def july(captures: list[Path]) -> arraystore.Store:
    """BTCUSDT, 2024-07-18 and 19: two captures that meet at midnight."""
    return promoted(captures, "btcusdt_202407")
