"""One chunk: array elements to stored bytes and back, with the CRC-32C that follows them (FORMAT.md section 9).

Both ways leave the interpreter lock for the length of the work, so chunks are coded on many threads at once. Decoding
writes straight into memory the caller owns, and never allocates by what the bytes claim.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from arraystore.digest import crc32c
from arraystore.errors import Corrupt
from layouts.codecs import CodecSpec

CHECKSUM_BYTES = 4
RESIDUE = 0x48674BC7  # the CRC-32C of any bytes followed by their own CRC-32C
BLOSC_HEADER_BYTES = 16
ZSTD_HEADER_BYTES = 18  # at most
PAGE_ELEMENTS = 262_144
SHUFFLED_TOGETHER = 8
"""So many elements are shuffled by bits together; blosc leaves a block of another number as it is, and says nothing."""
LEAST_SHUFFLED = 256
"""Fewer aren't worth a second block for those that are left."""
SAMPLE_BYTES = 1 << 15
WORTH_PLAIN = 1.1
"""Unshuffled elements take longer to encode and to decode, so they are to be smaller by as much;"""
NEXT_TO_NOTHING = 128
"""but what is so many times smaller already is left alone, since it takes no time at all then."""

type Decode = Callable[[bytes, np.ndarray], None]


@functools.cache
def _blosc() -> Any:
    """Loaded when first used, as are the others: who only looks at what there is needs no codec."""
    from numcodecs import blosc  # type: ignore[import-untyped]

    # Its own threads would queue the callers behind one lock; Zarr sets the same when it loads its blosc codec.
    blosc.use_threads = False
    return blosc


@functools.cache
def _zstd() -> Any:
    from numcodecs import zstd

    return zstd


@functools.cache
def _pcodec() -> Any:
    # The module that numcodecs.pcodec itself calls: its wrapper tells neither how many elements came out nor whether more were to come.
    import pcodec  # type: ignore[import-untyped]
    from pcodec import standalone  # noqa: F401 - an attribute of it from here on

    return pcodec


def encode_chunk(spec: CodecSpec, elements: np.ndarray) -> tuple[bytes, int]:
    """The stored form of a chunk's elements (contiguous), its checksum at the end, and that checksum."""
    payload, checksum = encode_payload(spec, elements)
    return payload + checksum.to_bytes(CHECKSUM_BYTES, "little"), checksum


def encode_payload(spec: CodecSpec, elements: np.ndarray) -> tuple[bytes, int]:
    """What is stored of a chunk's elements (contiguous) before its checksum, and the checksum."""
    payload = ENCODERS[spec.name](spec.configuration, elements.reshape(-1))
    return payload, crc32c(payload)


def decode_chunk(codec: str, stored: bytes, checksum: int, out: np.ndarray, *, beginning: bool = False) -> None:
    """Fill `out` (contiguous, of the chunk's dtype and size) from a chunk's stored bytes, or raise `Corrupt`.

    The bytes must end with `checksum`, have that checksum, and hold exactly as many elements as `out`; or at least as
    many, if only the chunk's `beginning` is wanted of a codec in `STOPS_EARLY`. After an error the contents of `out` are
    undefined.
    """
    if (found := int.from_bytes(stored[-CHECKSUM_BYTES:], "little")) != checksum or len(stored) < CHECKSUM_BYTES:
        raise Corrupt(f"it ends with the checksum {found:08x} where its index says {checksum:08x}")
    if crc32c(stored) != RESIDUE:
        raise Corrupt(f"its bytes don't have the checksum {checksum:08x} that they end with")
    try:
        (STOPS_EARLY if beginning else DECODERS)[codec](stored, out if out.ndim == 1 else out.reshape(-1))
    except Corrupt:
        raise
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:  # a panic in compiled code arrives as a BaseException
        raise Corrupt(f"{codec} can't decode it: {error}") from error


def _encode_pcodec(configuration: Mapping[str, Any], elements: np.ndarray) -> bytes:
    stored: bytes = _pcodec().standalone.simple_compress(elements, _pcodec_configuration(configuration["level"]))
    return stored


@functools.cache
def _pcodec_configuration(level: int) -> Any:
    return _pcodec().ChunkConfig(compression_level=level, paging_spec=_pcodec().PagingSpec.equal_pages_up_to(PAGE_ELEMENTS))


def _encode_blosc(configuration: Mapping[str, Any], elements: np.ndarray) -> bytes:
    words = elements.view(np.dtype(f"u{configuration['typesize']}"))
    shuffled = configuration["shuffle"] == "bitshuffle" and _is_worth_shuffling(configuration, words)
    return _blosc_of(configuration, words, shuffled=shuffled)


def _is_worth_shuffling(configuration: Mapping[str, Any], words: np.ndarray) -> bool:
    """Whether a sample of the words takes fewer bytes shuffled: columns that repeat whole words take more."""
    size = min(SAMPLE_BYTES // words.itemsize, words.size) // SHUFFLED_TOGETHER * SHUFFLED_TOGETHER
    start = (words.size - size) // 2
    sample = words[start : start + size]
    plain = len(_blosc_of({**configuration, "clevel": 2}, sample, shuffled=False))
    return plain * NEXT_TO_NOTHING > sample.nbytes and len(_blosc_of(configuration, sample, shuffled=True)) < plain * WORTH_PLAIN


def _blosc_of(configuration: Mapping[str, Any], words: np.ndarray, *, shuffled: bool) -> bytes:
    blosc, block_bytes = _blosc(), configuration["blocksize"]
    if shuffled and (left := words.size % SHUFFLED_TOGETHER) and words.size >= LEAST_SHUFFLED:
        block_bytes = (words.size - left) * words.itemsize
    kind = blosc.BITSHUFFLE if shuffled else blosc.NOSHUFFLE
    stored: bytes = blosc.compress(words, configuration["cname"].encode(), configuration["clevel"], kind, block_bytes)
    return stored


def _encode_zstd(configuration: Mapping[str, Any], elements: np.ndarray) -> bytes:
    stored: bytes = _zstd().compress(elements.view(np.uint8), configuration["level"], configuration["checksum"])
    return stored


@functools.cache
def _pcodec_into() -> Any:
    return _pcodec().standalone.simple_decompress_into


def _decode_pcodec(stored: bytes, out: np.ndarray) -> None:
    progress = _pcodec_into()(stored, out)
    if progress.n_processed != out.size or not progress.finished:
        more = "" if progress.finished else " and then more"
        raise Corrupt(f"it holds {progress.n_processed} elements{more}, where {out.size} belong")


def _decode_pcodec_beginning(stored: bytes, out: np.ndarray) -> None:
    done = _pcodec_into()(stored, out).n_processed
    if done != out.size:
        raise Corrupt(f"it holds {done} elements, where {out.size} or more belong")


def _decode_blosc(stored: bytes, out: np.ndarray) -> None:
    # blosc itself never looks at how many bytes it was given, only at what they say of themselves
    size = len(stored) - CHECKSUM_BYTES
    told_out, told_size = int.from_bytes(stored[4:8], "little"), int.from_bytes(stored[12:16], "little")
    if size < BLOSC_HEADER_BYTES or told_out != out.nbytes or told_size != size:
        raise Corrupt(f"it says {told_size} bytes become {told_out}, where {size} are to become {out.nbytes}")
    _blosc().decompress(stored, out)


def _decode_zstd(stored: bytes, out: np.ndarray) -> None:
    payload = memoryview(stored)[:-CHECKSUM_BYTES]
    if (told := _zstd_content_bytes(bytes(payload[:ZSTD_HEADER_BYTES]))) != out.nbytes:
        raise Corrupt(f"it says it holds {told} bytes, where {out.nbytes} belong")
    _zstd().decompress(payload, out)


def _zstd_content_bytes(payload: bytes) -> int | None:
    """What the header of a zstd frame says of its content's size (RFC 8878, section 3.1.1.1), None where it doesn't."""
    if payload[:4] != b"\x28\xb5\x2f\xfd" or len(payload) < 6:
        return None
    descriptor = payload[4]
    single_segment = descriptor >> 5 & 1
    width = (single_segment, 2, 4, 8)[descriptor >> 6]
    start = 5 + (1 - single_segment) + (0, 1, 2, 4)[descriptor & 3]
    if not width or len(payload) < start + width:
        return None
    return int.from_bytes(payload[start : start + width], "little") + (256 if width == 2 else 0)


ENCODERS: Mapping[str, Callable[[Mapping[str, Any], np.ndarray], bytes]] = {
    "pcodec": _encode_pcodec,
    "blosc": _encode_blosc,
    "zstd": _encode_zstd,
}
DECODERS: Mapping[str, Decode] = {"pcodec": _decode_pcodec, "blosc": _decode_blosc, "zstd": _decode_zstd}
STOPS_EARLY: Mapping[str, Decode] = {"pcodec": _decode_pcodec_beginning}
