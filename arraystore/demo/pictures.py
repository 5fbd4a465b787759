"""The demo's picture: price with fills, equity, and what each dataset covers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from arraystore.errors import Unsupported
from arraystore.pictures import canvas

NS_PER_SECOND = 1_000_000_000
GAP_NS = 1800 * NS_PER_SECOND
STRETCHES = 3
STEPS_SECONDS = (1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 28800, 86400, 604800, 2592000)
PRICE, BUY, SELL, EQUITY = canvas.PALETTE[0], canvas.PALETTE[2], canvas.PALETTE[1], canvas.PALETTE[3]
COLOURS = {"canonical": canvas.PALETTE[0], "derived": canvas.PALETTE[4], "execution-records": canvas.PALETTE[3]}

type Interval = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What one dataset covers: intervals in int64 ns since 1970 UTC."""

    storage_class: str
    label: str
    intervals: tuple[Interval, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What is drawn. Times are int64 ns since 1970 UTC, ascending."""

    title: str
    currency: str
    price_time: np.ndarray
    price: np.ndarray
    fill_time: np.ndarray
    fill_price: np.ndarray
    fill_side: np.ndarray
    equity_time: np.ndarray
    equity: np.ndarray
    coverage: Sequence[Coverage] = field(default_factory=tuple)


def stretches(intervals: Sequence[Interval], gap_ns: int = GAP_NS, most: int = STRETCHES) -> list[Interval]:
    """Join intervals that lie closer than a gap; the longest few of the stretches, in order of time."""
    joined: list[Interval] = []
    for start, stop in sorted(intervals):
        if joined and start - joined[-1][1] < gap_ns:
            joined[-1] = (joined[-1][0], max(joined[-1][1], stop))
        else:
            joined.append((start, stop))
    return sorted(sorted(joined, key=lambda part: part[0] - part[1])[:most])


def draw(picture: Picture) -> bytes | None:
    """The picture as a PNG; None where matplotlib isn't installed (the extra `plot`)."""
    parts = stretches([interval for row in picture.coverage for interval in row.intervals])
    if not parts:
        return None
    widths = [math.sqrt(stop - start) for start, stop in parts]
    height = 0.24 * len(picture.coverage) + 0.3
    try:
        figure = canvas.figure(13.5, 5.6 + height, picture.title)
    except Unsupported:
        return None
    grid = figure.subplots(
        3,
        len(parts),
        sharex="col",
        squeeze=False,
        height_ratios=[3.2, 1.4, height],
        width_ratios=widths,
    )
    for column, part in enumerate(parts):
        _draw_price(grid[0][column], picture, is_first=column == 0)
        _scale_prices(grid[0][column], picture, part)
        _draw_equity(grid[1][column], picture, is_first=column == 0)
        _draw_coverage(grid[2][column], picture.coverage, is_first=column == 0)
        marks = time_marks(part, most=max(3, round(12 * widths[column] / sum(widths))))
        _finish_column(grid[:, column], part, marks, is_first=column == 0)
    return canvas.encode(figure, "png")


def _with_breaks(times: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values with a NaN in every gap, so that no line is drawn across it."""
    breaks = np.flatnonzero(np.diff(times) > GAP_NS) + 1
    return np.insert(times, breaks, times[breaks] - 1), np.insert(values.astype(float), breaks, np.nan)


def _draw_price(axes: Any, picture: Picture, *, is_first: bool) -> None:
    times, price = _with_breaks(picture.price_time, picture.price)
    axes.plot(canvas.moments(times), price, color=PRICE, linewidth=1.1, label="last price of each second")
    for side, marker, colour, label in ((1, "^", BUY, "bought"), (-1, "v", SELL, "sold")):
        chosen = picture.fill_side == side
        style = {"marker": marker, "color": colour, "s": 46, "zorder": 3, "edgecolor": "white", "linewidth": 0.6, "label": label}
        axes.scatter(canvas.moments(picture.fill_time[chosen]), picture.fill_price[chosen], **style)
    if is_first:
        axes.set_ylabel(f"price, {picture.currency}", color=canvas.INK)
        axes.legend(loc="best", fontsize=8, frameon=False)


def _draw_equity(axes: Any, picture: Picture, *, is_first: bool) -> None:
    times, equity = _with_breaks(picture.equity_time, picture.equity)
    axes.axhline(0, color="#999999", linewidth=0.8)
    axes.plot(canvas.moments(times), equity, color=EQUITY, linewidth=1.1)
    if len(equity):
        low, high = min(0.0, float(np.nanmin(equity))), max(0.0, float(np.nanmax(equity)))
        margin = 0.06 * (high - low) or 1.0
        axes.set_ylim(low - margin, high + margin)
    if is_first:
        axes.set_ylabel(f"equity, {picture.currency}", color=canvas.INK)
    else:
        axes.set_yticklabels([])


def _draw_coverage(axes: Any, coverage: Sequence[Coverage], *, is_first: bool) -> None:
    for place, row in enumerate(coverage):
        colour = COLOURS.get(row.storage_class, "#888888")
        starts = canvas.moments(np.array([start for start, _ in row.intervals]))
        lengths = canvas.moments(np.array([stop for _, stop in row.intervals])) - starts
        axes.barh([place] * len(starts), lengths, left=starts, height=0.62, color=colour, edgecolor=colour)
    axes.set_ylim(len(coverage) - 0.4, -0.6)
    axes.set_yticks(range(len(coverage)), [row.label for row in coverage] if is_first else [], fontsize=8)
    axes.tick_params(axis="y", length=0)


def _finish_column(column: Any, part: Interval, marks: np.ndarray, *, is_first: bool) -> None:
    """One time axis below a column, named after the days it shows."""
    start, stop = part
    margin = (stop - start) // 60 + 1
    for axes in column:
        axes.set_xlim(*canvas.moments(np.array([start - margin, stop + margin])))
        axes.grid(color=canvas.GRID, linewidth=0.7)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        if not is_first:
            axes.tick_params(axis="y", length=0)
    length = len("HH:MM:SS" if (marks % (60 * NS_PER_SECOND)).any() else "HH:MM")
    column[-1].set_xticks(canvas.moments(marks), [str(mark)[11 : 11 + length] for mark in canvas.moments(marks)])
    days = [str(canvas.moments(np.array([time]))[0])[:10] for time in part]
    column[-1].set_xlabel(f"{' – '.join(dict.fromkeys(days))}, UTC", color=canvas.INK)


def time_marks(part: Interval, most: int = 8) -> np.ndarray:
    """Round times within an interval: the finest step that gives few enough of them."""
    start, stop = part
    steps = [seconds * NS_PER_SECOND for seconds in STEPS_SECONDS if (stop - start) // (seconds * NS_PER_SECOND) < most]
    step = steps[0] if steps else stop - start
    return np.arange(-(-start // step) * step, stop + 1, step)


def _scale_prices(axes: Any, picture: Picture, part: Interval) -> None:
    """Prices of far-off days have little to do with each other: each stretch gets a scale of its own."""
    inside = (picture.price_time >= part[0]) & (picture.price_time < part[1])
    if inside.any():
        low, high = float(picture.price[inside].min()), float(picture.price[inside].max())
        margin = 0.06 * (high - low) or 1.0
        axes.set_ylim(low - margin, high + margin)
    else:
        axes.set_yticks([])
        axes.text(0.5, 0.5, "this instrument wasn't recorded here", transform=axes.transAxes, ha="center", color="#999999", fontsize=9)
