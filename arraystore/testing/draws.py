"""What generated columns are made of: seeded draws of times, prices on ticks, identifiers, labels, codes and nulls."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from arraystore.frames.columns import Decimals, Labels, Ragged
from layouts.columns import Kind
from layouts.schema import Order, Schema

#: Columns as `append` takes them.
type Columns = dict[str, Any]

INSTRUMENTS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT", "LTCUSDT", "NEWUSDT")
WEIGHTS = (0.4, 0.25, 0.12, 0.1, 0.07, 0.05, 0.01)
FIRST_PRICE = 6_000_000  # ticks: a walk of many million steps stays above zero, and its digits don't change in number
FIRST_NUMBER = 10**11
NUMBER_DIGITS = 12
MILLISECOND = 10**6
GROUP_DIGITS = np.frombuffer("".join(f"{number:04d}" for number in range(10_000)).encode(), np.uint32)


class Draw:
    """Draws of one dataset of `count` rows by one schema, the same for the same seed. Nothing loops over rows."""

    def __init__(self, schema: Schema, count: int, seed: int, start: int) -> None:
        self.schema = schema
        self.count = count
        self.start = start
        self.random = np.random.default_rng(seed)

    # --- times ---------------------------------------------------------------------------------------------------

    def arrivals(self, gap_ns: float, count: int | None = None) -> np.ndarray:
        """Times that never step back, about `gap_ns` apart; some are equal, as of one packet."""
        number = self.count if count is None else count
        gaps = self.random.exponential(gap_ns, number)
        gaps[self.random.random(number) < 0.1] = 0
        times: np.ndarray = self.start + np.cumsum(gaps.astype(np.int64))
        return times

    def delays(self, typical_ns: float) -> np.ndarray:
        """How long something took: a typical time, rarely much more."""
        return self.random.lognormal(np.log(typical_ns), 0.5, self.count).astype(np.int64)

    # --- which rows ----------------------------------------------------------------------------------------------

    def chance(self, share: float) -> np.ndarray:
        """True for about that share of the rows, and for one of them at least if there are enough."""
        chosen = self.random.random(self.count) < share
        if self.count > 1 and not chosen.any():
            chosen[self.random.integers(self.count)] = True
        return chosen

    def nullable(self, name: str, values: Any, null: np.ndarray | float) -> Columns:
        """A column and its validity; `null` tells the rows, or their share."""
        mask = self.chance(null) if isinstance(null, float) else null
        return {name: values, f"{name}_valid": ~mask}

    # --- values --------------------------------------------------------------------------------------------------

    def scaled(self, name: str, mantissa: np.ndarray, places: int) -> Any:
        """Whole ticks as the column keeps prices and sizes; `places` digits where it doesn't tell."""
        column = self.schema.column(name)
        if column.kind is Kind.DECIMAL:
            assert column.places is not None
            return Decimals(mantissa, column.places)
        return mantissa / 10.0 ** column.attributes.get("decimal_places", places)

    def identifiers(self, name: str, numbers: np.ndarray, prefix: str = "") -> Any:
        """Numbers, or text with so many digits that it never begins with a zero."""
        if self.schema.column(name).kind is not Kind.TEXT:
            return (FIRST_NUMBER + numbers).astype(np.uint64)
        return text_lines(prefix.encode(), (FIRST_NUMBER + numbers, NUMBER_DIGITS), count=len(numbers))

    def labels(self, choices: Mapping[str, float] | Sequence[str]) -> Labels:
        """Labels, each with its share."""
        shares = list(choices.values()) if isinstance(choices, Mapping) else [1.0] * len(choices)
        return Labels(self.pick(shares).astype(np.int32), tuple(choices))

    def codes(self, name: str, shares: Mapping[str, float]) -> np.ndarray:
        """Codes of a vocabulary, each meaning with its share."""
        column = self.schema.column(name)
        values = dict(column.vocabulary)
        drawn: np.ndarray = np.array([values[meaning] for meaning in shares], column.dtype)[self.pick(list(shares.values()))]
        return drawn

    def code(self, name: str, meaning: str) -> int:
        """The code of a meaning."""
        return dict(self.schema.column(name).vocabulary)[meaning]

    def flags(self, *meanings: str) -> int:
        """Flags at once."""
        return sum(self.code("flags", meaning) for meaning in meanings)

    def pick(self, shares: Sequence[float]) -> np.ndarray:
        """Places in a list, each with its share of the rows."""
        bounds = np.cumsum(shares) / sum(shares)
        chosen: np.ndarray = np.searchsorted(bounds[:-1], self.random.random(self.count), side="right")
        return chosen

    def sizes(self, typical: float = 300) -> np.ndarray:
        """Sizes in ticks, from 1 up: many small ones, a few large."""
        drawn: np.ndarray = 1 + self.random.lognormal(np.log(typical), 1.2, self.count).astype(np.int64)
        return drawn

    def instruments(self) -> np.ndarray:
        """Which instrument each row is of: some are in far more rows than others, and the last only in the last tenth."""
        codes = self.pick(WEIGHTS)
        codes[: self.count * 9 // 10][codes[: self.count * 9 // 10] == len(INSTRUMENTS) - 1] = 0
        return codes

    def walk(self, groups: np.ndarray | None = None, step: int = 2, base: int = FIRST_PRICE) -> np.ndarray:
        """A walk in ticks; with groups one for each of them, at a level of its own."""
        steps = self.random.integers(-step, step + 1, self.count)
        if groups is None:
            return base + np.cumsum(steps)
        walks = np.empty(self.count, np.int64)
        for group in np.unique(groups):
            rows = groups == group
            walks[rows] = base // (1 + int(group)) + np.cumsum(steps[rows])
        return walks

    # --- market data ---------------------------------------------------------------------------------------------

    def market(self, times: np.ndarray, codes: np.ndarray) -> Columns:
        """The columns that all market data begin with."""
        columns: Columns = {"time": times}
        if self.schema.order is Order.ARRIVAL:
            sent = times - self.delays(4 * MILLISECOND)
            columns |= self.nullable("exchange_time", sent - self.delays(MILLISECOND), 0.01)
            columns |= self.nullable("publish_time", sent, 0.02)
            columns |= self.nullable("capture_sequence", np.arange(self.count, dtype=np.uint64), 0.01)
        else:
            columns |= {"exchange_time": times, **self.nullable("publish_time", times + self.delays(MILLISECOND), 0.02)}
        return columns | self.labelled(codes)

    def labelled(self, codes: np.ndarray) -> Columns:
        """The column `instrument` where the schema has it."""
        return {"instrument": Labels(codes.astype(np.int32), INSTRUMENTS)} if "instrument" in self.schema else {}

    def market_codes(self) -> np.ndarray:
        """Which instrument each row is of; all of one where the schema is of one."""
        return self.instruments() if "instrument" in self.schema else np.zeros(self.count, np.int64)


def text_lines(*pieces: bytes | tuple[np.ndarray, int], count: int) -> Ragged:
    """Rows of text all alike but for numbers in it, which are given with their number of digits."""
    matrix = matrix_of(*pieces, count=count)
    return Ragged(matrix.reshape(-1), np.arange(count + 1, dtype=np.int64) * matrix.shape[1], text=True)


def matrix_of(*pieces: bytes | tuple[np.ndarray, int], count: int) -> np.ndarray:
    """The same as letters, a row of uint8 each."""
    widths = [len(piece) if isinstance(piece, bytes) else piece[1] for piece in pieces]
    matrix = np.empty((count, sum(widths)), np.uint8)
    stops = np.cumsum(widths)
    for piece, width, stop in zip(pieces, widths, stops, strict=True):
        place = matrix[:, stop - width : stop]
        place[...] = np.frombuffer(piece, np.uint8) if isinstance(piece, bytes) else digits_of(*piece)
    return matrix


def digits_of(numbers: np.ndarray, width: int) -> np.ndarray:
    """The last `width` decimal digits, as letters."""
    groups = -(-width // 4)
    letters = np.empty((len(numbers), groups), np.uint32)
    rest = numbers
    for group in reversed(range(groups)):
        rest, low = np.divmod(rest, 10_000)
        letters[:, group] = GROUP_DIGITS[low]
    return letters.view(np.uint8)[:, 4 * groups - width :]
