"""Storage on an object store, through obstore: S3, Google Cloud Storage, Azure, and whatever speaks like them."""

import errno
import os
import secrets
from collections.abc import Buffer as BufferLike
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from itertools import chain
from types import TracebackType
from typing import Any, Self

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    GenericError,
    NotSupportedError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import ObjectStore, from_url

from arraystore.errors import AlreadyExists, ArrayStoreError, CommitUnknown, InvalidInput, NotFound, StorageError
from arraystore.storage.base import WHOLE_LIMIT_BYTES, Batch, Buffer, Listing
from arraystore.storage.failures import changed, too_long
from arraystore.storage.keys import TEMPORARY, check_ranges, is_part, key_parts, prefix_parts
from arraystore.storage.racing import ROUNDS, refuse_unless_exclusive
from arraystore.storage.transfers import Stream, cut_ranges, join_ranges

_PART_BYTES = 16 << 20
"""What is longer goes up in parts of this length; S3 takes 10,000 of them."""

_PARTS_AT_ONCE = 4

_CONFLICTS = 10
"""How often to ask again for a name that is refused as taken and isn't: two creates met, and the server refused both."""

_process: int | None = None  # where the threads of obstore live


class ObjectStorage:
    """Objects in a bucket, or below a prefix of it.

    A PUT that was acknowledged is durable, so `sync` has nothing to do, and `lock` nothing to queue on. `create` is one conditional PUT;
    when its answer is lost, what is there tells: the same bytes are this call's own, others another's, and where there is nothing it is
    sent once more. The client itself repeats a request that got no answer, so `AlreadyExists` may still mean this call's own object:
    whoever must know compares what is there. A process forked after its parent's first use is refused, since it would hang.
    """

    ignores_case = False
    is_far = True  # a look is a round trip

    def __init__(self, store: ObjectStore, url: str = "") -> None:
        self._store = store
        self._url = url or repr(store)
        self._by_url = False

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Open `s3://bucket/prefix` and the like; credentials, region and endpoint come from the environment."""
        try:
            opened = cls(from_url(url), url.rstrip("/"))
        except (BaseError, ValueError) as error:
            raise InvalidInput(f"{url!r} can't be opened: {_first_line(error)}", where="url") from error
        opened._by_url = True
        return opened

    def __repr__(self) -> str:
        return f"ObjectStorage({self._url!r})"

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        if self._by_url:
            return type(self).from_url, (self._url,)
        return type(self), (self._store, self._url)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObjectStorage) and self._url == other._url and self._store == other._store

    def __hash__(self) -> int:
        return hash(self._url)

    @property
    def url(self) -> str:
        """The URL it was opened by; a store that was handed in is named by its description."""
        return self._url

    def probe(self) -> None:
        """Refuse, with `StorageError`, a server that lets more than one of several racing creates win."""
        path = f"{TEMPORARY}{secrets.token_hex(8)}-"
        try:
            refuse_unless_exclusive(lambda name, data: self._create(path + name, data), lambda name: self._get(path + name), self.url)
        finally:
            with suppress(ArrayStoreError):
                for name in range(ROUNDS):
                    self._delete(f"{path}{name}")

    def get(self, key: str) -> bytes:
        """See `Storage.get`."""
        key_parts(key)
        return self._get(key)

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """See `Storage.get_ranges`: several requests at once, and one for ranges that lie close together."""
        check_ranges(key, ranges)
        key_parts(key)
        spans = join_ranges(ranges)
        if not spans:
            self.size(key)
        try:
            pieces = self._fetch(key, spans)
        except StorageError:
            # To begin past the end is an error on every server, so look where the end is.
            size = self.size(key)
            spans = [(start, stop) for start, stop in spans if start < size]
            pieces = self._fetch(key, spans)
        return cut_ranges(ranges, spans, pieces)

    def iter_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> Generator[bytes]:
        """See `Storage.iter_ranges`: all are asked for at once, since each question takes its time."""
        yield from self.get_ranges(key, ranges)

    def size(self, key: str) -> int:
        """See `Storage.size`."""
        key_parts(key)
        return self._size(key)

    def exists(self, key: str) -> bool:
        """See `Storage.exists`."""
        key_parts(key)
        return self._exists(key)

    def list(self, prefix: str) -> Listing:
        """See `Storage.list`."""
        prefix_parts(prefix)
        with self._asking("listing", prefix):
            found = obstore.list_with_delimiter(self._store, prefix or None)
        head = f"{prefix}/" if prefix else ""  # a server may list `a/`, which marks a folder, in `a/`
        objects = (entry["path"].removeprefix(head) for entry in found["objects"] if entry["path"].startswith(head))
        prefixes = (path.rstrip("/").rpartition("/")[2] for path in found["common_prefixes"])
        return Listing(tuple(sorted(filter(is_part, objects))), tuple(sorted(filter(is_part, prefixes))))

    def create(self, key: str, data: Buffer) -> None:
        """See `Storage.create`."""
        key_parts(key)
        self._create(key, data)

    def put(self, key: str, data: Buffer | Iterable[Buffer], *, durable: bool) -> None:  # noqa: ARG002 - a PUT always is
        """See `Storage.put`. A stream of more than 16 MiB is sent in parts as it comes."""
        key_parts(key)
        stream = Stream(() if isinstance(data, BufferLike) else data)
        head = stream.read(_PART_BYTES)
        if not stream.ended:
            self._put_in_parts(key, head, stream)
            return
        with self._asking("writing", key):
            obstore.put(self._store, key, memoryview(data).cast("B") if isinstance(data, BufferLike) else b"".join(head))

    def swap(self, key: str, data: Buffer, before: bytes | None) -> None:
        """See `Storage.swap`: a PUT on condition of the ETag of what was read. obstore can't in a directory, and looks first."""
        key_parts(key)
        try:
            if before is None:
                self._create(key, data)
            else:
                self._replace(key, memoryview(data).cast("B"), before)
        except AlreadyExists:
            if self._get(key) != data:
                raise changed(key, self.url) from None

    def _replace(self, path: str, value: memoryview, before: bytes) -> None:
        with self._asking("reading", path):
            try:
                found = obstore.get(self._store, path)
                held, tags = bytes(found.bytes()), found.meta
            except FileNotFoundError:
                raise changed(path, self.url) from None
        if held != before:
            raise changed(path, self.url)
        mode: Any = {name: tag for name in ("e_tag", "version") if (tag := tags.get(name)) is not None}
        try:
            obstore.put(self._store, path, value, mode=mode)
        except NotImplementedError:
            self.put(path, value, durable=True)
        except (PreconditionError, AlreadyExistsError) as error:  # the client may have met its own request, sent again
            if self._get(path) != value:
                raise changed(path, self.url) from error
        except GenericError as error:
            if not self._holds(path, value, error):
                raise self._unknown(path, error) from error
        except (BaseError, OSError) as error:
            raise self._failure(error, "replacing", path) from error

    def _holds(self, path: str, value: memoryview, error: BaseException) -> bool:
        """After a replacement whose answer was lost: whether it was done. If not, the request may be on its way still."""
        try:
            return self._get(path) == value
        except ArrayStoreError as unreadable:
            raise self._unknown(path, error) from unreadable

    def batch(self) -> AbstractContextManager[Batch]:
        """See `Storage.batch`. Objects up to 16 MiB are one conditional PUT, longer ones are sent in parts as they come."""
        return _ObjectBatch(self)

    def put_new(self, key: str, data: Buffer | Iterable[Buffer]) -> int:
        """Write one object that isn't there yet, as `Batch.put` does."""
        key_parts(key)
        stream = Stream((data,) if isinstance(data, BufferLike) else data)
        head = stream.read(_PART_BYTES)
        if stream.ended:
            self._put_whole(key, b"".join(head))
            return stream.size
        if self.exists(key):  # no store takes a condition on an upload in parts
            raise self._taken(key)
        self._put_in_parts(key, head, stream)
        return stream.size

    def _put_in_parts(self, key: str, head: Iterable[bytes], stream: Stream) -> None:
        with self._asking("writing", key, stream):
            obstore.put(self._store, key, chain(head, stream), use_multipart=True, chunk_size=_PART_BYTES, max_concurrency=_PARTS_AT_ONCE)

    def sync(self, prefix: str) -> None:
        """See `Storage.sync`: nothing to do."""
        prefix_parts(prefix)

    def delete(self, key: str) -> None:
        """See `Storage.delete`."""
        key_parts(key)
        self._delete(key)

    def lock(self, key: str) -> AbstractContextManager[None]:
        """See `Storage.lock`: there is none here."""
        key_parts(key)
        return nullcontext()

    @contextmanager
    def _asking(self, doing: str, key: str, stream: Stream | None = None) -> Iterator[None]:
        """Say what obstore raises in our words; what the caller's stream raises stays as it is."""
        _refuse_forked()
        try:
            yield
        except (BaseError, OSError) as error:
            if stream is not None and error is stream.failure:
                raise
            raise self._failure(error, doing, key) from error

    def _failure(self, error: Exception, doing: str, key: str) -> ArrayStoreError:
        if isinstance(error, FileNotFoundError):
            return NotFound(f"{self.url}: {doing} {key!r} found nothing there: {_first_line(error)}")
        number, remedy = errno.EIO, "check the server and the network, then repeat the call"
        if isinstance(error, PermissionDeniedError | UnauthenticatedError):
            number, remedy = errno.EACCES, "check the credentials, and what they allow"
        elif isinstance(error, NotSupportedError):
            number, remedy = errno.EOPNOTSUPP, "take a server that can"
        return StorageError(number, f"{doing} {key!r} in {self.url} failed: {_first_line(error)}: {remedy}")

    def _taken(self, key: str) -> AlreadyExists:
        return AlreadyExists(f"{self.url}: the object {key!r} exists already")

    def _get(self, path: str) -> bytes:
        with self._asking("reading", path):
            found = obstore.get(self._store, path)
            if (size := found.meta["size"]) > WHOLE_LIMIT_BYTES:
                raise too_long(path, self.url, size)
            return bytes(found.bytes())

    def _size(self, path: str) -> int:
        with self._asking("looking at", path):
            return obstore.head(self._store, path)["size"]

    def _exists(self, path: str) -> bool:
        try:
            self._size(path)
        except NotFound:
            return False
        return True

    def _fetch(self, key: str, spans: Sequence[tuple[int, int]]) -> tuple[memoryview, ...]:
        starts, stops = [start for start, _ in spans], [stop for _, stop in spans]
        with self._asking("reading", key):
            # Our spans are disjoint and coalesced: obstore would take a short one apart, and panic.
            return tuple(memoryview(piece) for piece in obstore.get_ranges(self._store, key, starts=starts, ends=stops, coalesce=0))

    def _create(self, path: str, data: Buffer) -> None:
        _refuse_forked()
        value = memoryview(data).cast("B")
        lost: BaseException | None = None
        for _ in range(_CONFLICTS):
            try:
                obstore.put(self._store, path, value, mode="create")
            except AlreadyExistsError as error:
                if lost is not None and self._settled(path, value, lost):
                    return
                if lost is None and self._exists(path):
                    raise self._taken(path) from error
            except GenericError as error:
                if self._settled(path, value, error):
                    return
                if lost is not None:
                    raise self._unknown(path, error) from error
                lost = error
            except (BaseError, OSError) as error:
                raise (self._failure(error, "creating", path) if lost is None else self._unknown(path, error)) from error
            else:
                return
        raise StorageError(errno.EBUSY, f"{self.url}: {path!r} is refused as taken, and isn't there; repeat the call")

    def _unknown(self, path: str, error: BaseException) -> CommitUnknown:
        told = f"{path!r} may have been created or not ({_first_line(error)}); read it before repeating the call"
        return CommitUnknown(f"{self.url}: {told}")

    def _settled(self, path: str, value: memoryview, error: BaseException) -> bool:
        """After a create whose answer was lost: whether the object is there, with our bytes; another's, or one that can't be read, raises.

        Where there is none the create is to be sent again: it is conditional, so an older one that is still on its way changes nothing.
        """
        try:
            if self._size(path) == value.nbytes and self._get(path) == value:
                return True
        except NotFound:
            return False
        except ArrayStoreError as unreadable:
            raise self._unknown(path, error) from unreadable
        raise self._taken(path) from error

    def _put_whole(self, key: str, data: bytes) -> None:
        try:
            self._create(key, data)
        except AlreadyExists:
            if self._get(key) != data:  # the same bytes are our own, of a request that was repeated
                raise
        except CommitUnknown as error:
            raise StorageError(errno.EIO, str(error)) from error

    def _delete(self, path: str) -> None:
        with suppress(NotFound), self._asking("deleting", path):
            obstore.delete(self._store, path)


class _ObjectBatch:
    """Each object is durable once put; a batch that fails takes its objects away again."""

    def __init__(self, storage: ObjectStorage) -> None:
        self._storage = storage
        self._keys: list[str] = []

    def put(self, key: str, data: Buffer | Iterable[Buffer]) -> int:
        """See `Batch.put`."""
        size = self._storage.put_new(key, data)
        self._keys.append(key)
        return size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if kind is not None:
            for key in self._keys:
                with suppress(ArrayStoreError):
                    self._storage.delete(key)


def _refuse_forked() -> None:
    global _process  # noqa: PLW0603 - the runtime it stands for is global, too
    if _process is None:
        _process = os.getpid()
    elif _process != os.getpid():
        message = "object stores can't be used in a process forked after their first use; start processes by 'spawn' or 'forkserver'"
        raise StorageError(errno.EOPNOTSUPP, message)


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0].strip()
