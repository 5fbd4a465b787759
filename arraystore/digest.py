"""The logical digest: a checksum of decoded values in order, whatever their chunking or codec (FORMAT.md section 10).

Two CRCs of different polynomials and the length, together: each of the three can be told for a concatenation from those
of its parts, so a compacted, repaired or exported segment proves itself without reading its sources again. It finds
accidents, not forgers: against those stand the SHA-256 digests of the records that hold it.
"""

import functools
import operator
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Self

import google_crc32c
import numpy as np
from zlib_ng import zlib_ng

from arraystore.errors import Corrupt

CRC32C_POLYNOMIAL = 0x82F63B78  # both with their bits reversed, as the values are
CRC32_POLYNOMIAL = 0xEDB88320
TOP_BIT = 0x80000000  # the polynomial 1, in reversed order
MANY_ALIKE = 64  # digests of one length are combined by tables, which take as long to make as half of these one by one
PATTERN = re.compile(r"(0|[1-9][0-9]{0,19}):([0-9a-f]{8})([0-9a-f]{8})")


type _Tables = tuple[list[int], list[int], list[int], list[int]]

crc32c: Callable[[bytes | np.ndarray], int] = google_crc32c.value
"""The CRC-32C of bytes, or of a contiguous uint8 array, without copying it."""

crc32: Callable[..., int] = zlib_ng.crc32
"""The CRC-32 (ISO-HDLC) of bytes, after those of the checksum given second: as `zlib.crc32`, nine times as fast (62 GB/s, one core)."""


@dataclass(frozen=True, slots=True)
class LogicalDigest:
    """Length in bytes, CRC-32C and CRC-32 (ISO-HDLC) of an array's elements, little-endian and in order."""

    bytes: int = 0
    crc32c: int = 0
    crc32: int = 0

    def __str__(self) -> str:
        return f"{self.bytes}:{self.crc32c:08x}{self.crc32:08x}"

    def __add__(self, other: Self) -> "LogicalDigest":
        """The digest of this one's bytes followed by the other's."""
        return LogicalDigest(
            self.bytes + other.bytes,
            _shift(self.crc32c, other.bytes, CRC32C_POLYNOMIAL) ^ other.crc32c,
            _shift(self.crc32, other.bytes, CRC32_POLYNOMIAL) ^ other.crc32,
        )

    def repeat(self, times: int) -> "LogicalDigest":
        """The digest of these bytes `times` times over, in a number of steps that grows with the logarithm of `times`."""
        return _repeated(self, times)


def digest(array: np.ndarray) -> LogicalDigest:
    """The digest of an array's elements in C order."""
    flat = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False)).reshape(-1).view(np.uint8)
    return LogicalDigest(flat.nbytes, crc32c(flat), crc32(flat))


def combine(digests: Iterable[LogicalDigest]) -> LogicalDigest:
    """The digest of the concatenation of what the given ones are digests of."""
    total = LogicalDigest()
    for length, alike in groupby(digests, key=operator.attrgetter("bytes")):
        run = list(alike)
        if len(run) < MANY_ALIKE:
            total = sum(run, total)
            continue
        first, second = _shift_tables(length, CRC32C_POLYNOMIAL), _shift_tables(length, CRC32_POLYNOMIAL)
        before, crc, other = total.bytes, total.crc32c, total.crc32
        for each in run:
            crc, other = _looked_up(crc, first) ^ each.crc32c, _looked_up(other, second) ^ each.crc32
        total = LogicalDigest(before + length * len(run), crc, other)
    return total


def parse_digest(text: str) -> LogicalDigest:
    """The value of `str(digest)`; anything else raises `Corrupt`."""
    if not (match := PATTERN.fullmatch(text)):
        msg = f"{text!r} isn't a logical digest, which looks like 8:0123456789abcdef"
        raise Corrupt(msg)
    length, first, second = match.groups()
    return LogicalDigest(int(length), int(first, 16), int(second, 16))


@functools.lru_cache(maxsize=1024)  # the absent columns of a segment repeat the same few values as often
def _repeated(digest: LogicalDigest, times: int) -> LogicalDigest:
    result, power = LogicalDigest(), digest
    while times:
        if times & 1:
            result += power
        times >>= 1
        if times:
            power += power
    return result


def _shift(crc: int, count: int, polynomial: int) -> int:
    """The checksum's polynomial times x to the power of 8 × `count`: as `count` bytes that follow change it."""
    return _multiply(crc, _power_of_x(8 * count, polynomial), polynomial) if crc else 0


def _looked_up(crc: int, tables: _Tables) -> int:
    first, second, third, fourth = tables
    return first[crc & 255] ^ second[crc >> 8 & 255] ^ third[crc >> 16 & 255] ^ fourth[crc >> 24]


@functools.lru_cache(maxsize=64)
def _shift_tables(count: int, polynomial: int) -> _Tables:
    """What `_shift` by `count` makes of every value of each byte of a checksum, the lowest first; what it makes of bits adds up."""
    bits = [_shift(1 << bit, count, polynomial) for bit in range(32)]
    tables = []
    for lowest in range(0, 32, 8):
        table = [0]
        for bit in bits[lowest : lowest + 8]:
            table += [value ^ bit for value in table]
        tables.append(table)
    return tables[0], tables[1], tables[2], tables[3]


def _multiply(left: int, right: int, polynomial: int) -> int:
    """The product of two polynomials over GF(2) modulo `polynomial`, all with their bits reversed."""
    product = 0
    for bit in range(31, -1, -1):
        product ^= right if left >> bit & 1 else 0
        right = right >> 1 ^ (polynomial if right & 1 else 0)
    return product


@functools.lru_cache(maxsize=4096)
def _power_of_x(exponent: int, polynomial: int) -> int:
    """The polynomial x to the power of `exponent` modulo `polynomial`, by its binary digits."""
    result, place = TOP_BIT, 0
    while exponent:
        if exponent & 1:
            result = _multiply(result, _square_of_x(place, polynomial), polynomial)
        exponent >>= 1
        place += 1
    return result


@functools.lru_cache(maxsize=256)
def _square_of_x(place: int, polynomial: int) -> int:
    """The polynomial x to the power of 2 ** `place`."""
    if not place:
        return TOP_BIT >> 1
    half = _square_of_x(place - 1, polynomial)
    return _multiply(half, half, polynomial)
