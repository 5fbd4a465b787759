"""What a dataset is like: for which times it has rows, where there are none, its columns in numbers, and some rows at random."""

import os
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from arraystore import arguments
from arraystore.arguments import TimeLike
from arraystore.datasets.coverage import Coverage, Span, series_of, windows_of
from arraystore.datasets.gaps import Gap, GapFinder, gaps_of
from arraystore.datasets.reads import Reads
from arraystore.datasets.sampling import sample_rows
from arraystore.datasets.statistics import DatasetStats, statistics_of
from arraystore.errors import InvalidInput
from arraystore.frames.frame import Frame
from arraystore.versions.commit import Interval
from arraystore.versions.state import State, union
from layouts.classes import Action
from layouts.times import parse_duration
from layouts.windows import WindowLength

if TYPE_CHECKING:
    from arraystore.parquet import ParquetExport

SCAN_BYTES = 64 << 20
QUANTILES = (0.01, 0.25, 0.5, 0.75, 0.99)
STEPS = tuple(length.value for length in WindowLength if length is not WindowLength.WHOLE)


class Looking(Reads):
    """These, for `DatasetView`."""

    def coverage(self, start: TimeLike | None = None, end: TimeLike | None = None, *, per: str | None = None) -> Coverage:
        """For which times there are rows, and how complete they are: every window, and what lies between windows.

        Reads no rows, but where windows are longer than `per`.

        Parameters
        ----------
        start, end
            Only windows that reach into `[start, end)`; before the first and after the last one, what is in it is absent. None for open.
        per
            In steps of an `hour`, `day`, `month` or `year` instead of windows. Shorter windows are put together: complete if they fill the
            step and all are. Of longer ones the axis clock is read and rows are counted; completeness and version are those of the window.

        Returns
        -------
        Coverage
            Windows in order; the series of an experiment run have no interval, and nothing is absent between them.

        Examples
        --------
        >>> import arraystore
        >>> store = arraystore.open_store("memory://covered", role="data-quality", create=True)
        >>> trades = store.canonical.create(("venue", "trades", "X"), arraystore.schema_by_name("trades"))
        >>> rows = {"price": [1.0, 2.0], "size": [1.0, 1.0], "side": [1, 1], "flags": [0, 0]}
        >>> receipt = trades.append({"time": ["2024-08-08T12", "2024-08-10T12"], **rows})
        >>> coverage = trades.coverage()
        >>> [(window.window, window.rows, window.completeness) for window in coverage.windows]
        [('2024-08-08', 1, 'open'), ('2024-08-10', 1, 'open')]
        >>> coverage.to_json()["absent"]
        [['2024-08-09T00:00:00Z', '2024-08-10T00:00:00Z']]
        """
        self._place.require(Action.READ)
        view, span, step = self._still(), arguments.bounds(start, end), _step(per)
        state: State = view._state  # noqa: SLF001 - it is this one
        told = view.windows(*span)
        if state.schema is None or view.schema.window is WindowLength.WHOLE:
            if step is not None:
                raise InvalidInput(f"{self._place} isn't cut by time: leave it out", "per")
            names = [view._on_disk(name) for name in told]  # noqa: SLF001
            steps = series_of(state, names, told, [view.schema_of(name).axis for name in told])
            absent: tuple[Interval, ...] = ()
        else:
            axis = view.schema.axis

            def times(window: str, span: Span) -> Iterator[np.ndarray]:
                return (frame.rows.arrays[axis] for frame in view.scan(*span, [axis], window=window, memory=SCAN_BYTES))

            steps, absent = windows_of(state, told, axis, span, step, times)
        return Coverage(storage_class=view.storage_class, key=view.key, version=view.version, windows=tuple(steps), absent=absent)

    def gaps(
        self,
        longer_than: Any,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        *,
        clock: str | None = None,
        window: str | None = None,
        instruments: Iterable[str] | str | None = None,
    ) -> list[Gap]:
        """Stretches of time without a row, longer than a duration, in order of time.

        Each goes from a row to the next one by the clock, whatever order they are stored in. Reads that clock's column once, in bounded
        memory; more than 100,000 gaps are refused.

        Parameters
        ----------
        longer_than
            `"5m"`, `"1h30m"`, an int of ns, a timedelta.
        start, end
            Only within `[start, end)`: what is missing at its ends counts too. None for open: from the first row, to the last one.
        clock
            A time column with a clock's role; the axis clock by default. Rows where it is null are passed over.
        window, instruments
            Only rows of these, as `read` takes them.

        Examples
        --------
        >>> import arraystore
        >>> store = arraystore.open_store("memory://gaps", role="data-quality", create=True)
        >>> trades = store.canonical.create(("venue", "trades", "X"), arraystore.schema_by_name("trades"))
        >>> rows = {"price": [1.0, 2.0], "size": [1.0, 1.0], "side": [1, 1], "flags": [0, 0]}
        >>> receipt = trades.append({"time": ["2024-08-08T12", "2024-08-10T12"], **rows})
        >>> [(gap.to_json()["start"], gap.duration_ns // 3_600_000_000_000) for gap in trades.gaps("1h")]
        [('2024-08-08T12:00:00Z', 48)]
        """
        self._place.require(Action.READ)
        least, span, view = parse_duration(longer_than, "longer_than"), arguments.bounds(start, end), self._still()
        name = arguments.clock(view.schema if window is None else view.schema_of(window), clock)
        finder = GapFinder(least, *span)
        for frame in view.scan(*span, [name], clock=name, window=window, instruments=instruments, memory=SCAN_BYTES):
            times, valid = frame.rows.arrays.get(name), frame.valid(name)
            if times is not None:
                finder.add(times if valid is None else times[valid])
        found = finder.found()
        if not found or view._state.schema is None or view.schema.window is WindowLength.WHOLE:  # noqa: SLF001 - it is this one
            return gaps_of(found, (), ())
        known = view.coverage(found[0][0], found[-1][1])
        return gaps_of(found, union(interval for each in known.windows for interval in each.covered), known.absent)

    def stats(
        self,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        columns: Iterable[str] | None = None,
        *,
        window: str | None = None,
        instruments: Iterable[str] | str | None = None,
        quantiles: Iterable[float] = QUANTILES,
        tell: Callable[[int], None] | None = None,
    ) -> DatasetStats:
        """Columns in numbers: rows, nulls, least, greatest, mean, quantiles, how often which label; in one pass, in bounded memory.

        Quantiles are exact up to 16,383 values of a column; beyond that their ranks are exact to 0.1 % for a billion rows, and
        `rank_error` tells the bound. Distinct labels are held in memory, numbers aren't.

        Parameters
        ----------
        start, end, columns, window, instruments
            As `read` takes them.
        quantiles
            Shares from 0 to 1.
        tell
            Is told after each batch how many rows were looked at.

        Examples
        --------
        >>> import arraystore
        >>> store = arraystore.open_store("memory://stats", role="data-quality", create=True)
        >>> trades = store.canonical.create(("venue", "trades", "X"), arraystore.schema_by_name("trades"))
        >>> rows = {"price": [1.0, 3.0], "size": [1.0, 1.0], "side": ["buy", "sell"], "flags": [0, 0]}
        >>> receipt = trades.append({"time": ["2024-08-08T12", "2024-08-10T12"], **rows})
        >>> stats = trades.stats(columns=["price", "side"])
        >>> stats["price"].max, stats["price"].mean, stats["side"].values
        (3.0, 2.0, (('buy', 1), ('sell', 1)))
        """
        self._place.require(Action.READ)
        view, span, shares = self._still(), arguments.bounds(start, end), _shares(quantiles)
        schema = view.schema if window is None else view.schema_of(window)
        wanted = arguments.columns(schema, columns)
        frames = view.scan(*span, wanted, window=window, instruments=instruments, memory=SCAN_BYTES)
        rows, found = statistics_of(_telling(frames, tell), [schema.column(name) for name in wanted], shares)
        return DatasetStats(storage_class=view.storage_class, key=view.key, version=view.version, rows=rows, columns=tuple(found))

    def sample(
        self,
        n: int,
        columns: Iterable[str] | None = None,
        *,
        seed: int = 0,
        window: str | None = None,
        threads: int | None = None,
    ) -> Frame:
        """So many rows drawn at random without repetition, each set of them as likely, in reading order; all where there are fewer.

        The same `seed` draws the same rows of the same version. Decodes only chunks that hold any of them.

        Examples
        --------
        >>> import arraystore
        >>> store = arraystore.open_store("memory://sample", role="data-quality", create=True)
        >>> trades = store.canonical.create(("venue", "trades", "X"), arraystore.schema_by_name("trades"))
        >>> rows = {"price": range(100), "size": [1.0] * 100, "side": [1] * 100, "flags": [0] * 100}
        >>> receipt = trades.append({"time": range(100), **rows})
        >>> trades.sample(3, ["price"], seed=7)["price"]
        array([68., 83., 89.])
        """
        self._place.require(Action.READ)
        count, seed, threads = arguments.whole(n, "n", 0), arguments.whole(seed, "seed", 0), arguments.threads(threads)
        view = self._still()
        schema = view.schema if window is None else view.schema_of(window)
        wanted = arguments.columns(schema, columns)
        windows = view._state.window_names() if window is None else (view._on_disk(window),)  # noqa: SLF001 - it is this one
        rows = sample_rows(view._log, view._state, windows, schema, wanted, count=count, seed=seed, threads=threads)  # noqa: SLF001
        return Frame(rows.reorder(wanted))

    def to_parquet(
        self,
        path: "str | os.PathLike[str]",
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        columns: Iterable[str] | None = None,
        **options: Any,
    ) -> "list[ParquetExport]":
        """Write the rows to a Parquet file, or one for each window; see `arraystore.export_parquet`, which takes the same options."""
        from arraystore.parquet import export_parquet

        return export_parquet(path, self, start, end, columns, **options)  # type: ignore[arg-type] # it is a view

    def _still(self) -> "Looking":
        return Looking(self._place, self._log, self._state)


def _shares(given: Any) -> tuple[float, ...]:
    listed = tuple(given) if isinstance(given, Iterable) else (given,)
    for share in listed:
        if isinstance(share, bool | str) or not isinstance(share, int | float | np.number) or not 0 <= share <= 1:
            raise InvalidInput(f"{share!r} isn't a share from 0 to 1", "quantiles")
    return tuple(map(float, listed))


def _telling(frames: Iterable[Frame], tell: Callable[[int], None] | None) -> Iterator[Frame]:
    rows = 0
    for frame in frames:
        rows += frame.row_count
        yield frame
        if tell is not None:
            tell(rows)


def _step(per: str | None) -> WindowLength | None:
    if per is not None and per not in STEPS:
        raise InvalidInput(f"{per!r} is none of {', '.join(STEPS)}", "per")
    return None if per is None else WindowLength(per)
