"""Panels of a store: of bars and other derived products, unless another class is asked for."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

from arraystore.classes.manykeys import Key, ManyKeys, Period
from layouts.classes import StorageClass


class Panels(ABC):
    """This, for `Store`."""

    @abstractmethod
    def surface(self, storage_class: StorageClass | str) -> ManyKeys:
        """The surface of a class."""

    def panel(
        self,
        keys: str | Iterable[Key],
        period: Period = None,
        columns: Iterable[str] | None = None,
        *,
        storage_class: StorageClass | str = StorageClass.DERIVED,
        **options: Any,
    ) -> Any:
        """Many datasets of a class as one `xarray.Dataset`, time by instrument: see `Surface.panel`, whose options it takes.

        `store.panel("bars/1m/us/*", "2024", columns=["close"])` is a year of closes of every dataset that matches, lazily.
        """
        return self.surface(storage_class).panel(keys, period, columns, **options)

    def panel_dataframe(
        self,
        keys: str | Iterable[Key],
        period: Period = None,
        columns: Iterable[str] | None = None,
        *,
        storage_class: StorageClass | str = StorageClass.DERIVED,
        **options: Any,
    ) -> Any:
        """Many datasets of a class as one `dask.dataframe.DataFrame`, grouped by instrument: see `Surface.panel_dataframe`."""
        return self.surface(storage_class).panel_dataframe(keys, period, columns, **options)
