"""One storage class as seen by one role: find, open, create, and follow what changes."""

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

import msgspec

from arraystore import arguments
from arraystore.arguments import TimeLike
from arraystore.classes.catalog import Catalog
from arraystore.classes.changes import Change, Changes, Cursor, changes_of, parse_cursor
from arraystore.classes.manykeys import Key, ManyKeys
from arraystore.datasets.adding import PinCheck
from arraystore.datasets.dataset import Dataset
from arraystore.datasets.datasetlint import lint_names, lint_place
from arraystore.datasets.tombstone import deletion_draft, gone
from arraystore.datasets.view import DatasetView
from arraystore.errors import AlreadyExists, InvalidInput, NotFound, VersionExpired
from arraystore.place import Place, require
from arraystore.shown import Shown
from arraystore.storage.base import Storage
from arraystore.versions.bulletin import Bulletin
from arraystore.versions.commit import Pin
from arraystore.versions.draft import Draft, draft_commit
from arraystore.versions.entry import Entry
from arraystore.versions.history import FORMAT, Birth
from arraystore.versions.journal import Journal
from arraystore.versions.lineage import LineageIndex
from arraystore.versions.log import Log
from arraystore.versions.notices import Notices
from arraystore.versions.state import State
from layouts.classes import Action, Role, StorageClass, class_rule, may
from layouts.codecs import Profile, group_metadata
from layouts.deviations import Deviation
from layouts.naming import KEY_TEMPLATES, escape, format_key, parse_key, unescape
from layouts.schema import Schema, parse_schema


class Surface(ManyKeys, Shown, Mapping[tuple[str, ...], Dataset]):
    """The datasets of one class, by key: a tuple taken as it is, or escaped text. Safe to share between threads.

    Every call checks the access matrix before any I/O and raises `AccessDenied` naming role, class and who may.
    """

    def __init__(
        self, storage: Storage, storage_class: StorageClass, role: Role, check_pins: PinCheck, lineage: LineageIndex | None = None
    ) -> None:
        self._storage = storage
        self._class = storage_class
        self._role = role
        self._check_pins = check_pins
        journal = Journal(storage)
        bulletin = Bulletin(storage, journal)
        grants = [grant for grant in class_rule(storage_class).grants(Action.READ) if grant.role is role]
        keeps = may(role, storage_class, Action.WRITE) or may(role, storage_class, Action.MAINTAIN)
        keeps = keeps and any(grant.under is None for grant in grants)  # who sees a part of it would tell others of that part only
        self._catalog = Catalog(storage, len(KEY_TEMPLATES[storage_class]), journal, bulletin, keeps=keeps, visible=self._is_visible)
        self._notices = Notices(storage_class.value, journal, bulletin, lineage, self._catalog.tend)

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
            raise gone(log, state)
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

    def find(
        self,
        pattern: str | Sequence[str] = "*",
        *,
        venue: str | None = None,
        schema: str | None = None,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        complete: bool | None = None,
        reconcile: bool = False,
    ) -> list[tuple[str, ...]]:
        """Keys of the datasets that match, sorted.

        Parameters
        ----------
        pattern
            Escaped text with `*` and `?` (`binance-usdm/trades/*`), or one pattern per part of the key.
        venue
            As it is, not escaped; InvalidInput in a class whose keys tell none.
        schema
            The name of the schema in force.
        start, end
            Only datasets whose rows reach into `[start, end)` on their axis clock.
        complete
            True: only datasets whose windows all are complete; False: only others.
        reconcile
            For all of these but the first two: look at every dataset, and not only at those that writers told of.
        """
        require(self._role, Action.READ, self._class)
        paths = self._catalog.paths(self._of_venue(self._parts(pattern), venue))
        if not (schema is None and start is None and end is None and complete is None):
            span, entries = arguments.bounds(start, end), self._catalog.entries(reconcile=reconcile)
            paths = [path for path in paths if path in entries and _matches(entries[path], schema, span, complete)]
        return sorted(key for key in map(_key_of, paths) if self._readable(key))

    def summaries(self, *, reconcile: bool = False) -> list[Entry]:
        """Every dataset in short, by path, as new as writers told (with `reconcile`, whatever they told)."""
        require(self._role, Action.READ, self._class)
        entries = self._catalog.entries(reconcile=reconcile)
        return [entry for path, entry in sorted(entries.items()) if entry.alive and self._readable(_key_of(path))]

    def logs(self, through: Callable[[Storage], Storage] | None = None) -> Iterator[Log]:
        """The log of every dataset that the role may read, also of deleted ones, by path; read through another storage, if asked for."""
        require(self._role, Action.READ, self._class)
        storage = self._storage if through is None else through(self._storage)
        for path in self._catalog.with_log():
            if self._readable(_key_of(path)):
                yield Log(storage, path, self._class.value)

    def log_at(self, path: str) -> Log:
        """The log of a dataset, whether there is one or not; for whoever maintains this class."""
        require(self._role, Action.MAINTAIN, self._class)
        return Log(self._storage, path, self._class.value)

    def _parts(self, pattern: str | Sequence[str]) -> list[str]:
        """One pattern per part of a key."""
        template = KEY_TEMPLATES[self._class]
        parts = pattern.split("/") if isinstance(pattern, str) else list(arguments.texts(pattern, "pattern"))
        if parts == ["*"]:
            parts *= len(template)
        if len(parts) != len(template):
            msg = f"{pattern!r} has {len(parts)} parts; keys of {self._class.value} are {'/'.join(template)}"
            raise InvalidInput(msg, "pattern")
        return parts

    def _of_venue(self, parts: list[str], venue: str | None) -> list[str]:
        """The patterns, narrowed to a venue; one that allows it no more matches nothing."""
        if venue is None:
            return parts
        template = KEY_TEMPLATES[self._class]
        if "venue" not in template:
            msg = f"keys of {self._class.value} are {'/'.join(template)}, and tell no venue: leave it out"
            raise InvalidInput(msg, "venue")
        place, name = template.index("venue"), escape(arguments.text(venue, "venue", empty=False))
        return [*parts[:place], name if fnmatchcase(name, parts[place]) else "", *parts[place + 1 :]]

    def _is_visible(self, name: str) -> bool:
        """Whether the role may read below a folder of the class root: where it may not, the system may not let it list, either."""
        return _may_read(self._role, self._class, unescape(name))

    def _readable(self, key: tuple[str, ...]) -> bool:
        return _may_read(self._role, self._class, key[0])

    def _log(self, key: tuple[str, ...]) -> Log:
        return Log(self._storage, format_key(key), self._class.value, self._notices)

    def changes(self, since: str | None = None, *, reconcile: bool = False) -> Changes:
        """Versions that became visible since `since` (a cursor of an earlier call; None for all), each exactly once.

        In order of version within a dataset; datasets by key. A version is seen when it is visible, perhaps before it is
        durable: what builds on it makes it so. Only datasets that writers told of are looked at, unless `reconcile` is true:
        do that once in a while, since a mark can be missing if writers' clocks are hours apart.
        """
        require(self._role, Action.READ, self._class)
        cursor = parse_cursor(since, self._class.value)
        paths, generation = self._catalog.changed(cursor.generation, cursor.versions, reconcile=reconcile)
        found: list[Change] = []
        now = dict(cursor.versions)
        for path in paths:
            key = _key_of(path)
            if self._readable(key):
                more = changes_of(key, self._log(key), cursor.versions.get(path, 0))
                found += more
                now[path] = max((change.version for change in more), default=now.get(path, 0))
        return Changes(tuple(found), Cursor(self._class.value, generation, now).to_text())

    def lint(self) -> list[Deviation]:
        """What isn't as the layout says in all that lies in this class, leftovers of dead writers too; see `Dataset.lint`."""
        require(self._role, Action.READ, self._class)
        depth = len(KEY_TEMPLATES[self._class])
        paths, found = lint_names(self._storage, depth, self._class.value, lambda name: self._readable((unescape(name),)))
        for path in paths:
            found += lint_place(self._log(_key_of(path)), f"{self._class.value}/{path}")
        return found

    def log_of(self, key: tuple[str, ...]) -> Log:
        """A dataset's log; for the maintenance of this package."""
        return self._log(self._place(key, Action.MAINTAIN).key)

    # --- making --------------------------------------------------------------------------------------------------

    def create(
        self,
        key: Key,
        schema: Schema | None,
        *,
        profile: Profile | str = Profile.DENSE,
        attributes: Mapping[str, Any] | None = None,
        supersedes: Pin | None = None,
        exist_ok: bool = False,
    ) -> Dataset:
        """Make a dataset: version 1 states its schema and is durable when this returns.

        `supersedes` names the version of another dataset that this one takes the place of, as when a schema changes in a way that no
        dataset can; it becomes an input of the first commit, and the attribute `supersedes`.

        Raises
        ------
        AlreadyExists
            If there is one, unless `exist_ok` and its schema and profile are these.
        """
        place = self._place(key, Action.WRITE)
        if schema is not None or self._class is not StorageClass.EXPERIMENTS:  # only a run keeps several series
            parse_schema(schema)  # type: ignore[arg-type]
        profile = _profile(profile)
        told = arguments.attributes(attributes)
        before = () if supersedes is None else (arguments.pin(supersedes, "supersedes"),)
        if before:
            told |= arguments.json_object({"supersedes": msgspec.to_builtins(before[0])}, "supersedes")
        self._check_pins(before)
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
                inputs=before,
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

    def delete(self, key: Key, *, reason: str) -> int:
        """Delete a dataset: its last commit says who did it, when and why, and is durable when this returns; its version comes back.

        Nothing on disk goes: pins of what it was still read. Handles of it write no more. `create` makes another dataset in its place,
        which goes on counting versions.
        """
        place = self._place(key, Action.DELETE)
        reason = arguments.text(reason, "reason", empty=False)
        log = self._log(place.key)

        def decide(state: State) -> Draft:
            if not state.alive:
                raise gone(log, state)
            return deletion_draft(self._role.value, reason)

        log.head()  # NotFound where there is none
        self._catalog.note_deletion(place.path)
        return log.publish(decide).version

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

    def check_pin(self, pin: Pin) -> None:
        """Raise unless a pin names what is there, and what will stay for who builds on it; makes that version durable."""
        view = self.open_pin(pin)
        view.make_durable()
        if not self._log(view.key).floor_record().allows_pins_of(pin.version):
            told = f"version {pin.version} is marked for removal by retention: read and pin a newer one"
            raise VersionExpired(f"{self._class.value}/{format_key(view.key)}: {told}")


def _profile(profile: Profile | str) -> Profile:
    try:
        return Profile(profile)
    except ValueError as error:
        msg = f"{profile!r} is none of {', '.join(Profile)}"
        raise InvalidInput(msg, "profile") from error


@lru_cache(maxsize=1 << 12)
def _may_read(role: Role, storage_class: StorageClass, first_part: str) -> bool:
    """A grant may be limited to a first key part, and to nothing below it."""
    return may(role, storage_class, Action.READ, (first_part,))


@lru_cache(maxsize=1 << 17)
def _key_of(path: str) -> tuple[str, ...]:
    return tuple(map(unescape, path.split("/")))


def _matches(entry: Entry, schema: str | None, span: tuple[int | None, int | None], complete: bool | None) -> bool:  # noqa: FBT001 - as `find` has it
    return (
        entry.alive
        and schema in (None, entry.schema)
        and arguments.overlaps(entry.span, *span)
        and complete in (None, entry.windows > 0 and not entry.unfinished)
    )
