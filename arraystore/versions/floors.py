"""The log floor: up to which version a dataset's past may be gone, what of it stays, and what is to go next (FORMAT.md section 8)."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import msgspec

from arraystore.errors import NotFound
from arraystore.storage.base import Storage
from arraystore.versions.fetch import fetch_record
from arraystore.versions.record import Count, Int64, decode_record, encode_record
from layouts.times import format_time


class Mark(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the floor is to be raised to: no pin of a version at or below it is made any more, but of those `kept`."""

    floor: Count
    time: Int64
    role: str = ""
    reason: str = ""
    kept: tuple[Count, ...] = ()
    keep_versions: Count | None = None
    keep_ns: Count | None = None


class Floor(msgspec.Struct, frozen=True, omit_defaults=True, dict=True):
    """The header of the floor record: versions at or below `floor` may be gone; `digest` is that of the checkpoint there."""

    floor: Count = msgspec.field(default_factory=int)
    digest: str = msgspec.field(default_factory=str)
    time: Int64 = 0
    role: str = ""
    reason: str = ""
    kept: tuple[tuple[Count, str], ...] = ()
    mark: Mark | None = None

    @cached_property
    def checkpoints(self) -> Mapping[int, str]:
        """Digest of the checkpoint of each kept version."""
        return dict(self.kept)

    def allows_pins_of(self, version: int) -> bool:
        """Whether a version will stay for who pins it now."""
        if version in self.checkpoints:
            return True
        return version > self.floor and (self.mark is None or version > self.mark.floor or version in self.mark.kept)

    def told(self) -> str:
        """When, by whom and why versions went, for messages."""
        when = f" on {format_time(self.time)}" if self.time else ""
        who = f" by {self.role}" if self.role else ""
        why = f" ({self.reason})" if self.reason else ""
        kept = [version for version, _ in self.kept]
        others = f", and of those before it {', '.join(map(str, kept[-8:]))}" if kept else ""
        return f"was removed by retention{when}{who}{why}; the oldest kept is {self.floor + 1}{others}"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain


NO_FLOOR = Floor()


def load_floor(storage: Storage, prefix: str) -> Floor:
    """The floor of the dataset at `prefix`; `NO_FLOOR` where there is none."""
    key = f"{prefix}/_log/floor"
    try:
        data = fetch_record(storage, key)
    except NotFound:
        return NO_FLOOR
    return decode_record("floor", data, Floor, key)[0]


def save_floor(storage: Storage, prefix: str, floor: Floor) -> None:
    """Publish a floor, durably; never one that is lower than what is there, nor one that drops what is kept."""
    present = load_floor(storage, prefix)
    assert floor.floor >= present.floor, (floor.floor, present.floor)
    assert set(floor.checkpoints) >= set(present.checkpoints), (floor.kept, present.kept)
    data, _ = encode_record("floor", floor)
    storage.put(f"{prefix}/_log/floor", data, durable=True)
