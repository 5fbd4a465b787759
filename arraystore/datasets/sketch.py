"""Quantiles of a stream in bounded memory: exact for the first thousands of values, then within a stated share of the ranks.

Sorted buffers of one weight that are full are merged, and every second value of them goes on with twice the weight, in turns the first
and the second of each pair (Munro and Paterson, 1980; Manku, Rajagopalan and Lindsay, 1998).
"""

from collections.abc import Sequence

import numpy as np

HALF = 1 << 13
"""Values that go on from a full buffer, which holds twice as many."""


class QuantileSketch:
    """Takes values of one dtype, in any order and number; holds at most 16,384 of them for each doubling of their number beyond that."""

    def __init__(self) -> None:
        self.count = 0
        self._levels: list[list[np.ndarray]] = [[]]
        self._turns = [0]

    def add(self, values: np.ndarray) -> None:
        """More values, none of them NaN."""
        self.count += values.size
        level = 0
        while values.size:
            if level == len(self._levels):
                self._levels.append([])
                self._turns.append(0)
            held = self._levels[level]
            held.append(values)
            size = sum(map(len, held))
            if size < 2 * HALF:
                if level == 0:
                    held[-1] = values.copy()  # it may be part of much that would stay in memory with it
                return
            together = np.concatenate(held)
            whole = size - size % (2 * HALF)
            self._levels[level] = [together[whole:].copy()]
            blocks = np.sort(together[:whole].reshape(-1, 2 * HALF), axis=1)
            turn = self._turns[level]
            values = np.concatenate((blocks[turn::2, ::2].ravel(), blocks[1 - turn :: 2, 1::2].ravel()))
            self._turns[level] = (turn + len(blocks)) % 2
            level += 1

    @property
    def rank_error(self) -> float:
        """The share of the ranks by which an answer may be off, at most; 0.0: answers are exact."""
        return (len(self._levels) - 1) / (2 * HALF)

    def quantiles(self, shares: Sequence[float]) -> list[np.generic]:
        """For each share, the smallest value that so many of all are not above; of no values there are none."""
        if not self.count:
            return []
        values = [np.concatenate(held) for held in self._levels if held]
        weights = [np.full(len(found), 1 << level, np.int64) for level, found in enumerate(values)]
        together = np.concatenate(values)
        order = np.argsort(together, kind="stable")
        ranks = np.cumsum(np.concatenate(weights)[order])
        wanted = [max(1, int(np.ceil(share * ranks[-1]))) for share in shares]
        return [together[order[place]] for place in np.searchsorted(ranks, wanted)]
