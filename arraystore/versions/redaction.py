"""Commits whose rows of some windows were purged: what stands in their place, and what tells of it (FORMAT.md section 6)."""

import hashlib
from collections.abc import Collection, Iterable, Mapping

import msgspec
from msgspec.structs import replace

from arraystore.versions.commit import Commit
from arraystore.versions.record import Count, Int64, decode_record, encode_record
from arraystore.versions.state import State
from layouts.times import format_time

PURGED = "purged"  # the attribute of a dataset that says which windows were


class Tombstone(msgspec.Struct, frozen=True, kw_only=True):
    """What is left of a purged window: which version purged it, who, when and why, and how much there was.

    `headers` is a digest over the headers of all `commits` that held rows of it.
    """

    version: Count
    time: Int64
    role: str
    reason: str
    rows: Count
    bytes: Count
    commits: Count
    headers: str

    def told(self) -> str:
        """Who purged it, when and why, for messages."""
        return f"was purged in version {self.version} on {format_time(self.time)} by {self.role}: {self.reason}"


class Redacted(msgspec.Struct, frozen=True, kw_only=True):
    """The header of a redacted commit: the digest of the one that was there, and its header."""

    digest: str
    purged: tuple[str, ...]
    commit: Commit


def tombstones(state: State) -> Mapping[str, Tombstone]:
    """The windows that were purged; what isn't a tombstone there tells nothing."""
    try:
        return msgspec.convert(state.attributes.get(PURGED, {}), dict[str, Tombstone])
    except msgspec.ValidationError:
        return {}


def decode_commit(data: bytes, where: str) -> tuple[Commit, memoryview, str]:
    """The commit that a record holds or stands for, its body, and the commit's digest."""
    if not data.startswith(b"arraystore redacted "):
        return decode_record("commit", data, Commit, where)
    redacted, body, _ = decode_record("redacted", data, Redacted, where)
    return replace(redacted.commit, purged=redacted.purged), body, redacted.digest


def redact(data: bytes, windows: Collection[str], where: str) -> bytes | None:
    """The record that takes a commit's place when these windows are purged; None where it holds no rows of them any more."""
    commit, body, digest = decode_commit(data, where)
    going = [
        change for change in commit.windows if change.tail is not None and change.window in windows and change.window not in commit.purged
    ]
    if not going:
        return None
    blank = bytearray(body)
    for change in going:
        assert change.tail is not None
        for ref in change.tail.arrays.values():
            stop = min(len(blank), ref.offset + ref.nbytes)
            blank[ref.offset : stop] = bytes(max(0, stop - ref.offset))
    names = {change.window for change in going}
    changes = tuple(
        replace(change, tail=replace(change.tail, labels={})) if change.tail is not None and change.window in names else change
        for change in commit.windows
    )
    purged = tuple(sorted({*commit.purged, *names}))
    return encode_record(
        "redacted", Redacted(digest=digest, purged=purged, commit=replace(commit, windows=changes, purged=())), [bytes(blank)]
    )[0]


def header_digest(commit: Commit) -> str:
    """A digest of what a commit says, the same before and after any of its rows were purged."""
    changes = tuple(change if change.tail is None else replace(change, tail=replace(change.tail, labels={})) for change in commit.windows)
    return hashlib.sha256(msgspec.json.encode(replace(commit, windows=changes, purged=()))).hexdigest()


def digest_of_headers(headers: Iterable[tuple[int, str]]) -> str:
    """The digest that a tombstone has over the headers of commits, given with their versions in order."""
    lines = "".join(f"{version} {digest}\n" for version, digest in headers)
    return hashlib.sha256(lines.encode()).hexdigest()
