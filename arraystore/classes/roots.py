"""Where a store's classes lie: said once, at init, and never by a writer of data (FORMAT.md section 2)."""

import errno
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import msgspec

from arraystore import arguments
from arraystore.errors import AlreadyExists, Corrupt, InvalidInput, NotFound, Problem, StorageError, Unsupported
from arraystore.storage import open_storage
from arraystore.storage.base import Storage
from arraystore.versions.fetch import DOCUMENT_BYTES, fetch
from arraystore.versions.history import FORMAT
from layouts.classes import StorageClass
from layouts.codecs import group_metadata

UNFIT = (".", "..", "zarr.json")  # as parts of a class root's place


class Opener(Protocol):
    """How a URL becomes a storage; with `create`, its root is made if there is none."""

    def __call__(self, url: str, /, *, create: bool = False) -> Storage:
        """The storage at `url`."""
        ...


class StoreAttributes(msgspec.Struct, frozen=True):
    """What the root's `zarr.json` says (FORMAT.md section 2)."""

    format: int
    store: str
    roots: dict[str, str]


class ClassAttributes(msgspec.Struct, frozen=True):
    """What a class root's `zarr.json` says."""

    format: int
    store: str
    class_name: str = msgspec.field(name="class")


def init_store(
    url: str | os.PathLike[str], *, roots: Mapping[str, str] | None = None, opener: Opener = open_storage, identity: str | None = None
) -> None:
    """Make a store: the class map and six class roots, durable when this returns. An existing store stays as it is.

    Parameters
    ----------
    url
        Where; a directory is made.
    roots
        For some classes, another place: a path below the root, an absolute path, or a URL. Only here, never later.
    identity
        The UUID of the store that this one will be a copy of; a fresh one by default.
    """
    location = locate(url)
    mapped = class_map(location, {} if roots is None else roots)
    storage = opener(location, create=True)
    probe = getattr(storage, "probe", None)
    if probe is not None and not storage.exists("zarr.json"):
        probe()
    attributes = StoreAttributes(FORMAT, identity or str(uuid.uuid4()), mapped)
    try:
        storage.create("zarr.json", _encode(attributes))
    except AlreadyExists:
        attributes = decode_attributes(fetch(storage, "zarr.json", DOCUMENT_BYTES), StoreAttributes, location)
        if identity not in (None, attributes.store):
            msg = f"{location} holds store {attributes.store}, not {identity}: a copy needs a place of its own"
            raise AlreadyExists(msg) from None
        if roots and any(attributes.roots.get(name) != place for name, place in roots.items()):
            msg = f"{location} is a store already, with other class roots: {attributes.roots}"
            raise AlreadyExists(msg) from None
    for storage_class in StorageClass:
        root = open_place(opener, location, attributes.roots[storage_class.value], create=True)
        try:
            root.create("zarr.json", _encode(ClassAttributes(FORMAT, attributes.store, storage_class.value)))
        except AlreadyExists:
            check_class_root(root, attributes.store, storage_class)


def is_store(location: str, *, opener: Opener) -> bool:
    """Whether there is a store with all its class roots."""
    try:
        attributes = decode_attributes(fetch(opener(location), "zarr.json", DOCUMENT_BYTES), StoreAttributes, location)
        for storage_class in StorageClass:
            check_class_root(open_place(opener, location, attributes.roots[storage_class.value]), attributes.store, storage_class)
    except NotFound:
        return False
    return True


def class_map(location: str, given: Any) -> dict[str, str]:
    """Where each class lies: as given, else below the store's root under its name. None lies in another, nor the store in one."""
    names = [storage_class.value for storage_class in StorageClass]
    if not isinstance(given, Mapping):
        raise InvalidInput(f"a {type(given).__name__} isn't a mapping of classes to places: pass a dict", "roots")
    if wrong := [name for name in given if name not in names]:
        raise InvalidInput(f"{wrong} are none of {', '.join(sorted(names))}", "roots")
    mapped = {name: arguments.text(given.get(name, name), f"roots.{name}", empty=False) for name in names}
    places = {name: _parts(class_url(location, place)) for name, place in mapped.items()}
    problems = [
        Problem(f"roots.{name}", f"{mapped[name]!r} has an empty part, or one of {', '.join(UNFIT)}, or a NUL: name the place itself")
        for name, parts in places.items()
        if not {"", *UNFIT}.isdisjoint(parts[1:]) or "\0" in mapped[name]
    ]
    problems += [
        Problem(f"roots.{name}", f"{mapped[name]!r} holds {other}: give each class a place of its own")
        for name, parts in places.items()
        for other, inner in {"the store itself": _parts(location), **places}.items()
        if other != name and inner[: len(parts)] == parts
    ]
    if problems:
        raise InvalidInput(problems)
    return mapped


def _parts(url: str) -> list[str]:
    """A place as its scheme and the parts of its path, to tell what lies in what."""
    scheme, mark, path = url.removeprefix("file://").rpartition("://")
    return [scheme + mark, *path.strip("/").split("/")]


def check_class_root(storage: Storage, store: str, storage_class: StorageClass) -> None:
    """Raise unless this is the root of that class of that store."""
    try:
        found = decode_attributes(fetch(storage, "zarr.json", DOCUMENT_BYTES), ClassAttributes, storage.url)
    except NotFound as error:
        msg = f"{storage.url}: the root of class {storage_class.value} is missing: restore it, or run init again"
        raise NotFound(msg) from error
    if found.store != store or found.class_name != storage_class.value:
        msg = f"{storage.url}: is the root of class {found.class_name!r} of store {found.store}, not of {storage_class.value!r} of {store}"
        raise Corrupt(msg)


def restore_class_root(storage: Storage, store: str, storage_class: StorageClass, *, trial: bool = False) -> bool:
    """Write a class root's `zarr.json` again if it is missing or damaged; whether it was. One of another class or store stays."""
    data = _encode(ClassAttributes(FORMAT, store, storage_class.value))
    try:
        decode_attributes(storage.get("zarr.json"), ClassAttributes, storage.url)
    except NotFound:
        if not trial:
            storage.create("zarr.json", data)
    except Corrupt:
        if not trial:
            storage.put("zarr.json", data, durable=True)
    else:
        return False
    return True


def class_url(root: str, location: str) -> str:
    """Where a class root lies: below the store's root, or wherever the map says."""
    if "://" in location or location.startswith("/"):
        return location
    return f"{root.rstrip('/')}/{location}"


def open_place(opener: Opener, root: str, location: str, *, create: bool = False) -> Storage:
    """The storage of a place that a store's map names. What lies below the root by it is reached through no link."""
    if "://" not in location and not location.startswith("/"):
        _refuse_links(root, location)
    return opener(class_url(root, location), create=create)


def _refuse_links(root: str, location: str) -> None:
    here = Path(root.removeprefix("file://"))
    if "://" in str(root).removeprefix("file://"):
        return
    for part in location.split("/"):
        here /= part
        if here.is_symlink():
            told = f"{here} is a symbolic link, where the store's map names {location!r} below its root, and no link there is opened"
            raise StorageError(
                errno.ELOOP, f"{told}: put the directory itself there, or map the class to where it leads by an absolute path"
            )


def locate(url: Any) -> str:
    """A URL as it is, a path made absolute."""
    text = os.fspath(url) if isinstance(url, str | os.PathLike) else None
    if not isinstance(text, str) or not text or "\0" in text:
        msg = f"{url!r} is neither a directory nor a URL"
        raise InvalidInput(msg, "url")
    return text if "://" in text else os.path.abspath(text)  # noqa: PTH100 - resolve() would follow links


def _encode(attributes: msgspec.Struct) -> bytes:
    return msgspec.json.encode(group_metadata({"arraystore": msgspec.to_builtins(attributes)}))


def decode_attributes[T: (StoreAttributes, ClassAttributes)](data: bytes, kind: type[T], where: str) -> T:
    """What a root's `zarr.json` says, or why it can't be."""
    try:
        found: Any = msgspec.json.decode(data)["attributes"]["arraystore"]
        attributes = msgspec.convert(found, kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError, TypeError) as error:
        msg = f"{where}/zarr.json isn't the metadata of an arraystore root: {error}"
        raise Corrupt(msg) from error
    if attributes.format != FORMAT:
        msg = f"{where} has format {attributes.format}; this version of arraystore reads format {FORMAT}: upgrade it"
        raise Unsupported(msg)
    if isinstance(attributes, StoreAttributes):
        try:
            class_map(where, attributes.roots)
        except InvalidInput as error:
            raise Corrupt(f"{where}/zarr.json maps classes to where they can't be: {error}") from error
    return attributes
