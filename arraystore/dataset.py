"""A dataset as its writers have it: each call here makes the next version, or raises before anything is written."""

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from dataclasses import replace as dataclass_replace
from typing import Any, Self

from msgspec.structs import replace

from arraystore import arguments
from arraystore.arguments import IntervalLike, TimeLike
from arraystore.artifacts import ArtifactSource, open_source, write_artifact
from arraystore.commit import ArtifactEntry, Pin
from arraystore.compaction import Compaction, CompactionRule, Compactor
from arraystore.draft import Draft, draft_commit
from arraystore.errors import ArrayStoreError, CommitUnknown, InvalidInput, Problem, WindowClosed
from arraystore.evolution import evolve_draft, in_force
from arraystore.intake import rows_from
from arraystore.log import Log
from arraystore.place import Place
from arraystore.rows import Rows
from arraystore.state import State
from arraystore.streaming import PIECE_BYTES, write_stream
from arraystore.view import DatasetView
from arraystore.writer import WITHDRAWN, Request, Writer
from layouts.chunking import SEGMENT_ROWS
from layouts.classes import Action
from layouts.evolution import schema_change_problems
from layouts.schema import Order, Schema, parse_schema
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


class Dataset(DatasetView):
    """A dataset as seen by one role: it stays at the version it was opened at until `refresh()` or an own write.

    Opened through a surface, never by itself. Safe to share between threads.
    """

    def __init__(self, place: Place, log: Log, state: State, check_pins: PinCheck) -> None:
        super().__init__(place, log, state)
        self._check_pins = check_pins
        self._guard = threading.Lock()

    def refresh(self) -> Self:
        """Move this handle to the newest version, and return it; NotFound if the dataset was deleted since."""
        state = self._log.head()
        Writer(self._log, self.uuid).refuse_another(state)
        self._move(state)
        return self

    def _move(self, state: State) -> None:
        """Never back: of two threads that write, the one that is late has seen less."""
        with self._guard:
            if state.version > self._state.version:
                self._state = state

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
            `(writer, sequence)`, increasing: repeating a writer's latest token returns its first commit instead of adding twice. Where
            work comes in any order (days, files), each piece is a writer of its own: `("end-of-day 2024-08-08", 1)`.
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
        self._place.require(Action.WRITE)
        request = Request(
            operation="append",
            role=self._place.role.value,
            rows=self._rows_from(data, self._schema_for(window, schema)),
            window=None if window is None else self._on_disk(window),
            coverage=arguments.coverage(coverage),
            completeness=arguments.completeness(completeness),
            reopen=reopen,
            inputs=arguments.inputs(inputs),
            token=arguments.token(token),
            window_attributes=arguments.json_object(window_attributes, "window_attributes"),
            reason=arguments.text(reason, "reason"),
        )
        return self.commit(request)

    def append_stream(
        self,
        batches: Iterable[Any],
        *,
        inputs: Iterable[Pin] = (),
        token: tuple[str, int] | None = None,
        coverage: Iterable[IntervalLike] | IntervalLike | None = None,
        completeness: str | None = None,
        reopen: bool = False,
        window_attributes: Mapping[str, Any] | None = None,
        reason: str = "",
        sort: bool = False,
        piece_bytes: int = PIECE_BYTES,
    ) -> Receipt:
        """Add the rows of all batches in one commit, however many: each batch is anything `append` takes, the rest is as there.

        At most about three times `piece_bytes` of rows are held at once. Until the last batch is taken nothing is visible; if one is
        refused, or taking it raises, nothing ever is. In time order, batches follow each other in time as rows do, unless `sort` is
        true: then rows may come in any order, and read back by time, ties as they came.
        """
        self._place.require(Action.WRITE)
        request = Request(
            operation="append",
            role=self._place.role.value,
            coverage=arguments.coverage(coverage),
            completeness=arguments.completeness(completeness),
            reopen=reopen,
            inputs=arguments.inputs(inputs),
            token=arguments.token(token),
            window_attributes=arguments.json_object(window_attributes, "window_attributes"),
            reason=arguments.text(reason, "reason"),
        )
        schema = self._schema_for(None, None)
        state = self._log.head()
        Writer(self._log, self.uuid).refuse_another(state)
        schema = in_force(state) or schema
        self._refuse_sealed(state)
        if request.token is not None and state.writers.get(request.token[0], (-1, 0))[0] >= request.token[1]:
            return self.commit(request)
        taken = replace(schema, order=Order.ARRIVAL) if sort else schema
        rows = (given if isinstance(given, Rows) and given.schema == taken else rows_from(given, taken) for given in batches)
        streamed = write_stream(self._log, state, schema, rows, sort=sort, piece_bytes=piece_bytes)
        return self.commit(dataclass_replace(request, rows=streamed.rows, written=streamed.written), count=streamed.count)

    def token_version(self, writer: str) -> tuple[int, int] | None:
        """The latest sequence that a writer's tokens came to, and the version that committed it; None for a writer not seen yet."""
        return self._state.writers.get(writer)

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
        self._place.require(Action.REPLACE)
        self._window(window)
        request = Request(
            operation="replace",
            role=self._place.role.value,
            rows=self._rows_from(data, self.schema_of(window)),
            window=window,
            coverage=arguments.coverage(coverage),
            completeness=arguments.completeness(completeness),
            replaces=self.version,
            inputs=arguments.inputs(inputs),
            token=arguments.token(token),
            window_attributes=arguments.json_object(window_attributes, "window_attributes"),
            reason=arguments.text(reason, "reason", empty=False),
        )
        return self.commit(request)

    def withdraw(self, window: str, *, reason: str) -> Receipt:
        """Take a window's rows out, as a new version, without others in their place; older versions and pins still read them.

        Completeness and coverage start afresh, and the window's attribute `withdrawn` says why. Rows come back by `replace`, or by
        `append(…, reopen=True)`. `Conflict` if another writer changed the window after this handle's version.
        """
        self._place.require(Action.REPLACE)
        self._window(window)
        reason = arguments.text(reason, "reason", empty=False)
        request = Request(
            operation="withdraw",
            role=self._place.role.value,
            window=window,
            replaces=self.version,
            window_attributes={WITHDRAWN: reason},
            reason=reason,
        )
        return self.commit(request)

    def evolve(self, schema: Schema, *, window_from: TimeLike | None = None, reason: str = "") -> Receipt:
        """Put another schema in force, as a new version; `InvalidInput` with every reason why that can't be.

        It may add nullable columns, allow nulls, widen types without loss, append to vocabularies, and change descriptions and
        attributes. Rows that are there read under it; `at(earlier)` reads them under their own. With `window_from` it may give windows
        another length: that of rows from that moment on, which must be where a window of either length begins, and no earlier than any
        window that is there ends. Handles that haven't seen this yet may go on to append rows of the old schema. Any other change
        makes another dataset: `create(…, supersedes=pin)`. A schema that is in force already makes no version.
        """
        self._place.require(Action.WRITE)
        moment = None if window_from is None else parse_time(window_from, "window_from")
        reason = arguments.text(reason, "reason")

        def decide(state: State) -> Draft | None:
            Writer(self._log, self.uuid).refuse_another(state)
            return evolve_draft(state, self._place.role.value, schema, moment, reason)

        state = self._log.publish(decide)
        self._move(state)
        return Receipt(state.version, 0, (), self._pin_of(state.version, state.digest))

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
        self._place.require(Action.WRITE)
        if window is not None:
            self._window(window)
        request = Request(
            operation="update",
            role=self._place.role.value,
            window=None if window is None else self._on_disk(window),
            completeness=arguments.completeness(completeness),
            reopen=True,
            attributes=arguments.json_object(attributes, "attributes"),
            window_attributes=arguments.json_object(window_attributes, "window_attributes"),
            reason=arguments.text(reason, "reason"),
        )
        return self.commit(request)

    def add_file(
        self, file: ArtifactSource, name: str | None = None, *, media_type: str | None = None, inputs: Iterable[Pin] = ()
    ) -> ArtifactEntry:
        """Keep a file beside the rows (a path, bytes, or an open binary file); a new one of the same name is its next version."""
        self._place.require(Action.WRITE)
        pins = arguments.inputs(inputs)
        if media_type is not None:
            arguments.text(media_type, "media_type", empty=False)
        writer = Writer(self._log, self.uuid)
        with open_source(file, name) as (stream, known_as):
            state = self._log.head()
            writer.refuse_another(state)
            self._refuse_sealed(state)
            self._check_pins(pins)
            with self._log.storage.batch() as batch:
                entry = write_artifact(batch, self._place.path, state.version, stream, known_as, media_type)

        def decide(state: State) -> Draft:
            writer.refuse_another(state)
            self._refuse_sealed(state)
            return Draft(draft_commit("artifact", self._place.role.value, artifacts=(entry,), inputs=pins))

        self._move(self._log.publish(decide))
        return entry

    def compact(
        self,
        window: str | Iterable[str] | None = None,
        *,
        dry_run: bool = False,
        max_rows: int = SEGMENT_ROWS,
        leave_bytes: int | None = None,
        threads: int | None = None,
    ) -> Compaction:
        """Make one segment of the many segments and tails of a window, of several, or of all (None): the same rows, in the same order.

        Role operations. Older versions and pins read what they read before; logical digests prove every column before anything is
        published. What other writers do meanwhile stays; where they changed the very same segments, it is planned again.

        Parameters
        ----------
        dry_run
            Change nothing: the runs that would become one segment each come back without a `result`.
        max_rows
            Rows of a segment at most.
        leave_bytes
            Leave segments of so many bytes or more as they are, so that compacting a window that grows costs what came to it.
        """
        self._place.require(Action.MAINTAIN)
        rule = CompactionRule(
            max_rows=arguments.whole(max_rows, "max_rows", 1, SEGMENT_ROWS),
            leave_bytes=None if leave_bytes is None else arguments.whole(leave_bytes, "leave_bytes", 0),
        )
        names = None
        if window is not None:
            names = [self._window(name).window for name in ((window,) if isinstance(window, str) else arguments.texts(window, "window"))]
        compactor = Compactor(self._log, self.uuid, self.role, rule, arguments.threads(threads))
        if dry_run:
            return compactor.plan(names)
        done = compactor.compact(names)
        if done.version is not None:
            self.refresh()
        return done

    def _refuse_sealed(self, state: State) -> None:
        if state.sealed:
            msg = f"{self._place} is sealed: write to a new dataset"
            raise WindowClosed(msg)

    def _rows_from(self, data: Any, schema: Schema) -> Rows:
        """The data as rows; says so if they might fit a schema that this handle hasn't seen yet."""
        try:
            return rows_from(data, schema)
        except InvalidInput as error:
            if self._state.schema is None or in_force(self._log.head()) in (None, schema):
                raise
            told = f"another came into force after version {self.version}, which this handle is at: refresh() and try again"
            raise InvalidInput((*error.problems, Problem("schema", told))) from error

    def _schema_for(self, window: str | None, given: Schema | None) -> Schema:
        """The schema of the rows to add: the dataset's own, or in a dataset of several series that of the series."""
        if self._state.schema is not None:
            for name, value in (("window", window), ("schema", given)):
                if value is not None:
                    raise InvalidInput(f"{self._place} has one schema and finds the windows of rows by their times: leave it out", name)
            return self.schema
        if window is None:
            raise InvalidInput(f"{self._place} keeps several series: name the one that these rows belong to", "window")
        present = self.schema_of(window) if arguments.text(window, "window", empty=False) in self.windows() else None
        if given is None and present is None:
            raise InvalidInput(f"{self._place} has no series {window!r} yet: pass the schema of its rows", "schema")
        if given is None or present is None:
            return present or parse_schema(given)  # type: ignore[arg-type]
        if problems := schema_change_problems(present, parse_schema(given)):
            raise InvalidInput(problems)
        return given

    def commit(self, request: Request, *, count: int | None = None) -> Receipt:
        """Carry out a request that has been checked, of `count` rows if they aren't in it; for the surfaces of this package."""
        rows = count if count is not None else request.rows.count if request.rows is not None else 0
        if request.says_nothing:
            return Receipt(self.version, 0, (), self.pin())
        self._check_pins(request.inputs)
        state, windows = Writer(self._log, self.uuid).commit(request)
        self._move(state)
        self._recheck(request.inputs, state)
        if windows is not None or request.token is None:
            return Receipt(state.version, rows, self._told(windows or ()), self._pin_of(state.version, state.digest))
        first, _, digest, _ = self._log.record(state.writers[request.token[0]][1])
        touched = self._told(change.window for change in first.windows)
        return Receipt(first.version, rows, touched, self._pin_of(first.version, digest), repeated=True)

    def _recheck(self, pins: Iterable[Pin], state: State) -> None:
        """Retention may have taken what pins name until the commit named it."""
        try:
            self._check_pins(pins)
        except ArrayStoreError as error:
            msg = f"{self._place}: version {state.version} is committed, but whether its inputs are still kept is unknown: {error}"
            raise CommitUnknown(msg) from error

    def _pin_of(self, version: int, digest: str) -> Pin:
        return Pin(storage_class=self.storage_class, key=self.key, dataset=self.uuid, version=version, digest=digest)
