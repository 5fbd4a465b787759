"""Lazy Polars over datasets: what an eager frame gives, from the chunks that a query needs."""

import sys
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import arraystore
from arraystore.errors import InvalidInput
from arraystore.segments.index import forget_indexes
from arraystore.tabular.wanted import Wanted, wanted_by
from tests.labelled.conftest import DAY, KEY, MINUTE, START, TICKS, ticks

ZERO = datetime(2024, 8, 8, tzinfo=UTC)
when, sent = pl.col("time"), pl.col("sent")


def exact(time: int) -> pl.Expr:
    return pl.lit(time).cast(pl.Datetime("ns", "UTC"))


@pytest.mark.parametrize(
    ("predicate", "clock", "start", "stop"),
    [
        (when >= ZERO, "time", START, None),
        (exact(START + 5) < when, "time", START + 5, None),
        (when.is_between(ZERO, ZERO + timedelta(minutes=1)), "time", START, START + MINUTE + 1),
        ((pl.col("price") > 3) & (when < exact(START)), "time", None, START),
        ((when < ZERO) | (when > ZERO + timedelta(days=1)), None, None, None),
        ((when == exact(START)) | (when == exact(START + 9)), "time", START, START + 10),
        (when.cast(pl.Datetime("ms", "UTC")) == ZERO, "time", START, START + 1_000_000),
        (when < exact(-(2**63)), "time", None, -(2**63)),
        (sent <= exact(START), "sent", None, START + 1),
        (~(when > ZERO), None, None, None),
        (when.dt.date() == date(2024, 8, 8), None, None, None),
        (when > sent, None, None, None),
        (when != ZERO, None, None, None),
        (when > pl.lit(None), None, None, None),
    ],
)
def test_what_a_predicate_leaves_of_clocks_is_told(predicate, clock, start, stop):
    found = wanted_by(predicate, TICKS)
    assert (found.clock, found.start) == (clock, start)
    assert found.stop == stop or (stop is not None and stop <= found.stop <= stop + 1), found


@pytest.mark.parametrize(
    ("predicate", "wanted"),
    [
        (pl.col("instrument") == "A", ("A",)),
        (pl.col("instrument").is_in(["A", "B"]) & (pl.col("price") > 0), ("A", "B")),
        ((pl.col("instrument") == "A") | (pl.lit("C") == pl.col("instrument")), ("A", "C")),
        ((pl.col("instrument") == "A") & pl.col("instrument").is_in(["B"]), ()),
        ((pl.col("instrument") == "A") | (pl.col("price") > 0), None),
        (pl.col("instrument") != "A", None),
    ],
)
def test_what_a_predicate_leaves_of_instruments_is_told(predicate, wanted):
    assert wanted_by(predicate, arraystore.schema_by_name("trades", all_instruments=True)) == Wanted(instruments=wanted)


moments = st.integers(START - MINUTE, START + 3 * DAY)


@st.composite
def predicates(draw, times):
    """Predicates of clocks, numbers and labels, joined in every way."""
    compared = st.sampled_from([pl.Expr.__ge__, pl.Expr.__gt__, pl.Expr.__lt__, pl.Expr.__le__, pl.Expr.__eq__, pl.Expr.__ne__])
    time = st.one_of(moments, st.sampled_from(times))
    microseconds = time.map(lambda t: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=t // 1000))
    leaf = st.one_of(
        st.builds(lambda compare, clock, t: compare(pl.col(clock), exact(t)), compared, st.sampled_from(["time", "sent"]), time),
        st.builds(lambda compare, t: compare(exact(t), when), compared, time),
        st.builds(lambda compare, t: compare(when, pl.lit(t)), compared, microseconds),
        st.builds(
            lambda a, b, closed: when.is_between(a, b, closed=closed),
            microseconds,
            microseconds,
            st.sampled_from(["both", "left", "right", "none"]),
        ),
        st.builds(lambda compare, t: compare(when.cast(pl.Datetime("ms", "UTC")), pl.lit(t)), compared, microseconds),
        st.just(when.dt.hour() < 3),
        st.just(sent.is_null()),
        st.just(pl.col("price") > 0.5),
        st.just(pl.col("venue") == "a"),
    )
    found = draw(leaf)
    for _ in range(draw(st.integers(0, 3))):
        other = draw(leaf)
        found = draw(st.sampled_from([found & other, found | other, ~found]))
    return found


@pytest.fixture(scope="module")
def everything():
    store = arraystore.open_store("memory://every-predicate", role="data-quality", create=True)
    dataset = store.canonical.create(KEY, TICKS, exist_ok=True)
    for day in range(3):
        dataset.append(ticks(120, START + day * DAY, 300 * 10**9, seed=day))
    times = dataset.read()["time"].view(np.int64)
    return dataset, dataset.read().to_polars(), [int(each) for each in np.random.default_rng(1).choice(times, 20)]


@given(st.data())
@settings(max_examples=30)
def test_a_lazy_query_gives_what_an_eager_one_gives(everything, data):
    dataset, eager, times = everything
    predicate = data.draw(predicates(times))
    start = data.draw(st.sampled_from([None, START + DAY // 3]))
    base = eager if start is None else eager.filter(exact(start) <= when)
    lazy = dataset.to_polars(start)
    engine = data.draw(st.sampled_from(["in-memory", "streaming"]))
    for query in (
        lambda frame: frame.filter(predicate),
        lambda frame: frame.filter(predicate).select("price", "note"),
        lambda frame: frame.head(50).filter(predicate),
        lambda frame: frame.filter(predicate).head(7),
        lambda frame: frame.filter(predicate).select(pl.len(), pl.col("size").max()),
    ):
        assert query(lazy).collect(engine=engine).equals(query(base.lazy()).collect())


def test_a_query_reads_the_chunks_columns_and_rows_that_it_needs(filled, root, metering):
    dataset = arraystore.open_store(root, role="analysis", opener=metering).canonical[KEY]
    lazy = dataset.to_polars()
    during = when.is_between(ZERO + timedelta(minutes=10), ZERO + timedelta(minutes=12), closed="left")

    def bytes_read(work):
        forget_indexes()
        metering.since()
        work()
        return metering.since()

    needed = bytes_read(lambda: dataset.read(START + 10 * MINUTE, START + 12 * MINUTE, ["time", "price"]))
    assert bytes_read(lambda: lazy.filter(during).select(pl.col("price").mean()).collect()) <= needed * 1.05
    assert bytes_read(lambda: lazy.filter(when < ZERO).collect()) == 0
    everything = bytes_read(lazy.collect)
    assert everything > 3 * needed
    assert bytes_read(lambda: lazy.select("price").head(3).collect()) < everything / 3


def test_instruments_are_chosen_by_chunks(root, metering):
    store = arraystore.open_store(root, role="data-quality", opener=metering)
    dataset = store.canonical.create(("venue", "trades", "_all"), arraystore.schema_by_name("trades", all_instruments=True))
    names = np.repeat(["A", "B", "C"], 60_000)
    count = len(names)
    rows = {
        "price": np.random.default_rng(1).random(count),
        "size": np.ones(count),
        "side": np.ones(count, np.int8),
        "flags": np.zeros(count, np.uint32),
    }
    dataset.append({"time": START + np.arange(count), "instrument": names, **rows})
    forget_indexes()
    metering.since()
    found = dataset.to_polars().filter(pl.col("instrument") == "B").select("price").collect()
    assert np.array_equal(found["price"].to_numpy(), rows["price"][60_000:120_000])
    assert metering.since() < dataset.bytes * 0.75


def test_frames_come_in_and_lazy_ones_batch_by_batch(root):
    store = arraystore.open_store(root, role="data-quality")
    columns = (arraystore.Column(name="time", kind="time"), arraystore.Column(name="x"))
    dataset = store.canonical.create(KEY, arraystore.Schema(name="s", columns=columns))
    frame = pl.DataFrame({"time": START + np.arange(200_000), "x": np.random.default_rng(1).random(200_000)})
    frame.slice(0, 100_000).write_parquet(root / "x.parquet")
    dataset.append_stream(pl.scan_parquet(root / "x.parquet").collect_batches(maintain_order=True))
    dataset.append_stream(frame.slice(100_000), piece_bytes=1 << 18)
    dataset.append(frame.slice(0, 0))
    assert dataset.version == 3
    assert np.array_equal(dataset.read()["x"], frame["x"].to_numpy())


def test_a_stream_that_breaks_leaves_nothing(filled):
    def batches():
        yield from filled.read().to_arrow().to_batches(max_chunksize=1000)
        raise ValueError("the other side went away")

    reader = pa.RecordBatchReader.from_batches(filled.read().to_arrow().schema, batches())
    version = filled.version
    with pytest.raises(InvalidInput, match="went away"):
        filled.append_stream(reader, sort=True, piece_bytes=1 << 16)
    assert filled.refresh().version == version


def test_without_polars_the_extra_is_named(filled, monkeypatch):
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(InvalidInput, match=r"arraystore\[polars\]"):
        filled.to_polars()
