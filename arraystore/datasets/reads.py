"""Ways to read a dataset that aren't one range of rows: the rows in force at many times."""

from collections.abc import Iterable
from typing import Any, Protocol

from arraystore import arguments
from arraystore.datasets.asof import DurationLike, Lookup, parse_asked
from arraystore.frames.asof import AsOf
from arraystore.place import Place
from arraystore.versions.commit import Pin
from arraystore.versions.log import Log
from arraystore.versions.state import State
from layouts.classes import Action
from layouts.schema import Schema


class _View(Protocol):
    """What these need of a dataset at one version."""

    _place: Place
    _log: Log
    _state: State

    @property
    def schema(self) -> Schema: ...

    def schema_of(self, window: str) -> Schema: ...

    def pin(self, *, columns: Iterable[str] = (), window: str | None = None) -> Pin: ...

    def _on_disk(self, window: str) -> str: ...

    def _still(self) -> "_View": ...


class Reads:
    """These, for `DatasetView`."""

    def as_of(
        self: _View,
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
