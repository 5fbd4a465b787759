"""A dataset in numbers, and rows drawn from it, are what NumPy makes of all its rows."""

import collections
import decimal
import math
import uuid
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import arraystore
from arraystore.datasets.sampling import draw
from arraystore.datasets.sketch import HALF, QuantileSketch
from arraystore.datasets.statistics import DatasetStats
from tests.store.conftest import DAY, START

COLUMNS = (
    arraystore.Column(name="time", kind="time"),
    arraystore.Column(name="price", unit="USDT"),
    arraystore.Column(name="depth", dtype="float32", levels=3),
    arraystore.Column(name="small", dtype="int16", nullable=True),
    arraystore.Column(name="large", dtype="int64"),
    arraystore.Column(name="huge", dtype="uint64"),
    arraystore.Column(name="maker", dtype="bool"),
    arraystore.Column(name="seen", kind="time", nullable=True),
    arraystore.Column(name="side", kind="vocabulary", vocabulary=(("buy", 1), ("sell", -1))),
    arraystore.Column(name="flags", kind="flags", vocabulary=(("late", 1), ("busted", 4))),
    arraystore.Column(name="symbol", kind="dictionary", nullable=True),
    arraystore.Column(name="cash", kind="decimal", places=2),
    arraystore.Column(name="note", kind="text", nullable=True),
    arraystore.Column(name="never", nullable=True),
)
ROWS = 500


def some_rows(count: int = ROWS) -> dict[str, Any]:
    random = np.random.default_rng(5)
    price = random.normal(100, 5, count)
    price[:4] = np.nan, np.inf, -np.inf, -0.0
    return {
        "time": START + np.sort(random.integers(0, 3 * DAY, count)),
        "price": price,
        "depth": random.normal(0, 1, (count, 3)).astype(np.float32),
        "small": [None if row % 7 == 0 else int(row) - 50 for row in range(count)],
        "large": random.integers(-(2**63), 2**63 - 1, count),
        "huge": random.integers(2**63, 2**64 - 1, count, dtype=np.uint64),
        "maker": random.random(count) < 0.3,
        "seen": [None if row % 5 else START + row for row in range(count)],
        "side": random.choice(np.array([1, -1], np.int8), count),
        "flags": random.choice(np.array([0, 1, 5, 4], np.uint8), count),
        "symbol": [None if row % 11 == 0 else f"S{row % 13}" for row in range(count)],
        "cash": [decimal.Decimal(row) / 100 for row in range(count)],
        "note": [None if row % 3 == 0 else "ü" * (row % 20) for row in range(count)],
    }


@pytest.fixture(scope="module")
def given_rows() -> dict[str, Any]:
    return some_rows()


@pytest.fixture(scope="module")
def dataset(given_rows: dict[str, Any]) -> arraystore.Dataset:
    store = arraystore.open_store(f"memory://{uuid.uuid4().hex}", role="data-quality", create=True)
    made = store.canonical.create(("venue", "any", "X"), arraystore.Schema(name="any", columns=COLUMNS, window="day"))
    made.append(given_rows)
    return made


@pytest.fixture(scope="module")
def stats(dataset: arraystore.Dataset) -> DatasetStats:
    return dataset.stats()


def exact_quantiles(values: np.ndarray) -> list[Any]:
    return [np.quantile(np.sort(values), share, method="inverted_cdf").item() for share in (0.01, 0.25, 0.5, 0.75, 0.99)]


@pytest.mark.parametrize("name", ["price", "depth", "small", "large", "huge"])
def test_numbers_are_those_of_numpy(stats: DatasetStats, given_rows: dict[str, Any], name: str) -> None:
    values = np.array([value for value in given_rows[name] if value is not None]).ravel()
    kept = values[~np.isnan(values)] if values.dtype.kind == "f" else values
    finite = kept[np.isfinite(kept)]
    found = stats[name]
    assert (found.rows, found.nulls) == (ROWS, sum(value is None for value in given_rows[name]) if name == "small" else 0)
    assert (found.nan, found.infinite) == (len(values) - len(kept), len(kept) - len(finite))
    assert (found.min, found.max) == (kept.min(), kept.max())
    assert found.mean == pytest.approx(float(np.mean(finite.astype(np.longdouble))), rel=1e-12)
    assert found.std == pytest.approx(float(np.std(finite.astype(np.longdouble))), rel=1e-9)
    assert [*found.quantiles.values()] == exact_quantiles(kept)
    assert found.rank_error == 0.0


def test_times_are_told_as_times(stats: DatasetStats, given_rows: dict[str, Any]) -> None:
    times = given_rows["time"]
    found = stats["time"]
    assert (found.min, found.max, found.mean, found.std) == (times.min(), times.max(), sum(times.tolist()) // ROWS, None)
    assert arraystore.parse_time(found.to_json()["max"]) == times.max()
    assert stats["seen"].nulls == ROWS - ROWS // 5
    assert arraystore.parse_time(found.to_json()["quantiles"]["0.5"]) == exact_quantiles(times)[2]


def test_what_has_few_values_is_counted(stats: DatasetStats, given_rows: dict[str, Any]) -> None:
    sides = collections.Counter(given_rows["side"].tolist())
    assert dict(stats["side"].values) == {"buy": sides[1], "sell": sides[-1]}
    assert dict(stats["maker"].values) == {"true": given_rows["maker"].sum(), "false": (~given_rows["maker"]).sum()}
    symbols = collections.Counter(symbol for symbol in given_rows["symbol"] if symbol)
    assert (stats["symbol"].distinct, stats["symbol"].nulls) == (13, len(range(0, ROWS, 11)))
    assert len(stats["symbol"].values) == 10
    assert all(symbols[name] == number for name, number in stats["symbol"].values)
    bits = {name: int(np.count_nonzero(given_rows["flags"] & bit)) for name, bit in (("late", 1), ("busted", 4))}
    assert dict(stats["flags"].values) == bits


def test_decimals_stay_exact_and_texts_have_lengths(stats: DatasetStats, given_rows: dict[str, Any]) -> None:
    assert (stats["cash"].min, stats["cash"].max) == (decimal.Decimal("0.00"), decimal.Decimal("4.99"))
    assert stats["cash"].mean == pytest.approx(2.495)
    lengths = [len(note.encode()) for note in given_rows["note"] if note is not None]
    assert stats["note"].lengths == (min(lengths), max(lengths), sum(lengths) / len(lengths))


def test_a_column_that_is_null_throughout_has_no_numbers(stats: DatasetStats) -> None:
    found = stats["never"]
    assert (found.rows, found.nulls, found.min, found.mean, found.std, found.quantiles) == (ROWS, ROWS, None, None, None, {})


def test_statistics_of_a_range_are_those_of_its_rows(dataset: arraystore.Dataset, given_rows: dict[str, Any]) -> None:
    inside = given_rows["time"] < START + DAY
    seen: list[int] = []
    found = dataset.stats(START, START + DAY, ["large"], tell=seen.append)
    assert (found.rows, found["large"].min, seen) == (inside.sum(), given_rows["large"][inside].min(), [inside.sum()])
    assert dataset.stats(0, 1).rows == 0


@pytest.mark.parametrize("shares", [(2,), ("0.5",), (True,), 1.5, (math.nan,)])
def test_a_share_that_is_none_is_refused(dataset: arraystore.Dataset, shares: Any) -> None:
    with pytest.raises(arraystore.InvalidInput, match="share from 0 to 1"):
        dataset.stats(quantiles=shares)


@settings(max_examples=30)
@given(st.integers(1, 40), st.integers(1, 3 * HALF), st.integers(0, 9), st.booleans())
def test_ranks_of_quantiles_are_as_exact_as_is_said(batches: int, length: int, seed: int, ascending: bool) -> None:
    values = np.random.default_rng(seed).integers(0, 10**6, batches * length)
    if ascending:
        values.sort()
    sketch = QuantileSketch()
    for batch in np.split(values, batches):
        sketch.add(batch)
    ordered = np.sort(values)
    shares = np.linspace(0, 1, 21)
    assert sketch.count == len(values)
    assert (sketch.rank_error == 0.0) is (len(values) < 2 * HALF)
    for share, found in zip(shares, sketch.quantiles(shares), strict=True):
        low, high = (np.searchsorted(ordered, found, side) / len(values) for side in ("left", "right"))
        assert low - sketch.rank_error - 1 / len(values) <= share <= high + sketch.rank_error + 1 / len(values)


def test_a_sketch_of_much_stays_small() -> None:
    sketch = QuantileSketch()
    for _ in range(40):
        sketch.add(np.arange(100_000))
    assert sum(len(held) for level in sketch._levels for held in level) < 10 * 2 * HALF
    assert sketch.rank_error < 0.001


@given(st.integers(0, 300), st.integers(0, 320), st.integers(0, 5))
def test_drawn_numbers_are_different_and_in_order(total: int, count: int, seed: int) -> None:
    found = draw(total, count, np.random.default_rng(seed))
    assert len(found) == min(total, count)
    assert (np.diff(found) > 0).all()
    assert not len(found) or (found[0] >= 0 and found[-1] < total)


@pytest.mark.parametrize("count", [2, 8])
def test_every_number_is_drawn_as_often(count: int) -> None:
    random = np.random.default_rng(1)
    hits = np.bincount(np.concatenate([draw(10, count, random) for _ in range(4000)]), minlength=10)
    assert np.abs(hits / 4000 - count / 10).max() < 0.03


def test_a_sample_has_rows_as_they_are_and_the_same_for_a_seed(dataset: arraystore.Dataset, given_rows: dict[str, Any]) -> None:
    found = dataset.sample(40, ["large", "time", "note"], seed=3)
    assert list(found) == ["large", "time", "note"]
    places = np.searchsorted(given_rows["time"], found["time"].view(np.int64))
    assert len(set(places.tolist())) == 40
    assert found["large"].tolist() == given_rows["large"][places].tolist()
    assert found["note"].tolist() == [given_rows["note"][place] for place in places]
    assert dataset.sample(40, seed=3)["large"].tolist() == found["large"].tolist()
    assert dataset.sample(40, seed=4)["large"].tolist() != found["large"].tolist()
    assert dataset.sample(10_000)["large"].tolist() == given_rows["large"].tolist()
    assert dataset.sample(0).row_count == 0
    (window, *_) = dataset.windows()
    assert set(dataset.sample(5, window=window)["time"].astype("datetime64[D]").astype(str)) == {window}
