"""Every shipped schema goes out to Arrow, Polars, DuckDB and pandas, and comes back into a new dataset as it was, to the bit."""

import uuid

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pytest

import arraystore
from arraystore.errors import InvalidInput
from arraystore.frames.intake import rows_from
from arraystore.frames.rows import Rows
from arraystore.testing import generate
from arraystore.testing.strategies import differences
from layouts import SCHEMAS, schema_by_name
from layouts.schema import Kind
from tests.frames.test_borders import as_pandas_means

ROWS = 90
OPTIONS = {
    "trades": [{"identifiers": "uint64"}, {"decimals": (2, 5)}, {"all_instruments": True}],
    "book_snapshots": [{"levels": 3}],
    "positions": [{"decimals": (2, 5)}],
}
VARIANTS = [(name, options) for name in SCHEMAS for options in ({}, *OPTIONS.get(name, ()))]
ODD_BITS = [0x7FF8_0000_DEAD_BEEF, 0x7FF0_0000_0000_0001, 1 << 63, 1, 0xFFF8 << 48]  # NaN, another, -0.0, a subnormal, -NaN
ODD = {"float64": np.array(ODD_BITS, np.uint64).view(np.float64)}

WAYS = {
    "a stream": lambda dataset, _: dataset,
    "pyarrow.table": lambda dataset, _: pa.table(dataset),
    "to_arrow_dataset": lambda dataset, _: dataset.to_arrow_dataset().to_table(),
    "polars.DataFrame": lambda dataset, _: pl.DataFrame(dataset),
    "polars.from_arrow": lambda dataset, _: pl.from_arrow(dataset),
    "to_polars": lambda dataset, _: dataset.to_polars().collect(),
    "a relation": lambda dataset, connection: connection.from_arrow(dataset),
    "a table of DuckDB": lambda dataset, connection: table_of_duckdb(connection, dataset),
    "DuckDB to Polars": lambda dataset, connection: connection.from_arrow(dataset).pl(),
    "to_duckdb": lambda dataset, connection: dataset.to_duckdb(connection),
}


def table_of_duckdb(connection, dataset):
    """The dataset in DuckDB's own storage."""
    connection.sql("drop table if exists kept")
    connection.from_arrow(dataset).create("kept")
    return connection.table("kept")


def with_odd_bits(rows):
    """Rows whose floats are NaNs of several payloads, negative zero and subnormal here and there."""
    arrays = dict(rows.arrays)
    for column in rows.schema.columns:
        if column.kind is Kind.NUMBER and column.dtype in ODD and column.name in arrays:
            values, valid = arrays[column.name].copy(), rows.validity(column.name)
            places = np.arange(rows.count)[::7] if valid is None else np.flatnonzero(valid)[::7]
            values[places] = np.resize(ODD[column.dtype], (len(places), *values.shape[1:]))
            arrays[column.name] = values
    return Rows(schema=rows.schema, count=rows.count, arrays=arrays, labels=rows.labels)


@pytest.fixture(scope="module")
def connection():
    with duckdb.connect() as connection:
        yield connection


@pytest.fixture(scope="module", params=VARIANTS, ids=lambda variant: "-".join((variant[0], *variant[1])))
def filled(request):
    """A dataset of a shipped schema over two windows, and its rows."""
    name, options = request.param
    schema = schema_by_name(name, **options)
    rows = with_odd_bits(rows_from(generate(name, ROWS, seed=1, start="2024-12-31T23:59:50", **options), schema))
    dataset = new(schema)
    dataset.append(rows)
    return dataset, rows


def new(schema):
    """An empty dataset."""
    store = arraystore.open_store(f"memory://{uuid.uuid4().hex}", role="data-quality", create=True)
    return store.canonical.create(("venue", "feed", "_all" if "instrument" in schema else "X"), schema)


def test_what_goes_out_comes_back_to_the_bit(filled, connection):
    dataset, rows = filled
    assert {way: found for way, out in WAYS.items() if (found := differences(rows_from(out(dataset, connection), rows.schema), rows))} == {}
    for way in ("a stream", "polars.DataFrame", "to_duckdb"):
        again = new(rows.schema)
        assert again.append(WAYS[way](dataset, connection)).rows == ROWS
        assert differences(again.read().rows, rows) == [], way


def test_what_pandas_and_parquet_of_duckdb_lose_is_what_the_page_says(filled, connection, tmp_path):
    dataset, rows = filled
    lossy = {"DuckDB": connection.from_arrow(dataset).df(), "Polars": pl.DataFrame(dataset).to_pandas(), "ours": dataset.read().to_pandas()}
    meant = as_pandas_means(rows)  # NaN is null where a number may be null
    assert {way: found for way, table in lossy.items() if (found := differences(rows_from(table, rows.schema), meant))} == {}
    connection.from_arrow(dataset).write_parquet(str(tmp_path / "by-duckdb.parquet"))
    back = rows_from(connection.read_parquet(str(tmp_path / "by-duckdb.parquet")), rows.schema)
    assert differences(one_nan(back), one_nan(rows)) == []  # one NaN becomes another


def one_nan(rows):
    """Rows whose NaNs are all of the same bits."""
    arrays = {
        name: np.where(np.isnan(values), np.nan, values) if values.dtype.kind == "f" else values for name, values in rows.arrays.items()
    }
    return Rows(schema=rows.schema, count=rows.count, arrays=arrays, labels=rows.labels)


def test_exact_times_come_instead_of_or_beside_coarse_ones(connection):
    columns = [arraystore.Column(name="time", kind="time"), arraystore.Column(name="seen", kind="time", nullable=True)]
    schema = arraystore.Schema(name="s", columns=(*columns, arraystore.Column(name="seen_ns")))
    times, seen = np.array([-1_500, 1, 1_700_000_000_123_456_789]), [None, 7, 1_999]
    rows = rows_from({"time": times, "seen": seen, "seen_ns": [1.0, 2.0, 3.0]}, schema)
    dataset = new(schema)
    dataset.append(rows)
    assert dataset.to_duckdb(connection).columns == ["time", "time_ns", "seen", "seen_ns_", "seen_ns"]
    for chosen in ("*", "time_ns, seen_ns_, seen_ns", "time_ns as time, seen_ns_ as seen, seen_ns", "time, time_ns, seen_ns_, seen_ns"):
        again = new(schema)
        again.append(dataset.to_duckdb(connection).project(chosen))
        assert differences(again.read().rows, rows) == [], chosen
    coarse = dataset.to_duckdb(connection).project("time, seen, seen_ns").to_arrow_table()
    assert rows_from(coarse, schema).arrays["time"].tolist() == [-2_000, 0, 1_700_000_000_123_456_000]


@pytest.mark.parametrize(
    ("beside", "told"),
    [
        ([1_000, 2_999, 4_000], r"row 2 is 1970-01-01T00:00:00.000004Z where 'seen' is 1970-01-01T00:00:00.000003Z; give one of both"),
        ([1_000, None, 3_000], r"row 1 is null where 'seen' is 1970-01-01T00:00:00.000002Z"),
        ([1_000, 2_000], r"has 2 rows where 'seen' has 3"),
        ([0.5, 2_000, 3_000], r"'seen_ns': row 0: 0.5 can't be taken"),
    ],
)
def test_exact_times_that_say_something_else_are_refused(beside, told):
    schema = arraystore.Schema(
        name="s", columns=(arraystore.Column(name="time", kind="time"), arraystore.Column(name="seen", kind="time", nullable=True))
    )
    seen = np.array([1, 2, 3], "datetime64[us]")
    with pytest.raises(InvalidInput, match=told):
        rows_from({"time": [1, 2, 3], "seen": seen, "seen_ns": beside}, schema)


def test_whole_numbers_that_pandas_made_floats_are_whole_again():
    pd = pytest.importorskip("pandas")
    schema = arraystore.Schema(
        name="s",
        columns=(arraystore.Column(name="time", kind="time"), arraystore.Column(name="n", dtype="uint64", nullable=True)),
    )
    data = pd.DataFrame({"time": [1, 2, 3], "n": [7, None, 2**53 - 1]})
    assert data["n"].dtype == np.float64
    rows = rows_from(data, schema)
    assert rows.arrays["n"].tolist() == [7, 0, 2**53 - 1]
    assert rows.validity("n").tolist() == [True, False, True]
    for value in (0.5, 2.0**53, -1.0, np.inf):
        with pytest.raises(InvalidInput, match="uint64"):
            rows_from(data.assign(n=[value, None, 3.0]), schema)
