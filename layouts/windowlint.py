"""What of a dataset's windows would serve better otherwise, told by their numbers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from layouts.chunking import SEGMENT_ROWS, TAIL_COUNT, TAIL_TOTAL_BYTES
from layouts.deviations import Deviation, deviation
from layouts.windows import WindowLength

SEGMENTS_MANY = 8
SEGMENT_SMALL_BYTES = 1 << 20
WINDOWS_FEW = 8
WINDOW_SMALL_BYTES = 64 << 10
WINDOW_LARGE_BYTES = 4 << 30
LABELS_MANY = 4096
LABELS_FEW = 64

#: The next length up, and about how many of the one go into it; the next length down.
LONGER = {
    WindowLength.HOUR: (WindowLength.DAY, 24),
    WindowLength.DAY: (WindowLength.MONTH, 30),
    WindowLength.MONTH: (WindowLength.YEAR, 12),
}
SHORTER = {longer: shorter for shorter, (longer, _) in LONGER.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowFacts:
    """What is judged of one window: `bytes` as stored, and of segments which aren't as new ones would be."""

    name: str
    rows: int
    bytes: int
    completeness: str
    segments: int
    tails: int
    tail_bytes: int
    older_schema: int = 0


def window_deviations(place: str, window: WindowFacts) -> Iterator[Deviation]:
    """What is to be said of one window."""
    where = f"{place}/{window.name}"
    columnar = window.bytes - window.tail_bytes
    if window.segments >= SEGMENTS_MANY and columnar < window.segments * SEGMENT_SMALL_BYTES:
        yield deviation("many-segments", where, f"{window.segments:,} segments of {columnar // window.segments:,} bytes on average")
    if window.tails and window.completeness == "complete":
        yield deviation("unfolded", where, f"{window.tails:,} tails in a complete window")
    elif window.tails >= TAIL_COUNT or window.tail_bytes >= TAIL_TOTAL_BYTES:
        yield deviation("unfolded", where, f"{window.tails:,} tails of {window.tail_bytes:,} bytes")
    if window.older_schema:
        yield deviation("older-schema", where, f"{window.older_schema:,} of {window.segments:,} segments with an earlier schema")


def length_deviations(place: str, length: WindowLength, windows: Sequence[WindowFacts]) -> Iterator[Deviation]:
    """Whether windows of this length fit how much there is; `windows` are those of this length that have rows."""
    if not windows:
        return
    typical = int(median(window.bytes for window in windows))
    if len(windows) >= WINDOWS_FEW and typical < WINDOW_SMALL_BYTES and length in LONGER:
        better, size = length, typical
        while size < WINDOW_SMALL_BYTES and better in LONGER:
            better, times = LONGER[better]
            size *= times
        found = f"{len(windows):,} windows of a {length} with {typical:,} bytes in the middle one"
        yield deviation("short-windows", place, found, wanted=f"windows of a {better}, of about {size:,} bytes")
    for window in windows:
        if (window.bytes > WINDOW_LARGE_BYTES or window.rows > SEGMENT_ROWS) and length in SHORTER:
            found = f"a window of {window.bytes:,} bytes and {window.rows:,} rows"
            yield deviation("long-windows", f"{place}/{window.name}", found, wanted=f"windows of a {SHORTER[length]}")


def unfinished_deviations(place: str, windows: Sequence[WindowFacts]) -> Iterator[Deviation]:
    """Windows before the newest that nobody called partial or complete, where the dataset has such."""
    if all(window.completeness == "open" for window in windows):
        return  # whoever writes here says nothing of completeness
    for window in windows[:-1]:
        if window.completeness == "open":
            yield deviation("unfinished", f"{place}/{window.name}", "an open window, before others that are complete or partial")


def label_deviations(place: str, column: str, labels: int, rows: int) -> Iterator[Deviation]:
    """Whether a column of a segment has so many labels that it isn't one of few texts."""
    if labels > LABELS_MANY:
        yield deviation("many-labels", f"{place}/{column}", f"{labels:,} labels in {rows:,} rows")
    elif labels > LABELS_FEW and labels * 2 > rows:
        yield deviation("many-labels", f"{place}/{column}", f"{labels:,} labels in {rows:,} rows: most occur once")
