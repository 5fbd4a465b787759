"""Quote and trade ticks for NautilusTrader's backtest engine, and the only module that knows it."""

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from datetime import timedelta
from types import ModuleType
from typing import Any, Literal

import numpy as np

from arraystore import arguments
from arraystore.arguments import TimeLike
from arraystore.bridges.ticks import floats, of_conditions, readable, wanted_conditions
from arraystore.datasets.view import DatasetView
from arraystore.errors import InvalidInput
from arraystore.frames.frame import Frame
from arraystore.frames.given import missing_library
from arraystore.replays.batch import ReplayBatch
from arraystore.replays.replay import replay
from arraystore.replays.streams import ReplayStream, default_clock
from layouts.schema import Clock, Schema
from layouts.times import format_time, parse_duration

QUOTE = ("bid_price", "ask_price", "bid_size", "ask_size")
TRADE = ("price", "size", "side")
IDENTIFIER, CONDITION = "trade_id", "condition"

type OneSided = Literal["refuse", "skip"]


def to_nautilus(
    dataset: DatasetView,
    instrument: Any,
    start: TimeLike | None = None,
    end: TimeLike | None = None,
    *,
    latency_offset: int | str | timedelta = 0,
    conditions: Iterable[str] | str | None = None,
    one_sided: OneSided = "refuse",
    batch_rows: int = 100_000,
    threads: int | None = None,
) -> Generator[list[Any]]:
    """Lists of `QuoteTick` or of `TradeTick`, in order of `ts_init`, for `BacktestEngine.add_data_iterator`.

    Parameters
    ----------
    dataset
        Of the shipped schemas `quotes` or `trades` (or one with their columns), of one instrument.
    instrument
        NautilusTrader's instrument. Prices and sizes are told with its precision; one that has more decimals is refused, never rounded.
    start, end
        Rows that were seen in `[start, end)`, by capture time; None for open.
    latency_offset
        Added to every capture time (ns, or text such as "1.5s"); give all instruments of a backtest the same.
    conditions
        Only trades whose `condition` is one of these; None for all.
    one_sided
        A quote without a bid or without an ask is no `QuoteTick`: it is refused, or with "skip" left out.
    batch_rows
        Ticks in a list, at most; each is a Python object of about 200 bytes.
    threads
        Decoders at work; the number of cores by default.

    Yields
    ------
    list
        `ts_init` is the capture time (and the offset), never decreasing, rows of one time in the dataset's order; `ts_event` the
        exchange's matching time, where there is none its send time, where there is none either `ts_init`. A trade without an
        identifier is called after its place in the sequence, from 0.

    Raises
    ------
    InvalidInput
        A value that no tick can have, with the remedy; NautilusTrader isn't installed.
    """
    readable(dataset, "dataset")
    first, stop = arguments.bounds(start, end)
    offset, batch_rows = parse_duration(latency_offset, "latency_offset"), arguments.whole(batch_rows, "batch_rows", 1)
    if one_sided not in ("refuse", "skip"):
        raise InvalidInput(f"{one_sided!r} is neither 'refuse' nor 'skip'", "one_sided")
    schema = dataset.schema
    wanted = QUOTE if all(name in schema for name in QUOTE) else TRADE
    if missing := [name for name in wanted if name not in schema]:
        told = f"schema {schema.name!r} is neither of quotes nor of trades: it has no {', '.join(missing)}"
        raise InvalidInput(told, "dataset")
    if not all(hasattr(instrument, name) for name in ("id", "price_precision", "size_precision")):
        raise InvalidInput(f"a {type(instrument).__name__} isn't an instrument of NautilusTrader", "instrument")
    nautilus_data()
    seen = default_clock(schema, dataset.state, dataset.state.window_names())
    moments = tuple(_moments(schema, seen))
    more = [name for name in (IDENTIFIER, CONDITION) if wanted == TRADE and name in schema]
    stream = ReplayStream(dataset, clock=seen, columns=(*wanted, *more, *moments))
    batches = replay([stream], first, stop, batch_rows=batch_rows, threads=threads)
    kept = wanted_conditions(conditions)
    ticks = _Ticks(instrument=instrument, offset=offset, moments=moments, conditions=kept, skip=one_sided == "skip")
    return (found for batch in batches if (found := (ticks.quotes if wanted == QUOTE else ticks.trades)(batch)))


def _moments(schema: Schema, seen: str) -> list[str]:
    """The clocks that tell when something happened, the best first: matched, then sent."""
    by_role = {role: [column.name for column in schema.columns if column.clock is role] for role in (Clock.EXCHANGE, Clock.PUBLISH)}
    axis = [schema.axis] if seen != schema.axis else []
    return [*by_role[Clock.EXCHANGE], *axis, *by_role[Clock.PUBLISH]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ticks:
    """How batches of rows become ticks of an instrument."""

    instrument: Any
    offset: int
    moments: tuple[str, ...]
    conditions: frozenset[str] | None
    skip: bool

    def quotes(self, batch: ReplayBatch) -> list[Any]:
        """A quote tick a row, but for those that lack a side, if these are to be skipped."""
        frame, seen = batch.frames[0], batch.time.view(np.int64) + self.offset
        happened = self._happened(frame, seen)
        values = {name: floats(frame[name]) for name in QUOTE}
        whole = ~np.logical_or.reduce([np.isnan(each) for each in values.values()])
        if not whole.all():
            if not self.skip:
                row = int(np.argmin(whole))
                told = f"the quote seen at {format_time(int(batch.time.view(np.int64)[row]))} has no bid or no ask, and so is no QuoteTick"
                raise InvalidInput(f"{told}: leave such quotes out with one_sided='skip'", "one_sided")
            values = {name: each[whole] for name, each in values.items()}
            seen, happened = seen[whole], happened[whole]
        arrays = [self._exact(name, values[name], seen) for name in QUOTE]
        makes = nautilus_data().QuoteTick.from_raw_arrays_to_list
        found: list[Any] = makes(self.instrument.id, *self._precisions, *arrays, happened.view(np.uint64), seen.view(np.uint64))
        return found

    def trades(self, batch: ReplayBatch) -> list[Any]:
        """A trade tick a row, but for those of other conditions than are wanted."""
        frame, seen = batch.frames[0], batch.time.view(np.int64) + self.offset
        happened = self._happened(frame, seen)
        names = self._identifiers(frame, batch.position.rows - len(batch))
        price, size, side = floats(frame["price"]), floats(frame["size"]), frame["side"]
        chosen = of_conditions(frame, self.conditions)
        if chosen is not None:
            price, size, side, seen, happened = (each[chosen] for each in (price, size, side, seen, happened))
            names = [name for name, ok in zip(names, chosen.tolist(), strict=True) if ok]
        if len(size) and not (size > 0).all():
            row = int(np.argmin(size > 0))
            told = f"the trade seen at {format_time(int(seen[row]) - self.offset)} has size {size[row]}, and a TradeTick has more than 0"
            raise InvalidInput(f"{told}: choose trades by conditions=…", "size")
        aggressor = np.where(side > 0, 1, np.where(side < 0, 2, 0)).astype(np.uint8)  # AggressorSide: BUYER, SELLER, NO_AGGRESSOR
        arrays = (self._exact("price", price, seen), self._exact("size", size, seen), aggressor, names)
        makes = nautilus_data().TradeTick.from_raw_arrays_to_list
        found: list[Any] = makes(self.instrument.id, *self._precisions, *arrays, happened.view(np.uint64), seen.view(np.uint64))
        return found

    @property
    def _precisions(self) -> tuple[int, int]:
        return self.instrument.price_precision, self.instrument.size_precision

    def _happened(self, frame: Frame, seen: np.ndarray) -> np.ndarray:
        """When each row happened, by the best clock that tells."""
        happened = seen.copy()
        for name in reversed(self.moments):
            times, valid = frame[name].view(np.int64), frame.valid(name)
            happened = times.copy() if valid is None else np.where(valid, times, happened)
        if len(seen) and min(int(seen.min()), int(happened.min())) < 0:
            raise InvalidInput("there are times before 1970, which NautilusTrader has no number for: take a later start", "start")
        return happened

    def _exact(self, name: str, values: np.ndarray, seen: np.ndarray) -> np.ndarray:
        """Prices or sizes, found to be decimals that the instrument can tell."""
        precision = self._precisions["size" in name]
        scale = 10.0**precision
        told = np.rint(values * scale) / scale
        if not np.array_equal(told, values):
            row = int(np.argmax(told != values))
            what = f"{name} {values[row]!r} seen at {format_time(int(seen[row]) - self.offset)} isn't a number of {precision} decimals"
            raise InvalidInput(f"{what}, as {self.instrument.id} has: give the instrument the venue's precision", "instrument")
        return np.ascontiguousarray(values)

    def _identifiers(self, frame: Frame, before: int) -> list[str]:
        """What the venue calls each trade; its place in the sequence where it doesn't."""
        if IDENTIFIER not in frame:
            return [str(row) for row in range(before, before + frame.row_count)]
        values, valid = frame[IDENTIFIER], frame.valid(IDENTIFIER)
        names = list(map(str, values.tolist()))
        known = [True] * len(names) if valid is None else valid.tolist()
        return [name if ok and name else str(row) for row, (name, ok) in enumerate(zip(names, known, strict=True), before)]


def nautilus_data() -> ModuleType:
    """NautilusTrader's module of market data."""
    try:
        from nautilus_trader.model import data
    except ImportError as error:
        raise missing_library("NautilusTrader", "nautilus_trader", "nautilus") from error
    module: ModuleType = data
    return module
