"""From a URL to the storage that serves it."""

import os
from pathlib import Path

from arraystore.errors import InvalidInput, NotFound
from arraystore.storage import memory
from arraystore.storage.base import Storage
from arraystore.storage.local import LocalStorage

_BUCKETS = ("s3", "gs", "az")


def open_storage(url: str | os.PathLike[str], *, create: bool = False) -> Storage:
    """Open the root at a path, or at a `file://`, `memory://name`, `s3://`, `gs://` or `az://` URL.

    `create` makes a directory (and the way to it) or a memory that isn't there yet; without it they raise `NotFound`. A bucket must
    exist, and any prefix in it is taken to; credentials and endpoint come from the environment.
    """
    text = os.fspath(url)
    scheme, mark, _ = text.partition("://")
    if not mark or "/" in scheme:
        return _open_directory(text, create=create)
    if scheme == "file":
        return _open_directory(_file_path(text), create=create)
    if scheme == "memory":
        return memory.from_url(text, create=create)
    if scheme in _BUCKETS:
        from arraystore.storage.objects import ObjectStorage

        return ObjectStorage.from_url(text)
    known = "a path, file://, memory://, s3://, gs:// or az://"
    raise InvalidInput(f"{text!r} names a kind of storage that isn't known; give {known}", where="url")


def _open_directory(path: str, *, create: bool) -> LocalStorage:
    if not path or "\0" in path:
        raise InvalidInput(f"{path!r} can't be a directory; give the store's path", where="url")
    if Path(path).is_file():
        raise InvalidInput(f"{path} is a file, and a store is a directory; give another path", where="url")
    if not create and not Path(path).is_dir():
        raise NotFound(f"{path}: there is no such directory; make the store first, or check the path")
    return LocalStorage(path, create=create)


def _file_path(url: str) -> str:
    from urllib.parse import unquote, urlsplit

    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost") or not parts.path or parts.query or parts.fragment:
        raise InvalidInput(f"{url!r} names another host, or no path; give file:///path, with ? and # escaped", where="url")
    return unquote(parts.path)
