"""Databento's DBN files: metadata through Databento's own package, records as it lays them out. The one door to databento-dbn."""

# mypy: disable-error-code="import-untyped,import-not-found,unused-ignore"

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np

from arraystore.arrow import pyarrow
from arraystore.errors import InvalidInput, Problem
from arraystore.given import missing_library
from arraystore.ingest.mapping import Source
from arraystore.ingest.sources import Member, Stream
from arraystore.ingest.tables import Batch, resolve

BATCH_RECORDS = 1 << 17
PREFIX = 8  # "DBN", the version, and the length of what follows of the metadata
MESSAGES = {"trades": "TradeMsg", "mbp-1": "MBP1Msg", "tbbo": "MBP1Msg"}
MESSAGES |= {f"ohlcv-{unit}": "OHLCVMsg" for unit in ("1s", "1m", "1h", "1d")}


def read_dbn(stream: Stream, member: Member, wanted: tuple[Source, ...]) -> Iterator[Batch]:
    """The records of a DBN file, zstd-compressed or not; times are uint64 and prices int64 of 1e-9, as they are there."""
    dtype = _record_type(stream, member)
    names = tuple(dtype.names or ())
    places = resolve(names, wanted, member.label)
    pending, done, kind = b"", 0, None
    while data := stream.read(BATCH_RECORDS * dtype.itemsize):
        pending += data
        count = len(pending) // dtype.itemsize
        records = np.frombuffer(pending, dtype, count)
        pending = pending[count * dtype.itemsize :]
        if not count:
            continue
        kind = records["rtype"][0] if kind is None else kind
        wrong = np.flatnonzero((records["length"].astype(int) * 4 != dtype.itemsize) | (records["rtype"] != kind))
        if len(wrong):
            what = "isn't a record of the file's schema: files of several kinds of records must be split first"
            raise InvalidInput(Problem(f"{member.label} record {done + int(wrong[0]) + 1}", what))
        done += count
        yield Batch({source: _array(records[names[place]]) for source, place in places.items()}, count)
    if pending:
        what = f"is damaged or cut short: {len(pending)} bytes of a record follow record {done}; fetch it again, nothing was committed"
        raise InvalidInput(Problem(member.label, what))


def _record_type(stream: Stream, member: Member) -> np.dtype[Any]:
    """How a record lies in the file."""
    library = databento_dbn()
    start = _exactly(stream, PREFIX)
    if start[:3] != b"DBN" or len(start) < PREFIX:
        raise InvalidInput(Problem(member.label, "isn't DBN: it doesn't begin with its mark"))
    metadata = library.Metadata.decode(start + _exactly(stream, int.from_bytes(start[4:8], "little")))
    schema = str(metadata.schema) if metadata.schema is not None else ""
    if schema not in MESSAGES:
        known = ", ".join(sorted(MESSAGES))
        raise InvalidInput(Problem(member.label, f"has records of schema {schema or 'mixed'!r}; those that can be taken are {known}"))
    fields = list(getattr(library, MESSAGES[schema])._dtypes)  # noqa: SLF001 - also what the vendor's own reader goes by
    if metadata.ts_out:
        fields.append(("ts_out", "u8"))
    return np.dtype(fields)


def databento_dbn() -> ModuleType:
    """The library, or the error that says how to get it."""
    try:
        import databento_dbn
    except ImportError as error:
        raise missing_library("DBN", "databento-dbn", "databento") from error
    return databento_dbn  # type: ignore[no-any-return]


def _exactly(stream: Stream, size: int) -> bytes:
    """So many bytes, or as many as there are."""
    taken = b""
    while len(taken) < size and (data := stream.read(size - len(taken))):
        taken += data
    return taken


def _array(values: np.ndarray) -> Any:
    """One field as an Arrow array; letters as text."""
    pa = pyarrow()
    if values.dtype.kind != "S":
        return pa.array(np.ascontiguousarray(values))
    letters, codes = np.unique(values, return_inverse=True)
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), pa.array([letter.decode() for letter in letters.tolist()]))
