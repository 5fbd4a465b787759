"""Whether the text of a segment is text: valid UTF-8 row by row, in rows that add up to its bytes."""

from collections.abc import Iterator

import numpy as np

from arraystore.chunkreads import iter_chunks
from arraystore.errors import Corrupt
from arraystore.index import ZoneIndex
from arraystore.storage.base import Storage
from arraystore.texts import invalid_utf8_row
from layouts.schema import Kind


def text_problems(storage: Storage, prefix: str, index: ZoneIndex, threads: int | None = None) -> Iterator[str]:
    """Every text or bytes column whose rows aren't what they should be; holds one chunk of counts and its rows' bytes at a time."""
    for column in index.schema.columns:
        if not column.is_ragged or column.name not in index.tables:
            continue
        try:
            problem = _problem(storage, prefix, index, column.name, is_text=column.kind is Kind.TEXT, threads=threads)
        except Corrupt as error:
            problem = str(error)
        if problem:
            yield problem


def _problem(storage: Storage, prefix: str, index: ZoneIndex, name: str, *, is_text: bool, threads: int | None) -> str:
    payload = iter_chunks(storage, prefix, index.tables[name], threads)
    held, row = np.empty(0, np.uint8), 0
    for counts in iter_chunks(storage, prefix, index.tables[f"{name}_count"], threads):
        wanted = int(counts.sum(dtype=np.int64))
        pieces = [held]
        while (size := sum(map(len, pieces))) < wanted:
            piece = next(payload, None)
            if piece is None:
                return f"{prefix}/{name}: has {size} bytes for rows from {row} on, where their counts say {wanted}"
            pieces.append(piece)
        whole = np.concatenate(pieces)
        content, held = whole[:wanted], whole[wanted:]
        if is_text and (bad := invalid_utf8_row(content, counts)) is not None:
            return f"{prefix}/{name}: row {row + bad} isn't valid UTF-8"
        row += len(counts)
    left = len(held) + sum(map(len, payload))
    return f"{prefix}/{name}: has {left} bytes that belong to no row" if left else ""
