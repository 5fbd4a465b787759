"""Many datasets of a class read at once, by a pattern or by their keys."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from arraystore import arguments
from arraystore.arguments import TimeLike
from arraystore.calendars import Sessions
from arraystore.datasets.many import ManyReads
from arraystore.datasets.reading import Levels, RowRange
from arraystore.datasets.view import DatasetView
from arraystore.errors import InvalidInput
from arraystore.frames.frame import Frame
from arraystore.place import Place
from layouts.classes import Action

type Key = str | Sequence[str]
type Period = str | tuple[TimeLike | None, TimeLike | None] | Sessions | None


class ManyKeys(ABC):
    """This, for `Surface`."""

    @property
    @abstractmethod
    def storage_class(self) -> str:
        """The class's name."""

    @abstractmethod
    def __getitem__(self, key: Key) -> DatasetView:
        """The dataset at its newest version."""

    @abstractmethod
    def find(self, pattern: str | Sequence[str] = "*") -> list[tuple[str, ...]]:
        """Keys of the datasets that match."""

    @abstractmethod
    def _place(self, key: Key, action: Action) -> Place: ...

    def read_many(
        self,
        keys: str | Iterable[Key],
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
    ) -> dict[tuple[str, ...], Frame]:
        """What `read` gives of each of many datasets at its newest version, in one go, by key; opening them is part of it.

        As fast as reading one dataset of the same size, or nearly, and in the memory of the results.

        Parameters
        ----------
        keys
            Text: one key, or a pattern as `find` takes it (`"binance-usdm/trades/*"`), which may match none. Else a list of keys, each
            of which must be there.
        start, end, columns, clock, instruments, rows, every, levels
            As for `DatasetView.read`, the same for all: `rows=(-1, None)` is the last row of each.
        threads
            Decoders at work over all datasets; the number of cores by default.

        Returns
        -------
        dict
            In the order of the keys; of a pattern, sorted.

        Raises
        ------
        ArrayStoreError
            What opening or reading one of them raises, naming it.
        """
        reading = ManyReads(start, end, columns, threads, clock=clock, instruments=instruments, rows=rows, every=every, levels=levels)
        places = {key: self._place(key, Action.READ) for key in self._wanted(keys)}
        return reading.all({key: (str(place), partial(self.__getitem__, key)) for key, place in places.items()})

    def _wanted(self, keys: str | Iterable[Key]) -> list[tuple[str, ...]]:
        """The keys that are meant: those that match a pattern, or those listed."""
        if isinstance(keys, str) and any(mark in keys for mark in "*?["):
            return self.find(keys)
        if not isinstance(keys, Iterable):
            raise InvalidInput(f"a {type(keys).__name__} is no list of keys: give one, or a pattern", "keys")
        listed = [keys] if isinstance(keys, str) else keys
        return list(dict.fromkeys(self._place(key, Action.READ).key for key in listed))

    def panel(
        self,
        keys: str | Iterable[Key],
        period: Period = None,
        columns: Iterable[str] | None = None,
        *,
        clock: str | None = None,
        grid: Any = None,
        method: str | None = None,
        tolerance: str | None = None,
        ties: str = "last",
        chunks: Any = "auto",
        threads: int | None = None,
    ) -> Any:
        """Many datasets as one `xarray.Dataset` of Dask arrays, time by instrument, each at its newest version for good.

        Without a grid the times are all at which a dataset has a row, which reads that clock; with one, opening reads no rows. What is
        computed is read block by block, on the thread that computes it.

        Parameters
        ----------
        keys
            As `read_many` takes them: a pattern (`"bars/1m/us/*"`), or keys.
        period
            Which rows, by their axis clock: an hour, a day, a month or a year by name (`"2024"`), `(start, end)`, or `sessions` of a
            calendar, whose breaks and nights are left out; None for all.
        columns
            Names; None for all that the datasets share, but their clocks. A column must mean the same in all of them: integers or floats
            of several widths become the widest; otherwise it is refused.
        clock
            Which of a row's clocks is its time in the panel; by default `close_time` of bars, when they are known, else the axis.
        grid
            The panel's times: an interval such as `"1m"`, which tiles the period (or its sessions) with bars, or an ascending array of
            times. Rows that lie on none of them are left out. None for all times that there are.
        method, tolerance
            `"ffill"`: not the row at that very time, but the one in force, the last one before or at it, by at most `tolerance`, as
            `DatasetView.as_of` finds it; rows before the period may be in force in it.
        ties
            Of several rows of one dataset at one time `"last"` or `"first"` counts, in the dataset's order.
        chunks
            "auto": pieces of at most 32 MiB of a column, of all times and some instruments. Else as `xarray.Dataset.chunk` takes them.
        threads
            Which open datasets and read times; the number of cores by default.

        Returns
        -------
        xarray.Dataset
            Variables `(time, instrument)`, of levels with a third dimension `level`; `present` says where rows are. Where absent or null,
            floats are NaN, times NaT, text, bytes and labels None (of which xarray makes NaN where it loads); integers, booleans,
            vocabulary codes and decimals' mantissas keep their type, are 0 there, and have an `x_valid` beside them that is false there.
            Coordinates: `time` in UTC, `instrument` (the parts of keys that differ), and along it `key` and `version`.
        """
        from arraystore.labelled.panel import panel_of

        return panel_of(
            self.storage_class,
            self._openers(keys),
            period,
            columns,
            clock=clock,
            grid=grid,
            method=method,
            tolerance=tolerance,
            ties=ties,
            chunks=chunks,
            threads=arguments.threads(threads),
        )

    def panel_dataframe(
        self,
        keys: str | Iterable[Key],
        period: Period = None,
        columns: Iterable[str] | None = None,
        *,
        rows: int | None = None,
        threads: int | None = None,
    ) -> Any:
        """Many datasets as one `dask.dataframe.DataFrame`, grouped by instrument: its index is `instrument`, sorted, with known divisions.

        All rows of an instrument are in one partition, in the dataset's order, so that `groupby("instrument").apply` shuffles nothing.
        Columns are as `Frame.to_pandas` has them, the axis clock among them, but that labels are text.

        Parameters
        ----------
        keys, period, threads
            As `panel` takes them.
        columns
            Names; the axis clock always comes too. None for all that the datasets share.
        rows
            Of a partition, at most about so many, but at least one instrument; None for about 128 MiB of them.

        Examples
        --------
        >>> import arraystore
        >>> store = arraystore.open_store("memory://many-trades", role="data-quality", create=True)
        >>> for name in ("A", "B"):
        ...     trades = store.canonical.create(("venue", "trades", name), arraystore.schema_by_name("trades"))
        ...     receipt = trades.append({"time": [1, 2], "price": [1.0, 2.0], "size": [1.0, 1.0], "side": [1, 1], "flags": [0, 0]})
        >>> store.canonical.panel_dataframe("venue/trades/*").groupby("instrument")["price"].max().compute().to_dict()
        {'A': 2.0, 'B': 2.0}
        """
        from arraystore.labelled.panel import dataframe_of_many

        return dataframe_of_many(self._openers(keys), period, columns, rows=rows, threads=arguments.threads(threads))

    def _openers(self, keys: str | Iterable[Key]) -> dict[tuple[str, ...], Callable[[], DatasetView]]:
        return {key: partial(self.__getitem__, key) for key in self._wanted(keys)}
