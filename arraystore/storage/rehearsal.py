"""A storage that keeps every write to itself and shows it, over another that stays as it is: what a dry run works on.

Whatever would be refused is refused, by the same code and in the same words; what would be done can be looked at, and is gone
with the process. What can only be told by writing (a full disk, a medium that can't link) isn't told.
"""

import os
from collections.abc import Generator, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from arraystore.errors import AlreadyExists, NotFound, StorageError
from arraystore.storage.base import Batch, Buffer, Listing, Storage
from arraystore.storage.failures import changed
from arraystore.storage.keys import key_parts
from arraystore.storage.local import LocalStorage
from arraystore.storage.memory import MemoryStorage
from arraystore.storage.opening import open_storage


class RehearsalStorage:
    """Writes go to memory, reads fall through to `inner` (None: there is nothing yet). Safe to share between threads."""

    def __init__(self, inner: Storage | None, url: str) -> None:
        self._inner = inner
        self._url = url
        self._over = MemoryStorage()
        self._deleted: set[str] = set()

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError(f"a rehearsal of {self.url} stays in its process, as all that it wrote does")

    @property
    def url(self) -> str:
        """Where it would be written to."""
        return self._url

    @property
    def ignores_case(self) -> bool:
        """As the storage below, told without writing."""
        return self._inner is not None and self._inner.exists("zarr.json") and self._inner.exists("ZARR.JSON")

    @property
    def is_far(self) -> bool:
        """As the storage below."""
        return self._inner is not None and self._inner.is_far

    def probe(self) -> None:
        """Nothing can be tried without writing."""

    def _below(self, key: str) -> Storage | None:
        """What has the object, if it isn't here: nothing after a deletion."""
        return None if key in self._deleted else self._inner

    def get(self, key: str) -> bytes:
        """See `Storage.get`."""
        return self._holding(key).get(key)

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """See `Storage.get_ranges`."""
        return self._holding(key).get_ranges(key, ranges)

    def iter_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> Generator[bytes]:
        """See `Storage.iter_ranges`."""
        yield from self._holding(key).iter_ranges(key, ranges)

    def size(self, key: str) -> int:
        """See `Storage.size`."""
        return self._holding(key).size(key)

    def _holding(self, key: str) -> Storage:
        if self._over.exists(key):
            return self._over
        below = self._below(key)
        if below is None:
            raise NotFound(f"{self.url}: there is no object {key!r}")
        return below

    def exists(self, key: str) -> bool:
        """See `Storage.exists`."""
        below = self._below(key)
        return self._over.exists(key) or (below is not None and below.exists(key))

    def list(self, prefix: str) -> Listing:
        """See `Storage.list`; a prefix whose last object was deleted here is told still."""
        over = self._over.list(prefix)
        if self._inner is None:
            return over
        inner = self._inner.list(prefix)
        head = f"{prefix}/" if prefix else ""
        objects = {name for name in inner.objects if f"{head}{name}" not in self._deleted}
        return Listing(tuple(sorted({*objects, *over.objects})), tuple(sorted({*inner.prefixes, *over.prefixes})))

    def create(self, key: str, data: Buffer) -> None:
        """See `Storage.create`."""
        self._refuse_unwritable(key)
        below = self._below(key)
        if below is not None and below.exists(key):
            raise AlreadyExists(f"{self.url}: the object {key!r} exists already")
        self._over.create(key, data)

    def put(self, key: str, data: Buffer | Iterable[Buffer], *, durable: bool) -> None:
        """See `Storage.put`."""
        self._refuse_unwritable(key)
        self._over.put(key, data, durable=durable)

    def swap(self, key: str, data: Buffer, before: bytes | None) -> None:
        """See `Storage.swap`."""
        self._refuse_unwritable(key)
        with self._over.lock(f"{key}.swap"):
            try:
                found = self.get(key)
            except NotFound:
                found = None
            if found != before:
                raise changed(key, self.url)
            self._over.put(key, data, durable=True)

    def batch(self) -> AbstractContextManager[Batch]:
        """See `Storage.batch`; names in it are new by contract."""
        return self._over.batch()

    def sync(self, prefix: str) -> None:
        """Nothing here outlives the process."""
        self._over.sync(prefix)

    def delete(self, key: str) -> None:
        """See `Storage.delete`."""
        self._refuse_unwritable(key)
        self._over.delete(key)
        self._deleted.add(key)

    def lock(self, key: str) -> AbstractContextManager[None]:
        """Queue among the threads that rehearse together; whoever writes for real isn't waited for."""
        return self._over.lock(key)

    def _refuse_unwritable(self, key: str) -> None:
        """Refuse where this user may not write to the nearest folder that is there."""
        if self._inner is None or isinstance(self._inner, LocalStorage):
            parts = key_parts(key)[:-1]
            _refuse_unwritable(Path(self.url, *parts))


class Rehearsal:
    """Opens storages for a dry run: one for each URL, so that what was written to one is seen by all who open it."""

    def __init__(self) -> None:
        self._opened: dict[str, RehearsalStorage] = {}

    def __call__(self, url: str, /, *, create: bool = False) -> Storage:
        """The storage at `url`; with `create`, one that isn't there would be made."""
        if url not in self._opened:
            try:
                inner: Storage | None = open_storage(url)
            except NotFound:
                if not create:
                    raise
                inner = None
                _refuse_unwritable(Path(url.removeprefix("file://")))
            self._opened[url] = RehearsalStorage(inner, url if inner is None else inner.url)
        return self._opened[url]


def _refuse_unwritable(place: Path) -> None:
    nearest = next(folder for folder in (place, *place.parents) if os.path.lexists(folder))
    if not nearest.is_dir():
        raise StorageError(f"{nearest} is in the way: it is no directory; choose another place")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise StorageError(f"{nearest}: this user may not write there; choose another place, or ask for permission")
