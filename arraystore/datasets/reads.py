"""Ways to read a dataset that aren't one range of rows: the rows in force at many times, and window after window."""

from collections.abc import Iterable
from typing import Any, overload

from arraystore import arguments
from arraystore.arguments import TimeLike
from arraystore.datasets.ahead import WindowLoader
from arraystore.datasets.asof import DurationLike, Lookup, parse_asked
from arraystore.datasets.rowsview import RowsView
from arraystore.errors import InvalidInput
from arraystore.frames.asof import AsOf
from arraystore.frames.windowframe import WindowFrame
from arraystore.versions.state import State
from layouts.classes import Action
from layouts.windows import parse_window


class Reads(RowsView):
    """These, for `DatasetView`."""

    @overload
    def windows(self, start: TimeLike | None = None, end: TimeLike | None = None) -> tuple[str, ...]: ...

    @overload
    def windows(
        self,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        *,
        prefetch: int,
        columns: Iterable[str] | None = None,
        instruments: Iterable[str] | str | None = None,
        threads: int | None = None,
    ) -> WindowLoader: ...

    def windows(
        self,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        *,
        prefetch: int | None = None,
        columns: Iterable[str] | None = None,
        instruments: Iterable[str] | str | None = None,
        threads: int | None = None,
    ) -> tuple[str, ...] | WindowLoader:
        """Names of all windows with rows, coverage or attributes (of an experiment run: its series), in order; or what is in them.

        Parameters
        ----------
        start, end
            Only windows that reach into `[start, end)`, and with `prefetch` only their rows in it; None for open.
        prefetch
            Instead of names, give the windows' rows one after another, as `WindowFrame`: a `Frame` with `window`, `manifest` and `pin`.
            So many of those that follow are read in the background meanwhile, and held in memory; 0 reads each when its turn comes.
        columns, instruments, threads
            With `prefetch`: as for `read`.

        Examples
        --------
        >>> import arraystore
        >>> store = arraystore.open_store("memory://loader", role="data-quality", create=True)
        >>> trades = store.canonical.create(("venue", "trades", "X"), arraystore.schema_by_name("trades"))
        >>> day = 86_400 * 10**9
        >>> rows = {"time": [0, 1, day], "price": [1.0, 2.0, 3.0], "size": [1.0, 1.0, 1.0], "side": [1, 1, 1], "flags": [0, 0, 0]}
        >>> receipt = trades.append(rows)
        >>> trades.windows()
        ('1970-01-01', '1970-01-02')
        >>> for frame in trades.windows(prefetch=1, columns=["price"]):
        ...     print(frame.window, frame.manifest.completeness, frame["price"])
        1970-01-01 open [1. 2.]
        1970-01-02 open [3.]
        """
        view = self._still()
        span = arguments.bounds(start, end)
        names = _reaching(view._state, span)  # noqa: SLF001 - it is this one
        if prefetch is None:
            if not (columns is None and instruments is None and threads is None):
                raise InvalidInput("columns, instruments and threads are of reading: give prefetch=0 or more too", "prefetch")
            return view._told(names)  # noqa: SLF001
        self._place.require(Action.READ)
        ahead, threads = arguments.whole(prefetch, "prefetch", 0), arguments.threads(threads)
        if view._state.schema is not None:  # noqa: SLF001
            columns = None if columns is None else arguments.columns(view.schema, columns)
            arguments.instruments(view.schema, instruments)

        def read(window: str) -> WindowFrame:
            frame = view.read(*span, columns, window=window, instruments=instruments, threads=threads)
            return WindowFrame(frame.rows, frame.pin, view.manifest(window))

        return WindowLoader(read, view._told(names), ahead)  # noqa: SLF001

    def as_of(
        self,
        times: Any,
        columns: Iterable[str] | None = None,
        *,
        by: Any = None,
        lag: DurationLike | Iterable[DurationLike] | None = None,
        tolerance: DurationLike | None = None,
        clock: str | None = None,
        window: str | None = None,
        threads: int | None = None,
    ) -> AsOf:
        """For each of many times the row in force: the one with the greatest `clock` at or before the time.

        Of rows at that very clock it is the last in the dataset's order. Where clocks step back, as they may in arrival order, it is
        the greatest clock that counts, and not the row that came last. Rows whose clock is null are never in force. Only the chunks
        that can hold such a row are decoded, and of other columns only those that do (where segments in time order overlap, their
        clocks are read whole).

        Parameters
        ----------
        times
            One column of times as `append` takes it: int64 ns since 1970 UTC, datetime64, ISO 8601 texts, a Series, an Arrow array. In
            any order, and any number of times each. Where one is null, nothing is in force.
        columns
            Names, in the order wanted; None for all.
        by
            In datasets of many instruments: only rows of this instrument are in force; one text for all times, or one for each. They
            are matched as `instruments=` of `read` does.
        lag
            Added to the times: `"30s"` looks at 30 s after each, as markouts do, and `"-1s"` at 1 s before. A list of lags adds a
            second dimension, in its order.
        tolerance
            How much earlier than the time (with its lag) the row's clock may be, at most; None for any.
        clock
            A time column with a clock's role; the axis clock by default.
        window
            Only rows of this window (for an experiment run: this series).
        threads
            Decoders at work; the number of cores by default.

        Returns
        -------
        AsOf
            A mapping of columns in the shape `(times,)`, or `(times, lags)` of a list of lags, with `found`, `time` and `row`.

        Examples
        --------
        >>> import arraystore
        >>> store = arraystore.open_store("memory://markouts", role="data-quality", create=True)
        >>> trades = store.canonical.create(("venue", "trades", "X"), arraystore.schema_by_name("trades"))
        >>> second = 10**9
        >>> rows = {"time": [0, 2 * second], "price": [1.0, 2.0], "size": [1.0, 1.0], "side": [1, 1], "flags": [0, 0]}
        >>> receipt = trades.append(rows)
        >>> trades.as_of([second, 0], ["price"], lag=["-1s", "0s", "1s"])["price"]
        array([[ 1.,  1.,  2.],
               [nan,  1.,  1.]])
        """
        self._place.require(Action.READ)
        threads = arguments.threads(threads)
        view = self._still()
        schema = view.schema_of(window) if window is not None else view.schema
        wanted, clock = arguments.columns(schema, columns), arguments.clock(schema, clock)
        asked = parse_asked(schema, times, by, lag, tolerance)
        windows = view._state.window_names() if window is None else (view._on_disk(window),)  # noqa: SLF001 - it is this one
        lookup = Lookup(view._log, view._state, view._place.storage, windows, schema, clock)  # noqa: SLF001
        named = () if columns is None else wanted
        return lookup.find(asked, wanted, view.pin(columns=named, window=window), threads)


def _reaching(state: State, span: tuple[int | None, int | None]) -> Iterable[str]:
    """Windows, as they are called on disk, that reach into a range of time."""
    names = state.window_names()
    if span == (None, None):
        return names
    if state.schema is None:
        raise InvalidInput("its series aren't cut along time: leave out start and end", "start")
    start, end = span
    within = ((name, parse_window(name)) for name in names)
    return [name for name, window in within if (start is None or window.stop > start) and (end is None or window.start < end)]
