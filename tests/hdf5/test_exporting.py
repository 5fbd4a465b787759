"""What an export holds, as h5py, xarray, netCDF and pandas read it; and that it appears whole or not at all."""

import errno

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import arraystore
from arraystore.errors import AlreadyExists, Corrupt, InvalidInput, NotFound, StorageError
from arraystore.hdf5 import contents, writing
from arraystore.hdf5.filters import Blosc, Gzip
from layouts import SCHEMAS, Column, Schema

DTYPES = ("int8", "uint16", "int32", "float32", "int64", "float64", "uint8")


@pytest.mark.parametrize("filters", [Gzip(), Blosc()], ids=["portable", "fast"])
@settings(max_examples=30)
@given(data=st.data())
def test_a_chunk_encoded_here_is_one_that_hdf5_decodes_and_the_other_way_round(tmp_path_factory, filters, data):
    dtype = np.dtype(data.draw(st.sampled_from(DTYPES)))
    content = data.draw(st.binary(min_size=dtype.itemsize, max_size=600))
    elements = np.frombuffer(content[: len(content) // dtype.itemsize * dtype.itemsize], dtype)
    path = tmp_path_factory.mktemp("chunk") / "chunk.h5"
    with h5py.File(path, "w") as file:
        ours = file.create_dataset("ours", shape=elements.shape, chunks=elements.shape, dtype=dtype, **filters.options(dtype))
        stored, mask = filters.encode(elements)
        ours.id.write_direct_chunk((0,), stored, mask)
        file.create_dataset("theirs", data=elements, chunks=elements.shape, **filters.options(dtype))
    with h5py.File(path) as file:
        assert file["ours"][:].tobytes() == elements.tobytes()
        mask, stored = file["theirs"].id.read_direct_chunk((0,))
        out = np.empty(elements.shape, dtype)
        filters.decode(stored, mask, out)
        assert out.tobytes() == elements.tobytes()


@pytest.mark.parametrize("filters", [Gzip(), Blosc()], ids=["portable", "fast"])
def test_a_flipped_bit_of_a_chunk_is_found(filters):
    elements = np.cumsum(np.random.default_rng(0).integers(0, 9, 512))
    stored, mask = filters.encode(elements)
    for place in range(0, len(stored), 7):
        changed = bytearray(stored)
        changed[place] ^= 1 << place % 8
        with pytest.raises(Corrupt):
            filters.decode(bytes(changed), mask, np.empty_like(elements))


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_schema_reads_in_h5py_with_the_values_of_the_store(dataset_of, tmp_path, monkeypatch, name):
    monkeypatch.setattr(contents, "CHUNK_BYTES", 4_096)
    dataset, flavor = dataset_of(name), "fast" if len(name) % 2 else "portable"
    written = arraystore.export_hdf5(tmp_path / "out.h5", dataset, flavor=flavor)
    frame = dataset.read()
    assert written.rows == {"/": frame.row_count}
    with h5py.File(written.path) as file:
        for column in dataset.schema.columns:
            for spec in dataset.schema.arrays_of(column):
                stored = next(each for each in contents.stored_arrays(dataset.schema, 1) if each.spec.name == spec.name)
                if column.kind == "dictionary" and spec.role == "values":
                    labels = [*file[f"{column.name}_label"].asstr()[()], None]
                    assert [labels[code] for code in file[spec.name][:]] == frame[column.name].tolist()
                else:
                    assert file[spec.name][:].tobytes() == stored.of(frame.rows).tobytes(), spec.name


@pytest.mark.parametrize("engine", ["h5netcdf", "netcdf4"])
@pytest.mark.parametrize("name", ["trades", "book_snapshots", "order_events", "raw_messages"])
def test_xarray_opens_an_export_with_the_names_times_and_dimensions_of_a_segment(dataset_of, tmp_path, name, engine):
    dataset = dataset_of(name, 500)
    path = arraystore.export_hdf5(tmp_path / "out.h5", dataset).path
    frame = dataset.read()
    wanted = frame.to_xarray()
    with xr.open_dataset(path, engine=engine) as found:
        for variable, values in wanted.variables.items():
            assert found[variable].dims == values.dims
            if "labels" in values.attrs:
                labels = np.append(found[f"{variable}_label"].to_numpy(), None)
                assert labels[found[variable].to_numpy()].tolist() == frame[variable].tolist()
                continue
            assert found[variable].dtype == values.dtype, variable
            assert found[variable].to_numpy().tobytes() == values.to_numpy().tobytes(), variable
            assert {k: np.asarray(v).tolist() for k, v in values.attrs.items()}.items() <= {
                k: np.asarray(v).tolist() for k, v in found[variable].attrs.items()
            }.items()
        axis = dataset.schema.axis
        assert found[axis].dtype == "datetime64[ns]"
        assert axis in found.coords
        assert found.attrs["arraystore_version"] == dataset.version
        assert found.attrs["arraystore_digest"] == dataset.digest


def test_a_part_of_the_rows_and_columns_goes_out_at_the_pinned_version(dataset_of, tmp_path):
    dataset = dataset_of("trades")
    times = dataset.read()["time"]
    start, end = times[500], times[2_000]
    old = dataset.at(dataset.version)
    dataset.append({"time": [times[-1]], "price": [1.0], "size": [1.0], "side": [1], "flags": [0]})
    written = arraystore.export_hdf5(tmp_path / "out.h5", old, start, end, ["time", "price"])
    frame = old.read(start, end, ["time", "price"])
    with h5py.File(written.path) as file:
        assert sorted(file) == ["price", "time"]
        assert file["price"][:].tobytes() == frame["price"].tobytes()
        assert file.attrs["arraystore_version"] == old.version
    assert written.pins["/"] == frame.pin


def test_a_column_without_its_axis_has_a_dimension_without_a_variable(dataset_of, tmp_path):
    path = arraystore.export_hdf5(tmp_path / "out.h5", dataset_of("trades"), columns=["price"]).path
    for engine in ("h5netcdf", "netcdf4"):
        with xr.open_dataset(path, engine=engine) as found:
            assert found["price"].dims == ("time",)
            assert "time" not in found.variables


def test_several_datasets_have_a_group_each_and_a_run_one_for_each_series(dataset_of, tmp_path, store):
    trades, quotes = dataset_of("trades", key=("venue", "trades", "BTC/USD")), dataset_of("quotes")
    path = arraystore.export_hdf5(tmp_path / "two.h5", [trades, quotes]).path
    with xr.open_datatree(path, engine="h5netcdf") as tree:
        assert tree["canonical/venue/trades/BTC=2FUSD"]["price"].size == trades.rows
        assert tree["canonical/venue/quotes/BTCUSDT"]["bid_price"].size == quotes.rows
    path = arraystore.export_hdf5(tmp_path / "named.h5", {"a/b": trades, "c": quotes}).path
    with h5py.File(path) as file:
        assert file["a/b/price"].shape == (trades.rows,)
    with pytest.raises(InvalidInput, match="within"):
        arraystore.export_hdf5(tmp_path / "no.h5", {"a": trades, "a/b": quotes})
    with pytest.raises(InvalidInput, match="twice"):
        arraystore.export_hdf5(tmp_path / "no.h5", [trades, trades])
    with pytest.raises(InvalidInput, match="no dataset"):
        arraystore.export_hdf5(tmp_path / "no.h5", [])
    assert not (tmp_path / "no.h5").exists()


def test_no_rows_and_a_table_of_many_labels_are_exports_too(store, tmp_path):
    schema = Schema(name="wide", columns=(Column(name="time", kind="time"), Column(name="who", kind="dictionary", nullable=True)))
    dataset = store.canonical.create(("venue", "wide", "X"), schema)
    assert arraystore.export_hdf5(tmp_path / "empty.h5", dataset).rows == {"/": 0}
    with xr.open_dataset(tmp_path / "empty.h5") as found:
        assert dict(found.sizes) == {"time": 0, "who_label": 0}
    names = [f"instrument number {number:06d}" for number in range(5_000)]  # more than an attribute can hold
    dataset.append({"time": range(5_001), "who": [*names, None]})
    with xr.open_dataset(arraystore.export_hdf5(tmp_path / "many.h5", dataset).path) as found:
        assert np.append(found.who_label, None)[found.who].tolist() == [*names, None]


# --- appearing -----------------------------------------------------------------------------------------------------


def test_a_file_that_exists_is_left_alone_unless_told_otherwise(dataset_of, tmp_path):
    dataset, path = dataset_of("trades"), tmp_path / "out.h5"
    path.write_bytes(b"precious")
    with pytest.raises(AlreadyExists, match="overwrite=True"):
        arraystore.export_hdf5(path, dataset)
    assert path.read_bytes() == b"precious"
    arraystore.export_hdf5(path, dataset, overwrite=True)
    assert h5py.is_hdf5(path)
    for bad, told in ((tmp_path / "none" / "out.h5", "no directory"), (tmp_path, "is a directory")):
        with pytest.raises(InvalidInput, match=told):
            arraystore.export_hdf5(bad, dataset)
    assert [each.name for each in tmp_path.iterdir()] == ["out.h5"]


@pytest.mark.parametrize("flavor", ["portable", "pandas"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, OSError(errno.ENOSPC, "No space left on device")])
def test_an_interrupted_export_leaves_nothing(dataset_of, tmp_path, flavor, error):
    dataset = dataset_of("trades")

    def interrupt(_):
        raise error

    with pytest.raises(KeyboardInterrupt if error is KeyboardInterrupt else StorageError):
        arraystore.export_hdf5(tmp_path / "out.h5", dataset, flavor=flavor, progress=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_what_reads_back_otherwise_is_no_success(dataset_of, tmp_path, monkeypatch):
    dataset, write = dataset_of("trades"), writing._Filling.write

    def damage(self, place, stored, mask):
        if self.stored.spec.name == "price":
            stored = Gzip().encode(np.ones(self.stored.chunk))[0]
        write(self, place, stored, mask)

    monkeypatch.setattr(writing._Filling, "write", damage)
    with pytest.raises(Corrupt, match="/price reads back"):
        arraystore.export_hdf5(tmp_path / "out.h5", dataset)
    assert list(tmp_path.iterdir()) == []


def test_bad_arguments_are_told_before_anything_is_written(dataset_of, tmp_path):
    dataset = dataset_of("trades")
    with pytest.raises(InvalidInput, match="portable"):
        arraystore.export_hdf5(tmp_path / "out.h5", dataset, flavor="xml")
    with pytest.raises((InvalidInput, NotFound), match="prize"):
        arraystore.export_hdf5(tmp_path / "out.h5", dataset, columns=["prize"])
    with pytest.raises(InvalidInput):
        arraystore.export_hdf5(tmp_path / "out.h5", dataset, threads=0)
    assert list(tmp_path.iterdir()) == []


# --- pandas --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["trades", "quotes", "order_events", "bars", "book_snapshots"])
def test_read_hdf_reads_tables_of_the_flavor_for_pandas(dataset_of, tmp_path, name):
    dataset = dataset_of(name)
    columns = [column.name for column in dataset.schema.columns if column.kind != "bytes"]
    path = arraystore.export_hdf5(tmp_path / "out.h5", {"table": dataset}, columns=columns, flavor="pandas").path
    found, frame = pd.read_hdf(path, "table"), dataset.read(columns=columns)
    axis = dataset.schema.axis
    assert found.index.tz_localize(None).to_numpy().astype("datetime64[ns]").tobytes() == frame[axis].tobytes()
    for column in dataset.schema.columns:
        if column.name == axis or column.name not in columns:
            continue
        values, valid = frame[column.name], frame.valid(column.name)
        if column.kind == "number" and column.levels is None:
            assert found[column.name].to_numpy().tobytes() == np.asarray(values).tobytes()
        elif column.kind in ("text", "dictionary"):
            assert found[column.name].tolist() == ["" if value is None else value for value in values.tolist()]
        if column.nullable and column.kind != "time":
            assert found[f"{column.name}_valid"].tolist() == ([True] * len(found) if valid is None else valid.tolist())


def test_bytes_are_refused_for_pandas_with_the_columns_that_can_go(dataset_of, tmp_path):
    with pytest.raises(InvalidInput, match=r"payload.*columns=.*portable"):
        arraystore.export_hdf5(tmp_path / "out.h5", dataset_of("raw_messages"), flavor="pandas")
