"""Dask reads in tasks, on threads, processes and a cluster of them, the same bits; and its graphs stay small."""

import pickle
import uuid
from collections.abc import Iterator
from itertools import pairwise

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pytest

import arraystore
from arraystore.errors import InvalidInput
from arraystore.labelled import daskreads
from tests.labelled.conftest import DAY, KEY, START, TICKS, ticks

NUMBERS = ["price", "size", "count", "book", "side", "fee"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> arraystore.Dataset:
    """Forty hours of ticks, an hour a window."""
    root = tmp_path_factory.mktemp("hours") / "store"
    store = arraystore.open_store(root, role="data-quality", create=True)
    schema = arraystore.Schema(name="hourly", window="hour", columns=TICKS.columns)
    dataset = store.canonical.create(KEY, schema)
    dataset.append(ticks(14_400, step=10 * 10**9, seed=4))
    return arraystore.open_store(root, role="backtesting").canonical[KEY]


def reductions(data) -> list:
    """Sums whose order of addition is that of the chunks, so that equal bits mean equal reads in equal places."""
    return [data[name].sum().data for name in NUMBERS] + [data.price.mean().data, (data.price * data["size"]).sum().data]


@pytest.fixture(scope="module")
def expected(dataset) -> list[bytes]:
    """The same computation in one thread, over values that were read at once."""
    whole = dataset.read(columns=["time", *NUMBERS]).to_xarray()
    return _bits(dask.compute(*reductions(whole.chunk(time=1000)), scheduler="synchronous"))


def _bits(values: tuple) -> list[bytes]:
    return [np.asarray(value).tobytes() for value in values]


@pytest.mark.parametrize("scheduler", ["synchronous", "threads", pytest.param("processes", marks=pytest.mark.slow)])
def test_every_scheduler_computes_the_same_bits(dataset, expected, scheduler):
    lazy = dataset.to_xarray(columns=NUMBERS, chunks=1000)
    assert _bits(dask.compute(*reductions(lazy), scheduler=scheduler, num_workers=2)) == expected


@pytest.fixture(scope="module")
def cluster() -> Iterator[object]:
    """Two processes that know nothing of the store."""
    distributed = pytest.importorskip("distributed")
    with (
        dask.config.set({"distributed.worker.daemon": True, "distributed.admin.log-format": "%(message)s"}),
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as started,
        distributed.Client(started) as client,
    ):
        yield client


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.timeout(240)
def test_a_cluster_of_processes_computes_the_same_bits(dataset, expected, cluster):
    lazy = dataset.to_xarray(columns=NUMBERS, chunks=1000)
    assert _bits(cluster.gather(cluster.compute(reductions(lazy)))) == expected
    frame = dataset.to_dask_dataframe(columns=["price", "venue", "side"], rows=1500)
    counted = cluster.compute(frame.groupby("venue").price.sum()).result()
    eager = dataset.read(columns=["price", "venue"]).to_pandas().groupby("venue", observed=True).price.sum()
    assert counted.sort_index().round(9).to_dict() == eager.sort_index().round(9).to_dict()
    name = f"memory://{uuid.uuid4().hex}"
    inside = arraystore.open_store(name, role="data-quality", create=True).canonical.create(KEY, TICKS)
    inside.append(ticks(10))
    with pytest.raises(InvalidInput, match="lives within process"):
        cluster.compute(inside.to_xarray(chunks="auto").price.sum().data).result()


def test_workers_read_the_version_that_was_opened(dataset, tmp_path):
    store = arraystore.open_store(tmp_path / "store", role="data-quality", create=True)
    changing = store.canonical.create(KEY, TICKS)
    changing.append(ticks(3000))
    lazy, before = changing.to_xarray(columns="price", chunks=1000), changing.read(columns="price")["price"]
    changing.append(ticks(3000, START + 3 * DAY))
    sum_of = lazy.price.sum().data
    here = sum_of.compute(scheduler="threads")
    values, there = dask.compute(lazy.price.data, sum_of, scheduler="processes", num_workers=1)
    assert values.tobytes() == before.tobytes()
    assert there.tobytes() == here.tobytes()
    again = changing.to_xarray(columns="price", chunks=1000)
    assert again.price.data.name != lazy.price.data.name
    assert store.canonical[KEY].to_xarray(columns="price", chunks=1000).price.data.name == again.price.data.name


def test_tasks_decode_on_the_thread_that_runs_them(dataset, monkeypatch):
    asked = []
    read = daskreads.Source.extent.fget

    class Watched:
        def __init__(self, extent):
            self.extent = extent

        def read(self, picked, columns, threads=None):
            asked.append(threads)
            return self.extent.read(picked, columns, threads)

    lazy = dataset.to_xarray(columns="price", chunks=1000)
    monkeypatch.setattr(daskreads.Source, "extent", property(lambda source: Watched(read(source))))
    lazy.price.data.sum().compute(scheduler="threads")
    assert len(asked) == 15
    assert set(asked) == {1}


def test_the_graph_of_many_windows_is_one_small_layer(tmp_path):
    store = arraystore.open_store(tmp_path / "store", role="data-quality", create=True)
    schema = arraystore.Schema(
        name="wide",
        window="hour",
        columns=(arraystore.Column(name="time", kind="time"), *(arraystore.Column(name=name) for name in "abcdef")),
    )
    dataset = store.canonical.create(KEY, schema)
    count = 3000
    times = START + np.arange(count) * 3600 * 10**9
    dataset.append({"time": times, **dict.fromkeys("abcdef", np.arange(count, dtype=float))})
    lazy = dataset.to_xarray(chunks=1)
    for name in "abcdef":
        array = lazy[name].data
        assert array.numblocks == (count,)
        layers = array.__dask_graph__().layers
        assert len(layers) == 1
        assert len(pickle.dumps(array.__dask_graph__())) < 40_000  # the lengths of pieces, a reader, and not a task for each
    assert lazy.a[1234].compute().item() == 1234.0
    assert dataset.to_dask_dataframe(rows=1).npartitions == count


def test_pieces_are_whole_windows_or_cut_between_chunks(tmp_path):
    store = arraystore.open_store(tmp_path / "store", role="data-quality", create=True)
    schema = arraystore.Schema(name="one", columns=(arraystore.Column(name="time", kind="time"), arraystore.Column(name="a")))
    dataset = store.canonical.create(KEY, schema)
    for day, count in enumerate((300_000, 1000, 2000, 500)):
        dataset.append({"time": START + day * DAY + np.arange(count) * 10**6, "a": np.arange(count, dtype=float)})
    chunk = 30_000  # ten equal chunks of at most 256 KiB
    extent = dataset.extent()
    assert extent.blocks(100_000) == (120_000, 120_000, 60_000, 3500)
    assert extent.blocks(2000) == (*[2000] * 150, 1000, 2000, 500)
    assert extent.blocks(1 << 22) == (303_500,)
    assert sum(extent.blocks(chunk)) == 303_500
    part = dataset.extent(START + 10_000 * 10**6)
    assert part.blocks(100_000)[0] % chunk == chunk - 10_000
    assert dataset.to_xarray(chunks="auto").a.data.chunks == ((303_500,),)


def test_a_data_frame_is_what_pandas_gets_but_for_labels(dataset):
    frame = dataset.to_dask_dataframe(rows=1000)
    whole = dataset.read().to_pandas()
    found = frame.compute(scheduler="threads")
    assert frame.known_divisions
    assert list(found.columns) == list(whole.columns)
    pd.testing.assert_index_equal(found.index, whole.index)
    for name in ("price", "size", "count", "side", "sent"):
        pd.testing.assert_series_equal(found[name], whole[name], check_freq=False)
    assert found["venue"].isna().tolist() == whole["venue"].isna().tolist()
    assert found["venue"].dropna().tolist() == whole["venue"].dropna().astype(str).tolist()
    assert found["payload"].tolist() == whole["payload"].tolist()
    for name, dtype in frame.dtypes.items():
        assert found[name].dtype == dtype, name


def test_a_data_frame_is_selected_and_resampled_by_time(dataset):
    frame = dataset.to_dask_dataframe("2024-08-08T05:30", "2024-08-09T05:30", ["price"], rows=700)
    whole = dataset.read("2024-08-08T05:30", "2024-08-09T05:30", ["time", "price"]).to_pandas()
    assert frame.npartitions > 5
    pd.testing.assert_frame_equal(frame.compute(), whole)
    part = slice("2024-08-08T11:10", "2024-08-08T19:20")
    pd.testing.assert_frame_equal(frame.loc[part].compute(), whole.loc[part])
    assert frame.price.resample("1h").mean().compute().round(9).tolist() == whole.price.resample("1h").mean().round(9).tolist()


def test_no_time_is_in_two_partitions(tmp_path):
    store = arraystore.open_store(tmp_path / "store", role="data-quality", create=True)
    dataset = store.canonical.create(KEY, arraystore.Schema(name="one", columns=TICKS.columns[:2]))
    times = np.repeat(START + np.arange(10) * 10**9, [1, 7, 1, 1, 30, 1, 1, 2, 3, 1])
    dataset.append({"time": times, "price": np.arange(48.0)})
    frame = dataset.to_dask_dataframe(rows=5)
    parts = [part.index for part in dask.compute(*frame.to_delayed())]
    assert [len(part) > 0 for part in parts] == [True] * len(parts)
    assert sum(map(len, parts)) == 48
    assert all(left[-1] < right[0] for left, right in pairwise(parts))
    assert [part[0] for part in parts] == list(frame.divisions[:-1])
    assert frame.divisions[-1] == parts[-1][-1]


def test_where_rows_step_back_divisions_are_unknown(tmp_path):
    store = arraystore.open_store(tmp_path / "store", role="data-quality", create=True)
    dataset = store.canonical.create(KEY, arraystore.Schema(name="one", order="arrival", columns=TICKS.columns[:2]))
    dataset.append({"time": START + np.array([5, 4, 3, 2, 1, 0, 9, 8]), "price": np.arange(8.0)})
    frame = dataset.to_dask_dataframe(rows=3)
    assert not frame.known_divisions
    assert frame.price.compute().tolist() == list(range(8))
    assert dataset.to_dask_dataframe().known_divisions
    with pytest.raises(InvalidInput, match="whole number from 1 up"):
        dataset.to_dask_dataframe(rows=0)


def test_chunks_may_be_given_as_lengths(dataset):
    lazy = dataset.to_xarray(columns="price", chunks={"time": (400, 14_000)})
    assert lazy.price.data.chunks == ((400, 14_000),)
    assert isinstance(lazy.price.data, da.Array)
    for wrong in ((1, 2), "no", 0.5, {"time": (1,)}):
        with pytest.raises(InvalidInput, match="aren't chunks of 14400 rows"):
            dataset.to_xarray(chunks=wrong)
