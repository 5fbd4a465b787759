"""The whole story on a small simulated market: every role, twice, and once more after a kill."""

import gzip
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import arraystore
from arraystore.demo import run_demo
from arraystore.demo.captures import ENCODINGS, Lines, format_lines
from arraystore.demo.simulator import simulate_captures

MESSAGES = 1_500


@pytest.fixture(scope="module")
def captures(tmp_path_factory):
    return simulate_captures(tmp_path_factory.mktemp("captures"), messages=MESSAGES)


@pytest.fixture(scope="module")
def told(captures, tmp_path_factory):
    """A demo that was played once, and what it printed."""
    text = io.StringIO()
    result = run_demo(tmp_path_factory.mktemp("demo") / "store", captures, console=Console(file=text, width=200))
    return result, text.getvalue()


@pytest.fixture(scope="module")
def result(told):
    return told[0]


def opened(result, role):
    return arraystore.open_store(result.root, role=role)


def contents(result):
    """Every row of the classes that hold data, and of the backtest's records."""
    store = arraystore.open_store(result.root, role="operations")
    found = {}
    for name in ("raw", "canonical", "derived", "quarantine", "execution-records"):
        surface = store.surface(name)
        for key in surface.find():
            if name != "execution-records" or key[1] == result.backtest.session:
                kept = key if name != "execution-records" else (key[0], "session", key[2])
                for window in surface[key].windows():
                    columns = {column: repr(np.asarray(values).tolist()) for column, values in surface[key].read(window=window).items()}
                    found[name, kept, window] = (surface[key].manifest(window).completeness, columns)
    return found


def test_every_class_holds_something_and_nothing_is_damaged(result):
    assert {row.storage_class for row in result.totals if row.rows} == set(arraystore.StorageClass)
    assert result.findings == ()


def test_the_captures_that_meet_at_midnight_are_two_complete_windows_of_one_dataset(result):
    raw = opened(result, "data-recording").raw["binance-usdm", "alphausdt-streams", "recorder-1"]
    assert raw.windows() == ("2024-07-18", "2024-07-19")
    assert {manifest.completeness for manifest in raw.manifests()} == {"complete"}
    assert raw.read(columns=["sequence"])["sequence"].tolist() == list(range(1, 2 * MESSAGES + 1))


def test_raw_gives_back_every_capture_bit_for_bit(result, captures):
    surface = opened(result, "data-recording").raw
    rebuilt = {}
    for key in surface.find():
        frame = surface[key].read(columns=["time", "connection", "encoding", "payload"])
        for code, connection in enumerate(frame["connection"].labels):
            rows = np.flatnonzero(frame["connection"].codes == code)
            encoding, payload = frame["encoding"][rows], frame["payload"][rows]
            lines = Lines(
                times=frame["time"][rows].view(np.int64),
                encodings=np.array([ENCODINGS.index(label) for label in encoding]),
                data=payload.data,
                offsets=payload.offsets,
            )
            rebuilt[connection.partition("#")[0]] = format_lines(lines)
    for path in captures:
        assert rebuilt[path.name] == gzip.decompress(path.read_bytes())


def test_canonical_names_the_exact_raw_version_it_was_made_from(result):
    store = opened(result, "data-quality")
    raw = store.raw["binance-usdm", "alphausdt-streams", "recorder-1"]
    for feed in ("quotes", "book_updates"):
        manifest = store.canonical["binance-usdm", feed, "ALPHAUSDT"].manifest("2024-07-19")
        (pin,) = manifest.lineage
        assert (pin.dataset, pin.version) == (raw.uuid, raw.version)
        assert len(store.read(pin)["time"]) == raw.manifest("2024-07-19").rows
        assert manifest.coverage == raw.manifest("2024-07-19").coverage


def test_canonical_keeps_the_order_and_the_numbers_of_raw(result):
    store = opened(result, "data-quality")
    raw = store.raw["binance-usdm", "betausdt-streams", "recorder-1"].read(columns=["time", "sequence", "channel"])
    trades = store.canonical["binance-usdm", "trades", "BETAUSDT"].read(columns=["time", "capture_sequence"])
    is_trade = raw["channel"].matches("betausdt@trade")
    assert trades["capture_sequence"].tolist() == raw["sequence"][is_trade].tolist()
    assert trades["time"].tolist() == raw["time"][is_trade].tolist()


def test_the_damaged_window_was_held_with_its_reasons_and_released_once_repaired(result):
    (held,) = [verdict for verdict in result.verdicts if verdict.held]
    (case,) = opened(result, "data-quality").quarantine.cases()
    assert (case.state, case.reason, case.window) == ("released", "checks-failed", held.window)
    assert any("messages can be decoded" in check for check in case.failed_checks)
    assert "raw/binance-usdm/gammausdt-streams/recorder-1" in case.source
    assert result.released == ((case.key, case.window),)


def test_the_run_is_sealed_and_names_what_it_read(result):
    run = opened(result, "analysis").experiments[result.backtest.key]
    assert run.sealed
    assert run.attributes["params"]["size"] == 0.1
    assert run.attributes["metrics"]["orders"] == result.backtest.orders > 0
    assert set(run.windows()) == {"equity", "metrics"}
    assert {pin.key[1] for pin in run.versions()[-1].inputs} == {"trades", "quotes"}
    assert b"flow-follower" in run.artifacts()["report.md"].read()


def test_the_equity_series_ends_where_the_fills_end(result):
    store = opened(result, "analysis")
    equity = store.experiments[result.backtest.key].read(window="equity")
    fills = store.execution_records["backtest", result.backtest.session, "fills"].read()
    assert equity["num_trades"][-1] == fills.row_count == result.backtest.orders
    cash = -(fills["side"] * fills["size"] * fills["price"] + fills["fee"]).sum()
    np.testing.assert_allclose(equity["equity"][-1], cash, atol=1e-6)


@pytest.mark.parametrize("kind", ["live", "backtest"])
def test_a_sessions_sequence_has_no_gap_and_no_repetition(result, kind):
    store = opened(result, "analysis")
    keys = store.execution_records.find(f"{kind}/*/*")
    numbers = np.sort(np.concatenate([store.execution_records[key].read()["sequence"] for key in keys]))
    assert numbers.tolist() == list(range(1, len(numbers) + 1))


def test_what_the_killed_live_process_had_told_was_recovered(result):
    assert result.live.acknowledged <= result.live.recovery.last_sequence
    assert result.live.rows == {"order_events": 80, "fills": 40}
    events = opened(result, "live").execution_records["live", result.live.session, "order_events"].read()
    orders = [events["client_order_id"][row] for row in range(events.row_count)]
    assert orders == [f"L-{number // 2 + 1:05d}" for number in range(80)]


def test_the_experiments_pin_reads_the_old_rows_and_the_newest_version_the_corrected_ones(result):
    store = opened(result, "backtesting")
    (pin,) = (pin for pin in result.backtest.inputs if pin.key[1] == "trades")
    old, new = store.read(pin), store.canonical[pin.key].read(columns=["trade_id"])
    assert old.row_count == new.row_count + 1
    assert (result.corrected.pinned_rows, result.corrected.newest_rows) == (
        result.corrected.newest_rows + 1,
        store.canonical[pin.key].manifest(result.corrected.window).rows,
    )
    assert result.corrected.reason in [version.reason for version in store.canonical[pin.key].versions()]


def test_bars_follow_the_correction(result):
    store = opened(result, "analysis")
    trades = store.canonical["binance-usdm", "trades", "ALPHAUSDT"].read(columns=["size"])
    for interval in ("1s", "1m"):
        bars = store.derived["bars", interval, "binance-usdm", "ALPHAUSDT"].read()
        np.testing.assert_allclose(bars["volume"].sum(), trades["size"].sum())
        assert bars["is_revision"].sum() == 1


def test_the_picture_lies_in_derived_and_in_a_file(result):
    pytest.importorskip("matplotlib")
    bars = opened(result, "analysis").derived["bars", "1s", "binance-usdm", result.backtest.instrument]
    assert bars.artifacts()["overview.png"].read() == Path(result.picture).read_bytes()


def test_people_are_told_what_lies_where(told):
    result, text = told
    assert "3 named files" in text
    assert "What lies where" in text
    for row in result.totals:
        assert row.storage_class in text
    assert "killed (SIGKILL)" in text
    assert result.to_json()["messages"] > 3 * MESSAGES


def test_a_second_telling_changes_no_byte(result, captures):
    def files():
        return {path: path.read_bytes() for path in Path(result.root).rglob("*") if path.is_file()}

    before = files()
    again = run_demo(result.root, captures, console=Console(quiet=True))
    assert files() == before
    assert again.backtest.present
    assert again.live.present


def test_captures_without_a_message_known_here_end_in_quarantine_and_are_said_to(tmp_path):
    path = tmp_path / "other.gz"
    path.write_bytes(gzip.compress(b'1723161255030314667 {"stream":"x@kline","data":{"e":"kline"}}\n'))
    text = io.StringIO()
    result = run_demo(tmp_path / "store", [path], console=Console(file=text, width=200))
    assert (result.backtest, result.live, result.corrected, result.picture) == (None, None, None, None)
    assert "nothing to test, trade or correct" in text.getvalue()
    assert [case.state for case in opened(result, "data-quality").quarantine.cases()] == ["released", "held"]


@pytest.mark.parametrize("content", [None, b"", b"no gzip", gzip.compress(b"no times\n")], ids=["missing", "empty", "plain", "no times"])
def test_a_capture_that_cannot_be_used_leaves_nothing_behind(tmp_path, content):
    path = tmp_path / "bad.gz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(arraystore.InvalidInput, match=r"bad\.gz"):
        run_demo(tmp_path / "store", [path], console=Console(quiet=True))
    assert not (tmp_path / "store").exists()


def test_a_store_in_memory_is_refused_for_the_live_process_could_not_reach_it(captures):
    with pytest.raises(arraystore.InvalidInput, match="name a directory"):
        run_demo("memory://demo", captures, console=Console(quiet=True))


def test_a_demo_killed_again_and_again_loses_and_doubles_nothing(result, captures, tmp_path):
    root = tmp_path / "store"
    code = "import sys, pathlib; from arraystore.demo import run_demo; run_demo(sys.argv[1], [*map(pathlib.Path, sys.argv[2:])])"
    command = [sys.executable, "-c", code, str(root), *map(str, captures)]
    for commits in (5, 16, 70):  # in recording, promotion and live trading
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True) as process:
            while process.poll() is None and len([*root.glob("*/*/*/_log/0*"), *root.glob("*/*/*/*/_log/0*")]) < commits:
                time.sleep(0.005)
            assert process.poll() is None
            os.killpg(process.pid, signal.SIGKILL)
    again = run_demo(root, captures, console=Console(quiet=True))
    assert again.findings == ()
    assert contents(again) == contents(result)
    assert again.live.rows == {"order_events": 80, "fills": 40}
    assert again.live.recovery.gaps == again.live.recovery.repeated == ()
