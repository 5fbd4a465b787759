"""A storage that counts what is read through it, and reads no faster than it is told to."""

import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import AbstractContextManager, closing

from arraystore.forks import Guard
from arraystore.storage.base import Batch, Buffer, Listing, Storage


class Meter:
    """Bytes that were read, over any number of storages and threads; waits so that they don't exceed `rate` bytes a second.

    Parameters
    ----------
    rate
        Bytes a second, on average; None: as fast as can be.
    clock, sleep
        Seconds, of any origin; and how to wait.
    """

    def __init__(
        self, rate: float | None = None, *, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.bytes = 0
        self._rate = rate
        self._clock = clock
        self._sleep = sleep
        self._guard = Guard()
        self._free_at = clock()

    def count(self, size: int) -> None:
        """Account for `size` bytes that were read."""
        with self._guard:
            self.bytes += size
            if not self._rate:
                return
            now = self._clock()
            self._free_at = max(self._free_at, now) + size / self._rate
            wait = self._free_at - now
        self._sleep(wait)


class Metered:
    """A storage through a meter. As thread-safe as that storage; only reads are counted."""

    def __init__(self, storage: Storage, meter: Meter) -> None:
        self._storage = storage
        self._meter = meter

    @property
    def url(self) -> str:
        """See `Storage.url`."""
        return self._storage.url

    @property
    def ignores_case(self) -> bool:
        """See `Storage.ignores_case`."""
        return self._storage.ignores_case

    @property
    def is_far(self) -> bool:
        """See `Storage.is_far`."""
        return self._storage.is_far

    def probe(self) -> None:
        """See `Storage.probe`."""
        self._storage.probe()

    def get(self, key: str) -> bytes:
        """See `Storage.get`."""
        data = self._storage.get(key)
        self._meter.count(len(data))
        return data

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """See `Storage.get_ranges`."""
        pieces = self._storage.get_ranges(key, ranges)
        self._meter.count(sum(map(len, pieces)))
        return pieces

    def iter_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> Generator[bytes]:
        """See `Storage.iter_ranges`."""
        with closing(self._storage.iter_ranges(key, ranges)) as pieces:
            for piece in pieces:
                self._meter.count(len(piece))
                yield piece

    def size(self, key: str) -> int:
        """See `Storage.size`."""
        return self._storage.size(key)

    def exists(self, key: str) -> bool:
        """See `Storage.exists`."""
        return self._storage.exists(key)

    def list(self, prefix: str) -> Listing:
        """See `Storage.list`."""
        return self._storage.list(prefix)

    def create(self, key: str, data: Buffer) -> None:
        """See `Storage.create`."""
        self._storage.create(key, data)

    def put(self, key: str, data: Buffer | Iterable[Buffer], *, durable: bool) -> None:
        """See `Storage.put`."""
        self._storage.put(key, data, durable=durable)

    def swap(self, key: str, data: Buffer, before: bytes | None) -> None:
        """See `Storage.swap`."""
        self._storage.swap(key, data, before)

    def batch(self) -> AbstractContextManager[Batch]:
        """See `Storage.batch`."""
        return self._storage.batch()

    def sync(self, prefix: str) -> None:
        """See `Storage.sync`."""
        self._storage.sync(prefix)

    def delete(self, key: str) -> None:
        """See `Storage.delete`."""
        self._storage.delete(key)

    def lock(self, key: str) -> AbstractContextManager[None]:
        """See `Storage.lock`."""
        return self._storage.lock(key)
