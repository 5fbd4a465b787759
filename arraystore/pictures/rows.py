"""What pictures read of a dataset: which columns can be drawn, the stretch of time, and values as floats, batch by batch."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from arraystore import arguments
from arraystore.arguments import TimeLike
from arraystore.datasets.view import DatasetView
from arraystore.errors import InvalidInput, NotFound
from arraystore.frames.columns import Decimals
from arraystore.frames.frame import Frame
from layouts.classes import Action
from layouts.naming import format_key
from layouts.schema import Column, Kind, Schema
from layouts.times import DAY, HOUR, MINUTE, SECOND, format_time

SCAN_MEMORY = 64 << 20
_DURATIONS = (("d", DAY), ("h", HOUR), ("min", MINUTE), ("s", SECOND), ("ms", 10**6), ("µs", 1000), ("ns", 1))
_USUAL = (("price",), ("bid_price", "ask_price"), ("close",), ("mark_price", "index_price"), ("equity",), ("rate",))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What part of a dataset is to be drawn. Times are int64 ns: `start` ≤ `clock` < `stop`."""

    view: DatasetView
    schema: Schema
    clock: str
    start: int
    stop: int
    window: str | None = None

    @property
    def name(self) -> str:
        """The dataset, by class and key."""
        window = f" {self.window}" if self.window is not None else ""
        return f"{name_of(self.view)}{window}"

    @property
    def span(self) -> str:
        """The stretch of time, for people."""
        first, last = (format_time(time).partition(".")[0].rstrip("Z").split("T") for time in (self.start, self.stop - 1))
        return f"{' '.join(first)} – {' '.join(last[1:] if first[0] == last[0] else last)} UTC"

    def batches(self, columns: Iterable[str], instrument: str | None = None) -> Iterator[Frame]:
        """These columns of the rows, within little memory, the clock always among them."""
        names = list(dict.fromkeys([self.clock, *columns]))
        bounds = {"clock": self.clock, "window": self.window, "instruments": instrument, "memory": SCAN_MEMORY}
        return self.view.scan(self.start, self.stop, names, **bounds)  # type: ignore[arg-type] # each is what it takes


def asked(
    view: DatasetView, start: TimeLike | None = None, end: TimeLike | None = None, *, clock: str | None = None, window: str | None = None
) -> Asked:
    """A part of a dataset at its version; `NotFound` where it has no rows. Checks access before any I/O."""
    view._place.require(Action.READ)  # noqa: SLF001 - asked before a byte is read
    view = view._still()  # noqa: SLF001 - another thread may move the handle on
    schema = view.schema if window is None else view.schema_of(window)
    first, last = arguments.bounds(start, end)
    clock = arguments.clock(schema, clock)
    names, rows, lows, highs = _spans(view, clock)
    there = (rows > 0) & (lows <= highs)
    if window is not None:
        there &= np.array([name == window for name in names], np.bool_)
    inside = there & (highs >= (lows if first is None else first)) & (lows <= (highs if last is None else last - 1))
    low = int(lows[inside].min()) if inside.any() else 0
    high = int(highs[inside].max()) + 1 if inside.any() else 0
    low, high = (low if first is None else max(low, first)), (high if last is None else min(high, last))
    if low >= high:
        between = "" if (first, last) == (None, None) else f" between {told(first)} and {told(last)}"
        raise NotFound(f"{name_of(view)} has no rows{between}: {_has(names, lows, highs, there)}")
    return Asked(view=view, schema=schema, clock=clock, start=low, stop=high, window=window)


def duration(ns: float) -> str:
    """A length of time, to four digits, in the unit that suits it.

    >>> duration(1_500_000), duration(-2.5e9), duration(391 * 10**9), duration(0)
    ('1.5 ms', '-2.5 s', '6.517 min', '0 s')
    """
    fitting = [(name, unit) for name, unit in _DURATIONS if abs(ns) >= unit]
    name, unit = fitting[0] if fitting else ("s" if ns == 0 else "ns", 1)
    return f"{ns / unit:.4g} {name}"


def told(time: int | None) -> str:
    """A bound of time, for messages."""
    return "the beginning" if time is None else format_time(time)


def _spans(view: DatasetView, clock: str) -> tuple[tuple[str, ...], np.ndarray, np.ndarray, np.ndarray]:
    spans = view.state.spans(clock)
    return tuple(view._told(spans.names)), spans.rows, spans.first, spans.last  # noqa: SLF001 - what users call its windows


def _has(names: tuple[str, ...], lows: np.ndarray, highs: np.ndarray, there: np.ndarray) -> str:
    if not there.any():
        return "append some first" if not len(names) else f"its windows are {', '.join(names[:8])}"
    return f"it reaches from {format_time(int(lows[there].min()))} to {format_time(int(highs[there].max()))}"


def name_of(view: DatasetView) -> str:
    """A dataset by class and key."""
    return f"{view.storage_class}/{format_key(view.key)}"


def drawable(schema: Schema, columns: Iterable[str] | str | None) -> tuple[Column, ...]:
    """The columns to draw: numbers and decimals, one value a row; by default what people look at first."""
    if columns is None:
        usual = next((names for names in _USUAL if all(name in schema for name in names)), None)
        fitting = [column for column in schema.columns if _why_not(column) is None]
        if not fitting:
            raise InvalidInput(f"{schema.name} has no column of numbers, one a row: there is nothing to draw", "columns")
        return tuple(column for column in fitting if usual is None or column.name in usual)[:4] or tuple(fitting[:1])
    names = arguments.columns(schema, [columns] if isinstance(columns, str) else columns)
    chosen = tuple(schema.column(name) for name in names)
    for column in chosen:
        if why := _why_not(column):
            fit = [each.name for each in schema.columns if _why_not(each) is None]
            raise InvalidInput(f"{column.name!r} can't be drawn as a line: {why}; there are {', '.join(fit) or 'none that can'}", "columns")
    if not chosen:
        raise InvalidInput("name at least one column", "columns")
    return chosen


def _why_not(column: Column) -> str | None:
    if column.levels is not None:
        return f"it has {column.levels} levels in each row (plot.book draws books)"
    if column.kind not in (Kind.NUMBER, Kind.DECIMAL):
        return f"it holds {column.kind} values"
    return None


def floats(frame: Frame, name: str) -> np.ndarray:
    """A column of numbers as float64, NaN where it is null."""
    value = frame[name]
    numbers = value.mantissa / 10.0**value.places if isinstance(value, Decimals) else np.asarray(value, np.float64)
    valid = frame.valid(name)
    return numbers if valid is None else np.where(valid, numbers, np.nan)


def times_of(frame: Frame, clock: str) -> np.ndarray:
    """A clock as int64 ns."""
    times: np.ndarray = frame[clock].view(np.int64)
    return times
