"""What of anything that lies somewhere isn't as the layout says: a store, a class, a dataset, a segment, or anybody's Zarr."""

import os
from pathlib import PurePosixPath

from arraystore.classes.roots import locate
from arraystore.datasets.datasetlint import lint_names, lint_place
from arraystore.datasets.zarrlint import about_of, lint_hierarchy, read_document
from arraystore.errors import InvalidInput, NotFound
from arraystore.place import require
from arraystore.storage import Storage, open_storage
from arraystore.store import open_store, parse_role
from arraystore.versions.log import Log
from layouts.classes import Action, Role, StorageClass, may
from layouts.deviations import Deviation, deviation
from layouts.naming import KEY_TEMPLATES, format_key, parse_key, unescape


def lint(url: str | os.PathLike[str], *, role: Role | str = Role.OPERATIONS) -> list[Deviation]:
    """Everything that isn't as the layout says at a path or URL, each with what was found, what is wanted and why, and what to do.

    A store, a class root or a dataset is looked at as a whole; a segment is held against its own schema, any other Zarr group or array
    (xarray's, say, or of format 2) against what a segment must be: the deviations tell what would have to change. Only names and
    metadata are read, within bounds; no link is followed, and nothing that a file names is run.

    Parameters
    ----------
    role
        As which role to look at a store, class or dataset.

    Raises
    ------
    NotFound
        Where there is nothing.
    AccessDenied
        Where the role may not read that class.
    """
    role, location = parse_role(role), locate(url)
    storage = open_storage(location)
    name = PurePosixPath(location.rpartition("://")[2]).name or "."
    if not storage.exists("zarr.json"):
        listing = storage.list("")
        if not listing.objects and not listing.prefixes:
            raise NotFound(f"{location}: nothing is there; give the path of a store, a dataset, or a Zarr group")
        return lint_hierarchy(storage, "", name)
    document, problems = read_document(storage, "zarr.json", f"{name}/zarr.json")
    about = about_of(document)
    if "roots" in about:
        return open_store(location, role=role).lint()
    if isinstance(about.get("class"), str) and about["class"] in tuple(StorageClass):
        storage_class = StorageClass(about["class"])
        if "key" in about:
            return problems + _dataset(location, storage_class, about["key"], role)
        return problems + _class(storage, storage_class, role)
    return lint_hierarchy(storage, "", name)


def _class(storage: Storage, storage_class: StorageClass, role: Role) -> list[Deviation]:
    """A class root by itself, wherever its store is."""
    require(role, Action.READ, storage_class)

    def readable(part: str) -> bool:
        return may(role, storage_class, Action.READ, (unescape(part),))

    paths, found = lint_names(storage, len(KEY_TEMPLATES[storage_class]), storage_class.value, readable)
    for path in paths:
        found += lint_place(Log(storage, path, storage_class.value), f"{storage_class.value}/{path}")
    return found


def _dataset(location: str, storage_class: StorageClass, given: object, role: Role) -> list[Deviation]:
    """A dataset by itself, whose key says how far above it its class root lies."""
    try:
        key = parse_key(storage_class, given)  # type: ignore[arg-type] # whoever wrote it may have written anything
    except InvalidInput as error:
        return [deviation("misplaced", location, f"its key isn't one: {error}")]
    require(role, Action.READ, storage_class, key)
    path = format_key(key)
    place = f"{storage_class.value}/{path}"
    if not location.rstrip("/").endswith(f"/{path}"):
        return [deviation("misplaced", location, f"its metadata are those of {place}")]
    root = open_storage(location.rstrip("/").removesuffix(f"/{path}"))
    document = read_document(root, "zarr.json", "zarr.json")[0] if root.exists("zarr.json") else None
    if about_of(document).get("class") != storage_class.value:
        return [deviation("misplaced", location, f"{root.url} above it isn't a root of class {storage_class.value}")]
    return lint_place(Log(root, path, storage_class.value), place)
