"""Small stores to look at, and how to read what a figure shows."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import arraystore

SECOND = 10**9
DAY = 86_400 * SECOND
START = int(np.datetime64("2024-08-08", "ns").astype(np.int64))


def trades_at(times: np.ndarray, price: np.ndarray, **more: Any) -> dict[str, Any]:
    """Rows of trades."""
    count = len(times)
    return {
        "time": times,
        "price": price,
        "size": np.ones(count),
        "side": np.ones(count, np.int8),
        "flags": np.zeros(count, np.uint8),
        **more,
    }


@pytest.fixture
def store(request):
    """An empty store in memory."""
    return arraystore.open_store(f"memory://{request.node.name}", role="data-quality", create=True)


@pytest.fixture
def trades(store):
    """An empty dataset of trades."""
    return store.canonical.create(("venue", "trades", "BTC-USDT"), arraystore.schema_by_name("trades"))


def lines(figure: Any) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """What lines a figure has, by their id: x as int64 ns, y."""
    found = {}
    for axes in figure.axes:
        for line in axes.get_lines():
            if line.get_gid():
                found[line.get_gid()] = (
                    np.asarray(line.get_xdata(orig=True)).astype("datetime64[ns]").astype(np.int64),
                    np.asarray(line.get_ydata()),
                )
    return found


def words(figure: Any) -> str:
    """All text of a figure, without drawing it."""
    from matplotlib.text import Text

    return " | ".join(text.get_text() for text in figure.findobj(Text) if text.get_text())


def damage(dataset: Path) -> None:
    """Spoil the second commit of a dataset on disk."""
    commit = next(path for path in (dataset / "_log").rglob("*") if path.name.endswith("2") and path.is_file())
    commit.chmod(0o644)
    commit.write_bytes(commit.read_bytes()[:-3] + b"xyz")
