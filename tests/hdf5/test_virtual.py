"""VirtualiZarr references what we export, without a copy of it: each array is a Zarr array of the chunks that lie in the HDF5 file."""

import h5py
import numpy as np
import pytest
import xarray as xr
from obstore.store import LocalStore

parsers = pytest.importorskip("virtualizarr.parsers")
registries = pytest.importorskip("obspec_utils.registry")

pytestmark = [
    pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in the Zarr version 3 specification"),
    pytest.mark.filterwarnings("ignore:The data type .* does not have a Zarr V3 specification"),
]


@pytest.mark.parametrize("flavor", ["portable", "fast"])
@pytest.mark.parametrize("name", ["trades", "book_snapshots", "raw_messages"])
def test_virtualizarr_references_an_export_with_the_same_values(dataset_of, tmp_path, name, flavor):
    dataset = dataset_of(name, 70_000 if name == "trades" else 3_000)
    path = dataset.to_hdf5(tmp_path / "out.h5", flavor=flavor).path
    registry = registries.ObjectStoreRegistry({"file://": LocalStore()})
    referenced = parsers.HDFParser()(f"file://{path}", registry=registry)
    several = 0
    with (
        h5py.File(path) as file,
        xr.open_zarr(referenced, consolidated=False, zarr_format=3, decode_cf=False) as found,
    ):
        for column in dataset.schema.columns:
            for spec in dataset.schema.arrays_of(column):
                assert found[spec.name].values.tobytes() == file[spec.name][:].tobytes(), spec.name
                several += file[spec.name].chunks < file[spec.name].shape
        times = np.asarray(found[dataset.schema.axis].values)
        assert found[dataset.schema.axis].attrs["units"] == "nanoseconds since 1970-01-01"
    assert times.tobytes() == np.asarray(dataset.read()["time"]).tobytes()
    assert several


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("flavor", ["portable", "fast"])
def test_references_as_kerchunk_has_them_give_the_same_values(dataset_of, tmp_path, flavor):
    """kerchunk's own reader of HDF5 (0.2.10) refuses checksums of HDF5; its references know them, and VirtualiZarr writes these."""
    virtualizarr = pytest.importorskip("virtualizarr")
    dataset = dataset_of("trades", 70_000)
    path = dataset.to_hdf5(tmp_path / "out.h5", flavor=flavor).path
    registry = registries.ObjectStoreRegistry({"file://": LocalStore()})
    virtual = virtualizarr.open_virtual_dataset(f"file://{path}", registry=registry, parser=parsers.HDFParser(), decode_times=False)
    references = virtual.vz.to_kerchunk(format="dict")
    assert b"fletcher32" in str(references["refs"]["price/.zarray"]).encode()
    opened = xr.open_dataset(
        "reference://",
        engine="zarr",
        decode_cf=False,
        backend_kwargs={"consolidated": False, "zarr_format": 2, "storage_options": {"fo": references}},
    )
    with opened as found, h5py.File(path) as file:
        for name in ("time", "price", "size", "side", "trade_id_count"):
            assert found[name].values.tobytes() == file[name][:].tobytes(), name
