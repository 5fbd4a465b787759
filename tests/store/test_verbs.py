"""Runs, sessions and quarantine: the classes with verbs of their own."""

import math
from pathlib import Path

import numpy as np
import pytest

import arraystore
from tests.store.conftest import START, rows

KEY = ("venue", "trades", "BTCUSDT")


def equity(count: int) -> dict[str, object]:
    """A run's equity, one row a second."""
    zeros = np.zeros(count)
    columns = ("price", "position", "balance", "fee", "trading_volume", "trading_value", "equity")
    return {
        "time": START + np.arange(count) * 10**9,
        "num_trades": zeros.astype(np.int64),
        "currency": ["USDT"] * count,
        **dict.fromkeys(columns, zeros),
    }


def fills(count: int) -> dict[str, object]:
    """Fills that a session has yet to number."""
    return {
        "time": START + np.arange(count) * 10**9,
        "account": ["main"] * count,
        "strategy": ["test"] * count,
        "instrument": ["BTCUSDT"] * count,
        "fill_id": [str(number) for number in range(count)],
        "side": ["buy"] * count,
        "price": np.full(count, 1.5),
        "size": np.ones(count),
    }


def test_a_run_keeps_its_series_apart_and_is_sealed_in_one_commit(trades: arraystore.Dataset, root: Path) -> None:
    trades.append(rows(100))
    store = arraystore.open_store(root, role="backtesting")
    with store.experiments.run("grid", "run-1", params={"width": 3}, definition={"code": "abc"}) as run:
        seen = run.read(store.canonical[KEY], columns=["price"])
        run.write("equity", equity(20))
        run.write("equity", equity(5))
        run.log(sharpe=1.25, drawdown=math.nan)
        run.log(sharpe=1.5)
        run.add_file(b"<html>", name="report.html")
        before = run.dataset.version
    dataset = store.experiments["grid/run-1"]
    assert dataset.version == before + 1
    assert dataset.sealed
    assert dataset.windows() == ("equity", "metrics")
    assert all(manifest.completeness == "complete" and manifest.segments[0].segment for manifest in dataset.manifests())
    assert dataset.read(window="equity").rows.count == 25
    assert dataset.schema_of("equity").name == "equity"
    metrics = dataset.read(window="metrics")
    assert np.array_equal(np.asarray(metrics["value"]), [1.25, np.nan, 1.5], equal_nan=True)
    attributes = dataset.attributes
    assert attributes["state"] == "finished"
    assert attributes["params"] == {"width": 3}
    assert attributes["metrics"] == {"sharpe": 1.5, "drawdown": "nan"}
    assert dataset.versions()[-1].inputs == (seen.pin,)
    assert dataset.artifacts()["report.html"].media_type == "text/html"
    assert not dataset.verify(deep=True)


def test_a_run_that_raises_is_failed_and_sealed(root: Path) -> None:
    store = arraystore.open_store(root, role="backtesting")

    def fail() -> None:
        with store.experiments.run("grid", "run-2") as run:
            run.write("equity", equity(3))
            _ = 1 / 0

    with pytest.raises(ZeroDivisionError):
        fail()
    dataset = store.experiments["grid/run-2"]
    assert (dataset.attributes["state"], dataset.attributes["error"]) == ("failed", "ZeroDivisionError: division by zero")
    for call in (
        lambda: dataset.append(equity(1), window="equity"),
        lambda: dataset.add_file(b"x", "x"),
        lambda: dataset.update(attributes={"a": 1}),
    ):
        with pytest.raises(arraystore.WindowClosed, match="sealed"):
            call()
    with pytest.raises(arraystore.AlreadyExists):
        store.experiments.run("grid", "run-2")


def test_a_session_numbers_all_its_records_without_a_gap(root: Path) -> None:
    surface = arraystore.open_store(root, role="backtesting").execution_records
    with surface.session("backtest", "s/1") as session:
        first = session.append("fills", fills(3))
        second = session.append("own_records", fills(2), schema=arraystore.schema_by_name("fills"))
        third = session.append("fills", fills(1))
        assert [(span.first, span.last) for span in (first, second, third)] == [(1, 3), (4, 5), (6, 6)]
        assert session.append("fills", {}).last == 6
    again = surface.session("backtest", "s/1")
    found = again.recover()
    assert (found.last_sequence, found.last_record, found.gaps, found.repeated) == (6, "fills", (), ())
    assert dict(found.rows) == {"fills": 4, "own_records": 2}
    assert surface["backtest", "s/1", "fills"].manifest("2024-08-08").completeness == "complete"
    with pytest.raises(arraystore.InvalidInput, match="leave the column out"):
        again.append("fills", fills(1) | {"sequence": [9]})
    with pytest.raises(arraystore.InvalidInput, match="sequence"):
        again.append("prices", rows(1), schema=arraystore.schema_by_name("equity"))


def test_two_writers_of_one_session_are_told_apart(root: Path) -> None:
    surface = arraystore.open_store(root, role="live").execution_records
    one, two = surface.session("live", "s"), surface.session("live", "s")
    one.append("fills", fills(2))
    two.append("fills", fills(2))
    with pytest.raises(arraystore.Conflict, match="recover"):
        one.append("fills", fills(1))
    assert one.recover().last_sequence == 4
    assert one.append("fills", fills(1)).first == 5


def test_quarantine_holds_releases_and_rejects_with_reasons(root: Path) -> None:
    store = arraystore.open_store(root, role="data-quality")
    surface = store.quarantine
    schema = arraystore.schema_by_name("trades")
    for number, venue in enumerate(("a", "b")):
        surface.hold(
            (venue, "trades", "X"), rows(3 + number), schema=schema, reason="sequence-gap", failed_checks=["ids"], source="capture.gz:17"
        )
    assert [(case.key[0], case.state, case.reason, case.failed_checks, case.source) for case in surface.cases(state="held")] == [
        ("a", "held", "sequence-gap", ("ids",), "capture.gz:17"),
        ("b", "held", "sequence-gap", ("ids",), "capture.gz:17"),
    ]
    taken = store.canonical.create(("a", "trades", "X"), schema)
    receipt = taken.append(surface["a/trades/X"].read(), inputs=surface["a/trades/X"].pin())
    surface.release("a/trades/X", "2024-08-08", into=receipt.pin, note="gap was the venue's")
    surface.reject("b/trades/X", "2024-08-08", note="not worth it")
    assert [case.state for case in surface.cases()] == ["released", "rejected"]
    assert taken.manifest("2024-08-08").lineage[0].storage_class == "quarantine"
    with pytest.raises(arraystore.InvalidInput, match="only a held one"):
        surface.reject("a/trades/X", "2024-08-08", note="too late")
    with pytest.raises(arraystore.InvalidInput, match="source"):
        surface.hold("a/trades/X", rows(1), schema=schema, reason="x", failed_checks=[], source="")
