"""The bytes of a vendor's file, uncompressed as they are read: plain, gzip, zstd, or the members of a zip archive."""

import codecs
import gzip
import hashlib
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO, Any, Protocol

from arraystore.arrow import pyarrow
from arraystore.errors import InvalidInput, Problem

DAMAGE = (zlib.error, EOFError, zipfile.BadZipFile, gzip.BadGzipFile, lzma.LZMAError, NotImplementedError, RuntimeError)
MAGIC = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"PK\x05\x06": "zip", b"\x28\xb5\x2f\xfd": "zstd"}
SUFFIXES = {".gz": "gzip", ".gzip": "gzip", ".zip": "zip", ".zst": "zstd"}


class Readable(Protocol):
    """Whatever gives bytes; none at its end."""

    def read(self, size: int = -1, /) -> bytes:
        """Up to so many bytes."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One table of a file: the file itself, or a member of the archive that it is."""

    path: Path
    name: str = ""

    @property
    def label(self) -> str:
        """How messages call it."""
        return f"{self.path}/{self.name}" if self.name else str(self.path)


class Stream:
    """A file as it is read: `position` counts its uncompressed bytes, and damage is told as what it is."""

    closed = False

    def __init__(self, source: Readable, label: str) -> None:
        self._source = source
        self._label = label
        self._pushed = b""
        self.position = 0
        self.failure: InvalidInput | None = None

    def read(self, size: int = -1) -> bytes:
        """Up to so many bytes; raises `InvalidInput` where the file is damaged, and keeps that as `failure`."""
        if self._pushed:
            taken, self._pushed = (self._pushed, b"") if size < 0 else (self._pushed[:size], self._pushed[size:])
            return taken
        try:
            data = self._source.read(size)
        except (*DAMAGE, OSError) as error:
            self.failure = damaged(self._label, error, f" after {self.position} bytes of content")
            raise self.failure from error
        self.position += len(data)
        return bytes(data)

    def push_back(self, data: bytes) -> None:
        """Have these bytes read once more."""
        self._pushed = data + self._pushed

    def readable(self) -> bool:
        """It is."""
        return True

    def close(self) -> None:
        """The source is closed by whoever opened it."""


class Recoded:
    """Text of another encoding, as UTF-8."""

    def __init__(self, source: Readable, encoding: str) -> None:
        self._source = source
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._ready = b""

    def read(self, size: int = -1, /) -> bytes:
        """Up to so many bytes of UTF-8."""
        while not self._ready:
            data = self._source.read(size)
            self._ready = self._decoder.decode(data, final=not data).encode()
            if not data:
                break
        taken, self._ready = (self._ready, b"") if size < 0 else (self._ready[:size], self._ready[size:])
        return taken


def damaged(label: str, error: BaseException, where: str = "") -> InvalidInput:
    """The error of a file that isn't whole."""
    return InvalidInput(Problem(label, f"is damaged or cut short{where} ({error}): fetch it again; nothing of it was committed"))


def digest_of(path: Path) -> str:
    """SHA-256 of a file's bytes as they lie there."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InvalidInput(Problem(str(path), f"can't be read ({error.strerror or error})")) from error


def compression_of(path: Path) -> str:
    """How a file is compressed, as its first bytes tell; raises where its name says otherwise."""
    with path.open("rb") as file:
        start = file.read(4)
    found = next((name for magic, name in MAGIC.items() if start.startswith(magic)), "")
    expected = SUFFIXES.get(path.suffix.lower(), "")
    if not start:
        raise InvalidInput(Problem(str(path), "is empty: fetch it again, or leave it out"))
    if expected and expected != found:
        raise InvalidInput(Problem(str(path), f"isn't {expected}, though its name says so: fetch it again, or rename it"))
    return found


def members_of(path: Path, pattern: str) -> list[Member]:
    """The tables of a file: those members of a zip archive whose names match, in their order there."""
    if compression_of(path) != "zip":
        return [Member(path=path)]
    try:
        with zipfile.ZipFile(path) as archive:
            names = [info.filename for info in archive.infolist() if not info.is_dir()]
    except (*DAMAGE, OSError, ValueError) as error:
        raise damaged(str(path), error) from error
    chosen = [name for name in names if fnmatchcase(name, pattern) and not name.startswith("__MACOSX/")]
    if not chosen:
        raise InvalidInput(Problem(str(path), f"has no member like {pattern!r}, only {', '.join(names[:5]) or 'none'}: see file.member"))
    return [Member(path=path, name=name) for name in chosen]


@contextmanager
def opened(member: Member, encoding: str = "utf-8") -> Iterator[Stream]:
    """The member's uncompressed bytes, as UTF-8 if it is text of another encoding."""
    with ExitStack() as stack:
        try:
            source: Any = _source(member, stack)
        except (*DAMAGE, OSError, KeyError, ValueError) as error:
            if isinstance(error, InvalidInput):
                raise
            raise damaged(member.label, error) from error
        if codecs.lookup(encoding).name not in ("utf-8", "ascii", "utf-8-sig"):
            source = Recoded(source, encoding)
        yield Stream(source, member.label)


def _source(member: Member, stack: ExitStack) -> Readable | IO[bytes]:
    if member.name:
        archive = stack.enter_context(zipfile.ZipFile(member.path))
        return stack.enter_context(archive.open(member.name))
    match compression_of(member.path):
        case "gzip":
            return stack.enter_context(gzip.open(member.path))
        case "zstd":
            pa = pyarrow()
            source: Readable = stack.enter_context(pa.CompressedInputStream(stack.enter_context(pa.OSFile(str(member.path))), "zstd"))
            return source
        case _:
            return stack.enter_context(member.path.open("rb"))
