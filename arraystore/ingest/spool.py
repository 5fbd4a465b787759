"""Rows of many datasets that come mixed, held until all are known to be good: in memory while they are few, else in a nameless file."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO, Any, Self

import numpy as np

from arraystore.frames.rows import Rows, concat

HELD_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Rows that lie in the file: where, and what isn't an array of theirs."""

    start: int
    like: Rows
    names: tuple[str, ...]


class Spool:
    """Rows by the dataset they go to, in the order they came. For one thread; its file is gone once it is closed, or the process ends."""

    def __init__(self, held_bytes: int = HELD_BYTES) -> None:
        self._held_bytes = held_bytes
        self._held: dict[str, list[Rows]] = {}
        self._size = 0
        self._chunks: dict[str, list[_Chunk]] = {}
        self._file: IO[bytes] | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def add(self, address: str, rows: Rows) -> None:
        """Hold these rows too."""
        self._held.setdefault(address, []).append(rows)
        self._chunks.setdefault(address, [])
        self._size += rows.nbytes
        if self._size >= self._held_bytes:
            self._write()

    def rows(self, address: str) -> Iterator[Rows]:
        """The rows of one dataset, as they came."""
        for chunk in self._chunks.get(address, ()):
            assert self._file is not None
            self._file.seek(chunk.start)
            arrays: dict[str, Any] = {name: np.load(self._file, allow_pickle=False) for name in chunk.names}
            count = chunk.like.count
            yield Rows(schema=chunk.like.schema, count=count, arrays=arrays, labels=chunk.like.labels)
        yield from self._held.get(address, ())

    def _write(self) -> None:
        if self._file is None:
            self._file = self._stack.enter_context(tempfile.TemporaryFile(prefix="arraystore-ingest-"))  # noqa: SIM115 - the stack closes it
        for address, parts in self._held.items():
            rows = concat(parts) if len(parts) > 1 else parts[0]
            self._chunks[address].append(_Chunk(self._file.seek(0, 2), _without_arrays(rows), tuple(rows.arrays)))
            for array in rows.arrays.values():
                np.save(self._file, array, allow_pickle=False)
        self._held.clear()
        self._size = 0


def _without_arrays(rows: Rows) -> Rows:
    return Rows(schema=rows.schema, count=rows.count, arrays={}, labels=rows.labels)
