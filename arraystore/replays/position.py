"""Where a replay stands: what to go on from, and the digest of all that came before."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self

import google_crc32c
import msgspec
import numpy as np

from arraystore.digest import crc32
from arraystore.errors import InvalidInput
from arraystore.versions.record import Count, Int64

FORMAT = "arraystore-replay-1"

type Checksum = Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]
type Checksums = tuple[Checksum, Checksum]


class ReplayPosition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """After which row a replay goes on: the first `at_time` rows at `time` (int64 ns UTC; None: at the very start) are done.

    A small value that names no file: `to_json` and `from_json` carry it over a restart. It belongs to one set of inputs, and not to
    how they lie on disk, nor to batch sizes or threads.

    Attributes
    ----------
    inputs
        SHA-256, in hex, over each stream's dataset, version digest, clock, columns, window and instruments, in order of rank, and
        over range, ties and what becomes of nulls.
    rows
        How many rows came before.
    times, order
        Running CRC-32C and CRC-32 over the clock (int64) and the stream's number (uint16) of each of these rows, little-endian, in
        the order of the merge.
    """

    inputs: str
    time: Int64 | None = None
    at_time: Count = 0
    rows: Count = 0
    times: Checksums = (0, 0)
    order: Checksums = (0, 0)

    @property
    def digest(self) -> str:
        """SHA-256, in hex, of the sequence so far: of the inputs, and of the clock and the stream of every row in order."""
        numbers = " ".join(f"{checksum:08x}" for checksum in (*self.times, *self.order))
        return hashlib.sha256(f"{FORMAT} {self.inputs} {self.rows} {numbers}".encode()).hexdigest()

    def after(self, times: np.ndarray, streams: np.ndarray) -> Self:
        """The position after some more rows, at least one: their times (int64 ns, never decreasing) and streams (uint16)."""
        last = int(times[-1])
        tied = len(times) - int(np.searchsorted(times, last))
        before = self.at_time if self.time == last and tied == len(times) else 0
        return msgspec.structs.replace(
            self,
            time=last,
            at_time=before + tied,
            rows=self.rows + len(times),
            times=_extended(self.times, times.astype("<i8", copy=False)),
            order=_extended(self.order, streams.astype("<u2", copy=False)),
        )

    def to_json(self) -> str:
        """As text."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """From what `to_json` gave; InvalidInput for anything else."""
        try:
            return msgspec.json.decode(text, type=cls)
        except (msgspec.MsgspecError, TypeError, ValueError) as error:
            raise InvalidInput(f"{str(text)[:80]!r} is no position ({error}): pass what position.to_json() gave", "position") from error


def _extended(checksums: Checksums, array: np.ndarray) -> Checksums:
    data = np.ascontiguousarray(array).view(np.uint8)
    return google_crc32c.extend(checksums[0], data), crc32(data, checksums[1])


def digest_of_inputs(streams: Sequence[Mapping[str, Any]], **how: Any) -> str:
    """The digest that names what is replayed, and how."""
    told = json.dumps({"format": FORMAT, "streams": [dict(stream) for stream in streams], **how}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(told.encode()).hexdigest()


def checked(position: ReplayPosition, inputs: str) -> ReplayPosition:
    """A caller's position, found to be one of these inputs."""
    if not isinstance(position, ReplayPosition):
        raise InvalidInput(f"a {type(position).__name__} isn't a ReplayPosition: pass batch.position, or from_json(text)", "position")
    found = ReplayPosition.from_json(position.to_json())  # each field is what it must be
    if found.inputs != inputs:
        told = f"it was taken from inputs {found.inputs[:12]}…, and these are {inputs[:12]}…"
        remedy = "open the streams at the versions they had (dataset.at(version), a tag), with the same range, clocks, columns and ties"
        raise InvalidInput(f"{told}: {remedy}", "position")
    return found
