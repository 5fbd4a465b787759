"""What adds rows to a dataset: by one call, by a stream, by an appender; and how any request becomes a version with a receipt."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from dataclasses import replace as dataclass_replace
from typing import Any, Self

from msgspec.structs import replace

from arraystore import arguments
from arraystore.arguments import IntervalLike
from arraystore.datasets.appender import Appender, Committed, numbered_sink
from arraystore.datasets.appendqueue import Limits
from arraystore.datasets.evolution import in_force
from arraystore.datasets.request import Request
from arraystore.datasets.streaming import PIECE_BYTES, write_stream
from arraystore.datasets.view import DatasetView
from arraystore.datasets.writer import Writer
from arraystore.errors import ArrayStoreError, CommitUnknown, InvalidInput, Problem, WindowClosed
from arraystore.forks import Guard
from arraystore.frames.arrow import tables_from_stream
from arraystore.frames.intake import is_stream, rows_from
from arraystore.frames.rows import Rows
from arraystore.frames.scan import Scan
from arraystore.place import Place
from arraystore.versions.commit import Pin
from arraystore.versions.log import Log
from arraystore.versions.state import State
from layouts.classes import Action
from layouts.evolution import schema_change_problems
from layouts.schema import Order, Schema, parse_schema

type PinCheck = Callable[[Iterable[Pin]], None]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was acknowledged: durable and whole. `repeated` says that the token's first commit is meant."""

    version: int
    rows: int
    windows: tuple[str, ...]
    pin: Pin
    repeated: bool = False


class Adding(DatasetView):
    """A dataset that rows can be added to; see `Dataset`."""

    def __init__(self, place: Place, log: Log, state: State, check_pins: PinCheck) -> None:
        super().__init__(place, log, state)
        self._check_pins = check_pins
        self._guard = Guard()

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
            A mapping of arrays, an xarray Dataset, anything with the Arrow stream interface; None or empty for no rows. Readers, scans,
            DuckDB's relations and other datasets, which aren't in memory, are taken as `append_stream` does.
        schema, window
            Only for datasets of several series (experiment runs): the series' schema and name.
        inputs
            Pins of what these rows were made from; where rows lie in several windows, inputs times windows are at most 500,000.
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
        told: dict[str, Any] = {
            "inputs": inputs,
            "token": token,
            "coverage": coverage,
            "completeness": completeness,
            "reopen": reopen,
            "window_attributes": window_attributes,
            "reason": reason,
        }
        of_series = self._schema_for(window, schema)
        if window is None and is_stream(data):
            return self.append_stream(data, **told)
        return self.commit(self._request(self._rows_from(data, of_series), None if window is None else self._on_disk(window), **told))

    def append_stream(
        self,
        batches: Any,
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

        `batches` is an iterable, or anything with the Arrow stream interface, which is taken batch by batch.
        At most about three times `piece_bytes` of rows are held at once. Until the last batch is taken nothing is visible; if one is
        refused, or taking it raises, nothing ever is. In time order, batches follow each other in time as rows do, unless `sort` is
        true: then rows may come in any order, and read back by time, ties as they came.
        """
        self._place.require(Action.WRITE)
        request = self._request(
            inputs=inputs,
            token=token,
            coverage=coverage,
            completeness=completeness,
            reopen=reopen,
            window_attributes=window_attributes,
            reason=reason,
        )
        schema = self._schema_for(None, None)
        state = self._log.head()
        Writer(self._log, self.uuid).refuse_another(state)
        schema = in_force(state) or schema
        self._refuse_sealed(state)
        if request.token is not None and state.writers.get(request.token[0], (-1, 0))[0] >= request.token[1]:
            return self.commit(request)
        taken = replace(schema, order=Order.ARRIVAL) if sort else schema
        given_rows = _batches_of(batches, piece_bytes)
        rows = (given if isinstance(given, Rows) and given.schema == taken else rows_from(given, taken) for given in given_rows)
        streamed = write_stream(self._log, state, schema, rows, sort=sort, piece_bytes=piece_bytes)
        return self.commit(dataclass_replace(request, rows=streamed.rows, written=streamed.written), count=streamed.count)

    def _request(
        self,
        rows: Rows | None = None,
        window: str | None = None,
        *,
        inputs: Iterable[Pin],
        token: tuple[str, int] | None,
        coverage: Iterable[IntervalLike] | IntervalLike | None,
        completeness: str | None,
        reopen: bool,
        window_attributes: Mapping[str, Any] | None,
        reason: str,
    ) -> Request:
        """What a caller wants added, each argument checked."""
        return Request(
            operation="append",
            role=self._place.role.value,
            rows=rows,
            window=window,
            coverage=arguments.coverage(coverage),
            completeness=arguments.completeness(completeness),
            reopen=reopen,
            inputs=arguments.inputs(inputs),
            token=arguments.token(token),
            window_attributes=arguments.json_object(window_attributes, "window_attributes"),
            reason=arguments.text(reason, "reason"),
        )

    def appender(
        self,
        *,
        max_rows: int = 10_000,
        max_seconds: float = 1.0,
        on_full: str = "block",
        max_queue_rows: int = 100_000,
        max_queue_bytes: int = 256 << 20,
        writer: str | None = None,
        reopen: bool = False,
        on_commit: Callable[[Committed[Receipt]], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> Appender[Receipt]:
        """An appender for a live writer: rows of many calls become few commits, in the background, and none is dropped.

        It commits once `max_rows` wait, or the oldest waits for `max_seconds` of `clock`. When `max_queue_rows` or `max_queue_bytes`
        wait, its `append` does what `on_full` says: `block`, or `raise` QueueFull. `on_commit` is called in its thread once a commit is
        durable; an error that it raises stops the appender. `reopen` allows adding to complete windows. `writer` names the tokens that
        keep a repeated commit from adding rows twice: give a recorder that is started again and again a name that stays, since the
        dataset remembers each; an older appender of that name then stops with `InvalidInput`.

        Examples
        --------
        >>> import arraystore
        >>> store = arraystore.open_store("memory://live", role="data-quality", create=True)
        >>> trades = store.canonical.create(("venue", "trades", "X"), arraystore.schema_by_name("trades"))
        >>> with trades.appender(max_seconds=0.2, writer="recorder-1") as appender:
        ...     for number in range(3):
        ...         taken = appender.append({"time": [number], "price": [1.0], "size": [1.0], "side": [1], "flags": [0]})
        ...     appender.flush()
        ...     appender.acknowledged, appender.unacknowledged.rows
        (3, 0)
        >>> trades.read().row_count, trades.version  # one commit of three calls
        (3, 2)
        """
        self._place.require(Action.WRITE)
        self._schema_for(None, None)
        request = Request(operation="append", role=self._place.role.value, reopen=reopen)
        sink = numbered_sink(request, lambda data: self._rows_from(data, self.schema), self.commit, self.refresh().token_version, writer)
        limits = Limits(max_rows=max_rows, max_seconds=max_seconds, max_queue_rows=max_queue_rows, max_queue_bytes=max_queue_bytes)
        return Appender(sink, limits, on_full=on_full, on_commit=on_commit, clock=clock)

    def token_version(self, writer: str) -> tuple[int, int] | None:
        """The latest sequence that a writer's tokens came to, and the version that committed it; None for a writer not seen yet."""
        return self._state.writers.get(writer)

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


def _batches_of(given: Any, piece_bytes: int) -> Iterable[Any]:
    """The batches of a stream: ours as they are, so that errors stay what they are, others as Arrow streams or what can be iterated."""
    match given:
        case Scan():
            return given
        case DatasetView():
            return given.scan(memory=2 * piece_bytes)
    return tables_from_stream(given, piece_bytes) if hasattr(given, "__arrow_c_stream__") else given
