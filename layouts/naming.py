"""Names on disk: keys and their reversible escaping, names of segments and versions (FORMAT.md sections 1, 3 and 6)."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from layouts.classes import ACCESS, StorageClass, parse_storage_class
from layouts.problems import InvalidInput, Problem

ALL_INSTRUMENTS = "_all"
ESCAPED_LIMIT_BYTES = 200
VERSION_DIGITS = 20
RANDOM_BITS = 128

#: The parts of a key, per class; a part with `|` is one of the words it lists.
KEY_TEMPLATES: Mapping[StorageClass, tuple[str, ...]] = MappingProxyType({rule.storage_class: rule.key_template for rule in ACCESS})

_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")
_ESCAPES = tuple(chr(byte) if byte in _PLAIN else f"={byte:02X}" for byte in range(256))
# Windows opens a device under these names, whatever the case and whatever follows a dot.
_FIRST_LETTER_ESCAPED = re.compile(r"((CON|PRN|AUX|NUL|COM[0-9]|LPT[0-9])(\.|\Z)|zarr\.json\Z)", re.IGNORECASE | re.ASCII)
_ESCAPED_BYTE = re.compile(rb"=([0-9A-F]{2})")
_SEGMENT_NAME = re.compile(r"(0|[1-9][0-9]{0,18})-[0-9a-f]{32}\Z")
_VERSION_NAME = re.compile(rf"[0-9]{{{VERSION_DIGITS}}}\Z")


def escape(part: str) -> str:
    """The one name that a key part has on disk: `=` and two hex digits per byte that isn't safe everywhere.

    >>> escape("BTC/USDT:USDT"), escape("_all"), escape("..")
    ('BTC=2FUSDT=3AUSDT', '=5Fall', '=2E=2E')
    """
    return _escaped(_plain_text(part))


@lru_cache(4096)  # the parts of keys are few, and asked for again and again
def _escaped(part: str) -> str:
    data = _encoded(part)
    body = part.rstrip(".")
    letters = [_ESCAPES[byte] for byte in data]
    for trailing in range(len(data) - (len(part) - len(body)), len(data)):
        letters[trailing] = "=2E"
    if data[0] in b"_." or _FIRST_LETTER_ESCAPED.match(part):
        letters[0] = f"={data[0]:02X}"
    text = "".join(letters)
    if len(text) > ESCAPED_LIMIT_BYTES:
        what = f"{part[:40]!r}… takes {len(text)} bytes when escaped ({text[:40]}…), more than {ESCAPED_LIMIT_BYTES}; shorten it"
        raise InvalidInput(Problem("name", what))
    return text


def _plain_text(part: Any) -> str:
    if not isinstance(part, str) or not part:
        raise InvalidInput(Problem("name", f"{part!r} must be text that isn't empty"))
    return str(part)


def _encoded(part: str) -> bytes:
    try:
        return part.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(Problem("name", f"{part!r} isn't valid Unicode ({error.reason}); give text that UTF-8 can hold")) from None


def unescape(text: str) -> str:
    """What was escaped; any text that `escape` doesn't yield is refused, so that every name has one spelling.

    >>> unescape("=5Fall")
    '_all'
    """
    part = _unescaped(text)
    if part is None:
        raise InvalidInput(Problem("name", f"{text!r} isn't escaped text: '=' must be followed by two upper-case hex digits of UTF-8"))
    expected = escape(part)
    if expected != text:
        raise InvalidInput(Problem("name", f"{text!r} isn't escaped as it must be; write {expected!r}, or give the key as a tuple"))
    return part


def _unescaped(text: object) -> str | None:
    if not isinstance(text, str) or not text:
        return None
    try:
        data = text.encode()
        if data.count(b"=") != len(_ESCAPED_BYTE.findall(data)):
            return None
        return _ESCAPED_BYTE.sub(lambda match: bytes.fromhex(match[1].decode()), data).decode()
    except UnicodeError:
        return None


def is_escaped(text: str) -> bool:
    """Whether this is a name that `escape` yields, so that a listing takes it for part of a key."""
    try:
        return bool(unescape(text))
    except InvalidInput:
        return False


def parse_key(storage_class: StorageClass | str, key: str | Sequence[str]) -> tuple[str, ...]:
    """A dataset's key as a tuple with one part for each of its class's template, or `InvalidInput` with every problem.

    A string is split at `/`, and its parts must be escaped, but for `_all`; a tuple or list is taken as it is.

    >>> parse_key("canonical", "venue/trades/_all")
    ('venue', 'trades', '_all')
    """
    storage_class = parse_storage_class(storage_class)
    template = KEY_TEMPLATES[storage_class]
    problems: list[Problem] = []
    if isinstance(key, str):
        texts = enumerate(key.split("/"))
        parts = [text if text == ALL_INSTRUMENTS else _collected(unescape, text, place, problems) for place, text in texts]
    else:
        parts = _listed_parts(key, template)
    if len(parts) != len(template):
        what = f"{key!r} has {len(parts)} parts, where a key of {storage_class} has {len(template)}: {' / '.join(template)}"
        problems.append(Problem("key", what))
    elif not problems:
        for place, (word, part) in enumerate(zip(template, parts, strict=True)):
            _collected(escape, part, place, problems)
            if "|" in word and part not in word.split("|"):
                problems.append(Problem(f"key part {place + 1}", f"{part!r} must be one of {', '.join(word.split('|'))}"))
    if problems:
        raise InvalidInput(problems)
    return tuple(map(str, parts))


def _listed_parts(key: Any, template: tuple[str, ...]) -> list[Any]:
    if isinstance(key, Sequence) and not isinstance(key, bytes | bytearray | memoryview):
        return list(key)
    raise InvalidInput(Problem("key", f"{key!r} must be a tuple of {' / '.join(template)}, or that as escaped text"))


def _collected(function: Callable[[Any], str], value: object, place: int, problems: list[Problem]) -> str:
    try:
        return function(value)
    except InvalidInput as error:
        problems.extend(Problem(f"key part {place + 1}", problem.what) for problem in error.problems)
        return ""


def format_key(key: Sequence[str]) -> str:
    """The key's path: its parts, escaped and joined by `/`. `parse_key` reads it back."""
    return "/".join(map(escape, key))


def new_segment_name(base_version: int, random_bits: int) -> str:
    """Name of a new segment or artifact: the version its writer planned on, and 128 random bits."""
    assert base_version >= 0, base_version
    assert 0 <= random_bits < 1 << RANDOM_BITS, random_bits
    return f"{base_version}-{random_bits:032x}"


def is_segment_name(text: str) -> bool:
    """Whether a record may call a segment or artifact so (and so can't name any other place)."""
    return _SEGMENT_NAME.match(text) is not None


def segment_base_version(name: str) -> int:
    """The version that a segment's writer planned on."""
    if not is_segment_name(name):
        raise InvalidInput(Problem("segment", f"{name!r} isn't a segment's name: <version>-<32 hex digits>"))
    return int(name.partition("-")[0])


def version_name(version: int) -> str:
    """Name of a version's commit, so that names sort as versions do.

    >>> version_name(42)
    '00000000000000000042'
    """
    if not 0 <= version < 1 << 63:
        raise InvalidInput(Problem("version", f"{version} must be a whole number from 0 to {(1 << 63) - 1}"))
    return f"{version:0{VERSION_DIGITS}d}"


def parse_version_name(text: str) -> int:
    """The version that a commit's or checkpoint's name tells."""
    if not _VERSION_NAME.match(text) or int(text) >= 1 << 63:
        raise InvalidInput(Problem("version", f"{text!r} isn't a version's name: {VERSION_DIGITS} decimal digits"))
    return int(text)
