"""The log floor: up to where a dataset's past may be gone or packed, what of it stays, what goes next (FORMAT.md section 8)."""

from bisect import bisect_right
from collections.abc import Callable, Mapping
from functools import cached_property
from itertools import pairwise
from typing import Any

import msgspec

from arraystore.errors import Conflict, Corrupt, NotFound
from arraystore.storage.base import Storage
from arraystore.versions.fetch import fetch_record
from arraystore.versions.record import PACKS, Count, Int64, decode_record, encode_record
from layouts.times import format_time

ATTEMPTS = 100

type Range = tuple[int, int]
"""First and last version of a pack."""


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
    """The header of the floor record: versions at or below `floor` may be gone; `digest` is that of the checkpoint there.

    `packs` are the ranges of versions whose commits lie in packs, ascending.
    """

    floor: Count = msgspec.field(default_factory=int)
    digest: str = msgspec.field(default_factory=str)
    time: Int64 = 0
    role: str = ""
    reason: str = ""
    kept: tuple[tuple[Count, str], ...] = ()
    mark: Mark | None = None
    packs: tuple[tuple[Count, Count], ...] = ()
    requires: tuple[str, ...] = ()

    @property
    def bound(self) -> int:
        """A version at or below this whose object appears now is void; the one after it has an object, if there is any version."""
        return max(self.floor, self.packs[-1][1] if self.packs else 0)

    def pack_of(self, version: int) -> Range | None:
        """The pack that a version's commit lies in; None for one that has an object of its own, or none."""
        place = bisect_right(self.packs, version, key=lambda pack: pack[0]) - 1
        return self.packs[place] if place >= 0 and self.packs[place][1] >= version else None

    def with_packs(self, packs: tuple[Range, ...]) -> "Floor":
        """The same with other packs, and with what a reader must know then."""
        return msgspec.structs.replace(self, packs=packs, requires=(PACKS,) if packs else ())

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
    return _load(storage, prefix)[1]


def _load(storage: Storage, prefix: str) -> tuple[bytes | None, Floor]:
    key = f"{prefix}/_log/floor"
    try:
        data = fetch_record(storage, key)
    except NotFound:
        return None, NO_FLOOR
    floor = decode_record("floor", data, Floor, key)[0]
    ends = [0, *(end for pack in floor.packs for end in (pack[0], pack[1] + 1))]
    if any(before > after for before, after in pairwise(ends)) or any(first > last or not first for first, last in floor.packs):
        raise Corrupt(f"{key}: its packs {floor.packs[:8]} don't follow each other: restore it from a replica")
    return data, floor


def change_floor(storage: Storage, prefix: str, change: Callable[[Floor], Floor | None]) -> Floor:
    """Replace the floor by what `change` makes of it, durably, however many do so at once; returns the floor that is there then.

    `change` is asked again where another one was quicker; None: it stays as it is.
    """
    for _ in range(ATTEMPTS):
        data, present = _load(storage, prefix)
        floor = change(present)
        if floor is None:
            return present
        # Never lower than what is there, nor without what is kept.
        assert floor.floor >= present.floor, (floor.floor, present.floor)
        assert floor.bound >= present.bound, (floor.packs, present.packs)
        assert set(floor.checkpoints) >= set(present.checkpoints), (floor.kept, present.kept)
        try:
            storage.swap(f"{prefix}/_log/floor", encode_record("floor", floor)[0], data)
        except Conflict:
            continue
        return floor
    raise Conflict(f"{prefix}/_log/floor: others replaced it {ATTEMPTS} times in a row; try again")
