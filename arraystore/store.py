"""Everything under one root: six surfaces, opened as one role."""

import errno
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from arraystore import arguments
from arraystore.arguments import TimeLike
from arraystore.classes.ancestry import DEPTH, Ancestor, Stale, ancestry, every_version, impact, stands, window_span
from arraystore.classes.kinds import kind_of
from arraystore.classes.panels import Panels
from arraystore.classes.resolving import Resolver
from arraystore.classes.roots import Opener, StoreAttributes, check_class_root, decode_attributes, init_store, is_store, locate, open_place
from arraystore.classes.surface import Surface
from arraystore.classes.symbols import Instrument
from arraystore.classes.tagged import TaggedSurface
from arraystore.classes.tags import Tag, Tags, repeated
from arraystore.datasets.datasetlint import lint_root
from arraystore.datasets.diff import Diff, compare
from arraystore.datasets.view import DatasetView
from arraystore.errors import ArrayStoreError, CommitUnknown, InvalidInput, NotFound, Problem, StorageError
from arraystore.frames.frame import Frame
from arraystore.place import require
from arraystore.shown import ShownStore
from arraystore.storage import MemoryStorage, open_storage
from arraystore.storage.base import Storage
from arraystore.upkeep.maintenance import Maintenance
from arraystore.upkeep.whole import Upkeep
from arraystore.versions.commit import Pin
from arraystore.versions.fetch import DOCUMENT_BYTES, fetch
from arraystore.versions.lineage import Dependent, LineageIndex
from layouts.classes import Action, Role, StorageClass, may
from layouts.deviations import Deviation, deviation
from layouts.naming import KEY_TEMPLATES

if TYPE_CHECKING:
    from arraystore.classes.execution import ExecutionSurface
    from arraystore.classes.experiments import ExperimentsSurface
    from arraystore.classes.quarantine import QuarantineSurface


class Store(Upkeep, Maintenance, Panels, ShownStore):
    """A store as one role sees it. Safe to share between threads; to reach it from another process, open its URL there.

    Attributes
    ----------
    raw, canonical, derived, quarantine, experiments, execution_records
        The surfaces. Having one is allowed to every role; using it is checked, call by call.
    """

    def __init__(self, url: str, attributes: StoreAttributes, role: Role, opener: Opener = open_storage, *, tag: Tag | None = None) -> None:
        self.url = url
        self.role = role
        self.attributes = attributes
        self._opener = opener
        self._tag = tag
        self._surfaces: dict[StorageClass, Surface] = {}
        self._resolver: Resolver | None = None

    def __repr__(self) -> str:
        return f"<Store {self.url} as {self.role.value}>"

    @property
    def tag_name(self) -> str | None:
        """The tag that it was opened at."""
        return None if self._tag is None else self._tag.name

    @property
    def uuid(self) -> str:
        """The store's identity."""
        return self.attributes.store

    @property
    def raw(self) -> Surface:
        """Recorded venue messages, exactly as received."""
        return self.surface(StorageClass.RAW)

    @property
    def canonical(self) -> Surface:
        """Validated, normalised datasets."""
        return self.surface(StorageClass.CANONICAL)

    @property
    def derived(self) -> Surface:
        """Features, bars, statistics."""
        return self.surface(StorageClass.DERIVED)

    @property
    def quarantine(self) -> "QuarantineSurface":
        """Datasets excluded from promotion."""
        return self.surface(StorageClass.QUARANTINE)  # type: ignore[return-value]

    @property
    def experiments(self) -> "ExperimentsSurface":
        """Backtest runs."""
        return self.surface(StorageClass.EXPERIMENTS)  # type: ignore[return-value]

    @property
    def execution_records(self) -> "ExecutionSurface":
        """Order events, fills and other records of live and backtest sessions."""
        return self.surface(StorageClass.EXECUTION_RECORDS)  # type: ignore[return-value]

    def surface(self, storage_class: StorageClass | str) -> Surface:
        """The surface of a class, given as a value or by its name on disk."""
        try:
            storage_class = StorageClass(storage_class)
        except ValueError as error:
            msg = f"{storage_class!r} is none of {', '.join(StorageClass)}"
            raise InvalidInput(msg, "class") from error
        found = self._surfaces.get(storage_class)
        if found is None:
            storage = self._lazy(storage_class)
            writes = _allowed(self.role, Action.WRITE, storage_class)
            lineage = LineageIndex(partial(self._beside, "lineage")) if writes else None
            kind = kind_of(storage_class) if self._tag is None else TaggedSurface
            found = kind(storage, storage_class, self.role, self.check_pins, lineage)
            if isinstance(found, TaggedSurface) and self._tag is not None:
                found.tag = self._tag.name
                found.pins = {pin.key: pin for pin in self._tag.pins if pin.storage_class == storage_class.value}
            self._surfaces[storage_class] = found
        return found

    def _lazy(self, storage_class: StorageClass) -> Storage:
        """The class root's storage; opening it touches nothing that the role may not."""
        location = self.attributes.roots.get(storage_class.value, storage_class.value)
        storage = open_place(self._opener, self.url, location)
        if any(_allowed(self.role, action, storage_class) for action in Action):
            check_class_root(storage, self.attributes.store, storage_class)
        return storage

    def _beside(self, name: str, *, create: bool) -> Storage:
        """What lies beside the classes: `lineage` and `tags`; an empty place where nothing has been put yet."""
        try:
            return open_place(self._opener, self.url, name, create=create)
        except NotFound:
            return MemoryStorage()

    def dependents(self, dataset: DatasetView, window: str | None = None, versions: range | None = None) -> list[Dependent]:
        """Which versions of which datasets were made from this one, by name, oldest first.

        Parameters
        ----------
        window
            Only what read rows of this window.
        versions
            Only what read these versions of it.
        """
        _require_dataset(dataset)
        require(self.role, Action.READ, StorageClass(dataset.storage_class), dataset.key)
        series = dataset.storage_class == StorageClass.EXPERIMENTS
        span = None if window is None or series else window_span(window, dataset.schema)
        return LineageIndex(partial(self._beside, "lineage")).dependents(dataset.storage_class, dataset.key, span, versions)

    def lineage(self, pin: Pin, *, depth: int = DEPTH) -> Ancestor:
        """What the rows that a pin names were made from, and those from, as far as this role may read."""
        return ancestry(self.open_pin, pin, depth)

    def impact(self, dataset: DatasetView, window: str | None = None, *, only_standing: bool = False) -> list[Stale]:
        """What was made from rows of this dataset (of a window of it) that have been corrected since.

        Parameters
        ----------
        only_standing
            Leave out what has been dealt with: windows that were replaced or withdrawn, datasets that were deleted, runs that were begun
            again. Takes a look at each dataset; what this role may not look at stays in.
        """
        _require_dataset(dataset)
        require(self.role, Action.READ, StorageClass(dataset.storage_class), dataset.key)
        found = impact(LineageIndex(partial(self._beside, "lineage")), dataset, None if window is None else [window])
        return [stale for stale in found if not only_standing or stands(self.surface, stale)]

    def rebuild_lineage(self) -> int:
        """Make the index of dependents anew from the logs (role operations); returns the number of versions with inputs."""
        surfaces = {storage_class.value: self.surface(storage_class) for storage_class in StorageClass}
        for storage_class in StorageClass:
            require(self.role, Action.MAINTAIN, storage_class)

        def is_there(made: Dependent) -> bool:
            log = self.surface(made.storage_class).log_of(made.key)
            return log.floor() < made.version and log.has(made.version)

        return LineageIndex(partial(self._beside, "lineage")).rebuild(every_version(surfaces), is_there)

    def tag(self, name: str, pins: Iterable[Pin], *, reason: str = "") -> Tag:
        """Name a set of pins, one per dataset, durably; of a name that exists this makes the next version.

        Every pin must be readable by this role. `open_store(…, tag=name)` reads exactly these.
        """
        named = arguments.inputs(pins)
        problems = [Problem("pins", f"{pin.storage_class}/{'/'.join(pin.key)} is named twice") for pin in repeated(named)]
        if problems or not named:
            raise InvalidInput(problems or "a tag names at least one pin", "pins")
        self.check_pins(named)
        tag = Tags(partial(self._beside, "tags")).set(name, named, role=self.role.value, reason=reason)
        try:
            self.check_pins(named)  # what retention took until the tag was there, it can't have known to keep
        except ArrayStoreError as error:
            told = f"tag {name!r}: version {tag.version} is there, but whether all that it names is still kept is unknown: {error}"
            raise CommitUnknown(told) from error
        return tag

    def tagged(self, name: str, version: int | None = None) -> Tag:
        """A tag's newest version, or an earlier one; NotFound where there is none."""
        return Tags(partial(self._beside, "tags")).get(name, version)

    def tags(self) -> list[str]:
        """The names of all tags, sorted."""
        return Tags(partial(self._beside, "tags")).names()

    def check_pins(self, pins: Iterable[Pin]) -> None:
        """Raise unless every pin is readable by this role and still names what it named; makes those versions durable."""
        # Ranges and columns name rows of a version that is looked at once, however many of them there are.
        wholes = (msgspec.structs.replace(arguments.pin(pin), start=None, end=None, columns=()) for pin in pins)
        for pin in dict.fromkeys(wholes):
            self.surface(pin.storage_class).check_pin(pin)

    def open_pin(self, pin: Pin) -> DatasetView:
        """The dataset at exactly the version a pin names: read-only, and the same bytes for ever."""
        pin = arguments.pin(pin)
        return self.surface(pin.storage_class).open_pin(pin)

    def diff(self, before: Pin, after: Pin) -> Diff:
        """What differs between what two pins name, of one dataset or of two: whole windows, of those and the columns that they touch."""
        return compare(self.open_pin(before).side(arguments.pin(before)), self.open_pin(after).side(arguments.pin(after)))

    def read(self, pin: Pin, *, threads: int | None = None) -> Frame:
        """Exactly the rows and columns a pin names."""
        view = self.open_pin(pin)
        return view.read(pin.start, pin.end, pin.columns or None, threads=threads)

    def find(self, *, venue: str | None = None, **sought: Any) -> list[tuple[str, tuple[str, ...]]]:
        """Class and key of the datasets that match, in all classes that this role may read (for `venue`: whose keys tell one).

        `sought` is what `Surface.find` takes: `schema`, `start`, `end`, `complete`, `reconcile`.
        """
        classes = [
            each for each in StorageClass if _allowed(self.role, Action.READ, each) and (venue is None or "venue" in KEY_TEMPLATES[each])
        ]
        return [(each.value, key) for each in classes for key in self.surface(each).find(venue=venue, **sought)]

    def lint(self) -> list[Deviation]:
        """What isn't as the layout says in all classes that this role may read, and beside them; see `Dataset.lint`."""
        found = lint_root(self._opener(self.url), self.attributes.roots.values()) if self._tag is None else []
        for storage_class in StorageClass:
            if _allowed(self.role, Action.READ, storage_class):
                try:
                    found += self.surface(storage_class).lint()
                except StorageError as error:
                    if error.errno != errno.ELOOP:
                        raise
                    found.append(deviation("link", storage_class.value, str(error)))
        return found

    def resolve(self, symbol: str, *, venue: str, at: TimeLike, known_at: TimeLike | None = None) -> Instrument:
        """The instrument that a venue's symbol named at a time: a symbol may have named others before, and it others.

        Reads the canonical datasets `<any>/symbology/<any>`, whose rows tell the venue, and `<venue>/instrument_definitions/<any>`, whose
        `raw_symbol` counts where no symbology knows the symbol there. Where several rows hold, the one known last counts; a row
        revises an earlier one of the same instrument, venue, symbol and `valid_from`, and so ends a name.

        Parameters
        ----------
        symbol, venue
            As the venue writes it, and the venue as keys name it.
        at
            When it was used.
        known_at
            Leave out what was learnt after this; None for nothing.

        Raises
        ------
        NotFound
            Naming what is known nearby: the same symbol at other times or on other venues, or symbols like it.
        """
        if self._resolver is None:
            self._resolver = Resolver(self.canonical)
        return self._resolver.resolve(symbol, venue, at, known_at)


def _require_dataset(given: object) -> None:
    if not isinstance(given, DatasetView):
        raise InvalidInput(f"a {type(given).__name__} isn't a dataset: pass one that a surface gave", "dataset")


def _allowed(role: Role, action: Action, storage_class: StorageClass) -> bool:
    return may(role, storage_class, action)


def open_store(
    url: str | os.PathLike[str],
    *,
    role: Role | str,
    create: bool = False,
    tag: str | tuple[str, int] | None = None,
    opener: Opener = open_storage,
) -> Store:
    """Open a store as one role.

    Parameters
    ----------
    url
        A directory, `file://`, `memory://name`, `s3://bucket/prefix`, `gs://`, `az://`.
    role
        One of data-recording, data-quality, backtesting, live, analysis, operations: what it may do is the access matrix.
    create
        Make the store if there is none.
    tag
        Read exactly what this tag names (its newest version, or `(name, version)`), and nothing else.
    opener
        How a URL becomes a `Storage`; for tests that put faults and counters below.

    Raises
    ------
    NotFound, InvalidInput, Unsupported, Corrupt
    """
    role = parse_role(role)
    location = locate(url)
    if create:
        try:
            init_store(location, opener=opener)
        except StorageError as error:
            if error.errno not in _UNWRITABLE or not is_store(location, opener=opener):
                raise
    try:
        data = fetch(opener(location), "zarr.json", DOCUMENT_BYTES)
    except NotFound as error:
        msg = f"{location} holds no store: make one with open_store(…, create=True) or `arraystore init --root {location}`"
        raise NotFound(msg) from error
    store = Store(location, decode_attributes(data, StoreAttributes, location), role, opener)
    if tag is None:
        return store
    named = store.tagged(tag) if isinstance(tag, str) else store.tagged(*tag)
    return Store(location, store.attributes, role, opener, tag=named)


def parse_role(role: Role | str) -> Role:
    """A role by its name."""
    try:
        return Role(role)
    except ValueError as error:
        msg = f"{role!r} is none of {', '.join(Role)}"
        raise InvalidInput(msg, "role") from error


_UNWRITABLE = frozenset((errno.EROFS, errno.EACCES, errno.EPERM))


@dataclass(frozen=True, slots=True)
class ClassSummary:
    """Totals of a class, for a table of what lies where."""

    storage_class: str
    datasets: int
    windows: int
    rows: int
    bytes: int


def summarise(store: Store) -> list[ClassSummary]:
    """Totals per class that the store's role may read."""
    totals = []
    for storage_class in StorageClass:
        if not _allowed(store.role, Action.READ, storage_class):
            continue
        surface = store.surface(storage_class)
        datasets = [surface[key] for key in surface.find()]
        totals.append(
            ClassSummary(
                storage_class=storage_class.value,
                datasets=len(datasets),
                windows=sum(len(dataset.windows()) for dataset in datasets),
                rows=sum(dataset.rows for dataset in datasets),
                bytes=sum(dataset.bytes for dataset in datasets),
            )
        )
    return totals
