"""A lazy Dataset loads what an eager read gives, whatever is selected, and reads no more than that."""

import dataclasses
import os
import pickle
import subprocess
import sys
import uuid

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import arraystore
from arraystore.errors import AccessDenied, InvalidInput, NotFound
from arraystore.frames.frame import Frame
from arraystore.labelled import timeindex
from arraystore.labelled.source import source_of
from arraystore.testing.strategies import differences, rows_of, schemas, small_chunks
from tests.labelled.conftest import DAY, KEY, MINUTE, START, TICKS, ticks


def same(lazy: xr.Dataset, eager: xr.Dataset) -> None:
    """Values, types, names, order, attributes and encodings are the same, but for which index labels the rows."""
    xr.testing.assert_equal(lazy, eager)
    assert list(lazy.variables) == list(eager.variables)
    assert lazy.attrs == eager.attrs
    for name, variable in eager.variables.items():
        found = lazy.variables[name]
        assert (found.dims, found.dtype, found.attrs) == (variable.dims, variable.dtype, variable.attrs), name
        assert {key: found.encoding.get(key) for key in variable.encoding} == variable.encoding, name
        if variable.dtype != object:
            assert found.values.tobytes() == np.ascontiguousarray(variable.values).tobytes(), name


@pytest.mark.parametrize("chunks", [None, "auto", {}, 700, {"time": 4000}, -1])
def test_all_of_it_loads_as_it_reads(filled, chunks):
    same(filled.to_xarray(chunks=chunks).load(), filled.read().to_xarray(by_row=True))


@pytest.mark.parametrize(
    ("start", "end", "clock"),
    [
        ("2024-08-08T01:00", "2024-08-10T00:10", None),
        ("2024-08-09T02:10", "2024-08-09T02:20", None),
        (None, "2024-08-08", None),
        ("2024-08-09", None, None),
        ("2024-08-08T01:00", "2024-08-09T03:00", "sent"),
        (None, "2024-08-09T01:30", "sent"),
    ],
)
def test_a_range_loads_as_it_reads(filled, start, end, clock):
    eager = filled.read(start, end, clock=clock).to_xarray(by_row=True)
    for chunks in (None, 500):
        same(filled.to_xarray(start, end, clock=clock, chunks=chunks).load(), eager)


def test_a_window_and_columns_load_as_they_read(filled):
    lazy = filled.to_xarray(columns=["size", "time", "venue"], window="2024-08-09")
    same(
        lazy.load(),
        filled.read(columns=["size", "time", "venue"], window="2024-08-09").to_xarray(by_row=True)[["size", "venue", "venue_valid"]],
    )
    assert list(lazy.data_vars) == ["size", "venue", "venue_valid"]


def test_the_axis_comes_with_any_columns(filled):
    assert list(filled.to_xarray(columns="price").variables) == ["price", "time"]


@settings(max_examples=max(settings.default.max_examples // 2, 1))
@given(st.data())
def test_rows_by_number_are_those_of_the_whole(data):
    schema = data.draw(schemas())
    store = arraystore.open_store(f"memory://{uuid.uuid4().hex}", role="data-quality", create=True)
    with small_chunks(64, 32, 256):
        dataset = store.canonical.create(KEY, schema)
        for _ in range(data.draw(st.integers(1, 3))):
            rows = data.draw(rows_of(schema, least=1, most=60))
            if schema.order is arraystore.Order.TIME or bool((np.diff(rows.arrays["time"]) >= 0).all()):
                dataset.append(Frame(rows))
        whole = dataset.read().to_xarray(by_row=True)
        chunks = data.draw(st.sampled_from([None, 7]))
        lazy = dataset.to_xarray(chunks=chunks)
    count = whole.sizes["time"]
    assert lazy.sizes == whole.sizes
    numbers = st.integers(-count, count - 1)
    key = data.draw(
        st.one_of(st.slices(count), *([numbers, st.lists(numbers, max_size=20)] if count else [st.just([])])),
    )
    # a single object in a Dask array loses its type, wherever it comes from
    same(lazy.isel(time=key).load(), (whole if chunks is None else whole.chunk(time=7)).isel(time=key).load())


def test_levels_and_rows_are_indexed_together(filled):
    lazy, eager = filled.to_xarray(columns="book"), filled.read(columns="book").to_xarray()
    assert np.array_equal(lazy.book[100:200:7, 1].values, eager.book[100:200:7, 1].values)
    assert np.array_equal(lazy.book[[5, 3, 3, -1], [2, 0]].values, eager.book[[5, 3, 3, -1], [2, 0]].values)
    assert np.array_equal(lazy.book[::-1, ::-1].values, eager.book[::-1, ::-1].values)
    chosen = xr.DataArray([3, 1], dims="pair"), xr.DataArray([2, 0], dims="pair")
    assert np.array_equal(lazy.book[chosen].values, eager.book[chosen].values)


def test_it_stays_at_its_version(filled):
    lazy, before = filled.to_xarray(), filled.read().to_xarray(by_row=True)
    filled.append(ticks(100, START + 5 * DAY))
    filled.withdraw("2024-08-08", reason="to see what changes")
    same(lazy.load(), before)


def test_it_is_pickled_as_where_it_comes_from(filled):
    lazy = filled.to_xarray("2024-08-08T01:00", "2024-08-10T00:10")
    data = pickle.dumps(lazy)
    assert len(data) < 8192
    code = (
        "import pickle, sys; data = pickle.load(sys.stdin.buffer); print(float(data.price.sum()), data.sizes['time'], data.note.values[9])"
    )
    done = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, check=True)
    eager = filled.read("2024-08-08T01:00", "2024-08-10T00:10")
    assert done.stdout.decode().split() == [str(float(lazy.price.sum())), str(eager.row_count), str(lazy.note.values[9])]
    same(pickle.loads(data).load(), eager.to_xarray(by_row=True))


def test_a_store_in_memory_says_that_other_processes_have_none():
    store = arraystore.open_store(f"memory://{uuid.uuid4().hex}", role="data-quality", create=True)
    dataset = store.canonical.create(KEY, TICKS)
    dataset.append(ticks(10))
    lazy = dataset.to_xarray(columns="price")
    assert pickle.loads(pickle.dumps(lazy)).price.values.tobytes() == lazy.price.values.tobytes()
    source = source_of(dataset, None, None, None, None)
    elsewhere = pickle.dumps(dataclasses.replace(source, process=os.getpid() + 1, start=0))
    with pytest.raises(InvalidInput, match=r"lives within process .* a store in a directory or bucket"):
        _ = pickle.loads(elsewhere).extent


def test_another_process_has_no_more_rights_and_takes_no_other_version(filled, root):
    source = source_of(filled, None, None, None, None)
    state = list(source.__getstate__())
    state[1] = "data-recording"
    source.__setstate__(tuple(state))
    with pytest.raises(AccessDenied, match="data-recording may not read canonical"):
        _ = source.extent
    state[1], state[2] = "data-quality", arraystore.Pin(**{**_fields(state[2]), "digest": "0" * 64})
    source.__setstate__(tuple(state))
    with pytest.raises(NotFound, match="what was opened is 0000"):
        _ = source.extent


def _fields(pin: arraystore.Pin) -> dict:
    return {name: getattr(pin, name) for name in pin.__struct_fields__}


def test_opening_reads_no_values_and_no_times(filled, metering, root):
    dataset = arraystore.open_store(root, role="backtesting", opener=metering).canonical[KEY]
    metering.since()
    lazy = dataset.to_xarray()
    repr(lazy)
    lazy._repr_html_()
    assert metering.since() == 0
    assert lazy.sizes["time"] == 14_020


def test_a_selection_reads_the_chunks_that_it_needs(root, metering):
    count = 1_000_000
    store = arraystore.open_store(root, role="data-quality")
    random = np.random.default_rng(5)
    columns = [arraystore.Column(name="time", kind=arraystore.Kind.TIME), *(arraystore.Column(name=name) for name in "abcd")]
    schema = arraystore.Schema(name="wide", columns=tuple(columns))
    store.canonical.create(KEY, schema).append(
        {"time": START + np.arange(count) * 10**8, **{name: random.random(count) for name in "abcd"}}
    )
    dataset = arraystore.open_store(root, role="backtesting", opener=metering).canonical[KEY]
    lazy = dataset.to_xarray()
    metering.since()
    minute = lazy.sel(time=slice("2024-08-08T12:00", "2024-08-08T12:01"))
    assert minute.sizes["time"] == 1200
    assert metering.since() < 100_000  # the window's index, and the chunks of times that the minute begins and ends in
    assert minute.a.load().sizes["time"] == 1200
    assert 0 < metering.since() < 2 * (1 << 18) + 4096
    chunked = dataset.to_xarray(chunks="auto").sel(time=slice("2024-08-08T12:00", "2024-08-08T12:01"))
    metering.since()
    assert np.array_equal(chunked.b.values, minute.b.values)


def test_what_isnt_there_or_cant_be_is_told(filled):
    with pytest.raises(InvalidInput, match="no such column"):
        filled.to_xarray(columns=["nonsense"])
    with pytest.raises(InvalidInput, match="is no clock"):
        filled.to_xarray(clock="price")
    with pytest.raises(NotFound, match="has no window"):
        filled.to_xarray(window="2030-01-01")
    with pytest.raises(InvalidInput, match="aren't chunks of 14020 rows"):
        filled.to_xarray(chunks="much")
    with pytest.raises(InvalidInput, match="is after end"):
        filled.to_xarray(2, 1)


def test_access_comes_first(root, metering):
    arraystore.open_store(root, role="data-recording").raw.create(("v", "f", "r"), TICKS)
    dataset = arraystore.open_store(root, role="data-recording", opener=metering).raw[("v", "f", "r")]
    object.__setattr__(dataset._place, "role", arraystore.Role.BACKTESTING)
    metering.since()
    for call in (dataset.to_xarray, dataset.to_dask_dataframe):
        with pytest.raises(AccessDenied):
            call()
    assert metering.since() == 0


def test_a_dataset_without_rows_opens(root):
    dataset = arraystore.open_store(root, role="data-quality").canonical.create(KEY, TICKS)
    for chunks in (None, "auto"):
        lazy = dataset.to_xarray(chunks=chunks)
        same(lazy.load(), dataset.read().to_xarray(by_row=True))
        assert lazy.sel(time=slice("2024", "2025")).sizes["time"] == 0


def test_a_run_opens_series_by_series(root):
    store = arraystore.open_store(root, role="backtesting")
    with store.experiments.run("grid", run_id="1") as run:
        run.write("equity", {"time": [1, 2, 3], "value": [1.0, 2.0, 4.0]}, schema=TICKS_OF_RUN)
    run = store.experiments[("grid", "1")]
    assert run.to_xarray(window="equity").sel(time=2).value.item() == 2.0
    with pytest.raises(NotFound, match="keeps several series"):
        run.to_xarray()


TICKS_OF_RUN = arraystore.Schema(
    name="curve", columns=(arraystore.Column(name="time", kind=arraystore.Kind.TIME), arraystore.Column(name="value"))
)


def test_values_that_were_read_whole_are_kept(filled, root, metering):
    lazy = arraystore.open_store(root, role="backtesting", opener=metering).canonical[KEY].to_xarray(columns="price")
    _ = lazy.price.values
    assert metering.since() > 0
    _ = lazy.price.values
    assert metering.since() == 0
    lazy.price.values[0] = 5.0  # xarray's own copy
    assert filled.read(columns="price")["price"][0] != 5.0


def test_selections_stay_lazy_when_they_are_long(filled, monkeypatch):
    monkeypatch.setattr(timeindex, "PANDAS_ROWS", 100)
    lazy = filled.to_xarray()
    part = lazy.isel(time=slice(1000, 9000))
    assert type(part.xindexes["time"]) is timeindex.TimeIndex
    eager = filled.read().to_xarray(by_row=True).isel(time=slice(1000, 9000))
    same(part.load(), eager)
    span = slice("2024-08-08T10:00", "2024-08-09T05:00")
    same(lazy.isel(time=slice(1000, 9000)).sel(time=span).load(), eager.sel(time=span))
    assert type(lazy.isel(time=slice(5)).xindexes["time"]).__name__ == "PandasIndex"
    assert MINUTE


@pytest.mark.filterwarnings("ignore:Consolidated metadata:UserWarning")
@pytest.mark.parametrize("chunks", [None, {}], ids=str)
def test_what_xarray_writes_of_it_reads_back(filled, root, tmp_path, chunks):
    numbers = ["price", "book", "sent", "count", "fee", "side"]
    filled.to_xarray(columns=numbers, chunks=chunks).to_zarr(tmp_path / "copy.zarr", zarr_format=3, consolidated=False)
    back = xr.open_zarr(tmp_path / "copy.zarr", consolidated=False, chunks=None)
    xr.testing.assert_equal(back.load(), filled.read(columns=["time", *numbers]).to_xarray(by_row=True))
    opened = xr.open_dataset(root / "canonical" / "/".join(KEY), engine="arraystore", chunks=chunks)[["price", "sent"]]
    opened.to_zarr(tmp_path / "again.zarr", zarr_format=3, consolidated=False)


def test_what_it_loads_can_be_appended(filled, root):
    copy = arraystore.open_store(root, role="data-quality").canonical.create(("venue", "quotes", "COPY"), TICKS)
    copy.append(filled.to_xarray())
    assert differences(copy.read().rows, filled.read().rows) == []
