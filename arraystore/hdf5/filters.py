"""What HDF5 does to a chunk on its way into a file and back, done here: on all processors, and without HDF5's one lock.

Filters run in the order in which h5py sets them up: shuffle, compressor, Fletcher-32. A chunk that is compressed here and handed over
with `write_direct_chunk` is what HDF5 could have written itself, so every reader sees an ordinary file; zlib-ng deflates to the same size
in half of zlib's time.

Sources: HDF5 File Format Specification 3.0, section IV.A.2.l (filter pipeline); filter 32001 is Blosc as `hdf5plugin` registers it.
"""

from enum import StrEnum
from typing import Any, Protocol

import numpy as np
from zlib_ng import zlib_ng

from arraystore.errors import Corrupt, InvalidInput

GZIP_LEVEL = 4  # h5py's own; 6 is 3 % smaller and half as fast on trades
NG_LEVEL = 3  # of zlib-ng, for the size of zlib's 4
BLOSC_ID = 32001
BLOSC_ZSTD = 5  # its number among Blosc's compressors
BLOSC_LEVEL = 5
BLOSC_HEADER_BYTES = 16


class Flavor(StrEnum):
    """What a file is written for: any reader, readers with Blosc's filter installed, or `pandas.read_hdf`."""

    PORTABLE = "portable"
    FAST = "fast"
    PANDAS = "pandas"


class Filters(Protocol):
    """A filter pipeline: how h5py is told of it, and what it does to a chunk."""

    def options(self, dtype: np.dtype) -> dict[str, Any]:
        """Keyword arguments of `h5py.Group.create_dataset`."""
        ...

    def encode(self, elements: np.ndarray) -> tuple[bytes, int]:
        """A whole chunk (contiguous) as stored bytes, and the mask of filters that were left out."""
        ...

    def decode(self, stored: bytes, mask: int, out: np.ndarray) -> None:
        """Fill `out` (contiguous, a whole chunk) from stored bytes, or raise `Corrupt`."""
        ...


class Gzip:
    """Shuffle (of elements of several bytes), deflate and Fletcher-32: what every HDF5 library has built in."""

    def options(self, dtype: np.dtype) -> dict[str, Any]:
        """Keyword arguments of `h5py.Group.create_dataset`."""
        return {"compression": "gzip", "compression_opts": GZIP_LEVEL, "shuffle": dtype.itemsize > 1, "fletcher32": True}

    def encode(self, elements: np.ndarray) -> tuple[bytes, int]:
        """A whole chunk as stored bytes, and the mask of filters that were left out."""
        shuffled = _shuffled(elements)
        packed = zlib_ng.compress(shuffled, level=NG_LEVEL)
        if len(packed) < elements.nbytes:
            return _with_checksum(packed), 0
        return _with_checksum(shuffled.tobytes()), 1 << (elements.itemsize > 1)  # as HDF5 does where deflating doesn't pay

    def decode(self, stored: bytes, mask: int, out: np.ndarray) -> None:
        """Fill `out`, a whole chunk, from stored bytes."""
        packed = _checked(stored)
        if mask not in (0, deflate := 1 << (out.itemsize > 1)):
            raise Corrupt(f"its filter mask is {mask}, where only {deflate} can be")
        try:
            shuffled = packed if mask else zlib_ng.decompress(packed, bufsize=out.nbytes)
        except zlib_ng.error as error:  # type: ignore[misc]  # its stub takes a class for an instance
            raise Corrupt(f"it can't be inflated: {error}") from error
        if len(shuffled) != out.nbytes:
            raise Corrupt(f"it holds {len(shuffled)} bytes, where a chunk has {out.nbytes}")
        planes = np.frombuffer(shuffled, np.uint8).reshape(out.itemsize, -1)
        out.reshape(-1).view(np.uint8).reshape(-1, out.itemsize)[...] = planes.T


class Blosc:
    """Blosc with zstd (filter 32001) and Fletcher-32: several times as fast, for readers that have `hdf5plugin` or the like."""

    def __init__(self) -> None:
        try:
            import hdf5plugin  # registers the filter, without which HDF5 takes no such dataset
        except ImportError as error:
            what = "flavor 'fast' needs hdf5plugin: install arraystore[hdf5], or use flavor 'portable'"
            raise InvalidInput(what, "flavor") from error
        self._blosc = hdf5plugin.Blosc

    def options(self, dtype: np.dtype) -> dict[str, Any]:
        """Keyword arguments of `h5py.Group.create_dataset`."""
        shuffle = self._blosc.SHUFFLE if dtype.itemsize > 1 else self._blosc.NOSHUFFLE
        return {**self._blosc(cname="zstd", clevel=BLOSC_LEVEL, shuffle=shuffle), "fletcher32": True}

    def encode(self, elements: np.ndarray) -> tuple[bytes, int]:
        """A whole chunk as stored bytes, and the mask of filters that were left out."""
        blosc = _blosc()
        shuffle = blosc.SHUFFLE if elements.itemsize > 1 else blosc.NOSHUFFLE
        return _with_checksum(blosc.compress(elements.reshape(-1), b"zstd", BLOSC_LEVEL, shuffle)), 0

    def decode(self, stored: bytes, mask: int, out: np.ndarray) -> None:
        """Fill `out`, a whole chunk, from stored bytes."""
        packed = _checked(stored)
        if mask == 1 and len(packed) == out.nbytes:  # it didn't get smaller
            out.reshape(-1).view(np.uint8)[...] = np.frombuffer(packed, np.uint8)
            return
        if mask or len(packed) < BLOSC_HEADER_BYTES or int.from_bytes(packed[4:8], "little") != out.nbytes:
            raise Corrupt(f"it isn't a chunk of {out.nbytes} bytes in one piece")
        try:
            _blosc().decompress(packed, out)
        except RuntimeError as error:
            raise Corrupt(f"Blosc can't decode it: {error}") from error


def filters_of(flavor: Flavor) -> Filters:
    """The pipeline of a flavor."""
    return Blosc() if flavor is Flavor.FAST else Gzip()


def _shuffled(elements: np.ndarray) -> np.ndarray:
    """The first bytes of all elements, then the second ones, and so on."""
    return np.ascontiguousarray(elements.reshape(-1).view(np.uint8).reshape(-1, elements.itemsize).T)


def _blosc() -> Any:
    from numcodecs import blosc  # type: ignore[import-untyped]

    blosc.use_threads = False  # one thread a chunk: its own would queue behind one lock
    return blosc


def _fletcher() -> Any:
    from numcodecs.fletcher32 import Fletcher32  # type: ignore[import-untyped]

    return Fletcher32()


def _with_checksum(data: bytes) -> bytes:
    stored: bytes = _fletcher().encode(data)
    return stored


def _checked(stored: bytes) -> bytes:
    try:
        data: bytes = _fletcher().decode(stored)
    except (RuntimeError, ValueError) as error:
        raise Corrupt(f"its Fletcher-32 checksum is wrong: {error}") from error
    return data
