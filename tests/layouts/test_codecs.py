"""What zarr.json says is what stock Zarr, xarray and TensorStore read."""

import json

import numpy as np
import pytest

from layouts import SIDE, Column, Profile, Schema, array_metadata, codec_for, column_attributes, group_metadata

zarr = pytest.importorskip("zarr")

DTYPES = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64"]
SCHEMA = Schema(
    name="s",
    columns=(
        Column(name="time", kind="time"),
        *(Column(name=f"of_{dtype}", dtype=dtype, nullable=dtype == "int8") for dtype in DTYPES),
        Column(name="bids", levels=3),
        Column(name="payload", kind="bytes"),
        Column(name="note", kind="text"),
    ),
)
ROWS, CHUNK, SHARD = 1000, 300, 1200


def written(folder, profile):
    """A segment of SCHEMA made of our metadata alone, filled by zarr; returns what each array holds."""
    (folder / "zarr.json").write_text(json.dumps(group_metadata({"Conventions": "CF-1.11"})))
    values = {}
    for spec in SCHEMA.arrays():
        attributes = column_attributes(SCHEMA.column(spec.column), role=spec.role)
        document = array_metadata(spec, length=ROWS, chunk=CHUNK, shard=SHARD, profile=profile, attributes=attributes)
        (folder / spec.name).mkdir()
        (folder / spec.name / "zarr.json").write_text(json.dumps(document))
        count = ROWS * (spec.inner_shape or (1,))[0]
        values[spec.name] = (np.arange(count) % 251).reshape(ROWS, *spec.inner_shape).astype(spec.dtype)
    group = zarr.open_group(folder, mode="r+")
    for name, array in values.items():
        group[name][...] = array
    return values


@pytest.mark.parametrize("profile", Profile)
def test_zarr_reads_back_arrays_made_of_our_metadata_alone(tmp_path, profile):
    values = written(tmp_path, profile)
    group = zarr.open_group(tmp_path, mode="r")
    assert dict(group.attrs) == {"Conventions": "CF-1.11"}
    for name, array in values.items():
        np.testing.assert_array_equal(group[name][...], array)
        assert group[name].dtype == array.dtype
        assert group[name].metadata.dimension_names == next(spec.dimensions for spec in SCHEMA.arrays() if spec.name == name)


@pytest.mark.parametrize("profile", Profile)
def test_a_column_of_one_shard_is_one_object_beside_its_metadata(tmp_path, profile):
    for name, array in written(tmp_path, profile).items():
        shard = "0.0" if array.ndim == 2 else "0"
        assert sorted(path.name for path in (tmp_path / name).iterdir()) == [shard, "zarr.json"]


def test_tensorstore_reads_the_portable_profile(tmp_path):
    tensorstore = pytest.importorskip("tensorstore")
    for name, array in written(tmp_path, "portable").items():
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(tmp_path / name)}}
        np.testing.assert_array_equal(tensorstore.open(spec).result().read().result(), array)


def test_xarray_opens_it_with_times_on_the_row_dimension_and_numbers_as_they_are(tmp_path):
    xarray = pytest.importorskip("xarray")
    values = written(tmp_path, "dense")
    with xarray.open_zarr(tmp_path, consolidated=False) as dataset:
        assert dataset["time"].dtype == "datetime64[ns]"
        assert dataset["bids"].dims == ("time", "level")
        for dtype in DTYPES:
            np.testing.assert_array_equal(dataset[f"of_{dtype}"].values, values[f"of_{dtype}"])


@pytest.mark.parametrize("profile", Profile)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_codec_ends_with_a_checksum_and_one_byte_columns_are_bit_shuffled(profile, dtype):
    chain = codec_for(profile, dtype).chain()
    assert chain[-1] == {"name": "crc32c"}
    if np.dtype(dtype).itemsize == 1:
        assert chain[:-1] == [
            {"name": "bytes"},
            {"name": "blosc", "configuration": {"typesize": 1, "cname": "zstd", "clevel": 5, "shuffle": "bitshuffle", "blocksize": 0}},
        ]
    elif profile == "dense":
        assert chain[:-1] == [{"name": "numcodecs.pcodec", "configuration": {"level": 8}}]
    else:
        size, shuffle = np.dtype(dtype).itemsize, "noshuffle" if dtype.startswith("float") else "bitshuffle"
        assert chain[:-1] == [
            {"name": "bytes", "configuration": {"endian": "little"}},
            {"name": "blosc", "configuration": {"typesize": size, "cname": "zstd", "clevel": 5, "shuffle": shuffle, "blocksize": 0}},
        ]


def test_payloads_are_zstd_9_with_which_checksums_are_not_doubled():
    dense, portable = codec_for("dense", "uint8", payload=True), codec_for("portable", "uint8", payload=True)
    assert (dense.name, dense.configuration) == ("zstd", {"level": 9, "checksum": False})
    assert portable.name == "blosc"
    assert portable.configuration == {"typesize": 1, "cname": "zstd", "clevel": 5, "shuffle": "noshuffle", "blocksize": 0}


def test_an_empty_array_has_metadata_that_zarr_opens(tmp_path):
    spec = SCHEMA.arrays()[-2]
    assert spec.is_payload
    document = array_metadata(spec, length=0, chunk=1, shard=1, profile="dense", attributes={})
    (tmp_path / "zarr.json").write_text(json.dumps(document))
    assert zarr.open_array(tmp_path, mode="r")[...].tolist() == []


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (Column(name="x", kind="time"), {"units": "nanoseconds since 1970-01-01", "calendar": "proleptic_gregorian"}),
        (Column(name="x", kind="vocabulary", vocabulary=SIDE), {"flag_values": [1, -1, 0], "flag_meanings": "buy sell none"}),
        (Column(name="x", kind="flags", vocabulary=(("a", 1), ("b", 2))), {"flag_masks": [1, 2], "flag_meanings": "a b"}),
        (Column(name="x", kind="dictionary"), {"labels": ["BTC", "ETH"]}),
        (Column(name="x", kind="decimal", places=3, unit="USD"), {"decimal_places": 3, "units": "USD"}),
        (Column(name="x", kind="text"), {"encoding": "utf-8"}),
        (Column(name="x", kind="bytes"), {}),
        (Column(name="x", unit="s"), {"units": "s"}),
        (Column(name="x", description="what it is", attributes={"decimal_places": 2}), {"long_name": "what it is", "decimal_places": 2}),
    ],
    ids=lambda value: value.kind.value if isinstance(value, Column) else None,
)
def test_values_carry_the_cf_attributes_of_their_kind(request, column, expected):
    assert column_attributes(column, ["BTC", "ETH"]) == expected


def test_counts_name_the_dimension_they_count_and_validity_says_nothing():
    assert column_attributes(Column(name="x", kind="text"), role="count") == {"sample_dimension": "x_byte", "encoding": "utf-8"}
    assert column_attributes(Column(name="x", kind="bytes"), role="count") == {"sample_dimension": "x_byte"}
    assert column_attributes(Column(name="x", description="d", unit="m", nullable=True), role="valid") == {}
