"""A dataset at one version, to read and to look at."""

import threading
from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

import numpy as np

from arraystore import arguments
from arraystore.arguments import TimeLike
from arraystore.datasets.artifacts import Artifact
from arraystore.datasets.datasetlint import lint_dataset
from arraystore.datasets.diff import Diff, Side, compare
from arraystore.datasets.following import Follower
from arraystore.datasets.lazily import Lazily
from arraystore.datasets.parts import load_parts
from arraystore.datasets.reads import Reads
from arraystore.datasets.verify import Finding, verify_dataset
from arraystore.errors import InvalidInput, NotFound, VersionExpired
from arraystore.frames.frame import Frame
from arraystore.frames.rows import Rows
from arraystore.place import Place
from arraystore.segments.reader import Selection, read
from arraystore.versions.commit import COMPACT, Pin
from arraystore.versions.log import Log
from arraystore.versions.manifest import Manifest, Version, manifest_of, version_of
from arraystore.versions.state import State, WindowState
from layouts.classes import Action
from layouts.deviations import Deviation
from layouts.naming import escape, format_key, unescape
from layouts.schema import Schema
from layouts.times import parse_time
from layouts.windows import parse_window

type Span = tuple[int | None, int | None]


class DatasetView(Lazily, Reads):
    """A dataset as seen by one role at one version, which it stays at. Read-only.

    Opened through a surface or by `at`, never by itself. Safe to share between threads.
    Every name of a column, window or artifact that isn't there raises `NotFound` (a KeyError) naming what is.
    """

    def __init__(self, place: Place, log: Log, state: State) -> None:
        self._place = place
        self._log = log
        self._state = state

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._place} version {self.version} as {self._place.role.value}>"

    # --- what it is ----------------------------------------------------------------------------------------------

    @property
    def key(self) -> tuple[str, ...]:
        """Its key, decoded."""
        return self._place.key

    @property
    def storage_class(self) -> str:
        """The class it lies in."""
        return self._place.storage_class.value

    @property
    def role(self) -> str:
        """The role that looks at it."""
        return self._place.role.value

    @property
    def location(self) -> str:
        """Its path below the class root's URL."""
        return f"{self._place.storage.url.rstrip('/')}/{self._place.path}"

    @property
    def uuid(self) -> str:
        """Its identity; a dataset deleted and made again under the same key has another."""
        return self._state.dataset

    @property
    def version(self) -> int:
        """The version this handle sees."""
        return self._state.version

    def is_newest(self) -> bool:
        """Whether no version after this one is visible now; costs one look."""
        return self._log.is_newest(self.version)

    @property
    def digest(self) -> str:
        """The digest of that version's commit."""
        return self._state.digest

    @property
    def profile(self) -> str:
        """The codec profile of its segments."""
        return self._state.profile

    @property
    def sealed(self) -> bool:
        """Whether nothing can be added any more."""
        return self._state.sealed

    @property
    def attributes(self) -> Mapping[str, Any]:
        """The dataset's attributes at this version."""
        return deepcopy(dict(self._state.attributes))

    @property
    def schema(self) -> Schema:
        """The schema in force; NotFound for a dataset of several series (an experiment run): see `schema_of`."""
        if self._state.schema is None:
            msg = f"{self._place} keeps several series, each with its own schema: use schema_of(window), one of {list(self.windows())}"
            raise NotFound(msg)
        return self._state.schemas[self._state.schema]

    def schema_of(self, window: str) -> Schema:
        """The schema that a window is read in: the one in force; of a series, that of its newest rows."""
        segments = self._window(window).segments
        if self._state.schema is not None or not segments:
            return self.schema
        return self._state.schemas[segments[-1].schema]

    def at(self, version: int | TimeLike) -> "DatasetView":
        """The dataset as of a version (an int), or as of a time (anything else that names one): read-only.

        A time means the last version whose running time isn't later; versions are exact, times advisory.
        """
        self._place.require(Action.READ)
        if isinstance(version, int | np.integer) and not isinstance(version, bool | np.timedelta64):
            number = int(version)
        else:
            number = self._log.version_at(parse_time(version, "version"))
        if number < 1:
            msg = f"versions count from 1, not {number}"
            raise InvalidInput(msg, "version")
        return DatasetView(self._place, self._log, self._log.at(number))

    def versions(self) -> list[Version]:
        """Every version up to this handle's that is kept, oldest first."""
        self._place.require(Action.READ)
        return [version_of(commit, digest, self._told) for commit, digest in self._log.commits(self._state)]

    def manifest(self, window: str) -> Manifest:
        """The Dataset Manifest of a window."""
        self._place.require(Action.READ)
        found = self._window(window)
        return manifest_of(self._place, found, *self._told((found.window,)))

    def rows_version(self, window: str) -> int:
        """The last version that changed which rows a window has: compaction changes how they lie, and doesn't count."""
        self._place.require(Action.READ)
        name, version = self._on_disk(window), self._window(window).version
        try:
            while self._log.record(version)[0].operation == COMPACT:
                version = self._log.at(version - 1).window(name).version
        except VersionExpired:
            pass  # what was before it can't be told any more
        return version

    def manifests(self) -> Iterable[Manifest]:
        """The Dataset Manifests of all windows, in order."""
        view = self._still()
        return map(view.manifest, view.windows())

    def _still(self) -> "DatasetView":
        """This version and no other, though another thread may move this handle on meanwhile."""
        return DatasetView(self._place, self._log, self._state)

    def _window(self, window: str) -> WindowState:
        name = self._on_disk(window)
        if not self._state.has_window(name):
            msg = f"{self._place} has no window {window!r} at version {self.version}; it has {arguments.some(self.windows())}"
            raise NotFound(msg)
        with self._log.explained(self.version):
            return self._state.window(name)

    def _told(self, names: Iterable[str]) -> tuple[str, ...]:
        """What windows are called to users, who name series as they like."""
        return tuple(names) if self._state.schema is not None else tuple(map(unescape, names))

    def _on_disk(self, window: str) -> str:
        """What a window is called in records and paths: a series' name is escaped there."""
        return window if self._state.schema is not None or not isinstance(window, str) else escape(window)

    @property
    def rows(self) -> int:
        """Rows of all windows."""
        return sum(summary.rows for summary in self._state.summaries())

    @property
    def bytes(self) -> int:
        """Stored bytes of all current segments."""
        return sum(summary.bytes for summary in self._state.summaries())

    # --- reading -------------------------------------------------------------------------------------------------

    def read(
        self,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        columns: Iterable[str] | None = None,
        *,
        clock: str | None = None,
        window: str | None = None,
        instruments: Iterable[str] | str | None = None,
        threads: int | None = None,
    ) -> Frame:
        """Rows whose `clock` lies in `[start, end)`, in the dataset's order, as a mapping of columns.

        Parameters
        ----------
        start, end
            Times (ISO text without a zone is UTC, int is ns since 1970, datetimes, NumPy's and pandas'), None for open.
        columns
            Names, in the order wanted; None for all.
        clock
            A time column with a clock's role; the axis clock by default. Rows where it is null are never selected.
        window
            Only this window (for an experiment run: this series).
        instruments
            Only rows of these, in datasets of many (by `instrument`, or `instrument_uid`); chunks without them aren't read. One that
            isn't there has no rows.
        threads
            Decoders at work; the number of cores by default.

        Returns
        -------
        Frame
            With `pin`, which says exactly which bytes these are; where a range is of another clock than the axis, those of the whole
            version or window; of one series of several, those of all; and always of all instruments.
        """
        self._place.require(Action.READ)
        span, threads = arguments.bounds(start, end), arguments.threads(threads)
        view = self._still()
        schema = view.schema_of(window) if window is not None else view.schema
        wanted, clock = arguments.columns(schema, columns), arguments.clock(schema, clock)
        chosen = arguments.instruments(schema, instruments)
        selection = Selection(clock=clock if span != (None, None) else None, start=span[0], stop=span[1], labels=chosen)
        rows = view._rows(schema, selection, wanted, window, threads)  # noqa: SLF001 - it is this one
        named = () if columns is None else wanted
        return Frame(rows, pin=view.pin(*view._pinned(span, clock, window), columns=named))  # noqa: SLF001

    def _rows(self, schema: Schema, selection: Selection, columns: tuple[str, ...], window: str | None, threads: int | None) -> Rows:
        names = [self._on_disk(window)] if window is not None else self._state.window_names()
        clock, span = selection.clock or schema.axis, (selection.start, selection.stop)
        summaries = ((name, self._state.summary(name)) for name in names)
        touched = [name for name, summary in summaries if summary.rows and arguments.overlaps(summary.clocks.get(clock), *span)]
        with self._log.explained(self.version, touched):
            parts = load_parts(self._log, self._state, *map(self._state.window, touched))
            return read(self._place.storage, parts, schema, selection, columns=columns, threads=threads).reorder(columns)

    def _pinned(self, span: Span, clock: str | None, window: str | None) -> Span:
        """The range on the axis clock that holds what was read, by the axis clock (None) or another."""
        if self._state.schema is None:
            return None, None
        if clock not in (None, self.schema.axis):
            span = None, None
        if window is None or window == "whole":
            return span
        whole = parse_window(window)
        start = whole.start if span[0] is None else max(span[0], whole.start)
        return start, max(start, whole.stop if span[1] is None else min(span[1], whole.stop))

    def pin(
        self,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        columns: Iterable[str] = (),
        *,
        window: str | None = None,
    ) -> Pin:
        """What names this version, a range of it on the axis clock (of `window`: its own), and columns of it, for good.

        A series of several has no range of its own: a pin is of all of them.
        """
        first, last = arguments.bounds(start, end)
        if window is not None:
            self._window(window)
            first, last = self._pinned((first, last), None, window)
        names = arguments.texts((columns,) if isinstance(columns, str) else columns, "columns")
        if names and self._state.schema is not None:
            names = arguments.columns(self.schema, names)
        return Pin(
            storage_class=self.storage_class,
            key=self.key,
            dataset=self.uuid,
            version=self.version,
            digest=self.digest,
            start=first,
            end=last,
            columns=names,
        )

    def follow(
        self,
        since: int | Pin | None = None,
        *,
        columns: Iterable[str] | None = None,
        poll_seconds: float = 1.0,
        timeout: float | None = None,
        stop: threading.Event | None = None,
    ) -> Follower:
        """Each later commit as it appears, whole and once: an iterator of `Update`, also for `async for`.

        It goes on after the version `since`, or what a pin names (an update's `pin`, which may have been kept in a file); by default
        after this handle's version. It looks every `poll_seconds` when nothing comes, more often at first, and a look costs as much
        however long the log is. It ends after `timeout` seconds without news (None: never), when `stop` is set, and after a commit that
        seals the dataset. Version 1 is an empty dataset.

        Raises
        ------
        VersionExpired
            What follows `since` was removed by retention: read the dataset anew.
        NotFound
            The dataset was deleted, or the pin is of another, or of a log that was cut.

        Examples
        --------
        >>> import arraystore
        >>> store = arraystore.open_store("memory://followed", role="data-quality", create=True)
        >>> trades = store.canonical.create(("venue", "trades", "X"), arraystore.schema_by_name("trades"))
        >>> followed = trades.follow(timeout=0)
        >>> trades.append({"time": [1, 2], "price": [1.0, 2.0], "size": [1.0, 1.0], "side": [1, 1], "flags": [0, 0]}).version
        2
        >>> [(update.version, update.frame["price"].tolist()) for update in followed]
        [(2, [1.0, 2.0])]
        """
        self._place.require(Action.READ)
        view = self._still() if since is None else self._side(since) if isinstance(since, Pin) else self.at(since)
        named = None if columns is None else arguments.columns(self.schema, columns)
        return Follower(self._log, self._place, view.state, named, poll_seconds=poll_seconds, timeout=timeout, stop=stop)

    @property
    def state(self) -> State:
        """What the log says at this version; for the modules of this package."""
        return self._state

    def diff(self, before: int | TimeLike | Pin, after: int | TimeLike | Pin | None = None) -> Diff:
        """What changed from one version to another (by default this one), each given as `at` takes it, or as a pin of this dataset.

        Of a pin, its version counts, and which columns and windows it touches.
        """
        self._place.require(Action.READ)
        return compare(self._side(before), self._side(self.pin() if after is None else after))

    def _side(self, given: int | TimeLike | Pin) -> Side:
        if isinstance(given, Pin):
            pin = arguments.pin(given)
            if (pin.storage_class, pin.key) != (self.storage_class, self.key):
                msg = f"the pin is of {pin.storage_class}/{format_key(pin.key)}, and not of {self._place}: compare pins with store.diff"
                raise NotFound(msg)
            state = self._log.at(pin.version)
            if (pin.dataset, pin.digest) != (state.dataset, state.digest):
                found = f"version {pin.version} is {state.digest} of dataset {state.dataset}"
                raise NotFound(f"{self._place}: {found}; the pin names {pin.digest} of {pin.dataset}")
            return Side(self._log, state, pin)
        view = self.at(given)
        return Side(self._log, view._state, view.pin())  # noqa: SLF001 - another of its kind

    def side(self, pin: Pin) -> Side:
        """This version as one side of a comparison; for the store."""
        return Side(self._log, self._state, pin)

    def make_durable(self) -> None:
        """Make the version this handle sees durable, which a reader that builds on it must do first."""
        self._log.make_durable()

    def segments(self, window: str | None = None) -> list[str]:
        """Paths, below the class root's URL, of the columnar segments: plain Zarr v3 groups, in read order."""
        self._place.require(Action.READ)
        view = self._still()
        windows = [view._window(name) for name in (view.windows() if window is None else (window,))]  # noqa: SLF001 - it is this one
        return [f"{self._place.path}/{each.window}/{entry.segment}" for each in windows for entry in each.segments if entry.segment]

    def artifacts(self) -> Mapping[str, Artifact]:
        """The files kept beside the rows at this version, by name."""
        self._place.require(Action.READ)
        return {name: Artifact(self._place.storage, self._place.path, entry) for name, entry in sorted(self._state.artifacts.items())}

    def verify(self, *, deep: bool = False) -> list[Finding]:
        """What is wrong with the log up to this version, its checkpoints, segments and artifacts; `deep` decodes every byte."""
        self._place.require(Action.READ)
        return verify_dataset(self._log, self._state, deep=deep)

    def lint(self) -> list[Deviation]:
        """What isn't as the layout says, or would serve better otherwise, each with reason and remedy; reads no rows.

        Whether bytes still are what was written is for `verify`.
        """
        self._place.require(Action.READ)
        return lint_dataset(self._log, self._state, str(self._place))
