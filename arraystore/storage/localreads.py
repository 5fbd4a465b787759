"""Reading a local directory: nothing here changes a byte."""

import os
from collections.abc import Generator, Sequence
from itertools import islice

from arraystore.errors import ArrayStoreError, NotFound
from arraystore.storage.base import WHOLE_LIMIT_BYTES, Listing
from arraystore.storage.descent import Directory, descend, file_size, open_file
from arraystore.storage.failures import storage_error, too_long
from arraystore.storage.keys import PART, TEMPORARY, check_ranges, is_part, key_parts, prefix_parts
from arraystore.storage.localroot import LocalRoot

STRAYS_LIMIT = 100_000


class LocalReads:
    """The reading half of `LocalStorage`.

    The root is opened at first use, again in each process that a fork makes, and stays the same directory even if it is moved. Below
    it no symbolic link is followed, and nothing but regular files and directories is opened. A listing leaves both out.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._root = LocalRoot(path)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return type(self), (self.url,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LocalReads) and self.url == other.url

    def __hash__(self) -> int:
        return hash(self.url)

    @property
    def url(self) -> str:
        """The absolute path of the root."""
        return self._root.path

    def get(self, key: str) -> bytes:
        """See `Storage.get`."""
        (data,) = self._read(key, None)
        return data

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """See `Storage.get_ranges`."""
        check_ranges(key, ranges)
        return [*self._read(key, ranges)]

    def iter_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> Generator[bytes]:
        """See `Storage.iter_ranges`."""
        check_ranges(key, ranges)
        return self._read(key, ranges)

    def size(self, key: str) -> int:
        """See `Storage.size`."""
        parts = key_parts(key)
        try:
            size = file_size(self._root.opened().root, parts)
        except OSError as error:
            raise self._unreadable(error, key) from error
        if size is None:
            raise self._unreadable(FileNotFoundError(), key)
        return size

    def exists(self, key: str) -> bool:
        """See `Storage.exists`."""
        parts = key_parts(key)
        try:
            return file_size(self._root.opened().root, parts) is not None
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise self._unreadable(error, key) from error

    def list(self, prefix: str) -> Listing:
        """See `Storage.list`."""
        parts = prefix_parts(prefix)
        objects, prefixes = [], []
        fits = PART.fullmatch  # a folder has more names than are worth remembering
        try:
            # An own descriptor, even of the root: threads that share one would share its reading position.
            directory = Directory(descend(self._root.opened().root, parts).reopened())
            with os.scandir(directory.fd) as entries:
                for entry in entries:
                    name = entry.name
                    if not fits(name):
                        continue
                    if entry.is_file(follow_symlinks=False):
                        objects.append(name)
                    elif entry.is_dir(follow_symlinks=False):
                        prefixes.append(name)
        except (FileNotFoundError, NotADirectoryError):
            return Listing((), ())
        except OSError as error:
            raise self._unreadable(error, prefix) from error
        return Listing(tuple(sorted(objects)), tuple(sorted(prefixes)))

    def strays(self, prefix: str) -> Sequence[tuple[str, str]]:
        """What lies directly below `prefix` and no listing tells: names, and what each is (`link`, `special`, `temporary`, `name`)."""
        parts = prefix_parts(prefix)
        try:
            directory = Directory(descend(self._root.opened().root, parts).reopened())
            with os.scandir(directory.fd) as entries:
                kinds = ((entry.name, _stray_kind(entry)) for entry in islice(entries, STRAYS_LIMIT))
                return sorted((name, kind) for name, kind in kinds if kind is not None)
        except (FileNotFoundError, NotADirectoryError):
            return ()
        except OSError as error:
            raise self._unreadable(error, prefix) from error

    def _read(self, key: str, ranges: Sequence[tuple[int, int]] | None) -> Generator[bytes]:
        """The ranges one by one (None: all in one), while the object is open."""
        parts = key_parts(key)
        try:
            fd, size = open_file(self._root.opened().root, parts)
            try:
                if ranges is None and size > WHOLE_LIMIT_BYTES:
                    raise too_long(key, self.url, size)
                for start, stop in ((0, size),) if ranges is None else ranges:
                    length = min(stop, size) - start
                    data = os.pread(fd, length, start) if length > 0 else b""
                    yield data if len(data) == length or not data else data + _read_range(fd, start + len(data), start + length)
            finally:
                os.close(fd)
        except OSError as error:
            raise self._unreadable(error, key) from error

    def _unreadable(self, error: OSError, key: str) -> ArrayStoreError:
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            return NotFound(f"{self.url}: there is no object {key!r}")
        return storage_error(error, "reading", key, self.url)


def _stray_kind(entry: os.DirEntry[str]) -> str | None:
    """What an entry is that no listing tells; None for one that it tells."""
    if entry.is_symlink():
        return "link"
    if not (entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False)):
        return "special"
    if entry.name.startswith(TEMPORARY):
        return "temporary"
    return None if is_part(entry.name) else "name"


def _read_range(fd: int, start: int, stop: int) -> bytes:
    data = os.pread(fd, stop - start, start) if start < stop else b""
    if len(data) == stop - start or not data:
        return data
    return data + _read_range(fd, start + len(data), stop)  # one call reads 2 GiB at most
