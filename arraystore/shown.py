"""How stores, surfaces, datasets, manifests and versions show themselves: cards in notebooks, plots, pages; loaded when used."""

from typing import TYPE_CHECKING

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


class ShownStore(Shown):
    """These, for `Store`."""

    __slots__ = ()

    @property
    def plot(self) -> "StorePlots":
        """Its pictures: `plot.coverage(…)`, a matplotlib figure."""
        from arraystore.pictures.plots import StorePlots

        return StorePlots(self)  # type: ignore[arg-type] # it is a store
