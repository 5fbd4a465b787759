"""One storage class as seen by one role: find, open, create, and follow what changes."""

import fnmatch
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Any

import msgspec

from arraystore import arguments
from arraystore.commit import Pin
from arraystore.dataset import Dataset, PinCheck
from arraystore.draft import Draft, draft_commit
from arraystore.errors import AlreadyExists, InvalidInput, NotFound
from arraystore.log import FORMAT, Birth, Log
from arraystore.place import Place, require
from arraystore.state import State
from arraystore.storage.base import Storage
from arraystore.view import DatasetView
from layouts.classes import Action, Role, StorageClass, may
from layouts.codecs import Profile, group_metadata
from layouts.naming import KEY_TEMPLATES, format_key, is_escaped, parse_key, unescape
from layouts.schema import Schema, parse_schema

type Key = str | Sequence[str]


@dataclass(frozen=True, slots=True)
class Change:
    """A version that became visible in a surface: which windows of which dataset, by what operation."""

    key: tuple[str, ...]
    dataset: str
    version: int
    windows: tuple[str, ...]
    operation: str


@dataclass(frozen=True, slots=True)
class Changes(Sequence[Change]):
    """What became visible since a cursor, by key and version; `cursor` continues from here (opaque text, keep it anywhere)."""

    changes: tuple[Change, ...]
    cursor: str

    def __getitem__(self, index):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN204 - as a tuple does
        return self.changes[index]

    def __len__(self) -> int:
        return len(self.changes)


class Surface(Mapping[tuple[str, ...], Dataset]):
    """The datasets of one class, by key: a tuple taken as it is, or escaped text. Safe to share between threads.

    Every call checks the access matrix before any I/O and raises `AccessDenied` naming role, class and who may.
    """

    def __init__(self, storage: Storage, storage_class: StorageClass, role: Role, check_pins: PinCheck) -> None:
        self._storage = storage
        self._class = storage_class
        self._role = role
        self._check_pins = check_pins

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._class.value} of {self._storage.url} as {self._role.value}>"

    @property
    def storage_class(self) -> str:
        """The class's name."""
        return self._class.value

    @property
    def url(self) -> str:
        """Where the class root lies."""
        return self._storage.url

    def _place(self, key: Key, action: Action) -> Place:
        require(self._role, action, self._class)
        place = Place(self._storage, self._class, parse_key(self._class, key), self._role)
        place.require(action)
        return place

    # --- finding -------------------------------------------------------------------------------------------------

    def __getitem__(self, key: Key) -> Dataset:
        """The dataset at its newest version; NotFound (a KeyError) where there is none."""
        place = self._place(key, Action.READ)
        log = self._log(place.key)
        state = log.head()
        if not state.alive:
            msg = f"{place} was deleted in version {state.version}"
            raise NotFound(msg)
        return Dataset(place, log, state, self._check_pins)

    def __contains__(self, key: object) -> bool:
        try:
            self[key]  # type: ignore[index]
        except NotFound:
            return False
        return True

    def __iter__(self) -> Iterator[tuple[str, ...]]:
        return iter(self.find())

    def __len__(self) -> int:
        return len(self.find())

    def find(self, pattern: str | Sequence[str] = "*") -> list[tuple[str, ...]]:
        """Keys of the datasets that match, sorted: escaped text with `*` and `?` (`binance-usdm/trades/*`), or one pattern per part."""
        require(self._role, Action.READ, self._class)
        depth = len(KEY_TEMPLATES[self._class])
        parts = pattern.split("/") if isinstance(pattern, str) else list(arguments.texts(pattern, "pattern"))
        if parts == ["*"]:
            parts *= depth
        if len(parts) != depth:
            template = "/".join(KEY_TEMPLATES[self._class])
            msg = f"{pattern!r} has {len(parts)} parts; keys of {self._class.value} are {template}"
            raise InvalidInput(msg, "pattern")
        found = [tuple(map(unescape, path.split("/"))) for path in self._walk("", parts)]
        return sorted(key for key in found if self._readable(key) and self._alive(key))

    def _walk(self, prefix: str, patterns: Sequence[str]) -> Iterator[str]:
        for name in self._storage.list(prefix).prefixes:
            path = f"{prefix}/{name}" if prefix else name
            if is_escaped(name) and fnmatch.fnmatchcase(name, patterns[0]):
                if len(patterns) == 1:
                    yield path
                else:
                    yield from self._walk(path, patterns[1:])

    def _readable(self, key: tuple[str, ...]) -> bool:
        return may(self._role, self._class, Action.READ, key)

    def _alive(self, key: tuple[str, ...]) -> bool:
        try:
            return self._log(key).head().alive
        except NotFound:
            return False

    def _log(self, key: tuple[str, ...]) -> Log:
        return Log(self._storage, format_key(key), self._class.value)

    def changes(self, since: str | None = None) -> Changes:
        """Versions that became visible since `since` (a cursor of an earlier call; None for all), each exactly once.

        In order of version within a dataset; datasets by key. A version is seen when it is visible, perhaps before it is
        durable: what builds on it makes it so.
        """
        require(self._role, Action.READ, self._class)
        seen = _parse_cursor(since)
        changes: list[Change] = []
        now: dict[str, int] = {}
        for key in self._keys():
            path, log = format_key(key), self._log(key)
            try:
                state = log.head()
            except NotFound:
                continue
            now[path] = state.version
            for commit, _ in log.commits(state, after=seen.get(path, 0)):
                names = (change.window for change in commit.windows)
                windows = tuple(names if state.schema is not None else map(unescape, names))
                changes.append(Change(key, commit.dataset, commit.version, windows, commit.operation))
        return Changes(tuple(changes), msgspec.json.encode({**seen, **now}).decode())

    def _keys(self) -> list[tuple[str, ...]]:
        depth = len(KEY_TEMPLATES[self._class])
        keys = [tuple(map(unescape, path.split("/"))) for path in self._walk("", ["*"] * depth)]
        return sorted(key for key in keys if self._readable(key))

    # --- making --------------------------------------------------------------------------------------------------

    def create(
        self,
        key: Key,
        schema: Schema | None,
        *,
        profile: Profile | str = Profile.DENSE,
        attributes: Mapping[str, Any] | None = None,
        exist_ok: bool = False,
    ) -> Dataset:
        """Make a dataset: version 1 states its schema and is durable when this returns.

        Raises
        ------
        AlreadyExists
            If there is one, unless `exist_ok` and its schema and profile are these.
        """
        place = self._place(key, Action.WRITE)
        if schema is not None or self._class is not StorageClass.EXPERIMENTS:  # only a run keeps several series
            parse_schema(schema)  # type: ignore[arg-type]
        profile = _profile(profile)
        told = arguments.json_object(attributes, "attributes")
        self._refuse_case_twin(place)
        self._write_birth(place)
        log = self._log(place.key)

        def decide(state: State) -> Draft:
            if state.alive:
                msg = f"{place} exists since before version {state.version}: open it, or pass exist_ok=True"
                raise AlreadyExists(msg)
            commit = draft_commit(
                "create",
                self._role.value,
                dataset=state.dataset if state.version == 0 else str(uuid.uuid4()),
                schemas=() if schema is None else (schema,),
                schema=None if schema is None else 0,
                profile=profile.value,
                attributes=told,
            )
            return Draft(commit)

        try:
            state = log.publish(decide)
        except AlreadyExists:
            if not exist_ok:
                raise
            state = log.head()
            self._refuse_other(place, state, schema, profile)
            log.make_durable()
        return Dataset(place, log, state, self._check_pins)

    def _refuse_other(self, place: Place, state: State, schema: Schema | None, profile: Profile) -> None:
        present = None if state.schema is None else state.schemas[state.schema]
        if present != schema or state.profile != profile.value:
            found = f"{present and present.name}, {state.profile}"
            msg = f"{place} exists with another schema or profile ({found}): open it and look, or choose another key"
            raise AlreadyExists(msg)

    def _refuse_case_twin(self, place: Place) -> None:
        """On a root that ignores case, a sibling that differs in case only would be the same directory."""
        if not getattr(self._storage, "ignores_case", False):
            return
        prefix = ""
        for part in place.path.split("/"):
            for name in self._storage.list(prefix).prefixes:
                if name != part and name.lower() == part.lower():
                    msg = f"{place} differs from {name!r} in case only, which {self._storage.url} can't tell apart: choose another key"
                    raise InvalidInput(msg, "key")
            prefix = f"{prefix}/{part}" if prefix else part

    def _write_birth(self, place: Place) -> None:
        """The groups on the way, so that the tree can be walked, and the dataset's birth certificate."""
        names = place.path.split("/")
        for depth in range(1, len(names)):
            with suppress(AlreadyExists):
                self._storage.create("/".join((*names[:depth], "zarr.json")), msgspec.json.encode(group_metadata({})))
        birth = msgspec.to_builtins(Birth(FORMAT, self._class.value, place.key, str(uuid.uuid4())))
        try:
            self._storage.create(f"{place.path}/zarr.json", msgspec.json.encode(group_metadata({"arraystore": birth})))
        except AlreadyExists:
            self._storage.sync(place.path)  # Whoever wrote it may not have come to that.

    def lock(self, name: str) -> AbstractContextManager[None]:
        """Queue behind other local holders of a lock of this class root; for the surfaces of this package."""
        return self._storage.lock(name)

    def open_pin(self, pin: Pin) -> DatasetView:
        """The dataset at exactly the version that a pin names, compared by its digest."""
        pin = arguments.pin(pin)
        place = self._place(pin.key, Action.READ)
        log = self._log(place.key)
        state = log.at(pin.version)
        if state.dataset != pin.dataset or state.digest != pin.digest:
            msg = (
                f"{place}: version {pin.version} is {state.digest} of dataset {state.dataset}; the pin names {pin.digest} of {pin.dataset}"
            )
            raise NotFound(msg)
        return DatasetView(place, log, state)


def _profile(profile: Profile | str) -> Profile:
    try:
        return Profile(profile)
    except ValueError as error:
        msg = f"{profile!r} is none of {', '.join(Profile)}"
        raise InvalidInput(msg, "profile") from error


def _parse_cursor(cursor: str | None) -> dict[str, int]:
    if cursor is None:
        return {}
    try:
        return msgspec.json.decode(arguments.text(cursor, "since"), type=dict[str, int])
    except msgspec.DecodeError as error:
        msg = f"{cursor[:80]!r} isn't a cursor: pass what an earlier call's `.cursor` said, or None to start over"
        raise InvalidInput(msg, "since") from error
