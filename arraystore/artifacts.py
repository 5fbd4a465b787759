"""Files kept beside the rows: streamed, checked block by block, versioned like rows (FORMAT.md section 11)."""

import hashlib
import io
import mimetypes
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import google_crc32c
import msgspec
import numpy as np

from arraystore.commit import ArtifactEntry
from arraystore.errors import Corrupt, InvalidInput, NotFound
from arraystore.record import ArrayRef, decode_record, encode_record, pack_arrays, unpack_arrays
from arraystore.storage.base import Batch, Storage
from layouts.naming import new_segment_name

BLOCK_BYTES = 1 << 20
NAME_LIMIT_BYTES = 1000

type ArtifactSource = str | os.PathLike[str] | bytes | BinaryIO


class ArtifactIndex(msgspec.Struct, frozen=True):
    """The header of an artifact's index record; the body holds one crc32c per block."""

    bytes: int
    sha256: str
    block: int
    tables: dict[str, ArrayRef]


def open_source(source: ArtifactSource, name: str | None) -> tuple[BinaryIO, str]:
    """A readable stream and the name to keep it under; raises before anything is written."""
    if isinstance(source, bytes | bytearray | memoryview):
        stream: BinaryIO = io.BytesIO(source)
    elif isinstance(source, str | os.PathLike):
        path = Path(source)
        name = name or path.name
        try:
            stream = path.open("rb")
        except OSError as error:
            msg = f"{path} can't be read ({error.strerror}): pass an existing file, bytes, or an open binary file"
            raise InvalidInput(msg, "file") from error
    else:
        stream = source
        name = name or Path(str(getattr(source, "name", ""))).name or None
    if not name or len(name.encode()) > NAME_LIMIT_BYTES or "\0" in name:
        stream.close()
        msg = f"{name!r} isn't a name for an artifact: pass name= with 1 to {NAME_LIMIT_BYTES} bytes and no NUL"
        raise InvalidInput(msg, "name")
    return stream, name


def write_artifact(batch: Batch, prefix: str, base_version: int, source: BinaryIO, name: str, media_type: str | None) -> ArtifactEntry:
    """Stream a file into the batch; memory stays at one block."""
    artifact = new_segment_name(base_version, secrets.randbits(128))
    whole, checksums = hashlib.sha256(), []

    def blocks() -> Iterator[bytes]:
        while block := source.read(BLOCK_BYTES):
            whole.update(block)
            checksums.append(google_crc32c.value(block))
            yield block

    size = batch.put(f"{prefix}/_artifacts/{artifact}/data", blocks())
    refs, pieces = pack_arrays({"crc32c": np.array(checksums, dtype=np.uint32)})
    index, digest = encode_record("index", ArtifactIndex(size, whole.hexdigest(), BLOCK_BYTES, refs), pieces)
    batch.put(f"{prefix}/_artifacts/{artifact}/_index", index)
    guessed = media_type or mimetypes.guess_type(name)[0] or "application/octet-stream"
    return ArtifactEntry(name=name, artifact=artifact, bytes=size, sha256=whole.hexdigest(), index=digest, media_type=guessed)


@dataclass(frozen=True, slots=True)
class Artifact:
    """One version of a file kept beside a dataset. Every byte read is checked. Safe to share between threads."""

    storage: Storage
    prefix: str
    entry: ArtifactEntry

    @property
    def name(self) -> str:
        """The name it is kept under."""
        return self.entry.name

    @property
    def size(self) -> int:
        """Its length in bytes."""
        return self.entry.bytes

    @property
    def sha256(self) -> str:
        """Digest of the whole file, lower-case hex."""
        return self.entry.sha256

    @property
    def media_type(self) -> str:
        """MIME type as given, or guessed from the name."""
        return self.entry.media_type

    @property
    def _location(self) -> str:
        return f"{self.prefix}/_artifacts/{self.entry.artifact}"

    def _checksums(self) -> np.ndarray:
        where = f"{self._location}/_index"
        try:
            index, body, digest = decode_record("index", self.storage.get(where), ArtifactIndex, where)
        except NotFound as error:
            msg = f"{where}: the index of artifact {self.name!r} is missing: restore it from a replica"
            raise Corrupt(msg) from error
        checksums = unpack_arrays(index.tables, body, where).get("crc32c")
        blocks = -(-self.size // BLOCK_BYTES)
        if digest != self.entry.index or checksums is None or checksums.shape != (blocks,) or index.block != BLOCK_BYTES:
            msg = f"{where}: isn't the index that the commit names for artifact {self.name!r}"
            raise Corrupt(msg)
        return checksums

    def blocks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The bytes of `[start, stop)`, block by block, each checked before it is handed out."""
        stop = self.size if stop is None else min(stop, self.size)
        if start < 0 or start > stop:
            msg = f"[{start}, {stop}) isn't a range of an artifact of {self.size} bytes"
            raise InvalidInput(msg, "range")
        checksums = self._checksums()
        for block in range(start // BLOCK_BYTES, -(-stop // BLOCK_BYTES)):
            first = block * BLOCK_BYTES
            data = self._block(first, int(checksums[block]))
            yield data[max(start - first, 0) : stop - first]

    def _block(self, first: int, checksum: int) -> bytes:
        where = f"{self._location}/data"
        last = min(first + BLOCK_BYTES, self.size)
        try:
            (data,) = self.storage.get_ranges(where, [(first, last)])
        except NotFound as error:
            msg = f"{where}: the bytes of artifact {self.name!r} are missing: restore them from a replica"
            raise Corrupt(msg) from error
        if len(data) != last - first or google_crc32c.value(data) != checksum:
            msg = f"{where}: bytes {first} to {last} of artifact {self.name!r} aren't what was written: restore them from a replica"
            raise Corrupt(msg)
        return data

    def read(self) -> bytes:
        """The whole file."""
        return b"".join(self.blocks())

    def read_range(self, start: int, stop: int) -> bytes:
        """The bytes of `[start, stop)`."""
        return b"".join(self.blocks(start, stop))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a copy to a new local file; an existing one raises FileExistsError."""
        with Path(path).open("xb") as file:
            file.writelines(self.blocks())

    def verify(self) -> list[str]:
        """What is wrong with it; reads every byte."""
        try:
            whole = hashlib.sha256()
            for block in self.blocks():
                whole.update(block)
        except Corrupt as error:
            return [str(error)]
        if whole.hexdigest() != self.sha256:
            return [f"{self._location}/data: digest {whole.hexdigest()}, not the {self.sha256} that was committed"]
        return []
