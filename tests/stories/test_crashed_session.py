"""A live session crashes, and goes on right after its last durable record; later the venue corrects and takes back fills."""

from pathlib import Path

import numpy as np
import pytest

import arraystore
from tests.stories import trader
from tests.stories.conftest import kill_after, program

SESSION = "2024-08-08"


@pytest.mark.parametrize(
    ("orders", "crashes"),
    [
        pytest.param(40, [25], id="once"),
        pytest.param(1_500, [1, 2, 333, 700, 1_000, 1], id="often", marks=[pytest.mark.slow, pytest.mark.timeout(600)]),
    ],
)
def test_a_live_session_crashes_and_is_reconciled(root: Path, orders: int, crashes: list[int]) -> None:
    live = arraystore.open_store(root, role="live")

    # Each time it is killed, what it acknowledged is there, and perhaps one record more, which it had no time to tell.
    for records in crashes:
        told = kill_after(records, program("tests.stories.trader", root, SESSION, orders))
        session = live.execution_records.session("live", SESSION)
        found = session.recover()
        assert found.is_whole
        assert found.last_sequence in (int(told[-1]), int(told[-1]) + 1)
        number, step = divmod(found.last_sequence - 1, 3)
        assert found.last_record == ("fills" if step == 1 else "order_events")
        assert found.last_time == trader.START + number * trader.SECOND
        assert list(found.last_row["client_order_id"]) == [f"order-{number}"]
    assert found.last_sequence < 3 * orders, "it was killed before it had done"

    # Started again it finishes what was under way, and everything after it: every order once, no number left out.
    trader.main(str(root), SESSION, str(orders))
    analysis = arraystore.open_store(root, role="analysis").execution_records
    seen = analysis.session("live", SESSION).audit()
    assert (seen.is_whole, seen.last_sequence) == (True, 3 * orders)
    assert seen.rows == {"fills": orders, "order_events": 2 * orders}
    fills = analysis.session("live", SESSION).read("fills")
    assert list(fills["fill_id"]) == [f"fill-{number}" for number in range(orders)]
    assert fills["sequence"].tolist() == [3 * number + 2 for number in range(orders)]
    for record in ("fills", "order_events"):
        dataset = analysis["live", SESSION, record]
        assert {manifest.completeness for manifest in dataset.manifests()} == {"complete"}
        assert dataset.verify(deep=True) == []

    # In the evening the venue corrects one fill and takes back another. The records stay; what counts is told from them.
    session = live.execution_records.session("live", SESSION)
    session.append("fills", trader.fill(3, "correction-1", ref="fill-3", size=0.5))
    session.append("fills", trader.fill(5, "bust-1", ref="fill-5", size=0.0))
    result = analysis.session("live", SESSION).reconcile()
    standing = list(result.effective["fill_id"])
    assert set(standing) == {f"fill-{number}" for number in range(orders)} - {"fill-3", "fill-5"} | {"correction-1"}
    assert float(result.effective["size"].sum()) == orders - 1.5
    assert dict(result.corrected) == {3 * 3 + 2: 3 * orders + 1}
    assert dict(result.busted) == {3 * 5 + 2: 3 * orders + 2}
    assert analysis.session("live", SESSION).read("fills").row_count == orders + 2

    # A backtest of the same name is another matter: neither sees the other.
    backtesting = arraystore.open_store(root, role="backtesting").execution_records
    with backtesting.session("backtest", SESSION) as simulated:
        assert simulated.append("fills", trader.fill(0, "simulated")).first == 1
    assert analysis.sessions() == [("backtest", SESSION), ("live", SESSION)]
    assert live.execution_records.sessions() == [("live", SESSION)]
    assert backtesting.sessions() == [("backtest", SESSION)]
    assert np.asarray(analysis.session("backtest", SESSION).read("fills")["sequence"]).tolist() == [1]
    for store, kind in ((backtesting, "live"), (live.execution_records, "backtest")):
        with pytest.raises(arraystore.AccessDenied):
            store.session(kind, SESSION)
