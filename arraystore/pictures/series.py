"""Columns over time: each point if they are few, else the smallest and the largest of each step, so that every spike is seen."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from arraystore import arguments
from arraystore.errors import InvalidInput
from arraystore.pictures import canvas
from arraystore.pictures.binning import Bins, with_breaks
from arraystore.pictures.rows import Asked, drawable, duration, floats, times_of
from layouts.schema import Kind

STEPS = 2000
MOST_INSTRUMENTS = 8
SHARED = 0.25
"""Columns whose ranges overlap by this part of both together are drawn in one panel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What is drawn of a column: points of a line (int64 ns, float64), `binned` if they stand for more rows than there are points."""

    label: str
    column: str
    unit: str
    times: np.ndarray
    values: np.ndarray
    rows: int
    skipped: int
    binned: bool

    @property
    def reach(self) -> tuple[float, float]:
        """Smallest and largest value; NaN if there is none."""
        return (float(np.nanmin(self.values)), float(np.nanmax(self.values))) if len(self.values) else (np.nan, np.nan)


def lines_of(
    part: Asked, columns: Iterable[str] | str | None, *, instruments: Iterable[str] | str | None = None, steps: int = STEPS
) -> list[Line]:
    """The lines to draw, of each column (and instrument); one pass over the rows for each instrument."""
    chosen = drawable(part.schema, columns)
    names = [column.name for column in chosen]
    units = {column.name: column.unit or "" for column in chosen}
    found = []
    for instrument in _instruments(part, instruments):
        points = _Points(part, names, steps)
        for frame in part.batches(names, instrument):
            points.add(times_of(frame, part.clock), [floats(frame, name) for name in names])
        for place, name in enumerate(names):
            label = name if instrument is None else instrument if len(names) == 1 else f"{instrument} {name}"
            times, values, skipped = points.line(place)
            more = {"rows": points.rows, "skipped": skipped, "binned": points.bins is not None}
            found.append(Line(label=label, column=name, unit=units[name], times=times, values=values, **more))  # type: ignore[arg-type]
    return found


def _instruments(part: Asked, given: Iterable[str] | str | None) -> list[str | None]:
    column = part.schema.column("instrument") if "instrument" in part.schema else None
    of_many = column is not None and column.kind is Kind.DICTIONARY and not column.nullable
    if given is None:
        if of_many:
            msg = f"{part.name} holds rows of many instruments: name those to draw, at most {MOST_INSTRUMENTS}"
            raise InvalidInput(msg, "instruments")
        return [None]
    names = list(dict.fromkeys(arguments.texts([given] if isinstance(given, str) else given, "instruments")))
    if not 0 < len(names) <= MOST_INSTRUMENTS:
        raise InvalidInput(f"{len(names)} instruments: name 1 to {MOST_INSTRUMENTS}, more can't be told apart", "instruments")
    return list(names)


class _Points:
    """Rows as they come: kept while they are few, gathered in bins from then on."""

    def __init__(self, part: Asked, names: list[str], steps: int) -> None:
        self.part, self.names, self.steps = part, names, steps
        self.rows = 0
        self.bins: Bins | None = None
        self._kept: list[tuple[np.ndarray, list[np.ndarray]]] = []

    def add(self, times: np.ndarray, values: list[np.ndarray]) -> None:
        """Take in a batch."""
        self.rows += len(times)
        if self.bins is None and self.rows <= 2 * self.steps:
            self._kept.append((times, values))
            return
        if self.bins is None:
            self.bins = Bins(self.part.start, self.part.stop, self.steps, len(self.names))
            for batch in self._kept:
                self.bins.add(*batch)
            self._kept = []
        self.bins.add(times, values)

    def line(self, place: int) -> tuple[np.ndarray, np.ndarray, int]:
        """A column's points in order of time, and how many values weren't finite."""
        if self.bins is not None:
            return *self.bins.line(place), int(self.bins.skipped[place])
        times = np.concatenate([np.zeros(0, np.int64), *(times for times, _ in self._kept)])
        values = np.concatenate([np.zeros(0), *(values[place] for _, values in self._kept)])
        finite = np.isfinite(values)
        order = np.argsort(times[finite], kind="stable")
        return times[finite][order], values[finite][order], int((~finite).sum())


def panels_of(lines: list[Line]) -> list[list[Line]]:
    """Lines that belong together: of one unit, over much the same range."""
    panels: list[list[Line]] = []
    for line in lines:
        home = next((panel for panel in panels if _belongs(line, panel)), None)
        if home is None:
            panels.append([line])
        else:
            home.append(line)
    return panels


def _belongs(line: Line, panel: list[Line]) -> bool:
    if panel[0].unit != line.unit:
        return False
    if any(each.column == line.column for each in panel):
        return True
    low, high = line.reach
    lows, highs = (np.array([each.reach[side] for each in panel]) for side in (0, 1))
    if np.isnan(low) or np.isnan(lows).all():
        return True
    both = max(high, float(np.nanmax(highs))) - min(low, float(np.nanmin(lows)))
    shared = min(high, float(np.nanmax(highs))) - max(low, float(np.nanmin(lows)))
    return both == 0 or shared / both >= SHARED


def draw_series(part: Asked, lines: list[Line], *, title: str | None = None) -> Any:
    """The figure: a panel for each group of lines, one above the other, over one axis of time."""
    panels = panels_of(lines)
    made = canvas.figure(11, 1.6 + 2.6 * len(panels) if len(panels) > 1 else 4.6, part.name if title is None else title)
    grid = made.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axes, panel in zip(grid, panels, strict=True):
        for place, line in enumerate(panel):
            times, values = with_breaks(line.times, line.values, part.stop - part.start)
            marks = {"marker": ".", "markersize": 5} if len(line.times) <= 80 else {}
            colour = canvas.PALETTE[place % len(canvas.PALETTE)]
            axes.plot(canvas.moments(times), values, color=colour, linewidth=0.9, label=line.label, gid=f"line-{line.label}", **marks)
        canvas.tidy(axes)
        canvas.plain_numbers(axes.yaxis)
        names = ", ".join(dict.fromkeys(line.column for line in panel))
        canvas.label(axes, y=f"{names} ({panel[0].unit})" if panel[0].unit else names)
        if len(panel) > 1:
            canvas.legend(axes, loc="best", ncols=min(len(panel), 4))
    canvas.note(grid[0], _note(part, lines))
    canvas.time_axis(grid[-1], part.start, part.stop, name=part.clock)
    return made


def _note(part: Asked, lines: list[Line]) -> str:
    rows = sum(line.rows for line in lines[:: max(1, len({line.column for line in lines}))])
    parts = [f"{rows:,} rows, {part.span}, version {part.view.version}"]
    if any(line.binned for line in lines):
        step = Bins(part.start, part.stop, STEPS, 0).width
        parts.append(f"each {duration(step)} drawn by its smallest and largest value")
    if skipped := sum(line.skipped for line in lines):
        parts.append(f"{skipped:,} values that are null, NaN or infinite aren't drawn")
    return "; ".join(parts)
