"""An order book as updates by price leave it, as arrays: many updates at once, looked at now and then."""

from dataclasses import dataclass, field

import numpy as np

# Of the shipped schemas' vocabularies (`layouts.feeds`).
SET, CLEAR = 1, 3
BID, ASK = 1, -1

type Levels = tuple[np.ndarray, np.ndarray]
"""Prices, ascending, and sizes; none of them is zero."""


def _none() -> Levels:
    return np.zeros(0), np.zeros(0)


@dataclass(slots=True)
class BookState:
    """The levels of both sides, by side (1: bids, −1: asks)."""

    levels: dict[int, Levels] = field(default_factory=lambda: {BID: _none(), ASK: _none()})

    def apply(self, action: np.ndarray, side: np.ndarray, price: np.ndarray, size: np.ndarray) -> None:
        """Take updates in order; between clears only the last word on each price counts."""
        clears = np.flatnonzero(action == CLEAR)
        begin = 0
        for end in [*clears.tolist(), len(action)]:
            for each in (BID, ASK):
                rows = np.flatnonzero(side[begin:end] == each) + begin
                if len(rows):
                    self._set(each, price[rows], np.where(action[rows] == SET, size[rows], 0.0))
            if end < len(action):
                self._clear(int(side[end]), float(price[end]))
            begin = end + 1

    def _set(self, side: int, price: np.ndarray, size: np.ndarray) -> None:
        prices, sizes = self.levels[side]
        together = np.concatenate([price[::-1], prices])  # the newest first: of one price the first counts
        found, first = np.unique(together, return_index=True)
        kept = np.concatenate([size[::-1], sizes])[first]
        there = (kept > 0) & np.isfinite(found)
        self.levels[side] = found[there], kept[there]

    def _clear(self, side: int, bound: float) -> None:
        """Of a side (0: of both) all levels, or those from a bound on towards the middle."""
        for each in (BID, ASK) if side == 0 else (side,):
            prices, sizes = self.levels[each]
            kept = np.zeros(len(prices), np.bool_) if np.isnan(bound) else (prices - bound) * each < 0
            self.levels[each] = prices[kept], sizes[kept]

    def best(self, side: int, number: int) -> Levels:
        """The best levels of a side, ascending by price."""
        prices, sizes = self.levels[side]
        chosen = slice(-number, None) if side == BID else slice(None, number)
        return prices[chosen], sizes[chosen]
