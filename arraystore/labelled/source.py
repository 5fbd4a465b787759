"""What lazy arrays read from: rows of a dataset at a version, found again by any process from URL, role, key and pin."""

import os
from collections import OrderedDict
from dataclasses import dataclass, field, fields

from arraystore.arguments import TimeLike
from arraystore.classes.roots import ClassAttributes, decode_attributes
from arraystore.datasets.extent import Extent
from arraystore.datasets.view import DatasetView
from arraystore.errors import Corrupt, InvalidInput, NotFound
from arraystore.forks import Guard
from arraystore.place import Place, require
from arraystore.storage import open_storage
from arraystore.versions.commit import Pin
from arraystore.versions.fetch import DOCUMENT_BYTES, fetch
from arraystore.versions.log import Log
from layouts.classes import Action, Role, StorageClass
from layouts.schema import Schema

KEPT_OPEN = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Rows of one version of a dataset: a few hundred bytes when pickled, whatever there is of them. Safe to share between threads.

    In another process it opens the class root again by its URL, in the same role, and takes exactly the pinned version, once per
    process. A store in `memory://` is in one process only; elsewhere, `extent` raises `InvalidInput`. Equal sources read equal bytes.
    """

    url: str  # of the class root
    role: str
    pin: Pin
    start: int | None
    stop: int | None
    clock: str | None
    window: str | None
    process: int = field(default_factory=os.getpid, compare=False)
    _live: list[Extent] = field(default_factory=list, compare=False, repr=False)

    def __getstate__(self) -> tuple[object, ...]:
        return tuple(getattr(self, each.name) for each in fields(self) if each.name != "_live")

    def __setstate__(self, state: tuple[object, ...]) -> None:
        for each, value in zip(fields(self), (*state, []), strict=True):
            object.__setattr__(self, each.name, value)

    def __dask_tokenize__(self) -> object:
        return "arraystore", self.url, self.role, self.pin.digest, self.pin.key, self.start, self.stop, self.clock, self.window

    @property
    def extent(self) -> Extent:
        """The rows, opened in this process."""
        if not self._live:
            self._live.append(_opened.get(self))
        return self._live[0]

    @property
    def schema(self) -> Schema:
        """The schema that the rows are read in."""
        return self.extent.schema

    @property
    def view(self) -> DatasetView:
        """The dataset at its version."""
        extent = self.extent
        place = Place(extent.storage, StorageClass(self.pin.storage_class), self.pin.key, Role(self.role))
        return DatasetView(place, extent.log, extent.state)

    def open(self) -> Extent:
        """The rows, opened anew."""
        storage_class, role = StorageClass(self.pin.storage_class), Role(self.role)
        require(role, Action.READ, storage_class, self.pin.key)
        if self.url.startswith("memory://") and self.process != os.getpid():
            told = f"{self.url} lives within process {self.process}, and this is {os.getpid()}"
            raise InvalidInput(f"{told}: use threads there, or a store in a directory or bucket, which every process can open", "url")
        storage = open_storage(self.url)
        found = decode_attributes(fetch(storage, "zarr.json", DOCUMENT_BYTES), ClassAttributes, self.url).class_name
        if found != storage_class.value:
            raise Corrupt(f"{self.url}: is the root of class {found!r}, where {storage_class.value!r} was")
        place = Place(storage, storage_class, self.pin.key, role)
        log = Log(storage, place.path, storage_class.value)
        state = log.at(self.pin.version)
        if (state.dataset, state.digest) != (self.pin.dataset, self.pin.digest):
            told = f"version {self.pin.version} is {state.digest} of dataset {state.dataset}"
            raise NotFound(f"{place}: {told}; what was opened is {self.pin.digest} of {self.pin.dataset}")
        return DatasetView(place, log, state).extent(self.start, self.stop, clock=self.clock, window=self.window)


def source_of(view: DatasetView, start: TimeLike | None, end: TimeLike | None, clock: str | None, window: str | None) -> Source:
    """The rows of a range as `DatasetView.read` takes it, open in this process."""
    extent = view.extent(start, end, clock=clock, window=window)
    return Source(
        url=extent.storage.url,
        role=view.role,
        pin=view.pin(),
        start=extent.asked[0],
        stop=extent.asked[1],
        clock=clock,
        window=window,
        _live=[extent],
    )


class _Opened:
    """The sources that this process opened last."""

    def __init__(self) -> None:
        self._held: OrderedDict[Source, Extent] = OrderedDict()
        self._guard = Guard()

    def get(self, source: Source) -> Extent:
        with self._guard:
            if source in self._held:
                self._held.move_to_end(source)
                return self._held[source]
        extent = source.open()
        with self._guard:
            self._held[source] = extent
            while len(self._held) > KEPT_OPEN:
                self._held.popitem(last=False)
        return extent


_opened = _Opened()
