"""The frame around everything we write that isn't Zarr: a checked header and a body of arrays (FORMAT.md section 4)."""

import hashlib
import math
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Annotated, Any

import msgspec
import numpy as np

from arraystore.errors import Corrupt, InvalidInput, Unsupported

FIRST_LINE_LIMIT_BYTES = 200
HEADER_LIMIT_BYTES = 64 << 20
WINDOW_LENGTHS = "window-lengths"  # windows had other lengths before (FORMAT.md section 5)
PURGE = "purge"  # rows of some windows were taken out of every version (FORMAT.md section 6)
PACKS = "packs"  # commits lie in packs that the floor names (FORMAT.md section 8)
KNOWN_FEATURES = frozenset({WINDOW_LENGTHS, PURGE, PACKS})
BODY_LIMIT_BYTES = 1 << 30
ALIGNMENT_BYTES = 8
_FRAME_BYTES = len("arraystore  1   \n") + hashlib.sha256().digest_size * 2  # of a first line, but for its kind and both lengths
SMALL_FIRST = frozenset("<|=" if sys.byteorder == "little" else "<|")  # how NumPy tells that bytes lie as a record has them


#: A number, and a time or signed value, of a record: both fit int64, as whoever reads one counts on.
type Count = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
type Int64 = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
#: Fixed-width types only: nothing in a record is ever unpickled, nested or of a size its name doesn't tell.
type Dtype = Annotated[str, msgspec.Meta(pattern=r"^(\|[bui]1|<[iuf][248]|\|S[1-9][0-9]{0,2})\Z")]


class _Needs(msgspec.Struct, frozen=True):
    """What every header may say before all else: the features that its reader must know."""

    requires: tuple[str, ...] = ()


def refuse_unknown(features: Iterable[str], where: str) -> None:
    """Raise `Unsupported` for what must be known and isn't."""
    if unknown := set(features) - KNOWN_FEATURES:
        raise Unsupported(f"{where}: needs {sorted(unknown)}, unknown to this version of arraystore: upgrade to read it")


@lru_cache(1024)
def _itemsize(dtype: str) -> int:
    return np.dtype(dtype).itemsize


class ArrayRef(msgspec.Struct, frozen=True):
    """Where an array lies in a record's body."""

    dtype: Dtype
    shape: tuple[Count, ...]
    offset: Count

    @property
    def nbytes(self) -> int:
        """The array's size, which may be more than there can be."""
        return _itemsize(self.dtype) * math.prod(self.shape)


def pack_arrays(arrays: Mapping[str, np.ndarray], start: int = 0) -> tuple[dict[str, ArrayRef], list[bytes]]:
    """Lay arrays out as a body from `start` on: their descriptions, and the pieces to join."""
    refs: dict[str, ArrayRef] = {}
    pieces: list[bytes] = []
    offset = start
    for name, array in arrays.items():
        if gap := -offset % ALIGNMENT_BYTES:
            pieces.append(bytes(gap))
            offset += gap
        data = array if array.dtype.byteorder in SMALL_FIRST else array.astype(array.dtype.newbyteorder("<"))
        refs[name] = ArrayRef(data.dtype.str, array.shape, offset)
        pieces.append(data.tobytes())
        offset += array.nbytes
    return refs, pieces


def unpack_arrays(refs: Mapping[str, ArrayRef], body: memoryview, where: str) -> dict[str, np.ndarray]:
    """The arrays that `refs` describe, read-only views of `body`; anything outside of it is corruption."""
    arrays: dict[str, np.ndarray] = {}
    for name, ref in refs.items():
        try:
            dtype, count = np.dtype(ref.dtype), math.prod(ref.shape)
            arrays[name] = np.frombuffer(body, dtype, count, ref.offset).reshape(ref.shape) if count else np.empty(ref.shape, dtype)
        except (ValueError, OverflowError) as error:
            msg = f"{where}: array {name!r} is described as {ref}, which its body of {len(body)} bytes can't hold"
            raise Corrupt(msg) from error
    return arrays


def encode_record(
    kind: str,
    header: Any,
    pieces: list[bytes] = [],  # noqa: B006 - never changed
    room: Callable[[int], int] | None = None,
) -> tuple[bytes, str]:
    """Frame a header (anything msgspec can turn into a JSON object) and a body; returns the bytes and their digest.

    `room` tells, of the size the record would have, which it had best have: blanks at the header's end fill it up.
    """
    head = msgspec.json.encode(header)
    body = b"".join(pieces)
    if room is not None:
        head = _filled(head, len(kind) + _FRAME_BYTES + len(str(len(body))) + len(body), room)
    for name, size, limit in (("header", len(head), HEADER_LIMIT_BYTES), ("body", len(body), BODY_LIMIT_BYTES)):
        if size > limit:
            msg = f"its {name} would have {size} bytes, more than {limit}: write less at once"
            raise InvalidInput(msg, kind)
    digest = hashlib.sha256(head)
    digest.update(body)
    name = digest.hexdigest()
    return b"arraystore %b 1 %b %d %d\n%b%b" % (kind.encode(), name.encode(), len(head), len(body), head, body), name


def _filled(head: bytes, beside: int, room: Callable[[int], int]) -> bytes:
    """A header with as many blanks after it as bring the record to the size it had best have, where that can be."""
    size = beside + len(str(len(head))) + len(head)
    if (best := room(size)) <= size:
        return head
    wanted = best - beside
    filled = wanted - len(str(wanted))
    if filled + len(str(filled)) < wanted:  # one digit less, one blank more
        filled += 1
    return head.ljust(filled) if filled + len(str(filled)) == wanted else head


def blanks(data: bytes, body_length: int) -> int:
    """How many blanks fill up the header of a record."""
    end = len(data) - body_length
    return end - len(data[:end].rstrip(b" "))


def told_bytes(data: bytes) -> int | None:
    """How many bytes a record has by its first line; None where that is none, or tells more than there may be."""
    line, newline, _ = data[:FIRST_LINE_LIMIT_BYTES].partition(b"\n")
    words = line.split(b" ")
    if not newline or len(words) != 6 or not (words[4].isdigit() and words[5].isdigit()):
        return None
    head, body = int(words[4]), int(words[5])
    return len(line) + 1 + head + body if head <= HEADER_LIMIT_BYTES and body <= BODY_LIMIT_BYTES else None


def told_lengths(data: bytes, kind: str) -> tuple[int, int, int] | None:
    """Lengths of first line, header and body as a record of that kind tells them; None for one that isn't."""
    line, newline, _ = data[:FIRST_LINE_LIMIT_BYTES].partition(b"\n")
    words = line.split(b" ")
    if not newline or told_bytes(data) is None or words[:3] != [b"arraystore", kind.encode(), b"1"]:
        return None
    return len(line) + 1, int(words[4]), int(words[5])


def decode_record[T](kind: str, data: bytes, header_type: type[T], where: str) -> tuple[T, memoryview, str]:
    """Check the frame and every byte; returns header, body and digest, or raises `Corrupt` naming `where`."""
    line, newline, _ = data[:FIRST_LINE_LIMIT_BYTES].partition(b"\n")
    words = line.split(b" ")
    try:
        if not newline or len(words) != 6 or words[0] != b"arraystore" or words[1] != kind.encode():
            raise ValueError("not the first line of such a record")
        if words[2] != b"1" and words[2].isdigit():
            raise Unsupported(f"{where}: a {kind} record of format {int(words[2])}, where 1 is known here: upgrade to read it")
        if words[2] != b"1":
            raise ValueError(f"{words[2]!r} isn't the number of a format")
        head_length, body_length = int(words[4]), int(words[5])
        if head_length > HEADER_LIMIT_BYTES or body_length > BODY_LIMIT_BYTES:
            raise ValueError(f"header and body of {head_length} and {body_length} bytes are more than there may be")
        start = len(line) + 1
        if (b"%d %d" % (head_length, body_length)) != b" ".join(words[4:]) or len(data) != start + head_length + body_length:
            raise ValueError(f"{len(data)} bytes, where its first line tells {start} + {words[4]!r} + {words[5]!r}")
        view = memoryview(data)[start:]
        digest = hashlib.sha256(view).hexdigest()
        if digest.encode() != words[3]:
            raise ValueError(f"its digest is {digest}, where its first line tells {words[3].decode(errors='replace')}")
        refuse_unknown(msgspec.json.decode(view[:head_length], type=_Needs).requires, where)
        header = msgspec.json.decode(view[:head_length], type=header_type)
    except (ValueError, msgspec.DecodeError, RecursionError) as error:
        msg = f"{where}: damaged {kind} record: {error}"
        raise Corrupt(msg) from error
    return header, view[head_length:], digest
