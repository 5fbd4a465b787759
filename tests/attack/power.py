"""A disk in memory that keeps what is visible apart from what is durable, and loses power before any sync it is told to.

It promises exactly what `Storage` promises, and nothing more: a create makes its own object durable and no other, what a batch wrote may
be torn until the batch is left, a hint may vanish or come back. Of the changes that weren't durable at a cut any may survive, whatever
became of the others, before or after it; one whose bytes weren't synced, either, may come up empty, cut short, or with zeros for bytes.
Each of these combinations is a way in which the disk may come up. Cuts between two syncs need no trial of their own: what there was to
lose then is among what may survive at the next.
"""

import itertools
import math
import random
import threading
from collections.abc import Buffer, Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from arraystore.errors import AlreadyExists, Conflict, NotFound
from arraystore.storage import Listing
from arraystore.storage.keys import check_ranges, key_parts, prefix_parts


class PowerCutError(BaseException):
    """The machine is off: nothing handles this."""


@dataclass(slots=True)
class Pending:
    """A change that is visible and not yet durable; `torn` says that its bytes aren't, either."""

    path: str
    data: bytes | None
    torn: bool = False


type Survivors = Callable[[Sequence[Pending]], Iterable[Pending]]


def nothing(pending: Sequence[Pending]) -> Iterable[Pending]:
    """Only what is durable."""
    del pending
    return ()


def everything(pending: Sequence[Pending]) -> Iterable[Pending]:
    """All that was visible."""
    return pending


def newest_alone(pending: Sequence[Pending]) -> Iterable[Pending]:
    """The last change, without those before it."""
    return pending[-1:]


def some_torn(pending: Sequence[Pending]) -> Iterable[Pending]:
    """Any of them, and of those whose bytes weren't synced, half, or zeros."""
    chance = random.Random(len(pending))
    for change in pending:
        if chance.random() < 0.6:
            data = change.data
            if change.torn and data is not None:
                half = data[: len(data) // 2]
                data = chance.choice([b"", half, half + bytes(len(data) - len(half)), data])
            yield Pending(change.path, data)


def remains(change: Pending) -> list[Pending | None]:
    """What may be left of one change; None: nothing."""
    if change.data is None or not change.torn:
        return [None, change]
    size = len(change.data)
    half = change.data[: size // 2]
    return [None, *(Pending(change.path, data) for data in dict.fromkeys((change.data, b"", half, half + bytes(size - len(half)))))]


FATES: tuple[Survivors, ...] = (nothing, everything, newest_alone, some_torn)


@dataclass
class Disk:
    """Everything on one machine."""

    durable: dict[str, bytes] = field(default_factory=dict)
    pending: list[Pending] = field(default_factory=list)
    syncs: int = 0
    cut_before: int | None = None
    at_sync: dict[int, Callable[[], None]] = field(default_factory=dict)
    off: bool = False
    locks: dict[str, threading.Lock] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.live = dict(self.durable)

    def opener(self, url: str, /, *, create: bool = False) -> "PowerStorage":
        """A storage for `open_store`."""
        del create
        return PowerStorage(self, url.removeprefix("memory://"))

    def sync(self) -> None:
        """A sync begins: here the power may go, or something else may happen first."""
        self.check()
        self.syncs += 1
        if happening := self.at_sync.pop(self.syncs, None):
            happening()
        if self.syncs == self.cut_before:
            self.off = True
        self.check()

    def check(self) -> None:
        """Nothing is done by a machine that is off."""
        if self.off:
            raise PowerCutError

    def show(self, path: str, data: bytes | None, *, torn: bool = False) -> Pending:
        """Make a change visible."""
        self.check()
        change = Pending(path, data, torn)
        if data is None:
            self.live.pop(path, None)
        else:
            self.live[path] = data
        self.pending.append(change)
        return change

    def settle(self, changes: Iterable[Pending]) -> None:
        """Make changes durable."""
        for change in list(changes):
            if change in self.pending:
                self.pending.remove(change)
                _apply(self.durable, change)

    def after_cut(self, survivors: Survivors) -> "Disk":
        """The machine as it comes up again."""
        objects = dict(self.durable)
        for change in survivors(self.pending):
            _apply(objects, change)
        return Disk(objects)

    def ways_up(self, bound: int, seed: int = 0) -> "Iterator[Disk]":
        """Every disk that may come up, if there are at most `bound` combinations; else the plainest four, and `bound` drawn with a seed."""
        choices = [remains(change) for change in self.pending]
        chance = random.Random(seed)
        if math.prod(map(len, choices)) <= bound:
            combinations: Iterable[Iterable[Pending | None]] = itertools.product(*choices)
        else:
            drawn = ([chance.choice(each) for each in choices] for _ in range(bound))
            combinations = itertools.chain((fate(self.pending) for fate in FATES), drawn)
        tried = set()
        for survivors in combinations:
            up = self.after_cut(lambda _, survivors=survivors: (change for change in survivors if change is not None))
            if up.state not in tried:
                tried.add(up.state)
                yield up

    @property
    def state(self) -> frozenset[tuple[str, bytes]]:
        """All that is durable, to be compared with another disk's."""
        return frozenset(self.durable.items())

    def copy(self) -> "Disk":
        """The same disk, all of it durable."""
        return Disk(dict(self.live))


def _apply(objects: dict[str, bytes], change: Pending) -> None:
    if change.data is None:
        objects.pop(change.path, None)
    else:
        objects[change.path] = change.data


class PowerStorage:
    """A `Storage` on such a disk."""

    ignores_case = False
    is_far = False

    def __init__(self, disk: Disk, root: str) -> None:
        self._disk = disk
        self._root = root

    @property
    def url(self) -> str:
        return f"memory://{self._root}"

    def _path(self, key: str) -> str:
        key_parts(key)
        return f"{self._root}/{key}"

    def probe(self) -> None:
        self._disk.check()

    def get(self, key: str) -> bytes:
        self._disk.check()
        try:
            return self._disk.live[self._path(key)]
        except KeyError:
            msg = f"{self.url}: there is no object {key!r}"
            raise NotFound(msg) from None

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        check_ranges(key, ranges)
        data = self.get(key)
        return [data[start:stop] for start, stop in ranges]

    def iter_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> Generator[bytes]:
        yield from self.get_ranges(key, ranges)

    def size(self, key: str) -> int:
        return len(self.get(key))

    def exists(self, key: str) -> bool:
        self._disk.check()
        return self._path(key) in self._disk.live

    def list(self, prefix: str) -> Listing:
        self._disk.check()
        head = "/".join([self._root, *prefix_parts(prefix), ""])
        tails = [path.removeprefix(head) for path in self._disk.live if path.startswith(head)]
        objects, prefixes = {tail for tail in tails if "/" not in tail}, {tail.partition("/")[0] for tail in tails if "/" in tail}
        return Listing(tuple(sorted(objects)), tuple(sorted(prefixes)))

    def create(self, key: str, data: Buffer) -> None:
        path = self._path(key)
        self._disk.sync()  # of the bytes, under no name
        if path in self._disk.live:
            msg = f"{self.url}: the object {key!r} exists already"
            raise AlreadyExists(msg)
        change = self._disk.show(path, bytes(data))
        self._disk.sync()  # of the name
        self._disk.settle([change])

    def put(self, key: str, data: Buffer | Iterable[Buffer], *, durable: bool) -> None:
        whole = bytes(data) if isinstance(data, Buffer) else b"".join(map(bytes, data))
        if durable:
            self._disk.sync()
        change = self._disk.show(self._path(key), whole, torn=not durable)
        if durable:
            self._disk.sync()
            self._disk.settle([change])

    def swap(self, key: str, data: Buffer, before: bytes | None) -> None:
        if self._disk.live.get(self._path(key)) != before:
            msg = f"{self.url}: {key!r} isn't what it was"
            raise Conflict(msg)
        self.put(key, data, durable=True)

    @contextmanager
    def batch(self) -> Iterator["PowerBatch"]:
        batch = PowerBatch(self._disk, self._path)
        try:
            yield batch
        except BaseException:
            for change in [] if self._disk.off else batch.changes:
                self._disk.show(change.path, None)
            raise
        for change in batch.changes:
            self._disk.sync()  # of each file
            change.torn = False
        self._disk.sync()  # of the directories
        self._disk.settle(batch.changes)

    def sync(self, prefix: str) -> None:
        self._disk.sync()
        head = "/".join([self._root, *prefix_parts(prefix), ""])
        self._disk.settle([change for change in self._disk.pending if change.path.startswith(head) and "/" not in change.path[len(head) :]])

    def delete(self, key: str) -> None:
        self._disk.show(self._path(key), None)

    @contextmanager
    def lock(self, key: str) -> Iterator[None]:
        with self._disk.locks.setdefault(self._path(key), threading.Lock()):
            yield


class PowerBatch:
    """Objects that are visible as they are put, and durable when the batch is left."""

    def __init__(self, disk: Disk, path_of: Callable[[str], str]) -> None:
        self._disk = disk
        self._path_of = path_of
        self.changes: list[Pending] = []

    def put(self, key: str, data: Buffer | Iterable[Buffer]) -> int:
        whole = bytes(data) if isinstance(data, Buffer) else b"".join(map(bytes, data))
        path = self._path_of(key)
        if path in self._disk.live:
            msg = f"the object {key!r} exists already"
            raise AlreadyExists(msg)
        self.changes.append(self._disk.show(path, whole, torn=True))
        return len(whole)
