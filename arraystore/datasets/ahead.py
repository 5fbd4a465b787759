"""Windows one after another, the next ones read in the background while one is worked on."""

import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Self

from arraystore.frames.windowframe import WindowFrame
from arraystore.pool import begin

type ReadOne = Callable[[str], WindowFrame]


class WindowLoader(Iterator[WindowFrame]):
    """Iterates over windows as frames; made by `DatasetView.windows`. Every frame is of one and the same version.

    One window at a time is read in the background, in order, until `prefetch` of them wait, so memory holds that many besides what the
    caller keeps. What can't be read raises where its turn comes, which ends the iteration. A loader that is closed, or dropped (as
    `break` does), begins nothing more; what is just being read is read to its end and forgotten. It may be made in one thread and used
    in another, by one at a time; after a fork, the child reads anew what wasn't told.
    """

    def __init__(self, read: ReadOne, names: Sequence[str], prefetch: int) -> None:
        self._read = read
        self._names = names
        self._prefetch = prefetch
        self._told = 0  # windows that were handed over
        self._ahead: deque[Future[WindowFrame]] = deque()  # those that follow; all but the last are done
        self._closed = False
        self._guard = threading.Lock()
        self._process = os.getpid()

    def __len__(self) -> int:
        """How many windows are still to come."""
        return 0 if self._closed else len(self._names) - self._told

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> WindowFrame:
        if self._process != os.getpid():  # the parent's threads, which held the lock or read, aren't here
            self._process, self._guard = os.getpid(), threading.Lock()
            self._ahead.clear()
        with self._guard:
            if self._closed or self._told == len(self._names):
                self._closed = True
                raise StopIteration
            name = self._names[self._told]
            self._told += 1
            future = self._ahead.popleft() if self._ahead else None
        try:
            # What nobody has begun to read, this thread reads.
            frame = self._read(name) if future is None or future.cancel() else future.result()
        except BaseException:
            self.close()
            raise
        self._go_on()
        return frame

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Read no more; it can be called any number of times."""
        if self._process != os.getpid():
            self._closed = True
            return
        with self._guard:
            self._closed = True
            ahead = list(self._ahead)
            self._ahead.clear()
        for future in ahead:
            future.cancel()

    def _go_on(self) -> None:
        """Begin to read the next window, if none is being read, and fewer wait than may."""
        with self._guard:
            number = self._told + len(self._ahead)
            idle = not self._ahead or self._ahead[-1].done()
            if self._closed or not idle or len(self._ahead) >= self._prefetch or number == len(self._names):
                return
            future = begin(self._read, self._names[number])
            self._ahead.append(future)
        loader = weakref.ref(self)  # so that a loader that was dropped goes, though one of its windows is being read
        future.add_done_callback(lambda _: _go_on(loader))


def _go_on(loader: "weakref.ref[WindowLoader]") -> None:
    still = loader()
    if still is not None:
        still._go_on()  # noqa: SLF001 - of this module
