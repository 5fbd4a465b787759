"""Pictures of a dataset and of a store, as methods: each returns a `matplotlib.figure.Figure`, and changes nothing."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from arraystore import arguments
from arraystore.arguments import TimeLike
from arraystore.classes.surface import Surface
from arraystore.datasets.view import DatasetView
from arraystore.errors import ArrayStoreError
from arraystore.pictures.book import depth_of, draw_book
from arraystore.pictures.coverage import MOST_DATASETS, READ_ROWS, Days, days_of, draw_coverage, matrix_of
from arraystore.pictures.latency import draw_latency, latency_of
from arraystore.pictures.rows import asked, name_of
from arraystore.pictures.series import draw_series, lines_of
from arraystore.upkeep.verification import matches
from layouts.classes import Action, StorageClass, may

if TYPE_CHECKING:
    from arraystore.store import Store
    from arraystore.versions.entry import Entry


class DatasetPlots:
    """What `dataset.plot` offers. Every call reads the version that the dataset's handle sees, in bounded memory.

    Needs matplotlib (the extra `plot`). Figures are no part of pyplot: display them, or save them (`arraystore.save_picture`).
    Safe to share between threads.

    Examples
    --------
    >>> import arraystore
    >>> store = arraystore.open_store("memory://plotted", role="data-quality", create=True)
    >>> trades = store.canonical.create(("venue", "trades", "X"), arraystore.schema_by_name("trades"))
    >>> rows = {"time": [1, 2], "price": [1.0, 2.0], "size": [1.0, 1.0], "side": [1, 1], "flags": [0, 0]}
    >>> receipt = trades.append(rows)
    >>> trades.plot.series(["price", "size"]).get_suptitle()
    'canonical/venue/trades/X'
    """

    def __init__(self, dataset: DatasetView) -> None:
        self._dataset = dataset

    def __repr__(self) -> str:
        return f"<plots of {name_of(self._dataset)}: series, book, latency, coverage>"

    def series(
        self,
        columns: Iterable[str] | str | None = None,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        *,
        clock: str | None = None,
        window: str | None = None,
        instruments: Iterable[str] | str | None = None,
        title: str | None = None,
    ) -> Any:
        """Columns of numbers over time; those of one unit and much the same range share a panel.

        Up to 4,000 rows are drawn point by point. Of more, each 2,000th of the time is drawn by its smallest and largest value, its first
        and its last: at this width the picture is the same as of all points, spikes and all. Where nothing came for long, the line is
        broken. Values that are null, NaN or infinite are left out, and counted.

        Parameters
        ----------
        columns
            Names; None for prices (or what comes nearest).
        start, end, clock, window
            As `read` takes them.
        instruments
            In datasets of many: those to draw, a line each, 8 at most.
        title
            Instead of the dataset's name.

        Raises
        ------
        InvalidInput
            A column that has no numbers, or several in each row.
        NotFound
            There are no rows.
        """
        part = asked(self._dataset, start, end, clock=clock, window=window)
        return draw_series(part, lines_of(part, columns, instruments=instruments), title=title)

    def book(
        self,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        *,
        depth: float | None = None,
        instrument: str | None = None,
        clock: str | None = None,
        title: str | None = None,
    ) -> Any:
        """Depth over time of a book by price: sizes bid in blue, asked in orange, and the mid price.

        Takes datasets with levels in each row (as `book_snapshots`), of which only the snapshots that are drawn are read, and those of
        updates (as `book_updates`), from which the book is rebuilt: from the last snapshot before `start` within eight windows, or
        else from the beginning of the window in which `start` lies, so that levels which nobody told of since then are missing.

        Parameters
        ----------
        start, end, clock
            As `read` takes them.
        depth
            How far beyond the best bids and asks to look, in price; None for where the levels next to them lie.
        instrument
            In datasets of many: whose book.
        title
            Instead of the dataset's name.
        """
        part = asked(self._dataset, start, end, clock=clock)
        return draw_book(part, depth_of(part, depth=depth, instrument=instrument), title=title)

    def latency(
        self,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        *,
        exchange: str | None = None,
        instrument: str | None = None,
        clock: str | None = None,
        title: str | None = None,
    ) -> Any:
        """Capture minus exchange time: median, 90 % and 99 % over time, and how often which latency came.

        Quantiles are exact, interpolated as NumPy does, up to 2 million different latencies; beyond that they are rounded to 1 part in
        1,024. Rows without either time are left out, and counted.

        Parameters
        ----------
        start, end, clock
            As `read` takes them.
        exchange
            The column that tells when it happened; by default the exchange's clock, or else the one of publishing.
        instrument
            In datasets of many: only rows of this one.
        title
            Instead of the dataset's name.
        """
        part = asked(self._dataset, start, end, clock=clock)
        return draw_latency(part, latency_of(part, exchange=exchange, instrument=instrument), title=title)

    def coverage(self, start: TimeLike | None = None, end: TimeLike | None = None, *, title: str | None = None) -> Any:
        """Rows and completeness of each day, gaps between them; see `StorePlots.coverage`."""
        found = days_of(self._dataset, start, end)
        return draw_coverage(matrix_of([found]), title=f"{found.name}: coverage" if title is None else title)


class StorePlots:
    """What `store.plot` offers; see `DatasetPlots`."""

    def __init__(self, store: "Store") -> None:
        self._store = store

    def __repr__(self) -> str:
        return f"<plots of {self._store.url}: coverage>"

    def coverage(
        self,
        patterns: Iterable[str] | str = (),
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        *,
        most: int = MOST_DATASETS,
        title: str | None = None,
    ) -> Any:
        """Datasets × days: how many rows, and whether they are complete; days between without rows are grey.

        Rows of days are told by manifests; where windows are longer than a day, by their axis clock, up to 20 million rows in all (of
        more, rows are taken to lie evenly). Of more days than fit, several share a column; long times in which no dataset has anything
        are folded.

        Parameters
        ----------
        patterns
            Only datasets that these name, or that lie below what they name (`canonical/venue/*`).
        start, end
            Only these days.
        most
            Show at most so many datasets: those with the most rows.
        title
            Instead of the store's URL.

        Examples
        --------
        >>> import arraystore
        >>> store = arraystore.open_store("memory://plotted-coverage", role="data-quality", create=True)
        >>> trades = store.canonical.create(("venue", "trades", "X"), arraystore.schema_by_name("trades"))
        >>> rows = {"time": [1, 2], "price": [1.0, 2.0], "size": [1.0, 1.0], "side": [1, 1], "flags": [0, 0]}
        >>> receipt = trades.append(rows)
        >>> store.plot.coverage("canonical").get_suptitle()
        'memory://plotted-coverage: coverage'
        """
        found, left_out = coverage_of(self._store, patterns, start, end, most=most)
        return draw_coverage(matrix_of(found, left_out=left_out), title=f"{self._store.url}: coverage" if title is None else title)


def coverage_of(
    store: "Store", patterns: Iterable[str] | str, start: TimeLike | None, end: TimeLike | None, *, most: int = MOST_DATASETS
) -> tuple[list[Days], int]:
    """Days of the datasets with the most rows among those that match, in order of class and key, and how many others there are."""
    most = arguments.whole(most, "most", 1, 1000)
    given = arguments.texts([patterns] if isinstance(patterns, str) else patterns, "patterns")
    entries = matching(store, tuple(each.rstrip("/") for each in given))
    bounds = arguments.bounds(start, end)
    reached = [each for each in entries if _reaches(each[1], bounds)]
    largest = sorted(range(len(reached)), key=lambda place: -reached[place][1].rows)[:most]
    kept = [reached[place] for place in sorted(largest)]
    found: list[Days] = []
    budget = READ_ROWS
    for surface, entry in kept:
        try:
            days = days_of(surface[entry.path], start, end, budget=max(budget, 0))
        except ArrayStoreError:
            left = Days(name=f"{surface.storage_class}/{entry.path} (can't be read)", **_nothing())
            found.append(left)
            continue
        budget -= entry.rows
        found.append(days)
    return found, len(reached) - len(kept)


def _nothing() -> dict[str, Any]:
    import numpy as np

    return {name: np.zeros(0, np.int64) for name in ("days", "rows", "states")}


def _reaches(entry: "Entry", bounds: tuple[int | None, int | None]) -> bool:
    start, end = bounds
    if entry.span is None:
        return entry.rows > 0
    return (end is None or entry.span[0] < end) and (start is None or entry.span[1] >= start)


def matching(store: "Store", patterns: tuple[str, ...]) -> "list[tuple[Surface, Entry]]":
    """Datasets in short that patterns name (none: all), of the classes that the role may read, in order of class and key."""
    named = {pattern.partition("/")[0] for pattern in patterns}
    found = []
    for each in StorageClass:
        if each.value in named or (may(store.role, each, Action.READ) and (not named or any("*" in name or "?" in name for name in named))):
            surface = store.surface(each)
            found += [(surface, entry) for entry in surface.summaries() if matches(f"{each.value}/{entry.path}", patterns)]
    return found
