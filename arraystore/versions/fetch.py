"""Reads what is read whole, and never more of it than there may be: whoever plants a file without end costs a reader next to nothing."""

from arraystore.errors import Corrupt
from arraystore.storage.base import Storage
from arraystore.versions.record import told_bytes

PEEK_BYTES = 1 << 20
DOCUMENT_BYTES = 1 << 20
"""The `zarr.json` of a store, a class and a dataset."""
MARK_BYTES = 4096
NUMBER_BYTES = 20


def fetch(storage: Storage, key: str, limit_bytes: int) -> bytes:
    """The whole object; `Corrupt` for one that is longer than it may be."""
    (data,) = storage.get_ranges(key, [(0, limit_bytes + 1)])
    if len(data) > limit_bytes:
        raise Corrupt(f"{storage.url}/{key}: has more than the {limit_bytes} bytes that it may have: restore it from a replica")
    return data


def fetch_number(storage: Storage, key: str) -> int:
    """The decimal number that a hint begins with; ValueError where there is none."""
    (data,) = storage.get_ranges(key, [(0, NUMBER_BYTES)])
    return int(data)


def fetch_record(storage: Storage, key: str) -> bytes:
    """A record's bytes; of one that isn't as long as its first line tells, enough to see that."""
    (data,) = storage.get_ranges(key, [(0, PEEK_BYTES)])
    if len(data) < PEEK_BYTES or (told := told_bytes(data)) is None or told < PEEK_BYTES:
        return data
    (data,) = storage.get_ranges(key, [(0, told + 1)])
    return data
