"""Many datasets of a class read at once, by a pattern or by their keys."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from functools import partial

from arraystore.arguments import TimeLike
from arraystore.datasets.many import ManyReads
from arraystore.datasets.reading import Levels, RowRange
from arraystore.datasets.view import DatasetView
from arraystore.errors import InvalidInput
from arraystore.frames.frame import Frame
from arraystore.place import Place
from layouts.classes import Action

type Key = str | Sequence[str]


class ManyKeys(ABC):
    """This, for `Surface`."""

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
        if isinstance(keys, str) and any(mark in keys for mark in "*?["):
            wanted = self.find(keys)
        elif isinstance(keys, Iterable):
            listed = [keys] if isinstance(keys, str) else keys
            wanted = list(dict.fromkeys(self._place(key, Action.READ).key for key in listed))
        else:
            raise InvalidInput(f"a {type(keys).__name__} is no list of keys: give one, or a pattern", "keys")
        places = {key: self._place(key, Action.READ) for key in wanted}
        return reading.all({key: (str(place), partial(self.__getitem__, key)) for key, place in places.items()})
