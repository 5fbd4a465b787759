"""A file outside of any store, for other programs to read, that appears under its name only whole and durable."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from arraystore.errors import AlreadyExists, ArrayStoreError, InvalidInput, StorageError


@contextmanager
def appearing(path: str | os.PathLike[str], *, overwrite: bool) -> Iterator[Path]:
    """A name beside `path` to write to; it becomes `path`, synced, if all goes well, and is removed if not.

    Raises `InvalidInput` for a place where no file can be, `AlreadyExists` for a name that is taken unless `overwrite`, and
    `StorageError` for what the medium refuses: then the name is free, or what it names is what it was.
    """
    place = Path(path)
    if not place.parent.is_dir():
        raise InvalidInput(f"{str(place)!r}: there is no directory {str(place.parent)!r}; make it first", "path")
    if place.is_dir():
        raise InvalidInput(f"{str(place)!r} is a directory: name the file to be made in it", "path")
    if not overwrite and os.path.lexists(place):
        raise AlreadyExists(f"{str(place)!r} exists: pass overwrite=True (--overwrite), or choose another name")
    partial = place.with_name(f".{place.name[:100]}.{secrets.token_hex(8)}.partial")
    try:
        yield partial
        _sync(partial)
        _name(partial, place, overwrite=overwrite)
        _sync(place.parent)
    except ArrayStoreError:
        raise
    except (OSError, RuntimeError) as error:  # HDF5 tells of a full disk in either way
        what = f"{str(place)!r} couldn't be written, and nothing of it has that name"
        raise StorageError(f"{what}: {error}; free some space, or choose another place") from error
    finally:
        partial.unlink(missing_ok=True)


def _name(partial: Path, place: Path, *, overwrite: bool) -> None:
    """Give a file its name unless somebody took that meanwhile."""
    if overwrite:
        partial.replace(place)
        return
    try:
        os.link(partial, place)
    except FileExistsError as error:
        raise AlreadyExists(f"{str(place)!r} has appeared meanwhile: pass overwrite=True (--overwrite), or choose another name") from error
    except PermissionError:  # a medium without hard links
        partial.replace(place)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
