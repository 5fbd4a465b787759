"""Locks that a forked child finds open: whoever held one in the parent isn't there to let go of it."""

import os
import threading
from types import TracebackType
from weakref import WeakSet


class Guard:
    """A mutual exclusion of this process's threads, for `with`; not reentrant.

    What it guards must be whole between any two steps of Python, since a fork may come between them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        _guards.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._lock.release()

    def open_again(self) -> None:
        """Forget who held it."""
        self._lock = threading.Lock()


_guards: WeakSet[Guard] = WeakSet()


def _open_all() -> None:
    for guard in list(_guards):
        guard.open_again()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_open_all)
