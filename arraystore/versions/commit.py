"""One version as a value: what a commit record says (FORMAT.md section 6)."""

from typing import Any

import msgspec

from arraystore.versions.record import ArrayRef, Count, Int64
from layouts.schema import Schema

type Interval = tuple[Int64, Int64]

COMPACT = "compact"  # the operation that changes how rows lie, and none of them


class SegmentEntry(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A segment of a window: columnar (`segment` names it) or a tail (`tail` is the version that holds its rows).

    `index` is the digest of the record that leads to its bytes: its `_index`, or the commit that holds it.
    """

    schema: Count
    rows: Count
    clocks: dict[str, Interval]
    bytes: Count
    segment: str = ""
    index: str = ""
    tail: Count = 0
    place: Count = 0
    order: tuple[Count, Count] = (0, 0)

    @property
    def name(self) -> str | int:
        """What a later commit's `remove` calls it."""
        return self.tail or self.segment


class Tail(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Rows inlined in a commit; `arrays` lie in its body."""

    schema: Count
    rows: Count
    clocks: dict[str, Interval]
    arrays: dict[str, ArrayRef]
    labels: dict[str, list[str]] = {}


class WindowChange(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What a commit does to one window."""

    window: str
    remove: tuple[str | Count, ...] = ()
    add: tuple[SegmentEntry, ...] = ()
    tail: Tail | None = None
    coverage: tuple[Interval, ...] = ()
    completeness: str | None = None
    attributes: dict[str, Any] = {}
    reset: bool = False


class Pin(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Exactly which bytes were read: a dataset's version and its digest, with range and columns.

    `start` and `end` are int64 ns since 1970 UTC on the axis clock (None: open), `columns` empty means all.
    """

    storage_class: str = msgspec.field(name="class")
    key: tuple[str, ...]
    dataset: str
    version: Count
    digest: str
    start: Int64 | None = None
    end: Int64 | None = None
    columns: tuple[str, ...] = ()


class ArtifactEntry(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A file kept beside the rows."""

    name: str
    artifact: str
    bytes: Count
    sha256: str
    index: str
    media_type: str = "application/octet-stream"


class Commit(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The header of a commit record; see FORMAT.md section 6 for each field."""

    version: Count
    dataset: str
    id: str
    previous: str
    operation: str
    role: str
    host: str
    process: str
    time: Int64
    running_time: Int64
    checkpoint: tuple[Count, str] | None = None
    requires: tuple[str, ...] = ()
    schemas: tuple[Schema, ...] = ()
    schema: Count | None = None
    profile: str = ""
    windows: tuple[WindowChange, ...] = ()
    inputs: tuple[Pin, ...] = ()
    token: tuple[str, Count] | None = None
    artifacts: tuple[ArtifactEntry, ...] = ()
    removed_artifacts: tuple[str, ...] = ()
    attributes: dict[str, Any] = {}
    segment_floor: Count | None = None
    state: str | None = None
    reason: str = ""
    purged: tuple[str, ...] = ()  # of a redacted commit: windows whose tails aren't in it any more; never in a commit itself
