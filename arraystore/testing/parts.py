"""Rows as the parts of a window that a read takes: written as segments, or as tails."""

from arraystore.frames.rows import Rows
from arraystore.segments.reader import Part
from arraystore.segments.segment import write_segment
from arraystore.segments.tail import decode_tail, encode_tail
from arraystore.storage.base import Storage
from arraystore.versions.commit import SegmentEntry

WINDOW = "dataset/2024-01-01"


def segment_part(storage: Storage, rows: Rows, number: int = 0, *, profile: str = "dense", threads: int | None = 1) -> Part:
    """Write rows as the window's segment `number`."""
    name = f"{number}-{number:032x}"
    prefix = f"{WINDOW}/{name}"
    with storage.batch() as batch:
        entry = write_segment(batch, prefix, name, rows, schema_number=0, profile=profile, threads=threads)
    return Part(prefix=prefix, entry=entry, rows=None, schema=rows.schema)


def tail_part(rows: Rows, number: int = 0) -> Part:
    """Inline rows as the tail of version `number` + 1, and take them out again."""
    tail, pieces = encode_tail(rows, 0)
    body = memoryview(b"".join(pieces))
    prefix = f"dataset/_log/{number + 1}"
    entry = SegmentEntry(schema=0, rows=tail.rows, clocks=tail.clocks, bytes=len(body), tail=number + 1)
    return Part(prefix=prefix, entry=entry, rows=decode_tail(tail, body, rows.schema, prefix), schema=rows.schema)
