"""What an appender holds between a call and its commit: batches in the order they came, and which of them go together."""

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from arraystore.errors import InvalidInput
from arraystore.frames.rows import Rows, concat
from arraystore.versions.commit import Interval
from layouts.schema import Order

LONGEST_SECONDS = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When an appender commits, and how much it holds; `max_seconds` on the appender's clock."""

    max_rows: int = 10_000
    max_seconds: float = 1.0
    max_queue_rows: int = 100_000
    max_queue_bytes: int = 256 << 20
    max_commit_bytes: int = 64 << 20  # of memory, so that a commit of large rows isn't larger than need be

    def __post_init__(self) -> None:
        for name in ("max_rows", "max_queue_rows", "max_queue_bytes", "max_commit_bytes"):
            value: Any = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise InvalidInput(f"{value!r} isn't a whole number from 1 up", name)
        seconds: Any = self.max_seconds
        if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 <= seconds <= LONGEST_SECONDS:
            raise InvalidInput(f"{seconds!r} isn't a number of seconds from 0 to {LONGEST_SECONDS}", "max_seconds")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """Rows of one call, checked and the appender's own, with their bytes; `record` tells kinds of rows apart that can't share a commit."""

    rows: Rows
    size: int
    at: float
    record: str = ""
    coverage: tuple[Interval, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Unacknowledged:
    """What a crash now could lose: rows, their bytes in memory, the calls that brought them, and for how long the oldest waits."""

    rows: int
    bytes: int
    appends: int
    seconds: float


@dataclass(slots=True)
class AppendQueue:
    """Batches that aren't durable yet, oldest first. Not safe to share between threads: its owner locks."""

    limits: Limits
    rows: int = 0
    bytes: int = 0
    _batches: deque[Batch] = field(default_factory=deque)
    _group: tuple[Batch, ...] = ()  # what was given to be committed and isn't yet

    def __len__(self) -> int:
        return len(self._batches)

    def batches(self) -> tuple[Batch, ...]:
        """All of them."""
        return tuple(self._batches)

    def has_room(self, rows: int, size: int) -> bool:
        """Whether so many rows of so many bytes fit; anything fits an empty queue."""
        if not self._batches:
            return True
        return self.rows + rows <= self.limits.max_queue_rows and self.bytes + size <= self.limits.max_queue_bytes

    def put(self, batch: Batch) -> None:
        """Add a batch after all others."""
        self._batches.append(batch)
        self.rows += batch.rows.count
        self.bytes += batch.size

    def due_at(self) -> float | None:
        """When the next commit is due: at once (-inf) if there is enough for one, None if there is nothing."""
        if not self._batches:
            return None
        if self.rows >= self.limits.max_rows or self.bytes >= self.limits.max_commit_bytes:
            return -math.inf
        return self._batches[0].at + self.limits.max_seconds

    def group(self) -> tuple[Batch, ...]:
        """The oldest batches that make one commit: of one record, as many as the limits allow, but one at least. They stay in the queue.

        Until they are done it is the same ones, whatever came after them: a token stands for the same rows at every attempt.
        """
        self._group = self._group or self._oldest()
        return self._group

    def _oldest(self) -> tuple[Batch, ...]:
        chosen: list[Batch] = []
        rows = size = 0
        for batch in self._batches:
            if chosen and (
                batch.record != chosen[0].record
                or rows + batch.rows.count > self.limits.max_rows
                or size + batch.size > self.limits.max_commit_bytes
            ):
                break
            chosen.append(batch)
            rows += batch.rows.count
            size += batch.size
        return tuple(chosen)

    def done(self, group: tuple[Batch, ...]) -> None:
        """Forget a group, which `group` gave: it is durable."""
        self._group = ()
        for batch in group:
            taken = self._batches.popleft()
            assert taken is batch, "groups are committed in order, one at a time"
            self.rows -= batch.rows.count
            self.bytes -= batch.size

    def unacknowledged(self, now: float) -> Unacknowledged:
        """What would be lost if the process ended now."""
        waits = now - self._batches[0].at if self._batches else 0.0
        return Unacknowledged(rows=self.rows, bytes=self.bytes, appends=len(self._batches), seconds=max(waits, 0.0))


def joined(group: tuple[Batch, ...]) -> Rows:
    """The rows of a group as one append takes them: as they came, or by time (ties as they came) where the schema is in time order."""
    rows = concat([batch.rows for batch in group])
    times = rows.arrays[rows.schema.axis]
    if rows.schema.order is Order.TIME and (times[1:] < times[:-1]).any():
        return rows.take(np.argsort(times, kind="stable"))
    return rows


def own(rows: Rows) -> Rows:
    """The same rows in memory that no caller can change later."""
    return Rows(
        schema=rows.schema, count=rows.count, arrays={name: array.copy() for name, array in rows.arrays.items()}, labels=rows.labels
    )
