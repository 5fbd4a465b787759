"""Messages of the venue as tests write them: fields by name, over ones that are right."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from arraystore.demo.decoding import decode_messages


def stream(name, **data):
    return {"stream": name, "data": data}


def trade(**changes):
    return stream(
        "btcusdt@trade",
        **({"e": "trade", "E": 7, "T": 6, "s": "BTCUSDT", "t": 11, "p": "61800.30", "q": "0.006", "X": "MARKET", "m": False} | changes),
    )


def ticker(**changes):
    known = {"e": "bookTicker", "u": 21, "s": "BTCUSDT", "b": "61800.20", "B": "2.507", "a": "61800.30", "A": "2.510", "T": 8, "E": 9}
    return stream("btcusdt@bookTicker", **(known | changes))


def depth(**changes):
    known = {
        "e": "depthUpdate",
        "E": 5,
        "T": 4,
        "s": "BTCUSDT",
        "U": 31,
        "u": 33,
        "pu": 30,
        "b": [["10.5", "0.000"]],
        "a": [["11", "2"], ["12", "3"]],
    }
    return stream("btcusdt@depth@0ms", **(known | changes))


SNAPSHOT = {"lastUpdateId": 32, "E": 3, "T": 2, "bids": [["10", "1"]], "asks": [["11", "1"]]}


def decode(*messages, rows=None):
    payloads = [message if isinstance(message, bytes) else json.dumps(message).encode() for message in messages]
    offsets = np.cumsum([0, *map(len, payloads)])
    return decode_messages(np.frombuffer(b"".join(payloads), np.uint8), offsets, rows)


@pytest.fixture(scope="session")
def venue():
    """Builders of each kind of message, and `decode` for a few of them."""
    return SimpleNamespace(stream=stream, trade=trade, ticker=ticker, depth=depth, snapshot=SNAPSHOT, decode=decode)
