"""Packing: runs of commits that a checkpoint follows move into one object each, and the objects they had go (FORMAT.md section 8).

A name may only be freed once the floor says that whoever takes it is void. So first the pack is durable and read back, then the floor
names it, and then the commits' own objects go; whoever dies in between leaves what is read all the same, and the next run goes on.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from arraystore.datasets.purging import blank_pack
from arraystore.errors import AlreadyExists, Corrupt
from arraystore.pool import map_in_order
from arraystore.versions.floors import Floor, Range
from arraystore.versions.log import Log
from arraystore.versions.packs import encode_pack, load_pack, pack_key, packs_in
from arraystore.versions.redaction import decode_commit, tombstones
from layouts.naming import version_name

PACK_BYTES = 64 << 20
PACK_COMMITS = 1 << 16
RECORD_BYTES = 1 << 20
"""A longer commit keeps its own object: there is nothing to save."""
LEAST = 256
"""Fewer commits than that aren't worth a pack."""
THREADS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """A pack that was made, or would be: of versions `first` to `last`, `bytes` of records; `replaced` are packs that go into it."""

    first: int
    last: int
    bytes: int
    replaced: tuple[Range, ...] = ()

    @property
    def range(self) -> Range:
        """First and last version."""
        return self.first, self.last


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """What packing a dataset did, or would do: packs that are made, and how many objects go since their commits lie in packs."""

    packs: tuple[Pack, ...]
    removed: int

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        packs = [
            {"first": pack.first, "last": pack.last, "bytes": pack.bytes, "replaced": [list(each) for each in pack.replaced]}
            for pack in self.packs
        ]
        return {"packs": packs, "removed": self.removed}


class Packer:
    """Packs old commits of one dataset. Any number may run at once, beside all else, and be killed anywhere."""

    def __init__(self, log: Log, *, least: int = LEAST) -> None:
        self._log = log
        self._least = least

    def plan(self) -> Packing:
        """What `pack` would do now; changes nothing."""
        return self._log.steadily(self._plan)

    def pack(self) -> Packing:
        """Pack what is due, and remove what lies in packs; also what an earlier run left."""
        return self._log.steadily(self._pack)

    def _pack(self) -> Packing:
        made = [pack for pack in self._due(self._log.floor_record()) if self._make(pack)]
        return Packing(packs=tuple(made), removed=self._tidy())

    def _plan(self) -> Packing:
        floor = self._log.floor_record()
        packs = tuple(self._due(floor))
        going = set(self._superseded(floor, floor.packs)) | {each for pack in packs for each in pack.replaced}
        singles = self._own_objects([*floor.packs, *(pack.range for pack in packs)])
        return Packing(packs=packs, removed=len(singles) + len(going))

    # --- what is due -------------------------------------------------------------------------------------------------

    def _due(self, floor: Floor) -> Iterator[Pack]:
        """Packs to be made of the commits up to the newest checkpoint that have objects of their own."""
        head = self._log.head()
        until = min(head.checkpoint[0] if head.checkpoint is not None else 0, head.version - 1)
        if until - floor.bound < self._least:
            return
        standing = [(pack, self._log.storage.size(pack_key(self._log.prefix, pack))) for pack in floor.packs]
        for first, last, size in self._runs(floor.bound + 1, until):
            replaced: list[Range] = []
            begin, total = first, size
            # A pack goes into the next one that is as large: each byte is written anew as often as its pack doubles.
            while standing and standing[-1][0][1] == begin - 1 and standing[-1][1] <= total and total + standing[-1][1] <= PACK_BYTES:
                old, old_bytes = standing.pop()
                replaced.append(old)
                begin, total = old[0], total + old_bytes
            if last - begin:
                yield Pack(first=begin, last=last, bytes=total, replaced=tuple(reversed(replaced)))
            standing = []

    def _runs(self, first: int, until: int) -> Iterator[tuple[int, int, int]]:
        """First and last version, and bytes, of runs of commits that aren't too long, each no more than a pack holds."""
        begin, size = first, 0
        for version, length in self._lengths(first, until):
            if size and (length > RECORD_BYTES or size + length > PACK_BYTES or version - begin >= PACK_COMMITS):
                yield begin, version - 1, size
                begin, size = version, 0
            if length > RECORD_BYTES:
                begin = version + 1
            else:
                size += length
        if size:
            yield begin, until, size

    def _lengths(self, first: int, until: int) -> Iterator[tuple[int, int]]:
        def length(version: int) -> tuple[int, int]:
            return version, self._log.storage.size(f"{self._log.prefix}/_log/{version_name(version)}")

        return map_in_order(length, range(first, until + 1), THREADS)

    # --- making a pack -----------------------------------------------------------------------------------------------

    def _make(self, pack: Pack) -> bool:
        """Make one pack and have the floor name it; False where another one was quicker."""
        log, key = self._log, pack_key(self._log.prefix, pack.range)
        records, dataset = self._proved(pack)
        data = encode_pack(dataset, pack.first, records)
        try:
            log.storage.create(key, data)
        except AlreadyExists:  # of one who died, or is at it just now: of the same bytes, unless rows were purged since
            if log.bound() >= pack.last:
                return False
            if (there := log.storage.get(key)) != data:
                log.storage.swap(key, data, there)
            log.storage.sync(key.rpartition("/")[0])
        if load_pack(log.storage, log.prefix, pack.range)[0] != records:
            raise Corrupt(f"{key}: isn't what was written: nothing was removed")
        known = {pack.range}

        def named(present: Floor) -> Floor | None:
            below = [each for each in present.packs if each[1] < pack.first]
            gone = tuple(each for each in present.packs if each[1] >= pack.first)
            if gone != pack.replaced or present.bound >= pack.last:
                return None
            return present.with_packs((*below, pack.range))

        is_named = known <= set(log.change_floor(named).packs)
        if is_named:
            blank_pack(log, pack.range, tombstones(log.head()))  # what was purged while this pack wasn't there to be looked through
        return is_named

    def _proved(self, pack: Pack) -> tuple[list[bytes], str]:
        """The records of these versions, held to the chain up to the commit after them, and the dataset that the last belongs to."""
        records, before, dataset = [], "", ""
        for version in range(pack.first, pack.last + 2):
            where = f"{self._log.prefix}/_log/{version_name(version)}"
            data = self._log.raw(version)
            commit, _, digest = decode_commit(data, where)
            if commit.version != version or before not in ("", commit.previous):
                raise Corrupt(f"{where}: follows {commit.previous}, where version {version - 1} is {before}: restore it from a replica")
            before = digest
            if version <= pack.last:
                records.append(data)
                dataset = commit.dataset
        return records, dataset

    # --- removing what lies in packs ---------------------------------------------------------------------------------

    def _tidy(self) -> int:
        """Remove objects of commits that lie in packs, and packs that others took the place of; returns how many there were."""
        log = self._log
        floor = log.floor_record()
        for pack in floor.packs:
            log.storage.size(pack_key(log.prefix, pack))  # raises where it is missing: what is left of its commits stays then
        keys = [f"{log.prefix}/_log/{version_name(version)}" for version in self._own_objects(floor.packs)]
        keys += [pack_key(log.prefix, pack) for pack in self._superseded(floor, floor.packs)]
        for _ in map_in_order(log.storage.delete, keys, THREADS):
            pass
        return len(keys)

    def _own_objects(self, packs: Sequence[Range]) -> list[int]:
        """Versions in packs that have objects of their own nevertheless."""
        floor = Floor(packs=tuple(sorted(packs)))
        return sorted(version for version in self._log.objects() if floor.pack_of(version) is not None)

    def _superseded(self, floor: Floor, named: Iterable[Range]) -> list[Range]:
        """Packs that the floor doesn't name, and never will, since another one reaches as far."""
        return sorted(pack for pack in set(packs_in(self._log.storage, self._log.prefix)) - set(named) if pack[1] <= floor.bound)


def unneeded_packs(floor: Floor, needed: Iterable[int]) -> list[Range]:
    """Packs that the floor names, at or below it, of whose commits none must stay."""
    staying = {floor.pack_of(version) for version in needed}
    return [pack for pack in floor.packs if pack[1] <= floor.floor and pack not in staying]


def drop_pack(log: Log, pack: Range) -> None:
    """Have the floor name it no more, then delete it."""
    log.change_floor(lambda present: present.with_packs(tuple(each for each in present.packs if each != pack)))
    log.storage.delete(pack_key(log.prefix, pack))
