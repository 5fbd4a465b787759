"""What instruments are called on a day, as the metadata of a DBN file tells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Self

import numpy as np

from arraystore.errors import InvalidInput, Problem

DAY = 86_400_000_000_000
EPOCH = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class Symbols:
    """Symbols by the number of the instrument, each from a day to the day before another; `label` is the file, in messages."""

    label: str
    _intervals: dict[int, list[tuple[int, int, str]]] = field(default_factory=dict)
    _lasting: dict[int, str] = field(default_factory=dict)

    @classmethod
    def of(cls, mappings: Mapping[str, Sequence[Mapping[str, Any]]], by_number: bool, label: str) -> Self:  # noqa: FBT001 - two ways to say it
        """From the metadata's mappings: of symbols to numbers of instruments, or, `by_number`, the other way round."""
        symbols = cls(label)
        for name, intervals in mappings.items():
            for each in intervals:
                number, symbol = (name, each["symbol"]) if by_number else (each["symbol"], name)
                if symbol and number.isdecimal():
                    span = (each["start_date"].toordinal() - EPOCH, each["end_date"].toordinal() - EPOCH, symbol)
                    symbols._intervals.setdefault(int(number), []).append(span)
        return symbols

    def add(self, number: int, symbol: str) -> None:
        """What a record between the others calls an instrument from now on."""
        if symbol:
            self._lasting[number] = symbol

    def of_records(self, numbers: np.ndarray, times: np.ndarray) -> tuple[list[str], np.ndarray]:
        """The symbols of instruments at times (uint64 ns since 1970), and the place among them of each record's."""
        days = (times // np.uint64(DAY)).astype(np.int64)
        pairs, codes = np.unique(days << 32 | numbers.astype(np.int64), return_inverse=True)
        return [self._symbol(int(pair) & 0xFFFFFFFF, int(pair) >> 32) for pair in pairs], codes

    def _symbol(self, number: int, day: int) -> str:
        if number in self._lasting:
            return self._lasting[number]
        if not self._intervals:
            return str(number)
        for start, stop, symbol in self._intervals.get(number, ()):
            if start <= day < stop:
                return symbol
        when = date.fromordinal(max(1, min(day + EPOCH, date.max.toordinal()))).isoformat()
        what = (
            f"has records of instrument {number} on {when}, for which its metadata has no symbol: request it with symbols, or another day"
        )
        raise InvalidInput(Problem(self.label, what))
