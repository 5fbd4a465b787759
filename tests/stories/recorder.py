"""A recorder as somebody would write it: a thread per connection; each batch is one append, with a token that tells how far it goes.

    python -m tests.stories.recorder ROOT CONNECTIONS INSTRUMENTS MESSAGES

The venue is simulated: its gateways resend from any number on, as those with a sequence do.
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import numpy as np

import arraystore

RECORDER = "tokyo-1"
START = arraystore.parse_time("2024-08-08T23:55:00")
SECOND = 1_000_000_000
LATE_EVERY, LATE_BY = 41, 400 * SECOND


def gateway(connection: int, instruments: range, first: int, last: int) -> dict[str, Any]:
    """Messages `first` to `last` of a connection, as they arrive: ten a second, some held up in the gateway and stamped long before."""
    numbers = np.arange(first, last + 1)
    times = START + numbers * SECOND // 10 - np.where(numbers % LATE_EVERY == 0, LATE_BY, 0)
    symbols = [f"C{instruments[number * 7 % len(instruments)]:03d}USDT" for number in numbers.tolist()]
    prices = 100 + np.round(np.sin(numbers / 50), 2)
    return {
        "time": times,
        "sequence": numbers.astype(np.uint64),
        "direction": ["recv"] * len(numbers),
        "connection": [f"ws-{connection:02d}"] * len(numbers),
        "channel": [f"{symbol.lower()}@trade" for symbol in symbols],
        "encoding": ["json"] * len(numbers),
        "payload": [
            msgspec.json.encode({"s": symbol, "t": number, "p": price, "q": 0.5})
            for symbol, number, price in zip(symbols, numbers.tolist(), prices.tolist(), strict=True)
        ],
    }


def key_of(connection: int) -> tuple[str, str, str]:
    return "venue", f"ws-{connection:02d}", RECORDER


def instruments_of(connection: int, connections: int, instruments: int) -> range:
    """Which instruments are subscribed to on a connection."""
    return range(connection, instruments, connections)


def record(store: arraystore.Store, connection: int, instruments: range, messages: int) -> None:
    """Everything that a connection sends, from where the last durable batch ended."""
    raw = store.raw.create(key_of(connection), arraystore.schema_by_name("raw_messages"), exist_ok=True)
    known = raw.token_version(RECORDER)
    last = 0 if known is None else known[0]
    while last < messages:
        first, last = last + 1, min(last + 30 + last * 13 % 170, messages)
        raw.append(gateway(connection, instruments, first, last), token=(RECORDER, last))
        sys.stdout.write(f"{connection} {last}\n")  # acknowledged: whatever happens now, these messages are there
        sys.stdout.flush()


def main(root: str, *numbers: str) -> None:
    connections, instruments, messages = map(int, numbers)
    store = arraystore.open_store(root, role="data-recording")
    with ThreadPoolExecutor(connections) as threads:
        work = [threads.submit(record, store, n, instruments_of(n, connections, instruments), messages) for n in range(connections)]
        for each in work:
            each.result()


if __name__ == "__main__":
    main(*sys.argv[1:])
