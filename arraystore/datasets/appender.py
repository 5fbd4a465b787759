"""Rows of live writers gathered into commits: a bounded queue in front, one thread behind, and nothing is ever dropped."""

import atexit
import os
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

from arraystore import arguments
from arraystore.datasets.appendqueue import AppendQueue, Batch, Limits, Unacknowledged, joined, own
from arraystore.datasets.request import Request
from arraystore.errors import FixTheCall, InvalidInput, QueueFull, Retry, StorageError
from arraystore.frames.frame import Frame
from arraystore.frames.rows import Rows
from arraystore.versions.commit import Interval

FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 5.0
ATTEMPTS = 10  # against other writers, in a row; a medium that fails is tried for as long as it takes
ON_FULL = ("block", "raise")
GAP_BITS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed[R]:
    """One commit of an appender: its receipt, rows, how many calls brought them, and how long the oldest of these waited for it."""

    receipt: R
    rows: int
    appends: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sink[R]:
    """Where an appender's rows go.

    `take` checks data of a record and gives rows, in the caller's thread; `commit` makes rows and coverage durable, and repeated with
    the same number never adds them twice; `may_repeat` tells which errors leave nothing behind, so that a commit is worth another try.
    """

    take: Callable[[str, Any], Rows]
    commit: Callable[[str, Rows, tuple[Interval, ...], int], R]
    may_repeat: Callable[[BaseException], bool] = lambda error: isinstance(error, Retry | StorageError)


@dataclass(slots=True)
class _Progress:
    """How far an appender has come: calls and rows taken and durable, up to which call somebody waits, and what is wrong."""

    calls: int = 0
    rows: int = 0
    durable_calls: int = 0
    durable_rows: int = 0
    commits: int = 0
    wanted: int = 0
    failures: int = 0
    in_a_row: int = 0
    failure: BaseException | None = None
    told: bool = False
    stopped: bool = False
    closing: bool = False


class _Appender[R]:
    """The queue, the thread, and what both kinds of appenders share. `_changed` guards `_queue` and `_at`."""

    def __init__(
        self,
        sink: Sink[R],
        limits: Limits,
        *,
        on_full: str,
        on_commit: Callable[[Committed[R]], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if on_full not in ON_FULL:
            raise InvalidInput(f"{on_full!r} is none of {', '.join(ON_FULL)}", "on_full")
        self._sink, self._on_full, self._on_commit, self._clock = sink, on_full, on_commit, clock
        self._changed = threading.Condition()
        self._queue = AppendQueue(limits)
        self._at = _Progress()
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._work, name="arraystore appender", daemon=True)
        self._thread.start()
        atexit.register(self._at_exit)

    # --- what callers see ----------------------------------------------------------------------------------------

    @property
    def accepted(self) -> int:
        """Rows taken so far, durable or not."""
        return self._at.rows

    @property
    def acknowledged(self) -> int:
        """Rows that are durable: always the first of those taken."""
        return self._at.durable_rows

    @property
    def commits(self) -> int:
        """Commits made so far."""
        return self._at.commits

    @property
    def unacknowledged(self) -> Unacknowledged:
        """What a crash now could lose; after an error, what wasn't committed."""
        self._refuse_fork()
        with self._changed:
            return self._queue.unacknowledged(self._clock())

    @property
    def failure(self) -> BaseException | None:
        """What keeps rows from being committed now, if anything does; unless the appender stopped, a later attempt may succeed."""
        return self._at.failure

    def leftovers(self) -> tuple[tuple[str, Frame], ...]:
        """The rows that aren't durable, as they were given, oldest first, each with its record's name; to be saved after an error."""
        self._refuse_fork()
        with self._changed:
            return tuple((batch.record, Frame(batch.rows)) for batch in self._queue.batches())

    def flush(self, timeout: float | None = None) -> None:
        """Return when every row taken before this call is durable; raise what keeps it from being so.

        `TimeoutError` after `timeout` seconds (None: wait as long as it takes); the rows stay in the queue.
        """
        self._refuse_fork()
        if self._is_own_thread:
            raise FixTheCall("on_commit runs between two commits, and can't wait for the next: flush from another thread")
        with self._changed:
            at, target, failures = self._at, self._at.calls, self._at.failures
            self._hurry()

            def is_settled() -> bool:
                return at.durable_calls >= target or at.closing or at.stopped or at.failures > failures

            self._changed.wait_for(is_settled, timeout)
            if at.durable_calls >= target:
                return
            if at.failure is not None and is_settled():
                self._raise()
            if at.closing:
                raise FixTheCall(f"this appender was closed before {target - at.durable_calls} appends were durable: see leftovers()")
            raise TimeoutError(f"{target - at.durable_calls} appends aren't durable after {timeout} seconds; they stay in the queue")

    async def flush_async(self) -> None:
        """`flush`, to be awaited: the event loop goes on meanwhile."""
        import asyncio

        await asyncio.to_thread(self.flush)

    def close(self) -> None:
        """Flush and stop. Raises what kept rows from being committed: they are `leftovers()`, and nobody tries again. Once is enough."""
        self._refuse_fork()
        try:
            if not self._at.closing:
                self.flush()
        finally:
            with self._changed:
                self._at.closing = True
                self._changed.notify_all()
            self._thread.join()
            atexit.unregister(self._at_exit)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()  # after an error, too: what was taken before it is still to be committed

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        import asyncio

        await asyncio.to_thread(self.close)

    # --- the caller's side ---------------------------------------------------------------------------------------

    def _put(self, record: str, data: Any, coverage: tuple[Interval, ...] = ()) -> int:
        self._refuse_fork()
        with self._changed:
            self._refuse_failed()
        rows = own(self._sink.take(record, data))
        size = rows.nbytes
        with self._changed:
            self._refuse_failed()
            while not self._queue.has_room(rows.count, size):
                self._hurry()
                if self._on_full == "raise" or self._is_own_thread:
                    raise QueueFull(f"{self._queue.rows} rows wait for their commit: flush(), or append these {rows.count} later")
                self._changed.wait()
                if self._at.failure is not None or self._at.closing:
                    self._at.told = False
                    self._refuse_failed()
            if rows.count or coverage:
                self._queue.put(Batch(rows=rows, size=size, at=self._clock(), record=record, coverage=coverage))
                self._at.calls += 1
                self._at.rows += rows.count
                self._changed.notify_all()
            return self._at.rows

    def _hurry(self) -> None:
        """Have all that is in the queue committed without waiting for more."""
        self._at.wanted = self._at.calls
        self._changed.notify_all()

    def _refuse_failed(self) -> None:
        """Raise if nothing more can be taken, or if what fails just now wasn't told yet."""
        if self._at.closing:
            raise FixTheCall("this appender is closed: make another")
        if self._at.failure is not None and (self._at.stopped or not self._at.told):
            self._at.told = True
            self._raise()

    def _raise(self) -> None:
        error = self._at.failure
        assert error is not None
        then = "no further attempt is made: see leftovers()" if self._at.stopped else "the next attempt follows"
        error.__notes__ = [f"{self._queue.rows} rows of {len(self._queue)} appends aren't durable; {then}"]
        raise error

    @property
    def _is_own_thread(self) -> bool:
        return threading.current_thread() is self._thread

    def _refuse_fork(self) -> None:
        if os.getpid() != self._process:
            raise FixTheCall(f"this appender belongs to process {self._process}, whose thread didn't come along: make one in each process")

    def _at_exit(self) -> None:
        if os.getpid() == self._process:
            self.close()

    # --- the thread's side ---------------------------------------------------------------------------------------

    def _work(self) -> None:
        """Commit group after group, until closed or stopped."""
        number = 0
        while (group := self._next()) is not None:
            number += self._commit(group, number)

    def _next(self) -> tuple[Batch, ...] | None:
        """Wait until a commit is due; None when there is nothing more to do."""
        with self._changed:
            while not (self._at.closing or self._at.stopped):
                due = self._queue.due_at()
                if due is not None and (self._at.wanted > self._at.durable_calls or due <= self._clock()):
                    return self._queue.group()
                self._changed.wait(None if due is None else due - self._clock())
            return None

    def _commit(self, group: tuple[Batch, ...], number: int) -> bool:
        """Make a group durable; whether it is. After an error that leaves nothing behind, pauses before the next attempt."""
        rows = sum(batch.rows.count for batch in group)
        try:
            coverage = tuple(interval for batch in group for interval in batch.coverage)
            receipt = self._sink.commit(group[0].record, joined(group), coverage, number)
        except BaseException as error:  # noqa: BLE001 - whatever it is, callers are told
            self._failed(error, repeat=self._sink.may_repeat(error))
            return False
        with self._changed:
            self._queue.done(group)
            at = self._at
            at.durable_calls, at.durable_rows, at.commits = at.durable_calls + len(group), at.durable_rows + rows, at.commits + 1
            at.in_a_row, at.failure, at.told = 0, None, False
            self._changed.notify_all()
        if self._on_commit is not None:
            seconds = self._clock() - group[0].at
            try:
                self._on_commit(Committed(receipt=receipt, rows=rows, appends=len(group), seconds=seconds))
            except BaseException as error:  # noqa: BLE001 - as above
                self._failed(error, repeat=False)
        return True

    def _failed(self, error: BaseException, *, repeat: bool) -> None:
        with self._changed:
            at = self._at
            at.failures += 1
            at.in_a_row += 1
            at.told = at.told and type(error) is type(at.failure)
            at.failure = error
            at.stopped = not repeat or (isinstance(error, Retry) and at.in_a_row >= ATTEMPTS)
            wanted = at.wanted = min(at.wanted, at.durable_calls)  # who waits has been told, and may ask again
            self._changed.notify_all()
            if not at.stopped:
                pause = min(FIRST_PAUSE_SECONDS * 2.0 ** min(at.in_a_row - 1, 30), LONGEST_PAUSE_SECONDS)
                self._changed.wait_for(lambda: at.closing or at.wanted > wanted, pause)


def numbered_sink[R](
    request: Request,
    take: Callable[[Any], Rows],
    commit: Callable[[Request], R],
    latest: Callable[[str], tuple[int, int] | None],
    writer: str | None,
) -> Sink[R]:
    """A sink into one dataset: each commit is `request` with rows, and a token of its own; `latest` tells a writer's last number."""
    token = arguments.token((f"appender-{secrets.token_hex(8)}" if writer is None else writer, 0))
    assert token is not None
    name = token[0]
    # Of two appenders with one name the numbers never meet: the one that was opened earlier falls behind, and is told so.
    first = (latest(name) or (-1, 0))[0] + 1 + secrets.randbits(GAP_BITS)

    def numbered(_: str, rows: Rows, coverage: tuple[Interval, ...], number: int) -> R:
        return commit(replace(request, rows=rows, coverage=coverage, token=(name, first + number)))

    return Sink(take=lambda _, data: take(data), commit=numbered)


class Appender[R](_Appender[R]):
    """Gathers rows into commits of one dataset. Made by `Dataset.appender`; safe to share between threads, not between processes.

    Rows are checked when they are appended, and committed in the order of the calls, in the background: once there are `max_rows`,
    once the oldest waited for `max_seconds`, or at a `flush`. Rows of one call are never parted. Until a commit is durable its rows are
    `unacknowledged`: they are all that a crash can lose.

    An attempt that left nothing behind (`Retry`; `StorageError`: a full disk) is made again, of the same rows with the same token, so
    that no row is ever there twice; meanwhile the error is raised by the next call, whose rows aren't taken, by every `flush`, and by
    calls that wait for room. After any other error the appender stops: every call raises it, and `leftovers()` has what wasn't committed.
    """

    def append(self, data: Any, *, coverage: Any = None) -> int:
        """Take rows, as `Dataset.append` does, and return how many were taken so far; they are durable once `acknowledged` is as much.

        Parameters
        ----------
        data
            Copied, so that the caller may use its arrays again. Checked now, against the schema in force.
        coverage
            As for `Dataset.append`, declared by the commit that has these rows.

        Raises
        ------
        InvalidInput
            These rows can't be taken; those before are.
        QueueFull
            With `on_full="raise"`; with `"block"` this waits until there is room.
        ArrayStoreError
            What keeps earlier rows from being committed; these here aren't taken.
        """
        return self._put("", data, arguments.coverage(coverage))


class SessionAppender[R](_Appender[R]):
    """As `Appender`, for the records of a session: the order of the calls, whatever their record, is that of their `sequence`.

    Made by `Session.appender`. As long as it is open, nothing else may write to the session. After an attempt that failed, rows are
    committed only once the session is found as it was left.
    """

    def append(self, record: str, data: Any) -> int:
        """Take rows of one kind of records, as `Session.append` does, and return how many were taken so far of all kinds."""
        return self._put(record, data)
