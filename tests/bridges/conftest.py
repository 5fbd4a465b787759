"""Recorded market data, promoted, for other libraries' engines."""

from pathlib import Path

import pytest

import arraystore
from tests.replays.conftest import captures, promoted

__all__ = ["captures"]

collect_ignore = ["beside_hftbacktest.py"]  # run in an environment of its own


@pytest.fixture(scope="session")
def minutes(captures: list[Path]) -> arraystore.Store:
    """BTCUSDT, the last three minutes of 2024-07-18; the book's snapshot is the 14th message."""
    return promoted(captures, "btcusdt_20240718")
