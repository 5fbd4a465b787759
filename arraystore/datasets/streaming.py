"""Rows that needn't fit into memory: segments are written as the rows come, and one commit at the end makes them all visible."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np

from arraystore.errors import InvalidInput, Problem
from arraystore.frames.rows import Rows, concat
from arraystore.segments.segment import write_segments
from arraystore.storage.base import Batch
from arraystore.versions.commit import SegmentEntry
from arraystore.versions.log import Log
from arraystore.versions.state import State
from layouts.cuts import cut_by_window
from layouts.schema import Order, Schema
from layouts.times import format_time

PIECE_BYTES = 128 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Streamed:
    """What became of a stream: `rows`, if all of them fit into one piece, else the segments `written`, by window."""

    count: int
    rows: Rows | None = None
    written: dict[str, tuple[SegmentEntry, ...]] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class _Pieces:
    """Where the segments of one stream go."""

    batch: Batch
    state: State
    prefix: str
    schema_number: int
    written: dict[str, list[SegmentEntry]] = field(default_factory=dict)

    def write(self, rows: Rows) -> None:
        """Write a piece, as a segment per window it touches."""
        for window, place in cut_by_window(rows.schema, rows.arrays[rows.schema.axis]):
            part = rows.slice(place.start, place.stop) if isinstance(place, slice) else rows.take(place)
            entries = write_segments(
                self.batch,
                f"{self.prefix}/{window.name}",
                part,
                base_version=self.state.version,
                schema_number=self.schema_number,
                profile=self.state.profile,
            )
            self.written.setdefault(window.name, []).extend(entries)


def write_stream(
    log: Log, state: State, schema: Schema, batches: Iterable[Rows], *, sort: bool = False, piece_bytes: int = PIECE_BYTES
) -> Streamed:
    """Take all rows of a stream; what doesn't fit into one piece is durable in segments that nothing names yet when this returns.

    With `sort` each piece is sorted by time, ties as they came; reading merges pieces so. No more than about three times `piece_bytes`
    of rows are held at once: the batches of a piece, the piece, and what is encoded of it.
    If the stream raises, nothing of it is ever visible.
    """
    held: list[Rows] = []
    size = count = 0
    with ExitStack() as stack:
        pieces: _Pieces | None = None
        for rows in _in_order(schema, batches, sort=sort):
            held.append(rows)
            size += rows.nbytes
            count += rows.count
            if size >= piece_bytes:
                if pieces is None:
                    batch = stack.enter_context(log.batch(state.version))
                    pieces = _Pieces(batch=batch, state=state, prefix=log.prefix, schema_number=state.schemas.index(schema))
                pieces.write(_joined(held, schema, sort=sort))
                size = 0
        if pieces is None:
            return Streamed(count=count, rows=_joined(held, schema, sort=sort) if held else None)
        if held:
            pieces.write(_joined(held, schema, sort=sort))
    return Streamed(count=count, written={window: tuple(entries) for window, entries in pieces.written.items()})


def _joined(held: list[Rows], schema: Schema, *, sort: bool) -> Rows:
    """One piece, the batches let go of."""
    rows = concat(held, schema)
    held.clear()
    if not sort or schema.order is not Order.TIME:
        return rows
    times = rows.arrays[schema.axis]
    return rows if (times[1:] >= times[:-1]).all() else rows.take(np.argsort(times, kind="stable"))


def _in_order(schema: Schema, batches: Iterable[Rows], *, sort: bool) -> Iterator[Rows]:
    """The batches that have rows; raises where one of a time-ordered stream begins before the last ended."""
    last: np.int64 | None = None
    for number, rows in enumerate(batches):
        if not rows.count:
            continue
        if schema.order is Order.TIME and not sort:
            times = rows.arrays[schema.axis]
            if last is not None and times[0] < last:
                told = f"batch {number} begins at {format_time(int(times[0]))}, before {format_time(int(last))}, where the one before ends"
                raise InvalidInput(Problem(f"column {schema.axis!r}", f"{told}; rows of one append must be in time order: sort them"))
            last = times[-1]
        yield rows
