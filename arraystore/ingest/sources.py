"""The bytes of a vendor's file, uncompressed as they are read: plain, gzip, zstd, bzip2, xz, or the members of a zip archive."""

import bz2
import codecs
import gzip
import hashlib
import lzma
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO, Any, Protocol

from arraystore.errors import InvalidInput, Problem
from arraystore.frames.arrow import pyarrow

DAMAGE = (zlib.error, EOFError, zipfile.BadZipFile, gzip.BadGzipFile, lzma.LZMAError, NotImplementedError, RuntimeError)
MAGIC = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"7z\xbc\xaf\x27\x1c": "7-Zip",
    b"Rar!": "RAR",
    b"\x04\x22\x4d\x18": "LZ4",
}
SUFFIXES = {".gz": "gzip", ".gzip": "gzip", ".zip": "zip", ".zst": "zstd", ".bz2": "bzip2", ".xz": "xz"}
FOREIGN = ("7-Zip", "RAR", "LZ4")
TABLES = {b"PAR1": "Parquet", b"ARROW1": "Arrow", b"FEA1": "Feather of version 1", b"DBN": "DBN"}
TAR_MARK = 257  # where a tar archive has its mark
FREE_BYTES = 1 << 30  # as much as a file may hold, however small it is
FOLD_LIMIT = 500  # further content may be so many times the file's size: real tables shrink to a tenth, hardly ever to a hundredth
ENCRYPTED = 1
LINES_BYTES = 1 << 20
LINE_LIMIT = 16 << 20


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

    def __init__(self, source: Readable, label: str, size: int = 0, *, is_packed: bool = False) -> None:
        self._source = source
        self.is_packed = is_packed
        self._label = label
        self._limit = max(FREE_BYTES, size * FOLD_LIMIT)
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
        except InvalidInput as error:
            self.failure = error
            raise
        except UnicodeDecodeError as error:
            what = f"isn't text of the encoding {error.encoding} after {self.position} bytes of content ({error.reason}): see file.encoding"
            self.failure = InvalidInput(Problem(self._label, what))
            raise self.failure from error
        except (*DAMAGE, OSError) as error:
            self.failure = damaged(self._label, error, f" after {self.position} bytes of content")
            raise self.failure from error
        self.position += len(data)
        if self.position > self._limit:
            what = f"holds more than {self._limit:,} bytes, over {FOLD_LIMIT} times its size: is it a decompression bomb?"
            self.failure = InvalidInput(Problem(self._label, f"{what} If it is right, unpack it first"))
            raise self.failure
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


class Lines:
    """Text of which only some lines count: the others become empty ones, so that lines keep their numbers."""

    def __init__(self, source: Readable, label: str, comments: tuple[str, ...], pattern: str) -> None:
        self._source = source
        self._label = label
        self._comments = tuple(comment.encode() for comment in comments)
        self._pattern = re.compile(pattern.encode())
        self._pending = b""
        self._ready = b""

    def read(self, size: int = -1, /) -> bytes:
        """Up to so many bytes."""
        while not self._ready:
            data = self._source.read(LINES_BYTES)
            ended, self._pending = _whole_lines(self._pending + data, final=not data)
            if len(self._pending) > LINE_LIMIT:
                raise InvalidInput(
                    Problem(self._label, f"has a line of more than {LINE_LIMIT >> 20} MiB: is it text, and of this encoding?")
                )
            self._ready = b"".join(line if self._counts(line) else _end_of(line) for line in ended)
            if not data:
                break
        taken, self._ready = (self._ready, b"") if size < 0 else (self._ready[:size], self._ready[size:])
        return taken

    def _counts(self, line: bytes) -> bool:
        line = line.removeprefix(codecs.BOM_UTF8)
        return not (self._comments and line.startswith(self._comments)) and self._pattern.search(line.rstrip(b"\r\n")) is not None


def _whole_lines(data: bytes, *, final: bool) -> tuple[list[bytes], bytes]:
    """The lines with their ends, and the beginning of the next."""
    lines = data.splitlines(keepends=True)  # of bytes: ends are LF, CR and CRLF, and nothing else
    if final or not lines or (lines[-1].endswith(b"\n")):
        return lines, b""
    return lines[:-1], lines[-1]


def _end_of(line: bytes) -> bytes:
    return line[len(line.rstrip(b"\r\n")) :]


def kind_of(start: bytes) -> str:
    """What the first bytes of a file say that it is, if it isn't text; else an empty text."""
    named = next((name for magic, name in (MAGIC | TABLES).items() if start.startswith(magic)), "")
    return named or ("tar" if start[TAR_MARK : TAR_MARK + 5] == b"ustar" else "")


def damaged(label: str, error: BaseException, where: str = "") -> InvalidInput:
    """The error of a file that isn't whole, or is compressed in a way that can't be read."""
    if isinstance(error, NotImplementedError):
        return InvalidInput(Problem(label, f"can't be unpacked here ({error}): unpack it first, with another tool"))
    return InvalidInput(Problem(label, f"is damaged or cut short{where} ({error}): fetch it again; nothing of it was committed"))


def digest_of(path: Path) -> str:
    """SHA-256 of a file's bytes as they lie there."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            what = (
                "is a directory: name the files in it"
                if path.is_dir()
                else "isn't a regular file, which can be read twice: write it to one"
            )
            raise InvalidInput(Problem(str(path), what))
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InvalidInput(Problem(str(path), f"can't be read ({error.strerror or error})")) from error


def compression_of(path: Path) -> str:
    """How a file is compressed, as its first bytes tell; raises where its name says otherwise."""
    with path.open("rb") as file:
        start = file.read(TAR_MARK + 5)
    found = next((name for magic, name in MAGIC.items() if start.startswith(magic)), "")
    expected = SUFFIXES.get(path.suffix.lower(), "")
    if not start:
        raise InvalidInput(Problem(str(path), "is empty: fetch it again, or leave it out"))
    if found in FOREIGN or start[TAR_MARK:] == b"ustar":
        raise InvalidInput(Problem(str(path), f"is an archive of {found or 'tar'}, which isn't read: unpack it first"))
    if expected and expected != found:
        raise InvalidInput(Problem(str(path), f"isn't {expected}, though its name says so: fetch it again, or rename it"))
    return found


def members_of(path: Path, pattern: str) -> list[Member]:
    """The tables of a file: those members of a zip archive whose names match, in their order there."""
    if compression_of(path) != "zip":
        return [Member(path=path)]
    try:
        with zipfile.ZipFile(path) as archive:
            infos = [info for info in archive.infolist() if not info.is_dir()]
    except (*DAMAGE, OSError, ValueError) as error:
        raise damaged(str(path), error) from error
    names = [info.filename for info in infos]
    chosen = [name for name in names if fnmatchcase(name, pattern) and not name.startswith("__MACOSX/")]
    if not chosen:
        raise InvalidInput(Problem(str(path), f"has no member like {pattern!r}, only {', '.join(names[:5]) or 'none'}: see file.member"))
    if twice := [name for name in chosen if chosen.count(name) > 1] if len(set(chosen)) < len(chosen) else []:
        raise InvalidInput(Problem(f"{path}/{twice[0]}", "is there twice: unpack it, and give the one that is meant"))
    if locked := [info.filename for info in infos if info.flag_bits & ENCRYPTED and info.filename in chosen]:
        raise InvalidInput(Problem(f"{path}/{locked[0]}", "is encrypted: unpack it first, with its password"))
    return [Member(path=path, name=name) for name in chosen]


@contextmanager
def opened(member: Member, encoding: str = "utf-8", *, comments: tuple[str, ...] = (), lines: str = "") -> Iterator[Stream]:
    """The member's uncompressed bytes, as UTF-8 if it is text of another encoding; only its lines that count, the others empty."""
    with ExitStack() as stack:
        try:
            source: Any = _source(member, stack)
        except (*DAMAGE, OSError, KeyError, ValueError) as error:
            if isinstance(error, InvalidInput):
                raise
            raise damaged(member.label, error) from error
        if codecs.lookup(encoding).name not in ("utf-8", "ascii", "utf-8-sig"):
            source = Recoded(source, encoding)
        if comments or lines:
            source = Lines(source, member.label, comments, lines)
        is_packed = bool(member.name or compression_of(member.path))
        yield Stream(source, member.label, member.path.stat().st_size, is_packed=is_packed)


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
        case "bzip2":
            return stack.enter_context(bz2.open(member.path))
        case "xz":
            return stack.enter_context(lzma.open(member.path))
        case _:
            return stack.enter_context(member.path.open("rb"))
