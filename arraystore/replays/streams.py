"""What is replayed, resolved and checked before a byte is read: each stream's clock, tie columns, columns and windows."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from arraystore import arguments
from arraystore.datasets.view import DatasetView
from arraystore.errors import InvalidInput, Problem
from arraystore.storage.base import Storage
from arraystore.versions.commit import Pin
from arraystore.versions.log import Log
from arraystore.versions.state import State
from layouts.classes import Action
from layouts.naming import format_key
from layouts.schema import Clock, Kind, Order, Schema
from layouts.times import format_time

STREAMS_LIMIT = 1 << 16
CLOSE_TIME = "close_time"
TIE_KINDS = (Kind.NUMBER, Kind.TIME, Kind.VOCABULARY, Kind.FLAGS, Kind.DECIMAL)


@dataclass(frozen=True, slots=True)
class ReplayStream:
    """One stream of a replay, where its dataset alone doesn't say enough.

    Attributes
    ----------
    dataset
        The dataset, at the version that the handle sees.
    name
        What records and messages call it; its key by default. Names of one replay differ.
    clock, columns
        As `replay` takes them, for this stream.
    window
        Only this window (of an experiment run: this series).
    instruments
        Only rows of these, in a dataset of many.
    """

    dataset: DatasetView
    name: str | None = field(default=None, kw_only=True)
    clock: str | None = field(default=None, kw_only=True)
    columns: Iterable[str] | None = field(default=None, kw_only=True)
    window: str | None = field(default=None, kw_only=True)
    instruments: Iterable[str] | str | None = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Input:
    """A stream as the merge needs it. `ties` names its tie columns, None where it hasn't got one."""

    rank: int
    name: str
    place: str
    storage: Storage
    log: Log
    state: State
    schema: Schema
    clock: str
    columns: tuple[str, ...]
    ties: tuple[str | None, ...]
    tie_dtypes: tuple[np.dtype, ...]
    windows: tuple[str, ...]
    labels: tuple[str, frozenset[str]] | None
    pin: Pin
    told: Mapping[str, Any]

    @property
    def needs_axis(self) -> bool:
        """Whether its rows are in time order, while another clock decides: then ties are told by the axis, as a read tells them."""
        return self.schema.order is Order.TIME and self.clock != self.schema.axis

    @property
    def schema_given(self) -> Schema:
        """The columns wanted, in that order."""
        return msgspec.structs.replace(self.schema, columns=tuple(map(self.schema.column, self.columns)))

    @property
    def read_schema(self) -> Schema:
        """The columns that are read: those wanted, and those that decide."""
        names = {*self.columns, self.clock, *(tie for tie in self.ties if tie)}
        names |= {self.schema.axis} if self.needs_axis else set()
        names |= {self.labels[0]} if self.labels else set()
        return self.schema.only(names)


def resolve(
    streams: Iterable[DatasetView | ReplayStream],
    *,
    start: int | None,
    stop: int | None,
    clock: str | None,
    ties: Iterable[str] | str,
    columns: Iterable[str] | None,
) -> tuple[Input, ...]:
    """Every stream with what it takes, in order of rank; reading must be allowed, and every problem is told."""
    if isinstance(streams, DatasetView | ReplayStream | str | bytes | Mapping) or not isinstance(streams, Iterable):
        raise InvalidInput(f"a {type(streams).__name__} isn't a list of datasets: pass [dataset, …]", "streams")
    given = tuple(each if isinstance(each, ReplayStream) else ReplayStream(each) for each in streams)
    if not 1 <= len(given) < STREAMS_LIMIT:
        raise InvalidInput(f"{len(given)} streams: give 1 to {STREAMS_LIMIT - 1}", "streams")
    for place, each in enumerate(given):
        if not isinstance(each.dataset, DatasetView):
            raise InvalidInput(f"a {type(each.dataset).__name__} isn't a dataset: open one as store.canonical[key]", f"streams[{place}]")
        each.dataset._place.require(Action.READ)  # noqa: SLF001 - no byte is read before
    names = _names(given)
    wanted = arguments.texts((ties,) if isinstance(ties, str) else ties, "ties")
    columns = None if columns is None else arguments.texts((columns,) if isinstance(columns, str) else columns, "columns")
    schemas = [each.dataset.schema if each.window is None else each.dataset.schema_of(each.window) for each in given]
    _require_known(schemas, wanted, "ties")
    _require_known(schemas, columns or (), "columns")
    dtypes = tuple(_tie_dtype(schemas, tie) for tie in wanted)
    shared = _Shared(start, stop, clock, wanted, dtypes, columns)
    return tuple(_resolve(rank, each, names[rank], schemas[rank], shared) for rank, each in enumerate(given))


@dataclass(frozen=True, slots=True)
class _Shared:
    """What holds for all streams that don't say otherwise."""

    start: int | None
    stop: int | None
    clock: str | None
    ties: tuple[str, ...]
    tie_dtypes: tuple[np.dtype, ...]
    columns: tuple[str, ...] | None


def _resolve(rank: int, each: ReplayStream, name: str, schema: Schema, shared: _Shared) -> Input:
    view = each.dataset
    state, log, place = view._state, view._log, view._place  # noqa: SLF001 - read once, since another thread may move the handle on
    still = DatasetView(place, log, state)
    windows = _windows(still, each.window)
    clock = _clock(schema, state, windows, each.clock or shared.clock, name)
    if each.columns is not None:
        chosen = arguments.columns(schema, each.columns)
    else:
        chosen = schema.names if shared.columns is None else tuple(column for column in shared.columns if column in schema)
    labels = arguments.instruments(schema, each.instruments)
    on_axis = clock == schema.axis and state.schema is not None
    first, last = (shared.start, shared.stop) if on_axis else (None, None)
    pin = still.pin(first, last, chosen)
    told = {
        "class": pin.storage_class,
        "key": pin.key,
        "dataset": pin.dataset,
        "version": pin.version,
        "digest": pin.digest,
        "window": each.window,
        "clock": clock,
        "columns": chosen,
        "ties": shared.ties,
        "instruments": sorted(labels[1]) if labels else None,
    }
    return Input(
        rank=rank,
        name=name,
        place=str(place),
        storage=place.storage,
        log=log,
        state=state,
        schema=schema,
        clock=clock,
        columns=chosen,
        ties=tuple(tie if tie in schema else None for tie in shared.ties),
        tie_dtypes=shared.tie_dtypes,
        windows=windows,
        labels=labels,
        pin=pin,
        told=told,
    )


def _windows(view: DatasetView, window: str | None) -> tuple[str, ...]:
    if window is None:
        return view.state.window_names()
    view.manifest(window)  # tells a name that isn't there
    return (view._on_disk(window),)  # noqa: SLF001 - another of this version


def _names(given: Sequence[ReplayStream]) -> tuple[str, ...]:
    names = tuple(format_key(each.dataset.key) if each.name is None else arguments.text(each.name, "name", empty=False) for each in given)
    if twice := [name for name, times in Counter(names).items() if times > 1]:
        told = f"{', '.join(twice)} would name several streams: tell them apart with ReplayStream(dataset, name=…)"
        raise InvalidInput(told, "streams")
    return names


def _require_known(schemas: Sequence[Schema], names: Iterable[str], where: str) -> None:
    known = tuple(dict.fromkeys(name for schema in schemas for name in schema.names))
    unknown = [Problem(where, f"no stream has a column {name!r}; there are {', '.join(known)}") for name in names if name not in known]
    if unknown:
        raise InvalidInput(unknown)


def _clock(schema: Schema, state: State, windows: tuple[str, ...], given: str | None, name: str) -> str:
    """The clock given, found to be one, or the default."""
    if given is None:
        return default_clock(schema, state, windows)
    if given not in schema.clocks:
        told = f"stream {name}: {given!r} is no clock of schema {schema.name}; its clocks are {', '.join(schema.clocks)}"
        raise InvalidInput(f"{told}: name one for this stream with ReplayStream(dataset, clock=…)", "clock")
    return given


def default_clock(schema: Schema, state: State, windows: Iterable[str]) -> str:
    """The clock that tells when a row was known to us: the capture time, a bar's close time, else the axis."""
    captured = [column.name for column in schema.columns if column.clock is Clock.CAPTURE]
    seen = {clock for window in windows for clock in state.summary(window).clocks} if captured else set()
    for clock in captured:
        if clock in seen:
            return clock
    return CLOSE_TIME if schema.order is Order.TIME and CLOSE_TIME in schema.clocks else schema.axis


def _tie_dtype(schemas: Sequence[Schema], tie: str) -> np.dtype:
    """The type in which all streams' values of a tie column are compared."""
    columns = [schema.column(tie) for schema in schemas if tie in schema]
    for column in columns:
        if column.kind not in TIE_KINDS or column.levels is not None or column.dtype.startswith("float"):
            kind = f"{column.dtype if column.kind is Kind.NUMBER else column.kind}{' with levels' if column.levels else ''}"
            raise InvalidInput(f"{tie!r} is of kind {kind}: ties are whole numbers, times, flags and vocabularies", "ties")
    places = {column.places for column in columns}
    found = np.result_type(*(np.dtype(column.dtype) for column in columns))
    if len(places) > 1 or found.kind == "f":
        kinds = ", ".join(f"{column.kind} {column.dtype}" for column in columns)
        raise InvalidInput(f"{tie!r} isn't the same in all streams ({kinds}), and can't be compared: leave it out", "ties")
    return found


def range_problems(inputs: Iterable[Input], start: int | None, stop: int | None) -> Iterator[Problem]:
    """Windows in the range none of whose rows has a time on the clock: told before anything is read."""
    for each in inputs:
        for window in each.windows:
            summary = each.state.summary(window)
            axis = each.schema.axis
            if summary.rows and each.clock not in summary.clocks and arguments.overlaps(summary.clocks.get(axis), start, stop):
                first = format_time(summary.clocks[axis][0])
                yield null_problem(each, window, f"all {summary.rows:,} rows from {first} on")


def null_problem(each: Input, window: str, what: str) -> Problem:
    """Rows that have no place in the sequence."""
    told = f"{each.clock!r} is null in {what} of window {window}, which so have no place in the sequence"
    clocks = ", ".join(clock for clock in each.schema.clocks if clock != each.clock)
    remedy = f"take another clock ({clocks}) with ReplayStream(dataset, clock=…), or leave such rows out with nulls='skip'"
    return Problem(f"stream {each.name}", f"{told}: {remedy}")
