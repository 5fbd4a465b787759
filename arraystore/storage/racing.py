"""The proof, asked of every medium before a store is made on it, that of racing creates exactly one wins."""

import errno
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from arraystore.errors import AlreadyExists, CommitUnknown, StorageError

ROUNDS = 6
RACERS = 8


def refuse_unless_exclusive(create: Callable[[str, bytes], None], get: Callable[[str], bytes], url: str) -> None:
    """Let threads race to create the objects `0` … `5`; `StorageError` unless each belongs to the one that was told it had won.

    A server that ignores the condition of a PUT often keeps it as long as nobody competes, so asking twice in a row proves nothing.
    """
    with ThreadPoolExecutor(RACERS) as pool:
        for name in map(str, range(ROUNDS)):
            start = threading.Barrier(RACERS)
            winners = [racer for racer in pool.map(lambda racer: _race(create, name, racer, start), range(RACERS)) if racer is not None]  # noqa: B023
            found = get(name)
            # Nobody need have won: a client that repeats its request is told that its own object exists.
            if len(winners) > 1 or found not in {_mark(racer) for racer in winners or range(RACERS)}:
                raise _unsafe(url, f"{len(winners)} of {RACERS} racing creates of one object succeeded")
            if _race(create, name, RACERS, threading.Barrier(1)) is not None or get(name) != found:
                raise _unsafe(url, "a second create of one object succeeded")


def _race(create: Callable[[str, bytes], None], name: str, racer: int, start: threading.Barrier) -> int | None:
    start.wait()
    try:
        create(name, _mark(racer))
    except AlreadyExists:
        return None
    except CommitUnknown as error:
        raise StorageError(errno.EIO, f"creating an object on trial failed: {error}") from error
    return racer


def _mark(racer: int) -> bytes:
    return b"racer %d" % racer


def _unsafe(url: str, what: str) -> StorageError:
    remedy = "commits of several writers would get lost; take ext4, XFS, btrfs, or an object store that honours If-None-Match"
    return StorageError(errno.EOPNOTSUPP, f"{url}: {what}, and exactly one may: {remedy}")
