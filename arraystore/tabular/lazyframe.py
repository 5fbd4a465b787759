"""The one door to lazy Polars: a source that reads the columns, ranges and rows that a query needs."""

from collections.abc import Iterable, Iterator
from typing import Any

from arraystore import arguments
from arraystore.arguments import TimeLike
from arraystore.datasets.view import DatasetView
from arraystore.frames.arrow import polars_from, pyarrow
from arraystore.frames.given import missing_library
from arraystore.frames.rows import empty
from arraystore.tabular.wanted import Wanted, wanted_by
from layouts.schema import Schema

MEMORY = 128 << 20


class Source:
    """What Polars calls with what a query needs, and yields frames of it."""

    def __init__(
        self, view: DatasetView, schema: Schema, names: tuple[str, ...], options: dict[str, Any], start: int | None, stop: int | None
    ) -> None:
        self._view = view
        self._schema = schema
        self._names = names  # of the columns that are seen
        self._options = options
        self._start = start
        self._stop = stop

    def __call__(self, with_columns: list[str] | None, predicate: Any | None, n_rows: int | None, batch_size: int | None) -> Iterator[Any]:
        """The first `n_rows` rows (None: all), and of these those that the predicate leaves, in `with_columns` (None: all)."""
        del batch_size  # a hint, which Polars cuts larger frames to itself
        asked = Wanted() if predicate is None or n_rows is not None else wanted_by(predicate, self._schema)
        names = list(self._names) if with_columns is None else with_columns
        needed = set(names) if predicate is None else {*names, *predicate.meta.root_names()}
        columns = [name for name in self._names if name in needed] or [self._schema.axis]
        left = n_rows
        for frame in self._scan(asked, columns, n_rows):
            data = polars_from(frame.rows if left is None else frame.rows.slice(0, min(left, frame.row_count)))
            left = None if left is None else left - data.height
            yield (data if predicate is None else data.filter(predicate)).select(names)
            if left == 0:
                return

    def _scan(self, asked: Wanted, columns: list[str], n_rows: int | None) -> Any:
        memory = MEMORY if n_rows is None else min(MEMORY, max(n_rows, 1 << 16) * 64 * len(columns))
        options = self._options | {"memory": memory, "prefetch": 1 if n_rows is None else 0}
        start, stop, clock = self._start, self._stop, None
        if (start, stop) == (None, None):
            start, stop, clock = asked.start, asked.stop, asked.clock
        elif asked.clock == self._schema.axis:
            start = max((each for each in (start, asked.start) if each is not None), default=None)
            stop = min((each for each in (stop, asked.stop) if each is not None), default=None)
        if start is not None and stop is not None and start >= stop:
            return iter(())
        if asked.instruments is not None and options["instruments"] is None:
            options["instruments"] = asked.instruments
        return self._view.scan(start, stop, columns, clock=clock, **options)


def lazyframe_of(
    view: DatasetView,
    start: TimeLike | None,
    end: TimeLike | None,
    columns: Iterable[str] | None,
    *,
    window: str | None,
    instruments: Iterable[str] | str | None,
) -> Any:
    """See `DatasetView.to_polars`."""
    try:
        import polars as pl
        from polars.io.plugins import register_io_source
    except ImportError as error:
        raise missing_library("to_polars", "polars", "polars") from error
    pyarrow()
    schema = view.schema if window is None else view.schema_of(window)
    span, wanted = arguments.bounds(start, end), arguments.columns(schema, columns)
    chosen = None if instruments is None else (instruments,) if isinstance(instruments, str) else tuple(instruments)
    arguments.instruments(schema, chosen)
    view.scan(*span, wanted, window=window, instruments=chosen).close()  # whatever is wrong is told now, and not by a query
    source = Source(view, schema, wanted, {"window": window, "instruments": chosen}, *span)
    seen = polars_from(empty(schema.only(wanted)).reorder(wanted)).schema
    lazy: pl.LazyFrame = register_io_source(source, schema=seen, is_pure=True)
    return lazy
