"""The handful of verbs that everything above storage is written in.

Keys are relative, `/`-separated paths whose parts match `[A-Za-z0-9=_.-]{1,255}`, are neither `.` nor `..` and don't begin with `.tmp-`;
anything else raises `InvalidInput` before any I/O. No key is the beginning of another: an object has nothing below it. All methods may
be called from many threads. Nothing above this protocol knows which implementation it has. Errors: `NotFound`, `AlreadyExists`,
`Conflict`, `CommitUnknown`, `StorageError`, `Corrupt` (with key and URL in the message).
"""

from collections.abc import Generator, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

WHOLE_LIMIT_BYTES = (1 << 30) + (64 << 20) + 200
"""More than anything that is read at once: the longest record (FORMAT.md section 4), a shard."""

type Buffer = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Listing:
    """One level below a prefix, both sorted: names of `objects`, and of `prefixes` that hold more."""

    objects: tuple[str, ...]
    prefixes: tuple[str, ...]


class Batch(Protocol):
    """Objects that become durable together, when the batch's context is left without an error."""

    def put(self, key: str, data: Buffer | Iterable[Buffer]) -> int:
        """Write one new object (a stream is consumed as it is written) and return its size in bytes.

        The key must be new (segments have random names): an existing object raises `AlreadyExists`. Thread-safe.
        """
        ...


class Storage(Protocol):
    """One root: a directory, a bucket's prefix, or memory."""

    @property
    def url(self) -> str:
        """Where this is; `open_storage(url)` opens it again, also in another process (memory: only in this one)."""
        ...

    @property
    def ignores_case(self) -> bool:
        """Whether keys that differ in case only are one key here."""
        ...

    @property
    def is_far(self) -> bool:
        """Whether each call is a round trip over a network, so that what may be a moment old isn't looked at again."""
        ...

    def probe(self) -> None:
        """Refuse, with `StorageError`, a medium that can't keep what this protocol promises; asked once, when a store is made."""
        ...

    def get(self, key: str) -> bytes:
        """The whole object; `Corrupt` for one of more than `WHOLE_LIMIT_BYTES`, before any of it is read."""
        ...

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """The bytes of each half-open range; a range past the end comes back short, never padded."""
        ...

    def iter_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> Generator[bytes]:
        """The same one by one, each read when it is asked for where that costs no more, so that it is in the processor's cache then.

        What `get_ranges` raises at once is raised by the first `next`. Close it (`contextlib.closing`), or use it up.
        """
        ...

    def size(self, key: str) -> int:
        """The object's length in bytes."""
        ...

    def exists(self, key: str) -> bool:
        """Whether the object is there now."""
        ...

    def list(self, prefix: str) -> Listing:
        """One level below `prefix` (`""` is the root); nothing there is an empty listing."""
        ...

    def create(self, key: str, data: Buffer) -> None:
        """Create the object whole and durable, or raise `AlreadyExists` and leave the present one alone.

        Of many concurrent creators exactly one succeeds. `CommitUnknown` if it may have appeared without being durable. Over a network
        `AlreadyExists` may mean this call's own object, sent again when no answer came, and an object of the same bytes that is found after
        a lost answer counts as this call's own: whoever must know puts something of its own into them.
        """
        ...

    def put(self, key: str, data: Buffer | Iterable[Buffer], *, durable: bool) -> None:
        """Replace the object atomically; with `durable=False` (hints) a crash may lose or restore it.

        A stream is consumed as it is written; what it raises leaves the object as it was. With `durable=True`, `CommitUnknown` if it may
        have been replaced without being durable.
        """
        ...

    def swap(self, key: str, data: Buffer, before: bytes | None) -> None:
        """Replace the object atomically and durably, if it holds `before` (None: if it isn't there); else `Conflict`, and nothing changes.

        Of many that swap the same bytes at once exactly one succeeds; `Conflict` is also raised where that can't be told. Both may be
        told that they did if they put the same bytes. `CommitUnknown` as for `put`.
        """
        ...

    def batch(self) -> AbstractContextManager[Batch]:
        """Start a batch; leaving it normally makes its objects and the way to them durable, in that order.

        Left by an exception, what was put is garbage under names nobody knows.
        """
        ...

    def sync(self, prefix: str) -> None:
        """Make what is visible directly below `prefix` durable (a reader that builds on it calls this first)."""
        ...

    def delete(self, key: str) -> None:
        """Remove the object if it is there."""
        ...

    def lock(self, key: str) -> AbstractContextManager[None]:
        """Queue behind other local holders of this advisory lock; where there is none, do nothing."""
        ...
