"""Rows by number, from the end, sampled, by level, into given arrays, batch by batch: the same rows as a plain read has."""

import uuid
from itertools import chain

import msgspec
import numpy as np
import pytest

import arraystore
from arraystore.frames.rows import concat
from arraystore.testing.strategies import differences
from tests.store.conftest import DAY, START, OpenAs, rows

KEY = ("venue", "trades", "BTCUSDT")
TRADES = msgspec.structs.replace(arraystore.schema_by_name("trades"), order="time")
SECOND = 10**9


@pytest.fixture
def open_as() -> OpenAs:
    """One storage is enough: on which of them a store lies changes nothing here."""
    url = f"memory://{uuid.uuid4().hex}"
    return lambda role: arraystore.open_store(url, role=role, create=True)


@pytest.fixture(scope="module")
def three_days() -> arraystore.Dataset:
    """What nobody changes."""
    return fill_three_days(arraystore.open_store(f"memory://{uuid.uuid4().hex}", role="data-quality", create=True))


def fill_three_days(store: arraystore.Store) -> arraystore.Dataset:
    """Trades every half minute for three days; the second day in two segments that overlap, and a tail."""
    dataset = store.canonical.create(KEY, TRADES)
    dataset.append(rows(2880, step=30 * SECOND))
    even = rows(5760, start=START + DAY, step=15 * SECOND)
    dataset.append({name: values[::2] for name, values in even.items()})
    dataset.append({name: values[1::2] for name, values in even.items()})
    dataset.append(rows(100, start=START + 2 * DAY, first=0))
    return dataset


def marks(frame: arraystore.Frame) -> list[int]:
    return np.asarray(frame["size"]).astype(int).tolist()


EVERYTHING = [*range(2880), *range(5760), *range(100)]


@pytest.mark.parametrize(
    "bounds", [(0, 10), (2875, 2885), (-5, None), (-105, -95), (5000, 5010), (None, None), (7, 7), (9, 3), (8000, 99_999), (99_999, None)]
)
def test_a_row_range_is_a_slice_of_all_rows(three_days: arraystore.Dataset, bounds: tuple[int | None, int | None]) -> None:
    assert marks(three_days.read(rows=bounds)) == EVERYTHING[slice(*bounds)]
    assert marks(three_days.read(rows=bounds, every=3)) == EVERYTHING[slice(*bounds)][::3]


def test_a_row_range_of_a_window_counts_in_it(three_days: arraystore.Dataset) -> None:
    frame = three_days.read(rows=(-3, None), window="2024-08-09")
    assert marks(frame) == [5757, 5758, 5759]
    assert frame.pin.start == START + DAY
    assert three_days.read(rows=(-3, None)).pin.start is None


@pytest.mark.parametrize("count", [0, 1, 3, 100, 101, 5860, 9_000])
def test_the_last_rows_are_the_end_of_all(three_days: arraystore.Dataset, count: int) -> None:
    assert marks(three_days.last(count)) == EVERYTHING[len(EVERYTHING) - min(count, len(EVERYTHING)) :]


def test_the_last_rows_of_a_window_and_of_some_columns(three_days: arraystore.Dataset) -> None:
    frame = three_days.last(2, ["size", "time"], window="2024-08-08")
    assert list(frame) == ["size", "time"]
    assert marks(frame) == [2878, 2879]


def test_every_counts_from_the_first_row_selected(three_days: arraystore.Dataset) -> None:
    start, end = START + 10 * 30 * SECOND, START + DAY + 60 * SECOND
    whole = three_days.read(start, end)
    frame = three_days.read(start, end, every=7)
    assert marks(frame) == marks(whole)[::7]
    assert frame.pin == whole.pin


@pytest.mark.parametrize("prefetch", [0, 1, 3])
@pytest.mark.parametrize("every", [1, 5, 4000])
@pytest.mark.parametrize(
    "asked", [{}, {"start": START + 5, "end": START + DAY + 1000 * SECOND}, {"rows": (100, -50)}, {"window": "2024-08-09"}]
)
def test_batches_are_what_a_read_returns(three_days: arraystore.Dataset, prefetch: int, every: int, asked: dict[str, object]) -> None:
    whole = three_days.read(every=every, **asked)
    batches = list(three_days.scan(every=every, memory=30_000, prefetch=prefetch, **asked))
    assert all(batch.row_count for batch in batches)
    assert all(sum(array.nbytes for array in batch.rows.arrays.values()) <= 30_000 // (prefetch + 1) for batch in batches)
    assert all(batch.pin == whole.pin for batch in batches)
    assert differences(concat([batch.rows for batch in batches], whole.rows.schema), whole.rows) == []


def test_small_windows_share_a_batch(three_days: arraystore.Dataset) -> None:
    assert len(list(three_days.scan())) == 1


def test_a_scan_that_is_left_early_leaves_nothing_behind(three_days: arraystore.Dataset) -> None:
    scan = three_days.scan(memory=10_000, prefetch=2)
    assert marks(next(scan))[:3] == [0, 1, 2]
    scan.close()


def test_a_scan_stays_at_the_version_it_began_with(open_as: OpenAs) -> None:
    dataset = fill_three_days(open_as("data-quality"))
    scan = dataset.scan(memory=100_000, prefetch=0)
    first = next(scan)
    dataset.append(rows(10, start=START + 2 * DAY, first=100))
    assert sum(batch.row_count for batch in scan) + first.row_count == len(EVERYTHING)


def test_columns_are_read_into_arrays_of_the_caller(three_days: arraystore.Dataset) -> None:
    whole = three_days.read()
    out = {"time": np.zeros(whole.row_count + 5, "datetime64[ns]"), "size": np.zeros(whole.row_count, np.float64)}
    frame = three_days.read(out=out)
    assert differences(frame.rows, whole.rows) == []
    assert np.shares_memory(frame["time"], out["time"])
    assert out["time"][:-5].tolist() == frame["time"].tolist()
    assert frame["size"].ctypes.data == out["size"].ctypes.data
    day = three_days.read(window="2024-08-08", out=out)
    assert day["size"].tolist() == list(range(2880))
    assert day["size"].ctypes.data == out["size"].ctypes.data


READ_ONLY = np.zeros(10)
READ_ONLY.flags.writeable = False
SHARED = np.zeros(20)


@pytest.mark.parametrize(
    ("out", "told"),
    [
        ({"size": np.zeros(9000, np.float32)}, "its dtype is float32, where the column has float64"),
        ({"size": np.zeros(9000, ">f8")}, "its dtype is >f8"),
        ({"size": np.zeros((9000, 2))}, r"its shape is \(9000, 2\), where \(rows\) is read"),
        ({"size": np.zeros(18_000)[::2]}, "it isn't C-contiguous"),
        ({"size": READ_ONLY}, "it is read-only"),
        ({"size": [0.0] * 9000}, "a list isn't a NumPy array"),
        ({"size": np.zeros(10)}, "there are 8740 rows, and 'size' has room for 10: pass longer arrays"),
        ({"size": SHARED, "price": SHARED[5:]}, "'size' and 'price' share memory"),
        ({"flags": np.zeros(9000, np.uint8)}, "it isn't among the columns that are read: size, price"),
        ([np.zeros(9000)], "a list isn't a mapping"),
    ],
)
def test_arrays_that_dont_fit_are_refused_and_left_alone(three_days: arraystore.Dataset, out: object, told: str) -> None:
    with pytest.raises(arraystore.InvalidInput, match=told):
        three_days.read(columns=["size", "price"], out=out)  # type: ignore[arg-type]
    assert not np.any(SHARED)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"rows": (0, 5), "start": START}, "rows are numbered over the whole dataset or window, and not within start"),
        ({"rows": (0, 5), "end": START, "clock": "time"}, "not within end and clock: leave out one or the other"),
        ({"rows": 5}, r"5 isn't \(start, stop\)"),
        ({"rows": (True, 5)}, "isn't"),
        ({"rows": ("0", 5)}, "isn't"),
        ({"every": 0}, "isn't a whole number from 1 up"),
        ({"every": 1.5}, "isn't a whole number"),
        ({"levels": 2}, "schema 'trades' has no column with levels"),
        ({"memory": 0}, "isn't a whole number from 1 up"),
        ({"memory": 1000}, r"these 8740 rows take \d+ bytes, more than 1000: .*scan\(\)"),
    ],
)
def test_what_cant_be_selected_is_refused_with_what_can(three_days: arraystore.Dataset, asked: dict[str, object], told: str) -> None:
    with pytest.raises(arraystore.InvalidInput, match=told):
        three_days.read(**asked)  # type: ignore[arg-type]


def test_a_scan_checks_its_arguments_at_once(three_days: arraystore.Dataset) -> None:
    for asked in ({"prefetch": -1}, {"memory": 0}, {"every": -1}, {"columns": ["nothing"]}):
        with pytest.raises(arraystore.InvalidInput):
            three_days.scan(**asked)  # type: ignore[arg-type]


def test_a_row_that_exceeds_a_batch_is_refused(open_as: OpenAs) -> None:
    dataset = open_as("data-quality").canonical.create(KEY, arraystore.Schema(name="s", columns=(TIME, TEXT)))
    dataset.append({"time": [START, START + 1, START + 2], "text": ["a", "b" * 5000, "c"]})
    with pytest.raises(arraystore.InvalidInput, match=r"these 1 rows take 50\d\d bytes, more than 2000"):
        list(dataset.scan(memory=2000, prefetch=0))
    texts = [batch["text"].tolist() for batch in dataset.scan(memory=6000, prefetch=0)]
    assert [*chain.from_iterable(texts)] == ["a", "b" * 5000, "c"]
    with pytest.raises(arraystore.InvalidInput, match="text has no fixed size per row: leave it out"):
        dataset.read(out={"text": np.zeros(5)})


TIME = arraystore.Column(name="time", kind="time")
TEXT = arraystore.Column(name="text", kind="text")
LABEL = arraystore.Column(name="instrument", kind="dictionary")
BOOK = arraystore.Column(name="bid_price", levels=20)


def test_levels_of_books_come_in_arrays_of_their_size(open_as: OpenAs) -> None:
    dataset = open_as("data-quality").canonical.create(KEY, arraystore.Schema(name="s", columns=(TIME, BOOK)))
    prices = np.random.default_rng(3).normal(size=(4000, 20))
    dataset.append({"time": START + np.arange(4000), "bid_price": prices})
    for levels, taken in ((5, prices[:, :5]), ((3, 7), prices[:, 3:7]), (20, prices), ((0, 20), prices)):
        frame = dataset.read(levels=levels)
        assert frame["bid_price"].tobytes() == taken.tobytes()
        assert frame.schema.column("bid_price").levels == taken.shape[1]
        assert frame.to_xarray()["bid_price"].shape == taken.shape
    place = np.zeros((4000, 2))
    dataset.read(rows=(-10, None), levels=2, out={"bid_price": place})
    assert place[:10].tobytes() == prices[-10:, :2].tobytes()
    for levels in (0, 21, -1, (3, 3), (5, 2), (0, 21), True, "5", 2.0, (1, 2, 3)):
        with pytest.raises(arraystore.InvalidInput, match="isn't among the 20 levels"):
            dataset.read(levels=levels)
    with pytest.raises(arraystore.InvalidInput, match=r"its shape is \(4000, 2\), where \(rows, 3\)"):
        dataset.read(levels=3, out={"bid_price": place})


def test_the_last_rows_of_instruments_are_found_however_rare(open_as: OpenAs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arraystore.datasets.reading.REACH_ROWS", 10)
    dataset = open_as("data-quality").canonical.create(
        ("venue", "trades", "_all"), arraystore.Schema(name="s", columns=(TIME, LABEL, BOOK))
    )
    names = np.array(["often", "rare", "once"], object)
    random = np.random.default_rng(5)
    for day in range(3):
        chosen = names[(random.random(2000) < 0.01).astype(int)]
        chosen[0] = "once" if day == 0 else "often"
        dataset.append({"time": START + day * DAY + np.arange(2000), "instrument": chosen.tolist(), "bid_price": np.zeros((2000, 20))})
    whole = dataset.read(columns=["time", "instrument"])
    for wanted in ("often", "rare", "once", ["once", "rare"], "never"):
        chosen = whole.take(whole["instrument"].matches(*([wanted] if isinstance(wanted, str) else wanted)))["time"]
        for count in (1, 3, 40):
            assert dataset.last(count, ["time"], instruments=wanted)["time"].tolist() == chosen[-count:].tolist()
