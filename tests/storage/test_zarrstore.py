"""Zarr reads what lies on any storage, and writes to none."""

import asyncio

import numpy as np
import pytest
import zarr
from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import Buffer, cpu, default_buffer_prototype
from zarr.storage import MemoryStore
from zarr.testing.store import StoreTests

from arraystore.errors import InvalidInput, NotFound
from arraystore.storage import LocalStorage, MemoryStorage
from arraystore.storage.zarrstore import ZarrStore


class WritableForTests(ZarrStore):
    """Zarr's battery writes through the store that it reads through; everything but writing is the adapter's own."""

    supports_writes = True
    supports_deletes = True

    def __init__(self, storage, prefix="", *, read_only=False):
        super().__init__(storage, prefix)
        self._read_only = read_only

    def with_read_only(self, read_only=False):
        return type(self)(self._storage, self._prefix, read_only=read_only)

    def __eq__(self, other):
        return super().__eq__(other) and self.read_only == other.read_only

    __hash__ = ZarrStore.__hash__

    async def set(self, key, value):
        self._check_writable()
        self.set_sync(key, value)

    def set_sync(self, key, value):
        self._check_writable()
        self._storage.put(self._path(key), value.to_bytes(), durable=False)

    async def delete(self, key):
        self._check_writable()
        self.delete_sync(key)

    def delete_sync(self, key):
        self._check_writable()
        self._storage.delete(self._path(key))


class TestReadingAsZarrAsksForIt(StoreTests[WritableForTests, cpu.Buffer]):
    store_cls = WritableForTests
    buffer_cls = cpu.Buffer

    @pytest.fixture
    def store_kwargs(self, tmp_path):
        return {"storage": LocalStorage(tmp_path / "root", create=True), "prefix": "some/segment"}

    @pytest.fixture
    def store(self, open_kwargs):
        return asyncio.run(self.store_cls.open(**open_kwargs))

    @pytest.fixture
    def store_not_open(self, store_kwargs):
        return self.store_cls(**store_kwargs)

    async def set(self, store, key, value):
        store._storage.put(f"some/segment/{key}", value.to_bytes(), durable=False)

    async def get(self, store, key):
        return self.buffer_cls.from_bytes(store._storage.get(f"some/segment/{key}"))

    def test_store_repr(self, store):
        assert repr(store) == f"WritableForTests('{store._storage.url}/some/segment')"

    def test_store_supports_writes(self, store):
        assert store.supports_writes

    def test_store_supports_listing(self, store):
        assert store.supports_listing


@pytest.fixture
def segment(storage):
    """A group of sharded arrays below `d/segment`, written without us."""
    memory = MemoryStore()
    group = zarr.create_group(memory, attributes={"a": 1})
    for name, values in {"time": np.arange(1000), "price": np.linspace(0, 1, 1000)}.items():
        group.create_array(name, data=values, chunks=(100,), shards=(1000,), dimension_names=["time"])
    with storage.batch() as batch:
        for key, value in memory._store_dict.items():
            batch.put(f"d/segment/{key}", value.to_bytes())
    return ZarrStore(storage, "d/segment")


@pytest.mark.parametrize("pipeline", ["BatchedCodecPipeline", "FusedCodecPipeline"])
def test_a_group_opens_on_every_storage(segment, pipeline):
    with zarr.config.set({"codec_pipeline.path": f"zarr.core.codec_pipeline.{pipeline}"}):
        group = zarr.open_group(segment, mode="r")
        assert group.attrs["a"] == 1
        assert sorted(name for name, _ in group.arrays()) == ["price", "time"]
        np.testing.assert_array_equal(group["time"][:], np.arange(1000))
        np.testing.assert_array_equal(group["price"][150:152], np.linspace(0, 1, 1000)[150:152])
        assert "nothing" not in group


def test_what_is_outside_the_prefix_cannot_be_reached(segment):
    segment._storage.create("d/secret/zarr.json", b"{}")
    for key in ("../secret/zarr.json", "/d/secret/zarr.json", "a/../../secret/zarr.json", "", "with space/zarr.json"):
        assert segment.get_sync(key) is None
        assert asyncio.run(segment.exists(key)) is False
        with pytest.raises(FileNotFoundError):
            asyncio.run(segment.getsize(key))
    with pytest.raises(InvalidInput):
        ZarrStore(segment._storage, "d/../secret")


def test_nothing_can_be_written(segment):
    value = default_buffer_prototype().buffer.from_bytes(b"x")
    before = segment._storage.get("d/segment/zarr.json")
    for verb in (
        lambda: asyncio.run(segment.set("zarr.json", value)),
        lambda: asyncio.run(segment.delete("zarr.json")),
        lambda: segment.set_sync("zarr.json", value),
        lambda: segment.delete_sync("zarr.json"),
        lambda: segment.with_read_only(read_only=False),
        lambda: zarr.open_group(segment, mode="r+"),
        lambda: zarr.open_group(segment, mode="w"),
        lambda: zarr.open_group(segment, mode="r").create_array("new", shape=(1,), dtype="i4"),
    ):
        with pytest.raises(ValueError, match="read-only"):
            verb()
    assert (segment.read_only, segment.supports_writes, segment.supports_deletes) == (True, False, False)
    assert segment._storage.get("d/segment/zarr.json") == before
    assert segment.with_read_only(read_only=True) == segment


@pytest.mark.parametrize(
    ("byte_range", "expected"),
    [
        (None, b"0123456789"),
        (RangeByteRequest(2, 5), b"234"),
        (RangeByteRequest(8, 50), b"89"),
        (OffsetByteRequest(7), b"789"),
        (OffsetByteRequest(10), b""),
        (SuffixByteRequest(3), b"789"),
        (SuffixByteRequest(30), b"0123456789"),
    ],
)
def test_ranges_are_those_of_zarr(storage, byte_range, expected):
    storage.create("s/a", b"0123456789")
    found = ZarrStore(storage, "s").get_sync("a", byte_range=byte_range)
    assert isinstance(found, Buffer)
    assert found.to_bytes() == expected


def test_stores_are_equal_when_they_read_the_same():
    storage, other = MemoryStorage(), MemoryStorage()
    assert ZarrStore(storage, "a") == ZarrStore(storage, "a")
    assert hash(ZarrStore(storage, "a")) == hash(ZarrStore(storage, "a"))
    assert ZarrStore(storage, "a") != ZarrStore(storage, "b")
    assert ZarrStore(storage, "a") != ZarrStore(other, "a")


def test_a_root_needs_no_prefix(storage):
    storage.create("zarr.json", b"{}")
    store = ZarrStore(storage)
    assert store.get_sync("zarr.json").to_bytes() == b"{}"
    assert str(store) == storage.url


def test_a_failing_storage_is_not_taken_for_a_missing_object(storage, monkeypatch):
    def lost(_key):
        raise NotFound("gone")

    def broken(_key):
        raise OSError("broken")

    monkeypatch.setattr(storage, "get", lost)
    assert ZarrStore(storage).get_sync("a") is None
    monkeypatch.setattr(storage, "get", broken)
    with pytest.raises(OSError, match="broken"):
        ZarrStore(storage).get_sync("a")
