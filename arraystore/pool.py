"""The threads that code chunks: one pool for the whole process, and whoever asks for work does a share of it.

Because callers work too, a read or write from within a pool thread can't wait for itself, and small work never leaves the
caller's thread.
"""

import functools
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from time import perf_counter, thread_time

MOST_THREADS = 64
HELPERS_WHILE_WAITING = 16
SLOW_JOB_SECONDS = 0.005

type Job = Callable[[], None]

_guard = threading.Lock()
_executor: ThreadPoolExecutor | None = None


@functools.cache
def default_threads() -> int:
    """The number of processors, asked for once: asking takes as long as decoding a chunk."""
    return os.cpu_count() or 1


def _helpers() -> ThreadPoolExecutor:
    global _executor  # noqa: PLW0603 - one pool per process, made when first used
    with _guard:
        if _executor is None:
            _executor = ThreadPoolExecutor(MOST_THREADS, thread_name_prefix="arraystore")
        return _executor


def _forget_helpers() -> None:
    """A forked child has none of its parent's threads."""
    global _executor, _guard
    _executor, _guard = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_helpers)


def run_jobs(jobs: Iterable[Job], threads: int | None = None) -> None:
    """Run all jobs on `threads` threads (default: one per processor), the caller's among them; the first error is raised.

    Jobs that are made one by one (an iterator) are made while earlier ones run, one at a time.

    Where jobs wait for a medium far away, more and more of them wait side by side, unless `threads` is 1. Nothing runs any more when
    this returns or raises.
    """
    count = len(jobs) if isinstance(jobs, Sized) else MOST_THREADS
    workers = min(threads or default_threads(), count)
    share(jobs, workers, most=workers if threads == 1 else min(max(workers, HELPERS_WHILE_WAITING), count))


def run_small_jobs(jobs: Sequence[Job], threads: int | None = None) -> None:
    """Run jobs whose computing isn't worth a hand-over: here, one by one, as long as none makes this thread wait.

    After a job that took as long as a medium far away takes, the rest run side by side.
    """
    for done, job in enumerate(jobs, 1):
        begun = perf_counter()
        job()
        if perf_counter() - begun > SLOW_JOB_SECONDS and threads != 1:
            share(jobs[done:], min(max(threads or default_threads(), HELPERS_WHILE_WAITING), len(jobs) - done))
            return


class _Queue:
    """Hands out jobs to threads, each once; an iterator of them is asked by one thread at a time."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._jobs = iter(jobs)
        self._guard = threading.Lock()
        self.is_empty = False

    def take(self) -> Job | None:
        """The next job; None if there is no more."""
        with self._guard:
            job = next(self._jobs, None)
            self.is_empty = job is None
            return job

    def clear(self) -> None:
        """Hand out no more."""
        with self._guard:
            self._jobs = iter(())
            self.is_empty = True


def share(jobs: Iterable[Job], workers: int, most: int = 0) -> None:
    """Run jobs on the caller's thread and `workers` − 1 others, and on up to `most` where they wait instead of computing."""
    queue = _Queue(jobs)
    futures: list[Future[None]] = []

    def work() -> None:
        while (job := queue.take()) is not None:
            begun, busy = perf_counter(), thread_time()
            try:
                job()
            except BaseException:
                queue.clear()
                raise
            waited = perf_counter() - begun - (thread_time() - busy)
            if waited > SLOW_JOB_SECONDS and not queue.is_empty and len(futures) + 1 < most:
                futures.append(_helpers().submit(work))

    futures += [_helpers().submit(work) for _ in range(workers - 1)]
    try:
        work()
    finally:
        errors = [error for future in futures if not future.cancel() and (error := future.exception())]
    if errors:
        raise errors[0]


def start(job: Job) -> None:
    """Begin a job in the background; what it raises is its own to tell."""
    _helpers().submit(job)


def begin[T, R](function: Callable[[T], R], item: T) -> Future[R]:
    """Begin `function` of an item in the background; the result, or what it raises, is the future's to tell."""
    return _helpers().submit(function, item)


def map_in_order[T, R](
    function: Callable[[T], R], items: Iterable[T], threads: int | None = None, *, ahead: int | None = None
) -> Iterator[R]:
    """The results of `function` for all items, in order, computed some items `ahead` of the consumer.

    By default at most two items per thread are under way or waiting, so memory stays bounded however many there are; one thread
    computes each when it is asked for.
    """
    threads = threads or default_threads()
    ahead = ahead if ahead is not None else 2 * threads - 1 if threads > 1 else 0
    if not ahead:
        yield from map(function, items)
        return
    begun: deque[Future[R]] = deque()
    try:
        for item in items:
            begun.append(_helpers().submit(function, item))
            if len(begun) > ahead:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    finally:
        for future in begun:
            future.cancel()
