"""Datasets and scans as Arrow has them: streams and datasets, with what `read` gives, and no more read than is asked for."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import arraystore
from arraystore.errors import AccessDenied, InvalidInput, NotFound
from arraystore.frames.frame import Frame
from arraystore.frames.intake import rows_from
from arraystore.segments.index import forget_indexes
from arraystore.testing.strategies import differences, rows_of, schemas
from tests.labelled.conftest import DAY, KEY, MINUTE, START, TICKS, ticks

TIME = pa.timestamp("ns", "UTC")


def at(time: int) -> pa.Scalar:
    return pa.scalar(time, TIME)


def test_a_dataset_and_a_scan_are_the_table_that_a_read_is(filled):
    wanted = filled.read().to_arrow()
    assert pa.table(filled).combine_chunks().equals(wanted.combine_chunks()) or pa.table(filled).to_pylist() == wanted.to_pylist()
    assert pa.table(filled).schema == wanted.schema == pa.schema(filled)
    scan = filled.scan(START + DAY, None, ["price", "book"], levels=2, memory=1 << 16)
    assert pa.schema(scan) == filled.read(START + DAY, None, ["price", "book"], levels=2).to_arrow().schema
    assert pa.table(scan).equals(filled.read(START + DAY, None, ["price", "book"], levels=2).to_arrow())
    assert list(scan) == [], "it was gone through"


def test_a_scan_says_what_its_frames_are(filled):
    scan = filled.scan(columns=["book", "time"], levels=(1, 3))
    frames = list(scan)
    assert {frame.schema for frame in frames if frame.schema != scan.schema} == set()
    assert {frame.pin for frame in frames} == {scan.pin}
    closed = filled.scan(memory=1 << 16)
    next(closed)
    closed.close()
    assert list(closed) == []


def test_others_take_a_dataset_as_a_table(filled):
    count = filled.rows
    assert pl.DataFrame(filled).equals(filled.read().to_polars())
    assert pd.DataFrame.from_arrow(filled).shape == (count, len(TICKS.names))
    assert sum(batch.num_rows for batch in pa.RecordBatchReader.from_stream(filled)) == count
    cast = pa.schema([field if field.name != "size" else pa.field("size", pa.float64()) for field in pa.schema(filled)])
    assert pa.RecordBatchReader.from_stream(filled, cast).read_all()["size"].type == pa.float64()


def test_a_stream_reads_as_it_is_taken(root, metering):
    random = np.random.default_rng(1)
    store = arraystore.open_store(root, role="data-quality", opener=metering)
    schema = arraystore.Schema(name="s", columns=(arraystore.Column(name="time", kind="time"), arraystore.Column(name="x")))
    dataset = store.canonical.create(KEY, schema)
    dataset.append({"time": START + np.arange(1_000_000) * 10**6, "x": random.random(1_000_000)})
    metering.since()
    reader = pa.RecordBatchReader.from_stream(dataset.scan(memory=1 << 20, prefetch=0))
    first = reader.read_next_batch()
    assert 0 < first.num_rows < 100_000
    assert metering.since() < dataset.bytes / 4
    reader.close()


@settings(max_examples=15)
@given(schemas().flatmap(rows_of))
def test_rows_come_back_bit_for_bit_from_streams_and_queries(rows):
    store = arraystore.open_store(f"memory://{id(rows)}-{np.random.default_rng().integers(1 << 60)}", role="data-quality", create=True)
    dataset = store.canonical.create(("v", "f", "X"), rows.schema)
    dataset.append(Frame(rows))
    read = dataset.read().rows
    ways = {
        "stream": pa.table(dataset),
        "scan": dataset.scan(memory=1 << 14),
        "arrow dataset": dataset.to_arrow_dataset().to_table(),
        "polars": dataset.to_polars().collect(),
        "streaming polars": dataset.to_polars().collect(engine="streaming"),
    }
    assert {way: found for way, data in ways.items() if (found := differences(rows_from(data, rows.schema), read))} == {}
    other = store.canonical.create(("v", "f", "Y"), rows.schema)
    if rows.count:
        other.append(dataset)
        assert differences(other.read().rows, read) == []


# --- datasets ----------------------------------------------------------------------------------------------------


moments = st.integers(START - MINUTE, START + 3 * DAY)
compared = st.sampled_from([lambda a, b: a >= b, lambda a, b: a > b, lambda a, b: a < b, lambda a, b: a <= b, lambda a, b: a == b])


@st.composite
def filters(draw, times):
    """Filters of times that are there, other times, numbers and labels, joined in every way."""
    leaf = st.one_of(
        st.builds(
            lambda compare, clock, time: compare(pc.field(clock), at(time)),
            compared,
            st.sampled_from(["time", "sent"]),
            st.one_of(moments, st.sampled_from(times)),
        ),
        st.builds(lambda compare, time: compare(pc.field("time"), pa.scalar(time // 10**9, pa.timestamp("s", "UTC"))), compared, moments),
        st.builds(lambda chosen: pc.field("time").isin(pa.array(chosen, TIME)), st.lists(st.sampled_from(times), min_size=1, max_size=3)),
        st.just(pc.field("sent").is_null()),
        st.just(pc.field("time").is_valid()),
        st.just(pc.field("price") > 0.5),
        st.just(pc.field("venue").cast(pa.string()) == "a"),
    )
    found = draw(leaf)
    for _ in range(draw(st.integers(0, 3))):
        other = draw(leaf)
        found = draw(st.sampled_from([found & other, found | other, ~found, ~(found & other)]))
    return found


@given(st.data())
@settings(max_examples=30)
def test_a_filter_leaves_what_it_leaves_of_a_table(everything, data):
    dataset, table, times = everything
    expression = data.draw(filters(times))
    columns = data.draw(
        st.sampled_from([None, ["price"], ["side", "time"], [], {"double": pc.field("price") * 2, "book": pc.field("book")}])
    )
    found, wanted = dataset.to_table(columns=columns, filter=expression), table_of(table, columns, expression)
    assert found.schema.names == wanted.schema.names
    assert found.num_rows == wanted.num_rows == dataset.count_rows(filter=expression)
    assert found.to_pylist() == wanted.to_pylist()


def table_of(table, columns, expression):
    return pads.dataset(table).to_table(columns=columns, filter=expression)


@pytest.fixture(scope="module")
def everything():
    """Three days of ticks in memory: as a dataset of Arrow's, as a table, and some of their times."""
    store = arraystore.open_store("memory://every-filter", role="data-quality", create=True)
    dataset = store.canonical.create(KEY, TICKS, exist_ok=True)
    for day in range(3):
        dataset.append(ticks(120, START + day * DAY, 300 * 10**9, seed=day))
    table = dataset.read().to_arrow()
    return (
        dataset.to_arrow_dataset(),
        table,
        [int(each) for each in np.random.default_rng(1).choice(dataset.read()["time"].view(np.int64), 20)],
    )


def test_what_is_chosen_is_all_that_there_is_to_query(filled):
    data = filled.to_arrow_dataset("2024-08-09", "2024-08-10", ["time", "price"])
    wanted = filled.read("2024-08-09", "2024-08-10", ["time", "price"])
    assert data.schema.names == ["time", "price"]
    assert data.to_table().equals(wanted.to_arrow())
    assert data.count_rows() == wanted.row_count
    early = (pc.field("time") < at(START + DAY // 2)) | (pc.field("time") > at(START + DAY + 4000 * 10**9))
    assert data.to_table(filter=early).num_rows == (wanted["time"].view(np.int64) > START + DAY + 4000 * 10**9).sum()
    assert data.filter(pc.field("price") > 2).count_rows() == 0
    assert data.head(3).equals(data.to_table().slice(0, 3))


def test_a_filter_reads_the_chunks_and_columns_that_it_needs(filled, root, metering):
    dataset = arraystore.open_store(root, role="analysis", opener=metering).canonical[KEY]
    data = dataset.to_arrow_dataset()
    during = (pc.field("time") >= at(START + 10 * MINUTE)) & (pc.field("time") < at(START + 12 * MINUTE))

    def bytes_read(work):
        forget_indexes()
        metering.since()
        work()
        return metering.since()

    needed = bytes_read(lambda: dataset.read(START + 10 * MINUTE, START + 12 * MINUTE, ["time", "price"]))
    assert bytes_read(lambda: data.to_table(columns=["price"], filter=during)) <= needed * 1.05
    assert bytes_read(lambda: data.to_table(columns=["price"])) > needed
    assert bytes_read(data.to_table) > 3 * needed
    assert bytes_read(lambda: data.to_table(filter=pc.field("time") < at(START))) == 0
    assert bytes_read(data.count_rows) == 0


def test_nothing_goes_past_its_scans(filled):
    data = filled.to_arrow_dataset()
    taken = {"schema", "partition_expression", "to_table", "to_batches", "head", "take", "scanner", "count_rows", "filter"}
    refused = {"get_fragments", "replace_schema", "join", "join_asof", "sort_by"}
    assert {name for name in dir(pads.Dataset) if not name.startswith("_")} == taken | refused, "Arrow's datasets have learnt something"
    for name in refused:
        with pytest.raises(InvalidInput, match=r"to_table|to_batches"):
            getattr(data, name)()
    with pytest.raises(OSError, match="scanned-by-its-own-methods"):
        pads.Scanner.from_dataset(data).to_table()
    with pytest.raises(InvalidInput, match="open the store there"):
        pickle.dumps(data)
    assert data.take([5, 2]).num_rows == 2


def test_it_stays_at_its_version_and_within_its_role(filled, root):
    data, lazy, before = filled.to_arrow_dataset(), filled.to_polars(), filled.rows
    filled.append(ticks(7, START + 2 * DAY))
    assert filled.rows == before + 7
    assert data.to_table().num_rows == data.count_rows() == lazy.collect().height == before
    reader = arraystore.open_store(root, role="data-quality").canonical[KEY]
    reader._place = type(reader._place)(
        reader._place.storage, reader._place.storage_class, reader._place.key, arraystore.Role.DATA_RECORDING
    )
    for way in ("to_arrow_dataset", "to_polars", "to_duckdb", "scan", "__arrow_c_stream__", "__arrow_c_schema__"):
        with pytest.raises(AccessDenied):
            getattr(reader, way)()


def test_what_cannot_be_is_told_at_once(filled):
    for way in (filled.to_arrow_dataset, filled.to_polars, filled.to_duckdb):
        with pytest.raises(InvalidInput, match="nonsense"):
            way(columns=["nonsense"])
        with pytest.raises(InvalidInput, match="instruments"):
            way(instruments=["X"])
        with pytest.raises(InvalidInput, match="after end"):
            way(start="2024-08-09", end="2024-08-08")
        with pytest.raises(NotFound, match="2031"):
            way(window="2031-01-01")
