"""What lies somewhere, as far as it can be read: for whoever must judge damaged objects, and so is never stopped by one."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from arraystore.errors import ArrayStoreError, NotFound
from arraystore.storage.base import Storage
from arraystore.upkeep.shipping import PIECE_BYTES, commit_bytes
from arraystore.versions.commit import Commit
from arraystore.versions.log import Log
from arraystore.versions.record import FIRST_LINE_LIMIT_BYTES, decode_record
from arraystore.versions.redaction import decode_commit


@dataclass(frozen=True, slots=True)
class Record:
    """A commit as it lies somewhere; `claims` are the digests that a damaged record might have had."""

    data: bytes | None = None
    commit: Commit | None = None
    digest: str = ""
    claims: frozenset[str] = frozenset()


def record_of(log: Log, version: int) -> Record:
    """A commit as it lies there."""
    try:
        data, commit, digest = commit_bytes(log, version)
    except NotFound:
        return Record()
    except ArrayStoreError:
        data = log.as_it_lies(version) or b""
        return Record(data, claims=frozenset(_claims(data)))
    return Record(data, commit, digest)


def record_in(data: bytes, where: str) -> Commit | None:
    """The commit that a record holds; None for a damaged one."""
    try:
        return decode_commit(data, where)[0]
    except ArrayStoreError:
        return None


def _claims(data: bytes) -> Iterator[str]:
    """The digests that a damaged record may have had: the one it states, and the one of what it holds. One of them is right, mostly."""
    line, newline, _ = data[:FIRST_LINE_LIMIT_BYTES].partition(b"\n")
    words = line.split(b" ")
    if newline and len(words) == 6 and words[:2] == [b"arraystore", b"commit"]:
        yield words[3].decode("ascii", "replace")
        yield hashlib.sha256(memoryview(data)[len(line) + 1 :]).hexdigest()


class _Birth(msgspec.Struct, frozen=True):
    birth: str


def birth_in(data: bytes, where: str) -> str:
    """What a checkpoint says of the birth certificate; empty for a damaged one."""
    try:
        return decode_record("checkpoint", data, _Birth, where)[0].birth
    except ArrayStoreError:
        return ""


def get_if_readable(storage: Storage, key: str) -> bytes | None:
    """An object, or None."""
    try:
        return storage.get(key)
    except ArrayStoreError:
        return None


def sha256_of(storage: Storage, key: str) -> str:
    """An object's SHA-256; empty if it is missing, a word if it can't be read."""
    digest, start = hashlib.sha256(), 0
    try:
        while piece := storage.get_ranges(key, [(start, start + PIECE_BYTES)])[0]:
            digest.update(piece)
            start += len(piece)
    except NotFound:
        return ""
    except ArrayStoreError:
        return "unreadable"
    return digest.hexdigest()
