"""The execution-records surface: sessions, whose records share one gap-free sequence."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import msgspec
import numpy as np

from arraystore import arguments
from arraystore.classes.reconciliation import Reconciliation, reconcile
from arraystore.classes.recovery import SEQUENCE, Recovery, audit
from arraystore.classes.surface import Surface
from arraystore.datasets.appender import Committed, SessionAppender, Sink
from arraystore.datasets.appendqueue import Limits
from arraystore.datasets.dataset import Dataset
from arraystore.datasets.request import Request
from arraystore.errors import Conflict, InvalidInput, NotFound, StorageError
from arraystore.frames.frame import Frame
from arraystore.frames.intake import rows_from
from arraystore.frames.rows import Rows
from arraystore.versions.commit import Interval
from layouts.classes import Action
from layouts.feeds import schema_by_name
from layouts.naming import escape, is_escaped, unescape
from layouts.schema import Schema, parse_schema


@dataclass(frozen=True, slots=True)
class SequenceRange:
    """The sequence numbers an append was given, both included; empty when `last < first`."""

    first: int
    last: int


class ExecutionSurface(Surface):
    """Order events, fills and other records, under `live` or `backtest`, by session. A surface like the others."""

    def session(self, kind: str, session_id: str) -> "Session":
        """A session, new or to be continued; recovered from what is durable when it is first written to.

        Parameters
        ----------
        kind
            `live` or `backtest`; who may write which is the access matrix.
        """
        self._place((kind, session_id, "session"), Action.READ)
        return Session(self, kind, session_id)

    def sessions(self, kind: str | None = None) -> list[tuple[str, str]]:
        """Kind and name of every session that the role may read, sorted; of one kind if given."""
        keys = self.find() if kind is None else self.find((escape(arguments.text(kind, "kind")), "*", "*"))
        return sorted({(key[0], key[1]) for key in keys})

    def names(self, kind: str, session_id: str) -> list[str]:
        """Names that records of a session may have: one look, however many commits there are; for `Session`."""
        self._place((kind, session_id, "session"), Action.READ)
        found = self._storage.list(f"{escape(kind)}/{escape(session_id)}").prefixes
        return [unescape(name) for name in found if is_escaped(name)]


class Session:
    """One run of live trading or of a backtest: several kinds of records, one sequence 1, 2, 3, … over all of them.

    One writer at a time: an append that finds another writer's records raises `Conflict`, and `recover()` adopts them. As
    a context, leaving it without an error closes it. Not to be shared between threads, but for its appender.
    """

    def __init__(self, surface: ExecutionSurface, kind: str, session_id: str) -> None:
        self._surface = surface
        self.kind = kind
        self.session_id = session_id
        self._datasets: dict[str, Dataset] = {}
        self._next: int | None = None
        self._guard = threading.RLock()

    def __repr__(self) -> str:
        return f"<Session {self.kind}/{self.session_id}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            self.close()

    def records(self) -> tuple[str, ...]:
        """The kinds of records there are, sorted."""
        return tuple(key[2] for key in self._surface.find((escape(self.kind), escape(self.session_id), "*")))

    def read(self, record: str, *args: Any, **options: Any) -> Frame:
        """`Dataset.read` of one kind of records, at its newest version."""
        return self._surface[self.kind, self.session_id, record].read(*args, **options)

    def recover(self) -> Recovery:
        """Read the session back, to go on with it: what is durable, the last record, and the next number after it."""
        self._datasets = self._opened()
        for dataset in self._datasets.values():
            dataset.make_durable()
        found = audit(self._datasets)
        self._next = found.last_sequence + 1
        return found

    def audit(self) -> Recovery:
        """As `recover`, to look only: for who reads a session that another process writes."""
        return audit(self._opened())

    def _opened(self) -> dict[str, Dataset]:
        """A handle of each kind of records; one that is only just being made has none yet."""
        found = {}
        for record in self.records():
            with suppress(NotFound):
                found[record] = self._surface[self.kind, self.session_id, record]
        return found

    def reconcile(self, record: str = "fills") -> Reconciliation:
        """The fills that count once busts and corrections are applied; see `reconcile`. The records stay as they are."""
        return reconcile(self.read(record))

    def append(self, record: str, data: Any, schema: Schema | None = None) -> SequenceRange:
        """Add rows of one kind, durable when this returns; the session gives them their `sequence`.

        Parameters
        ----------
        record
            `order_events`, `fills`, or any name; a shipped schema of that name is used if none is given.
        data
            As for `Dataset.append`, without `sequence`.

        Raises
        ------
        Conflict
            If another writer added to this session since it was recovered.
        """
        with self._guard:
            if self._next is None:
                self.recover()
            return self._append(record, _unnumbered(data, self._schema(record, schema)))

    def appender(
        self,
        *,
        max_rows: int = 10_000,
        max_seconds: float = 1.0,
        on_full: str = "block",
        max_queue_rows: int = 100_000,
        max_queue_bytes: int = 256 << 20,
        on_commit: Callable[[Committed[SequenceRange]], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> SessionAppender[SequenceRange]:
        """An appender over all records of the session; see `Dataset.appender` for the options. Open it with `with`.

        Nothing else may append to the session until it is closed. Only a medium that fails is tried again: another writer's records
        stop it with `Conflict`.
        """
        with self._guard:
            if self._next is None:
                self.recover()
        schemas: dict[str, Schema] = {}

        def take(record: str, data: Any) -> Rows:
            if record not in schemas:
                with self._guard:
                    schemas[record] = self._schema(record, None)
            return _unnumbered(data, schemas[record])

        def commit(record: str, rows: Rows, _: tuple[Interval, ...], __: int) -> SequenceRange:
            with self._guard:
                return self._append(record, rows)

        sink = Sink(take=take, commit=commit, may_repeat=lambda error: isinstance(error, StorageError))
        limits = Limits(max_rows=max_rows, max_seconds=max_seconds, max_queue_rows=max_queue_rows, max_queue_bytes=max_queue_bytes)
        return SessionAppender(sink, limits, on_full=on_full, on_commit=on_commit, clock=clock)

    def _append(self, record: str, rows: Rows) -> SequenceRange:
        """Number rows and make them durable."""
        assert self._next is not None
        first = self._next
        if not rows.count:
            return SequenceRange(first, first - 1)
        numbers = np.arange(first, first + rows.count, dtype=np.uint64)
        dataset = self._dataset(record, rows.schema)
        numbered = Rows(schema=rows.schema, count=rows.count, arrays={**rows.arrays, SEQUENCE: numbers}, labels=rows.labels)
        request = Request(operation="append", role=dataset.role, rows=numbered, reopen=True)
        with self._surface.lock(f"{escape(self.kind)}/{escape(self.session_id)}/_lock"):
            self._refuse_strangers()
            dataset.commit(request)
        self._next = first + rows.count
        return SequenceRange(first, first + rows.count - 1)

    def _schema(self, record: str, given: Schema | None) -> Schema:
        """What records of this kind look like: as they do already, as given, or as shipped under that name."""
        present = self._present(record)
        if present is None:
            return _checked(schema_by_name(record) if given is None else parse_schema(given))
        if given is not None and given != present.schema:
            raise InvalidInput(f"{self.kind}/{self.session_id}/{record} has another schema: leave it out, or choose another name", "schema")
        return present.schema

    def _present(self, record: str) -> Dataset | None:
        if arguments.text(record, "record") not in self._datasets:
            try:
                found = self._surface[self.kind, self.session_id, record]
            except NotFound:
                return None
            if found.rows:
                raise self._conflict(record)
            self._datasets[record] = found
        return self._datasets[record]

    def _dataset(self, record: str, schema: Schema) -> Dataset:
        present = self._present(record)
        if present is None:
            present = self._surface.create((self.kind, self.session_id, record), schema, exist_ok=True)
            if present.rows:  # another writer made it, and added to it, since this one looked
                raise self._conflict(record)
            self._datasets[record] = present
        return present

    def _refuse_strangers(self) -> None:
        """One look at what there is, and one at each kind of records: never more, however long the session is."""
        for record in self._surface.names(self.kind, self.session_id):
            known = self._datasets.get(record)
            if known is None:
                self._present(record)
            elif not known.is_newest():
                raise self._conflict(record)

    def _conflict(self, record: str) -> Conflict:
        return Conflict(f"another writer added to {self.kind}/{self.session_id}/{record}: recover() first")

    def close(self) -> None:
        """Complete every window of the session, which makes them plain Zarr; it can be read, and reopened by a new session object."""
        for record in self.records():
            dataset = self._surface[self.kind, self.session_id, record]
            for window in dataset.windows():
                if dataset.manifest(window).completeness != "complete":
                    dataset.update(window=window, completeness="complete", reason="session closed")


def _unnumbered(data: Any, schema: Schema) -> Rows:
    """The caller's rows, taken as if the sequence were theirs to leave out."""
    column = msgspec.structs.replace(schema.column(SEQUENCE), nullable=True)
    columns = tuple(column if known.name == SEQUENCE else known for known in schema.columns)
    rows = rows_from(data, msgspec.structs.replace(schema, columns=columns))
    if rows.count and SEQUENCE in rows.arrays:
        msg = "the session numbers its records: leave the column out"
        raise InvalidInput(msg, SEQUENCE)
    return Rows(schema=schema, count=rows.count, arrays=rows.arrays, labels=rows.labels)


def _checked(schema: Schema) -> Schema:
    if SEQUENCE not in schema.names or schema.column(SEQUENCE).dtype != "uint64" or schema.column(SEQUENCE).nullable:
        msg = f"schema {schema.name} has no uint64 column {SEQUENCE!r} without nulls, which records of a session need"
        raise InvalidInput(msg, "schema")
    return schema
