"""What datasets have of which day: rows and completeness, with the gaps between; from manifests, and clocks where windows are longer."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import batched
from typing import Any

import numpy as np

from arraystore import arguments
from arraystore.arguments import TimeLike
from arraystore.datasets.view import DatasetView
from arraystore.errors import NotFound
from arraystore.pictures import canvas
from arraystore.pictures.rows import name_of
from layouts.times import DAY, day_of

MOST_DATASETS = 60
MOST_COLUMNS = 400
READ_ROWS = 20_000_000
"""Of windows longer than a day, clocks of so many rows in all are read to tell their days; of more, rows are taken to lie evenly."""

STATES = ("complete", "partial", "open")
SHORT_GAP = 10
LONGEST = 40_000 * DAY
_STEPS = (1, 7, 28, 91, 365, 1826)
_COLOURS = (
    ("#d9e8f5", "#7fb2d9", "#0072B2", "#0a3f66"),
    ("#fde3d3", "#f2a679", "#D55E00", "#7a3600"),
    ("#d5efe6", "#77cbb0", "#009E73", "#00553e"),
)
_GAP = "#f0f0f0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """A dataset day by day, ascending: days since 1970 with rows or coverage, how many rows, and the place of their state in STATES.

    `even` says that rows were taken to lie evenly in their windows.
    """

    name: str
    days: np.ndarray
    rows: np.ndarray
    states: np.ndarray
    even: bool = False


def days_of(view: DatasetView, start: TimeLike | None = None, end: TimeLike | None = None, *, budget: int = READ_ROWS) -> Days:
    """Rows and state of each day in `[start, end)`, days being cut at both ends to whole ones; several series count together."""
    view = view._still()  # noqa: SLF001 - another thread may move the handle on
    coverage = view.coverage(start, end)
    longer = [each.rows for each in coverage.windows if each.start is not None and each.stop is not None and each.stop - each.start > DAY]
    if longer and sum(longer) <= budget:
        coverage = view.coverage(start, end, per="day")
    found: list[tuple[np.ndarray, np.ndarray, int]] = []
    even = False
    for window in coverage.windows:
        state = STATES.index(window.completeness)
        covered = [np.arange(start // DAY, -(-stop // DAY)) for start, stop in window.covered if stop - start < LONGEST]
        found += [(days, np.zeros(len(days), np.int64), state) for days in covered]
        if window.first is not None and window.last is not None:
            days, rows = _even((window.first, window.last), window.rows)
            even |= len(days) > 1
            found.append((days, rows, state))
    return _together(name_of(view), found, *arguments.bounds(start, end), even=even)


def _even(span: tuple[int, int], rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a span by day, as if they lay evenly; in one day they do."""
    days = np.arange(span[0] // DAY, span[1] // DAY + 1)
    ends = np.round(np.linspace(0, rows, len(days) + 1)).astype(np.int64)
    return days, np.diff(ends)


def _together(name: str, found: list[tuple[np.ndarray, np.ndarray, int]], first: int | None, last: int | None, *, even: bool) -> Days:
    """Windows as one row of days; of several windows in a day, the least finished one with rows tells the state."""
    none = np.zeros(0, np.int64)
    days = np.concatenate([none, *(days for days, _, _ in found)])
    rows = np.concatenate([none, *(rows for _, rows, _ in found)])
    states = np.concatenate([none, *(np.full(len(days), state) for days, _, state in found)])
    inside = (days >= (days if first is None else first // DAY)) & (days < (days + 1 if last is None else -(-last // DAY)))
    different, back = np.unique(days[inside], return_inverse=True)
    worst = np.zeros(len(different), np.int64)
    np.maximum.at(worst, back, states[inside])
    summed = np.bincount(back, weights=rows[inside], minlength=len(different)).astype(np.int64)
    return Days(name=name, days=different, rows=summed, states=worst, even=even)


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """Datasets × columns: `rows` (−1: nothing known of these days, 0: a gap or an empty day), `states`, and each column's days.

    `starts` holds each column's first day since 1970; −1 stands for a longer time in which nobody has anything. A column has `step` days.
    """

    names: tuple[str, ...]
    starts: np.ndarray
    step: int
    rows: np.ndarray
    states: np.ndarray
    totals: tuple[int, ...]
    even: int
    left_out: int


def matrix_of(found: Iterable[Days], *, left_out: int = 0) -> Matrix:
    """Days of datasets side by side; where there are many, several days share a column, and long times without anything are folded."""
    listed = list(found)
    every = np.unique(np.concatenate([np.zeros(0, np.int64), *(each.days for each in listed)]))
    if not len(every):
        raise NotFound("none of these datasets has rows here: choose others, or another range of time")
    step, starts = next(
        ((step, starts) for step in _STEPS if len(starts := _columns(every, step)) <= MOST_COLUMNS),
        (_STEPS[-1], _columns(every, _STEPS[-1])),
    )
    rows = np.full((len(listed), len(starts)), -1, np.int64)
    states = np.zeros((len(listed), len(starts)), np.int64)
    real = np.flatnonzero(starts >= 0)
    for place, each in enumerate(listed):
        if not len(each.days):
            continue
        columns = real[np.searchsorted(starts[real], each.days, side="right") - 1]
        span = slice(columns[0], columns[-1] + 1)
        rows[place, span] = 0
        np.add.at(rows[place], columns, each.rows)
        np.maximum.at(states[place], columns, each.states)
    rows[:, starts < 0] = -1
    return Matrix(
        names=tuple(each.name for each in listed),
        starts=starts,
        step=step,
        rows=rows,
        states=states,
        totals=tuple(int(each.rows.sum()) for each in listed),
        even=sum(each.even for each in listed),
        left_out=left_out,
    )


def _columns(days: np.ndarray, step: int) -> np.ndarray:
    """First days of columns: all from the first to the last, but for long times without any, of which −1 remains."""
    weekday = 4 if step > 1 else 0  # 1970-01-05 was a Monday
    groups = np.unique((days - weekday) // step)
    columns: list[np.ndarray] = []
    cuts = np.flatnonzero(np.diff(groups) * step > max(SHORT_GAP, 2 * step)) + 1
    for piece in np.split(groups, cuts):
        columns += [np.arange(piece[0], piece[-1] + 1) * step + weekday, np.array([-1])]
    return np.concatenate(columns[:-1])


def draw_coverage(found: Matrix, *, title: str) -> Any:
    """The figure: a row for each dataset, a column for each day (or several), the darker the more rows, in the colour of its state."""
    height = 0.24 * len(found.names)
    made = canvas.figure(11.5, 1.6 + height, title)
    axes = made.subplots()
    positive = found.rows[found.rows > 0]
    norm = canvas.log_scale(float(positive.min()) * 0.7, float(positive.max())) if len(positive) else canvas.log_scale(1, 10)
    edges = np.arange(found.rows.shape[1] + 1), np.arange(len(found.names) + 1)
    lines = {"edgecolors": "white", "linewidth": 0.6 if found.rows.shape[1] <= 130 else 0.0}
    gaps = np.ma.masked_where(found.rows != 0, np.ones(found.rows.shape))
    axes.pcolormesh(*edges, gaps, cmap=canvas.shades("gap", (_GAP, _GAP)), **lines)
    for state, colours in enumerate(_COLOURS):
        shown = np.ma.masked_where((found.rows <= 0) | (found.states != state), found.rows)
        if shown.count():
            axes.pcolormesh(*edges, shown, cmap=canvas.shades(STATES[state], colours), norm=norm, gid=STATES[state], **lines)
    axes.set_ylim(len(found.names), 0)
    axes.set_yticks(np.arange(len(found.names)) + 0.5, [canvas.plain(_elided(name)) for name in found.names], fontsize=8)
    right = axes.secondary_yaxis("right")
    right.set_yticks(np.arange(len(found.names)) + 0.5, [f"{total:,}" for total in found.totals], fontsize=8)
    for each in (*axes.get_yticklabels(), *right.get_yticklabels()):
        each.set_parse_math(False)
    canvas.label(right, y="rows")
    _finish(made, axes, right, found)
    return made


def _finish(made: Any, axes: Any, right: Any, found: Matrix) -> None:
    canvas.tidy(axes, grid="")
    for each in (axes, right):
        each.tick_params(axis="y", length=0)
        each.spines[:].set_visible(False)
    marks, names = marks_of(found.starts)
    axes.set_xticks(marks, names, fontsize=8.5)
    axes.set_xlabel(_note(found), color=canvas.FAINT, fontsize=8.5, loc="left")
    for place in np.flatnonzero(found.starts < 0).tolist():
        axes.axvline(place + 0.5, color="#c4c4c4", linewidth=0.8, linestyle=(0, (2, 3)))
    present = [state for state in range(len(STATES)) if ((found.rows > 0) & (found.states == state)).any()]
    patches = [axes.bar(0, 0, color=_COLOURS[state][2], label=STATES[state]) for state in present]
    if (found.rows == 0).any():
        patches.append(axes.bar(0, 0, color=_GAP, label="no rows"))
    axes.set_xlim(0, found.rows.shape[1])
    axes.set_ylim(len(found.names), 0)
    made.legend(handles=patches, loc="outside upper right", ncols=len(patches), frameon=False, fontsize=8.5, labelcolor=canvas.INK)


def _note(found: Matrix) -> str:
    """What the columns and colours are, and what isn't shown."""
    parts = ["UTC days" if found.step == 1 else f"UTC, {found.step} days a column", "the darker, the more rows"]
    if len(positive := found.rows[found.rows > 0]):
        parts[1] += f" ({positive.min():,} to {positive.max():,})"
    if (found.starts < 0).any():
        parts.append("dotted: time in which none has any is left out")
    if found.left_out:
        parts.append(f"{found.left_out:,} more datasets, with fewer rows, aren't shown")
    if found.even:
        parts.append(f"rows of {found.even} of these datasets are taken to lie evenly in their windows")
    return "\n".join("; ".join(each) for each in batched(parts, 2))


def marks_of(starts: np.ndarray) -> tuple[list[float], list[str]]:
    """Which columns to name, about eight of them: where a stretch begins, and evenly between."""
    step = max(1, len(starts) // 8)
    begins = [place for place in range(len(starts)) if starts[place] >= 0 and (place == 0 or starts[place - 1] < 0)]
    chosen: list[int] = []
    for place in sorted({*begins, *range(0, len(starts), step)}, key=lambda each: (each not in begins, each)):
        if starts[place] >= 0 and all(abs(place - other) >= 0.9 * step for other in chosen):
            chosen.append(place)
    return [place + 0.5 for place in sorted(chosen)], [str(day_of(int(starts[place]) * DAY)) for place in sorted(chosen)]


def _elided(name: str, most: int = 56) -> str:
    return name if len(name) <= most else f"{name[: most // 2 - 1]}…{name[-most // 2 :]}"
