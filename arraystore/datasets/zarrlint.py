"""Looks at a Zarr hierarchy that anybody may have written, within bounds, and tells what isn't as the layout says.

Only names and metadata are read, never a chunk; no link is followed, nothing is decoded, and no code that a file names is run.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import msgspec

from arraystore.errors import ArrayStoreError
from arraystore.storage.base import Listing, Storage
from layouts.arraylint import array_deviations, chunk_objects
from layouts.deviations import Deviation, deviation, shown
from layouts.grouplint import from_v2, group_deviations, segment_deviations

METADATA_LIMIT_BYTES = 16 << 20
NODES_LIMIT = 10_000
DEPTH_LIMIT = 16
CHUNKS_LIMIT = 10_000
V2_NAMES = (".zgroup", ".zarray", ".zattrs", ".zmetadata")

type Document = dict[str, Any]


@runtime_checkable
class TellsStrays(Protocol):
    """A storage that knows what lies in it without being an object of ours."""

    def strays(self, prefix: str) -> Sequence[tuple[str, str]]:
        """Names directly below `prefix`, and what each is: `link`, `special`, `temporary`, `name`."""
        ...


def stray_deviations(storage: Storage, prefix: str, place: str) -> Iterator[Deviation]:
    """What lies somewhere that no listing tells of: links, devices, unfinished files, and names that nothing of ours has."""
    for name, kind in storage.strays(prefix) if isinstance(storage, TellsStrays) else ():
        where = f"{place}/{name if name.isprintable() else ascii(name)[1:-1]}"
        match kind:
            case "link" | "special":
                yield deviation("link", where, "a symbolic link" if kind == "link" else "a device, a pipe or a socket")
            case "temporary":
                yield deviation("temporary", where, "an unfinished file")
            case _:
                yield deviation("name", where, f"the name {shown(name)}; nothing below it was looked at")


def lint_hierarchy(storage: Storage, prefix: str, place: str) -> list[Deviation]:
    """What of the group or array at `prefix`, and of all below, isn't as the layout says; `place` is what to call it."""
    return _Walk(storage, place).all(prefix)


def lint_segment(storage: Storage, prefix: str, place: str) -> list[Deviation]:
    """What of the segment at `prefix` isn't as the layout says, and as its own schema determines."""
    return _Walk(storage, place, is_ours=True).all(prefix)


def read_document(storage: Storage, key: str, place: str) -> tuple[Document | None, list[Deviation]]:
    """A JSON object, if it is one of acceptable size; else what is wrong with it."""
    try:
        data = storage.get_ranges(key, [(0, METADATA_LIMIT_BYTES + 1)])[0]
        if len(data) > METADATA_LIMIT_BYTES:
            return None, [deviation("metadata", place, f"more than {METADATA_LIMIT_BYTES:,} bytes of metadata, which weren't read")]
        document = msgspec.json.decode(data)
    except ArrayStoreError as error:
        return None, [deviation("metadata", place, str(error))]
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, RecursionError) as error:
        return None, [deviation("metadata", place, f"no JSON that could be read: {error}")]
    if isinstance(document, dict):
        return document, []
    return None, [deviation("metadata", place, f"JSON that is no object: {shown(document)}")]


def about_of(document: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """What a node's metadata say of us: `attributes.arraystore`."""
    attributes = document.get("attributes") if document is not None else None
    about = attributes.get("arraystore") if isinstance(attributes, Mapping) else None
    return about if isinstance(about, Mapping) else {}


class _Walk:
    """One look at a hierarchy."""

    def __init__(self, storage: Storage, place: str, *, is_ours: bool = False) -> None:
        self._storage = storage
        self._place = place
        self._is_ours = is_ours
        self._nodes = 0
        self._found: list[Deviation] = []

    def all(self, prefix: str) -> list[Deviation]:
        """Look at a node and all below it."""
        if self._node(prefix, self._place, "", 0) is None and not self._found:
            self._found.append(deviation("not-zarr", self._place, "neither zarr.json nor .zgroup nor .zarray"))
        return self._found

    def _node(self, prefix: str, place: str, name: str, depth: int) -> Document | None:
        """Look at a node; its document where it is an array, an empty one for a group, None where there is none."""
        if depth > DEPTH_LIMIT:
            self._found.append(deviation("too-many", place, f"a depth of {depth}: what is here wasn't looked at"))
            return None
        self._nodes += 1
        try:
            listing = self._storage.list(prefix)
            self._found += stray_deviations(self._storage, prefix, place)
        except ArrayStoreError as error:
            self._found.append(deviation("link", place, str(error)))
            return None
        if "zarr.json" in listing.objects:
            return self._node_v3(prefix, place, name, depth, listing)
        if {".zarray", ".zgroup"} & {*listing.objects}:
            return self._node_v2(prefix, place, name, depth, listing)
        return None

    def _node_v3(self, prefix: str, place: str, name: str, depth: int, listing: Listing) -> Document | None:
        document = self._read(_below(prefix, "zarr.json"), f"{place}/zarr.json")
        if document is None:
            return None
        kind = document.get("node_type")
        if document.get("zarr_format") != 3 or kind not in ("group", "array"):
            found = f"zarr_format {shown(document.get('zarr_format'))}, node_type {shown(kind)}"
            self._found.append(deviation("metadata", f"{place}/zarr.json", found, wanted="zarr_format 3 and node_type group or array"))
            return None
        if kind == "group":
            self._group(prefix, place, depth, listing, document)
            return {}
        self._array(prefix, place, name, listing, document)
        return document

    def _group(self, prefix: str, place: str, depth: int, listing: Listing, document: Document) -> None:
        self._strangers(place, [each for each in listing.objects if each != "zarr.json"])
        arrays, groups = self._children(prefix, place, depth, listing)
        self._found += group_deviations(place, document, arrays, groups)
        about = about_of(document)
        if "segment" in about or self._is_ours:
            if "segment" not in about:
                self._found.append(deviation("segment", place, "no schema in its attributes"))
                return
            name = prefix.rpartition("/")[2] or place.rpartition("/")[2]
            self._found += segment_deviations(place, name, document, arrays)

    def _children(self, prefix: str, place: str, depth: int, listing: Listing) -> tuple[dict[str, Document], int]:
        arrays, groups = {}, 0
        for name in listing.prefixes:
            if self._nodes >= NODES_LIMIT:
                if self._nodes == NODES_LIMIT:
                    self._nodes += 1  # told once
                    self._found.append(deviation("too-many", f"{place}/{name}", f"{NODES_LIMIT:,} nodes before: the rest wasn't looked at"))
                break
            child = self._node(_below(prefix, name), f"{place}/{name}", name, depth + 1)
            if child:
                arrays[name] = child
            elif child is not None:
                groups += 1
        return arrays, groups

    def _array(self, prefix: str, place: str, name: str, listing: Listing, document: Document) -> None:
        self._found += array_deviations(place, name, document)
        wanted = chunk_objects(document, CHUNKS_LIMIT)
        if wanted is None:
            return
        total = sum(map(len, wanted.values()))
        there: dict[str, Sequence[str]] = {"": listing.objects}
        for folder in wanted:
            if folder and total:
                there[folder] = self._storage.list(_below(prefix, folder)).objects
        missing = total - sum(len({*names} & {*there[folder]}) for folder, names in wanted.items())
        if missing:
            self._found.append(deviation("chunks-missing", place, f"{missing:,} of {total:,} chunks or shards aren't there"))
        known = {"zarr.json", "_index", *V2_NAMES, *wanted.get("", ())}
        self._strangers(place, [each for each in listing.objects if each not in known])

    def _node_v2(self, prefix: str, place: str, name: str, depth: int, listing: Listing) -> Document | None:
        """A node of format 2: told as such where it begins, its arrays as far as format 3 has words for them."""
        if depth == 0:
            self._found.append(deviation("zarr-v2", place, "Zarr format 2"))
            if ".zmetadata" in listing.objects:
                self._found.append(deviation("consolidated", place, "consolidated metadata (.zmetadata)"))
        if ".zarray" not in listing.objects:
            arrays, groups = self._children(prefix, place, depth, listing)
            self._found += group_deviations(place, {}, arrays, groups)
            return {}
        array = self._read(_below(prefix, ".zarray"), f"{place}/.zarray")
        if array is None:
            return None
        attributes = self._read(_below(prefix, ".zattrs"), f"{place}/.zattrs") if ".zattrs" in listing.objects else None
        document = from_v2(array, attributes or {})
        self._array(prefix, place, name, listing, document)
        return document

    def _read(self, key: str, place: str) -> Document | None:
        document, problems = read_document(self._storage, key, place)
        self._found += problems
        return document

    def _strangers(self, place: str, names: Sequence[str]) -> None:
        if names:
            more = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
            self._found.append(deviation("stray", f"{place}/{names[0]}", f"an object that no metadata name{more}"))


def _below(prefix: str, name: str) -> str:
    return f"{prefix}/{name}" if prefix else name
