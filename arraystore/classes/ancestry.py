"""What a version came from, what was made of it, and what a correction makes stale."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from arraystore.classes.surface import Surface
from arraystore.datasets.view import DatasetView
from arraystore.errors import AccessDenied, NotFound
from arraystore.versions.commit import Pin
from arraystore.versions.lineage import Dependent, LineageIndex, reaches
from arraystore.versions.notices import made_by
from layouts.schema import Schema
from layouts.windows import WindowLength, parse_window

type OpenPin = Callable[[Pin], DatasetView]

DEPTH = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Ancestor:
    """A pin, and the pins that what it names was made from. `unreadable` says why one couldn't be followed."""

    pin: Pin
    made_from: tuple["Ancestor", ...] = ()
    unreadable: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types, nested."""
        made_from = [each.to_json() for each in self.made_from]
        return {"pin": msgspec.to_builtins(self.pin), "made_from": made_from} | ({"unreadable": self.unreadable} if self.unreadable else {})

    def walk(self) -> Iterator["Ancestor"]:
        """This one and all above it."""
        yield self
        for each in self.made_from:
            yield from each.walk()


def ancestry(open_pin: OpenPin, pin: Pin, depth: int = DEPTH) -> Ancestor:
    """What a pin's rows came from, as far up as the role may read."""
    try:
        view = open_pin(pin)
    except (AccessDenied, NotFound) as error:
        return Ancestor(pin=pin, unreadable=str(error))
    above = () if depth <= 0 else tuple(ancestry(open_pin, each, depth - 1) for each in _inputs(view, pin))
    return Ancestor(pin=pin, made_from=above)


def _inputs(view: DatasetView, pin: Pin) -> list[Pin]:
    """The pins of the windows that a pin's range touches, each once; of a dataset without time windows, those of all its versions."""
    found: dict[Pin, None] = {}
    for manifest in view.manifests():
        if _touches(manifest.window, pin):
            found |= dict.fromkeys(manifest.lineage)
    if not found:
        found = {each: None for version in view.versions() for each in version.inputs}
    return list(found)


def _touches(window: str, pin: Pin) -> bool:
    if pin.start is None and pin.end is None:
        return True
    return _shares(pin, window_span(window))


def _shares(pin: Pin, span: tuple[int, int] | None) -> bool:
    return span is None or reaches(pin, span)


def window_span(window: str, schema: Schema | None = None) -> tuple[int, int] | None:
    """A time window's bounds in ns; None for a series, or the whole. With a schema of time windows, no other name is taken."""
    if schema is not None and schema.window is WindowLength.WHOLE:
        return None
    try:
        found = parse_window(window)
    except ValueError:
        if schema is not None:
            raise
        return None
    return None if found.length is WindowLength.WHOLE else (found.start, found.stop)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stale:
    """A version that was made from rows which have been corrected since: `pin` is what it read, `now` the version that changed them."""

    dependent: Dependent
    pin: Pin
    window: str
    now: int

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {"dependent": self.dependent.to_json(), "pin": msgspec.to_builtins(self.pin), "window": self.window, "now": self.now}


def impact(index: LineageIndex, view: DatasetView, windows: Sequence[str] | None = None) -> list[Stale]:
    """What was made from older versions of the windows (None: all) than `view` sees, oldest first."""
    edges = index.dependents(view.storage_class, view.key)
    found = []
    plain: set[int] = set()  # versions that changed rows: each is looked at once, however many windows it changed
    for name in view.windows() if windows is None else windows:
        manifest, span = view.manifest(name), window_span(name)
        for edge in edges:
            older = [pin for pin in edge.inputs if pin.version < manifest.version and _shares(pin, span)]
            changed = 0
            if older:
                changed = manifest.version if manifest.version in plain else view.rows_version(name)
                if changed == manifest.version:
                    plain.add(changed)
            found += [Stale(dependent=edge, pin=pin, window=name, now=changed) for pin in older[-1:] if pin.version < changed]
    return found


def stands(datasets: Callable[[str], Mapping[tuple[str, ...], DatasetView]], stale: Stale) -> bool:
    """Whether what was made is still there as it was made; also where the role may not look."""
    edge = stale.dependent
    try:
        dataset = datasets(edge.storage_class)[edge.key]
        if dataset.uuid != edge.dataset:
            return False
        return not edge.windows or any(stale.pin in manifest.lineage for manifest in dataset.manifests())
    except AccessDenied:
        return True
    except NotFound:
        return False


def every_version(surfaces: Mapping[str, Surface]) -> Iterator[Dependent]:
    """Every kept version of every dataset, also of deleted ones, that was made from others: what the lineage index is rebuilt from."""
    for storage_class, surface in surfaces.items():
        for log in surface.logs():
            try:
                head = log.head()
            except NotFound:
                continue  # its first version isn't there yet
            for commit, _ in log.commits(head):
                if commit.inputs:
                    yield made_by(storage_class, log.prefix, commit)
