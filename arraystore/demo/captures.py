r"""Capture files as they lie on disk, and back again bit for bit: one line is a capture time in ns, a space, and a message.

A line becomes one row: its capture time, the bytes after the space, and an *encoding* that says how the line is put together again:

    json        "<time> <payload>\n"
    line        "<payload>\n": a line without a usable capture time, kept whole at the capture time of the line before it
    json/eof, line/eof    the same without the newline: the last line of a file that ends in the middle

So the rows of a capture, in order, give back every byte that `gunzip` would print.
"""

import gzip
import hashlib
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np

from arraystore import InvalidInput, Problem

BATCH_ROWS = 20_000
NS_PER_DAY = 86_400_000_000_000
ENCODINGS = ("json", "line", "json/eof", "line/eof")
JSON, LINE, EOF = 0, 1, 2

_DIGITS = 19
_SYMBOL = re.compile(rb'\{"stream":"([^"\\@]{1,40})@')
_POWERS = 10 ** np.arange(_DIGITS - 1, -1, -1, dtype=np.uint64)
_TIME_LIMIT = 9_214_646_400_000_000_000  # 2262-01-01, where time axes end


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """Consecutive lines of a capture, as columns: row `i` holds the bytes `data[offsets[i]:offsets[i + 1]]`."""

    times: np.ndarray
    encodings: np.ndarray
    data: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.times)

    def payload(self, row: int) -> bytes:
        """The bytes of one row."""
        return self.data[self.offsets[row] : self.offsets[row + 1]].tobytes()


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """What a whole capture file holds, known before its first line is stored."""

    path: Path
    feed: str
    sha256: str
    lines: int
    malformed: int
    first_time: int
    last_time: int
    file_bytes: int
    last_line_of_day: dict[int, int] = field(default_factory=dict)

    @property
    def connection(self) -> str:
        """How rows name where they came from: the file's name and the digest of its decompressed content."""
        return f"{self.path.name}#{self.sha256[:16]}"


def parse_lines(block: bytes, time_before: int | None = None) -> Lines:
    """Split whole lines into columns; `time_before` is the capture time of the line before them, if there is one.

    A line without a usable time takes the time of the line before it, or of the first one after it that has one.
    """
    text = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(text == ord("\n"))
    is_cut = bool(len(text)) and (not len(ends) or ends[-1] != len(text) - 1)
    starts = np.concatenate([[0], ends + 1])[: len(ends) + is_cut]
    ends = np.append(ends, len(text)) if is_cut else ends
    times, has_time = _capture_times(text, starts, ends)
    encodings = np.where(has_time, JSON, LINE).astype(np.int32)
    if is_cut:
        encodings[-1] += EOF
    keep = text != ord("\n")
    keep[starts[has_time][:, None] + np.arange(_DIGITS + 1)] = False
    counts = ends - starts - has_time * (_DIGITS + 1)
    offsets = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
    return Lines(times=_fill_times(times, has_time, time_before), encodings=encodings, data=text[keep], offsets=offsets)


def _capture_times(text: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The capture time of each line, and whether it has one: 19 digits, none of them leading zero, then a space."""
    times = np.zeros(len(starts), np.int64)
    has_time = ends - starts > _DIGITS
    has_time[has_time] = text[starts[has_time] + _DIGITS] == ord(" ")
    digits = text[starts[has_time][:, None] + np.arange(_DIGITS)] - np.uint8(ord("0"))  # a smaller byte wraps around
    values = digits.astype(np.uint64) @ _POWERS
    is_time = (digits <= 9).all(axis=1) & (digits[:, 0] > 0) & (values < _TIME_LIMIT)
    has_time[has_time] = is_time
    times[has_time] = values[is_time].astype(np.int64)
    return times, has_time


def _fill_times(times: np.ndarray, has_time: np.ndarray, time_before: int | None) -> np.ndarray:
    """Give each line without a time that of the line before it."""
    if has_time.all() or not len(times):
        return times
    if not has_time[0]:
        first = times[np.argmax(has_time)] if has_time.any() else 0
        times[0] = first if time_before is None else time_before
        has_time = has_time.copy()
        has_time[0] = True
    return times[np.maximum.accumulate(np.where(has_time, np.arange(len(times)), 0))]


def format_lines(lines: Lines) -> bytes:
    """The bytes that `parse_lines` was given."""
    data = lines.data.tobytes()
    cuts = lines.offsets.tolist()
    parts: list[bytes] = []
    for row, (time, encoding) in enumerate(zip(lines.times.tolist(), lines.encodings.tolist(), strict=True)):
        head = b"" if encoding % EOF == LINE else b"%d " % time
        parts += (head, data[cuts[row] : cuts[row + 1]], b"" if encoding >= EOF else b"\n")
    return b"".join(parts)


def read_batches(path: Path, *, rows: int = BATCH_ROWS, skip: int = 0) -> Iterator[Lines]:
    """The lines of a capture from line `skip` on, `rows` at a time; memory holds one batch."""
    before: int | None = None
    with gzip.open(path) as file:
        while block := b"".join(islice(file, min(rows, skip) or rows)):
            lines = parse_lines(block, before)
            before = int(lines.times[-1])
            if skip:
                skip -= len(lines)
            else:
                yield lines


def inspect_captures(paths: Sequence[Path]) -> list[Capture]:
    """Look at every file once, from end to end, before anything is written; `InvalidInput` names all that can't be used.

    The captures come back feed by feed, each feed's in order of their first capture time.
    """
    captures: dict[str, Capture] = {}
    problems: list[Problem] = []
    for path in paths:
        try:
            capture = inspect_capture(path)
        except InvalidInput as error:
            problems += error.problems
            continue
        twin = captures.setdefault(capture.sha256, capture)
        if twin is not capture:
            problems.append(Problem(str(path), f"holds the same messages as {twin.path}; name it once"))
    if problems:
        raise InvalidInput(problems)
    return sorted(captures.values(), key=lambda capture: (capture.feed, capture.first_time, capture.path.name))


def inspect_capture(path: Path) -> Capture:
    """Read one capture from end to end: how many lines, when, of which feed, and whether it is one at all."""
    survey = _Survey()
    try:
        with gzip.open(path) as file:
            while block := b"".join(islice(file, BATCH_ROWS)):
                survey.add(block)
    except FileNotFoundError:
        raise InvalidInput(f"there is no such file (looked in {Path.cwd()}); name an existing capture", str(path)) from None
    except (OSError, EOFError, zlib.error) as error:
        what = f"can't be decompressed after line {survey.lines} ({error}); name a whole gzip file of capture lines"
        raise InvalidInput(what, str(path)) from error
    if not survey.lines:
        raise InvalidInput("it is empty; name a capture that holds messages", str(path))
    if survey.malformed == survey.lines:
        what = f"none of its {survey.lines} lines starts with a capture time (19 digits, ns since 1970) and a space; name another file"
        raise InvalidInput(what, str(path))
    return Capture(
        path=path,
        feed=survey.feed,
        sha256=survey.digest.hexdigest(),
        lines=survey.lines,
        malformed=survey.malformed,
        first_time=survey.first_time,
        last_time=survey.last_time,
        file_bytes=path.stat().st_size,
        last_line_of_day=survey.last_line_of_day,
    )


class _Survey:
    """What is known of a capture after the blocks seen so far."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()
        self.lines = self.malformed = 0
        self.first_time, self.last_time = np.iinfo(np.int64).max, np.iinfo(np.int64).min
        self.feed = ""
        self.line_time: int | None = None
        self.last_line_of_day: dict[int, int] = {}

    def add(self, block: bytes) -> None:
        """Look at the next whole lines."""
        self.digest.update(block)
        lines = parse_lines(block, self.line_time)
        self.line_time = int(lines.times[-1])
        self.feed = self.feed or feed_name(lines)
        self.malformed += int(np.count_nonzero(lines.encodings % EOF))
        self.first_time = min(self.first_time, int(lines.times.min()))
        self.last_time = max(self.last_time, int(lines.times.max()))
        days, place = np.unique(lines.times[::-1] // NS_PER_DAY, return_index=True)
        last = self.lines + len(lines) - 1 - place
        self.last_line_of_day |= dict(zip(days.tolist(), last.tolist(), strict=True))
        self.lines += len(lines)


def feed_name(lines: Lines) -> str:
    """Name the connection after the symbols it carries: `btcusdt-streams`, `btcusdt+ethusdt-streams`."""
    symbols = sorted({symbol.decode(errors="replace") for symbol in _SYMBOL.findall(lines.data.tobytes())})
    shown = "+".join(symbols[:3]) + (f"+{len(symbols) - 3}-more" if len(symbols) > 3 else "")
    return f"{shown or 'unnamed'}-streams"
