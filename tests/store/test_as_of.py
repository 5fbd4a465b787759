"""As-of reads: the row in force at many times and lags, like a search through everything that was written, but of few chunks."""

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

import arraystore
from arraystore import Clock, Column, Kind, Labels, Schema
from arraystore.datasets import writer
from arraystore.demo.captures import inspect_captures
from arraystore.demo.quality import review
from arraystore.demo.recording import record
from arraystore.segments import chunkreads, index, segment
from arraystore.testing.strategies import small_chunks
from tests.store.conftest import DAY, START, rows

SECOND = 10**9
DAILY = 2_160
STEP = 40 * SECOND
NAMES = ("BTC", "ETH", "SOL")
numbered = itertools.count()


def schema(order: str, *, nullable: bool) -> Schema:
    return Schema(
        name="ticks",
        axis="time",
        order=order,
        columns=(
            Column(name="time", kind=Kind.TIME, clock=Clock.AXIS),
            Column(name="ts_venue", kind=Kind.TIME, clock=Clock.EXCHANGE, nullable=nullable),
            Column(name="instrument", kind=Kind.DICTIONARY, nullable=nullable),
            Column(name="number"),
            Column(name="depth", levels=2),
            Column(name="fee", kind=Kind.DECIMAL, places=2),
            Column(name="note", kind=Kind.TEXT, nullable=True),
        ),
    )


def ticks(random: np.random.Generator, count: int, first: int, *, ordered: bool, nullable: bool, step: int) -> dict[str, Any]:
    """Rows over about a day, with many equal times and times that step back."""
    times = START + random.integers(0, 60 // step, count) * (DAY // 40) * step
    times = np.sort(times) if ordered or random.random() < 0.5 else times
    venue = (times + random.integers(-3, 3, count) * (DAY // 40)).view("datetime64[ns]")
    numbers = np.arange(first, first + count)
    found = {
        "time": times,
        "ts_venue": venue,
        "instrument": Labels(random.integers(0, 3, count).astype(np.int32), NAMES),
        "number": numbers.astype(float),
        "depth": np.stack([numbers, -numbers], axis=1).astype(float),
        "fee": arraystore.Decimals(numbers * 7, 2),
        "note": [None if number % 5 == 0 else f"row {number}" for number in numbers],
    }
    if nullable:
        found |= {"ts_venue_valid": random.random(count) < 0.6, "instrument_valid": random.random(count) < 0.8}
    return found


@st.composite
def datasets(draw):
    """A dataset of several appends, as segments and tails, over one or two days, perhaps corrected."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    order, nullable = draw(st.sampled_from(("arrival", "time"))), draw(st.booleans())
    store = arraystore.open_store(f"memory://as-of-{next(numbered)}", role="data-quality", create=True)
    dataset = store.canonical.create(("venue", "ticks", "_all"), schema(order, nullable=nullable))
    step, first = draw(st.sampled_from((1, 20))), 0
    with small_chunks(draw(st.sampled_from((8, 64, 400))), 64, 600):
        for _ in range(draw(st.integers(0, 5))):
            count, limit = draw(st.integers(1, 60)), draw(st.sampled_from((0, 10**6)))
            with mock.patch.object(writer, "TAIL_BYTES", limit), mock.patch.object(writer, "TINY_TAIL_BYTES", limit):
                dataset.append(ticks(random, count, first, ordered=order == "time", nullable=nullable, step=step))
            first += count
        if first and draw(st.booleans()):
            window = draw(st.sampled_from(dataset.windows()))
            kept = dataset.read(window=window)
            chosen = kept.take(np.arange(draw(st.integers(0, 1)), kept.row_count, 2))
            dataset.replace(window, chosen, reason="as a test")
    return dataset


def in_force(frame, clock, time, floor, label) -> int:
    """The number of the row in force, by looking at all of them; −1 where there is none."""
    clocks, valid = frame[clock].view(np.int64), frame.valid(clock)
    mask = (clocks <= time) & (clocks >= floor)
    mask &= True if valid is None else valid
    mask &= True if label is None else frame["instrument"].matches(label)
    return max(np.flatnonzero(mask).tolist(), key=lambda row: (clocks[row], row), default=-1)


@given(datasets(), st.data())
def test_the_row_in_force_is_what_a_search_through_all_rows_finds(dataset, data):
    whole = dataset.read()
    clock = data.draw(st.sampled_from((None, "ts_venue")))
    known = whole[clock or "time"].view(np.int64).tolist()
    moments = st.one_of(st.sampled_from([time for time in known if time > 0] or [START]), st.integers(START - DAY, START + 3 * DAY))
    times = data.draw(st.lists(st.one_of(moments, moments, st.none()), max_size=12))
    lags = data.draw(st.one_of(st.none(), st.lists(st.integers(-DAY, DAY), min_size=1, max_size=3)))
    tolerance = data.draw(st.one_of(st.none(), st.integers(0, DAY)))
    labels = data.draw(st.one_of(st.none(), st.lists(st.sampled_from((*NAMES, "DOGE", None)), min_size=len(times), max_size=len(times))))

    found = dataset.as_of(times, by=labels, lag=lags, tolerance=tolerance, clock=clock, threads=data.draw(st.sampled_from((1, 2))))

    wanted = np.full((len(times), len(lags or (0,))), -1)
    for place, time in enumerate(times):
        for number, lag in enumerate(lags or (0,)):
            label = None if labels is None else labels[place]
            if time is not None and (labels is None or label is not None):
                floor = -(2**63) if tolerance is None else time + lag - tolerance
                wanted[place, number] = in_force(whole, clock or "time", time + lag, floor, label)
    shape = (len(times),) if lags is None else (len(times), len(lags))
    same(found, whole, wanted.reshape(shape), clock or "time")


def same(found: arraystore.AsOf, whole: arraystore.Frame, wanted: np.ndarray, clock: str) -> None:
    """Every column holds what the rows wanted hold, and nulls where there is none."""
    assert found.row.tolist() == wanted.tolist()
    assert found.found.tolist() == (wanted >= 0).tolist()
    there, flat = wanted[wanted >= 0], found.found.reshape(-1)
    assert found.time[found.found].tolist() == whole[clock][there].tolist()
    assert np.isnat(found.time[~found.found]).all()
    assert tuple(found) == tuple(whole)
    for name in whole:
        valid, given = found.frame.valid(name), whole.valid(name)
        valid = np.ones(len(flat), bool) if valid is None else valid
        assert valid[flat].tolist() == (np.ones(len(there), bool) if given is None else given[there]).tolist()
        assert not valid[~flat].any()
        assert found.frame[name][np.flatnonzero(flat)].tolist() == whole[name][there].tolist() or name == "ts_venue"
    assert found["depth"].shape == (*wanted.shape, 2)


def test_quotes_in_force_are_those_that_pandas_joins(trades: arraystore.Dataset) -> None:
    random = np.random.default_rng(5)
    count = 150_000
    data = rows(count)
    data["time"] = START + np.sort(random.integers(0, 3 * DAY, count))
    trades.append(data)
    fills = START + random.integers(-DAY // 10, 3 * DAY, 2_000)
    for tolerance in (None, "1s"):
        found = trades.as_of(fills.view("datetime64[ns]"), ["size", "price"], tolerance=tolerance)
        left = pd.DataFrame({"fill": pd.to_datetime(np.sort(fills))})
        right = pd.DataFrame({"fill": pd.to_datetime(data["time"]), "size": data["size"], "price": data["price"]})
        joined = pd.merge_asof(left, right, on="fill", tolerance=None if tolerance is None else pd.Timedelta(tolerance))
        order = np.argsort(fills)
        for name in ("size", "price"):
            np.testing.assert_array_equal(found[name][order], joined[name].to_numpy())


@pytest.fixture
def store(root: Any) -> arraystore.Store:
    return arraystore.open_store(root, role="data-quality")


class Counted:
    """Chunks that were decoded, by size."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        decode = chunkreads.decode_chunk

        def counted(*args: Any, **options: Any) -> None:
            self.count += 1
            decode(*args, **options)

        monkeypatch.setattr(chunkreads, "decode_chunk", counted)


@pytest.fixture
def long(trades: arraystore.Dataset) -> arraystore.Dataset:
    """Four days of 2,160 trades in chunks of 68 rows, 32 for each column and day."""
    with small_chunks(68 * 8, 68 * 8, 1 << 20), mock.patch.object(writer, "TAIL_BYTES", 0):
        trades.append(rows(4 * DAILY, START, STEP))
    return trades


def test_only_the_chunks_of_rows_in_force_are_decoded(long: arraystore.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counted(monkeypatch)
    time = START + 5_010 * STEP
    found = long.as_of([time, time + SECOND, time - 2 * SECOND], ["price", "size"])
    assert found["size"].tolist() == [5_010, 5_010, 5_009]
    assert counted.count == 3  # one of the clock, one of each column
    long.as_of([START - 1], ["size"])
    assert counted.count == 3
    found = long.as_of([START + DAY - 1, START + 9 * DAY], ["size"], tolerance=STEP)
    assert found.row.tolist() == [DAILY - 1, -1], "the last row of the first day is in force, and nothing after the last day"
    assert counted.count == 5
    found = long.as_of([START + 10 * DAY, START - 1], ["size", "time"])
    assert counted.count == 7, "the clock that was searched is known then"
    assert long.as_of([START + 10 * DAY, START - 1], ["time"])["time"].tolist() == found["time"].tolist() == found.time.tolist()
    assert counted.count == 8


def test_chunks_without_an_instrument_are_not_decoded(store: arraystore.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = store.canonical.create(("venue", "trades", "_all"), arraystore.schema_by_name("trades", all_instruments=True))
    data = rows(2048, step=STEP)
    codes = np.zeros(2048, np.int32)
    codes[5] = 1
    with small_chunks(64 * 8, 64 * 8, 1 << 20), mock.patch.object(writer, "TAIL_BYTES", 0):
        dataset.append(data | {"instrument": Labels(codes, ("BTC", "RARE"))})
        dataset.append(rows(2048, START + DAY, STEP) | {"instrument": Labels(codes * 0, ("BTC",))})
    counted = Counted(monkeypatch)
    found = dataset.as_of([START + 2 * DAY] * 2, ["size"], by=["RARE", "BTC"])
    assert found["size"].tolist() == [5.0, 2047.0]
    assert counted.count == 2 * 3 + 2  # clock, instrument and size of a chunk each; and a set of codes is that of two chunks of the clock
    assert dataset.as_of([START + 2 * DAY], ["size"], by="NONE").found.tolist() == [False]
    assert counted.count == 8
    assert dataset.as_of([START + 2 * DAY], ["size"], by="RARE")["size"].tolist() == [5.0]


def test_markouts_come_by_time_and_lag(long: arraystore.Dataset) -> None:
    found = long.as_of(np.array([START + 2 * STEP, START]), ["size", "side"], lag=["-1s", 0, np.timedelta64(300, "s")], tolerance="39s")
    assert found.shape == (2, 3)
    assert found.lags == (-SECOND, 0, 300 * SECOND)
    np.testing.assert_array_equal(found["size"], [[1, 2, 9], [np.nan, 0, 7]])
    assert found.row.tolist() == [[1, 2, 9], [-1, 0, 7]]
    assert found.valid("side").tolist() == [[True] * 3, [False, True, True]]
    assert long.as_of([START], lag="80s")["size"].tolist() == [2.0]
    assert found.pin.columns == ("size", "side")
    assert long.as_of([], ["size"], lag=["1s"])["size"].shape == (0, 1)


def test_conversions_keep_the_order_of_times_and_tell_lags(long: arraystore.Dataset) -> None:
    found = long.as_of([START + 90 * SECOND, START - SECOND], ["time", "size", "side"], lag=["0s", "40s"])
    frame = found.to_pandas()
    assert frame.columns.tolist() == ["time", "size", "side", "asof_time", "asof_lag_ns"]
    assert frame["side"].isna().tolist() == [False, False, True, False]
    assert frame["asof_lag_ns"].tolist() == [0, STEP, 0, STEP]
    assert frame["asof_time"].tolist()[0] == pd.Timestamp(START + 2 * STEP, tz="UTC")
    table = found.to_arrow()
    assert table["size"].to_pylist() == [2.0, 3.0, None, 0.0]
    assert table["asof_time"].null_count == 1
    assert found.to_polars()["size"].to_list() == [2.0, 3.0, None, 0.0]
    assert long.as_of([START], ["size"]).to_arrow().column_names == ["size", "asof_time"]
    assert repr(found).startswith("AsOf trades: 3 of 2 × 2 found")


def test_times_come_in_any_form(long: arraystore.Dataset) -> None:
    text = ["2024-08-08T00:01:30Z", "2024-08-08T00:00:40"]
    forms = [text, np.array([*text[:1], "2024-08-08T00:00:40Z"]), pd.Series(pd.to_datetime([t.rstrip("Z") for t in text], utc=True))]
    forms.append([START + 90 * SECOND, START + STEP])
    for form in forms:
        assert long.as_of(form, ["size"])["size"].tolist() == [2.0, 1.0]
    assert long.as_of(np.array(["NaT", "2024-08-08"], "datetime64[s]"), ["size"]).row.tolist() == [-1, 0]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"times": 5}, "times"),
        ({"times": ["yesterday"]}, "yesterday"),
        ({"times": [2**63 - 1], "lag": "1s"}, "smaller lag"),
        ({"times": [1], "lag": ["1 fortnight"]}, r"lag\[0\]"),
        ({"times": [1], "lag": 1.5}, "lag"),
        ({"times": [1], "tolerance": "-1s"}, "tolerance"),
        ({"times": [1], "by": ["BTC"]}, "no column instrument"),
        ({"times": [1], "clock": "price"}, "no clock"),
        ({"times": [1], "columns": ["prise"]}, "prise"),
        ({"times": [1], "threads": 0}, "threads"),
    ],
)
def test_what_can_not_be_asked_is_refused(trades: arraystore.Dataset, options: dict[str, Any], told: str) -> None:
    with pytest.raises(arraystore.InvalidInput, match=told):
        trades.as_of(**options)


def test_as_of_stays_at_its_version_and_asks_for_access_first(long: arraystore.Dataset, root: Any) -> None:
    old = long.at(long.version)
    long.replace("2024-08-09", rows(10, START + DAY, SECOND, first=7), reason="fewer")
    assert old.as_of([START + 2 * DAY - 1], ["size"])["size"].tolist() == [2 * DAILY - 1]
    assert long.as_of([START + 2 * DAY - 1], ["size"])["size"].tolist() == [16.0]
    long.withdraw("2024-08-09", reason="gone")
    assert long.as_of([START + 2 * DAY - 1], ["size"])["size"].tolist() == [DAILY - 1]
    log = arraystore.open_store(root, role="data-recording").raw.create(("v", "f", "r"), arraystore.schema_by_name("raw_messages"))
    log._place = replace(log._place, role=arraystore.Role.ANALYSIS)
    with pytest.raises(arraystore.AccessDenied):
        log.as_of([1])


def test_rows_are_numbered_as_read_counts_them(long: arraystore.Dataset) -> None:
    found = long.as_of(START + np.array([3, 1]) * DAY, ["size"])
    for row, size in zip(found.row.tolist(), found["size"].tolist(), strict=True):
        assert long.read(rows=(row, row + 1), columns=["size"])["size"].tolist() == [size]
    within = long.as_of([START + DAY + 5 * STEP], ["size"], window="2024-08-09")
    assert (within.row.tolist(), within["size"].tolist()) == ([5], [DAILY + 5])


@pytest.mark.parametrize("seed", range(6))
def test_an_instrument_is_found_where_no_index_tells_which_chunks_have_it(seed: int) -> None:
    random = np.random.default_rng(seed)
    store = arraystore.open_store(f"memory://as-of-{next(numbered)}", role="data-quality", create=True)
    dataset = store.canonical.create(("venue", "ticks", "_all"), schema("arrival", nullable=bool(seed % 2)))
    limits = [mock.patch.object(module, "CODE_SET_LABELS", 0) for module in (index, segment)]
    with small_chunks(64, 64, 600), mock.patch.object(writer, "TAIL_BYTES", 0), limits[0], limits[1]:
        for part in range(3):
            dataset.append(ticks(random, 50, 50 * part, ordered=False, nullable=bool(seed % 2), step=1))
        whole = dataset.read()
        times = (START + random.integers(0, 2 * DAY, 20)).tolist()
        labels = [(*NAMES, "DOGE")[number] for number in random.integers(0, 4, 20)]
        found = dataset.as_of(times, ["number"], by=labels)
    assert found.row.tolist() == [in_force(whole, "time", time, 0, label) for time, label in zip(times, labels, strict=True)]


def test_what_the_schema_gained_later_is_null_before(trades: arraystore.Dataset) -> None:
    with mock.patch.object(writer, "TAIL_BYTES", 0):
        trades.append(rows(10))
        grown = Column(name="ts_match", kind=Kind.TIME, clock=Clock.OTHER, nullable=True)
        trades.evolve(
            structs.replace(trades.schema, columns=(*trades.schema.columns, grown, Column(name="tag", kind="text", nullable=True)))
        )
        trades.append(rows(10, START + 10 * SECOND) | {"ts_match": START + np.arange(10) * SECOND, "tag": [f"t{row}" for row in range(10)]})
    found = trades.as_of([START + 3 * SECOND, START + 12 * SECOND], ["tag", "size"])
    assert found["tag"].tolist() == [None, "t2"]
    assert found["size"].tolist() == [3.0, 2.0]
    assert trades.as_of([START + 3 * SECOND, START - 1], ["tag"], clock="ts_match")["tag"].tolist() == ["t3", None]


def test_a_damaged_chunk_is_named(long: arraystore.Dataset) -> None:
    storage, segment_path = long._place.storage, long.segments("2024-08-09")[0]
    for name, other in (("time", "size"), ("size", "price")):
        path = f"{segment_path}/{name}/0"
        whole = storage.get(path)
        storage.put(path, storage.get(f"{segment_path}/{other}/0"), durable=False)
        with pytest.raises(arraystore.Corrupt, match=f"{name}/0: chunk 5 is damaged"):
            long.as_of([START + DAY + 5 * 68 * STEP], ["size"])
        storage.put(path, whole, durable=False)
    assert long.as_of([START + DAY + 5 * 68 * STEP], ["size"])["size"].tolist() == [DAILY + 5 * 68]


def test_purged_rows_are_told_as_such(long: arraystore.Dataset, root: Any) -> None:
    old = long.at(long.version)
    arraystore.open_store(root, role="operations").canonical[long.key].purge("2024-08-09", reason="licence ended")
    with pytest.raises(arraystore.Purged, match="licence ended"):
        old.as_of([START + DAY + SECOND], ["size"])
    long.refresh()
    assert long.as_of([START + DAY + SECOND], ["size"])["size"].tolist() == [DAILY - 1]


@pytest.fixture(scope="module")
def recorded(shared_data: Path) -> arraystore.Store:
    """BTCUSDT as it was recorded over a midnight, promoted."""
    url = f"memory://as-of-{next(numbered)}"
    captures = sorted((shared_data / "binance-usdm").glob("usdm_btcusdt_202407*.gz"))
    record(arraystore.open_store(url, role="data-recording", create=True), inspect_captures(captures), recorder="test")
    review(arraystore.open_store(url, role="data-quality"))
    return arraystore.open_store(url, role="backtesting")


@pytest.mark.parametrize("clock", [None, "exchange_time"])
def test_markouts_of_recorded_trades_are_those_that_pandas_joins(recorded: arraystore.Store, clock: str | None) -> None:
    """Quotes as they arrived, by a clock that may step back: pandas sorts them, and keeps ties in order."""
    trades = recorded.canonical["binance-usdm", "trades", "BTCUSDT"].read(columns=[clock or "time"])
    quotes = recorded.canonical["binance-usdm", "quotes", "BTCUSDT"]
    times = trades[clock or "time"]
    found = quotes.as_of(times, ["bid_price", "ask_price"], lag=["0s", "1s", "30s", "-1s"], tolerance="500ms", clock=clock)
    frame = quotes.read(columns=["bid_price", "ask_price", clock or "time"])
    right = pd.DataFrame({"at": frame[clock or "time"], "bid_price": frame["bid_price"], "ask_price": frame["ask_price"]})
    right = right.sort_values("at", kind="stable").reset_index(drop=True)
    for place, lag in enumerate(found.lags):
        left = pd.DataFrame({"at": times + np.timedelta64(lag, "ns"), "place": np.arange(len(times))}).sort_values("at")
        joined = pd.merge_asof(left, right, on="at", tolerance=pd.Timedelta("500ms")).sort_values("place")
        np.testing.assert_array_equal(found["bid_price"][:, place], joined["bid_price"].to_numpy())
        np.testing.assert_array_equal(found["ask_price"][:, place], joined["ask_price"].to_numpy())
    assert 0.5 < found.found.mean() < 1
