"""Databento's DBN files: metadata through Databento's own package, records as it lays them out. The one door to databento-dbn."""

# mypy: disable-error-code="import-untyped,import-not-found,unused-ignore"

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import Any

import numpy as np

from arraystore.errors import InvalidInput, Problem
from arraystore.frames.arrow import pyarrow
from arraystore.frames.given import missing_library
from arraystore.ingest.mapping import Source
from arraystore.ingest.sources import Member, Stream
from arraystore.ingest.symbols import Symbols
from arraystore.ingest.tables import Batch, resolve

BLOCK_BYTES = 8 << 20
PREFIX = 8  # "DBN", the version, and the length of what follows of the metadata
WORD = 4  # record lengths are counted in such
VERSIONS = (1, 2, 3)
MAPPING_RTYPE = 22
ADDED = ("symbol", "dataset", "schema")  # columns besides those of the records, from the metadata
MESSAGES = {
    "mbo": "MBOMsg",
    "trades": "TradeMsg",
    "mbp-1": "MBP1Msg",
    "tbbo": "MBP1Msg",
    "mbp-10": "MBP10Msg",
    "bbo-1s": "BBOMsg",
    "bbo-1m": "BBOMsg",
    "cmbp-1": "CMBP1Msg",
    "tcbbo": "CMBP1Msg",
    "cbbo-1s": "CBBOMsg",
    "cbbo-1m": "CBBOMsg",
    "definition": "InstrumentDefMsg",
    "statistics": "StatMsg",
    "status": "StatusMsg",
    "imbalance": "ImbalanceMsg",
}
MESSAGES |= {f"ohlcv-{unit}": "OHLCVMsg" for unit in ("1s", "1m", "1h", "1d", "eod")}
RTYPES = {"mbo": 160, "trades": 0, "mbp-1": 1, "tbbo": 1, "mbp-10": 10, "bbo-1s": 195, "bbo-1m": 196, "cmbp-1": 177, "tcbbo": 194}
RTYPES |= {"cbbo-1s": 192, "cbbo-1m": 193, "definition": 19, "statistics": 24, "status": 18, "imbalance": 20}
RTYPES |= {"ohlcv-1s": 32, "ohlcv-1m": 33, "ohlcv-1h": 34, "ohlcv-1d": 35, "ohlcv-eod": 36}


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """What the metadata tells of a file's records. `mixed`: other kinds lie between them, as in a recording of a live feed."""

    library: ModuleType
    metadata: Any
    schema: str
    mixed: bool

    @cached_property
    def record(self) -> np.dtype[Any]:
        """How a record lies in the file."""
        return self._type(MESSAGES[self.schema])

    @cached_property
    def mapping(self) -> np.dtype[Any]:
        """How a record lies that tells an instrument's symbol."""
        return self._type("SymbolMappingMsg")

    def _type(self, message: str) -> np.dtype[Any]:
        version = getattr(self.library, f"v{self.metadata.version}")
        name = message if hasattr(version, message) else message.replace("Msg", "1SMsg")
        fields = list(getattr(version, name)._dtypes)  # noqa: SLF001 - also what the vendor's own reader goes by
        return np.dtype([*fields, ("ts_out", "u8")] if self.metadata.ts_out else fields)


def read_dbn(stream: Stream, member: Member, wanted: tuple[Source, ...], records: tuple[str, ...] = ()) -> Iterator[Batch]:
    """The records of a DBN file of version 1 to 3, zstd-compressed or not; times are uint64 and prices int64 of 1e-9, as they are there.

    Besides their fields there are `symbol` (that the metadata names for the instrument on the record's day, or else the instrument's
    number), `dataset` and `schema`. The file must be of one of the schemas `records`, if any are given; where several
    kinds of records are mixed, those of the first of them are taken.
    """
    layout = _layout(stream, member, records)
    names = (*(layout.record.names or ()), *ADDED)
    places = resolve(names, wanted, member.label)
    symbols = Symbols.of(layout.metadata.mappings, str(layout.metadata.stype_in) == "instrument_id", member.label)
    pending, done = b"", 0
    while data := stream.read(BLOCK_BYTES):
        pending += data
        taken, told, used = _records(pending, layout, member, done)
        for each in told:
            symbols.add(int(each["instrument_id"]), (each["stype_out_symbol"] or each["stype_in_symbol"]).decode("utf-8", "replace"))
        pending = pending[used:]
        done += len(taken)
        if len(taken):
            yield Batch({source: _column(taken, names[place], layout, symbols) for source, place in places.items()}, len(taken))
    if pending:
        what = f"is damaged or cut short: {len(pending)} bytes of a record follow record {done}; fetch it again, nothing was committed"
        raise InvalidInput(Problem(member.label, what))


def _layout(stream: Stream, member: Member, records: tuple[str, ...]) -> _Layout:
    library = databento_dbn()
    start = _exactly(stream, PREFIX)
    if start[:3] != b"DBN" or len(start) < PREFIX:
        raise InvalidInput(Problem(member.label, "isn't DBN: it doesn't begin with its mark"))
    if start[3] not in VERSIONS:
        raise InvalidInput(Problem(member.label, f"is DBN of version {start[3]}, and {VERSIONS[0]} to {VERSIONS[-1]} are read"))
    length = int.from_bytes(start[4:8], "little")
    header = _exactly(stream, length)
    if len(header) < length:
        raise InvalidInput(Problem(member.label, "is damaged or cut short within its metadata: fetch it again, nothing was committed"))
    try:
        metadata = library.Metadata.decode(start + header, upgrade_policy=library.VersionUpgradePolicy.AS_IS)
    except Exception as error:
        raise InvalidInput(Problem(member.label, f"has metadata that can't be read ({error}): fetch it again")) from error
    mixed = metadata.schema is None
    schema = "".join(records[:1]) if mixed else str(metadata.schema)
    if schema not in MESSAGES:
        known = ", ".join(sorted(MESSAGES))
        what = "has records of several kinds: say which are meant by file.records" if mixed else f"has records of schema {schema!r}"
        raise InvalidInput(Problem(member.label, f"{what}; those that can be taken are {known}"))
    if records and schema not in records:
        what = (
            f"has records of schema {schema!r}, and the mapping is for {', '.join(records)}: is it for other files, or wants a parameter?"
        )
        raise InvalidInput(Problem(member.label, what))
    return _Layout(library=library, metadata=metadata, schema=schema, mixed=mixed)


def _records(data: bytes, layout: _Layout, member: Member, done: int) -> tuple[np.ndarray, np.ndarray, int]:
    """The whole records of a block that are meant, those that tell symbols, and how many bytes all whole ones take."""
    size, none = layout.record.itemsize, np.zeros(0, layout.mapping)
    count = len(data) // size
    records = np.frombuffer(data, layout.record, count)
    lengths = records["length"].astype(int) * WORD
    kind = RTYPES[layout.schema] if layout.mixed or not len(records) else records["rtype"][0]
    wrong = np.flatnonzero((lengths != size) | (records["rtype"] != kind))
    if not len(wrong):
        return records, none, count * size
    if layout.mixed:
        return _walked(data, layout, member)
    what = f"isn't a record of the file's schema {layout.schema!r}: is the file damaged?"
    raise InvalidInput(Problem(f"{member.label} record {done + int(wrong[0]) + 1}", what))


def _walked(data: bytes, layout: _Layout, member: Member) -> tuple[np.ndarray, np.ndarray, int]:
    """The same of a block of records of several kinds and lengths."""
    meant, told, start = bytearray(), bytearray(), 0
    rtype, size, told_size = RTYPES[layout.schema], layout.record.itemsize, layout.mapping.itemsize
    while start < len(data):
        length = data[start] * WORD
        if not length:
            raise InvalidInput(Problem(member.label, "has a record without a length: is it damaged? Fetch it again"))
        if start + length > len(data):
            break
        if data[start + 1] == rtype and length == size:
            meant += data[start : start + length]
        elif data[start + 1] == MAPPING_RTYPE and length == told_size:
            told += data[start : start + length]
        start += length
    return np.frombuffer(bytes(meant), layout.record), np.frombuffer(bytes(told), layout.mapping), start


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


def _column(records: np.ndarray, name: str, layout: _Layout, symbols: Symbols) -> Any:
    """One field as an Arrow array; letters as text."""
    pa = pyarrow()
    if name in ("dataset", "schema"):
        text = str(layout.metadata.dataset) if name == "dataset" else layout.schema
        return pa.DictionaryArray.from_arrays(pa.array(np.zeros(len(records), np.int32)), pa.array([text]))
    if name == "symbol":
        clock = "ts_recv" if "ts_recv" in (records.dtype.names or ()) else "ts_event"
        labels, codes = symbols.of_records(records["instrument_id"], records[clock])
        return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), pa.array(labels))
    values = records[name]
    if values.dtype.kind != "S":
        return pa.array(np.ascontiguousarray(values))
    letters, codes = np.unique(values, return_inverse=True)
    texts = pa.array([letter.decode("utf-8", "replace") for letter in letters.tolist()])
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), texts)
