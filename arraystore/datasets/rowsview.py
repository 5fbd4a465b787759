"""A dataset at one version as its rows: what they are, and reading them."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from arraystore import arguments
from arraystore.arguments import TimeLike
from arraystore.datasets.reading import Levels, Reading, Request, RowRange
from arraystore.errors import NotFound
from arraystore.frames.frame import Frame
from arraystore.frames.scan import Scan
from arraystore.place import Place
from arraystore.versions.commit import Pin
from arraystore.versions.log import Log
from arraystore.versions.manifest import Manifest, manifest_of
from arraystore.versions.state import State, WindowState
from layouts.classes import Action
from layouts.naming import escape, unescape
from layouts.schema import Schema
from layouts.windows import parse_window

type Span = tuple[int | None, int | None]

SCAN_BYTES = 256 << 20
PREFETCH_LIMIT = 64


class RowsView:
    """What a dataset held at one version, as seen by one role: its rows, to read, and what they are. `DatasetView` is one."""

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
    def schema(self) -> Schema:
        """The schema in force; NotFound for a dataset of several series (an experiment run): see `schema_of`."""
        if self._state.schema is None:
            series = list(self._told(self._state.window_names()))
            raise NotFound(f"{self._place} keeps several series, each with its own schema: use schema_of(window), one of {series}")
        return self._state.schemas[self._state.schema]

    def schema_of(self, window: str) -> Schema:
        """The schema that a window is read in: the one in force; of a series, that of its newest rows."""
        segments = self._window(window).segments
        if self._state.schema is not None or not segments:
            return self.schema
        return self._state.schemas[segments[-1].schema]

    def manifest(self, window: str) -> Manifest:
        """The Dataset Manifest of a window."""
        self._place.require(Action.READ)
        found = self._window(window)
        return manifest_of(self._place, found, *self._told((found.window,)))

    def _still(self) -> "RowsView":
        """This version and no other, though another thread may move this handle on meanwhile."""
        return RowsView(self._place, self._log, self._state)

    def _window(self, window: str) -> WindowState:
        name = self._on_disk(window)
        if not self._state.has_window(name):
            there = arguments.some(self._told(self._state.window_names()))
            raise NotFound(f"{self._place} has no window {window!r} at version {self.version}; it has {there}")
        with self._log.explained(self.version):
            return self._state.window(name)

    def _told(self, names: Iterable[str]) -> tuple[str, ...]:
        """What windows are called to users, who name series as they like."""
        return tuple(names) if self._state.schema is not None else tuple(map(unescape, names))

    def _on_disk(self, window: str) -> str:
        """What a window is called in records and paths: a series' name is escaped there."""
        return window if self._state.schema is not None or not isinstance(window, str) else escape(window)

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
        rows: RowRange | None = None,
        every: int = 1,
        levels: Levels | None = None,
        out: Mapping[str, np.ndarray] | None = None,
        memory: int | None = None,
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
        rows
            Instead of all these: rows from one number to before another in reading order, over the whole dataset or `window`, as a
            slice has them: negative ones count from the end, None is open.
        every
            Each so many-th of the selected rows, the first one first; chunks without such a row aren't decoded.
        levels
            Of two-dimensional columns only the first so many levels, or those `(from, to)`; the frame's schema has as many.
        out
            By column, arrays to read into: of the column's dtype (times also as `datetime64[ns]`), C-contiguous, writable, apart from each
            other, with room for as many rows or more. The frame's columns are their first rows. After an error their contents are
            undefined. Text and bytes have no fixed size, and can't be among them.
        memory
            Bytes that the result, but for `out`, may take; a larger one is refused before it is allocated. What a few chunks take
            is beside it.
        threads
            Decoders at work; the number of cores by default.

        Returns
        -------
        Frame
            With `pin`, which says exactly which bytes these are; where a range is of another clock than the axis, or of rows, those of the
            whole version or window; of one series of several, those of all; and always of all instruments, rows and levels.

        Raises
        ------
        InvalidInput
            What is asked for can't be, or doesn't fit; the message says what would.
        """
        self._place.require(Action.READ)
        view, request = self._asked(
            window, start, end, columns, clock, instruments, rows=rows, every=every, levels=levels, out=out, memory=memory, threads=threads
        )
        return Frame(view._reading(request, window).read(), pin=view._pin_read(request, columns, window))  # noqa: SLF001 - it is this one

    def last(
        self,
        n: int,
        columns: Iterable[str] | None = None,
        *,
        window: str | None = None,
        instruments: Iterable[str] | str | None = None,
        threads: int | None = None,
    ) -> Frame:
        """The last `n` rows in reading order, or as many as there are, of these columns, this window, these instruments: see `read`.

        Decodes the last chunks only. Of instruments that are rare it looks through more and more rows before, but never through others
        than of chunks that may have them.

        Examples
        --------
        >>> import arraystore
        >>> store = arraystore.open_store("memory://last", role="data-quality", create=True)
        >>> trades = store.canonical.create(("venue", "trades", "X"), arraystore.schema_by_name("trades"))
        >>> trades.append({"time": [1, 2], "price": [1.0, 2.0], "size": [1.0, 1.0], "side": [1, 1], "flags": [0, 0]}).version
        2
        >>> trades.last(1)["price"]
        array([2.])
        """
        self._place.require(Action.READ)
        count = arguments.whole(n, "n", 0)
        view, request = self._asked(window, None, None, columns, None, instruments, threads=threads)
        return Frame(view._reading(request, window).last(count), pin=view._pin_read(request, columns, window))  # noqa: SLF001 - it is this one

    def scan(
        self,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        columns: Iterable[str] | None = None,
        *,
        clock: str | None = None,
        window: str | None = None,
        instruments: Iterable[str] | str | None = None,
        rows: RowRange | None = None,
        every: int = 1,
        levels: Levels | None = None,
        memory: int = SCAN_BYTES,
        prefetch: int = 1,
        threads: int | None = None,
    ) -> Scan:
        """What `read` returns for the same arguments, in batches: frames that follow each other, none of them empty.

        The result is an Arrow stream, too, for whatever takes one: `pyarrow.RecordBatchReader.from_stream(dataset.scan(…))`.

        However much there is, batches take at most `memory` bytes: the one that the caller holds and the `prefetch` ones that are
        loaded meanwhile (0: each is loaded when it is asked for), of equal shares. Who keeps frames keeps their memory. Batches may differ
        in which labels their codes stand for. Arguments are checked at once; the version is that of the call.

        Raises
        ------
        InvalidInput
            As `read`; and where a single row doesn't fit.
        """
        self._place.require(Action.READ)
        memory, prefetch = arguments.whole(memory, "memory", 1), arguments.whole(prefetch, "prefetch", 0, PREFETCH_LIMIT)
        view, request = self._asked(window, start, end, columns, clock, instruments, rows=rows, every=every, levels=levels, threads=threads)
        pin = view._pin_read(request, columns, window)  # noqa: SLF001 - it is this one
        batches = view._reading(request, window).batches(memory, prefetch)  # noqa: SLF001
        return Scan(request.frame_schema, pin, (Frame(batch, pin=pin) for batch in batches))

    def _asked(self, window: str | None, *asked: Any, **more: Any) -> tuple["RowsView", Request]:
        """This version and no other, though another thread may move this handle on meanwhile; and what is to be read of it."""
        view = self._still()
        return view, Request.parse(view.schema if window is None else view.schema_of(window), *asked, **more)

    def _reading(self, request: Request, window: str | None) -> Reading:
        return Reading(self._log, self._state, None if window is None else self._on_disk(window), request)

    def _pin_read(self, request: Request, columns: Iterable[str] | None, window: str | None) -> Pin:
        """What names the bytes that a request reads."""
        return self._named(*self._pinned(request.span, request.clock, window), () if columns is None else request.columns)

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
        return self._named(first, last, names)

    def _named(self, first: int | None, last: int | None, names: tuple[str, ...]) -> Pin:
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
