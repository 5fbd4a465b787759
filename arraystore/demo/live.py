"""live: a session that is killed in the middle of its work, and goes on exactly after what it durably holds."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

import arraystore
from arraystore.demo.recording import VENUE
from arraystore.demo.tables import numbers

ACCOUNT, STRATEGY, CURRENCY = "paper", "quote-taker", "USDT"
SIZE, FEE_RATE = 0.01, 0.0004
ORDERS = 40

type Row = dict[str, list[object]]
type Clock = Callable[[], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveResult:
    """How a session went: what the killed process had told, what recovery found, what the session holds in the end."""

    session: str
    acknowledged: int
    recovery: arraystore.Recovery
    reconciled: int
    rows: dict[str, int]
    present: bool


class Trader:
    """Takes quotes one by one, buying and selling in turn; order `n` is the same whoever sends it, so a successor can go on.

    Every order becomes three records, each durable before the next: the order is new, the order is filled, the fill.
    """

    def __init__(self, store: arraystore.Store, session_id: str, instrument: str, clock: Clock = time.time_ns) -> None:
        quotes = store.canonical[VENUE, "quotes", instrument]
        frame = quotes.read(window=quotes.windows()[-1], columns=["bid_price", "ask_price"])
        two_sided = np.isfinite(numbers(frame, "bid_price")) & np.isfinite(numbers(frame, "ask_price"))
        self._bid, self._ask = numbers(frame, "bid_price")[two_sided], numbers(frame, "ask_price")[two_sided]
        self._instrument = instrument
        self._clock = clock
        self.session = store.execution_records.session("live", session_id)

    def trade(self, first: int, stop: int) -> Iterator[int]:
        """Send orders `first` to `stop`; yields the sequence number of every record once it is durable."""
        for number in range(first, stop):
            yield self._append("order_events", self._event(number, is_fill=False))
            yield self._append("order_events", self._event(number, is_fill=True))
            yield self._append("fills", self._fill(number))

    def recover(self) -> tuple[arraystore.Recovery, int, int]:
        """Read the session back, and finish the order that was under way; returns what was found, what was added, and the next order."""
        recovery = self.session.recover()
        events, fills = recovery.rows.get("order_events", 0), recovery.rows.get("fills", 0)
        number = events // 2
        reconciled = 0
        if events % 2:  # it was sent, and nobody knows what came of it: ask the venue, which filled it
            self._append("order_events", self._event(number, is_fill=True, reconciliation=True))
            reconciled, number = 1, number + 1
        if fills < number:
            self._append("fills", self._fill(number - 1))
            reconciled += 1
        return recovery, reconciled, number

    def _append(self, record: str, row: Row) -> int:
        return self.session.append(record, row).last

    def _order(self, number: int) -> tuple[int, float]:
        """Side and price of an order: the quote it takes."""
        place = number * 37 % len(self._bid)
        return (1, float(self._ask[place])) if number % 2 == 0 else (-1, float(self._bid[place]))

    def _event(self, number: int, *, is_fill: bool, reconciliation: bool = False) -> Row:
        side, price = self._order(number)
        row: dict[str, object] = {
            "time": self._clock(),
            "account": ACCOUNT,
            "strategy": STRATEGY,
            "instrument": self._instrument,
            "client_order_id": f"L-{number + 1:05d}",
            "exec_type": "trade" if is_fill else "new",
            "status": "filled" if is_fill else "new",
            "side": side,
            "type": "limit",
            "tif": "ioc",
            "price": price,
            "size": SIZE,
            "filled": SIZE if is_fill else 0.0,
            "leaves": 0.0 if is_fill else SIZE,
            "post_only": False,
            "reduce_only": False,
            "reconciliation": reconciliation,
        }
        return {name: [value] for name, value in row.items()}

    def _fill(self, number: int) -> Row:
        side, price = self._order(number)
        row: dict[str, object] = {
            "time": self._clock(),
            "account": ACCOUNT,
            "strategy": STRATEGY,
            "instrument": self._instrument,
            "client_order_id": f"L-{number + 1:05d}",
            "fill_id": f"LF-{number + 1:05d}",
            "side": side,
            "price": price,
            "size": SIZE,
            "fee": price * SIZE * FEE_RATE,
            "fee_currency": CURRENCY,
            "liquidity": "taker",
        }
        return {name: [value] for name, value in row.items()}


def trade_through_a_kill(root: str, session_id: str, instrument: str, *, kill_after: int = 31) -> LiveResult:
    """Let another process trade, kill it after so many acknowledgements, then recover its session and trade on to the end.

    A session that ended is only told again; one that was left in the middle is recovered without another kill.
    """
    store = arraystore.open_store(root, role="live")
    trader = Trader(store, session_id, instrument)
    found = trader.session.recover()
    complete = found.rows.get("fills", 0) >= ORDERS
    acknowledged = 0 if found.last_sequence else _trade_and_kill(root, session_id, instrument, kill_after)
    recovery, reconciled, number = trader.recover()
    if recovery.gaps or recovery.repeated or recovery.last_sequence < acknowledged:
        msg = f"session {session_id}: {acknowledged} records were acknowledged, and recovery found {recovery}"
        raise arraystore.StopAndVerify(msg)
    for _ in trader.trade(number, ORDERS):
        pass
    trader.session.close()
    rows = dict(trader.session.recover().rows)
    return LiveResult(session=session_id, acknowledged=acknowledged, recovery=recovery, reconciled=reconciled, rows=rows, present=complete)


def _trade_and_kill(root: str, session_id: str, instrument: str, kill_after: int) -> int:
    """Start the process of `victim.py`, send it SIGKILL in the middle of its work, and return the last sequence number it told."""
    command = [sys.executable, "-m", "arraystore.demo.victim", root, session_id, instrument]
    told = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - this very interpreter
        assert process.stdout is not None
        for line in process.stdout:
            told.append(int(line))
            if len(told) == kill_after:
                process.kill()  # SIGKILL: nothing of it runs any more
    if len(told) < kill_after:
        msg = f"the live process ended by itself (exit status {process.returncode}) after {len(told)} records; its messages are above"
        raise arraystore.StopAndVerify(msg)
    return told[-1]
