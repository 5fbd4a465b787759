"""Sorted runs of rows, and their merge by `(clock, ties, stream rank, row)`: pure arithmetic on arrays, no Python per row."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from arraystore.frames.rows import Rows

FEW_RUNS = 4  # merged fastest as runs; more of them are sorted as if they were none


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Run:
    """Rows of one stream in the order of the merge, with what decides it.

    `times` are the clock's (int64 ns, never null), `ties` the arrays compared next (for each tie column whether it is null, then its
    value), `axis` the axis times where these decide before the row's number. `place` orders runs of one stream as its rows read back;
    `mixed` tells that other runs of the stream lie between its rows.
    """

    rank: int
    place: tuple[int, ...]
    rows: Rows
    times: np.ndarray
    ties: tuple[np.ndarray, ...] = ()
    axis: np.ndarray | None = None
    mixed: bool = False

    def slice(self, start: int, stop: int) -> "Run":
        """Rows `start` to `stop`, as views."""
        if start == 0 and stop == len(self.times):
            return self
        return replace(
            self,
            rows=self.rows.slice(start, stop),
            times=self.times[start:stop],
            ties=tuple(tie[start:stop] for tie in self.ties),
            axis=None if self.axis is None else self.axis[start:stop],
        )

    def take(self, order: np.ndarray) -> "Run":
        """Some of its rows, or all of them in another order, as copies."""
        return replace(
            self,
            rows=self.rows.take(order),
            times=self.times[order],
            ties=tuple(tie[order] for tie in self.ties),
            axis=None if self.axis is None else self.axis[order],
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Merged:
    """Rows of several runs in the order of the merge: the next row of run `owners[i]` is at `times[i]`."""

    runs: tuple[Run, ...]
    times: np.ndarray
    owners: np.ndarray


def sorted_run(run: Run) -> Run:
    """The rows of a run by (clock, ties, axis, row); the very same run where they are so already."""
    times = run.times
    if not len(times) or (not run.ties and run.axis is None and bool((times[1:] >= times[:-1]).all())):
        return run
    order = np.argsort(times, kind="stable")
    _settle(order, times, (*((run.axis,) if run.axis is not None else ()), *reversed(run.ties)))
    return run if bool((order[1:] > order[:-1]).all()) else run.take(order)


def split(runs: Sequence[Run], cut: int | None) -> tuple[list[Run], list[Run]]:
    """What of sorted runs lies before a time (None: all), and the rest."""
    if cut is None:
        return list(runs), []
    before, rest = [], []
    for run in runs:
        count = len(run.times) if run.times[-1] < cut else int(np.searchsorted(run.times, cut))
        if count:
            before.append(run.slice(0, count))
        if count < len(run.times):
            rest.append(run.slice(count, len(run.times)))
    return before, rest


def merge(runs: Sequence[Run]) -> Merged:
    """All rows of sorted runs by (clock, ties, stream rank, row as it reads back)."""
    runs = tuple(sorted(runs, key=lambda run: (run.rank, run.place)))
    dtype = np.min_scalar_type(max(1, len(runs) - 1))
    if len(runs) == 1:
        return Merged(runs=runs, times=runs[0].times, owners=np.zeros(len(runs[0].times), dtype))
    counts = [len(run.times) for run in runs]
    mixed = any(run.mixed for run in runs)
    bits = (len(runs) - 1).bit_length()
    first, last = min(int(run.times[0]) for run in runs), max(int(run.times[-1]) for run in runs)
    if runs[0].ties or mixed or last - first >= 1 << (63 - bits):  # or centuries apart
        times = np.concatenate([run.times for run in runs])
        owners = np.repeat(np.arange(len(runs), dtype=dtype), counts)
        order = np.argsort(times, kind="stable")
        _settle(order, times, _deciding(runs, counts, mixed=mixed))
        return Merged(runs=runs, times=times[order], owners=owners[order])
    # One number holds a row's time and its run, so a plain sort does what a much slower indirect one would.
    base = first if max(abs(first), abs(last)) >> (63 - bits) else 0  # of few runs, today's times leave room as they are
    times = np.empty(sum(counts), np.int64)
    stop = 0
    for number, run in enumerate(runs):
        start, stop = stop, stop + len(run.times)
        part = np.subtract(run.times, base, out=times[start:stop]) if base else run.times
        np.left_shift(part, bits, out=times[start:stop])
        if number:
            times[start:stop] |= number
    times.sort(kind="stable" if len(runs) <= FEW_RUNS else "quicksort")
    owners = np.empty(len(times), dtype)
    np.bitwise_and(times, (1 << bits) - 1, out=owners, casting="unsafe")
    times >>= bits
    if base:
        times += base
    return Merged(runs=runs, times=times, owners=owners)


def _deciding(runs: Sequence[Run], counts: Sequence[int], *, mixed: bool) -> tuple[np.ndarray, ...]:
    """What decides between rows of one time, the last first."""
    ties = [np.concatenate([run.ties[number] for run in runs]) for number in range(len(runs[0].ties))]
    if not mixed:
        return tuple(reversed(ties))  # runs come by rank, and a stable sort leaves them so
    axis = np.concatenate([np.zeros(len(run.times), np.int64) if run.axis is None else run.axis for run in runs])
    ranks = np.repeat([run.rank for run in runs], counts)
    return (axis, ranks, *reversed(ties))


def _settle(order: np.ndarray, times: np.ndarray, deciding: tuple[np.ndarray, ...]) -> None:
    """Order the rows of each one time by what decides between them; most times have one row, which are left alone."""
    if not deciding:
        return
    ordered = times[order]
    same = ordered[1:] == ordered[:-1]
    shared = np.zeros(len(order), np.bool_)
    shared[1:] = same
    shared[:-1] |= same
    members = np.flatnonzero(shared)
    if len(members):
        chosen = order[members]
        order[members] = chosen[np.lexsort((*(keys[chosen] for keys in deciding), ordered[members]))]
