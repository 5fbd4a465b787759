"""Everything under one root: six surfaces, opened as one role."""

import os
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from arraystore import arguments
from arraystore.arguments import TimeLike
from arraystore.commit import Pin
from arraystore.errors import AlreadyExists, Corrupt, InvalidInput, NotFound, Problem, Unsupported
from arraystore.execution import ExecutionSurface
from arraystore.experiments import ExperimentsSurface
from arraystore.frame import Frame
from arraystore.log import FORMAT
from arraystore.quarantine import QuarantineSurface
from arraystore.resolving import Resolver
from arraystore.storage import open_storage
from arraystore.storage.base import Storage
from arraystore.surface import Surface
from arraystore.symbols import Instrument
from arraystore.view import DatasetView
from layouts.classes import Action, Role, StorageClass, may
from layouts.codecs import group_metadata

UNFIT = (".", "..", "zarr.json")  # as parts of a class root's place


class Opener(Protocol):
    """How a URL becomes a storage; with `create`, its root is made if there is none."""

    def __call__(self, url: str, /, *, create: bool = False) -> Storage:
        """The storage at `url`."""
        ...


SURFACES: Mapping[StorageClass, type[Surface]] = {
    StorageClass.QUARANTINE: QuarantineSurface,
    StorageClass.EXPERIMENTS: ExperimentsSurface,
    StorageClass.EXECUTION_RECORDS: ExecutionSurface,
}


class StoreAttributes(msgspec.Struct, frozen=True):
    """What the root's `zarr.json` says (FORMAT.md section 2)."""

    format: int
    store: str
    roots: dict[str, str]


class ClassAttributes(msgspec.Struct, frozen=True):
    """What a class root's `zarr.json` says."""

    format: int
    store: str
    class_name: str = msgspec.field(name="class")


class Store:
    """A store as one role sees it. Safe to share between threads; to reach it from another process, open its URL there.

    Attributes
    ----------
    raw, canonical, derived, quarantine, experiments, execution_records
        The surfaces. Having one is allowed to every role; using it is checked, call by call.
    """

    def __init__(self, url: str, attributes: StoreAttributes, role: Role, opener: Opener = open_storage) -> None:
        self.url = url
        self.role = role
        self._attributes = attributes
        self._opener = opener
        self._surfaces: dict[StorageClass, Surface] = {}
        self._resolver: Resolver | None = None

    def __repr__(self) -> str:
        return f"<Store {self.url} as {self.role.value}>"

    @property
    def uuid(self) -> str:
        """The store's identity."""
        return self._attributes.store

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
    def quarantine(self) -> QuarantineSurface:
        """Datasets excluded from promotion."""
        return self.surface(StorageClass.QUARANTINE)  # type: ignore[return-value]

    @property
    def experiments(self) -> ExperimentsSurface:
        """Backtest runs."""
        return self.surface(StorageClass.EXPERIMENTS)  # type: ignore[return-value]

    @property
    def execution_records(self) -> ExecutionSurface:
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
            found = SURFACES.get(storage_class, Surface)(storage, storage_class, self.role, self.check_pins)
            self._surfaces[storage_class] = found
        return found

    def _lazy(self, storage_class: StorageClass) -> Storage:
        """The class root's storage; opening it touches nothing that the role may not."""
        location = self._attributes.roots.get(storage_class.value, storage_class.value)
        storage = self._opener(class_url(self.url, location))
        if any(_allowed(self.role, action, storage_class) for action in Action):
            check_class_root(storage, self._attributes.store, storage_class)
        return storage

    def check_pins(self, pins: Iterable[Pin]) -> None:
        """Raise unless every pin is readable by this role and still names what it named; makes those versions durable."""
        for pin in pins:
            self.open_pin(pin).make_durable()

    def open_pin(self, pin: Pin) -> DatasetView:
        """The dataset at exactly the version a pin names: read-only, and the same bytes for ever."""
        pin = arguments.pin(pin)
        return self.surface(pin.storage_class).open_pin(pin)

    def read(self, pin: Pin, *, threads: int | None = None) -> Frame:
        """Exactly the rows and columns a pin names."""
        view = self.open_pin(pin)
        return view.read(pin.start, pin.end, pin.columns or None, threads=threads)

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


def _allowed(role: Role, action: Action, storage_class: StorageClass) -> bool:
    return may(role, storage_class, action)


def open_store(url: str | os.PathLike[str], *, role: Role | str, create: bool = False, opener: Opener = open_storage) -> Store:
    """Open a store as one role.

    Parameters
    ----------
    url
        A directory, `file://`, `memory://name`, `s3://bucket/prefix`, `gs://`, `az://`.
    role
        One of data-recording, data-quality, backtesting, live, analysis, operations: what it may do is the access matrix.
    create
        Make the store if there is none.
    opener
        How a URL becomes a `Storage`; for tests that put faults and counters below.

    Raises
    ------
    NotFound, InvalidInput, Unsupported, Corrupt
    """
    role = parse_role(role)
    location = _location(url)
    if create:
        init_store(location, opener=opener)
    try:
        data = opener(location).get("zarr.json")
    except NotFound as error:
        msg = f"{location} holds no store: make one with open_store(…, create=True) or `arraystore init {location}`"
        raise NotFound(msg) from error
    return Store(location, _decode(data, StoreAttributes, location), role, opener)


def init_store(url: str | os.PathLike[str], *, roots: Mapping[str, str] | None = None, opener: Opener = open_storage) -> None:
    """Make a store: the class map and six class roots, durable when this returns. An existing store stays as it is.

    Parameters
    ----------
    url
        Where; a directory is made.
    roots
        For some classes, another place: a path below the root, an absolute path, or a URL. Only here, never later.
    """
    location = _location(url)
    mapped = class_map(location, {} if roots is None else roots)
    storage = opener(location, create=True)
    probe = getattr(storage, "probe", None)
    if probe is not None and not storage.exists("zarr.json"):
        probe()
    attributes = StoreAttributes(FORMAT, str(uuid.uuid4()), mapped)
    try:
        storage.create("zarr.json", _encode(attributes))
    except AlreadyExists:
        attributes = _decode(storage.get("zarr.json"), StoreAttributes, location)
        if roots and any(attributes.roots.get(name) != place for name, place in roots.items()):
            msg = f"{location} is a store already, with other class roots: {attributes.roots}"
            raise AlreadyExists(msg) from None
    for storage_class in StorageClass:
        root = opener(class_url(location, attributes.roots[storage_class.value]), create=True)
        try:
            root.create("zarr.json", _encode(ClassAttributes(FORMAT, attributes.store, storage_class.value)))
        except AlreadyExists:
            check_class_root(root, attributes.store, storage_class)


def class_map(location: str, given: Any) -> dict[str, str]:
    """Where each class lies: as given, else below the store's root under its name. None lies in another, nor the store in one."""
    names = [storage_class.value for storage_class in StorageClass]
    if not isinstance(given, Mapping):
        raise InvalidInput(f"a {type(given).__name__} isn't a mapping of classes to places: pass a dict", "roots")
    if wrong := [name for name in given if name not in names]:
        raise InvalidInput(f"{wrong} are none of {', '.join(sorted(names))}", "roots")
    mapped = {name: arguments.text(given.get(name, name), f"roots.{name}", empty=False) for name in names}
    places = {name: _parts(class_url(location, place)) for name, place in mapped.items()}
    problems = [
        Problem(f"roots.{name}", f"{mapped[name]!r} has an empty part, or one of {', '.join(UNFIT)}, or a NUL: name the place itself")
        for name, parts in places.items()
        if not {"", *UNFIT}.isdisjoint(parts[1:]) or "\0" in mapped[name]
    ]
    problems += [
        Problem(f"roots.{name}", f"{mapped[name]!r} holds {other}: give each class a place of its own")
        for name, parts in places.items()
        for other, inner in {"the store itself": _parts(location), **places}.items()
        if other != name and inner[: len(parts)] == parts
    ]
    if problems:
        raise InvalidInput(problems)
    return mapped


def _parts(url: str) -> list[str]:
    """A place as its scheme and the parts of its path, to tell what lies in what."""
    scheme, mark, path = url.removeprefix("file://").rpartition("://")
    return [scheme + mark, *path.strip("/").split("/")]


def check_class_root(storage: Storage, store: str, storage_class: StorageClass) -> None:
    """Raise unless this is the root of that class of that store."""
    try:
        found = _decode(storage.get("zarr.json"), ClassAttributes, storage.url)
    except NotFound as error:
        msg = f"{storage.url}: the root of class {storage_class.value} is missing: restore it, or run init again"
        raise NotFound(msg) from error
    if found.store != store or found.class_name != storage_class.value:
        msg = f"{storage.url}: is the root of class {found.class_name!r} of store {found.store}, not of {storage_class.value!r} of {store}"
        raise Corrupt(msg)


def class_url(root: str, location: str) -> str:
    """Where a class root lies: below the store's root, or wherever the map says."""
    if "://" in location or location.startswith("/"):
        return location
    return f"{root.rstrip('/')}/{location}"


def parse_role(role: Role | str) -> Role:
    """A role by its name."""
    try:
        return Role(role)
    except ValueError as error:
        msg = f"{role!r} is none of {', '.join(Role)}"
        raise InvalidInput(msg, "role") from error


def _location(url: Any) -> str:
    text = os.fspath(url) if isinstance(url, str | os.PathLike) else None
    if not isinstance(text, str) or not text or "\0" in text:
        msg = f"{url!r} is neither a directory nor a URL"
        raise InvalidInput(msg, "url")
    return text if "://" in text else os.path.abspath(text)  # noqa: PTH100 - resolve() would follow links


def _encode(attributes: msgspec.Struct) -> bytes:
    return msgspec.json.encode(group_metadata({"arraystore": msgspec.to_builtins(attributes)}))


def _decode[T: (StoreAttributes, ClassAttributes)](data: bytes, kind: type[T], where: str) -> T:
    try:
        found: Any = msgspec.json.decode(data)["attributes"]["arraystore"]
        attributes = msgspec.convert(found, kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError, TypeError) as error:
        msg = f"{where}/zarr.json isn't the metadata of an arraystore root: {error}"
        raise Corrupt(msg) from error
    if attributes.format != FORMAT:
        msg = f"{where} has format {attributes.format}; this version of arraystore reads format {FORMAT}: upgrade it"
        raise Unsupported(msg)
    return attributes


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
