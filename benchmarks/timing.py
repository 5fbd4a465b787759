"""How contestants are timed: by turns, in one run, since figures of different minutes can't be compared."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Median milliseconds of one contestant, beside that of a reference, and what else was counted."""

    data: str
    contestant: str
    milliseconds: float
    reference: float
    files: float | None = None
    bytes: float | None = None
    goal: str = ""

    @property
    def ratio(self) -> float:
        """How many times as long as the reference."""
        return self.milliseconds / self.reference


TIMING_COLUMNS: dict[str, Callable[[Timing], str]] = {
    "median ms": lambda each: f"{each.milliseconds:.3f}",
    "ratio": lambda each: f"{each.ratio:.2f}",
    "files each": lambda each: "" if each.files is None else f"{each.files:.2f}",
    "bytes each": lambda each: "" if each.bytes is None else f"{each.bytes:,.0f}",
    "goal": lambda each: each.goal,
}


def by_turns(
    contestants: Mapping[str, Callable[[int], object]], rounds: int, clock: Callable[[], float] = time.perf_counter, *, block: int = 1
) -> dict[str, float]:
    """Median milliseconds of each contestant's call with the number of the round, taken by turns in changing order.

    Each has `block` rounds in a row: some of what one leaves behind (a journal, caches) is then its own, as where it runs by itself.
    """
    random = np.random.default_rng(5)
    names = list(contestants)
    taken: dict[str, list[float]] = {name: [] for name in names}
    for first in range(0, rounds, block):
        for place in random.permutation(len(names)):
            name = names[place]
            for number in range(first, min(first + block, rounds)):
                start = clock()
                contestants[name](number)
                taken[name].append((clock() - start) * 1e3)
    return {name: median(values) for name, values in taken.items()}
