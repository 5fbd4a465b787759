"""HDF5 files come in: our own exports bit for bit, pandas' tables, and anybody's datasets by a mapping."""

import uuid

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import arraystore
from arraystore.errors import Corrupt, InvalidInput, NotFound, Unsupported
from arraystore.hdf5 import contents, importing
from arraystore.testing.strategies import differences, rows_of, schemas
from layouts import SCHEMAS, Column, Schema

BARS = Schema(name="bars", columns=(Column(name="time", kind="time"), Column(name="close"), Column(name="note", kind="text")))


@pytest.mark.parametrize("name", SCHEMAS)
def test_an_export_comes_back_bit_for_bit(dataset_of, store, tmp_path, name):
    dataset = dataset_of(name, 700)
    path = arraystore.export_hdf5(tmp_path / "out.h5", dataset).path
    key = (*dataset.key[:-1], f"{dataset.key[-1]}-again")
    receipt = arraystore.import_hdf5(path, store.canonical, key)
    again = store.canonical[key]
    assert receipt.version == again.version
    assert again.schema == dataset.schema
    assert differences(again.read().rows, dataset.read().rows) == []


@settings(max_examples=25)
@given(data=st.data(), flavor=st.sampled_from(["portable", "fast"]))
def test_any_rows_of_any_schema_come_back_bit_for_bit(tmp_path_factory, data, flavor):
    store = arraystore.open_store(f"memory://{uuid.uuid4().hex}", role="data-quality", create=True)
    schema = data.draw(schemas())
    dataset = store.canonical.create(("venue", "any", "X"), schema)
    for _ in range(data.draw(st.integers(1, 2))):
        dataset.append(data.draw(rows_of(schema)))
    path = tmp_path_factory.mktemp("any") / "out.h5"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contents, "CHUNK_BYTES", data.draw(st.sampled_from([16, 256, 1 << 18])))
        patch.setattr(importing, "BATCH_ROWS", data.draw(st.sampled_from([7, 1 << 20])))
        arraystore.export_hdf5(path, dataset, flavor=flavor)
        arraystore.import_hdf5(path, store.canonical, ("venue", "any", "Y"))
    assert differences(store.canonical["venue", "any", "Y"].read().rows, dataset.read().rows) == []


def test_a_key_and_a_group_are_found_in_the_file(dataset_of, tmp_path):
    trades, quotes = dataset_of("trades", 300), dataset_of("quotes", 300)
    path = arraystore.export_hdf5(tmp_path / "out.h5", [trades, quotes]).path
    other = arraystore.open_store(f"memory://{uuid.uuid4().hex}", role="data-quality", create=True)
    with pytest.raises(NotFound, match="canonical/venue/trades/BTCUSDT"):
        arraystore.import_hdf5(path, other.canonical)
    arraystore.import_hdf5(path, other.canonical, group="canonical/venue/trades/BTCUSDT")
    assert differences(other.canonical[trades.key].read().rows, trades.read().rows) == []


def test_a_changed_export_is_refused_whole(dataset_of, store, tmp_path):
    dataset = dataset_of("trades", 300)
    path = arraystore.export_hdf5(tmp_path / "out.h5", dataset).path
    with h5py.File(path, "r+") as file:
        file["price"][17] += 1
    with pytest.raises(Corrupt, match="/price holds other values"):
        arraystore.import_hdf5(path, store.canonical, ("venue", "trades", "again"))
    assert store.canonical["venue", "trades", "again"].rows == 0
    with h5py.File(path, "r+") as file:
        file["price"].resize((17,))
    with pytest.raises(Corrupt, match="rows"):
        arraystore.open_hdf5(path)
    with h5py.File(path, "r+") as file:
        file.attrs["arraystore_schema"] = "{}"
    with pytest.raises(Corrupt, match="columns"):
        arraystore.open_hdf5(path)
    with h5py.File(path, "r+") as file:
        file.attrs["format"] = "arraystore-hdf5-9"
    with pytest.raises(Unsupported, match="hdf5-9"):
        arraystore.open_hdf5(path)


@pytest.mark.parametrize("form", ["table", "fixed"])
def test_tables_of_pandas_come_in(store, tmp_path, form):
    index = pd.date_range("2024-01-01", periods=500, freq="s", tz="UTC", name="time")
    frame = pd.DataFrame({"close": np.random.default_rng(0).normal(size=500), "note": [f"row {n}" for n in range(500)]}, index=index)
    frame.to_hdf(tmp_path / "bars.h5", key="bars/one", format=form)
    arraystore.import_hdf5(tmp_path / "bars.h5", store.canonical, ("venue", "bars", "X"), schema=BARS)
    found = store.canonical["venue", "bars", "X"].read()
    assert found["close"].tobytes() == frame["close"].to_numpy().tobytes()
    assert found["note"].tolist() == frame["note"].tolist()
    assert found["time"].tobytes() == index.tz_localize(None).to_numpy().astype("datetime64[ns]").tobytes()
    with pytest.raises(InvalidInput, match="schema"):
        arraystore.import_hdf5(tmp_path / "bars.h5", store.canonical, ("venue", "bars", "Y"))
    with pytest.raises(InvalidInput, match="key"):
        arraystore.import_hdf5(tmp_path / "bars.h5", store.canonical, schema=BARS)


@pytest.mark.parametrize(("unit", "dtype", "scale"), [("us", "i8", 1_000), ("s", "f8", 10**9), ("ms", "u4", 10**6), ("ns", "i8", 1)])
def test_datasets_of_any_file_come_in_by_a_mapping(store, tmp_path, unit, dtype, scale):
    times, close = np.arange(100, dtype=dtype), np.random.default_rng(0).normal(size=100)
    with h5py.File(tmp_path / "any.h5", "w") as file:
        file["bars/t"] = times
        file["bars/table"] = np.array(list(zip(close, range(100), strict=True)), [("c", "f8"), ("n", "i4")])
        file["bars/remark"] = [f"日本 {n}" for n in range(100)]
    mapping = {"time": "t", "close": "table:c", "note": "remark"}
    key = ("venue", "bars", "X")
    arraystore.import_hdf5(tmp_path / "any.h5", store.canonical, key, group="bars", schema=BARS, mapping=mapping, times={"time": unit})
    found = store.canonical[key].read()
    assert found["time"].view(np.int64).tolist() == [int(time) * scale for time in times]
    assert found["close"].tobytes() == close.tobytes()
    assert found["note"].tolist() == [f"日本 {n}" for n in range(100)]


def test_what_no_mapping_can_be_is_told(tmp_path):
    with h5py.File(tmp_path / "any.h5", "w") as file:
        file["t"], file["short"], file["cube"], file["huge"] = np.arange(9), np.arange(3), np.zeros((2, 2, 2)), [2.0**62]
    path = tmp_path / "any.h5"
    for mapping, told in (
        ({"time": "t", "close": "short"}, "different lengths"),
        ({"time": "cube"}, "one or two dimensions"),
        ({"time": "t:field"}, "no field"),
        ({}, "names no column"),
    ):
        with pytest.raises(InvalidInput, match=told):
            arraystore.open_hdf5(path, mapping=mapping)
    with pytest.raises(NotFound, match="'nothing'"):
        arraystore.open_hdf5(path, mapping={"time": "nothing"})
    with pytest.raises(InvalidInput, match="one of ns"):
        arraystore.open_hdf5(path, mapping={"time": "t"}, times={"time": "hours"})
    with pytest.raises(InvalidInput, match="292 years"):
        list(arraystore.open_hdf5(path, mapping={"time": "huge"}, times={"time": "s"}).batches())
    with pytest.raises(InvalidInput, match="mapping="):
        arraystore.open_hdf5(path)
    with pytest.raises(NotFound):
        arraystore.open_hdf5(tmp_path / "absent.h5")
    (tmp_path / "text.h5").write_text("no HDF5")
    with pytest.raises(InvalidInput, match="isn't an HDF5 file"):
        arraystore.open_hdf5(tmp_path / "text.h5")
