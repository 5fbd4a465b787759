"""Storage in the memory of this process, for tests and scratch work: `memory://name`."""

import threading
import uuid
from collections import defaultdict
from collections.abc import Buffer as BufferLike
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Self
from weakref import WeakValueDictionary

from arraystore.errors import AlreadyExists, NotFound
from arraystore.forks import Guard
from arraystore.storage.base import WHOLE_LIMIT_BYTES, Batch, Buffer, Listing
from arraystore.storage.failures import changed, too_long
from arraystore.storage.keys import check_ranges, key_parts, prefix_parts

SCHEME = "memory://"


class _Space:
    """The objects of one name, whichever prefix they are seen through."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.guard = Guard()
        self.locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)


_spaces: WeakValueDictionary[str, _Space] = WeakValueDictionary()
_kept: dict[str, _Space] = {}  # what a user has named lives as long as the process; the nameless, as long as someone holds it
_registry_guard = Guard()


def _space(name: str, *, create: bool) -> _Space:
    with _registry_guard:
        space = _spaces.get(name)
        if space is None:
            if not create:
                msg = f"{SCHEME}{name}: this process has no such memory; open it with create=True, in the process that reads it"
                raise NotFound(msg)
            space = _spaces[name] = _Space()
        return space


class MemoryStorage:
    """Objects in a dictionary, under a lock; durable for as long as the process lives.

    Storages of one name share their objects, below `prefix` each. Pickled, it finds its objects again in the same process only.
    """

    ignores_case = False
    is_far = False

    def __init__(self, name: str = "", prefix: str = "", *, create: bool = True) -> None:
        prefix_parts(prefix)
        self._name = name or uuid.uuid4().hex
        self._prefix = prefix
        self._space = _space(self._name, create=create)
        if name:
            _kept[name] = self._space

    def __repr__(self) -> str:
        return f"MemoryStorage({self.url!r})"

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return from_url, (self.url,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MemoryStorage) and self._space is other._space and self._prefix == other._prefix

    def __hash__(self) -> int:
        return hash(self.url)

    @property
    def url(self) -> str:
        """`memory://name/prefix`."""
        return f"{SCHEME}{self._name}/{self._prefix}".rstrip("/")

    def probe(self) -> None:
        """Memory can do all that is asked of it."""

    def _path(self, key: str) -> str:
        key_parts(key)
        return f"{self._prefix}/{key}" if self._prefix else key

    def _whole(self, key: str) -> bytes:
        path = self._path(key)
        with self._space.guard:
            data = self._space.objects.get(path)
        if data is None:
            msg = f"{self.url}: there is no object {key!r}"
            raise NotFound(msg)
        return data

    def get(self, key: str) -> bytes:
        """See `Storage.get`."""
        data = self._whole(key)
        if len(data) > WHOLE_LIMIT_BYTES:
            raise too_long(key, self.url, len(data))
        return data

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """See `Storage.get_ranges`."""
        check_ranges(key, ranges)
        data = self._whole(key)
        return [data[start:stop] for start, stop in ranges]

    def iter_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> Generator[bytes]:
        """See `Storage.iter_ranges`."""
        yield from self.get_ranges(key, ranges)

    def size(self, key: str) -> int:
        """See `Storage.size`."""
        return len(self._whole(key))

    def exists(self, key: str) -> bool:
        """See `Storage.exists`."""
        path = self._path(key)
        with self._space.guard:
            return path in self._space.objects

    def list(self, prefix: str) -> Listing:
        """See `Storage.list`."""
        head = "/".join([*prefix_parts(self._prefix), *prefix_parts(prefix), ""])
        with self._space.guard:
            tails = [path[len(head) :] for path in self._space.objects if path.startswith(head)]
        objects = sorted(tail for tail in tails if "/" not in tail)
        prefixes = sorted({tail.partition("/")[0] for tail in tails if "/" in tail})
        return Listing(tuple(objects), tuple(prefixes))

    def create(self, key: str, data: Buffer) -> None:
        """See `Storage.create`."""
        path = self._path(key)
        value = bytes(data)
        with self._space.guard:
            if path in self._space.objects:
                msg = f"{self.url}: the object {key!r} exists already"
                raise AlreadyExists(msg)
            self._space.objects[path] = value

    def put(self, key: str, data: Buffer | Iterable[Buffer], *, durable: bool) -> None:  # noqa: ARG002 - nothing here outlives the process
        """See `Storage.put`."""
        path = self._path(key)
        value = _whole(data)
        with self._space.guard:
            self._space.objects[path] = value

    def swap(self, key: str, data: Buffer, before: bytes | None) -> None:
        """See `Storage.swap`."""
        path = self._path(key)
        value = bytes(data)
        with self._space.guard:
            if self._space.objects.get(path) != before:
                raise changed(key, self.url)
            self._space.objects[path] = value

    def batch(self) -> AbstractContextManager[Batch]:
        """See `Storage.batch`."""
        return _MemoryBatch(self)

    def sync(self, prefix: str) -> None:
        """See `Storage.sync`: nothing to do."""
        prefix_parts(prefix)

    def delete(self, key: str) -> None:
        """See `Storage.delete`."""
        path = self._path(key)
        with self._space.guard:
            self._space.objects.pop(path, None)

    @contextmanager
    def lock(self, key: str) -> Iterator[None]:
        """See `Storage.lock`: among the threads of this process."""
        path = self._path(key)
        with self._space.guard:
            lock = self._space.locks[path]
        with lock:
            yield


class _MemoryBatch:
    """Objects appear as they are put, and go again when the batch fails."""

    def __init__(self, storage: MemoryStorage) -> None:
        self._storage = storage
        self._keys: list[str] = []

    def put(self, key: str, data: Buffer | Iterable[Buffer]) -> int:
        """See `Batch.put`."""
        whole = _whole(data)
        self._storage.create(key, whole)
        self._keys.append(key)
        return len(whole)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if kind is not None:
            for key in self._keys:
                self._storage.delete(key)


def _whole(data: Buffer | Iterable[Buffer]) -> bytes:
    """Each piece is taken before the next is asked for: they may be views of one buffer."""
    return bytes(data) if isinstance(data, BufferLike) else b"".join([bytes(piece) for piece in data])


def from_url(url: str, *, create: bool = False) -> MemoryStorage:
    """Open `memory://name/prefix`; `memory://` alone, with `create`, is a fresh one that nobody else has."""
    name, _, prefix = url.removeprefix(SCHEME).partition("/")
    if not name and not create:
        msg = f"{SCHEME} without a name is always new: open it with create=True"
        raise NotFound(msg)
    return MemoryStorage(name, prefix.rstrip("/"), create=create)
