"""backtesting: canonical trades and quotes, merged by capture time, through a small strategy; an experiment run and its records."""

from dataclasses import dataclass

import numpy as np

import arraystore
from arraystore.demo.recording import VENUE
from arraystore.demo.strategy import Columns, Market, Parameters, equity_curve, merge, metrics, orders
from arraystore.demo.tables import labels, nanoseconds, numbers

EXPERIMENT = "flow-follower"
ACCOUNT, STRATEGY, CURRENCY = "backtest", "flow-follower", "USDT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backtest:
    """A finished run: where it lies, what it read, and how it went."""

    key: tuple[str, ...]
    session: str
    instrument: str
    orders: int
    metrics: dict[str, float]
    inputs: tuple[arraystore.Pin, ...]
    present: bool


def busiest_instrument(store: arraystore.Store, *, besides: str) -> str | None:
    """The instrument with the most canonical trades besides a given one; None where there are no trades."""
    rows = {key[2]: store.canonical[key].rows for key in store.canonical.find((VENUE, "trades", "*")) if key[2] != besides}
    return max((name for name in sorted(rows) if rows[name]), key=rows.__getitem__, default=None)


def run_backtest(store: arraystore.Store, instrument: str, parameters: Parameters) -> Backtest:
    """Run the experiment, unless a finished run of these parameters on this instrument is there; one cut short is left as it is."""
    run_ids = [key[1] for key in store.experiments.find((EXPERIMENT, "*"))]
    for run_id in run_ids:
        if (found := _finished(store, run_id, instrument, parameters)) is not None:
            return found
    run_id = f"{instrument}-{len(run_ids) + 1}"
    definition = {"strategy": STRATEGY, "instrument": instrument, "merge": "capture time; quotes before trades at equal times"}
    with store.experiments.run(EXPERIMENT, run_id=run_id, params=parameters.to_json(), definition=definition) as run:
        market = _read_market(store, run, instrument)
        events = merge(market)
        filled = orders(events, parameters)
        curve = equity_curve(events, filled, parameters)
        results = metrics(curve, filled)
        run.log(**results)
        run.write("equity", _equity_rows(curve, instrument))
        run.add_file(_report(instrument, parameters, results, filled).encode(), name="report.md")
        _write_records(store, run_id, instrument, filled, parameters)
        inputs = tuple(run.inputs)
    return Backtest(
        key=(EXPERIMENT, run_id),
        session=run_id,
        instrument=instrument,
        orders=len(filled["time"]),
        metrics=results,
        inputs=inputs,
        present=False,
    )


def _finished(store: arraystore.Store, run_id: str, instrument: str, parameters: Parameters) -> Backtest | None:
    """The run of this name, if it finished with these parameters on this instrument."""
    run = store.experiments[EXPERIMENT, run_id]
    told = run.attributes
    if (told["state"], told["params"], told["definition"]["instrument"]) != ("finished", parameters.to_json(), instrument):
        return None
    return Backtest(
        key=run.key,
        session=run_id,
        instrument=instrument,
        orders=int(told["metrics"]["orders"]),
        metrics=dict(told["metrics"]),
        inputs=run.versions()[-1].inputs,
        present=True,
    )


def _read_market(store: arraystore.Store, run: arraystore.Run, instrument: str) -> Market:
    """Read through the run, which records what was read."""
    trades = run.read(store.canonical[VENUE, "trades", instrument], columns=["time", "price", "size", "side", "condition"])
    quotes = run.read(store.canonical[VENUE, "quotes", instrument], columns=["time", "bid_price", "ask_price"])
    at_market = labels(trades, "condition").matches("MARKET")
    two_sided = np.isfinite(numbers(quotes, "bid_price")) & np.isfinite(numbers(quotes, "ask_price"))
    return Market(
        trade_time=nanoseconds(trades, "time")[at_market],
        trade_size=numbers(trades, "size")[at_market],
        trade_side=numbers(trades, "side")[at_market],
        quote_time=nanoseconds(quotes, "time")[two_sided],
        bid=numbers(quotes, "bid_price")[two_sided],
        ask=numbers(quotes, "ask_price")[two_sided],
    )


def _equity_rows(curve: Columns, instrument: str) -> dict[str, object]:
    count = len(curve["time"])
    return curve | {"instrument": [instrument] * count, "currency": [CURRENCY] * count}


def _write_records(store: arraystore.Store, session_id: str, instrument: str, filled: Columns, parameters: Parameters) -> None:
    """The session's order events and fills; the session gives them one gap-free sequence."""
    with store.execution_records.session("backtest", session_id) as session:
        session.append("order_events", order_event_rows(instrument, filled))
        session.append("fills", fill_rows(instrument, filled, parameters.fee_rate))


def order_event_rows(instrument: str, filled: Columns) -> dict[str, object]:
    """Two events per order, by time: it is new, then it is filled."""
    count = len(filled["time"])
    order = np.argsort(np.concatenate([filled["time"], filled["fill_time"]]), kind="stable")
    is_fill = np.repeat([False, True], count)[order]
    number = np.tile(np.arange(count), 2)[order]
    size = filled["size"][number]
    return {
        "time": np.concatenate([filled["time"], filled["fill_time"]])[order],
        "account": [ACCOUNT] * (2 * count),
        "strategy": [STRATEGY] * (2 * count),
        "instrument": [instrument] * (2 * count),
        "client_order_id": [f"B-{place + 1:05d}" for place in number],
        "exec_type": np.where(is_fill, "trade", "new"),
        "status": np.where(is_fill, "filled", "new"),
        "side": filled["side"][number],
        "type": ["market"] * (2 * count),
        "tif": ["ioc"] * (2 * count),
        "size": size,
        "filled": np.where(is_fill, size, 0.0),
        "leaves": np.where(is_fill, 0.0, size),
        "average_price": np.where(is_fill, filled["price"][number], np.nan),
        "average_price_valid": is_fill,
        "post_only": np.zeros(2 * count, bool),
        "reduce_only": np.zeros(2 * count, bool),
        "reconciliation": np.zeros(2 * count, bool),
    }


def fill_rows(instrument: str, filled: Columns, fee_rate: float) -> dict[str, object]:
    """One fill per order."""
    count = len(filled["time"])
    return {
        "time": filled["fill_time"],
        "account": [ACCOUNT] * count,
        "strategy": [STRATEGY] * count,
        "instrument": [instrument] * count,
        "client_order_id": [f"B-{place + 1:05d}" for place in range(count)],
        "fill_id": [f"F-{place + 1:05d}" for place in range(count)],
        "side": filled["side"],
        "price": filled["price"],
        "size": filled["size"],
        "fee": filled["price"] * filled["size"] * fee_rate,
        "fee_currency": [CURRENCY] * count,
        "liquidity": ["taker"] * count,
    }


def _report(instrument: str, parameters: Parameters, results: dict[str, float], filled: Columns) -> str:
    """A page for people, kept beside the run's series."""
    settings = "\n".join(f"- {name}: {value}" for name, value in parameters.to_json().items())
    figures = "\n".join(f"| {name} | {value:,.4f} |" for name, value in results.items())
    buys = int(np.count_nonzero(filled["side"] > 0))
    return (
        f"# {EXPERIMENT} on {instrument}\n\nParameters\n\n{settings}\n\n| metric | value |\n|---|---|\n{figures}\n\n"
        f"{buys} buys, {len(filled['side']) - buys} sells, all at market, filled at the quote in force {parameters.latency_ms} ms later.\n"
    )
