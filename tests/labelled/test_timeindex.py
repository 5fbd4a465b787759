"""The lazy index of times finds what pandas' finds, among rows at the same time too, and refuses where rows step back in time."""

import datetime as dt
import uuid

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import arraystore
from arraystore.errors import InvalidInput
from arraystore.labelled import timeindex
from arraystore.labelled.timeindex import TimeIndex
from arraystore.testing.strategies import small_chunks
from tests.labelled.conftest import DAY, KEY, START, ticks

SCHEMA = arraystore.Schema(
    name="plain", columns=(arraystore.Column(name="time", kind=arraystore.Kind.TIME), arraystore.Column(name="number", dtype="int64"))
)
ARRIVING = arraystore.Schema(name="plain", order="arrival", columns=SCHEMA.columns)


def lazy_of(*appends: np.ndarray, schema: arraystore.Schema = SCHEMA, **options) -> xr.Dataset:
    """A dataset of these times, each append a segment of chunks of 8 times, whose other column counts rows."""
    store = arraystore.open_store(f"memory://{uuid.uuid4().hex}", role="data-quality", create=True)
    dataset = store.canonical.create(KEY, schema)
    done = 0
    with small_chunks(64, 32, 256):
        for times in appends:
            dataset.append({"time": times, "number": np.arange(done, done + len(times))})
            done += len(times)
    return dataset.to_xarray(**options)


def eager_of(lazy: xr.Dataset) -> xr.Dataset:
    """The same in memory, under pandas' index."""
    return xr.Dataset({"number": ("time", lazy.number.values)}, coords={"time": lazy.time.values})


@given(st.data())
def test_slices_and_nearby_times_are_pandas_own(data):
    draws = st.lists(st.integers(0, 3 * 86400), min_size=1, max_size=60, unique=True)
    appends = [np.sort(np.array(data.draw(draws))) * 10**9 + START for _ in range(data.draw(st.integers(1, 3)))]
    if len(np.unique(np.concatenate(appends))) < sum(map(len, appends)):
        appends = appends[:1]
    lazy = lazy_of(*appends)
    eager = eager_of(lazy)
    start, stop = sorted(data.draw(st.integers(0, len(eager.time))) for _ in "ab")
    lazy, eager = lazy.isel(time=slice(start, stop)), eager.isel(time=slice(start, stop))
    times = st.integers(-10, 3 * 86400 + 10).map(lambda second: np.datetime64(START + second * 10**9, "ns"))
    low, high = data.draw(times), data.draw(times)
    assert lazy.sel(time=slice(low, high)).number.values.tolist() == eager.sel(time=slice(low, high)).number.values.tolist()
    labels = np.array(data.draw(st.lists(times, min_size=1, max_size=9)))
    method = data.draw(st.sampled_from(["ffill", "bfill", "nearest", None]))
    tolerance = data.draw(st.sampled_from([None, np.timedelta64(1, "h")])) if method else None
    for each in (labels, labels[0]):
        assert _outcome(lazy, each, method, tolerance) == _outcome(eager, each, method, tolerance)


@pytest.fixture(autouse=True)
def _keep_lazy(monkeypatch):
    monkeypatch.setattr(timeindex, "PANDAS_ROWS", -1)


def _outcome(data: xr.Dataset, labels, method, tolerance) -> list[int] | int | str:
    try:
        return data.sel(time=labels, method=method, tolerance=tolerance).number.values.tolist()
    except KeyError as error:
        return str(error).replace("\\", "").strip("'\"")


@pytest.fixture(scope="module")
def minutes() -> tuple[xr.Dataset, xr.Dataset]:
    """Three days of a row every 20 s."""
    lazy = lazy_of(np.arange(START, START + 3 * DAY, 20 * 10**9))
    return lazy, eager_of(lazy)


@pytest.mark.parametrize(
    "label",
    [
        "2024-08-09",
        "2024-08-08T12",
        "2024-08-08T12:30",
        "2024-08-08T12:30:20",
        "2024-08",
        "2024",
        slice("2024-08-09", "2024-08-09"),
        slice("2024-08-08T23:59", "2024-08-10T00:00:20"),
        slice(None, "2024-08-08T00:10"),
        slice("2024-08-10T23:59", None),
        slice(None),
        slice("2024-08-09", "2024-08-08"),
        slice("2024-08-09T10", "2024-08-09T11", 7),
        slice(dt.datetime.fromisoformat("2024-08-09T01:00"), pd.Timestamp("2024-08-09T01:10")),
        slice(np.datetime64("2024-08-09"), np.datetime64("2024-08-09T00:01")),
        np.datetime64("2024-08-09T00:00:20"),
        pd.Timestamp("2024-08-09T00:00:20"),
        dt.datetime.fromisoformat("2024-08-09T00:00:40"),
        ["2024-08-09T00:00:20", "2024-08-08T00:00:40"],
        [np.datetime64("2024-08-09T00:00:20", "ns")],
        pd.date_range("2024-08-08", periods=5, freq="20s"),
        np.array(["2024-08-08T00:00:00", "2024-08-09"], "M8[s]"),
    ],
    ids=repr,
)
def test_what_a_label_means_is_what_it_means_to_pandas(minutes, label):
    lazy, eager = (each.sel(time=label) for each in minutes)
    assert lazy.number.dims == eager.number.dims
    assert lazy.number.values.tolist() == eager.number.values.tolist()
    xr.testing.assert_equal(lazy, eager)


def test_labels_with_a_time_zone_are_moments(minutes):
    lazy, eager = minutes
    for label in ("2024-08-09T02:00:20+02:00", pd.Timestamp("2024-08-09T02:00:20", tz="Europe/Berlin")):
        assert lazy.sel(time=label).number == eager.sel(time="2024-08-09T00:00:20").number.item()
    assert lazy.sel(time=START).number == 0


def test_an_array_with_dimensions_of_its_own_gives_these(minutes):
    lazy, eager = minutes
    labels = xr.DataArray(np.array([["2024-08-09T00:00:25", "2024-08-08T00:00"]], "M8[ns]"), dims=("fill", "lag"), coords={"lag": [0, 30]})
    xr.testing.assert_equal(lazy.sel(time=labels, method="ffill").load(), eager.sel(time=labels, method="ffill"))


@pytest.mark.parametrize(
    ("label", "options"),
    [
        ("2024-08-09T00:00:21", {}),
        (np.datetime64("2024-08-09T00:00:21"), {}),
        ("2030", {}),
        (np.datetime64("NaT", "ns"), {"method": "ffill"}),
        (np.datetime64("2020-01-01"), {"method": "ffill"}),
        (np.datetime64("2030-01-01"), {"method": "bfill"}),
        (np.datetime64("2030-01-01"), {"method": "nearest", "tolerance": "1D"}),
        ([np.datetime64("2024-08-09T00:00:21")], {}),
    ],
    ids=repr,
)
def test_what_isnt_there_is_a_key_error(minutes, label, options):
    for data in minutes:
        with pytest.raises(KeyError):
            data.sel(time=label, **options)


def test_wrong_labels_and_methods_are_told(minutes):
    lazy, _ = minutes
    with pytest.raises(InvalidInput, match="isn't a time"):
        lazy.sel(time="yesterday-ish")
    with pytest.raises(InvalidInput, match="'sideways' is none of ffill"):
        lazy.sel(time="2024-08-09", method="sideways")
    with pytest.raises(NotImplementedError):
        lazy.sel(time=slice(None, "2024"), method="ffill")


def test_of_rows_at_one_time_each_method_takes_the_one_it_says():
    lazy = lazy_of(START + np.array([0, 1, 1, 1, 2, 5, 5]) * 10**9)
    at = lambda second, **options: lazy.sel(time=np.datetime64(START + second * 10**9, "ns"), **options).number.values.tolist()  # noqa: E731
    assert at(1) == [1, 2, 3]
    assert (at(1, method="ffill"), at(1, method="bfill"), at(1, method="nearest")) == (3, 1, 1)
    assert (at(4, method="ffill"), at(4, method="bfill"), at(4, method="nearest")) == (4, 5, 5)
    with pytest.raises(InvalidInput, match="several rows have one of these times"):
        lazy.sel(time=[np.datetime64(START + 10**9, "ns")])
    many = START + np.arange(12) * 5 * 10**8
    assert lazy.sel(time=many.view("M8[ns]"), method="ffill").number.values.tolist() == [0, 0, 3, 3, 4, 4, 4, 4, 4, 4, 6, 6]


def test_daily_rows_are_named_by_their_day():
    lazy = lazy_of(START + np.arange(5) * DAY)
    assert lazy.sel(time="2024-08-10").number.dims == eager_of(lazy).sel(time="2024-08-10").number.dims == ()
    assert lazy.sel(time="2024-08").number.values.tolist() == [0, 1, 2, 3, 4]


# --- rows in order of arrival --------------------------------------------------------------------------------------------


@given(st.data())
def test_in_order_of_arrival_a_slice_is_right_or_refused(data):
    steps = data.draw(st.lists(st.sampled_from([0, 1, 1, 2, 3, 50, -4]), min_size=1, max_size=80))
    times = START + 1000 * 10**9 + np.cumsum(steps) * 10**9
    lazy = lazy_of(times, schema=ARRIVING)
    low, high = sorted(data.draw(st.integers(900, 1200)) * 10**9 + START for _ in "ab")
    inside = np.flatnonzero((times >= low) & (times <= high))
    ascending = not len(inside) or ((np.diff(inside) == 1).all() and (np.diff(times[inside]) >= 0).all())
    label = slice(np.datetime64(low, "ns"), np.datetime64(high, "ns"))
    try:
        found = lazy.sel(time=label).number.values.tolist()
    except InvalidInput:
        assert (np.diff(times) < 0).any()
    else:
        assert ascending
        assert found == inside.tolist()
    many = np.arange(low, high + 1, max((high - low) // 7, 10**9))
    try:
        found = lazy.sel(time=many.view("M8[ns]"), method="ffill").number.values.tolist()
    except InvalidInput:
        assert (np.diff(times) < 0).any()
    except KeyError:
        assert many[0] < times.min()
    else:
        assert [times[number] <= label for number, label in zip(found, many, strict=True)] == [True] * len(many)


def test_a_range_that_steps_back_is_selected_at_opening():
    seconds = np.array([10, 20, 15, 30, 40, 35, 50])
    lazy = lazy_of(START + seconds * 10**9, schema=ARRIVING)
    with pytest.raises(InvalidInput, match="'time' steps back around 2024-08-08T00:00:38"):
        lazy.sel(time=slice("2024-08-08T00:00:12", "2024-08-08T00:00:38"))
    assert lazy.sel(time=slice("2024-08-08T00:00:25", "2024-08-08T00:00:30")).number.values.tolist() == [3]
    with pytest.raises(InvalidInput, match=r"steps back .* to_xarray\(start, end\) selects"):
        lazy.sel(time=slice("2024-08-08T00:00:00", "2024-08-08T00:00:59"))
    chosen = lazy_of(START + seconds * 10**9, schema=ARRIVING, start=START + 12 * 10**9, end=START + 38 * 10**9)
    assert chosen.number.values.tolist() == [1, 2, 3, 5]
    assert chosen.time.values.astype(int).tolist() == (START + seconds[[1, 2, 3, 5]] * 10**9).tolist()


# --- with the rest of xarray ---------------------------------------------------------------------------------------------


def test_resampling_grouping_and_rolling_work(minutes):
    lazy, eager = (each.sel(time=slice("2024-08-08T10", "2024-08-09T03")) for each in minutes)
    assert type(lazy.xindexes["time"]) is TimeIndex
    for work in (
        lambda data: data.resample(time="7min").mean(),
        lambda data: data.resample(time="1h").last(),
        lambda data: data.groupby("time.hour").sum(),
        lambda data: data.rolling(time=5).max(),
        lambda data: data.diff("time"),
        lambda data: data.shift(time=2),
        lambda data: data.where(data.number % 3 == 0, drop=True),
        lambda data: data.isel(time=slice(None, None, -2)),
        lambda data: data.isel(time=[4, 4, 1]),
        lambda data: data.isel(time=data.number.values % 2 == 0),
        lambda data: data.sortby("number", ascending=False),
        lambda data: data.coarsen(time=3, boundary="trim").sum(),
        lambda data: data.rename(time="t"),
        lambda data: data.roll(time=3, roll_coords=True),
        lambda data: data.number.to_dataframe().to_xarray(),
        lambda data: data.drop_vars("time"),
        lambda data: data.copy(deep=True),
        lambda data: data.expand_dims("venue"),
    ):
        xr.testing.assert_equal(work(lazy), work(eager))


def test_selections_are_put_together_and_computed_with(minutes):
    lazy, eager = minutes
    spans = [slice("2024-08-08T10", "2024-08-08T11"), slice("2024-08-08T12", "2024-08-08T13")]
    left, right = ([data.sel(time=span) for span in spans] for data in minutes)
    for join in ("inner", "outer", "left", "right"):
        overlapping = [data.sel(time=slice("2024-08-08T10:30", "2024-08-08T12:30")) for data in minutes]
        with xr.set_options(arithmetic_join=join):
            xr.testing.assert_equal(left[0] + overlapping[0], right[0] + overlapping[1])
    xr.testing.assert_equal(xr.concat(left, "time"), xr.concat(right, "time"))
    xr.testing.assert_equal(xr.concat(left[::-1], "time"), xr.concat(right[::-1], "time"))
    xr.testing.assert_equal(left[0].number + left[0].number, right[0].number + right[0].number)
    merged = [xr.merge([part.rename(number="a"), part], join="outer", compat="no_conflicts") for part in (left[0], right[0])]
    xr.testing.assert_equal(*merged)
    halves = lazy.isel(time=slice(0, 100)), lazy.isel(time=slice(100, 250))
    whole = xr.concat(halves, "time")
    assert type(whole.xindexes["time"]) is TimeIndex
    xr.testing.assert_equal(whole, eager.isel(time=slice(0, 250)))


def test_long_ones_say_how_they_are_aligned_with_others(minutes):
    lazy, eager = minutes
    with pytest.raises(ValueError, match=r"ds\.assign_coords\(time=ds\.time\.values\)"):
        xr.align(lazy, eager.isel(time=slice(10)), join="outer")
    decoded = lazy.assign_coords(time=lazy.time.values)
    xr.testing.assert_identical(decoded.reindex(time=eager.time[:7]).load().drop_attrs(), eager.isel(time=slice(7)))


def test_it_is_shown_without_decoding(minutes):
    lazy, _ = minutes
    assert "TimeIndex (12,960 rows, not decoded)" in repr(lazy.xindexes)
    assert "time" in lazy._repr_html_()
    assert repr(lazy.sel(time=slice("2024-08-09", "2024-08-09")).number)


def test_short_selections_have_pandas_own_index(minutes, monkeypatch):
    monkeypatch.setattr(timeindex, "PANDAS_ROWS", 1 << 22)
    lazy, eager = (each.sel(time=slice("2024-08-09T10", "2024-08-09T11")) for each in minutes)
    xr.testing.assert_identical(lazy.load().drop_attrs(), eager)
    grid = pd.date_range("2024-08-09T10", periods=10, freq="7min")
    xr.testing.assert_identical(lazy.reindex(time=grid, method="ffill").drop_attrs(), eager.reindex(time=grid, method="ffill"))


def test_overlapping_segments_are_found_in_their_merged_order():
    odd, even = (START + np.arange(first, 400, 2) * 10**9 for first in (1, 0))
    lazy = lazy_of(odd, even, odd[:10] + 5)
    eager = eager_of(lazy)
    span = slice("2024-08-08T00:01", "2024-08-08T00:03")
    xr.testing.assert_equal(lazy.sel(time=span).load().drop_attrs(), eager.sel(time=span))
    labels = np.arange(START, START + 399 * 10**9, 7 * 10**8).view("M8[ns]")
    assert lazy.sel(time=labels, method="ffill").number.values.tolist() == eager.sel(time=labels, method="ffill").number.values.tolist()
    assert ticks
