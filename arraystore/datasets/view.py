"""A dataset at one version, to read and to look at."""

import threading
from collections.abc import Iterable, Mapping
from copy import deepcopy
from pathlib import PurePath
from typing import Any

import numpy as np

from arraystore import arguments
from arraystore.arguments import TimeLike
from arraystore.datasets.artifacts import Artifact
from arraystore.datasets.datasetlint import lint_dataset
from arraystore.datasets.diff import Diff, Side, compare
from arraystore.datasets.following import Follower
from arraystore.datasets.lazily import Lazily
from arraystore.datasets.looking import Looking
from arraystore.datasets.verify import Finding, verify_dataset
from arraystore.errors import InvalidInput, NotFound, VersionExpired
from arraystore.shown import ShownDataset
from arraystore.versions.commit import COMPACT, Pin
from arraystore.versions.manifest import Manifest, Version, version_of
from arraystore.versions.state import State
from layouts.classes import Action
from layouts.deviations import Deviation
from layouts.naming import format_key
from layouts.times import parse_time


class DatasetView(Lazily, Looking, ShownDataset):
    """A dataset as seen by one role at one version, which it stays at. Read-only.

    Opened through a surface or by `at`, never by itself. Safe to share between threads.
    Every name of a column, window or artifact that isn't there raises `NotFound` (a KeyError) naming what is.
    """

    # --- what it is ----------------------------------------------------------------------------------------------

    @property
    def location(self) -> str:
        """Its path below the class root's URL."""
        return f"{self._place.storage.url.rstrip('/')}/{self._place.path}"

    def is_newest(self) -> bool:
        """Whether no version after this one is visible now; costs one look."""
        return self._log.is_newest(self.version)

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

    @property
    def rows(self) -> int:
        """Rows of all windows."""
        return sum(summary.rows for summary in self._state.summaries())

    @property
    def bytes(self) -> int:
        """Stored bytes of all current segments."""
        return sum(summary.bytes for summary in self._state.summaries())

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

    def to_hdf5(
        self,
        path: str | PurePath,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        columns: Iterable[str] | None = None,
        **options: Any,
    ) -> Any:
        """Write these rows to an HDF5 file, and return what was written: `arraystore.export_hdf5(path, self, …)`, which says the rest."""
        from arraystore.hdf5.sources import export_hdf5

        return export_hdf5(path, self, start, end, columns, **options)

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
