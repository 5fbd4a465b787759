"""Steps of writing below a local root, short of those that link, rename or sync."""

import os
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from arraystore.errors import AlreadyExists, ArrayStoreError
from arraystore.storage.base import Buffer
from arraystore.storage.descent import Directory, way
from arraystore.storage.failures import storage_error
from arraystore.storage.keys import TEMPORARY
from arraystore.storage.localroot import LocalRoot

NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

ATTEMPTS = 100
"""How often to make a directory anew that others remove as soon as it is empty."""

PATIENCE = 0.02
"""The longest wait between two of these, in seconds: whoever is always a step behind lets the others finish first."""


GATHERED_BYTES = 1 << 20

_THREADS = 8
"""A file system commits syncs that wait together as one: 8 threads sync a segment's 26 files in 3 ms instead of 7."""


def together[T](step: Callable[[T], None], items: Sequence[T]) -> None:
    """Take a step for every item at once; when all are through, raise what the first that failed raised."""
    if len(items) == 1:
        return step(items[0])
    with ThreadPoolExecutor(_THREADS) as pool:
        done = [pool.submit(step, item) for item in items]
    for future in done:
        future.result()
    return None


def insist(root: LocalRoot, doing: str, key: str, step: Callable[[], None]) -> None:
    """Take a step again as long as the directory it made is removed, being empty, before it is used."""
    for left in reversed(range(ATTEMPTS)):
        try:
            return step()
        except ArrayStoreError:
            raise
        except OSError as error:
            if left == 0 or not isinstance(error, FileNotFoundError):
                raise storage_error(error, doing, key, root.path) from error
            time.sleep(random.uniform(0, min(PATIENCE, 0.0001 * 2 ** (ATTEMPTS - left))))  # noqa: S311 - of no secret
    raise AssertionError("the last attempt returns or raises")


def forget(root: LocalRoot, above: Sequence[str], names: Sequence[str]) -> None:
    """Remove what nobody will refer to, as far as that goes: leftovers are garbage, not errors."""
    with suppress(OSError):
        chain, _ = way(root.opened().root, above, make=False)
        for name in names:
            with suppress(OSError):
                os.unlink(name, dir_fd=chain[-1].fd)
        prune(chain, above)


def taken(key: str, url: str) -> AlreadyExists:
    """The error that says so."""
    return AlreadyExists(f"{url}: the object {key!r} exists already")


def write_all(fd: int, data: Buffer) -> int:
    """Write every byte, whatever one call takes; returns how many there are."""
    view = memoryview(data).cast("B")
    size = len(view)
    while view:
        view = view[os.write(fd, view) :]
    return size


def gathered(pieces: Iterable[Buffer]) -> Iterator[Buffer]:
    """The bytes of many pieces in fewer, each to be used up before the next: a file system takes half as long over them."""
    held = bytearray()
    for piece in pieces:
        if not held and memoryview(piece).nbytes >= GATHERED_BYTES:
            yield piece
            continue
        held += piece
        if len(held) >= GATHERED_BYTES:
            yield held
            held = bytearray()
    if held:
        yield held


def drop(fd: int, temporary: str | None, directory: Directory) -> None:
    """Close a written file. After its sync nothing that fails here matters; before it, another error is on its way."""
    with suppress(OSError):
        os.close(fd)
    if temporary is not None:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=directory.fd)


def prune(chain: Sequence[Directory], parts: Sequence[str]) -> None:
    """Remove emptied directories, the deepest first. Whoever is about to use one finds it gone and makes it again."""
    with suppress(OSError):
        for depth in range(len(parts), 0, -1):
            os.rmdir(parts[depth - 1], dir_fd=chain[depth - 1].fd)


def sweep(directory: Directory, before_ns: int) -> int:
    """Remove unfinished files that were last changed before a time; returns how many."""
    reading = Directory(directory.reopened())
    with os.scandir(reading.fd) as entries:
        names = [entry.name for entry in entries if entry.name.startswith(TEMPORARY) and _is_older(entry, before_ns)]
    for name in names:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=directory.fd)
    return len(names)


def _is_older(entry: os.DirEntry[str], before_ns: int) -> bool:
    try:
        return entry.is_file(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_mtime_ns < before_ns
    except FileNotFoundError:
        return False
