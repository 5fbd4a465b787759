"""Names and records (sections 3 and 4), read from FORMAT.md alone: no line and no import of the code that writes them."""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

MIB = 1 << 20
DTYPES = re.compile(r"\|[biu]1|<[iu][248]|<f[48]|\|S[1-9][0-9]*")
SEGMENT = re.compile(r"(0|[1-9][0-9]*)-[0-9a-f]{32}")
VERSION = re.compile(r"[0-9]{20}")

type Json = dict[str, Any]


class Damaged(Exception):
    """The bytes contradict the format page."""


def need(true: object, what: object) -> None:
    if not true:
        raise Damaged(what)


def escape(part: str) -> str:
    bare = part.rstrip(".")
    letters = [c if re.fullmatch("[A-Za-z0-9_.-]", c) else "".join(f"={byte:02X}" for byte in c.encode()) for c in bare]
    letters += ["=2E"] * (len(part) - len(bare))
    device = re.match(r"(?i)(CON|PRN|AUX|NUL|COM[0-9]|LPT[0-9])(\.|$)", part)
    if part[0] in "_." or device or part.lower() == "zarr.json":
        letters[0] = f"={ord(part[0]):02X}"
    return "".join(letters)


def unescape(name: str) -> str | None:
    """What a directory's name stands for, or None where it stands for nothing."""
    data = re.sub(rb"=([0-9A-F]{2})", lambda found: bytes.fromhex(found[1].decode()), name.encode(errors="surrogateescape"))
    try:
        part = data.decode()
    except UnicodeDecodeError:
        return None
    return part if part and len(name) <= 200 and escape(part) == name else None


@dataclass(frozen=True)
class Record:
    header: Json
    body: bytes
    digest: str

    def arrays[K](self, described: dict[K, Json]) -> dict[K, np.ndarray]:
        """All arrays of the body, in the order of their descriptions, which must leave nothing unsaid."""
        found, end = {}, 0
        for name, each in described.items():
            dtype, shape, offset = each["dtype"], tuple(each["shape"]), each["offset"]
            need(DTYPES.fullmatch(dtype) and offset % 8 == 0 and 0 <= offset - end < 8 and min(shape) >= 0, (name, each))
            need(not any(self.body[end:offset]), f"what lies before {name} isn't zero")
            count = int(np.prod(shape))
            end = offset + count * np.dtype(dtype).itemsize
            need(end <= len(self.body), f"{name} ends past the body")
            found[name] = np.frombuffer(self.body, dtype, count, offset).reshape(shape) if count else np.empty(shape, dtype)
        need(end == len(self.body), f"the body has {len(self.body)} bytes, its arrays end at {end}")
        return found


def read_object(path: Path) -> bytes:
    need(path.is_file() and not path.is_symlink(), f"{path} is missing")
    return path.read_bytes()


def read_record(path: Path, kind: str) -> Record:
    return decode_record(read_object(path), kind, path)


def decode_record(data: bytes, kind: str, path: Path) -> Record:
    line, _, rest = data.partition(b"\n")
    words = re.fullmatch(rb"arraystore ([a-z]+) 1 ([0-9a-f]{64}) (0|[1-9][0-9]*) (0|[1-9][0-9]*)", line)
    need(words and len(line) < 200 and words[1].decode() == kind, f"{path}: {line[:200]!r}")
    header, body = int(words[3]), int(words[4])
    need(header <= 64 * MIB and body <= 1024 * MIB and len(rest) == header + body, f"{path}: its length")
    digest = hashlib.sha256(rest).hexdigest()
    need(digest == words[2].decode(), f"{path}: its digest")
    return Record(json.loads(rest[:header]), rest[header:], digest)


def read_group(place: Path) -> Json:
    """What a group's `attributes.arraystore` says, in format 1."""
    document = json.loads(read_object(place / "zarr.json"))
    need((document["zarr_format"], document["node_type"]) == (3, "group"), f"{place} isn't a Zarr v3 group")
    found = document["attributes"]["arraystore"]
    need(found["format"] == 1, f"{place} has format {found['format']}")
    return found
