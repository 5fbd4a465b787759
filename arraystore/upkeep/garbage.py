"""What of a dataset no version names any more, and its removal: never by what a clock says, always by floors (FORMAT.md section 8).

A segment that nobody names may belong to a writer who is about to publish it. So a segment floor is committed first: from then on nothing
planned below it can be added, and only then what lies below it and isn't named is known to be garbage.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from logging import INFO
from typing import Any

from arraystore.datasets.scan import tails_below
from arraystore.errors import ArrayStoreError, Corrupt, NotFound
from arraystore.logs import tell
from arraystore.storage.base import Storage
from arraystore.upkeep.packing import drop_pack, unneeded_packs
from arraystore.versions import checkpoint
from arraystore.versions.draft import Draft, draft_commit
from arraystore.versions.floors import Floor
from arraystore.versions.log import Log
from arraystore.versions.packs import pack_key, parse_pack_name
from arraystore.versions.state import State
from layouts.naming import is_escaped, is_segment_name, parse_version_name, segment_base_version, version_name
from layouts.problems import InvalidInput

SWEEP_AGE_NS = 3_600 * 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class GarbageItem:
    """What nobody names, at a path below the class root: a `segment`, `artifact`, `commit`, `pack`, `checkpoint` or `manifest`."""

    kind: str
    path: str
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbage:
    """What a collection found; `removed` says whether it is gone. `floor` is the segment floor that makes it certain.

    `unfinished` counts temporary files that were swept away.
    """

    floor: int
    items: tuple[GarbageItem, ...]
    removed: bool
    unfinished: int = 0

    @property
    def bytes(self) -> int:
        """Bytes of all items."""
        return sum(item.bytes for item in self.items)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "floor": self.floor,
            "bytes": self.bytes,
            "removed": self.removed,
            "unfinished": self.unfinished,
            "items": [{"kind": item.kind, "path": item.path, "bytes": item.bytes} for item in self.items],
        }


@dataclass(slots=True)
class _Named:
    """What versions above the floor, and kept ones, name."""

    segments: set[str] = field(default_factory=set)
    artifacts: set[str] = field(default_factory=set)

    def add_state(self, state: State, windows: Iterable[str]) -> None:
        self.artifacts |= {entry.artifact for entry in state.artifacts.values()}
        self.segments |= {entry.segment for name in windows for entry in state.window(name).segments}


class Collector:
    """Finds and removes the garbage of one dataset. Any number may run at once, and be killed anywhere."""

    def __init__(self, log: Log, role: str, *, grace_ns: int, clock: Callable[[], int] = time.time_ns) -> None:
        self._log = log
        self._role = role
        self._grace_ns = grace_ns
        self._clock = clock
        self._storage: Storage = log.storage

    def plan(self) -> Garbage:
        """What `collect` would remove now; changes nothing."""
        state = self._log.head()
        floor = max(state.segment_floor, self._floor_to_be(state))
        lying = self._lying(floor)
        named = self._named(state, lying)
        segments, artifacts = self._unnamed(lying, named)
        return Garbage(floor=floor, items=(*segments, *artifacts, *self._past()), removed=False)

    def collect(self) -> Garbage:
        """Remove what nobody names; what is found here is garbage for ever, so that dying on the way harms nothing."""
        state = self._log.head()
        floor = max(state.segment_floor, self._floor_to_be(state))
        lying = self._lying(floor)
        segments, artifacts = self._unnamed(lying, self._named(state, lying))
        if any(segment_base_version(item.path.rpartition("/")[2]) >= state.segment_floor for item in (*segments, *artifacts)):
            state = self._raise_floor(floor)
            # Until the floor was there, a writer may have published what seemed to be nobody's.
            segments, artifacts = self._unnamed(lying, self._named(state, lying))
        items = (*segments, *artifacts, *self._past())
        for item in items:
            self._remove(item)
        if items:
            tell(INFO, "garbage removed", dataset=self._log.address, objects=len(items), bytes=sum(item.bytes for item in items))
        return Garbage(floor=state.segment_floor, items=items, removed=True, unfinished=self._sweep())

    def _floor_to_be(self, state: State) -> int:
        """The floor that disturbs no writer who planned within the grace time, as far as clocks can tell; safety doesn't depend on it.

        Where versions expire sooner than the grace time is over, what was planned on expired ones is disturbed, too: otherwise no garbage
        would ever go, since what was the newest version then is gone whenever this looks.
        """
        if not self._grace_ns:
            return state.version + 1
        expired = min(self._log.floor(), state.version)
        try:
            return max(expired, min(self._log.version_at(self._clock() - self._grace_ns), state.version))
        except NotFound:
            return expired

    def _raise_floor(self, floor: int) -> State:
        def decide(now: State) -> Draft | None:
            wanted = min(floor, now.version + 1)
            return None if now.segment_floor >= wanted else Draft(draft_commit("floor", self._role, segment_floor=wanted))

        return self._log.publish(decide)

    # --- segments and artifacts --------------------------------------------------------------------------------------

    def _lying(self, floor: int) -> dict[str, list[str]]:
        """Names of the segments below the floor that lie in each window's folder, and of artifacts in theirs."""
        prefix = self._log.prefix
        folders = [name for name in self._storage.list(prefix).prefixes if is_escaped(name)]
        found: dict[str, list[str]] = {}
        for folder in (*folders, "_artifacts"):
            names = [name for name in self._storage.list(f"{prefix}/{folder}").prefixes if is_segment_name(name)]
            if below := [name for name in names if segment_base_version(name) < floor]:
                found[folder] = below
        return found

    def _at_one_floor[T](self, look: Callable[[Floor], T]) -> T:
        """What a look at all that stays finds; anew where the floor rose meanwhile, since half of it was seen from another one."""
        floor = self._log.floor_record()
        while True:
            try:
                found = look(floor)
            except (Corrupt, NotFound):
                before, floor = floor, self._log.floor_record()
                if floor == before:
                    raise
                continue
            before, floor = floor, self._log.floor_record()
            if floor == before:
                return found

    def _named(self, state: State, lying: dict[str, list[str]]) -> _Named:
        """What is named in these windows by the oldest version, by all that came later, and by kept ones."""
        return self._at_one_floor(lambda floor: self._named_above(floor, state, lying)) if lying else _Named()

    def _named_above(self, floor: Floor, state: State, lying: dict[str, list[str]]) -> _Named:
        named = _Named()
        windows = [name for name in lying if name != "_artifacts"]
        for each in (self._log.oldest(), state, *self._kept(floor)):
            if each is not None:
                named.add_state(each, windows)
        # Whoever added a segment planned before that.
        earliest = min(segment_base_version(name) for names in lying.values() for name in names)
        for commit, _ in self._log.commits(state, after=earliest):
            named.segments |= {entry.segment for change in commit.windows for entry in change.add}
            named.artifacts |= {entry.artifact for entry in commit.artifacts}
        return named

    def _kept(self, floor: Floor) -> Iterator[State]:
        for version in floor.checkpoints:
            yield self._log.at(version)

    def _unnamed(self, lying: dict[str, list[str]], named: _Named) -> tuple[list[GarbageItem], list[GarbageItem]]:
        segments, artifacts = [], []
        for folder, names in lying.items():
            for name in names:
                path = f"{self._log.prefix}/{folder}/{name}"
                if folder == "_artifacts" and name not in named.artifacts:
                    artifacts.append(self._item("artifact", path))
                elif folder != "_artifacts" and name not in named.segments:
                    segments.append(self._item("segment", path))
        return segments, artifacts

    def _item(self, kind: str, path: str) -> GarbageItem:
        size = 0
        for key in objects_below(self._storage, path):
            try:
                size += self._storage.size(key)
            except NotFound:
                continue  # another collector is at it
        return GarbageItem(kind=kind, path=path, bytes=size)

    # --- commits, checkpoints, manifests -----------------------------------------------------------------------------

    def _past(self) -> list[GarbageItem]:
        """What lies at or below the log floor and nothing that stays needs."""
        return self._at_one_floor(self._below)

    def _below(self, floor: Floor) -> list[GarbageItem]:
        if not floor.floor:
            return []
        prefix = self._log.prefix
        versions = [version for version in self._log.objects() if version <= floor.floor]
        needed = self._needed_commits(floor) if versions or floor.packs else set()
        checkpoints = [version for version in self._versions("_checkpoints") if version < floor.floor and version not in floor.checkpoints]
        going = [version for version in versions if version not in needed or floor.pack_of(version) is not None]
        paths = [("commit", f"{prefix}/_log/{version_name(version)}") for version in going]
        paths += [("pack", pack_key(prefix, pack)) for pack in unneeded_packs(floor, needed)]
        paths += [("checkpoint", f"{prefix}/_checkpoints/{version_name(version)}") for version in checkpoints]
        paths += [("manifest", f"{prefix}/_manifests/{name}") for name in self._unnamed_manifests(floor, set(checkpoints))]
        return [GarbageItem(kind=kind, path=path, bytes=size) for kind, path in paths if (size := self._size(path)) is not None]

    def _size(self, path: str) -> int | None:
        try:
            return self._storage.size(path)
        except NotFound:
            return None

    def _versions(self, folder: str) -> list[int]:
        found = []
        for name in self._storage.list(f"{self._log.prefix}/{folder}").objects:
            try:
                found.append(parse_version_name(name))
            except InvalidInput:
                continue
        return found

    def _needed_commits(self, floor: Floor) -> set[int]:
        """Versions at or below the floor whose commits hold rows of what stays, or answer for a writer's token."""
        states = (self._log.oldest(), self._log.head(), *self._kept(floor))
        return {*tails_below(self._log), *(version for state in states if state is not None for _, version in state.writers.values())}

    def _unnamed_manifests(self, floor: Floor, going: set[int]) -> list[str]:
        """Manifests of windows as they were at the floor or before, that no checkpoint which stays names.

        A checkpoint that is being written just now has manifests of versions above the floor, or those of the checkpoint at it.
        """
        prefix = self._log.prefix
        named: set[str] = set()
        for version in self._versions("_checkpoints"):
            if version not in going:
                try:
                    table = checkpoint.load_checkpoint(self._storage, prefix, version, None).table
                except ArrayStoreError:
                    return []  # what a damaged one names can't be told
                named |= {table.digest(window) for window in table.names()}
        unnamed = set(self._storage.list(f"{prefix}/_manifests").objects) - named
        return sorted(name for name in unnamed if self._is_old(name, floor))

    def _is_old(self, name: str, floor: Floor) -> bool:
        try:
            return checkpoint.manifest_version(self._storage, self._log.prefix, name) <= floor.floor
        except ArrayStoreError:
            return False

    # --- removal -----------------------------------------------------------------------------------------------------

    def _remove(self, item: GarbageItem) -> None:
        if item.kind in ("segment", "artifact"):
            remove_tree(self._storage, item.path)
        elif item.kind == "pack":
            drop_pack(self._log, parse_pack_name(item.path.rpartition("/")[2]))
        else:
            self._storage.delete(item.path)

    def _sweep(self) -> int:
        """Temporary files of writers that died: invisible to all, and only there on media without files that have no name."""
        sweep = getattr(self._storage, "sweep", None)
        if sweep is None:
            return 0
        folders = ("", "/_log", "/_checkpoints", "/_manifests", "/_packs")
        return sum(sweep(f"{self._log.prefix}{folder}", SWEEP_AGE_NS) for folder in folders)


def objects_below(storage: Storage, prefix: str) -> Iterator[str]:
    """Every object below a prefix; what says how to read the others comes first."""
    listing = storage.list(prefix)
    yield from (f"{prefix}/{name}" for name in sorted(listing.objects, key=lambda name: (name not in ("zarr.json", "_index"), name)))
    for name in listing.prefixes:
        yield from objects_below(storage, f"{prefix}/{name}")


def remove_tree(storage: Storage, prefix: str) -> None:
    """Remove every object below a prefix: first what describes the others, so that no reader takes what is left for data."""
    keys = list(objects_below(storage, prefix))
    describing = [key for key in keys if key.endswith(("/zarr.json", "/_index"))]
    for key in (*describing, *(key for key in keys if key not in set(describing)), *([] if keys else [f"{prefix}/zarr.json"])):
        storage.delete(key)  # the last of a folder takes the folder with it, also where it is empty
