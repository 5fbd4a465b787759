"""A dataset at one version: read it, look at it, and write the next version of it."""

import mimetypes
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from arraystore import arguments
from arraystore.arguments import IntervalLike, TimeLike
from arraystore.artifacts import Artifact, ArtifactSource, open_source, write_artifact
from arraystore.commit import ArtifactEntry, Pin
from arraystore.errors import InvalidInput, NotFound, WindowClosed
from arraystore.frame import Frame
from arraystore.intake import rows_from
from arraystore.log import Draft, Log, draft_commit
from arraystore.manifest import Manifest, Version, manifest_of, version_of
from arraystore.place import Place
from arraystore.reader import Part, Selection, read
from arraystore.state import State, WindowState
from arraystore.verify import Finding, verify_dataset
from arraystore.writer import Request, Writer, load_parts
from layouts.classes import Action
from layouts.naming import escape, unescape
from layouts.schema import Schema
from layouts.times import parse_time

type PinCheck = Callable[[Iterable[Pin]], None]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was acknowledged: durable and whole. `repeated` says that the token's first commit is meant."""

    version: int
    rows: int
    windows: tuple[str, ...]
    pin: Pin
    repeated: bool = False


class Dataset:
    """A dataset as seen by one role at one version: it stays at that version until `refresh()` or an own write.

    Opened through a surface, never by itself. Safe to share between threads; pickles as its address and version.
    Every name of a column, window or artifact that isn't there raises `NotFound` (a KeyError) naming what is.
    """

    def __init__(self, place: Place, log: Log, state: State, check_pins: PinCheck, *, fixed: bool = False) -> None:
        self._place = place
        self._log = log
        self._state = state
        self._check_pins = check_pins
        self._fixed = fixed

    def __repr__(self) -> str:
        return f"<Dataset {self._place} version {self.version} as {self._place.role.value}>"

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
        return dict(self._state.attributes)

    @property
    def schema(self) -> Schema:
        """The schema in force; NotFound for a dataset of several series (an experiment run): see `schema_of`."""
        if self._state.schema is None:
            msg = f"{self._place} keeps several series, each with its own schema: use schema_of(window), one of {list(self.windows())}"
            raise NotFound(msg)
        return self._state.schemas[self._state.schema]

    def schema_of(self, window: str) -> Schema:
        """The schema of a window's newest rows, or the one in force."""
        segments = self._window(window).segments
        return self._state.schemas[segments[-1].schema] if segments else self.schema

    def refresh(self) -> "Dataset":
        """Move this handle to the newest version, and return it."""
        if self._fixed:
            msg = f"{self!r} was opened at a version: open the dataset again to follow it"
            raise InvalidInput(msg, "refresh")
        self._state = self._log.head()
        return self

    def at(self, version: int | TimeLike) -> "Dataset":
        """The dataset as of a version (an int), or as of a time (anything else that names one): read-only.

        A time means the last version whose running time isn't later; versions are exact, times advisory.
        """
        self._place.require(Action.READ)
        number = version if isinstance(version, int) else self._log.version_at(parse_time(version))
        if number < 1:
            msg = f"versions count from 1, not {number}"
            raise InvalidInput(msg, "version")
        return Dataset(self._place, self._log, self._log.at(number), self._check_pins, fixed=True)

    def versions(self) -> list[Version]:
        """Every version up to this handle's that is kept, oldest first."""
        self._place.require(Action.READ)
        records = (self._log.record(number) for number in range(self._log.floor() + 1, self.version + 1))
        return [version_of(commit, digest) for commit, _, digest, _ in records]

    def windows(self) -> tuple[str, ...]:
        """Names of all windows with rows, coverage or attributes (of an experiment run: its series), in order."""
        names = self._state.window_names()
        return names if self._state.schema is not None else tuple(map(unescape, names))

    def manifest(self, window: str) -> Manifest:
        """The Dataset Manifest of a window."""
        self._place.require(Action.READ)
        return manifest_of(self._place, self._window(window))

    def manifests(self) -> Iterable[Manifest]:
        """The Dataset Manifests of all windows, in order."""
        return map(self.manifest, self.windows())

    def _window(self, window: str) -> WindowState:
        name = self._on_disk(window)
        if name not in self._state.window_names():
            msg = f"{self._place} has no window {window!r} at version {self.version}; it has {arguments.some(self.windows())}"
            raise NotFound(msg)
        return self._state.window(name)

    def _on_disk(self, window: str) -> str:
        """What a window is called in records and paths: a series' name is escaped there."""
        return window if self._state.schema is not None else escape(window)

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
        threads
            Decoders at work; the number of cores by default.

        Returns
        -------
        Frame
            With `pin`, which says exactly which bytes these are.
        """
        self._place.require(Action.READ)
        schema = self.schema_of(window) if window is not None else self.schema
        wanted = arguments.columns(schema, columns)
        bounds = arguments.bounds(start, end)
        clock = arguments.clock(schema, clock)
        parts: list[Part] = []
        for name in [self._on_disk(window)] if window is not None else self.windows():
            if arguments.overlaps(self._state.summary(name).clocks.get(clock), *bounds):
                parts += load_parts(self._log, self._state, self._state.window(name))
        selection = Selection(clock=clock if bounds != (None, None) else None, start=bounds[0], stop=bounds[1])
        rows = read(self._place.storage, parts, schema, selection, columns=wanted, threads=threads)
        return Frame(rows, pin=self.pin(start, end, () if columns is None else wanted))

    def pin(self, start: TimeLike | None = None, end: TimeLike | None = None, columns: Iterable[str] = ()) -> Pin:
        """What names this version, a range of it on the axis clock, and columns of it, for good."""
        first, last = arguments.bounds(start, end)
        return Pin(
            storage_class=self.storage_class,
            key=self.key,
            dataset=self.uuid,
            version=self.version,
            digest=self.digest,
            start=first,
            end=last,
            columns=tuple(columns),
        )

    def make_durable(self) -> None:
        """Make the version this handle sees durable, which a reader that builds on it must do first."""
        self._log.make_durable()

    def segments(self, window: str | None = None) -> list[str]:
        """Paths, below the class root's URL, of the columnar segments: plain Zarr v3 groups, in read order."""
        self._place.require(Action.READ)
        names = self.windows() if window is None else (window,)
        return [f"{self._place.path}/{name}/{entry.segment}" for name in map(self._on_disk, names) for entry in self._state.window(name).segments if entry.segment]

    def artifacts(self) -> Mapping[str, Artifact]:
        """The files kept beside the rows at this version, by name."""
        self._place.require(Action.READ)
        return {name: Artifact(self._place.storage, self._place.path, entry) for name, entry in sorted(self._state.artifacts.items())}

    def verify(self, *, deep: bool = False) -> list[Finding]:
        """What is wrong with the log up to this version, its checkpoints, segments and artifacts; `deep` decodes every byte."""
        self._place.require(Action.READ)
        return verify_dataset(self._log, self._state, deep=deep)

    # --- writing -------------------------------------------------------------------------------------------------

    def append(
        self,
        data: Any,
        *,
        schema: Schema | None = None,
        window: str | None = None,
        inputs: Iterable[Pin] = (),
        token: tuple[str, int] | None = None,
        coverage: Iterable[IntervalLike] | IntervalLike | None = None,
        completeness: str | None = None,
        reopen: bool = False,
        window_attributes: Mapping[str, Any] | None = None,
        reason: str = "",
    ) -> Receipt:
        """Add rows in one commit, atomic over all windows and columns; durable when this returns.

        Parameters
        ----------
        data
            A mapping of arrays, an xarray Dataset, anything with the Arrow stream interface; None or empty for no rows.
        schema, window
            Only for datasets of several series (experiment runs): the series' schema and name.
        inputs
            Pins of what these rows were made from.
        token
            `(writer, sequence)`, increasing: repeating a writer's latest token returns its first commit instead of adding twice.
        coverage
            Intervals `[start, end)` that these rows cover fully, so that *no rows* differs from *not recorded*.
        completeness
            `open`, `partial` or `complete` for each window touched by rows or coverage.
        reopen
            Allow adding to complete windows.

        Raises
        ------
        InvalidInput, AccessDenied, WindowClosed
            Before anything is written.
        """
        self._writable(Action.WRITE)
        request = Request(
            operation="append",
            role=self._place.role.value,
            rows=rows_from(data, schema or self._schema_for(window)),
            window=None if window is None else self._on_disk(window),
            coverage=arguments.coverage(coverage),
            completeness=arguments.completeness(completeness),
            reopen=reopen,
            inputs=arguments.inputs(inputs),
            token=arguments.token(token),
            window_attributes=window_attributes or {},
            reason=reason,
        )
        return self.commit(request)

    def replace(
        self,
        window: str,
        data: Any,
        *,
        reason: str,
        inputs: Iterable[Pin] = (),
        coverage: Iterable[IntervalLike] | IntervalLike | None = None,
        completeness: str = "complete",
        token: tuple[str, int] | None = None,
        window_attributes: Mapping[str, Any] | None = None,
    ) -> Receipt:
        """Put other rows in a window's place, as a new version; older versions and pins read what they read before.

        All rows must lie in the window. `Conflict` if another writer changed the window after this handle's version.
        """
        self._writable(Action.REPLACE)
        if not reason:
            msg = "a correction needs a reason: pass reason='…'"
            raise InvalidInput(msg, "reason")
        self._window(window)
        request = Request(
            operation="replace",
            role=self._place.role.value,
            rows=rows_from(data, self.schema_of(window)),
            window=window,
            coverage=arguments.coverage(coverage),
            completeness=arguments.completeness(completeness),
            replaces=self.version,
            inputs=arguments.inputs(inputs),
            token=arguments.token(token),
            window_attributes=window_attributes or {},
            reason=reason,
        )
        return self.commit(request)

    def update(
        self,
        *,
        attributes: Mapping[str, Any] | None = None,
        window: str | None = None,
        window_attributes: Mapping[str, Any] | None = None,
        completeness: str | None = None,
        reason: str = "",
    ) -> Receipt:
        """Merge attributes into the dataset or a window of it (None removes one), or change a window's completeness."""
        self._writable(Action.WRITE)
        if window is not None:
            self._window(window)
        request = Request(
            operation="update",
            role=self._place.role.value,
            window=None if window is None else self._on_disk(window),
            completeness=arguments.completeness(completeness),
            reopen=completeness is None,
            attributes=attributes or {},
            window_attributes=window_attributes or {},
            reason=reason,
        )
        return self.commit(request)

    def add_file(self, file: ArtifactSource, name: str | None = None, *, media_type: str | None = None, inputs: Iterable[Pin] = ()) -> ArtifactEntry:
        """Keep a file beside the rows (a path, bytes, or an open binary file); a new one of the same name is its next version."""
        self._writable(Action.WRITE)
        pins = arguments.inputs(inputs)
        stream, name = open_source(file, name)
        media_type = media_type or mimetypes.guess_type(name)[0]
        with stream:
            self._state = self._log.head()
            self._refuse_sealed(self._state)
            with self._log.storage.batch() as batch:
                entry = write_artifact(batch, self._place.path, self._state.version, stream, name, media_type)

        def decide(state: State) -> Draft:
            self._refuse_sealed(state)
            return Draft(draft_commit("artifact", self._place.role.value, artifacts=(entry,), inputs=pins))

        self._check_pins(pins)
        self._state = self._log.publish(decide)
        return entry

    def _refuse_sealed(self, state: State) -> None:
        if state.sealed:
            msg = f"{self._place} is sealed: write to a new dataset"
            raise WindowClosed(msg)

    def _writable(self, action: Action) -> None:
        self._place.require(action)
        if self._fixed:
            msg = f"{self!r} was opened at a version and is read-only: open the dataset itself to write"
            raise InvalidInput(msg, "dataset")

    def _schema_for(self, window: str | None) -> Schema:
        if self._state.schema is None and window is not None and window in self.windows():
            return self.schema_of(window)
        return self.schema

    def commit(self, request: Request) -> Receipt:
        """Carry out a request that has been checked; for the surfaces of this package."""
        before = self._state
        rows = request.rows.count if request.rows is not None else 0
        if request.says_nothing:
            return Receipt(before.version, 0, (), self.pin())
        self._check_pins(request.inputs)
        state = Writer(self._log).commit(request)
        self._state = state
        self._check_pins(request.inputs)  # Retention may have taken them until the commit named them.
        number, repeated = state.version, False
        if request.token is not None:
            number = state.writers[request.token[0]][1]
            repeated = number <= before.version
        commit, _, digest, _ = self._log.record(number)
        windows = tuple(change.window for change in commit.windows)
        pin = Pin(storage_class=self.storage_class, key=self.key, dataset=self.uuid, version=number, digest=digest)
        return Receipt(number, rows, windows, pin, repeated)
