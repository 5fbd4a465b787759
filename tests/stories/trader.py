"""A live session as somebody would write it: every event is a record, and is durable before the next order goes out.

    python -m tests.stories.trader ROOT SESSION ORDERS

Goes on where the session's last durable record says it was. The venue is simulated: it fills an order as soon as it is told of it.
"""

import sys
from typing import Any

import arraystore

START = arraystore.parse_time("2024-08-08T09:00")
SECOND = 10**9


def order(number: int, status: str) -> dict[str, Any]:
    """One event of an order."""
    return {
        "time": [START + number * SECOND],
        "account": ["main"],
        "strategy": ["mm"],
        "instrument": ["BTCUSDT"],
        "client_order_id": [f"order-{number}"],
        "exec_type": [status],
        "status": [status],
        "side": ["buy"],
        "type": ["limit"],
        "tif": ["gtc"],
        "price": [60_000.0],
        "size": [1.0],
        "filled": [float(status == "filled")],
        "leaves": [float(status != "filled")],
        "post_only": [False],
        "reduce_only": [False],
        "reconciliation": [False],
    }


def fill(number: int, name: str | None = None, *, ref: str | None = None, size: float = 1.0) -> dict[str, Any]:
    """The fill of an order; with `ref` one that stands in the place of another, or with size 0 takes it back."""
    return {
        "time": [START + number * SECOND],
        "account": ["main"],
        "strategy": ["mm"],
        "instrument": ["BTCUSDT"],
        "client_order_id": [f"order-{number}"],
        "fill_id": [name or f"fill-{number}"],
        "ref_fill_id": [ref],
        "side": ["buy"],
        "price": [60_000.0],
        "size": [size],
    }


def trade(session: arraystore.Session, orders: int) -> None:
    """Order after order; each is three records: new, its fill, filled. What the last one of before lacks comes first."""
    found = session.recover()
    number, done = divmod(found.last_sequence, 3)
    while number < orders:
        steps = (("order_events", order(number, "new")), ("fills", fill(number)), ("order_events", order(number, "filled")))
        for record, rows in steps[done:]:
            sys.stdout.write(f"{session.append(record, rows).last}\n")  # acknowledged: the record is durable
            sys.stdout.flush()
        number, done = number + 1, 0


def main(root: str, session_id: str, orders: str) -> None:
    store = arraystore.open_store(root, role="live")
    with store.execution_records.session("live", session_id) as session:
        trade(session, int(orders))


if __name__ == "__main__":
    main(*sys.argv[1:])
