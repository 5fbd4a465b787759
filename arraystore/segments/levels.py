"""How hard the chunks of an array are compressed: at the quick level wherever the thorough one hardly saves anything.

What suits a column follows from its values, and lasts: of prices and sizes the thorough level saves a thousandth for a fifth more time,
of capture times half a percent for twice as much, of exchange times, or books in bursts, a tenth for next to none. So one of many chunks
is encoded at both levels, and tells of those after it. What is written follows from the values alone, never from threads.
"""

import threading
from dataclasses import dataclass

import msgspec
import numpy as np

from arraystore.segments.codec import encode_payload
from layouts.codecs import CodecSpec

QUICK_LEVEL = 6
MOST_TIMES_LARGER = 1.02
RUN_CHUNKS = 64
"""One of so many chunks is encoded twice,"""
LAG_CHUNKS = 8
"""and tells of those from so many further on, so that no thread waits for it. Arrays of no more aren't worth it."""


class Trial:
    """A chunk that is encoded at both levels, by whichever thread needs to know first. Thread-safe."""

    def __init__(self, thorough: CodecSpec, chunk: np.ndarray) -> None:
        self._thorough = thorough
        self._chunk: np.ndarray | None = chunk
        self._guard = threading.Lock()
        self._chosen = thorough
        self._encoded: tuple[bytes, int] = (b"", 0)

    def chosen(self) -> CodecSpec:
        """What suits the chunks that follow."""
        with self._guard:
            if self._chunk is not None:
                quick = msgspec.structs.replace(self._thorough, configuration={"level": QUICK_LEVEL})
                chunk = np.ascontiguousarray(self._chunk)
                self._encoded, quickly = encode_payload(self._thorough, chunk), encode_payload(quick, chunk)
                if len(quickly[0]) <= MOST_TIMES_LARGER * len(self._encoded[0]):
                    self._chosen = quick
                self._chunk = None
            return self._chosen

    def take(self) -> tuple[bytes, int]:
        """The chunk itself as the thorough level encodes it, and its checksum; to be asked for once."""
        self.chosen()
        encoded, self._encoded = self._encoded, (b"", 0)
        return encoded


@dataclass(frozen=True, slots=True)
class Encoder:
    """How one chunk is encoded."""

    thorough: CodecSpec
    told_by: Trial | None = None
    is_trial: bool = False

    @property
    def codec(self) -> CodecSpec:
        """The codec and its level."""
        return self.thorough if self.told_by is None or self.is_trial else self.told_by.chosen()

    def __call__(self, chunk: np.ndarray) -> tuple[bytes, int]:
        """What is stored of the chunk (contiguous) before its checksum, and the checksum."""
        if self.told_by is not None and self.is_trial:
            return self.told_by.take()
        return encode_payload(self.codec, chunk)


class Encoders:
    """Tells of each of an array's `count` chunks, asked about in order, how it is encoded; asked by one thread at a time."""

    def __init__(self, thorough: CodecSpec, count: int) -> None:
        self._thorough = thorough
        self._count = count if thorough.name == "pcodec" else 0
        self._trials: list[Trial] = []
        self._asked = 0

    def next(self, chunk: np.ndarray) -> Encoder:
        """The encoder of the next chunk, which is `chunk`."""
        number, self._asked = self._asked, self._asked + 1
        if number % RUN_CHUNKS == 0 and number + LAG_CHUNKS < self._count:
            self._trials.append(Trial(self._thorough, chunk))
            return Encoder(self._thorough, self._trials[-1], is_trial=True)
        run = (number - LAG_CHUNKS) // RUN_CHUNKS
        return Encoder(self._thorough, self._trials[run] if 0 <= run < len(self._trials) else None)
