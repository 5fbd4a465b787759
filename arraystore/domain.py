"""Which values an array may hold besides those of its type: codes that mean something, masks, truth values, text (FORMAT.md section 5)."""

import codecs
from dataclasses import dataclass

import numpy as np

from arraystore.errors import Corrupt
from layouts.schema import Column, Kind

ASCII_LIMIT = 0x80
SCAN_BYTES = 1 << 16  # few enough to stay in the processor's cache, and for a rare letter to cost little
BYTE_VALUES = 256
FEW_GAPS = 8  # as many comparisons take as long as one look at a table, which can't be done many values at a time


@dataclass(frozen=True, slots=True, eq=False)
class Domain:
    """Values from `least` to `most` (both meant), but for `gaps`, or those that a table of `allowed` codes or a `mask` of bits leaves."""

    least: int
    most: int
    allowed: np.ndarray | None = None  # by the code's byte
    mask: int | None = None
    gaps: tuple[int, ...] = ()

    def problem(self, values: np.ndarray) -> str:
        """What is wrong with an array's values; nothing for most arrays."""
        if not values.size:
            return ""
        if values.dtype == np.bool_:
            values = values.view(np.uint8)
        if self.mask is not None:
            strange = int(np.bitwise_or.reduce(values, axis=None)) & ~self.mask
            return f"it has the flags {strange:#x}, which its column doesn't know" if strange else ""
        low, high = int(values.min()), int(values.max())
        if low < self.least or high > self.most:
            return f"it has values from {low} to {high}, where its column knows {self.least} to {self.most}"
        for gap in self.gaps:
            if np.count_nonzero(values) != values.size if gap == 0 else bool((values == gap).any()):
                return f"it has the code {gap}, which its column's vocabulary doesn't"
        if self.allowed is not None and not (known := self.allowed[values.view(np.uint8)]).all():
            return f"it has the code {int(values[~known].flat[0])}, which its column's vocabulary doesn't"
        return ""

    def apply(self, values: np.ndarray) -> None:
        """Raise `Corrupt` for values that can't be."""
        if problem := self.problem(values):
            raise Corrupt(problem)


TRUTH = Domain(0, 1)


def domain_of(column: Column, *, has_nulls: bool) -> Domain | None:
    """What a column's values are limited to, if by more than their type; under its nulls, if any, lies 0."""
    if column.dtype == "bool":
        return TRUTH
    if column.kind not in (Kind.VOCABULARY, Kind.FLAGS):
        return None
    known = {value for _, value in column.vocabulary}
    if column.kind is Kind.FLAGS:
        mask = 0
        for value in known:
            mask |= value
        # Of a mask without a gap the largest value tells, which is quicker.
        return Domain(0, mask) if mask & (mask + 1) == 0 else Domain(0, mask, mask=mask)
    known |= {0} if has_nulls or not known else set()
    least, most = min(known), max(known)
    if len(gaps := tuple(sorted(set(range(least, most + 1)) - known))) <= FEW_GAPS:
        return Domain(least, most, gaps=gaps)
    allowed = np.zeros(BYTE_VALUES, np.bool_)
    allowed[[value % BYTE_VALUES for value in known]] = True
    return Domain(least, most, allowed)


class AsciiWatch:
    """Notes whether any of the bytes it is shown isn't ASCII, while they are in the processor's cache. Safe to share between threads."""

    __slots__ = ("clean",)

    def __init__(self) -> None:
        self.clean = True

    def apply(self, content: np.ndarray) -> None:
        """Look at some bytes."""
        if self.clean and len(content) and content.max() >= ASCII_LIMIT:
            self.clean = False


def invalid_utf8_row(content: np.ndarray, counts: np.ndarray) -> int | None:
    """The first row that isn't UTF-8, or None; plain ASCII is told at memory speed."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    is_ascii = True
    position: int | None = None
    for start in range(0, len(content), SCAN_BYTES):
        block = content[start : start + SCAN_BYTES]
        pending = len(decoder.getstate()[0])
        if not pending and block.max() < ASCII_LIMIT:
            continue
        is_ascii = False
        try:
            decoder.decode(block.tobytes(), final=start + SCAN_BYTES >= len(content))
        except UnicodeDecodeError as error:
            position = start - pending + error.start
            break
    return None if is_ascii else _first_bad_row(content, counts, position)


def _first_bad_row(content: np.ndarray, counts: np.ndarray, position: int | None) -> int | None:
    """The row of the first byte that couldn't be decoded, or that starts within a character."""
    done = 0
    for first in range(0, len(counts), SCAN_BYTES):
        lengths = counts[first : first + SCAN_BYTES]
        ends = done + np.cumsum(lengths, dtype=np.int64)
        held = np.flatnonzero(lengths)
        split = held[content[(ends - lengths)[held]] & 0xC0 == 0x80]
        bad: list[int] = split[:1].tolist()
        if position is not None and position < ends[-1]:
            bad.append(int(np.searchsorted(ends, position, side="right")))
        if bad:
            return first + min(bad)
        done = int(ends[-1])
    return None
