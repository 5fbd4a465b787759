"""A pack: the records of a run of commits, one after the other in one object, each found by a table (FORMAT.md section 8)."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from arraystore.errors import Corrupt
from arraystore.storage.base import Storage
from arraystore.versions.fetch import fetch_record
from arraystore.versions.floors import Range
from arraystore.versions.record import (
    FIRST_LINE_LIMIT_BYTES,
    ArrayRef,
    Count,
    decode_record,
    encode_record,
    pack_arrays,
    refuse_unknown,
    told_lengths,
    unpack_arrays,
)
from layouts.naming import parse_version_name, version_name
from layouts.problems import InvalidInput

HEADER_BYTES = 4096  # far more than a pack's header has
DIGEST_BYTES = 32
FILLED_BYTES = 4096
"""Records are filled up to that, and no more blanks than that are put back."""


class PackHeader(msgspec.Struct, frozen=True, kw_only=True):
    """The header of a pack."""

    dataset: str
    first: Count
    last: Count
    arrays: dict[str, ArrayRef]
    requires: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class PackTable:
    """Where each record of a pack begins in its object, with the end of the last one; and the records' digests."""

    first: int
    starts: np.ndarray
    digests: np.ndarray

    @property
    def last(self) -> int:
        """The last version."""
        return self.first + len(self.digests) - 1

    def span(self, version: int) -> tuple[int, int]:
        """Where a version's record lies in the object."""
        place = version - self.first
        return int(self.starts[place]), int(self.starts[place + 1])

    def digest(self, version: int) -> str:
        """The digest of a version's record."""
        return bytes(self.digests[version - self.first]).hex()


def pack_name(pack: Range) -> str:
    """What the object of a pack is called."""
    return f"{version_name(pack[0])}-{version_name(pack[1])}"


def pack_key(prefix: str, pack: Range) -> str:
    """Where a pack of the dataset at `prefix` lies."""
    return f"{prefix}/_packs/{pack_name(pack)}"


def parse_pack_name(name: str) -> Range:
    """The versions that a name tells; InvalidInput for one that isn't a pack's."""
    first, _, last = name.partition("-")
    pack = parse_version_name(first), parse_version_name(last)
    if pack[0] > pack[1]:
        raise InvalidInput(f"{name!r} ends before it begins", "pack")
    return pack


def packs_in(storage: Storage, prefix: str) -> list[Range]:
    """Every pack that lies in a dataset's folder, whether the floor names it or not."""
    found = []
    for name in storage.list(f"{prefix}/_packs").objects:
        try:
            found.append(parse_pack_name(name))
        except InvalidInput:
            continue
    return found


def whole_packs(packs: Iterable[Range]) -> list[Range]:
    """Of packs that may cover each other's ranges, those that are in no other's, ascending."""
    found: list[Range] = []
    for pack in sorted(packs, key=lambda pack: (pack[0], -pack[1])):
        if not found or pack[0] > found[-1][1]:
            found.append(pack)
    return found


def emptied(record: bytes) -> bytes:
    """A record without the blanks that fill its header up; `filled` puts them back."""
    lengths = told_lengths(record, "commit")
    if lengths is None or sum(lengths) != len(record) or len(record) > FILLED_BYTES:
        return record
    end = lengths[0] + lengths[1]
    return record[:end].rstrip(b" ") + record[end:]


def filled(held: bytes) -> bytes:
    """The record that was emptied: as many blanks end its header as its first line tells more bytes than there are."""
    lengths = told_lengths(held, "commit")
    if lengths is None or not len(held) < sum(lengths) <= FILLED_BYTES:
        return held
    end = len(held) - lengths[2]
    return held[:end] + bytes(b" " * (sum(lengths) - len(held))) + held[end:]


def encode_pack(dataset: str, first: int, records: Sequence[bytes]) -> bytes:
    """The pack of these records, whose versions count from `first`."""
    digests = [hashlib.sha256(record[record.find(b"\n") + 1 :]).digest() for record in records]
    held = [emptied(record) for record in records]
    arrays: dict[str, np.ndarray] = {
        "offset": np.cumsum([0, *map(len, held)], dtype=np.int64),
        "digest": np.frombuffer(b"".join(digests), np.uint8).reshape(len(records), DIGEST_BYTES),
        "records": np.frombuffer(b"".join(held), np.uint8),
    }
    refs, pieces = pack_arrays(arrays)
    return encode_record("pack", PackHeader(dataset=dataset, first=first, last=first + len(records) - 1, arrays=refs), pieces)[0]


def load_pack(storage: Storage, prefix: str, pack: Range) -> tuple[list[bytes], PackHeader]:
    """Every record of a pack, in order, and its header; raises `Corrupt` unless the pack as a whole is what was written."""
    where = pack_key(prefix, pack)
    header, body, _ = decode_record("pack", fetch_record(storage, where), PackHeader, where)
    refs: dict[str, ArrayRef] = {name: header.arrays[name] for name in ("offset", "digest") if name in header.arrays}
    table = _table(header, unpack_arrays(refs, body, where), 0, pack, where)
    return [filled(bytes(body[slice(*table.span(version))])) for version in range(pack[0], pack[1] + 1)], header


def load_table(storage: Storage, prefix: str, pack: Range) -> PackTable:
    """Where the records of a pack lie; NotFound where there is none. What it says isn't proved: each record proves itself."""
    where = pack_key(prefix, pack)
    (data,) = storage.get_ranges(where, [(0, FIRST_LINE_LIMIT_BYTES + HEADER_BYTES)])
    lengths = told_lengths(data, "pack")
    if lengths is None or lengths[1] > HEADER_BYTES:
        raise Corrupt(f"{where}: isn't a pack: restore it from a replica")
    line, head, _ = lengths
    try:
        header = msgspec.json.decode(data[line : line + head], type=PackHeader)
    except (ValueError, msgspec.MsgspecError, RecursionError) as error:
        raise Corrupt(f"{where}: damaged pack record: {error}") from error
    refuse_unknown(header.requires, where)
    count, body = pack[1] - pack[0] + 1, line + head
    wanted = {"offset": ("<i8", (count + 1,)), "digest": ("|u1", (count, DIGEST_BYTES))}
    spans = []
    for name, (dtype, shape) in wanted.items():
        ref = header.arrays.get(name)
        if ref is None or (ref.dtype, ref.shape) != (dtype, shape):
            raise Corrupt(f"{where}: its array {name!r} is described as {ref}, for {count} versions: restore it from a replica")
        spans.append((body + ref.offset, body + ref.offset + ref.nbytes))
    offsets, digests = storage.get_ranges(where, spans)
    if (len(offsets), len(digests)) != tuple(stop - start for start, stop in spans):
        raise Corrupt(f"{where}: ends before its table does: restore it from a replica")
    arrays = {"offset": np.frombuffer(offsets, "<i8"), "digest": np.frombuffer(digests, np.uint8).reshape(count, DIGEST_BYTES)}
    return _table(header, arrays, body, pack, where)


def _table(header: PackHeader, arrays: dict[str, np.ndarray], start: int, pack: Range, where: str) -> PackTable:
    records, offsets, digests = header.arrays.get("records"), arrays.get("offset"), arrays.get("digest")
    count = pack[1] - pack[0] + 1
    fits = (
        (header.first, header.last) == pack
        and records is not None
        and records.dtype == "|u1"
        and len(records.shape) == 1
        and offsets is not None
        and digests is not None
        and offsets.shape == (count + 1,)
        and offsets.dtype == np.int64
        and digests.shape == (count, DIGEST_BYTES)
        and offsets[0] == 0
        and offsets[-1] == records.shape[0]
        and bool((np.diff(offsets) >= 0).all())
    )
    if not fits:
        raise Corrupt(f"{where}: its table isn't one of versions {pack[0]} to {pack[1]}: restore it from a replica")
    assert records is not None
    assert offsets is not None
    assert digests is not None
    return PackTable(pack[0], offsets + (start + records.offset), digests)
