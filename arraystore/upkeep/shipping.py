"""Brings a dataset's versions to another place as they are: first what a commit names, durable and proved by digest, then the commit."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import msgspec
from msgspec.structs import replace

from arraystore.datasets.scan import Named, Step, checkpoints_in, key_of, steps
from arraystore.errors import AlreadyExists, ArrayStoreError, Corrupt, NotFound
from arraystore.pool import map_in_order
from arraystore.segments.index import check_entry, decode_index, index_key
from arraystore.storage.base import Batch, Storage
from arraystore.versions import checkpoint
from arraystore.versions.bulletin import Bulletin
from arraystore.versions.commit import ArtifactEntry, Commit, SegmentEntry
from arraystore.versions.fetch import DOCUMENT_BYTES, fetch, fetch_record
from arraystore.versions.floors import Floor
from arraystore.versions.history import History
from arraystore.versions.journal import Journal, mark_name
from arraystore.versions.log import Log
from arraystore.versions.notices import Notices
from arraystore.versions.record import decode_record
from arraystore.versions.redaction import decode_commit
from arraystore.versions.state import State
from layouts.codecs import group_metadata
from layouts.naming import version_name
from layouts.schema import Schema

PIECE_BYTES = 8 << 20
GROUP_BYTES = 64 << 20
GROUP_COMMITS = 256
THREADS = 8


class Shipped(msgspec.Struct, frozen=True, kw_only=True):
    """What was brought (or, on trial, would be): the versions after `have` up to `version`, and what these add; bytes as stored."""

    dataset: str
    have: int
    version: int
    segments: int = 0
    artifacts: int = 0
    bytes: int = 0


def proved(storage: Storage, key: str, sha256: str) -> Iterator[bytes]:
    """An object's bytes, piece by piece; raises `Corrupt` after the last one unless they are those of that digest."""
    digest, start = hashlib.sha256(), 0
    try:
        while piece := storage.get_ranges(key, [(start, start + PIECE_BYTES)])[0]:
            digest.update(piece)
            start += len(piece)
            yield piece
    except NotFound as error:
        raise Corrupt(f"{key}: is missing in {storage.url}, though a commit names it") from error
    if digest.hexdigest() != sha256:
        raise Corrupt(f"{key}: the digest is {digest.hexdigest()} in {storage.url}, where {sha256} is wanted")


@dataclass(frozen=True, slots=True)
class Part:
    """One object that a commit stands on: its key, its SHA-256 (of whole objects), and its bytes where they are at hand."""

    key: str
    sha256: str
    data: bytes | None = None


def parts_of_segment(storage: Storage, prefix: str, entry: SegmentEntry, schema: Schema) -> list[Part]:
    """Every object of a segment, its index last; raises `Corrupt` or `NotFound` where the index isn't the one that is named."""
    where = index_key(prefix, schema)
    data = fetch_record(storage, where)
    index, digest = decode_index(data, schema, where)
    if digest != entry.index:
        raise Corrupt(f"{where}: the digest is {digest}, where the commit says {entry.index}")
    check_entry(index, entry, schema, where)
    parts = [Part(f"{prefix}/{path}", sha256) for path, sha256 in index.objects.items()]
    return [*parts, Part(where, hashlib.sha256(data).hexdigest(), data)]


def parts_of_artifact(storage: Storage, prefix: str, entry: ArtifactEntry) -> list[Part]:
    """Both objects of an artifact, its index last."""
    where = f"{prefix}/_artifacts/{entry.artifact}"
    data = fetch_record(storage, f"{where}/_index")
    _, _, digest = decode_record("index", data, msgspec.Struct, f"{where}/_index")
    if digest != entry.index:
        raise Corrupt(f"{where}/_index: the digest is {digest}, where the commit says {entry.index}")
    return [Part(f"{where}/data", entry.sha256), Part(f"{where}/_index", hashlib.sha256(data).hexdigest(), data)]


def commit_bytes(log: History, version: int) -> tuple[bytes, Commit, str]:
    """A commit's record as it lies there, what it says, and its digest."""
    key = key_of(log, version)
    data = log.raw(version)
    commit, _, digest = decode_commit(data, key)
    if commit.version != version:
        raise Corrupt(f"{key}: holds the commit of version {commit.version}")
    return data, commit, digest


def newest_in(log: Log) -> int:
    """The newest version a reader finds; 0 for none."""
    try:
        return log.newest()
    except NotFound:
        return 0


@dataclass(slots=True)
class _Load:
    """A commit on its way, with the state that it finds if it is the first that is kept behind a floor."""

    step: Step
    base: State | None
    named: Named = field(default_factory=Named)

    def __post_init__(self) -> None:
        if self.base is not None:
            self.named.add(Step(None, memoryview(b""), self.base))
        self.named.add(self.step)

    @property
    def bytes(self) -> int:
        return sum(entry.bytes for entry, _ in self.named.segments.values()) + sum(entry.bytes for entry in self.named.artifacts.values())


@dataclass(slots=True)
class Shipment:
    """A dataset on its way from one log to the other, which has none of its versions, or the first of them.

    It can stop at any moment and be begun again; what is visible in the target is a whole version all along. `trial` writes nothing;
    `tell` is told how far it has come.
    """

    source: Log
    target: Log
    trial: bool = False
    tell: Callable[[Shipped], None] | None = None
    _done: Shipped = field(init=False)
    _group: list[_Load] = field(init=False, default_factory=list)

    def run(self) -> Shipped:
        """Bring what is missing, up to the source's newest version.

        Raises `Corrupt` where the two aren't the same dataset's, and at the first object of the source that isn't what was written:
        what comes before it has been brought then.
        """
        goal, have = self.source.head(), newest_in(self.target)
        self._done = Shipped(dataset=self.source.address, have=have, version=have)
        self._refuse_another(goal, have)
        if have < goal.version:
            if not self.trial:
                self._birth()
            self._steadily(goal, have)
        return self._done

    def _steadily(self, goal: State, have: int) -> None:
        """Bring the versions, anew from what has come where retention took what came next away meanwhile."""
        while True:
            floor = self.source.floor()
            try:
                self._versions(goal, have)
            except (Corrupt, NotFound):
                if self.trial or self.source.floor() == floor:
                    raise
                self._group, have, goal = [], newest_in(self.target), self.source.head()
                continue
            return

    def _versions(self, goal: State, have: int) -> None:
        floor = self.source.floor()
        checkpoints = _Checkpoints(self)
        start = self.source.at(have) if have > floor else None
        if start is not None:
            checkpoints(start)
            checkpoints.write()
        base = None
        for step in steps(self.source, goal.version, checkpoints, start):
            if step.commit is None:
                base = step.state if floor else None
                continue
            self._group.append(_Load(step, base))
            base = None
            full = sum(load.bytes for load in self._group) > GROUP_BYTES or len(self._group) >= GROUP_COMMITS
            if full or step.state.version in checkpoints.versions:
                self._flush()
                checkpoints.write()
        self._flush()

    def _refuse_another(self, goal: State, have: int) -> None:
        """Raise unless what the target has is the beginning of what the source has."""
        if have == 0:
            return
        where = f"{self.target.storage.url}/{self.target.prefix}"
        if fetch(self.target.storage, f"{self.target.prefix}/zarr.json", DOCUMENT_BYTES) != fetch(
            self.source.storage, f"{self.source.prefix}/zarr.json", DOCUMENT_BYTES
        ):
            raise Corrupt(f"{where}: is another dataset than in {self.source.storage.url}: copy it to another place")
        shared = min(have, goal.version)
        if shared <= self.source.floor() or shared <= self.target.floor():
            return
        here, there = self.source.record(shared)[2], self.target.record(shared)[2]
        if here != there:
            msg = f"{where}: version {shared} is {there}, and {here} in {self.source.storage.url}: one of them was written to or changed"
            raise Corrupt(msg)

    def _birth(self) -> None:
        """The birth certificate, and the groups on the way."""
        names = self.target.prefix.split("/")
        for depth in range(1, len(names)):
            with suppress(AlreadyExists):
                self.target.storage.create("/".join((*names[:depth], "zarr.json")), msgspec.json.encode(group_metadata({})))
        self._create(f"{self.target.prefix}/zarr.json", fetch(self.source.storage, f"{self.source.prefix}/zarr.json", DOCUMENT_BYTES))

    def _create(self, key: str, data: bytes) -> None:
        """Create a small object, or make sure that the one that is there is the same, and durable."""
        try:
            self.target.storage.create(key, data)
        except AlreadyExists:
            if self.target.storage.get(key) != data:
                msg = f"{key}: in {self.target.storage.url} it isn't what it is in {self.source.storage.url}: one of them was changed"
                raise Corrupt(msg) from None
            self.target.storage.sync(key.rpartition("/")[0])

    def _flush(self) -> None:
        """Bring all that waits; where something of it is damaged, what comes before that."""
        group, self._group = self._group, []
        try:
            self._bring(group)
        except Corrupt:
            if len(group) == 1:
                raise
            for load in group:
                self._bring([load])

    def _bring(self, group: list[_Load]) -> None:
        """Objects, all durable at once; then their commits, one after the other."""
        if not group:
            return
        if not self.trial:
            parts = [part for load in group for part in self._parts(load)]
            with self.target.storage.batch() as batch:
                for _ in map_in_order(partial(self._put, batch), parts, THREADS):
                    pass
            if group[0].base is not None:
                self._raise_floor(group[0].base)
            self._publish(load.step for load in group)
        self._done = replace(
            self._done,
            version=group[-1].step.state.version,
            segments=self._done.segments + sum(len(load.named.segments) for load in group),
            artifacts=self._done.artifacts + sum(len(load.named.artifacts) for load in group),
            bytes=self._done.bytes + sum(load.bytes for load in group),
        )
        if self.tell is not None:
            self.tell(self._done)

    def _parts(self, load: _Load) -> list[Part]:
        storage, prefix = self.source.storage, self.source.prefix
        parts: list[Part] = []
        for (window, segment), (entry, schema) in load.named.without_purged(self.source).segments.items():
            parts += parts_of_segment(storage, f"{prefix}/{window}/{segment}", entry, schema)
        for artifact in load.named.artifacts.values():
            parts += parts_of_artifact(storage, prefix, artifact)
        return parts if load.base is None else parts + self._base_parts(load.base, load.step.state)

    def _base_parts(self, base: State, oldest: State) -> list[Part]:
        """What a log that begins at a floor stands on: the checkpoint there, its manifests, and the commits below that hold rows.

        The same, and segments and files, of the versions below that pins or tags keep.
        """
        storage, prefix, named = self.source.storage, self.source.prefix, Named()
        states = (base, *(self.source.at(version) for version in self._floor_of(base).checkpoints))
        readable = (oldest, *states[1:])
        tails = {entry.tail for state in readable for name in state.window_names() for entry in state.window(name).tails}
        tails = {version for version in tails if version <= base.version}
        commits = {key_of(self.source, version): self.source.raw(version) for version in sorted(tails)}
        keys = [f"{prefix}/_manifests/{state.table.digest(name)}" for state in states for name in state.table.names()]
        keys += [f"{prefix}/_checkpoints/{version_name(state.version)}" for state in states]
        kept = states[1:]
        for state in kept:
            named.add(Step(None, memoryview(b""), state))
        found = commits | {key: fetch_record(storage, key) for key in keys}
        parts = [Part(key, hashlib.sha256(data).hexdigest(), data) for key, data in found.items()]
        for (window, segment), (entry, schema) in named.without_purged(self.source).segments.items():
            parts += parts_of_segment(storage, f"{prefix}/{window}/{segment}", entry, schema)
        return parts + [part for artifact in named.artifacts.values() for part in parts_of_artifact(storage, prefix, artifact)]

    def _floor_of(self, base: State) -> Floor:
        """The floor that the log begins at here: what is told of it, where it hasn't risen in the source since."""
        now = self.source.floor_record()
        assert base.checkpoint is not None
        told = (now.time, now.role, now.reason) if now.floor == base.version else (0, "", "")
        kept = tuple((version, digest) for version, digest in now.kept if version <= base.version)  # what is kept always stays so
        return Floor(floor=base.version, digest=base.checkpoint[1], time=told[0], role=told[1], reason=told[2], kept=kept)

    def _raise_floor(self, base: State) -> None:
        floor = self._floor_of(base)
        # How the source's commits are packed says nothing of those here.
        self.target.change_floor(lambda present: floor.with_packs(present.packs) if present.floor < floor.floor else None)

    def _put(self, batch: Batch, part: Part) -> None:
        def pieces() -> Iterator[bytes]:
            return proved(self.source.storage, part.key, part.sha256) if part.data is None else iter((part.data,))

        try:
            batch.put(part.key, pieces())
        except AlreadyExists:  # an earlier attempt's, which may be torn, and needn't be durable
            self.target.storage.put(part.key, pieces(), durable=True)

    def _publish(self, steps: Iterable[Step]) -> None:
        storage, path = self.target.storage, self.target.prefix
        journal = Journal(storage)
        notices = Notices(str(self.target.storage_class), journal, Bulletin(storage, journal), None)
        for step in steps:
            commit, key = step.commit, key_of(self.source, step.state.version)
            data, found, digest = commit_bytes(self.source, step.state.version)
            if commit is None or digest != step.state.digest:
                raise Corrupt(f"{key}: changed while it was copied")
            notices.before(path, found)
            if commit.state == "deleted":
                with suppress(AlreadyExists):
                    storage.create(f"_deleted/{mark_name(path)}", path.encode())
            self._create(key_of(self.target, commit.version), data)
            notices.after(path, found, step.state)


class _Checkpoints:
    """Folds on the source's checkpoints where they are what the log says, and gives the target the same."""

    def __init__(self, shipment: Shipment) -> None:
        self._source, self._target = shipment.source, shipment.target
        self.versions = checkpoints_in(shipment.source)
        self._there = self.versions if shipment.trial else checkpoints_in(shipment.target)
        self._due: State | None = None

    def __call__(self, state: State) -> State:
        if state.version not in self.versions:
            return state
        if state.version not in self._there:
            self._due = state
        with suppress(ArrayStoreError):
            found = checkpoint.load_checkpoint(self._source.storage, self._source.prefix, state.version, None)
            if found.checkpoint == (state.version, checkpoint.encode_checkpoint(state)[1]):
                return found
        return state

    def write(self) -> None:
        """Give the target the checkpoint that is due there, when it has that version."""
        if self._due is not None:
            checkpoint.write_checkpoint(self._target.storage, self._target.prefix, self._due)
            self._due = None
