"""A schema with a column of every kind, and three rows of it."""

import numpy as np
import pytest

from arraystore.frames.frame import Frame
from arraystore.frames.intake import rows_from
from layouts.schema import Column, Schema

START = 1_704_067_200_000_000_000  # 2024-01-01T00:00:00Z
VOCABULARY = (("buy", 1), ("sell", -1), ("none", 0))
MASKS = (("last", 128), ("snapshot", 32))


@pytest.fixture(scope="session")
def schema():
    return Schema(
        name="everything",
        columns=(
            Column(name="time", kind="time"),
            Column(name="exchange_time", kind="time", clock="exchange", nullable=True),
            Column(name="price", nullable=True, unit="USD"),
            Column(name="count", dtype="uint32", nullable=True),
            Column(name="is_maker", dtype="bool", nullable=True),
            Column(name="side", kind="vocabulary", vocabulary=VOCABULARY, nullable=True),
            Column(name="flags", kind="flags", vocabulary=MASKS, nullable=True),
            Column(name="instrument", kind="dictionary", nullable=True),
            Column(name="fee", kind="decimal", places=4, nullable=True),
            Column(name="note", kind="text", nullable=True),
            Column(name="payload", kind="bytes", nullable=True),
            Column(name="bids", levels=2, nullable=True),
        ),
    )


@pytest.fixture(scope="session")
def data():
    """Three rows, of which the second is null wherever it may be."""
    return {
        "time": [START, START + 1, START + 1],
        "exchange_time": np.array([START - 5, "NaT", START + 7], "datetime64[ns]"),
        "price": [0.1, None, -0.0],
        "count": [7, None, 2**32 - 1],
        "is_maker": [True, None, False],
        "side": ["buy", None, "sell"],
        "flags": [128, None, 160],
        "instrument": ["BTC/USDT", None, "日経"],
        "fee": ["0.0001", None, "-12.5"],
        "note": ["héllo", None, ""],
        "payload": [b"\xff\x00", None, b""],
        "bids": [[1.0, 2.0], None, [np.nan, -0.0]],
    }


@pytest.fixture(scope="session")
def rows(data, schema):
    return rows_from(data, schema)


@pytest.fixture
def frame(rows):
    return Frame(rows)
