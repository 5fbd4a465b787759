"""A billion rows open without a byte read, and a minute of them takes the chunks that it lies in."""

import numpy as np
import pytest

import arraystore
from arraystore.labelled.timeindex import TimeIndex
from arraystore.segments.index import forget_indexes
from tests.labelled.conftest import DAY, KEY, START, Metering

DAYS = 1000
ROWS = 1_000_000  # of a day
STEP = DAY // ROWS


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_billion_rows_open_and_a_minute_of_them_is_read(tmp_path):
    store = arraystore.open_store(tmp_path, role="data-quality", create=True)
    schema = arraystore.Schema(
        name="many", columns=(arraystore.Column(name="time", kind="time"), arraystore.Column(name="number", dtype="int32"))
    )
    dataset = store.canonical.create(KEY, schema)
    offsets, numbers = np.arange(ROWS) * STEP, np.arange(ROWS, dtype=np.int32)
    for day in range(DAYS):
        dataset.append({"time": START + day * DAY + offsets, "number": numbers})
    forget_indexes()
    metering = Metering()
    opened = arraystore.open_store(tmp_path, role="backtesting", opener=metering).canonical[KEY]
    assert metering.since() < 1 << 20
    lazy = opened.to_xarray()
    assert metering.since() == 0
    assert lazy.sizes["time"] == DAYS * ROWS
    assert type(lazy.xindexes["time"]) is TimeIndex
    noon = np.datetime64(START + 500 * DAY + DAY // 2, "ns")
    minute = lazy.sel(time=slice(noon, noon + np.timedelta64(60, "s")))
    assert metering.since() < 1 << 20  # a manifest, an index, and two chunks of times
    assert minute.number.values.tolist() == numbers[ROWS // 2 : ROWS // 2 + minute.sizes["time"]].tolist()
    assert minute.sizes["time"] == 60 * 10**9 // STEP + 1
    assert metering.since() < 1 << 20
    assert lazy.sel(time=noon + np.timedelta64(1, "ns"), method="ffill").number.item() == ROWS // 2
    assert metering.since() < 1 << 20
    chunked = opened.to_xarray(chunks="auto")
    assert len(chunked.number.data.__dask_graph__().layers) == 1
    assert chunked.sel(time=slice(noon, noon + np.timedelta64(60, "s"))).number.data.sum().compute() == minute.number.sum()
    assert opened.to_dask_dataframe().known_divisions
