"""Many datasets read at once: each is opened and read by one thread, so that all threads are busy however small a dataset is."""

import threading
from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import partial
from time import perf_counter
from typing import Any

from arraystore import arguments
from arraystore.arguments import TimeLike
from arraystore.datasets.reading import Levels, RowRange
from arraystore.datasets.view import DatasetView
from arraystore.errors import ArrayStoreError, InvalidInput, Problem
from arraystore.frames.frame import Frame
from arraystore.pool import HELPERS_WHILE_WAITING, SLOW_JOB_SECONDS, default_threads, share
from layouts.naming import format_key

LARGE_BYTES = 64 << 20
PROBES = 2

type Open = Callable[[], DatasetView]


def read_many[K: Hashable](
    datasets: Mapping[K, DatasetView] | Iterable[DatasetView],
    start: TimeLike | None = None,
    end: TimeLike | None = None,
    columns: Iterable[str] | None = None,
    *,
    clock: str | None = None,
    instruments: Iterable[str] | str | None = None,
    rows: RowRange | None = None,
    every: int = 1,
    levels: Levels | None = None,
    threads: int | None = None,
) -> dict[K, Frame] | dict[tuple[str, ...], Frame]:
    """What `read` gives of each of many datasets, in one go, as a dict in their order.

    As fast as reading one dataset of the same size, or nearly, and in the memory of the results. Each dataset is read at the version
    that its handle sees.

    Parameters
    ----------
    datasets
        Handles by any name, or just handles, which then are named by their keys.
    start, end, columns, clock, instruments, rows, every, levels
        As for `DatasetView.read`, the same for all: `rows=(-1, None)` is the last row of each.
    threads
        Decoders at work over all datasets; the number of cores by default.

    Raises
    ------
    ArrayStoreError
        What reading one of them raises, naming it; the others aren't read to the end then.

    Examples
    --------
    >>> import arraystore
    >>> store = arraystore.open_store("memory://many", role="data-quality", create=True)
    >>> schema = arraystore.schema_by_name("trades")
    >>> datasets = [store.canonical.create(("venue", "trades", name), schema) for name in ("A", "B")]
    >>> for dataset in datasets:
    ...     receipt = dataset.append({"time": [1], "price": [1.0], "size": [1.0], "side": [1], "flags": [0]})
    >>> {key[-1]: frame["price"].tolist() for key, frame in arraystore.read_many(datasets, columns=["price"]).items()}
    {'A': [1.0], 'B': [1.0]}
    """
    given: dict[Any, Any] = dict(datasets) if isinstance(datasets, Mapping) else _by_key(datasets)
    for name, each in given.items():
        if not isinstance(each, DatasetView):
            raise InvalidInput(f"{name!r} is a {type(each).__name__}, and no dataset: pass what a surface gave", "datasets")
    reading = ManyReads(start, end, columns, threads, clock=clock, instruments=instruments, rows=rows, every=every, levels=levels)
    openers = {name: (f"{each.storage_class}/{format_key(each.key)}", partial(_same, each)) for name, each in given.items()}
    return reading.all(openers)


def _same(view: DatasetView) -> DatasetView:
    return view


def _by_key(datasets: Any) -> dict[Any, Any]:
    if isinstance(datasets, str | DatasetView) or not isinstance(datasets, Iterable):
        raise InvalidInput(f"a {type(datasets).__name__} isn't a list of datasets, or a mapping of names to them", "datasets")
    listed = list(datasets)
    named = {each.key if isinstance(each, DatasetView) else place: each for place, each in enumerate(listed)}
    if len(named) < len(listed):
        raise InvalidInput("several have the same key: name them, as in {'raw': …, 'canonical': …}", "datasets")
    return named


class ManyReads:
    """One and the same read of many datasets."""

    def __init__(
        self, start: TimeLike | None, end: TimeLike | None, columns: Iterable[str] | None, threads: int | None, **options: Any
    ) -> None:
        self._span = arguments.bounds(start, end)
        self._by_number = options["rows"] is not None
        self._columns = _kept(columns)
        self._options = {name: _kept(value) for name, value in options.items()}
        self._threads = arguments.threads(threads) or default_threads()

    def _read(self, view: DatasetView, threads: int) -> Frame:
        return view.read(*self._span, self._columns, threads=threads, **self._options)

    def all[K: Hashable](self, openers: Mapping[K, tuple[str, Open]]) -> dict[K, Frame]:
        """What each dataset has, which is told by what it is called in errors, and by what opens it."""
        frames: dict[K, Frame] = {}
        large: dict[K, DatasetView] = {}
        guard = threading.Lock()

        def work(name: K) -> float:
            called, opened = openers[name]
            begun = perf_counter()
            try:
                view = opened()
                took = perf_counter() - begun
                if self._bytes(view) > LARGE_BYTES:
                    with guard:
                        large[name] = view
                    return took
                frame = self._read(view, 1)
            except ArrayStoreError as error:
                raise naming(error, called) from error
            with guard:
                frames[name] = frame
            return took

        names = list(openers)
        first, rest = names[:PROBES], names[PROBES:]
        took = [work(name) for name in first]
        if rest:
            # Where answers take as long as they do from far away, it is waiting and not computing that is shared.
            far = min(took) > SLOW_JOB_SECONDS and self._threads > 1
            workers = max(self._threads, HELPERS_WHILE_WAITING) if far else self._threads
            share([partial(_ignore, work, name) for name in rest], min(workers, len(rest)))
        for name, view in large.items():
            try:
                frames[name] = self._read(view, self._threads)
            except ArrayStoreError as error:
                raise naming(error, openers[name][0]) from error
        return {name: frames[name] for name in names}

    def _bytes(self, view: DatasetView) -> int:
        """About how much is to be decoded at most."""
        if view.state.schema is None or self._by_number:
            return 0
        width, axis = sum(spec.element_bytes for spec in view.schema.arrays()), view.schema.axis
        touched = [each for each in view.state.summaries() if arguments.overlaps(each.clocks.get(axis), *self._span)]
        return sum(each.rows * width + each.bytes for each in touched)


def _kept(given: Any) -> Any:
    """What can be gone through as often as there are datasets."""
    return given if given is None or isinstance(given, str | int) or not isinstance(given, Iterable) else tuple(given)


def _ignore[K](function: Callable[[K], object], given: K) -> None:
    function(given)


def naming(error: ArrayStoreError, called: str) -> ArrayStoreError:
    """The same error with the name of the dataset before what it tells."""
    if isinstance(error, InvalidInput):
        return InvalidInput([Problem(f"{called}: {problem.where}", problem.what) for problem in error.problems])
    return error if called in str(error) else type(error)(f"{called}: {error}")
