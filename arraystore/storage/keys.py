"""Which keys there are, checked before any I/O: the rules every implementation shares."""

import re
from collections.abc import Sequence
from functools import lru_cache

from layouts.problems import InvalidInput

PART_LIMIT_BYTES = 255
"""What ext4, XFS and btrfs take as one name."""

TEMPORARY = ".tmp-"
"""How names of unfinished objects begin; never a key, never listed."""

PART = re.compile(rf"(?!\.\.?\Z|{re.escape(TEMPORARY)})[A-Za-z0-9=_.-]{{1,{PART_LIMIT_BYTES}}}")
"""What a key's part fully matches: neither `.` nor `..`, which would leave the prefix."""


@lru_cache(4096)  # the way to an object is the same for many
def is_part(text: str) -> bool:
    """Whether a key may have this part: what else lies in a directory isn't ours, and isn't listed."""
    return PART.fullmatch(text) is not None


def key_parts(key: str) -> list[str]:
    """The parts of an object's key, or `InvalidInput`."""
    parts = _split(key)
    for part in parts:
        if not is_part(part):
            raise InvalidInput(_complaint(key, part), where="key")
    return parts


def prefix_parts(prefix: str) -> list[str]:
    """The parts of a prefix; the empty one is the root."""
    return [] if prefix == "" else key_parts(prefix)


def check_ranges(key: str, ranges: Sequence[tuple[int, int]]) -> None:
    """Refuse ranges that aren't `0 <= start <= stop`."""
    for start, stop in ranges:
        if not 0 <= start <= stop:
            raise InvalidInput(f"the range {start}..{stop} of {key!r} isn't 0 <= start <= stop", where="ranges")


def _split(key: object) -> list[str]:
    return key.split("/") if isinstance(key, str) else [""]


def _complaint(key: object, part: str) -> str:
    if not isinstance(key, str):
        return f"{key!r} is a {type(key).__name__}; give a string of parts joined by '/'"
    if len(part) > PART_LIMIT_BYTES:
        return f"{key!r} has a part of {len(part)} characters, at most {PART_LIMIT_BYTES} are allowed; shorten it"
    if part.startswith(TEMPORARY):
        return f"{key!r} has the part {part!r}; names that begin with {TEMPORARY!r} are kept for unfinished objects"
    what = f"the part {part!r}" if part else "an empty part"
    return f"{key!r} has {what}; parts are made of letters, digits and = _ . - (other characters are escaped first), and aren't '.' or '..'"
