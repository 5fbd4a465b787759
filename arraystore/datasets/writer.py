"""How rows become a version: plan by window, write segments, publish; again if another writer changed the ground."""

import random
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from logging import WARNING
from typing import Any, NamedTuple

import msgspec
import numpy as np

from arraystore.datasets.evolution import in_force, settle
from arraystore.datasets.parts import load_parts
from arraystore.datasets.request import Cut, Request
from arraystore.datasets.tombstone import gone
from arraystore.errors import ArrayStoreError, Conflict, InvalidInput, PlanExpired, VersionExpired, WindowClosed
from arraystore.frames.rows import Rows, concat
from arraystore.logs import tell
from arraystore.segments.reader import Selection, read
from arraystore.segments.segment import write_segments
from arraystore.segments.tail import encode_tail
from arraystore.versions.commit import Interval, SegmentEntry, WindowChange
from arraystore.versions.draft import Draft, draft_commit
from arraystore.versions.log import Log
from arraystore.versions.state import State, WindowState
from layouts.chunking import COMMIT_TAILS_BYTES, TAIL_BYTES, TAIL_COUNT, TAIL_TOTAL_BYTES, TINY_TAIL_BYTES
from layouts.cuts import cut_by_window, window_of, windows_of
from layouts.schema import Order, Schema
from layouts.times import format_time

WINDOWS_LIMIT = 250_000  # of one commit: more days than times can name
LINEAGE_LIMIT = 500_000  # windows times inputs of one commit: each window's manifest has all of them, some 240 bytes each
REPLANS_BEFORE_LOCKING = 2
REPLANS_BEFORE_YIELDING = 4  # where no lock queues writers, who fold tails or write segments would lose for as long as others are quicker
REPLANS = 100
YIELDED_TAILS = 16  # times the number and bytes of tails at which they must be folded otherwise
PATIENCE = 1.0  # seconds at most before another attempt
WITHDRAWN = "withdrawn"  # the attribute of a window that was


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowPlan:
    """What a request does to one window, seen from one state: nothing here has been written."""

    window: str
    rows: Rows | None
    ready: tuple[SegmentEntry, ...]  # written before, as parts of a stream
    as_tail: bool
    absorbed: tuple[SegmentEntry, ...]
    removed: tuple[SegmentEntry, ...]
    coverage: tuple[Interval, ...]
    completeness: str | None
    schema_number: int
    attributes: Mapping[str, Any]

    @property
    def ground(self) -> tuple[object, ...]:
        """What of the state the written segments stand on; another ground needs other segments."""
        return (self.window, self.as_tail, tuple(entry.name for entry in self.absorbed), self.schema_number, self.completeness)


type Piece = tuple[Rows | None, tuple[Interval, ...]]
type _Pieces = dict[str, Piece]


class _GroundMoved(Exception):
    """The state differs from the one planned on, in what the segments stand on."""


def schema_number(state: State, schema: Schema) -> int:
    """The schema's place in the dataset's history; one past the last for a new one."""
    for number, known in enumerate(state.schemas):
        if known == schema:
            return number
    return len(state.schemas)


def settled(state: State, request: Request) -> Request:
    """The request as it is to be carried out on a state: its rows have the schema in force there."""
    rows = settle(state, request.rows, request.window, request.written)
    return request if rows is request.rows else replace(request, rows=rows)


def plan(state: State, request: Request, *, yielding: bool = False) -> tuple[WindowPlan, ...]:
    """Which windows the request touches and how. Pure; raises where the state forbids it.

    `yielding`: to others who keep changing the ground, so rows that would fold tails or be a segment are a tail if they can be.
    """
    if state.sealed:
        msg = f"dataset {state.dataset} is sealed since version {state.version}: write to a new one"
        raise WindowClosed(msg)
    pieces = sorted(_pieces(state, request).items())
    if request.state != "sealed":  # which nobody could do in parts
        _refuse_much_lineage(len(pieces), len(request.inputs))
    most = _Tails(COMMIT_TAILS_BYTES, YIELDED_TAILS) if yielding else _Tails(TAIL_BYTES)
    plans = tuple(_plan_window(state, request, name, rows, coverage, most) for name, (rows, coverage) in pieces)
    limit = _tail_limit([planned.rows.nbytes for planned in plans if planned.as_tail and planned.rows is not None], most.rows_bytes)
    if limit == most.rows_bytes:
        return plans
    less = most._replace(rows_bytes=limit)
    return tuple(_plan_window(state, request, name, rows, coverage, less) for name, (rows, coverage) in pieces)


def _refuse_much_lineage(windows: int, inputs: int) -> None:
    """Every window keeps what it came from, so that many inputs of many windows are more than anybody would read."""
    if windows > 1 and windows * inputs > LINEAGE_LIMIT:
        told = f"{inputs:,} inputs of {windows:,} windows are {windows * inputs:,} entries of lineage, more than {LINEAGE_LIMIT:,}"
        raise InvalidInput(f"{told}: pass one pin with a wider range for many narrow ones, or write fewer windows at once", "inputs")


class _Tails(NamedTuple):
    """How many bytes of rows a tail may have, and how often the number and bytes there may be before they are folded."""

    rows_bytes: int
    times: int = 1


def _tail_limit(sizes: list[int], most: int) -> int:
    """How large a window's rows may be to stay in the commit, so that it doesn't grow beyond what is read at once with ease."""
    if sum(sizes) <= COMMIT_TAILS_BYTES:
        return most
    limit, total = TINY_TAIL_BYTES, 0
    for size, alike in groupby(sorted(sizes)):
        total += size * len(list(alike))
        if total > COMMIT_TAILS_BYTES:
            break
        limit = max(limit, size)
    return limit


def _plan_of_tails(state: State, request: Request, *, yielding: bool) -> tuple[Request, tuple[WindowPlan, ...]] | None:
    """The settled request and its plan, if only tails would be written; else None, and where a state, perhaps an old one, forbids it."""
    try:
        ours = settled(state, request)
        plans = plan(state, ours, yielding=yielding)
    except ArrayStoreError:
        return None
    return (ours, plans) if all(planned.as_tail for planned in plans) else None


def _pieces(state: State, request: Request) -> _Pieces:
    """The request's rows and coverage, by window."""
    if request.state == "sealed":
        unfinished: _Pieces = {name: (None, ()) for name in state.window_names() if state.summary(name).completeness != "complete"}
        return unfinished | ({} if request.window is None else {request.window: (request.rows, request.coverage)})
    if request.window is not None and request.replaces is None:
        return {request.window: (request.rows, request.coverage)}
    pieces = _by_time(state, request)
    if request.window is not None:
        if wrong := sorted(set(pieces) - {request.window}):
            msg = f"rows or coverage lie in {wrong[:3]}, outside of window {request.window}: leave them out, or replace those windows too"
            raise InvalidInput(msg, "data")
        return {request.window: (None, ())} | pieces
    for name, given in (("completeness", request.completeness), ("window_attributes", request.window_attributes)):
        if given and not pieces:
            raise InvalidInput("no rows and no coverage, so there is no window to tell it of: pass coverage=[(start, end)]", name)
    if len(pieces) > WINDOWS_LIMIT:
        raise InvalidInput(f"rows lie in {len(pieces)} windows, more than {WINDOWS_LIMIT}: append less at once", "data")
    return pieces


def _by_time(state: State, request: Request) -> _Pieces:
    """The request's rows, those written before and its coverage, by window."""
    rows = request.rows
    schema = rows.schema if rows is not None else in_force(state) or state.schemas[0]
    return pieces_of(schema, rows, request.coverage, request.written, request.cut())


def pieces_of(
    schema: Schema, rows: Rows | None, coverage: Iterable[Interval], written: Iterable[str] = (), cut: Cut | None = None
) -> _Pieces:
    """Rows cut at window bounds (`cut` tells where), and so is the coverage; windows that were written before have a piece in any case."""
    pieces: _Pieces = {}
    if rows is not None and rows.count:
        for window, place in cut_by_window(schema, rows.arrays[schema.axis]) if cut is None else cut:
            pieces[window.name] = (rows.slice(place.start, place.stop) if isinstance(place, slice) else rows.take(place), ())
    pieces |= dict.fromkeys(written, (None, ()))
    for start, stop in coverage:
        first = window_of(schema, start)
        if (stop - start) // (first.stop - first.start) > WINDOWS_LIMIT:
            told = f"{format_time(start)} to {format_time(stop)} touches more than {WINDOWS_LIMIT} windows"
            raise InvalidInput(f"{told}: cover less at once", "coverage")
        for window in windows_of(schema, start, stop):
            part, known = pieces.get(window.name, (None, ()))
            pieces[window.name] = (part, (*known, (max(start, window.start), min(stop, window.stop))))
    return pieces


def _plan_window(state: State, request: Request, name: str, rows: Rows | None, coverage: tuple[Interval, ...], most: _Tails) -> WindowPlan:
    before = state.window(name)
    replacing = request.replaces is not None
    seen = request.replaces if replacing else request.seen
    if seen is not None and before.version > seen:
        msg = f"window {name} changed in version {before.version}, after version {seen} that this call saw: refresh and correct again"
        tell(WARNING, "conflict", window=name, version=before.version, problem=msg)
        raise Conflict(msg)
    if before.completeness == "complete" and not replacing and not request.reopen:
        msg = f"window {name} is complete since version {before.version}: pass reopen=True to add to it in a new version"
        raise WindowClosed(msg)
    ready = request.written.get(name, ())
    has_rows = rows is not None and rows.count > 0
    refilled = (has_rows or bool(ready)) and WITHDRAWN in before.attributes and not replacing
    if refilled and not request.reopen:
        told = f"was withdrawn in version {before.version} ({before.attributes[WITHDRAWN]})"
        raise WindowClosed(f"window {name} {told}: pass reopen=True to fill it again, or replace it")
    reopened = (has_rows or bool(ready)) and not replacing and before.completeness == "complete"
    completeness = request.completeness or ("open" if reopened else None)
    count, total = (0, 0) if replacing else before.tail_totals
    size = rows.nbytes if rows is not None else 0
    closing = completeness == "complete" or request.state == "sealed"
    full = count + 1 >= TAIL_COUNT * most.times or total + size >= TAIL_TOTAL_BYTES * most.times
    as_tail = not closing and not full and size <= most.rows_bytes and not ready
    tails = () if replacing or (as_tail and rows is not None) else before.tails  # a look at each, so only if need be
    return WindowPlan(
        window=name,
        rows=rows if has_rows else None,
        ready=ready,
        as_tail=as_tail,
        absorbed=() if as_tail or not (has_rows or ready or closing) else tails,
        removed=before.segments if replacing else (),
        coverage=coverage,
        completeness=completeness,
        schema_number=_schema_number(state, rows, tails),
        attributes={WITHDRAWN: None, **request.window_attributes} if refilled else request.window_attributes,
    )


def _schema_number(state: State, rows: Rows | None, tails: Sequence[SegmentEntry]) -> int:
    """The schema a window's new segment will have: that of the rows, or of the tails that are folded by themselves."""
    if rows is not None:
        return schema_number(state, rows.schema)
    if state.schema is not None:
        return state.schema
    return tails[-1].schema if tails else 0


class Writer:
    """Writes to one dataset, which its UUID tells from another of the same key. Stateless between calls; safe to share between threads."""

    def __init__(self, log: Log, dataset: str) -> None:
        self._log = log
        self._dataset = dataset

    def commit(self, request: Request) -> tuple[State, tuple[str, ...] | None]:
        """Make the request the next version, durable and whole.

        Returns the state after it and the windows it touched; None for them if the request's token was committed before.
        """
        for attempt in range(REPLANS):
            try:
                if attempt < REPLANS_BEFORE_LOCKING:
                    return self._attempt(request, locked=False)
                if (lost := attempt - REPLANS_BEFORE_YIELDING) >= 0:
                    time.sleep(random.uniform(0, min(PATIENCE, 0.01 * 2**lost)))  # noqa: S311 - of no secret
                with self._log.lock():
                    return self._attempt(request, locked=True, yielding=lost >= 0)
            except _GroundMoved:
                continue
            except VersionExpired:  # tails that were to be taken in: others did that, and retention came after them
                continue
            except PlanExpired:  # written below a floor that came meanwhile, and perhaps gone: write them again under new names
                if request.written:
                    raise
        msg = f"{self._log.prefix}: other writers changed the same windows {REPLANS} times in a row; try again"
        tell(WARNING, "conflict", dataset=self._log.address, problem=msg)
        raise Conflict(msg)

    def _attempt(self, request: Request, *, locked: bool, yielding: bool = False) -> tuple[State, tuple[str, ...] | None]:
        # What writes no segments and isn't refused needs no newest state to plan on: publishing decides on that anyway.
        known = self._log.known()
        tails = _plan_of_tails(known, request, yielding=yielding) if known.alive and known.dataset == self._dataset else None
        written: dict[str, list[SegmentEntry]] = {}
        if tails is not None:
            plans = tails[1]
        else:
            state = self._log.head()
            self.refuse_another(state)
            if _is_done(state, request):
                return self._log.publish(lambda _: None, locked=locked), None
            plans = plan(state, settled(state, request), yielding=yielding)
            written = {planned.window: entries for planned, entries in self._write(state, plans)}

        done = False

        def decide(now: State) -> Draft | None:
            nonlocal done
            self.refuse_another(now)
            done = _is_done(now, request)
            if done:
                return None
            if tails is not None and now is known:
                return _draft(now, *tails, written)
            ours = settled(now, request)
            current = plan(now, ours, yielding=yielding)
            if [planned.ground for planned in current] != [planned.ground for planned in plans]:
                raise _GroundMoved
            return _draft(now, ours, current, written)

        after = self._log.publish(decide, locked=locked)
        return after, None if done else tuple(planned.window for planned in plans)

    def refuse_another(self, state: State) -> None:
        """Raise unless this is still the dataset that the writer was made for."""
        if not state.alive or state.dataset != self._dataset:
            raise gone(self._log, state, self._dataset)

    def _write(self, state: State, plans: Sequence[WindowPlan]) -> list[tuple[WindowPlan, list[SegmentEntry]]]:
        """Write the planned segments, durable before this returns."""
        todo = [planned for planned in plans if not planned.as_tail and (planned.rows is not None or planned.absorbed)]
        if not todo:
            return []
        written = []
        with self._log.batch(state.version) as batch:
            for planned in todo:
                rows = self._with_tails(state, planned)
                prefix, number = f"{self._log.prefix}/{planned.window}", planned.schema_number
                entries = write_segments(batch, prefix, rows, base_version=state.version, schema_number=number, profile=state.profile)
                if planned.absorbed:
                    entries[0] = msgspec.structs.replace(entries[0], order=planned.absorbed[0].order)
                written.append((planned, entries))
        return written

    def _with_tails(self, state: State, planned: WindowPlan) -> Rows:
        """The window's tails, in order, then the new rows."""
        if not planned.absorbed:
            assert planned.rows is not None
            return planned.rows
        schema = planned.rows.schema if planned.rows is not None else state.schemas[planned.schema_number]
        parts = load_parts(self._log, state, WindowState(window=planned.window, segments=planned.absorbed))
        tails = read(self._log.storage, parts, schema, Selection())
        rows = tails if planned.rows is None else concat([tails, planned.rows])
        return _in_time_order(rows) if schema.order is Order.TIME else rows


def _in_time_order(rows: Rows) -> Rows:
    """The stable merge by axis time."""
    times = rows.arrays[rows.schema.axis]
    return rows if (times[1:] >= times[:-1]).all() else rows.take(np.argsort(times, kind="stable"))


def _is_done(state: State, request: Request) -> bool:
    """Whether the request's token was committed already; raises for one that its writer is past."""
    if request.token is None:
        return False
    writer, sequence = request.token
    latest = state.writers.get(writer, (-1, 0))[0]
    if sequence < latest:
        msg = f"({writer!r}, {sequence}) is behind ({writer!r}, {latest}), this writer's latest: sequences must increase"
        raise InvalidInput(msg, "token")
    return sequence == latest


def _draft(state: State, request: Request, plans: Sequence[WindowPlan], written: Mapping[str, list[SegmentEntry]]) -> Draft:
    """The commit that carries out the plans, on the state it will follow."""
    changes: list[WindowChange] = []
    pieces: list[bytes] = []
    for planned in plans:
        tail = None
        if planned.as_tail and planned.rows is not None:
            start = sum(map(len, pieces))
            tail, more = encode_tail(planned.rows, planned.schema_number, start)
            pieces += more
        changes.append(
            WindowChange(
                window=planned.window,
                remove=tuple(entry.name for entry in (*planned.absorbed, *planned.removed)),
                add=(*written.get(planned.window, ()), *planned.ready),
                tail=tail,
                coverage=planned.coverage,
                completeness=planned.completeness,
                attributes=dict(planned.attributes),
                reset=request.replaces is not None,
            )
        )
    new_schema = request.rows is not None and schema_number(state, request.rows.schema) == len(state.schemas)
    commit = draft_commit(
        request.operation,
        request.role,
        schemas=(request.rows.schema,) if new_schema and request.rows is not None else (),
        windows=tuple(changes),
        inputs=request.inputs,
        token=request.token,
        attributes=dict(request.attributes),
        state=request.state,
        reason=request.reason,
    )
    return Draft(commit, pieces)
