"""The one adapter through which Zarr reads what lies on any storage; it never writes."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Never

from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.core.buffer import Buffer, BufferPrototype, default_buffer_prototype

from arraystore.errors import NotFound
from arraystore.storage.base import Listing, Storage
from arraystore.storage.keys import is_part, prefix_parts

_END = 1 << 62
"""Past the end of every object; ranges come back short."""


class ZarrStore(Store):
    """What lies below `prefix` of `storage`, read-only: `zarr.open_group(ZarrStore(storage, prefix), mode="r")`.

    Names that no key may have aren't there. Errors of the storage pass through, but for `NotFound`, which Zarr takes as None.
    """

    def __init__(self, storage: Storage, prefix: str = "") -> None:
        super().__init__(read_only=True)
        prefix_parts(prefix)
        self._storage = storage
        self._prefix = prefix

    def __str__(self) -> str:
        return f"{self._storage.url}/{self._prefix}".rstrip("/")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and (self._storage, self._prefix) == (other._storage, other._prefix)

    def __hash__(self) -> int:
        return hash((type(self), self._storage.url, self._prefix))

    def with_read_only(self, read_only: bool = False) -> "ZarrStore":  # noqa: FBT001, FBT002 - Zarr's signature
        """This store again; there is none that writes."""
        if not read_only:
            raise ValueError(f"{self} is read-only: append to its dataset instead")
        return ZarrStore(self._storage, self._prefix)

    @property
    def supports_writes(self) -> bool:
        """Never."""
        return False

    @property
    def supports_deletes(self) -> bool:
        """Never."""
        return False

    @property
    def supports_listing(self) -> bool:
        """Always."""
        return True

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """The bytes that are asked for, or None if there is no such object."""
        return await asyncio.to_thread(self.get_sync, key, prototype=prototype, byte_range=byte_range)

    def get_sync(self, key: str, *, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None) -> Buffer | None:
        """As `get`, for the pipelines that don't go through an event loop."""
        if not self._possible(key):
            return None
        try:
            data = self._read(self._path(key), byte_range)
        except NotFound:
            return None
        return (prototype or default_buffer_prototype()).buffer.from_bytes(data)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """What `get` returns for each key and range."""
        return await asyncio.gather(*(self.get(key, prototype, byte_range) for key, byte_range in key_ranges))

    async def exists(self, key: str) -> bool:
        """Whether there is such an object."""
        return self._possible(key) and await asyncio.to_thread(self._storage.exists, self._path(key))

    async def getsize(self, key: str) -> int:
        """Its length in bytes; FileNotFoundError if there is no such object."""
        if not self._possible(key):
            raise FileNotFoundError(key)
        try:
            return await asyncio.to_thread(self._storage.size, self._path(key))
        except NotFound as error:
            raise FileNotFoundError(key) from error

    async def list(self) -> AsyncIterator[str]:
        """Every object."""
        async for key in self.list_prefix(""):
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Every object whose key begins so."""
        for key in await asyncio.to_thread(lambda: [*self._walk(prefix.rpartition("/")[0], prefix)]):
            yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """The names one level below."""
        listing = await asyncio.to_thread(self._list, prefix.rstrip("/"))
        for name in (*listing.objects, *listing.prefixes):
            yield name

    async def set(self, key: str, value: Buffer) -> Never:  # noqa: ARG002
        """Refused."""
        self._refuse()

    def set_sync(self, key: str, value: Buffer) -> Never:  # noqa: ARG002
        """Refused."""
        self._refuse()

    async def delete(self, key: str) -> Never:  # noqa: ARG002
        """Refused."""
        self._refuse()

    def delete_sync(self, key: str) -> Never:  # noqa: ARG002
        """Refused."""
        self._refuse()

    def _refuse(self) -> Never:
        raise ValueError(f"{self}: store was opened in read-only mode and does not support writing")

    def _path(self, key: str) -> str:
        return f"{self._prefix}/{key}" if self._prefix else key

    def _possible(self, key: str) -> bool:
        return all(map(is_part, key.split("/")))

    def _read(self, path: str, byte_range: ByteRequest | None) -> bytes:
        match byte_range:
            case None:
                return self._storage.get(path)
            case RangeByteRequest(start, end):
                span = (start, end)
            case OffsetByteRequest(offset):
                span = (offset, _END)
            case SuffixByteRequest(suffix):
                size = self._storage.size(path)
                span = (max(0, size - suffix), size)
            case _:
                raise ValueError(f"Unexpected byte_range, got {byte_range}")
        (data,) = self._storage.get_ranges(path, [span])
        return data

    def _list(self, directory: str) -> Listing:
        if directory and not self._possible(directory):
            return Listing((), ())
        return self._storage.list("/".join(filter(None, (self._prefix, directory))))

    def _walk(self, directory: str, beginning: str) -> Iterator[str]:
        listing = self._list(directory)
        head = f"{directory}/" if directory else ""
        yield from (head + name for name in listing.objects if (head + name).startswith(beginning))
        for name in listing.prefixes:
            yield from self._walk(head + name, beginning)
