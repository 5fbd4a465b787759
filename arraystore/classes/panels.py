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

        Examples
        --------
        >>> import arraystore
        >>> store = arraystore.open_store("memory://panel", role="analysis", create=True)
        >>> minute = 60 * 10**9
        >>> for name, start in (("A", 0), ("B", minute)):
        ...     bars = store.derived.create(("bars", "1m", "us", name), arraystore.schema_by_name("bars"))
        ...     prices = dict.fromkeys(("open", "high", "low", "close", "volume"), [10.0])
        ...     receipt = bars.append({"open_time": [start], "close_time": [start + minute], "is_revision": [False], **prices})
        >>> store.panel("bars/1m/us/*", "1970", columns=["close"])["close"].values
        array([[10., nan],
               [nan, 10.]])
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
        """Many datasets of a class as one `dask.dataframe.DataFrame`, grouped by instrument: see `Surface.panel_dataframe`.

        Examples
        --------
        >>> import arraystore
        >>> store = arraystore.open_store("memory://panel-dataframe", role="analysis", create=True)
        >>> for name in ("A", "B"):
        ...     bars = store.derived.create(("bars", "1m", "us", name), arraystore.schema_by_name("bars"))
        ...     prices = dict.fromkeys(("open", "high", "low", "close", "volume"), [10.0, 11.0])
        ...     receipt = bars.append({"open_time": [0, 1], "close_time": [1, 2], "is_revision": [False] * 2, **prices})
        >>> store.panel_dataframe("bars/1m/us/*", columns=["close"]).groupby("instrument")["close"].max().compute().to_dict()
        {'A': 11.0, 'B': 11.0}
        """
        return self.surface(storage_class).panel_dataframe(keys, period, columns, **options)
