"""Repairs one dataset: what isn't what was written is replaced by what provably was, from a copy or from the log itself.

Nothing is believed of the copy. A commit is taken if its digest is the one that the commit after it names, or the one that the damaged
record itself still states; at the very end, where no commit tells, also if it follows the one before it and nothing here says otherwise.
From the commits on, every byte is proved by digest. Whole objects are replaced, durably and at once, and only damaged ones.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from arraystore.datasets.scan import checkpoints_in, key_of, newest_by_listing, scan, steps, tails_below
from arraystore.errors import AlreadyExists, ArrayStoreError, Corrupt
from arraystore.findings import Finding, finding
from arraystore.segments.index import index_key
from arraystore.segments.segmentcheck import verify_segment
from arraystore.storage.base import Storage
from arraystore.upkeep.evidence import Record, birth_in, get_if_readable, record_in, record_of, sha256_of
from arraystore.upkeep.shipping import Part, Shipment, Shipped, newest_in, parts_of_artifact, parts_of_segment, proved
from arraystore.versions import checkpoint
from arraystore.versions.commit import ArtifactEntry, SegmentEntry
from arraystore.versions.floors import NO_FLOOR, Floor
from arraystore.versions.log import Log
from arraystore.versions.packs import encode_pack, load_pack, pack_key, packs_in, whole_packs
from arraystore.versions.record import decode_record, encode_record
from arraystore.versions.state import State
from layouts.naming import version_name
from layouts.schema import Schema

MISSING = "missing"
DIVERGED = (
    "differs from the copy's, and nothing tells which is right: repair with `--expect VERSION:DIGEST` of a trusted head (`audit --head`)"
)


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """An object that was replaced, by its path below the class root: why it is the right one, and its SHA-256 before and after."""

    where: str
    dataset: str
    proof: str
    before: str
    sha256: str


class Mended(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a dataset: what was restored, what couldn't be, and the versions that came back with all they name."""

    dataset: str
    restored: tuple[Restored, ...] = ()
    lost: tuple[Finding, ...] = ()
    versions: Shipped | None = None


@dataclass(slots=True)
class Mender:
    """The repair of one dataset, `here`, from the same one `there` (None: only from itself); `trial` writes nothing.

    `expect` tells digests of versions that are known to be right.
    """

    here: Log
    there: Log | None
    trial: bool = False
    expect: Mapping[int, str] = field(default_factory=dict)
    _restored: dict[str, Restored] = field(init=False, default_factory=dict)
    _lost: dict[str, Finding] = field(init=False, default_factory=dict)
    _unpacked: dict[int, bytes] = field(init=False, default_factory=dict)

    @property
    def address(self) -> str:
        """The dataset, as `CLASS/KEY`."""
        return self.here.address

    def run(self) -> Mended:
        """Repair what can be; never raises for what can't."""
        versions: Shipped | None = None
        try:
            until = newest_by_listing(self.here)
            if until:
                floor = self._floor()
                self._commits(floor, until)
                self._birth(floor)
                self._base(floor)
                self._checkpoints(until)
                self._objects(until)
            if not any("/_log/" in where for where in self._lost):
                versions = self._newer(until)
        except ArrayStoreError as error:  # as where a link is in the way
            self._lose(self.here.prefix, str(error))
        lost = tuple(found for where, found in self._lost.items() if where not in self._restored)
        return Mended(dataset=self.address, restored=tuple(self._restored.values()), lost=lost, versions=versions)

    # --- the log -------------------------------------------------------------------------------------------------

    def _floor(self) -> int:
        """The log's floor; one that is damaged, or gone with the commits below it, is the copy's if what it names is here."""
        where = f"{self.here.prefix}/_log/floor"
        lying = packs_in(self.here.storage, self.here.prefix)
        versions = self.here.versions() | {version for first, last in lying for version in range(first, last + 1)}
        try:
            floor = self.here.floor()
            packed = self.here.packs() or not lying
            if floor or (packed and (1 in versions or self.there is None or not self.there.floor())):
                return floor
        except ArrayStoreError as error:
            self._lose(where, str(error))
        packs = tuple(whole_packs(lying))
        data = get_if_readable(self.there.storage, where) if self.there is not None else None
        found = decode_record("floor", data, Floor, where)[0] if data else None
        if found is not None and found.floor + 1 in versions:
            made = encode_record("floor", found.with_packs(packs))[0]
            self._replace(where, made, "the commit after it is here, and the one before isn't; the packs are those that are here")
            return found.floor
        if packs and min(versions) == 1:
            self._replace(where, encode_record("floor", NO_FLOOR.with_packs(packs))[0], "all commits are here, these of them in packs")
        return min(versions) - 1

    def _commits(self, floor: int, until: int) -> None:
        """Every kept commit, from the newest on, so that each is named by the one after it."""
        newest = newest_in(self.there) if self.there is not None else 0
        present = self.here.versions()
        versions = sorted({each for each in present if each > floor} | set(range(floor + 1, min(until, newest) + 1)), reverse=True)
        wanted, after = "", until + 1
        for version in versions:
            if version != after - 1:
                self._lose(key_of(self.here, after - 1), "the commit is missing, though a later one is there")
                wanted = ""
            wanted, after = self._commit(version, self.expect.get(version, "") or wanted), version
        self._packs()

    def _commit(self, version: int, wanted: str) -> str:
        """Restore a version, if need be, whose digest must be `wanted` (empty: nobody tells); returns what its predecessor's must be."""
        where, mine = key_of(self.here, version), record_of(self.here, version)
        theirs = record_of(self.there, version) if self.there is not None else Record()
        if mine.commit is not None and mine.digest == (wanted or mine.digest):
            if not wanted and theirs.commit is not None and theirs.digest != mine.digest:
                self._lose(where, f"version {version} is {mine.digest}, {DIVERGED}")
            return mine.commit.previous
        proof = self._proof(version, wanted, mine, theirs)
        if proof and theirs.data is not None and theirs.commit is not None:
            if self.here.is_packed(version):
                self._unpacked[version] = theirs.data
                self._note(
                    where, proof, hashlib.sha256(mine.data).hexdigest() if mine.data else "", hashlib.sha256(theirs.data).hexdigest()
                )
            else:
                self._replace(where, theirs.data, proof)
            return theirs.commit.previous
        what = f"is {mine.digest}, where {wanted} is named" if mine.commit else "is missing" if mine.data is None else "is damaged"
        told = "the copy's can't be proved to be the right one" if theirs.commit else "the copy hasn't got it either"
        self._lose(where, f"version {version} {what}, and {told}")
        return mine.commit.previous if mine.commit is not None and not wanted else ""

    def _packs(self) -> None:
        """Packs that aren't what was written, from their commits as they are now known; one of which commits are lost keeps what it has."""
        for pack in self.here.packs():
            key, versions = pack_key(self.here.prefix, pack), range(pack[0], pack[1] + 1)
            fresh = {version: self._unpacked[version] for version in versions if version in self._unpacked}
            try:
                _, header = load_pack(self.here.storage, self.here.prefix, pack)
                if not fresh:
                    continue
                dataset = header.dataset
            except ArrayStoreError as error:
                self._lose(key, str(error))
                dataset = ""
            records = [fresh.get(version) or self.here.as_it_lies(version) or b"" for version in versions]
            if not fresh and any(record_in(record, key) is None for record in records):
                continue
            named = record_in(records[-1], version_name(pack[1]))
            data = encode_pack(dataset or (named.dataset if named is not None else ""), pack[0], records)
            self._replace(key, data, "its commits are those that the log names")

    def _proof(self, version: int, wanted: str, mine: Record, theirs: Record) -> str:
        """Why the copy's commit is the one that was here; empty if that can't be told."""
        if theirs.commit is None:
            return ""
        if wanted:
            return f"its digest is the one that version {version + 1} names" if theirs.digest == wanted else ""
        if mine.claims:
            return "its digest is the one that the damaged record had" if theirs.digest in mine.claims else ""
        follows = mine.commit is None and self._follows(version, theirs)
        return "it follows what is whole here, and nothing here says otherwise" if follows else ""

    def _follows(self, version: int, theirs: Record) -> bool:
        """Whether the copy's commits lead to this one from one that is whole here (or the birth), by ones that nothing here contradicts."""
        assert self.there is not None
        while version > 1 and theirs.commit is not None:
            version, named = version - 1, theirs.commit.previous
            mine = record_of(self.here, version)
            if mine.commit is not None:
                return mine.digest == named
            theirs = record_of(self.there, version)
            if theirs.digest != named or (mine.claims and named not in mine.claims):
                return False
        births = {sha256_of(log.storage, f"{log.prefix}/zarr.json") for log in (self.here, self.there)}
        return theirs.commit is not None and theirs.commit.previous in births

    def _birth(self, floor: int) -> None:
        """The birth certificate, which the first commit or the floor's checkpoint names."""
        where = f"{self.here.prefix}/zarr.json"
        first = record_of(self.here, 1).commit if floor == 0 else None
        wanted = first.previous if first is not None else ""
        if self.trial and not wanted and self.there is not None and floor == 0:
            first = record_of(self.there, 1).commit
            wanted = first.previous if first is not None and key_of(self.here, 1) in self._restored else ""
        if floor:
            for log in (self.here, *([self.there] if self.there else ())):
                data = get_if_readable(log.storage, f"{log.prefix}/_checkpoints/{version_name(floor)}")
                wanted = wanted or (birth_in(data, where) if data else "")
        if not wanted or sha256_of(self.here.storage, where) == wanted:
            return
        data = get_if_readable(self.there.storage, where) if self.there is not None else None
        if data is not None and hashlib.sha256(data).hexdigest() == wanted:
            self._replace(where, data, "its digest is the one that the log begins with")
        else:
            self._lose(where, f"isn't the one that the log begins with, {wanted}")

    # --- what is folded from it ----------------------------------------------------------------------------------

    def _base(self, floor: int) -> None:
        """What a log that begins at a floor stands on: checkpoint, manifests, and commits below it that hold rows."""
        if not floor:
            return
        where = f"{self.here.prefix}/_checkpoints/{version_name(floor)}"
        try:
            named = decode_record("floor", self.here.storage.get(f"{self.here.prefix}/_log/floor"), Floor, where)[0].digest
        except ArrayStoreError:
            return
        self._record_object("checkpoint", where, named)
        try:
            state = checkpoint.load_checkpoint(self.here.storage, self.here.prefix, floor, named)
        except ArrayStoreError:
            return
        for name in state.table.names():
            self._record_object("manifest", f"{self.here.prefix}/_manifests/{state.table.digest(name)}", state.table.digest(name))
        try:
            tails = tails_below(self.here)
        except ArrayStoreError:
            return
        for version, digest in sorted(tails.items()):
            if not self.here.is_packed(version):
                self._record_object("commit", key_of(self.here, version), digest)

    def _record_object(self, kind: str, where: str, digest: str) -> None:
        """A record that must have this digest."""
        for storage in self._storages():
            data = get_if_readable(storage, where)
            try:
                if data is None or decode_record(kind, data, msgspec.Struct, where)[2] != digest:
                    continue
            except ArrayStoreError:
                continue
            if storage is not self.here.storage:
                self._replace(where, data, "its digest is the one that is named")
            return
        self._lose(where, f"isn't the {kind} of digest {digest}, and the copy's isn't either")

    def _checkpoints(self, until: int) -> None:
        """Checkpoints and manifests are told by the log: those that aren't as it says are written again."""
        versions = checkpoints_in(self.here)

        def stand(state: State) -> State:
            if state.version not in versions:
                return state
            data, digest, manifests = checkpoint.encode_checkpoint(state)
            for name, manifest in manifests.items():
                self._same(f"{self.here.prefix}/_manifests/{name}", manifest)
            self._same(f"{self.here.prefix}/_checkpoints/{version_name(state.version)}", data)
            return state if self.trial else checkpoint.load_checkpoint(self.here.storage, self.here.prefix, state.version, digest)

        try:
            for _ in steps(self.here, until, stand):
                pass
        except ArrayStoreError as error:
            self._lose(self.here.prefix, str(error))

    def _same(self, where: str, data: bytes) -> None:
        if get_if_readable(self.here.storage, where) != data:
            self._replace(where, data, "it is what the log says, folded anew")

    # --- what it names -------------------------------------------------------------------------------------------

    def _objects(self, until: int) -> None:
        """Every object of every segment and artifact that a kept version names."""
        source = self.here if not self.trial or self.there is None or not self._restored else self.there
        try:
            last = until if source is self.here else min(until, newest_in(source))
            named = scan(source, last, None, self._lose, deep=not self.trial)
        except ArrayStoreError as error:
            self._lose(self.here.prefix, str(error))
            return
        for (window, segment), (entry, schema) in sorted(named.segments.items()):
            self._segment(f"{self.here.prefix}/{window}/{segment}", entry, schema)
        for _, artifact in sorted(named.artifacts.items()):
            self._artifact(artifact)

    def _segment(self, prefix: str, entry: SegmentEntry, schema: Schema) -> None:
        where, before = index_key(prefix, schema), len(self._restored)
        parts: list[Part] | None = None
        for storage in self._storages():
            try:
                parts = parts_of_segment(storage, prefix, entry, schema)
            except ArrayStoreError:
                continue
            break
        if parts is None:
            self._lose(where, f"isn't the index of digest {entry.index}, and the copy's isn't either")
            return
        self._parts(parts)
        if len(self._restored) > before and not self.trial:
            for problem in verify_segment(self.here.storage, prefix, entry, schema, deep=True):
                self._lose(prefix, problem)

    def _artifact(self, entry: ArtifactEntry) -> None:
        for storage in self._storages():
            try:
                parts = parts_of_artifact(storage, self.here.prefix, entry)
            except ArrayStoreError:
                continue
            self._parts(parts)
            return
        where = f"{self.here.prefix}/_artifacts/{entry.artifact}/_index"
        self._lose(where, f"isn't the index of digest {entry.index}, and the copy's isn't either")

    def _parts(self, parts: list[Part]) -> None:
        for part in parts:
            before = sha256_of(self.here.storage, part.key)
            if before == part.sha256:
                continue
            proof = (
                "its SHA-256 is the one that the segment's index names"
                if part.data is None
                else "its digest is the one that the commit names"
            )
            try:
                if part.data is not None:
                    self._replace(part.key, part.data, proof)
                elif self.there is None:
                    raise Corrupt(f"{part.key}: its SHA-256 is {before or MISSING}, where {part.sha256} was written")
                elif self.trial:
                    for _ in proved(self.there.storage, part.key, part.sha256):
                        pass
                    self._note(part.key, proof, before, part.sha256)
                else:
                    self.here.storage.put(part.key, proved(self.there.storage, part.key, part.sha256), durable=True)
                    self._note(part.key, proof, before, sha256_of(self.here.storage, part.key))
            except ArrayStoreError as error:
                self._lose(part.key, str(error))

    def _newer(self, until: int) -> Shipped | None:
        """Versions that the copy has after the newest here come back with all that they name."""
        if self.there is None or newest_in(self.there) <= until:
            return None
        try:
            return Shipment(self.there, self.here, self.trial).run()
        except ArrayStoreError as error:
            self._lose(key_of(self.here, until + 1), str(error))
            return None

    def _storages(self) -> list[Storage]:
        """Where an object may be found: here first."""
        return [self.here.storage] if self.there is None else [self.here.storage, self.there.storage]

    # --- taking note ---------------------------------------------------------------------------------------------

    def _replace(self, where: str, data: bytes, proof: str) -> None:
        """Put the right bytes in the place of an object that is damaged or missing."""
        before, after = sha256_of(self.here.storage, where), hashlib.sha256(data).hexdigest()
        try:
            if not self.trial and before == "":
                self.here.storage.create(where, data)
            elif not self.trial:
                self.here.storage.put(where, data, durable=True)
        except AlreadyExists:
            if self.here.storage.get(where) != data:
                self._lose(where, "somebody else wrote it meanwhile: repair again")
                return
        except ArrayStoreError as error:
            self._lose(where, str(error))
            return
        self._note(where, proof, before, after)

    def _note(self, where: str, proof: str, before: str, after: str) -> None:
        self._restored[where] = Restored(where=where, dataset=self.address, proof=proof, before=before or MISSING, sha256=after)

    def _lose(self, where: str, problem: str) -> None:
        told = finding(self.here.storage_class, self.here.prefix, where, problem)
        self._lost.setdefault(told.where, told)
