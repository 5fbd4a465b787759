"""What no reader or writer of these bytes can beat: the codecs alone, on as many threads, between warm memory; and `memcpy`."""

import os
import shutil
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import google_crc32c
import numpy as np

from arraystore import reuse
from arraystore.datasets.parts import load_parts
from arraystore.segments.codec import CHECKSUM_BYTES, RESIDUE, encode_chunk
from arraystore.segments.levels import Encoders
from arraystore.segments.reader import open_sources
from layouts.codecs import CodecSpec, codec_for

THREADS = os.cpu_count() or 1


class Stored(NamedTuple):
    """A chunk's stored bytes, in memory, and which elements of which array they are; it holds `padded` of them, as Zarr pads the last."""

    array: str
    codec: str
    stored: bytes
    first: int
    elements: int
    padded: int


def stored_chunks(dataset: Any, columns: Sequence[str] | None = None) -> tuple[list[Stored], dict[str, tuple[tuple[int, ...], str]]]:
    """Every chunk of these columns of a dataset, read into memory; and shape and dtype of each of their arrays."""
    state, storage = dataset.state, dataset._place.storage
    parts = load_parts(dataset._log, state, *(state.window(name) for name in state.window_names()))
    chunks: list[Stored] = []
    lengths: dict[str, tuple[int, tuple[int, ...], str]] = {}
    for source in open_sources(storage, parts):
        assert source.index is not None, "a tail has no chunks"
        for name, table in source.index.tables.items():
            if columns is not None and name not in columns:
                continue
            base = lengths.get(name, (0, (), ""))[0]
            for shard, members in enumerate(table.shards()):
                content = storage.get(f"{source.part.prefix}/{table.object_name(shard)}")
                for chunk in members:
                    start, size = int(table.offset[chunk]), int(table.length[chunk])
                    first = chunk * table.entry.chunk
                    count = min(table.entry.chunk, table.elements - first)
                    stored = bytes(content[start : start + size])
                    chunks.append(Stored(name, table.entry.codec, stored, base + first, count, table.entry.chunk))
            lengths[name] = (base + table.elements, table.entry.shape[1:], table.entry.dtype)
    return chunks, {name: ((length, *inner), dtype) for name, (length, inner, dtype) in lengths.items()}


def decoder(codec: str) -> Callable[[bytes, np.ndarray], object]:
    """The codec's own function, and the checksum before it."""
    if codec == "pcodec":
        from pcodec import standalone  # type: ignore[import-untyped]

        return standalone.simple_decompress_into
    if codec == "blosc":
        from numcodecs import blosc  # type: ignore[import-untyped]

        blosc.use_threads = False
        return blosc.decompress
    from numcodecs import zstd

    return lambda stored, out: zstd.decompress(stored[:-CHECKSUM_BYTES], out)


class Limit:
    """Decodes chunks that are in memory; the caller's thread works, too."""

    def __init__(self, dataset: Any, columns: Sequence[str] | None = None) -> None:
        self._chunks, self._shapes = stored_chunks(dataset, columns)
        self._decoders = {codec: decoder(codec) for codec in {chunk.codec for chunk in self._chunks}}
        self._pool = ThreadPoolExecutor(THREADS)
        self._used: dict[str, np.ndarray] = {}

    def fresh(self) -> dict[str, np.ndarray]:
        """Into memory that nobody has touched, from where our results come from: NumPy's own takes four times as long to touch."""
        reuse._idle.clear()
        return self._decode({name: reuse.allocate(shape, dtype) for name, (shape, dtype) in self._shapes.items()})

    def reused(self) -> dict[str, np.ndarray]:
        """Into memory that was written to before."""
        self._used = self._used or self.fresh()
        return self._decode(self._used)

    def copied(self) -> dict[str, np.ndarray]:
        """`memcpy` of the decoded arrays to memory that was written to before."""
        source = self._used or self.reused()
        if not hasattr(self, "_copies"):
            self._copies = {name: array.copy() for name, array in source.items()}
        pieces = [
            (self._copies[name][first : first + 65_536], array[first : first + 65_536])
            for name, array in source.items()
            for first in range(0, len(array), 65_536)
        ]
        self._share(deque(pieces), lambda piece: np.copyto(*piece))
        return self._copies

    def _decode(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        value, decoders = google_crc32c.value, self._decoders

        def decode(chunk: Stored) -> None:
            assert value(chunk.stored) == RESIDUE
            out = arrays[chunk.array][chunk.first : chunk.first + chunk.elements]
            if chunk.elements == chunk.padded:
                decoders[chunk.codec](chunk.stored, out.reshape(-1))
            else:
                whole = np.empty((chunk.padded, *out.shape[1:]), out.dtype)
                decoders[chunk.codec](chunk.stored, whole.reshape(-1))
                out[...] = whole[: chunk.elements]

        self._share(deque(self._chunks), decode)
        return arrays

    def _share(self, queue: deque[Any], work: Callable[[Any], object]) -> None:
        def drain() -> None:
            while True:
                try:
                    each = queue.popleft()
                except IndexError:
                    return
                work(each)

        others = [self._pool.submit(drain) for _ in range(THREADS - 1)]
        drain()
        for other in others:
            other.result()


def _as_ours(values: np.ndarray, length: int) -> list[tuple[CodecSpec, np.ndarray]]:
    """The chunks of a column, and the codec and level with which ours encodes each."""
    chunks = [values[first : first + length] for first in range(0, len(values), length)]
    encoders = Encoders(codec_for("dense", values.dtype.name), len(chunks))
    return [(encoders.next(chunk).codec, chunk) for chunk in chunks]


class WriteLimit:
    """Encodes the same chunks on all processors, and writes and syncs as many bytes in as many files: what a durable write can't save."""

    def __init__(self, place: Path, columns: dict[str, np.ndarray], chunk_elements: dict[str, int], sizes: Sequence[int]) -> None:
        place.mkdir(parents=True, exist_ok=True)
        self._place, self._sizes, self._number = place, list(sizes), 0
        self._chunks = [each for name, values in columns.items() for each in _as_ours(values, chunk_elements[name])]
        self._noise = os.urandom(max(sizes))
        self._pool = ThreadPoolExecutor(max(THREADS, 8))

    def encode(self) -> list[Any]:
        """The codecs alone."""
        with ThreadPoolExecutor(THREADS) as pool:
            return list(pool.map(lambda each: encode_chunk(*each), self._chunks))

    def write(self) -> None:
        """All of it."""
        self.encode()
        self._number += 1
        folder = self._place / str(self._number)
        folder.mkdir()
        list(self._pool.map(lambda each: self._synced(folder / str(each[0]), each[1]), enumerate(self._sizes)))
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(fd)  # noqa: TID251 - measured beside ours
        os.close(fd)

    def forget(self) -> None:
        """Remove what was written."""
        for folder in self._place.iterdir():
            shutil.rmtree(folder)

    def _synced(self, path: Path, size: int) -> None:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        os.write(fd, self._noise[:size])
        os.fsync(fd)  # noqa: TID251
        os.close(fd)
