"""How long after an event its message was seen: capture minus exchange time, all together and over time, by quantiles."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from arraystore import arguments
from arraystore.errors import InvalidInput, NotFound
from arraystore.pictures import canvas
from arraystore.pictures.rows import Asked, duration, times_of
from layouts.schema import Clock, Kind, Schema

STEPS = 240
BARS = 160
QUANTILES = (0.5, 0.9, 0.99)
MOST_COUNTS = 2_000_000
"""Of different latencies (times steps) so many are counted one by one; where there are more, they are rounded to 1 part in 1,024."""

ROUNDED_BITS = 10
VALUE_BITS = 55
FARTHEST = (1 << VALUE_BITS - 1) - 1
"""Latencies of more than 208 days, in either direction, count as 208 days."""

_UNITS = (("s", 1e9), ("ms", 1e6), ("µs", 1e3), ("ns", 1.0))


@dataclass(slots=True)
class Counts:
    """How often each latency (int64 ns) came in each of some steps; within memory that `most` bounds, and exact until then."""

    steps: int
    most: int = MOST_COUNTS
    rounded: bool = False
    count: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    _keys: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))  # ascending: a step's number above the bits of a latency
    _waiting: list[np.ndarray] = field(default_factory=list)

    @property
    def step(self) -> np.ndarray:
        """The step that each count is of, ascending."""
        steps: np.ndarray = self._keys >> VALUE_BITS
        return steps

    @property
    def value(self) -> np.ndarray:
        """The latency that each count is of, ascending within a step."""
        values: np.ndarray = (self._keys & ((1 << VALUE_BITS) - 1)) - FARTHEST
        return values

    def add(self, step: np.ndarray, value: np.ndarray) -> None:
        """Take in latencies, each with the number of its step."""
        self._waiting.append(_key(step, _rounded(value) if self.rounded else value))
        if sum(map(len, self._waiting)) >= self.most:
            self.settle()

    def settle(self) -> None:
        """Count what was taken in."""
        new = np.sort(np.concatenate([np.zeros(0, np.int64), *self._waiting]))
        self._waiting = []
        starts = _starts(new)
        keys = np.concatenate([self._keys, new[starts]])
        self._merge(keys, np.concatenate([self.count, np.diff(np.append(starts, len(new)))]))
        if len(self._keys) > self.most and not self.rounded:
            self.rounded = True
            self._merge(_key(self.step, _rounded(self.value)), self.count)

    def _merge(self, keys: np.ndarray, counts: np.ndarray) -> None:
        order = np.argsort(keys, kind="stable")  # quick, as they are runs in order
        keys, counts = keys[order], counts[order]
        starts = _starts(keys)
        self._keys = keys[starts]
        self.count = np.add.reduceat(counts, starts) if len(starts) else counts

    def quantiles(self, asked: tuple[float, ...]) -> np.ndarray:
        """Quantiles of all, as NumPy interpolates them."""
        order = np.argsort(self.value, kind="stable")
        return _quantiles(self.value[order], self.count[order], asked)

    def by_step(self, asked: tuple[float, ...]) -> np.ndarray:
        """The same for each step: (steps, quantiles), NaN where a step has none."""
        found = np.full((self.steps, len(asked)), np.nan)
        cuts = np.searchsorted(self.step, np.arange(self.steps + 1))
        for place in np.flatnonzero(cuts[1:] > cuts[:-1]).tolist():
            own = slice(cuts[place], cuts[place + 1])
            found[place] = _quantiles(self.value[own], self.count[own], asked)
        return found


def _key(step: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Steps and latencies as numbers whose order is theirs."""
    keys: np.ndarray = (step.astype(np.int64) << VALUE_BITS) + np.clip(value, -FARTHEST, FARTHEST) + FARTHEST
    return keys


def _starts(ordered: np.ndarray) -> np.ndarray:
    """Where runs of equal numbers begin."""
    return np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])) if len(ordered) else np.zeros(0, np.int64)


def _rounded(values: np.ndarray) -> np.ndarray:
    """The nearest values with so many binary digits after the first."""
    mantissas, exponents = np.frexp(values.astype(np.float64))
    rounded: np.ndarray = np.ldexp(np.rint(mantissas * (2 << ROUNDED_BITS)), exponents - ROUNDED_BITS - 1).astype(np.int64)
    return rounded


def _quantiles(values: np.ndarray, counts: np.ndarray, asked: tuple[float, ...]) -> np.ndarray:
    ends = np.cumsum(counts)
    places = np.array(asked) * (ends[-1] - 1)
    low, high = (values[np.searchsorted(ends, each, side="right")] for each in (np.floor(places), np.ceil(places)))
    found: np.ndarray = low + (high - low) * (places - np.floor(places))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """What is drawn. `edges` are those of the steps (int64 ns); latencies are in ns."""

    capture: str
    exchange: str
    rows: int
    missing: int
    edges: np.ndarray
    counts: Counts


def latency_of(part: Asked, *, exchange: str | None = None, instrument: str | None = None, steps: int = STEPS) -> Latency:
    """Gather the latencies of all rows in one pass; rows without either time are left out, and counted."""
    capture, exchange = _clocks(part, exchange)
    width = max(1, -(-(part.stop - part.start) // steps))
    steps = max(1, -(-(part.stop - part.start) // width))
    counts, rows, missing = Counts(steps), 0, 0
    for frame in part.batches([capture, exchange], instrument):
        times, seen, happened = (times_of(frame, name) for name in (part.clock, capture, exchange))
        valid = np.ones(len(times), np.bool_)
        for name in (capture, exchange):
            flags = frame.valid(name)
            valid &= True if flags is None else flags
        rows, missing = rows + len(times), missing + len(times) - int(valid.sum())
        counts.add((times[valid] - part.start) // width, seen[valid] - happened[valid])
    counts.settle()
    if not len(counts.value):
        raise NotFound(f"{part.name}: none of {rows:,} rows has both {capture} and {exchange}; choose another clock with exchange=")
    edges = part.start + np.arange(steps + 1, dtype=np.int64) * width
    return Latency(capture=capture, exchange=exchange, rows=rows, missing=missing, edges=edges, counts=counts)


def _clocks(part: Asked, exchange: str | None) -> tuple[str, str]:
    """The column of capture times, and of when it happened: the exchange's clock, else the one it published by, else the axis."""
    schema = part.schema
    if exchange is not None:
        arguments.columns(schema, [exchange])
        if schema.column(exchange).kind is not Kind.TIME:
            raise InvalidInput(f"{exchange!r} holds no times; there are {', '.join(_times(schema))}", "exchange")
    seen = _known(part, Clock.CAPTURE)
    capture = seen if seen is not None and seen != exchange else schema.axis
    happened = exchange or _known(part, Clock.EXCHANGE) or _known(part, Clock.PUBLISH) or schema.axis
    if happened == capture:
        told = f"no row of {part.name} says both when it happened and when it was seen: its times are {', '.join(_times(schema))}"
        raise InvalidInput(f"{told}; name the one of the exchange, if there is one", "exchange")
    return capture, happened


def _known(part: Asked, clock: Clock) -> str | None:
    """The first column of a clock that has values."""
    for column in part.schema.columns:
        if column.clock is clock:
            spans = part.view.state.spans(column.name)
            if bool(((spans.rows > 0) & (spans.first <= spans.last)).any()):
                return column.name
    return None


def _times(schema: Schema) -> list[str]:
    return [column.name for column in schema.columns if column.kind is Kind.TIME]


def draw_latency(part: Asked, found: Latency, *, title: str | None = None) -> Any:
    """The figure: quantiles over time above, and below how often which latency came."""
    made = canvas.figure(11, 6.6, f"{part.name}: latency" if title is None else title)
    over_time, spread = made.subplots(2, 1, height_ratios=(1.25, 1))
    low, high = found.counts.quantiles((0.01, 0.99)).tolist()
    unit, scale = _unit(high - low or abs(high))
    _draw_over_time(over_time, found, unit, scale)
    _draw_spread(spread, found, unit, scale)
    canvas.note(over_time, _note(part, found))
    canvas.time_axis(over_time, part.start, part.stop, name=part.clock)
    return made


def _note(part: Asked, found: Latency) -> str:
    parts = [f"{found.capture} minus {found.exchange}: {found.rows:,} rows, {part.span}, version {part.view.version}"]
    if found.missing:
        parts.append(f"{found.missing:,} rows lack one of the two")
    if found.counts.rounded:
        parts.append("rounded to 1 part in 1,024")
    low, high = found.counts.quantiles((0.0, 1.0)).tolist()
    if low < 0:
        parts.append("negative: the capturing clock was behind" if high < 0 else "where negative, the capturing clock was behind")
    return "; ".join(parts)


def _unit(spread: float) -> tuple[str, float]:
    """The largest unit in which latencies differ by more than fractions."""
    return next(((name, scale) for name, scale in _UNITS if spread >= scale), _UNITS[-1])


def _draw_over_time(axes: Any, found: Latency, unit: str, scale: float) -> None:
    """Lines per quantile, a pale band from the smallest to the median and from there to the largest quantile."""
    values = found.counts.by_step((0.01, *QUANTILES)) / scale
    times = canvas.moments(np.repeat(found.edges, 2)[1:-1])
    lowest, *lines = (np.repeat(column, 2) for column in values.T)
    axes.fill_between(times, lowest, lines[-1], color=canvas.PALETTE[5], alpha=0.25, linewidth=0, label="1 % to 99 %")
    for quantile, line, colour in zip(QUANTILES, lines, _COLOURS, strict=True):
        axes.plot(times, line, color=colour, linewidth=1.2, label=_named(quantile), gid=f"quantile-{quantile}")
    canvas.tidy(axes)
    canvas.plain_numbers(axes.yaxis)
    canvas.label(axes, y=f"latency ({unit})")
    canvas.legend(axes, loc="best", ncols=4)


_COLOURS = (canvas.PALETTE[0], canvas.PALETTE[4], canvas.PALETTE[1])


def _named(quantile: float) -> str:
    return "median" if quantile == 0.5 else f"{quantile * 100:g} %"


def _draw_spread(axes: Any, found: Latency, unit: str, scale: float) -> None:
    """A histogram of the middle 99.8 %, with the quantiles marked; what lies beyond is told."""
    low, high, least, most = found.counts.quantiles((0.001, 0.999, 0.0, 1.0)).tolist()
    logarithmic = low > 0 and high / low > 100
    edges = np.geomspace(low, high, BARS + 1) if logarithmic else np.linspace(low, high, BARS + 1)
    edges = np.array([low - 0.5, low + 0.5]) if low == high else edges
    weights, _ = np.histogram(found.counts.value, edges, weights=found.counts.count)
    axes.stairs(weights / found.counts.count.sum() * 100, edges / scale, fill=True, color=canvas.PALETTE[5], alpha=0.6)
    for quantile, value, colour in zip(QUANTILES, found.counts.quantiles(QUANTILES).tolist(), _COLOURS, strict=True):
        axes.axvline(
            value / scale, color=colour, linewidth=1.2, label=f"{_named(quantile)}: {canvas.written(round(value / scale, 2))} {unit}"
        )
    if logarithmic:
        axes.set_xscale("log")
    canvas.tidy(axes)
    canvas.plain_numbers(axes.xaxis)
    canvas.plain_numbers(axes.yaxis)
    canvas.label(axes, x=f"latency ({unit})", y="% of rows")
    canvas.note(axes, f"all rows but the outermost 0.1 % at either end; smallest {duration(least)}, largest {duration(most)}")
    canvas.legend(axes, loc="best")
