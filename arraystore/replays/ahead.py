"""An iterator computed ahead of its consumer, in the background and within bounds."""

import threading
from collections import deque
from collections.abc import Iterator

from arraystore.pool import start


class Ahead[T](Iterator[T]):
    """The items of `items` in order, up to `most` of them waiting. Its consumer is one thread; `close` lets go of what waits.

    No thread is held while nobody consumes: work in the background ends when enough is waiting, and is begun again by who takes of it.
    """

    def __init__(self, items: Iterator[T], most: int) -> None:
        self._items = items
        self._most = most
        self._waiting: deque[T] = deque()
        self._changed = threading.Condition()
        self._at_work = False
        self._closed = False
        self._error: BaseException | None = None  # what ended it: StopIteration, where all went well

    def __next__(self) -> T:
        with self._changed:
            self._begin()
            while not self._waiting:
                if self._error is not None:
                    raise self._error
                self._changed.wait()
                self._begin()
            item = self._waiting.popleft()
            self._begin()
            return item

    def close(self) -> None:
        """Nothing more is computed than the item under way."""
        with self._changed:
            self._closed = True
            self._waiting.clear()

    def _begin(self) -> None:
        if not (self._at_work or self._closed or self._error) and len(self._waiting) < self._most:
            self._at_work = True
            start(self._work)

    def _work(self) -> None:
        while True:
            try:
                item = next(self._items)
            except BaseException as error:  # noqa: BLE001 - it is the consumer's to raise
                with self._changed:
                    self._error, self._at_work = error, False
                    self._changed.notify_all()
                return
            with self._changed:
                if not self._closed:
                    self._waiting.append(item)
                self._at_work = not self._closed and len(self._waiting) < self._most
                self._changed.notify_all()
                if not self._at_work:
                    return
