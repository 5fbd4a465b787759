"""The frame around everything we write that isn't Zarr: a checked header and a body of arrays (FORMAT.md section 4)."""

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from arraystore.errors import Corrupt

FIRST_LINE_LIMIT_BYTES = 200
HEADER_LIMIT_BYTES = 64 << 20
BODY_LIMIT_BYTES = 1 << 30
ALIGNMENT_BYTES = 8


class ArrayRef(msgspec.Struct, frozen=True):
    """Where an array lies in a record's body."""

    dtype: str
    shape: tuple[int, ...]
    offset: int


def pack_arrays(arrays: Mapping[str, np.ndarray], start: int = 0) -> tuple[dict[str, ArrayRef], list[bytes]]:
    """Lay arrays out as a body from `start` on: their descriptions, and the pieces to join."""
    refs: dict[str, ArrayRef] = {}
    pieces: list[bytes] = []
    offset = start
    for name, array in arrays.items():
        if gap := -offset % ALIGNMENT_BYTES:
            pieces.append(bytes(gap))
            offset += gap
        data = array.astype(array.dtype.newbyteorder("<"), copy=False)
        refs[name] = ArrayRef(data.dtype.str, array.shape, offset)
        pieces.append(data.tobytes())
        offset += array.nbytes
    return refs, pieces


def unpack_arrays(refs: Mapping[str, ArrayRef], body: memoryview, where: str) -> dict[str, np.ndarray]:
    """The arrays that `refs` describe, read-only views of `body`; anything outside of it is corruption."""
    arrays: dict[str, np.ndarray] = {}
    for name, ref in refs.items():
        try:
            dtype = np.dtype(ref.dtype)
            count = 1
            for length in ref.shape:
                count *= length
            if dtype.hasobject or min(ref.shape, default=0) < 0 or ref.offset < 0:
                raise ValueError(ref)
            arrays[name] = np.frombuffer(body, dtype, count, ref.offset).reshape(ref.shape) if count else np.empty(ref.shape, dtype)
        except (ValueError, TypeError) as error:
            msg = f"{where}: array {name!r} is described as {ref}, which its body of {len(body)} bytes can't hold"
            raise Corrupt(msg) from error
    return arrays


def encode_record(kind: str, header: Any, pieces: list[bytes] = []) -> tuple[bytes, str]:  # noqa: B006 - never changed
    """Frame a header (anything msgspec can turn into a JSON object) and a body; returns the bytes and their digest."""
    head = msgspec.json.encode(header)
    body = b"".join(pieces)
    for name, size, limit in (("header", len(head), HEADER_LIMIT_BYTES), ("body", len(body), BODY_LIMIT_BYTES)):
        if size > limit:
            msg = f"a {kind} record's {name} of {size} bytes exceeds {limit}: write less at once"
            raise ValueError(msg)
    digest = hashlib.sha256(head)
    digest.update(body)
    name = digest.hexdigest()
    return b"arraystore %b 1 %b %d %d\n%b%b" % (kind.encode(), name.encode(), len(head), len(body), head, body), name


def decode_record[T](kind: str, data: bytes, header_type: type[T], where: str) -> tuple[T, memoryview, str]:
    """Check the frame and every byte; returns header, body and digest, or raises `Corrupt` naming `where`."""
    line, newline, _ = data[:FIRST_LINE_LIMIT_BYTES].partition(b"\n")
    words = line.split(b" ")
    try:
        if not newline or len(words) != 6 or words[0] != b"arraystore" or words[1] != kind.encode():
            raise ValueError("not the first line of such a record")
        if words[2] != b"1":
            raise ValueError(f"record format {words[2]!r} isn't known here")
        head_length, body_length = int(words[4]), int(words[5])
        start = len(line) + 1
        if (b"%d %d" % (head_length, body_length)) != b" ".join(words[4:]) or len(data) != start + head_length + body_length:
            raise ValueError(f"{len(data)} bytes, where its first line tells {start} + {words[4]!r} + {words[5]!r}")
        view = memoryview(data)[start:]
        digest = hashlib.sha256(view).hexdigest()
        if digest.encode() != words[3]:
            raise ValueError(f"its digest is {digest}, where its first line tells {words[3].decode(errors='replace')}")
        header = msgspec.json.decode(view[:head_length], type=header_type)
    except (ValueError, msgspec.DecodeError) as error:
        msg = f"{where}: damaged {kind} record: {error}"
        raise Corrupt(msg) from error
    return header, view[head_length:], digest
