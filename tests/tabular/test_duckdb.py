"""SQL over datasets: the answers of a table, from the chunks that a query needs."""

import sys

import numpy as np
import pyarrow as pa
import pytest

import arraystore
from arraystore.errors import InvalidInput
from arraystore.frames.intake import rows_from
from arraystore.segments.index import forget_indexes
from arraystore.tabular.arrowdata import ArrowData
from arraystore.testing.strategies import differences
from layouts.times import format_time
from tests.labelled.conftest import KEY, MINUTE, START, TICKS

duckdb = pytest.importorskip("duckdb", reason="DuckDB is an extra: pip install 'arraystore[duckdb]'")


@pytest.fixture
def connection():
    with duckdb.connect() as connection:
        yield connection


def test_a_query_of_a_range_reads_the_chunks_and_columns_that_it_needs(filled, root, metering, connection):
    dataset = arraystore.open_store(root, role="analysis", opener=metering).canonical[KEY]
    first, last = START + 10 * MINUTE, START + 12 * MINUTE
    ds = dataset.to_duckdb(connection)
    assert ds.columns[:2] == ["time", "time_ns"]

    def bytes_read(work):
        forget_indexes()
        metering.since()
        return work(), metering.since()

    wanted, needed = bytes_read(lambda: dataset.read(first, last + 1, ["time", "price"])["price"])
    for where in (
        f"time between '{format_time(first)}' and '{format_time(last)}'",
        f"time >= '{format_time(first)}' and time_ns <= {last}",
        f"time_ns between {first} and {last}",
    ):
        ((found, count),), read = bytes_read(lambda: ds.query("ds", f"select avg(price), count(*) from ds where {where}").fetchall())  # noqa: B023
        assert (found, count) == (pytest.approx(wanted.mean(), rel=1e-12), len(wanted)), where
        assert read <= needed * 1.05, where
    _, everything = bytes_read(ds.fetchall)
    assert everything > 3 * needed
    _, capsule = bytes_read(lambda: connection.from_arrow(dataset).aggregate("avg(price)").fetchall())
    assert capsule > 3 * needed, "a stream by itself knows nothing of queries"


def test_which_filters_duckdb_hands_on(filled, connection, monkeypatch):
    """Of nanoseconds none, which is why `to_duckdb` shows microseconds and whole numbers: when this fails, DuckDB has learnt it."""
    asked, scanner = [], ArrowData.scanner

    def recorded(self, columns=None, filter=None, **options):  # noqa: A002 - as Arrow calls it
        asked.append((columns, None if filter is None else str(filter)))
        return scanner(self, columns, filter, **options)

    monkeypatch.setattr(ArrowData, "scanner", recorded)
    connection.register("exact", filled.to_arrow_dataset())
    ds = filled.to_duckdb(connection)
    when = "2024-08-09 01:00:00"
    for text, expected in (
        (f"from exact select price where time >= '{when}'", (["time", "price"], None)),
        (f"from exact select price where epoch_ns(time) >= {START + 7}", (["time", "price"], None)),
        (f"from exact select price where side = 'buy' and time >= '{when}'", (["time", "price"], '(side == "buy")')),
        (f"from ds select price where time >= '{when}'", (["price"], f"(time >= {when}.000000)")),
        (f"from ds select price where time_ns >= {START + 7}", (["price"], f"(time_ns >= {START + 7})")),
    ):
        asked.clear()
        assert ds.query("ds", text).fetchall()
        assert asked == [expected], text


def test_queries_answer_as_of_a_table(filled, connection):
    ds, plain = filled.to_duckdb(connection), filled.read().to_arrow()
    for name in ("time", "sent"):
        plain = plain.set_column(plain.schema.names.index(name), name, plain[name].cast(pa.timestamp("us"), safe=False))
    for query in (
        "select count(*), sum(size), max(count) from {} where side = 'buy' and time > '2024-08-09'",
        "select venue, count(*), avg(price) from {} group by venue order by all",
        "select count(*) from {} where sent is null or time < '2024-08-08 01:00'",
        "select date_trunc('hour', time) as hour, count(*) from {} group by hour order by hour",
        "select note, payload, fee, book from {} where count is null and time >= '2024-08-10' order by time limit 50",
        "select count(*) from {} where not (time between '2024-08-08' and '2024-08-09 03:00')",
    ):
        wanted = connection.from_arrow(plain).query("plain", query.format("plain")).fetchall()
        assert ds.query("ds", query.format("ds")).fetchall() == wanted, query


def test_times_are_rounded_down_and_exact_beside(connection):
    store = arraystore.open_store("memory://rounded", role="data-quality", create=True)
    columns = (
        arraystore.Column(name="time", kind="time"),
        arraystore.Column(name="seen", kind="time", nullable=True),
        arraystore.Column(name="seen_ns"),
    )
    dataset = store.canonical.create(KEY, arraystore.Schema(name="s", columns=columns), exist_ok=True)
    times = [-1_500, -1, 0, 999, 1_000, 1_700_000_000_123_456_789]
    dataset.append({"time": times, "seen": [None, *times[1:]], "seen_ns": [0.0] * 6})
    relation = dataset.to_duckdb(connection)
    assert relation.columns == ["time", "time_ns", "seen", "seen_ns_", "seen_ns"]
    found = relation.project("time_ns, epoch_us(time), seen_ns_, epoch_us(seen)").fetchall()
    assert found == [(t, t // 1000, None if t == -1500 else t, None if t == -1500 else t // 1000) for t in times]
    assert relation.filter("time = '1970-01-01'").project("time_ns").fetchall() == [(0,), (999,)]
    assert relation.filter("seen < '1970-01-01'").project("seen_ns_").fetchall() == [(-1,)]


def test_rows_come_in_from_queries_and_go_out_to_them_bit_for_bit(filled, connection):
    back = rows_from(connection.sql("select * from filled").to_arrow_table(), TICKS)
    assert differences(back, filled.read().rows) == []


def test_a_relation_is_appended_batch_by_batch(root, connection):
    store = arraystore.open_store(root, role="data-quality")
    columns = (arraystore.Column(name="time", kind="time"), arraystore.Column(name="x"), arraystore.Column(name="label", kind="dictionary"))
    dataset = store.canonical.create(KEY, arraystore.Schema(name="s", columns=columns))
    relation = connection.sql(f"select {START} + i * 1000 as time, i / 3 as x, 'l' || (i % 5) as label from range(300_000) t(i)")
    receipt = dataset.append_stream(relation, piece_bytes=1 << 20)
    assert (receipt.version, receipt.rows) == (2, 300_000)
    assert len(dataset.manifest("2024-08-08").segments) > 1
    read = dataset.read()
    assert np.array_equal(read["x"], np.arange(300_000) / 3)
    assert read["label"][:6].tolist() == ["l0", "l1", "l2", "l3", "l4", "l0"]
    with pytest.raises(InvalidInput, match="before"):
        dataset.append(connection.sql(f"select {START} - i as time, 0.0 as x, 'l' as label from range(300_000) t(i)"))
    assert dataset.append(relation.limit(0)).version == 2


def test_what_is_missing_or_wrong_is_told(filled, monkeypatch):
    with pytest.raises(InvalidInput, match=r"duckdb\.connect"):
        filled.to_duckdb("file.db")
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(InvalidInput, match=r"arraystore\[duckdb\]"):
        filled.to_duckdb()
