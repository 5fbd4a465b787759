"""Purging: the rows of windows whose licence or age ended go from every version; a tombstone stays, and pins say what became of them.

First a commit says so, durably; then the bytes go. Whoever is interrupted repeats the call, which goes on where it was.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from logging import WARNING
from typing import Any

import msgspec

from arraystore.datasets.tombstone import DELETED, gone
from arraystore.datasets.writer import WITHDRAWN
from arraystore.errors import Conflict, Corrupt, NotFound, VersionExpired
from arraystore.logs import tell
from arraystore.storage.base import Storage
from arraystore.versions.commit import WindowChange
from arraystore.versions.draft import Draft, draft_commit
from arraystore.versions.fetch import fetch_record
from arraystore.versions.floors import Range
from arraystore.versions.log import Log
from arraystore.versions.packs import encode_pack, load_pack, pack_key, packs_in
from arraystore.versions.record import PURGE
from arraystore.versions.redaction import PURGED, Tombstone, digest_of_headers, header_digest, redact, tombstones
from arraystore.versions.state import State, WindowState
from layouts.naming import is_segment_name, segment_base_version, version_name
from layouts.problems import InvalidInput
from layouts.windows import parse_window

ATTEMPTS = 100
ALL_WINDOWS = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgedWindow:
    """A window of a purge: rows and bytes that its newest version has, and all that goes: segments of any version, and commits' rows."""

    window: str
    rows: int
    bytes: int
    segments: int
    commits: int

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {name: getattr(self, name) for name in ("window", "rows", "bytes", "segments", "commits")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Purge:
    """What a purge does, or did: `version` is the one that says so, None for a plan, or where nothing was left to say."""

    version: int | None
    windows: tuple[PurgedWindow, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {"version": self.version, "windows": [window.to_json() for window in self.windows]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which windows: these names, whatever they hold; else all that hold or held rows, or only those that ended by a moment."""

    names: frozenset[str] | None = None
    until: int | None = None

    def takes(self, name: str) -> bool:
        """Whether a window is meant."""
        if self.names is not None:
            return name in self.names
        if self.until is None:
            return True
        try:
            return parse_window(name).stop <= self.until
        except InvalidInput:  # a series, whose name is anything
            return False


class Purger:
    """Purges windows of one dataset, which its UUID tells from another of the same key; or of one that was deleted (`deleted`)."""

    def __init__(
        self,
        log: Log,
        dataset: str,
        role: str,
        choice: Choice,
        reason: str,
        *,
        deleted: bool = False,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._log = log
        self._dataset = dataset
        self._role = role
        self._choice = choice
        self._reason = reason
        self._deleted = deleted
        self._clock = clock
        self._headers: dict[str, dict[int, str]] = {}
        self._scanned = -1
        self._deletion = 0

    def plan(self) -> Purge:
        """What `purge` would do now; changes nothing."""
        state = self._log.head()
        self._refuse_another(state)
        self._scan(state.version)
        return Purge(version=None, windows=tuple(self._told(state, self._windows(state), state.version + 1)))

    def purge(self) -> tuple[Purge, State]:
        """Say so in one commit, then remove what was said: all of it is gone, durably, when this returns."""
        said: list[PurgedWindow] = []
        number: list[int] = []

        def decide(now: State) -> Draft | None:
            self._refuse_another(now)
            self._scan(now.version)
            windows = self._windows(now)
            said[:] = self._told(now, windows, now.version + 1)
            there = [window for window in windows if self._is_to_be_said(now, window)]
            number[:] = [now.version + 1] if there else []
            return self._draft(now, there) if there else None

        state = self._log.publish(decide)
        self._remove(state, [window.window for window in said])
        if said:
            tell(WARNING, "purged", dataset=self._log.address, version=state.version, windows=[window.window for window in said])
        return Purge(version=number[0] if number else None, windows=tuple(said)), state

    def _refuse_another(self, state: State) -> None:
        if state.dataset != self._dataset or state.alive == self._deleted:
            raise gone(self._log, state, self._dataset)

    def _draft(self, now: State, windows: Sequence[str]) -> Draft:
        version, moment = now.version + 1, self._clock()
        stones = dict(now.attributes.get(PURGED, {}))
        for window in windows:
            before, earlier = self._newest(now, window), tombstones(now).get(window)
            headers = sorted(self._headers.get(window, {}).items())
            stone = Tombstone(
                version=version,
                time=moment,
                role=self._role,
                reason=self._reason,
                rows=before.rows + (earlier.rows if earlier is not None else 0),
                bytes=before.bytes + (earlier.bytes if earlier is not None else 0),
                commits=len(headers),
                headers=digest_of_headers(headers),
            )
            stones[window] = msgspec.to_builtins(stone)
        changes = (
            WindowChange(
                window=window,
                remove=tuple(entry.name for entry in now.window(window).segments),
                reset=True,
                attributes={WITHDRAWN: f"purged: {self._reason}"},
            )
            for window in ([] if self._deleted else windows)  # a deleted dataset has none, and the next one made here must not get them
        )
        return Draft(
            draft_commit(
                "purge",
                self._role,
                windows=tuple(changes),
                attributes={PURGED: stones},
                segment_floor=version,
                reason=self._reason,
                requires=(PURGE,),
                clock=lambda: moment,
            )
        )

    # --- what is there -----------------------------------------------------------------------------------------------

    def _scan(self, until: int) -> None:
        """Note the commits up to a version, from where the last scan ended, that held rows of the windows."""
        for version in sorted(self._log.versions()):
            if self._scanned < version <= until:
                try:
                    commit = self._log.record(version)[0]
                except NotFound:
                    continue  # freed by retention just now
                if commit.state == DELETED:
                    self._deletion = version
                for change in commit.windows:
                    if change.tail is not None and self._choice.takes(change.window):
                        self._headers.setdefault(change.window, {})[version] = header_digest(commit)
        self._scanned = until

    def _windows(self, state: State) -> list[str]:
        """The windows that are meant, sorted; those that weren't named only if there is or was something in them."""
        if self._choice.names is not None and not self._deleted:
            return sorted(self._choice.names)
        folders = {name for name in self._log.storage.list(self._log.prefix).prefixes if not name.startswith("_")}
        stones = tombstones(state)
        known = {*state.window_names(), *folders, *self._headers, *stones}
        return [
            name
            for name in sorted(filter(self._choice.takes, known))
            if name in stones or name in self._headers or state.window(name).segments or self._segment_names(name)
        ]

    def _is_to_be_said(self, now: State, window: str) -> bool:
        """Whether a window was never purged, has rows, or had some since it was purged last, which older versions still read."""
        stone = tombstones(now).get(window)
        if stone is None or now.window(window).segments:
            return True
        later = (segment_base_version(name) >= stone.version for name in self._segment_names(window))
        return any(later) or any(version > stone.version for version in self._headers.get(window, ()))

    def _newest(self, state: State, window: str) -> WindowState:
        """What the newest version that had the dataset has of a window, unless that was purged."""
        stone = tombstones(state).get(window)
        if not self._deleted or (stone is not None and stone.version > self._deletion):
            return state.window(window)
        with suppress(NotFound, Corrupt, VersionExpired):
            return self._log.at(self._deletion - 1).window(window)
        return state.window(window)

    def _told(self, state: State, windows: Sequence[str], below: int) -> Iterator[PurgedWindow]:
        for window in windows:
            now = self._newest(state, window)
            yield PurgedWindow(
                window=window,
                rows=now.rows,
                bytes=now.bytes,
                segments=len(self._segments(window, below)),
                commits=len(self._headers.get(window, ())),
            )

    def _segments(self, window: str, below: int) -> list[str]:
        """Paths of all segments in a window's folder that were planned before it was purged, whatever names them."""
        names = self._segment_names(window)
        return [f"{self._log.prefix}/{window}/{name}" for name in names if segment_base_version(name) < below]

    def _segment_names(self, window: str) -> list[str]:
        return [name for name in self._log.storage.list(f"{self._log.prefix}/{window}").prefixes if is_segment_name(name)]

    # --- removal -----------------------------------------------------------------------------------------------------

    def _remove(self, state: State, windows: Sequence[str]) -> None:
        """Blank the rows in commits, and remove the segments, of what the state says is purged; durably."""
        storage, stones = self._log.storage, tombstones(state)
        mine = {window: stones[window] for window in windows}
        for version in sorted(self._log.objects()):
            _blank_object(self._log, version, mine)
        for pack in packs_in(storage, self._log.prefix):
            blank_pack(self._log, pack, mine)
        for window in windows:
            for path in self._segments(window, stones[window].version):
                remove_durably(storage, path)
            storage.sync(f"{self._log.prefix}/{window}")
        storage.sync(self._log.prefix)


def blank_pack(log: Log, pack: Range, stones: Mapping[str, Tombstone]) -> None:
    """Blank, durably, what a pack holds of rows that were purged; nothing where the pack is gone."""
    first = pack[0]
    if all(stone.version <= first for stone in stones.values()):
        return
    for _ in range(ATTEMPTS):
        try:
            before = log.storage.get(pack_key(log.prefix, pack))
            records, header = load_pack(log.storage, log.prefix, pack)
        except NotFound:
            return
        blank = [_blanked(record, first + place, stones, pack_key(log.prefix, pack)) for place, record in enumerate(records)]
        if not any(blank):
            return
        data = encode_pack(header.dataset, first, [new or old for new, old in zip(blank, records, strict=True)])
        with suppress(Conflict):  # another purge was quicker: what it left is looked at anew
            log.storage.swap(pack_key(log.prefix, pack), data, before)
    raise Conflict(f"{pack_key(log.prefix, pack)}: others replaced it {ATTEMPTS} times in a row; purge again")


def _blank_object(log: Log, version: int, stones: Mapping[str, Tombstone]) -> None:
    key = f"{log.prefix}/_log/{version_name(version)}"
    for _ in range(ATTEMPTS):
        try:
            before = fetch_record(log.storage, key)
        except NotFound:
            return  # freed by retention or packing just now
        if (data := _blanked(before, version, stones, key)) is None:
            return
        with suppress(Conflict):
            log.storage.swap(key, data, before)
    raise Conflict(f"{key}: others replaced it {ATTEMPTS} times in a row; purge again")


def _blanked(record: bytes, version: int, stones: Mapping[str, Tombstone], where: str) -> bytes | None:
    """What takes the place of a version's record; None where it holds nothing of what was purged."""
    windows = {window for window, stone in stones.items() if version < stone.version}
    return redact(record, windows, where) if windows else None


def remove_durably(storage: Storage, prefix: str) -> None:
    """Remove every object below a prefix, so that none is back after a power cut."""
    listing = storage.list(prefix)
    for name in sorted(listing.objects, key=lambda name: (name not in ("zarr.json", "_index"), name)):
        storage.delete(f"{prefix}/{name}")
    for name in listing.prefixes:
        remove_durably(storage, f"{prefix}/{name}")
    storage.sync(prefix)
