"""Files kept beside the rows: streamed, checked block by block, versioned like rows (FORMAT.md section 11)."""

import errno
import hashlib
import io
import mimetypes
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import google_crc32c
import msgspec
import numpy as np

from arraystore.errors import Corrupt, InvalidInput, NotFound
from arraystore.storage.base import Batch, Storage
from arraystore.versions.commit import ArtifactEntry
from arraystore.versions.fetch import fetch_record
from arraystore.versions.record import ArrayRef, decode_record, encode_record, pack_arrays, unpack_arrays
from layouts.naming import new_segment_name

BLOCK_BYTES = 1 << 20
UNKNOWN_TYPE = "application/octet-stream"
NAME_LIMIT_BYTES = 1000

type ArtifactSource = str | os.PathLike[str] | bytes | BinaryIO


class ArtifactIndex(msgspec.Struct, frozen=True):
    """The header of an artifact's index record; the body holds one crc32c per block."""

    bytes: int
    sha256: str
    block: int
    tables: dict[str, ArrayRef]


@contextmanager
def open_source(source: ArtifactSource, name: str | None) -> Iterator[tuple[BinaryIO, str]]:
    """A readable stream and the name to keep it under; raises before anything is written, and closes only what it opened."""
    if isinstance(source, bytes | bytearray | memoryview):
        yield io.BytesIO(source), _checked_name(name)
    elif isinstance(source, str | os.PathLike):
        path = Path(source)
        name = _checked_name(name or path.name)
        try:
            if path.exists() and not path.is_file():
                raise OSError(errno.EINVAL, "it isn't a regular file")  # opening a FIFO would wait for somebody to write
            stream = path.open("rb")
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            msg = f"{str(path)!r} can't be read ({why}): pass an existing file, bytes, or an open binary file"
            raise InvalidInput(msg, "file") from error
        with stream:
            yield stream, name
    elif callable(getattr(source, "read", None)):
        yield source, _checked_name(name or Path(str(getattr(source, "name", ""))).name or None)
    else:
        raise InvalidInput(f"a {type(source).__name__} isn't a file: pass a path, bytes, or an open binary file", "file")


def _checked_name(name: str | None) -> str:
    try:
        if isinstance(name, str) and 0 < len(name.encode()) <= NAME_LIMIT_BYTES and "\0" not in name:
            return str(name)
    except UnicodeEncodeError:
        pass
    msg = f"{name!r} isn't a name for an artifact: pass name= with 1 to {NAME_LIMIT_BYTES} bytes of UTF-8 and no NUL"
    raise InvalidInput(msg, "name")


def write_artifact(batch: Batch, prefix: str, base_version: int, source: BinaryIO, name: str, media_type: str | None) -> ArtifactEntry:
    """Stream a file into the batch; memory stays at one block."""
    artifact = new_segment_name(base_version, secrets.randbits(128))
    whole, checksums = hashlib.sha256(), []

    def blocks() -> Iterator[bytes]:
        while block := _read_block(source):
            whole.update(block)
            checksums.append(google_crc32c.value(block))
            yield block

    size = batch.put(f"{prefix}/_artifacts/{artifact}/data", blocks())
    refs, pieces = pack_arrays({"crc32c": np.array(checksums, dtype=np.uint32)})
    index, digest = encode_record("index", ArtifactIndex(size, whole.hexdigest(), BLOCK_BYTES, refs), pieces)
    batch.put(f"{prefix}/_artifacts/{artifact}/_index", index)
    told = media_type or _guessed(name)
    return ArtifactEntry(name=name, artifact=artifact, bytes=size, sha256=whole.hexdigest(), index=digest, media_type=told)


def _guessed(name: str) -> str:
    """A file's type by the suffix of its name: alone, since a whole name would be taken for a URL, and perhaps for a wrong one."""
    with suppress(OSError):  # the system's table of types is a file like any other
        return mimetypes.guess_type(f"_{Path(name).suffix}")[0] or UNKNOWN_TYPE
    return UNKNOWN_TYPE


def _read_block(source: BinaryIO) -> bytes:
    try:
        block: Any = source.read(BLOCK_BYTES)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"it can't be read ({error}): pass an existing file, bytes, or an open binary file", "file") from error
    if not isinstance(block, bytes | bytearray | memoryview):
        raise InvalidInput(f"reading it gives {type(block).__name__} where bytes are wanted: open it as binary, and blocking", "file")
    return bytes(block)


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
            index, body, digest = decode_record("index", fetch_record(self.storage, where), ArtifactIndex, where)
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
        if (size := self.storage.size(f"{self._location}/data")) != self.size:
            return [f"{self._location}/data: has {size} bytes, not the {self.size} that were committed"]
        if whole.hexdigest() != self.sha256:
            return [f"{self._location}/data: digest {whole.hexdigest()}, not the {self.sha256} that was committed"]
        return []
