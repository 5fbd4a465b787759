"""Any Zarr v3 implementation opens what we write by its path, and reads the same bytes as we do."""

import itertools

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arraystore.frames.rows import Rows
from arraystore.segments.choice import Shape
from arraystore.segments.reader import Selection, choose
from arraystore.storage.local import LocalStorage
from arraystore.testing.parts import segment_part, tail_part
from arraystore.testing.selecting import drawn_selections, histories, in_reading_order, selected, with_levels
from arraystore.testing.strategies import differences, small_chunks
from layouts.schema import Column, Schema

PIPELINES = {
    "default": "zarr.core.codec_pipeline.BatchedCodecPipeline",
    "fused": "zarr.core.codec_pipeline.FusedCodecPipeline",
    "zarrs": "zarrs.ZarrsCodecPipeline",
}
# Zarr says of everything in a group that it doesn't know that it doesn't know it.
same_directory = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def root(tmp_path):
    return LocalStorage(tmp_path)


@pytest.fixture(params=PIPELINES.values(), ids=PIPELINES)
def _pipeline(request):
    with zarr.config.set({"codec_pipeline.path": request.param}):
        yield


numbers = itertools.count()


def path_of(root, part):
    return f"{root.url}/{part.prefix}"


def read_by_zarr(root, part, written):
    """A segment's rows as Zarr reads them; what it says of each array is what the schema says."""
    group = zarr.open_group(path_of(root, part), mode="r")
    specs = {spec.name: spec for spec in written.schema.arrays()}
    assert set(group.array_keys()) == set(written.tidy().arrays)
    for name, array in group.arrays():
        assert (array.dtype, array.metadata.dimension_names) == (specs[name].dtype, specs[name].dimensions)
    arrays = {name: array[...] for name, array in group.arrays()}
    labels = {name: tuple(array.attrs["labels"]) for name, array in group.arrays() if "labels" in array.attrs}
    return Rows(schema=written.schema, count=written.count, arrays=arrays, labels=labels)


def same_whoever_reads(root, data, history):
    """Ours, Zarr's and NumPy's rows on what was written, for any selection; and Zarr's own ways to select, on one segment."""
    schema, pieces = history
    tails, profile = data.draw(st.integers(0, 1)), data.draw(st.sampled_from(("dense", "portable")))
    with small_chunks(*data.draw(st.tuples(st.integers(40, 2000), st.integers(20, 600), st.integers(40, 4000)))):
        parts = [
            tail_part(rows, number) if number >= len(pieces) - tails else segment_part(root, rows, next(numbers), profile=profile)
            for number, rows in enumerate(pieces)
        ]
    by_zarr = [rows if part.rows is not None else read_by_zarr(root, part, rows) for part, rows in zip(parts, pieces, strict=True)]
    written, decoded = in_reading_order(history), in_reading_order((schema, by_zarr))
    assert differences(decoded, written) == []

    selection = data.draw(drawn_selections(schema, written.count))
    columns = frozenset(data.draw(st.sets(st.sampled_from(schema.names), min_size=1)))
    levels = data.draw(st.sampled_from((None, slice(0, 2), slice(1, 3)))) if any(each.levels == 3 for each in schema.columns) else None
    ours = choose(root, parts, schema, selection, 1).load(Shape(columns=columns, levels=levels, threads=1))
    for rows in (decoded, written):
        assert differences(ours, with_levels(selected(rows, selection).project(columns), levels)) == []

    if parts[0].rows is None:
        first, last = sorted(data.draw(st.tuples(st.integers(0, pieces[0].count), st.integers(0, pieces[0].count))))
        every = data.draw(st.sampled_from((1, 3)))
        found = choose(root, parts[:1], schema, Selection(rows=(first, last), every=every), 1).load(Shape(columns=columns, threads=1))
        group = zarr.open_group(path_of(root, parts[0]), mode="r")
        for spec in schema.arrays():
            if spec.name in group and spec.column in columns and not spec.is_payload and last > first:
                assert group[spec.name][first:last:every].tobytes() == found.arrays[spec.name].tobytes()


@pytest.mark.usefixtures("_pipeline")
@same_directory
@given(st.data(), histories(most_parts=3, most_rows=60, most_columns=3))
def test_whoever_reads_the_rows_are_the_same_for_any_selection(root, data, history):
    same_whoever_reads(root, data, history)


@pytest.mark.deep
@pytest.mark.timeout(7200)
@pytest.mark.usefixtures("_pipeline")
@same_directory
@given(st.data(), histories(most_parts=6, most_rows=400))
def test_whoever_reads_larger_histories_the_rows_are_the_same(root, data, history):
    same_whoever_reads(root, data, history)


def rows_of_every_kind(count=20_000):
    schema = Schema(
        name="every_kind",
        columns=(
            Column(name="time", kind="time"),
            Column(name="exchange_time", kind="time", clock="exchange", nullable=True),
            Column(name="price", unit="USD"),
            Column(name="size", dtype="float32"),
            Column(name="trade_id", dtype="uint64"),
            Column(name="is_maker", dtype="bool"),
            Column(name="side", kind="vocabulary", vocabulary=(("buy", 1), ("sell", -1))),
            Column(name="flags", kind="flags", vocabulary=(("last", 128), ("snapshot", 32))),
            Column(name="venue", kind="dictionary"),
            Column(name="fee", kind="decimal", places=8),
            Column(name="note", kind="text"),
            Column(name="payload", kind="bytes"),
            Column(name="silence", kind="text"),
            Column(name="bid_price", levels=5),
        ),
    )
    random = np.random.default_rng(11)
    lengths = random.integers(0, 40, count).astype(np.uint32)
    valid = random.random(count) < 0.9
    start = 1_720_000_000_123_456_789
    times = start + np.cumsum(random.integers(0, 10**6, count))
    arrays = {
        "time": times,
        "exchange_time": np.where(valid, times - 7, np.iinfo(np.int64).min),
        "exchange_time_valid": valid,
        "price": np.round(random.normal(60_000, 5, count), 1),
        "size": random.lognormal(size=count).astype(np.float32),
        "trade_id": np.arange(count, dtype=np.uint64) + np.uint64(1 << 63),
        "is_maker": random.integers(0, 2, count).astype(bool),
        "side": random.choice(np.array([1, -1], np.int8), count),
        "flags": random.choice(np.array([0, 32, 128], np.uint8), count),
        "venue": random.integers(0, 2, count).astype(np.int32),
        "fee": random.integers(-(10**12), 10**12, count),
        "note": random.integers(32, 127, int(lengths.sum())).astype(np.uint8),
        "note_count": lengths,
        "payload": random.integers(0, 256, int(lengths.sum())).astype(np.uint8),
        "payload_count": lengths[::-1].copy(),
        "silence": np.zeros(0, np.uint8),
        "silence_count": np.zeros(count, np.uint32),
        "bid_price": random.normal(size=(count, 5)),
    }
    return Rows(schema=schema, count=count, arrays=arrays, labels={"venue": ("binance", "okx")})


@pytest.mark.usefixtures("_pipeline")
@pytest.mark.parametrize("profile", ["dense", "portable"])
@pytest.mark.parametrize(("count", "chunk_bytes"), [(1, 1 << 18), (20_003, 1 << 18), (20_003, 1 << 13)])
def test_zarr_opens_a_segment_of_every_kind_of_column(root, profile, count, chunk_bytes):
    rows = rows_of_every_kind(count)
    with small_chunks(chunk_bytes, 1 << 20, 1 << 28):
        part = segment_part(root, rows, profile=profile, threads=2)
    group = zarr.open_group(path_of(root, part), mode="r")
    for name, array in rows.tidy().arrays.items():
        assert group[name][...].tobytes() == array.tobytes(), name
        if count > 1 and len(array):
            assert group[name][len(array) // 3 : len(array) // 2].tobytes() == array[len(array) // 3 : len(array) // 2].tobytes()


@pytest.mark.usefixtures("_pipeline")
def test_zarr_reads_a_payload_of_sixteen_megabytes(root):
    schema = Schema(name="s", columns=(Column(name="time", kind="time"), Column(name="payload", kind="bytes")))
    data = np.random.default_rng(0).integers(0, 256, 16 << 20, dtype=np.uint8)
    rows = Rows(schema=schema, count=1, arrays={"time": np.arange(1), "payload": data, "payload_count": np.array([16 << 20], np.uint32)})
    part = segment_part(root, rows)
    assert np.array_equal(zarr.open_group(path_of(root, part), mode="r")["payload"][:], data)


def test_one_object_per_array_and_a_crc32c_after_every_chunk(root):
    rows = rows_of_every_kind()
    part = segment_part(root, rows)
    group = zarr.open_group(path_of(root, part), mode="r")
    for name in group.array_keys():
        objects = tuple(each for each in root.list(f"{part.prefix}/{name}").objects if each != "_index")
        if name != "silence":
            assert objects == ("0.0" if rows.arrays[name].ndim == 2 else "0", "zarr.json")
        (sharding,) = group[name].metadata.codecs
        assert type(sharding.codecs[-1]).__name__ == type(sharding.index_codecs[-1]).__name__ == "Crc32cCodec"


@pytest.mark.parametrize("count", [1, 3000])
def test_xarray_opens_a_segment_with_exact_times(root, count):
    xarray = pytest.importorskip("xarray")
    rows = rows_of_every_kind(count)
    part = segment_part(root, rows)
    dataset = xarray.open_zarr(path_of(root, part), consolidated=False, chunks=None).load()
    assert dataset.time.dtype == "datetime64[ns]"
    assert dataset.time.values.tobytes() == rows.arrays["time"].tobytes()
    assert dataset.exchange_time.values.tobytes() == rows.arrays["exchange_time"].tobytes()  # null is NaT, bit for bit
    for name in ("price", "size", "trade_id", "side", "fee", "bid_price", "note", "payload", "is_maker"):
        assert dataset[name].dtype == rows.arrays[name].dtype
        assert dataset[name].values.tobytes() == rows.arrays[name].tobytes()
    assert dataset.price.attrs["units"] == "USD"
    assert dataset.bid_price.dims == ("time", "level")
    assert dataset.note.dims == (dataset.note_count.attrs["sample_dimension"],)
    assert dataset.venue.attrs["labels"] == list(rows.tidy().labels["venue"])


@pytest.mark.parametrize("count", [20_000, 20_003])
def test_tensorstore_opens_the_portable_profile(root, count):
    tensorstore = pytest.importorskip("tensorstore")
    rows = rows_of_every_kind(count)
    part = segment_part(root, rows, profile="portable")
    for name, array in rows.tidy().arrays.items():
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{path_of(root, part)}/{name}/"}}
        opened = tensorstore.open(spec, read=True).result()
        assert opened.read().result().tobytes() == array.tobytes(), name
        assert opened[len(array) // 3 : len(array) // 2].read().result().tobytes() == array[len(array) // 3 : len(array) // 2].tobytes()


def test_zarr_finds_a_flipped_bit_too(root, tmp_path):
    part = segment_part(root, rows_of_every_kind())
    file = tmp_path / part.prefix / "price" / "0"
    data = bytearray(file.read_bytes())
    data[1000] ^= 4
    file.write_bytes(data)
    with pytest.raises(ValueError, match=r"(?i)checksum"):
        zarr.open_group(path_of(root, part), mode="r")["price"][:]
