"""One version as a value: what a commit record says (FORMAT.md section 6)."""

from typing import Any

import msgspec

from arraystore.record import ArrayRef
from layouts.schema import Schema

type Interval = tuple[int, int]


class SegmentEntry(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A segment of a window: columnar (`segment` names it) or a tail (`tail` is the version that holds its rows)."""

    schema: int
    rows: int
    clocks: dict[str, Interval]
    bytes: int
    segment: str = ""
    index: str = ""
    tail: int = 0
    place: int = 0
    order: tuple[int, int] = (0, 0)

    @property
    def name(self) -> str | int:
        """What a later commit's `remove` calls it."""
        return self.tail or self.segment


class Tail(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Rows inlined in a commit; `arrays` lie in its body."""

    schema: int
    rows: int
    clocks: dict[str, Interval]
    arrays: dict[str, ArrayRef]
    labels: dict[str, list[str]] = {}


class WindowChange(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What a commit does to one window."""

    window: str
    remove: tuple[str | int, ...] = ()
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
    version: int
    digest: str
    start: int | None = None
    end: int | None = None
    columns: tuple[str, ...] = ()


class ArtifactEntry(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A file kept beside the rows."""

    name: str
    artifact: str
    bytes: int
    sha256: str
    index: str
    media_type: str = "application/octet-stream"


class Commit(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The header of a commit record; see FORMAT.md section 6 for each field."""

    version: int
    dataset: str
    id: str
    previous: str
    operation: str
    role: str
    host: str
    process: str
    time: int
    running_time: int
    checkpoint: tuple[int, str] | None = None
    requires: tuple[str, ...] = ()
    schemas: tuple[Schema, ...] = ()
    schema: int | None = None
    profile: str = ""
    windows: tuple[WindowChange, ...] = ()
    inputs: tuple[Pin, ...] = ()
    token: tuple[str, int] | None = None
    artifacts: tuple[ArtifactEntry, ...] = ()
    removed_artifacts: tuple[str, ...] = ()
    attributes: dict[str, Any] = {}
    segment_floor: int | None = None
    state: str | None = None
    reason: str = ""
