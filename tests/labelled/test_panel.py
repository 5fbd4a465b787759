"""Many datasets on one grid: every row in its cell, every other cell told absent, no value changed."""

import gzip
import pickle
import uuid

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import arraystore
from arraystore.errors import AccessDenied, InvalidInput, NotFound
from arraystore.segments.index import forget_indexes
from tests.labelled.conftest import DAY, MINUTE, START

BARS = arraystore.schema_by_name("bars")


def bars(opens, seed=0):
    """Bars of a minute at these opening times."""
    random = np.random.default_rng(seed)
    opens, count = np.asarray(opens, np.int64), len(opens)
    price = random.random(count) + 100
    columns = {name: price + random.random(count) for name in ("open", "high", "low", "close", "volume")}
    return {"open_time": opens, "close_time": opens + MINUTE, "is_revision": random.integers(0, 2, count).astype(bool), **columns} | {
        "trade_count": np.ma.masked_equal(random.integers(0, 5, count).astype(np.uint64), 0)
    }


def store_of(**datasets):
    """A store in memory with bars of each of these opening times."""
    store = arraystore.open_store(f"memory://{uuid.uuid4()}", role="analysis", create=True)
    for seed, (name, opens) in enumerate(datasets.items()):
        store.derived.create(("bars", "1m", "us", name), BARS).append(bars(opens, seed))
    return store


def pivoted(store, column, clock="close_time", keep=slice(None)):
    """The same by pandas: the last row of each time counts."""
    series = {}
    for key in store.derived.find():
        read = store.derived[key].read()
        data = pd.Series(np.asarray(read[column], object), index=read[clock])[keep]
        data[~read.valid(column)[keep] if read.valid(column) is not None else np.zeros(len(data), bool)] = None
        series[key[-1]] = data[~data.index.duplicated(keep="last")]
    return pd.DataFrame(series).sort_index()


opens = st.lists(st.integers(0, 60), max_size=50).map(lambda minutes: START + np.sort(np.array(minutes, np.int64)) * MINUTE)


@given(opens, opens, st.integers(1, 40), st.integers(1, 2))
@settings(max_examples=20)
def test_every_row_has_its_cell_and_every_other_cell_is_absent(first, second, times, instruments):
    store = store_of(A=first, B=second, C=[START + 5 * MINUTE])
    data = store.panel("bars/1m/us/*", chunks={"time": times, "instrument": instruments})
    for column in ("close", "trade_count", "is_revision"):
        wanted = pivoted(store, column)
        assert np.array_equal(data.time.values, wanted.index.values)
        assert list(data.instrument.values) == list(wanted) == ["A", "B", "C"]
        values, missing = data[column].values, wanted.isna().to_numpy()
        if column == "close":
            assert np.array_equal(np.isnan(values), missing)
        else:
            assert values.dtype == {"trade_count": np.uint64, "is_revision": np.bool_}[column]
            assert np.array_equal(~data[f"{column}_valid"].values, missing)
            assert not values[missing].any()
        assert (values[~missing] == wanted.to_numpy()[~missing]).all()
    assert np.array_equal(data["present"].values, ~pivoted(store, "close").isna().to_numpy())
    some = data[["close", "present"]].isel(time=slice(3, 17, 2), instrument=[2, 0])
    xr.testing.assert_equal(some.compute(), data[["close", "present"]].compute().isel(time=slice(3, 17, 2), instrument=[2, 0]))


@given(opens, opens, st.sampled_from(["last", "first"]))
@settings(max_examples=15)
def test_a_given_grid_takes_the_rows_that_lie_on_it(first, second, ties):
    store = store_of(A=first, B=second)
    every = store.panel("bars/1m/us/*", ties=ties).compute()
    grid = np.arange(START, START + 61 * MINUTE, 3 * MINUTE).view("datetime64[ns]")
    found = store.panel("bars/1m/us/*", grid=grid, ties=ties, chunks={"time": 4})
    xr.testing.assert_equal(found.drop_vars("time").compute(), every.reindex(time=grid, fill_value=fills(every)).drop_vars("time"))
    day = store.panel("bars/1m/us/*", "2024-08-08", ["close"], grid="1m")
    assert day.sizes["time"] == 1440
    assert day.time.values[0] == np.datetime64(START + MINUTE, "ns")
    assert day["close"].notnull().sum() == every["present"].sum()


def fills(data):
    """What each variable is where absent."""
    return {name: {"f": np.nan, "b": False, "u": 0}.get(values.dtype.kind) for name, values in data.data_vars.items()}


def test_the_row_in_force_at_each_time_of_a_grid():
    store = store_of(A=START + np.array([0, 2, 10]) * MINUTE, B=START + np.array([4]) * MINUTE)
    grid = START + np.arange(0, 14) * MINUTE
    found = store.panel("bars/1m/us/*", ("2024-08-08T00:01", None), ["close", "trade_count"], grid=grid, method="ffill", tolerance="5m")
    for key in store.derived.find():
        wanted = store.derived[key].as_of(grid, ["close", "trade_count"], clock="close_time", tolerance="5m")
        assert np.array_equal(found["close"].sel(instrument=key[-1]), wanted["close"], equal_nan=True)
        assert np.array_equal(found["present"].sel(instrument=key[-1]), wanted.found)
        assert np.array_equal(found["trade_count"].sel(instrument=key[-1]), wanted["trade_count"])
    assert found["present"].values[:, 0].tolist() == [False] + [True] * 8 + [False] * 2 + [True] * 3


def test_a_period_chooses_rows_by_when_they_open_and_sessions_leave_nights_out():
    night = START + 20 * 60 * MINUTE
    store = store_of(A=np.concatenate([START + np.arange(5) * MINUTE, [night, START + DAY - MINUTE, START + DAY]]))
    day = store.panel("bars/1m/us/*", "2024-08-08", ["close"])
    assert day.time.values[-1] == np.datetime64(START + DAY, "ns"), "what opens in the day's last minute closes at its end"
    pytest.importorskip("exchange_calendars")
    days = arraystore.sessions("XNYS", "2024-08-08")
    bell = days[0].start
    trading = store_of(A=bell + np.array([-MINUTE, 0, 389 * MINUTE, 390 * MINUTE]))
    found = trading.panel("bars/1m/us/*", days)
    assert found.time.values.view(np.int64).tolist() == [bell + MINUTE, bell + 390 * MINUTE]
    grid = trading.panel("bars/1m/us/*", days, grid="1m")
    assert grid.sizes["time"] == 390
    assert grid["close"].notnull().values.ravel().nonzero()[0].tolist() == [0, 389]
    table = trading.panel_dataframe("bars/1m/us/*", days, ["close"]).compute()
    assert len(table) == 2


def test_text_labels_levels_times_and_codes_keep_what_they_are():
    store = arraystore.open_store(f"memory://{uuid.uuid4()}", role="data-quality", create=True)
    columns = (
        arraystore.Column(name="time", kind="time"),
        arraystore.Column(name="note", kind="text", nullable=True),
        arraystore.Column(name="label", kind="dictionary", nullable=True),
        arraystore.Column(name="sent", kind="time", nullable=True),
        arraystore.Column(name="side", kind="vocabulary", vocabulary=(("buy", 1), ("sell", -1))),
        arraystore.Column(name="fee", kind="decimal", places=2),
        arraystore.Column(name="book", levels=2),
        arraystore.Column(name="count", dtype="int32"),
    )
    schema = arraystore.Schema(name="s", columns=columns)
    wider = arraystore.Schema(name="s", columns=(*columns[:-1], arraystore.Column(name="count", dtype="int64")))
    row = {"note": ["é"], "label": ["x"], "sent": [START + 7], "side": ["sell"], "fee": ["1.25"], "book": [[1.0, 2.0]], "count": [3]}
    store.canonical.create(("v", "f", "A"), schema).append(row | {"time": [START]})
    store.canonical.create(("v", "f", "B"), wider).append(
        row | {"time": [START + 1], "note": [None], "label": [None], "sent": [None], "count": [2**40]}
    )
    data = store.canonical.panel("v/f/*", START_DAY)
    assert data["note"].values.tolist() == [["é", None], [None, None]]
    assert data["label"].values.tolist() == [["x", None], [None, None]]
    assert data["sent"].values.view(np.int64)[0, 0] == START + 7
    assert np.isnat(data["sent"].values).sum() == 3
    assert (data["side"].dtype, data["side"].values.tolist()) == (np.int8, [[-1, 0], [0, -1]])
    assert data["side"].attrs["flag_meanings"] == "buy sell"
    assert (data["fee"].values.tolist(), data["fee"].attrs["decimal_places"]) == ([[125, 0], [0, 125]], 2)
    assert data["book"].dims == ("time", "instrument", "level")
    assert data["book"].values[0, 0].tolist() == [1.0, 2.0]
    assert np.isnan(data["book"].values[1, 0]).all()
    assert (data["count"].dtype, data["count"].values.tolist()) == (np.int64, [[3, 0], [0, 2**40]])
    assert data["count_valid"].values.tolist() == data["present"].values.tolist() == [[True, False], [False, True]]
    table = store.canonical.panel_dataframe("v/f/*").compute()
    assert table["note"].tolist()[0] == "é"
    assert table["count"].tolist() == [3, 2**40]


START_DAY = "2024-08-08"


def test_what_is_not_alike_is_refused():
    store = arraystore.open_store(f"memory://{uuid.uuid4()}", role="data-quality", create=True)

    def make(name, *columns):
        schema = arraystore.Schema(name="s", columns=(arraystore.Column(name="time", kind="time"), *columns))
        store.canonical.create(("v", "f", name), schema)

    make("A", arraystore.Column(name="x"), arraystore.Column(name="y", dtype="int64"), arraystore.Column(name="z"))
    make("B", arraystore.Column(name="x", dtype="int64"), arraystore.Column(name="y", dtype="uint64"))
    for columns, told in ((["x"], "float64"), (["y"], "exactly"), (["z"], "v/f/B has no such"), (None, "as they are")):
        with pytest.raises(InvalidInput, match=told):
            store.canonical.panel("v/f/*", columns=columns)
    store.canonical.create(("v", "trades", "_all"), arraystore.schema_by_name("trades", all_instruments=True))
    with pytest.raises(InvalidInput, match="many instruments"):
        store.canonical.panel("v/trades/*")
    for options, told in (
        ({"ties": "best"}, "last"),
        ({"method": "bfill"}, "ffill"),
        ({"method": "ffill"}, "grid"),
        ({"tolerance": "1s"}, "tolerance"),
        ({"grid": "1m"}, "period"),
        ({"grid": [3, 2]}, "ascending"),
        ({"clock": "close_time"}, "close_time"),
        ({"period": "today"}, "2024-08"),
        ({"chunks": {"time": "many"}}, "chunks"),
    ):
        with pytest.raises(InvalidInput, match=told):
            store.canonical.panel("v/f/A", **options)
    with pytest.raises(NotFound, match="find"):
        store.canonical.panel("nobody/f/*")


def test_it_is_of_its_versions_for_good_and_within_its_role(root):
    store = arraystore.open_store(root, role="analysis")
    dataset = store.derived.create(("bars", "1m", "us", "A"), BARS)
    dataset.append(bars(START + np.arange(5) * MINUTE))
    data, grid = store.panel("bars/1m/us/*"), store.panel("bars/1m/us/*", "2024-08-08", grid="1m")
    table = store.panel_dataframe("bars/1m/us/*")
    before = data["close"].values
    dataset.append(bars(START + np.arange(5) * MINUTE, 7))
    for again in (data, pickle.loads(pickle.dumps(data))):
        assert np.array_equal(again["close"].values, before)
    assert np.array_equal(grid["close"].values[:5], before)
    assert np.array_equal(pickle.loads(pickle.dumps(table)).compute()["close"], before[:, 0])
    assert data["version"].values.tolist() == [2]
    assert not np.array_equal(store.panel("bars/1m/us/*")["close"].values, before)
    with pytest.raises(AccessDenied):
        arraystore.open_store(root, role="data-recording").panel("bars/1m/us/*")


def test_a_block_reads_its_times_its_instruments_and_its_column(root, metering):
    store = arraystore.open_store(root, role="analysis", opener=metering)
    for seed in range(6):
        opened = START + np.arange(30_000) * MINUTE
        store.derived.create(("bars", "1m", "us", f"S{seed}"), BARS).append(bars(opened, seed), completeness="complete")
    data = store.panel("bars/1m/us/*", columns=["close", "volume"])
    assert len(data["close"].__dask_graph__()) < 5
    forget_indexes()
    metering.since()
    assert data["present"].sum() == 180_000
    assert metering.since() == 0, "known since the grid is"
    data["close"].load()
    whole = metering.since()
    data["volume"].sel(instrument="S3").load()
    assert metering.since() < whole / 4
    data["volume"].isel(time=slice(0, 60)).load()
    assert metering.since() < whole
    lazy = store.panel("bars/1m/us/*", ("2024-08-08", "2024-09-01"), ["close"], grid="1m")
    metering.since()
    lazy["close"].sel(time=slice("2024-08-08T01:00", "2024-08-08T02:00")).load()
    assert metering.since() < whole


def read_bars(path):
    """Minute bars of one of the recorded files."""
    with gzip.open(path, "rt") as file:
        data = pd.read_csv(file, sep=";")
    times = data["timestamp"].to_numpy(np.int64) * 10**6
    prices = {name: data[name].to_numpy(np.float64) for name in ("open", "high", "low", "close", "volume")}
    return {
        "open_time": times,
        "close_time": times + MINUTE,
        **prices,
        "vwap": data["price"].to_numpy(),
        "is_revision": np.zeros(len(data), bool),
    }


def test_a_year_of_real_minute_bars_as_a_panel_and_grouped_by_symbol(shared_data):
    pytest.importorskip("exchange_calendars")
    store, frames = arraystore.open_store(f"memory://{uuid.uuid4()}", role="analysis", create=True), {}
    for path in sorted((shared_data / "us-minute-bars").glob("*.csv.gz")):
        name, data = path.name.split("_")[0], read_bars(path)
        store.derived.create(("bars", "1m", "us", name), BARS).append(data)
        frames[name] = pd.Series(data["close"], index=data["close_time"].view("datetime64[ns]"))
    wanted = pd.DataFrame(frames).sort_index()
    panel = store.panel("bars/1m/us/*", "2024", columns=["close"])
    assert np.array_equal(panel["close"].values, wanted.to_numpy(), equal_nan=True)
    assert np.array_equal(panel.time.values, wanted.index.values)
    assert panel["present"].values.sum() == wanted.notna().sum().sum()
    days = arraystore.sessions("XNYS", "2024")
    regular = store.panel("bars/1m/us/*", days, ["close"], grid="1m")
    assert regular.sizes == {"time": 249 * 390 + 3 * 210, "instrument": 6}
    starts = wanted.index.values.view(np.int64) - MINUTE
    inside = wanted[days.contains(starts)]
    assert regular["close"].notnull().values.sum() == inside.notna().sum().sum()
    table = store.panel_dataframe("bars/1m/us/*", "2024", ["close"], rows=40_000)
    assert (table.known_divisions, table.npartitions > 1) == (True, True)
    found = table.groupby("instrument")["close"].agg(["count", "mean", "max"]).compute().sort_index()
    assert found["count"].tolist() == wanted.count().sort_index().tolist()
    assert np.allclose(found["mean"], wanted.mean().sort_index(), rtol=1e-12)
    first = table.map_partitions(lambda part: part.groupby(level=0)["close"].first(), meta=("close", "f8")).compute()
    assert first.to_dict() == {name: series.iloc[0] for name, series in frames.items()}
