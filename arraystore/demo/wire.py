"""One message of Binance USD-M futures: from the bytes of the websocket to a value with exact numbers, or the reason why not.

Read are `@trade`, `@bookTicker` and `@depth` of combined streams (`{"stream": …, "data": {…}}`) and the REST depth snapshot. `E` is the
venue's publish time and `T` its matching time, both in ms; prices and sizes are decimal strings, and become the nearest double. A message
that can't be read is named with the reason, never dropped in silence; its neighbours are read all the same.
"""

import re
from typing import Annotated

import msgspec
import numpy as np

type Level = tuple[float, float]
type Millis = Annotated[int, msgspec.Meta(ge=0, le=9_214_646_400_000)]  # 2262-01-01, where time axes end
type Id = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]


class Trade(msgspec.Struct, tag_field="e", tag="trade", gc=False):
    """`@trade`: `m` tells that the buyer was the maker, so the aggressor sold; `X` is MARKET but for insurance and the like."""

    E: Millis
    s: str
    t: Id
    p: float
    q: float
    m: bool
    T: Millis | None = None
    X: str = "MARKET"


class BookTicker(msgspec.Struct, tag_field="e", tag="bookTicker", gc=False):
    """`@bookTicker`: best bid `b` with size `B`, best ask `a` with size `A`, after update `u`."""

    s: str
    u: Id
    b: float
    B: float
    a: float
    A: float
    E: Millis | None = None
    T: Millis | None = None


class Depth(msgspec.Struct, tag_field="e", tag="depthUpdate"):
    """`@depth`: levels set (size 0: deleted) by updates `U` to `u`, following the message that ended with `pu`."""

    E: Millis
    s: str
    U: Id
    u: Id
    b: tuple[Level, ...]
    a: tuple[Level, ...]
    pu: Id | None = None
    T: Millis | None = None


class Snapshot(msgspec.Struct):
    """A REST depth snapshot: the whole book after update `lastUpdateId`; it doesn't name its symbol."""

    lastUpdateId: Id  # noqa: N815 - the venue's name
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    E: Millis | None = None
    T: Millis | None = None


class _Envelope(msgspec.Struct):
    stream: str
    data: Trade | BookTicker | Depth


type Message = Trade | BookTicker | Depth | Snapshot

_stream_decoder = msgspec.json.Decoder(_Envelope, strict=False)  # not strict: numbers may come as strings
_snapshot_decoder = msgspec.json.Decoder(Snapshot, strict=False)


def decode_message(payload: bytes | memoryview) -> Message | str:
    """One message, or the reason why it isn't one."""
    try:
        return _stream_decoder.decode(payload).data
    except msgspec.ValidationError as error:
        return _decode_other(payload, error)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return f"garbled: {error}"


def _decode_other(payload: bytes | memoryview, error: msgspec.ValidationError) -> Message | str:
    """A snapshot, or what is wrong with a message that is valid JSON but none of the streams read here."""
    try:
        return _snapshot_decoder.decode(payload)
    except msgspec.ValidationError:
        pass
    content = msgspec.json.decode(payload)
    data = content.get("data", content) if isinstance(content, dict) else content
    kind = data.get("e", "without a kind") if isinstance(data, dict) else type(data).__name__
    return f"malformed {kind}: {error}" if kind in {"trade", "bookTicker", "depthUpdate"} else f"unknown kind: {kind}"


def decimal_places(data: np.ndarray, symbol: str) -> tuple[int, int] | None:
    """How many decimals the venue writes in prices and in sizes of a symbol, by its first book ticker or trade among these bytes."""
    numbers = rb'"s":"%b",(?:"t":[0-9]+,)?"[bp]":"[0-9]+(?:[.]([0-9]*))?","[Bq]":"[0-9]+(?:[.]([0-9]*))?"' % re.escape(symbol.encode())
    found = re.search(numbers, np.ascontiguousarray(data).data)
    return (len(found[1] or b""), len(found[2] or b"")) if found else None
