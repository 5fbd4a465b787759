"""How stores, surfaces, datasets, manifests and versions show themselves: cards in notebooks, plots, pages; loaded when used."""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from arraystore.pictures.plots import DatasetPlots, StorePlots


class Shown:
    """A card in notebooks. It never raises: what can't be told is told instead."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        from arraystore.pictures.cards import card

        return card(self)


class ShownDataset(Shown):
    """These, for `DatasetView`."""

    __slots__ = ()

    @property
    def plot(self) -> "DatasetPlots":
        """Its pictures: `plot.series(…)`, `plot.book(…)`, `plot.latency(…)`, `plot.coverage(…)`, each a matplotlib figure."""
        from arraystore.pictures.plots import DatasetPlots

        return DatasetPlots(self)  # type: ignore[arg-type] # it is a view

    def report(self, path: str | os.PathLike[str], *, verify: str | None = None, overwrite: bool = False) -> int:
        """Write one HTML page about the dataset at this version, and return its size in bytes; `Store.report` tells more of its lineage.

        Parameters
        ----------
        path
            The file. It appears when it is whole, and needs nothing else: no script to be read, no connection.
        verify
            "quick" (by default), "deep" (every byte is read) or "no".
        overwrite
            Replace a file of that name, once the new one is whole.

        Examples
        --------
        >>> import arraystore
        >>> store = arraystore.open_store("memory://reported", role="data-quality", create=True)
        >>> trades = store.canonical.create(("venue", "trades", "X"), arraystore.schema_by_name("trades"))
        >>> rows = {"time": [1, 2], "price": [1.0, 2.0], "size": [1.0, 1.0], "side": [1, 1], "flags": [0, 0]}
        >>> receipt = trades.append(rows)
        >>> trades.report("trades.html") > 5000
        True
        """
        from arraystore.pictures.report import write_report

        return write_report(path, dataset=self, verify=verify, overwrite=overwrite)  # type: ignore[arg-type] # it is a view


class ShownStore(Shown):
    """These, for `Store`."""

    __slots__ = ()

    @property
    def plot(self) -> "StorePlots":
        """Its pictures: `plot.coverage(…)`, a matplotlib figure."""
        from arraystore.pictures.plots import StorePlots

        return StorePlots(self)  # type: ignore[arg-type] # it is a store

    def report(self, path: str | os.PathLike[str], dataset: Any = None, *, verify: str | None = None, overwrite: bool = False) -> int:
        """Write one HTML page about the store, or about a dataset of it, and return its size in bytes.

        It tells what there is, coverage, sizes and ratios, versions, lineage, and whether all is what was written. What can't be told (a
        damaged dataset) is told as such. Of many datasets, those with the most rows are looked at, and the page says so.

        Parameters
        ----------
        path
            The file. It appears when it is whole, and needs nothing else: no script to be read, no connection.
        dataset
            About this one (a `DatasetView`), at its version.
        verify
            "quick", "deep" (every byte is read) or "no"; by default quick, but for stores of more than 500 datasets.
        overwrite
            Replace a file of that name, once the new one is whole.

        Examples
        --------
        >>> import arraystore
        >>> store = arraystore.open_store("memory://told", role="data-quality", create=True)
        >>> store.report("store.html") > 5000
        True
        """
        from arraystore.pictures.report import write_report

        return write_report(path, store=self, dataset=dataset, verify=verify, overwrite=overwrite)  # type: ignore[arg-type] # it is one
