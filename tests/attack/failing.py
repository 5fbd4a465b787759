"""Storages whose n-th call fails: the medium is full, or failing, or doesn't answer."""

import errno
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Self

from arraystore.errors import CommitUnknown, StorageError
from arraystore.storage import Storage

WRITING = frozenset({"create", "put", "swap", "batch", "put in a batch", "leave a batch", "sync", "delete"})
FULL, BROKEN = errno.ENOSPC, errno.EIO


class Medium:
    """What all storages of one store have in common: which call is next, and which one fails.

    `only` names the calls that count (None: all); a create that fails `late` has made its object visible, and says that it may have.
    """

    def __init__(self, opener: Callable[..., Storage]) -> None:
        self._opener = opener
        self.heal()

    def fail(self, call: int, number: int, *, only: frozenset[str] | None = None, late: bool = False, lasting: bool = False) -> None:
        self.heal()
        self._fails_at, self._errno, self._only, self.late, self._lasting = call, number, only, late, lasting

    def heal(self) -> None:
        self.calls, self.failed = 0, ""
        self._fails_at, self._errno, self._only, self.late, self._lasting = 0, 0, None, False, False

    def opener(self, url: str, /, *, create: bool = False) -> Any:
        return Failing(self._opener(url, create=create), self)

    def step(self, name: str, key: str = "") -> bool:
        """Whether this call fails late; raises where it fails at once."""
        if self._only is not None and name not in self._only:
            return False
        self.calls += 1
        if self._fails_at and (self.calls == self._fails_at or (self._lasting and self.calls > self._fails_at)):
            self.failed = self.failed or f"{name} {key}"
            if self.late:
                return name == "create"
            raise StorageError(self._errno, f"{name} {key!r} failed, as told")
        return False


class Failing:
    """A storage in front of another."""

    def __init__(self, storage: Storage, medium: Medium) -> None:
        self._storage = storage
        self._medium = medium

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._storage, name)
        if not callable(found):
            return found

        def call(*args: Any, **options: Any) -> Any:
            key = str(args[0]) if args else ""
            late = self._medium.step(name, key)
            result = found(*args, **options)
            if late:
                raise CommitUnknown(f"{key!r} may have appeared, as told")
            return result

        return call

    def batch(self) -> AbstractContextManager[Any]:
        self._medium.step("batch")
        return FailingBatch(self._storage.batch(), self._medium)


class FailingBatch:
    """A batch in front of another."""

    def __init__(self, batch: AbstractContextManager[Any], medium: Medium) -> None:
        self._batch = batch
        self._medium = medium
        self._entered: Any = None

    def __enter__(self) -> Self:
        self._entered = self._batch.__enter__()
        return self

    def __exit__(self, *error: object) -> bool | None:
        if error[0] is None:
            try:
                self._medium.step("leave a batch")
            except StorageError as failure:
                self._batch.__exit__(type(failure), failure, failure.__traceback__)
                raise
        return self._batch.__exit__(*error)

    def put(self, key: str, data: Any) -> int:
        self._medium.step("put in a batch", key)
        return self._entered.put(key, data)
