"""Rows go out through every border and come back as they were."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import xarray as xr
from hypothesis import given

from arraystore.frames.columns import Decimals, Labels
from arraystore.frames.frame import Frame
from arraystore.frames.intake import rows_from
from arraystore.frames.rows import Rows
from arraystore.testing.strategies import differences, rows_of, schemas
from layouts.schema import Column, Kind, Schema

any_rows = schemas().flatmap(rows_of)


def as_masked(frame):
    """Columns as NumPy's masked arrays, where NumPy has a type for them."""
    return {
        name: np.ma.MaskedArray(value, _mask(frame, name, value)) if isinstance(value, np.ndarray) else value
        for name, value in frame.items()
    }


def _mask(frame, name, value):
    valid = frame.valid(name)
    return np.ma.nomask if valid is None else np.broadcast_to(~valid.reshape(-1, *[1] * (value.ndim - 1)), value.shape)


def as_objects(frame):
    """Columns as lists of Python's own objects; dates and times as NumPy's."""
    listed = {}
    for name, value in frame.items():
        valid = frame.valid(name)
        items = list(value) if isinstance(value, np.ndarray) else value.tolist()
        listed[name] = [item if valid is None or valid[row] else None for row, item in enumerate(items)]
    return listed


def undecoded(frame):
    """A Dataset as `xr.open_zarr(…, decode_cf=False)` finds it in a segment: without what is null throughout."""
    data = frame.to_xarray()
    for name, variable in data.variables.items():
        if variable.dtype.kind == "M":
            data[name] = xr.Variable(variable.dims, variable.values.view(np.int64), variable.attrs | variable.encoding)
    absent = [name for name in frame if name not in frame.rows.arrays]
    return data.drop_vars([array for name in absent for array in (name, f"{name}_count", f"{name}_valid") if array in data])


BORDERS = {
    "frame": lambda frame: frame,
    "rows": lambda frame: frame.rows,
    "mapping": Frame.to_mapping,
    "masked": as_masked,
    "objects": as_objects,
    "xarray": Frame.to_xarray,
    "undecoded": undecoded,
    "decoded": lambda frame: xr.decode_cf(undecoded(frame)),
    "arrow": Frame.to_arrow,
    "chunks": lambda frame: pa.Table.from_batches(frame.to_arrow().to_batches(max_chunksize=3), frame.to_arrow().schema),
    "reader": pa.RecordBatchReader.from_stream,
    "polars": Frame.to_polars,
    "polars columns": lambda frame: {series.name: series for series in frame.to_polars()},
    "arrow columns": lambda frame: dict(zip(frame, frame.to_arrow().columns, strict=True)),
}


@given(any_rows)
def test_rows_come_back_bit_for_bit_through_every_border(rows):
    frame = Frame(rows)
    assert {border: found for border, out in BORDERS.items() if (found := differences(rows_from(out(frame), rows.schema), rows))} == {}


def as_pandas_means(rows):
    """pandas writes null among floats as NaN, so a nullable column has no NaN but null."""
    arrays = dict(rows.arrays)
    for column in rows.schema.columns:
        if (
            column.nullable
            and column.kind is Kind.NUMBER
            and np.dtype(column.dtype).kind == "f"
            and column.name in arrays
            and not column.levels
        ):
            is_nan = np.isnan(arrays[column.name])
            arrays[column.name] = np.where(is_nan, column.null_stand_in, arrays[column.name])
            arrays[f"{column.name}_valid"] = ~is_nan
    return Rows(schema=rows.schema, count=rows.count, arrays=arrays, labels=rows.labels)


@given(any_rows)
def test_rows_come_back_from_pandas_but_for_nan_among_nullable_floats(rows):
    table = Frame(rows).to_pandas()
    for given_back in (table, table.reset_index(), {"time": table.index, **dict(table.items())}):
        assert differences(rows_from(given_back, rows.schema), as_pandas_means(rows)) == []


@pytest.mark.parametrize("border", [name for name in BORDERS if name != "objects"])
def test_odd_bits_survive(border):
    """NaN payloads, signed zeros, subnormals, the ends of int64, bytes that are no text, a payload of 16 MB."""
    schema = Schema(
        name="odd",
        columns=(
            Column(name="time", kind="time"),
            Column(name="wide"),
            Column(name="narrow", dtype="float32"),
            Column(name="signed", dtype="int64"),
            Column(name="unsigned", dtype="uint64"),
            Column(name="when", kind="time", clock="other"),
            Column(name="exact", kind="decimal", places=18),
            Column(name="payload", kind="bytes"),
        ),
    )
    wide = np.array([0x7FF8_0000_DEAD_BEEF, 0x7FF0_0000_0000_0001, 1 << 63, 1, 0xFFF8 << 48], np.uint64).view(np.float64)
    narrow = np.array([0x7FC0_BEEF, 0x7F80_0001, 1 << 31, 1, 0xFFC0_0000], np.uint32).view(np.float32)
    ends = [-(2**63), 2**63 - 1, 0, -1, 1]
    big = np.random.default_rng(1).integers(0, 256, 16 << 20, np.uint8).tobytes()
    data = {
        "time": [1, 1, 2, 3, 4],
        "wide": wide,
        "narrow": narrow,
        "signed": np.array(ends),
        "unsigned": np.array([0, 2**64 - 1, 2**63, 1, 2], np.uint64),
        "when": np.array([-(2**63) + 1, 2**63 - 1, 0, -1, 1]),
        "exact": Decimals(np.array(ends), 18),
        "payload": [b"", big, b"\xff\xfe", b"\x00", "é".encode()],
    }
    rows = rows_from(data, schema)
    assert rows.arrays["wide"].tobytes() == wide.tobytes()
    assert rows.arrays["narrow"].tobytes() == narrow.tobytes()
    assert rows.arrays["signed"].tolist() == ends
    again = rows_from(BORDERS[border](Frame(rows)), schema)
    assert differences(again, rows) == []


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("count", [0, 1, 3])
def test_none_one_and_a_few_rows_come_back(border, count, rows):
    part = rows.slice(0, count)
    assert differences(rows_from(BORDERS[border](Frame(part)), rows.schema), part) == []


def test_arrow_gets_the_types_that_other_libraries_expect(frame):
    text = pa.string()
    assert {field.name: field.type for field in frame.to_arrow().schema} == {
        "time": pa.timestamp("ns", "UTC"),
        "exchange_time": pa.timestamp("ns", "UTC"),
        "price": pa.float64(),
        "count": pa.uint32(),
        "is_maker": pa.bool_(),
        "side": pa.dictionary(pa.int32(), text),
        "flags": pa.uint8(),
        "instrument": pa.dictionary(pa.int32(), text),
        "fee": pa.decimal128(19, 4),
        "note": pa.large_string(),
        "payload": pa.large_binary(),
        "bids": pa.list_(pa.float64(), 2),
    }
    table = frame.to_arrow()
    table.validate(full=True)
    assert [field.nullable for field in table.schema] == [column.nullable for column in frame.schema.columns]
    assert table["side"].to_pylist() == ["buy", None, "sell"]
    assert [str(fee) for fee in table["fee"].to_pylist()] == ["0.0001", "None", "-12.5000"]
    assert table["payload"].to_pylist() == [b"\xff\x00", None, b""]
    assert table["bids"].to_pylist()[1] is None


def test_one_column_goes_to_arrow_by_itself(frame):
    assert frame["note"].to_arrow().to_pylist() == ["héllo", None, ""]
    assert frame["instrument"].to_arrow().to_pylist() == ["BTC/USDT", None, "日経"]
    assert [str(fee) for fee in frame["fee"].to_arrow().to_pylist()] == ["0.0001", "None", "-12.5000"]
    assert pa.table(frame)["note"].to_pylist() == frame["note"].tolist()


def test_pandas_gets_an_index_in_utc_and_types_that_know_null(frame):
    table = frame.to_pandas()
    assert table.index.equals(pd.DatetimeIndex(frame["time"], tz="UTC"))
    assert table.index.name == "time"
    assert str(table.index.dtype) == str(table.dtypes["exchange_time"]) == "datetime64[ns, UTC]"
    assert {name: str(dtype) for name, dtype in table.dtypes.items() if name in ("price", "count", "is_maker", "flags")} == {
        "price": "float64",
        "count": "UInt32",
        "is_maker": "boolean",
        "flags": "UInt8",
    }
    assert table["side"].tolist()[::2] == ["buy", "sell"]
    assert isinstance(table["instrument"].dtype, pd.CategoricalDtype)
    assert table.drop(columns="price").iloc[1].isna().all()
    assert table["note"].tolist()[0] == "héllo"


def test_polars_gets_the_same_values(frame):
    table = frame.to_polars()
    assert isinstance(table, pl.DataFrame)
    assert table["note"].to_list() == ["héllo", None, ""]
    assert table["side"].to_list() == ["buy", None, "sell"]
    assert table["bids"].to_list()[0] == [1.0, 2.0]
    assert table.schema["time"] == pl.Datetime("ns", "UTC")


def test_xarray_gets_the_variables_of_a_segment(frame, rows):
    data = frame.to_xarray()
    assert dict(data.sizes) == {"time": 3, "note_byte": 6, "payload_byte": 2, "level": 2}
    assert set(data.coords) == {"time"}
    assert data["time"].dtype == np.dtype("datetime64[ns]")
    assert data["instrument"].attrs["labels"] == ["BTC/USDT", "日経"]
    assert data["side"].attrs == {"flag_values": [1, -1, 0], "flag_meanings": "buy sell none"}
    assert data["price"].attrs["units"] == "USD"
    assert data["note_count"].attrs["sample_dimension"] == "note_byte"
    assert data["price_valid"].values.tolist() == [True, False, True]
    assert np.shares_memory(data["price"].values, rows.arrays["price"])
    assert data.sel(time="2024-01-01T00:00:00.000000001").sizes["time"] == 2


def test_what_arrow_can_hold_goes_in_and_out_without_a_copy(rows):
    solid = rows.take(np.array([0, 2]))
    table = Frame(solid).to_arrow()
    back = rows_from(table, rows.schema)
    for name in ("time", "exchange_time", "price", "count", "instrument", "note", "payload", "bids"):
        assert np.shares_memory(back.arrays[name], solid.arrays[name]), name


def test_numpy_columns_of_the_right_type_are_not_copied(schema):
    data = {
        "time": np.arange(4),
        "exchange_time": np.arange(4).view("datetime64[ns]"),
        "price": np.ones(4),
        "bids": np.ones((4, 2)),
        "side": np.ones(4, np.int8),
        "flags": np.zeros(4, np.uint8),
    }
    rows = rows_from(data, schema)
    assert all(np.shares_memory(rows.arrays[name], values) for name, values in data.items())
    labels = Labels(np.zeros(4, np.int32), ("a",))
    again = rows_from({"time": np.arange(4), "instrument": labels}, schema)
    assert np.shares_memory(again.arrays["instrument"], labels.codes)
