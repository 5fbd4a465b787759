"""Many datasets read in one go: each as by itself, errors by name."""

import threading
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

import arraystore
from arraystore.datasets import many
from tests.store.conftest import DAY, START, OpenAs, rows

NAMES = ("BTC", "ETH", "SOL", "XRP")


@pytest.fixture
def store(open_as: OpenAs) -> arraystore.Store:
    """Four datasets, of tails and segments, over two days."""
    store = open_as("data-quality")
    for place, name in enumerate(NAMES):
        dataset = store.canonical.create(("venue", "trades", name), arraystore.schema_by_name("trades"))
        dataset.append(rows(2_000 * place + 5, first=place))
        dataset.append(rows(30, START + DAY, first=1_000 * place))
    store.canonical.create(("venue", "trades", "NONE"), arraystore.schema_by_name("trades"))
    return store


def plain(frame: arraystore.Frame) -> tuple[Any, ...]:
    return frame.pin, {name: np.asarray(frame[name]).tolist() for name in frame}


def test_each_dataset_reads_as_by_itself(store: arraystore.Store) -> None:
    start, end, columns = START + 100 * 10**9, START + DAY + 10 * 10**9, ["size", "time"]
    keys = [("venue", "trades", name) for name in (*NAMES, "NONE")]
    wanted = {key: plain(store.canonical[key].read(start, end, columns)) for key in sorted(keys)}
    found = store.canonical.read_many("venue/trades/*", start, end, columns)
    assert list(found) == sorted(keys)
    assert {key: plain(frame) for key, frame in found.items()} == wanted
    with mock.patch.object(many, "LARGE_BYTES", 10_000):
        found = store.canonical.read_many(reversed(keys), start, end, columns, threads=2)
    assert list(found) == keys[::-1]
    assert {key: plain(frame) for key, frame in found.items()} == wanted
    assert list(store.canonical.read_many(["venue/trades/BTC"] * 2)) == [keys[0]]
    assert list(store.canonical.read_many("venue/trades/BTC")) == [keys[0]]
    assert store.canonical.read_many("nowhere/*/*") == {}


def test_handles_are_read_at_their_versions(store: arraystore.Store) -> None:
    dataset = store.canonical["venue", "trades", "ETH"]
    before = dataset.at(2)
    found = arraystore.read_many({"before": before, "after": dataset}, columns=["size"], instruments=None)
    assert {name: frame.row_count for name, frame in found.items()} == {"before": 2_005, "after": 2_035}
    assert [frame.pin.version for frame in found.values()] == [2, 3]
    assert list(arraystore.read_many([dataset])) == [dataset.key]
    assert arraystore.read_many([]) == {}


def test_rows_by_number_are_of_each_dataset(store: arraystore.Store) -> None:
    keys = [("venue", "trades", name) for name in (*NAMES, "NONE")]
    for options in ({"rows": (-2, None)}, {"every": 700}, {"rows": (1, 9), "every": 4}, {"start": START, "end": None, "every": 3}):
        wanted = {key: plain(store.canonical[key].read(**options)) for key in keys}
        with mock.patch.object(many, "LARGE_BYTES", 100_000):
            found = store.canonical.read_many(keys, **options)
        assert {key: plain(frame) for key, frame in found.items()} == wanted


def test_a_tag_gives_the_versions_that_it_names(open_as: OpenAs, store: arraystore.Store, tmp_path: Path) -> None:
    dataset = store.canonical["venue", "trades", "BTC"]
    store.tag("kept", [dataset.at(2).pin()])
    if not store.url.startswith("s3"):  # whose opener is the fixture's own
        tagged = arraystore.open_store(store.url, role="analysis", tag="kept")
        found = tagged.canonical.read_many("*/*/*", columns=["size"])
        assert {key: frame.pin.version for key, frame in found.items()} == {dataset.key: 2}
        with pytest.raises(arraystore.NotFound, match="names no canonical/venue/trades/ETH"):
            tagged.canonical.read_many(["venue/trades/ETH"])


def test_what_goes_wrong_with_one_names_it(store: arraystore.Store) -> None:
    surface = store.canonical
    with pytest.raises(arraystore.NotFound, match="venue/trades/DOGE"):
        surface.read_many(["venue/trades/BTC", "venue/trades/DOGE"])
    with pytest.raises(arraystore.InvalidInput, match=r"canonical/venue/trades/\w+: .*prise: no such column"):
        surface.read_many("venue/trades/*", columns=["prise"])
    data = surface["venue/trades/XRP"].segments()[0]
    surface._storage.delete(f"{data}/size/0")
    for columns in (["size"], None):
        with pytest.raises(arraystore.Corrupt, match=r"venue/trades/XRP.*size/0.*missing"):
            surface.read_many("venue/trades/*", columns=columns)
    assert len(surface.read_many("venue/trades/*", columns=["time"])) == 5
    with pytest.raises(arraystore.Corrupt, match="venue/trades/XRP"), mock.patch.object(many, "LARGE_BYTES", 1):
        surface.read_many("venue/trades/*", columns=["size"])


@pytest.mark.parametrize(
    ("given", "told"),
    [("venue/trades/BTC", "isn't a list of datasets"), ([1], "no dataset"), ({"a": "b"}, "'a' is a str"), (5, "int")],
)
def test_what_is_no_dataset_is_refused(given: Any, told: str) -> None:
    with pytest.raises(arraystore.InvalidInput, match=told):
        arraystore.read_many(given)


def test_datasets_of_one_name_must_be_told_apart(trades: arraystore.Dataset) -> None:
    with pytest.raises(arraystore.InvalidInput, match="same key"):
        arraystore.read_many([trades, trades.at(1)])


def test_access_is_asked_for_before_anything_is_read(open_as: OpenAs) -> None:
    with pytest.raises(arraystore.AccessDenied, match="role backtesting may not read raw"):
        open_as("backtesting").raw.read_many("*/*/*")
    with pytest.raises(arraystore.AccessDenied, match="role backtesting may not read raw"):
        open_as("backtesting").raw.read_many(["a/b/c"])


def test_what_lies_far_away_is_waited_for_side_by_side(store: arraystore.Store) -> None:
    """All but those that tell how far it is are under way at once, or none would get past the barrier."""
    keys = [("venue", "trades", name) for name in (*NAMES, "NONE")]
    barrier = threading.Barrier(len(keys) - many.PROBES, timeout=60)

    def slowly(key: Any) -> Any:
        if key not in keys[: many.PROBES]:
            barrier.wait()
        return store.canonical[key]

    reading = many.ManyReads(None, None, None, 2, rows=None)
    with mock.patch.object(many, "SLOW_JOB_SECONDS", -1):
        found = reading.all({key: (str(key), lambda key=key: slowly(key)) for key in keys})
    assert list(found) == keys
