"""Where a dataset's commits lie: each in an object of its own, or many in a pack (FORMAT.md sections 6 and 8).

Once the floor names a pack, an object under the name of a version in it is nobody's commit: so who read one looks at the floor after it.
"""

from collections.abc import Callable
from contextlib import suppress

from arraystore.errors import ArrayStoreError, Corrupt, InvalidInput, NotFound
from arraystore.storage.base import Storage
from arraystore.versions.commit import Commit
from arraystore.versions.fetch import fetch_record
from arraystore.versions.floors import Floor, Range, load_floor
from arraystore.versions.packs import PackTable, filled, load_table, pack_key, packs_in
from arraystore.versions.record import blanks
from arraystore.versions.redaction import decode_commit
from layouts.naming import parse_version_name, version_name

LOOKS = 10
"""How often to look again for what was packed, or packed anew, while it was looked for."""
TABLES = 4
"""Packs whose tables are kept at hand: some hundred kilobytes each."""


class CommitRecords:
    """The commits' records under `prefix`. Safe to share between threads.

    Parameters
    ----------
    storage, prefix
        The class root, and the dataset's path in it.
    """

    def __init__(self, storage: Storage, prefix: str) -> None:
        self.storage = storage
        self.prefix = prefix
        self._seen: Floor | None = None
        self._tables: dict[Range, PackTable] = {}

    def _key(self, version: int) -> str:
        return f"{self.prefix}/_log/{version_name(version)}"

    # --- the floor ---------------------------------------------------------------------------------------------------

    def floor(self) -> int:
        """Versions at or below this may be gone; 0 where none was published."""
        return self.floor_record().floor

    def bound(self) -> int:
        """The last version whose name may be free though there are later ones."""
        return self.floor_record().bound

    def floor_record(self) -> Floor:
        """The floor as it is now, and what is told of it."""
        self._seen = floor = load_floor(self.storage, self.prefix)
        return floor

    # --- records -----------------------------------------------------------------------------------------------------

    def record(self, version: int, *, digest: str = "", proved: bool = True) -> tuple[Commit, memoryview, str, int]:
        """Commit, body, digest and size (but for what only fills it up) of a version; NotFound where there is none.

        `digest` and `proved` as for `raw`.
        """
        data = self.raw(version, digest=digest, proved=proved)
        pack = self._seen.pack_of(version) if self._seen is not None else None
        return self._decoded(version, data, self._key(version) if pack is None else f"{pack_key(self.prefix, pack)}: {self._key(version)}")

    def _decoded(self, version: int, data: bytes, key: str) -> tuple[Commit, memoryview, str, int]:
        """What a version's record holds, which lies at `key`, as `record` tells it."""
        commit, body, found = decode_commit(data, key)
        if commit.version != version or (commit.checkpoint is not None and commit.checkpoint[0] >= version):
            msg = f"{key}: holds the commit of version {commit.version}, checkpoint {commit.checkpoint}: restore it from a replica"
            raise Corrupt(msg)
        return commit, body, found, len(data) - blanks(data, len(body))

    def raw(self, version: int, *, digest: str = "", proved: bool = True) -> bytes:
        """The bytes of a version's record as they lie there; NotFound where there is none.

        What has the `digest` that the caller knows is proved by it, and with `proved` False the caller sees to it that what it read hangs
        together with what it knows; else the floor is looked at after an object of the version's own was read.
        """
        floor = self._seen or self.floor_record()
        for _ in range(LOOKS):
            data = None
            pack = floor.pack_of(version)
            with suppress(NotFound):
                data = self._packed(pack, version) if pack is not None else fetch_record(self.storage, self._key(version))
            if data is not None and (pack is not None or not proved or _states(data, digest)):
                return data
            floor = self.floor_record()
            if data is not None and floor.pack_of(version) is None:
                return data
            if data is None and floor.pack_of(version) == pack:
                if pack is not None:
                    where = pack_key(self.prefix, pack)
                    raise Corrupt(f"{where}: is missing, with the commits of {pack[1] - pack[0] + 1} versions: restore it from a replica")
                raise NotFound(f"{self.storage.url}: there is no object {self._key(version)!r}")
        raise Corrupt(f"{self._key(version)}: the log was packed {LOOKS} times while its commit was looked for; try again")

    def as_it_lies(self, version: int) -> bytes | None:
        """What is in the place of a version's record, whatever it is; None for nothing that can be read."""
        with suppress(ArrayStoreError):
            pack = self.floor_record().pack_of(version)
            if pack is None:
                return self.storage.get(self._key(version))
            return filled(self.storage.get_ranges(pack_key(self.prefix, pack), [self._table(pack, anew=True).span(version)])[0])
        return None

    def versions(self) -> set[int]:
        """The versions that have an object or lie in a pack, whole or not."""
        return self.objects() | {version for pack in self.packs() for version in range(pack[0], pack[1] + 1)}

    def objects(self) -> set[int]:
        """The versions that have an object of their own, whatever it is."""
        found = set()
        for name in self.storage.list(f"{self.prefix}/_log").objects:
            with suppress(InvalidInput):
                found.add(parse_version_name(name))
        return found

    def packs(self) -> list[Range] | tuple[Range, ...]:
        """The packs that the floor names; where it can't tell, those that there are."""
        try:
            return self.floor_record().packs
        except ArrayStoreError:
            return packs_in(self.storage, self.prefix)

    def has(self, version: int) -> bool:
        """Whether a version is visible now."""
        return self._has_object(version) or self.floor_record().pack_of(version) is not None

    def is_newest(self, version: int) -> bool:
        """Whether no version after this one, which was seen, is visible now."""
        # Above the bound nothing is missing: what has no object isn't there.
        return not self._has_object(version + 1) and self.bound() <= version

    def is_packed(self, version: int) -> bool:
        """Whether a version's commit lies in a pack now."""
        return self.floor_record().pack_of(version) is not None

    def may_have_moved(self, version: int) -> bool:
        """Whether one that was the newest may not be so any more, told by names alone; late where a packed one's is still there."""
        return self._has_object(version + 1) or not self._has_object(version)

    def _has_object(self, version: int) -> bool:
        return self.storage.exists(self._key(version))

    def _packed(self, pack: Range, version: int) -> bytes:
        """A record out of a pack; what doesn't fit the table that was at hand may be of a pack of the same name that took its place."""
        for anew in (False, *[True] * LOOKS):
            table = self._table(pack, anew=anew)
            start, stop = table.span(version)
            (held,) = self.storage.get_ranges(pack_key(self.prefix, pack), [(start, stop)])
            data = filled(held)
            if len(held) == stop - start and _states(data, table.digest(version)):
                return data
            if anew and self._table(pack, anew=True).span(version) == (start, stop):
                break
        where = pack_key(self.prefix, pack)
        raise Corrupt(f"{where}: what it holds as version {version} isn't the record {table.digest(version)}: restore it from a replica")

    def _table(self, pack: Range, *, anew: bool) -> PackTable:
        if anew or pack not in self._tables:
            table = load_table(self.storage, self.prefix, pack)
            tables = dict([*self._tables.items()][-TABLES + 1 :])
            self._tables = {**tables, pack: table}
            return table
        return self._tables[pack]

    def steadily[T](self, look: Callable[[], T]) -> T:
        """What a look finds; another one where retention or packing may have taken what it stood on, even while it looked."""
        seen: tuple[object, ...] = (0, ())
        while True:
            try:
                return look()
            except (Corrupt, NotFound):
                floor = self.floor_record()
                if (floor.floor, floor.packs) == seen:
                    raise
                seen = floor.floor, floor.packs
                self._forget()

    def _forget(self) -> None:
        """What was known may not be so any more."""


def _states(data: bytes, digest: str) -> bool:
    """Whether a record states this digest, which decoding it holds its bytes to."""
    return bool(digest) and data[:200].partition(b"\n")[0].split(b" ")[3:4] == [digest.encode()]
