"""Recording keeps every line in the order received, and promotion follows what was recorded."""

import gzip

import numpy as np
import pytest

import arraystore
from arraystore.demo.captures import inspect_captures
from arraystore.demo.quality import review
from arraystore.demo.recording import record
from arraystore.demo.simulator import simulate_captures

MIDNIGHT = 19_923 * 86_400 * 10**9
KEY = ("binance-usdm", "btcusdt-streams", "recorder-1")


@pytest.fixture
def root(request):
    """A store of its own for each test, in memory."""
    return f"memory://{request.node.name}"


def trade(number):
    data = b'"e":"trade","E":1,"T":1,"s":"BTCUSDT","t":%d,"p":"10.5","q":"1.0","X":"MARKET","m":false' % number
    return b'{"stream":"btcusdt@trade","data":{%b}}' % data


def write(path, *lines):
    path.write_bytes(gzip.compress(b"".join(lines), mtime=0))
    return path


def capture(path, *times, first=1):
    return write(path, *(b"%d %b\n" % (time, trade(number)) for number, time in enumerate(times, first)))


def recorded(root, *paths, recorder="recorder-1"):
    store = arraystore.open_store(root, role="data-recording", create=True)
    return store, record(store, inspect_captures(paths), recorder=recorder)


def reviewed(root, since=None):
    store = arraystore.open_store(root, role="data-quality")
    return store, review(store, since)


def test_rows_stay_in_the_order_received_though_the_clock_steps_back_over_midnight(root, tmp_path):
    times = [MIDNIGHT - 2, MIDNIGHT, MIDNIGHT - 1, MIDNIGHT + 5, MIDNIGHT - 3]
    store, (told,) = recorded(root, capture(tmp_path / "a.gz", *times))
    raw = store.raw[KEY]
    assert told.windows == raw.windows() == ("2024-07-18", "2024-07-19")
    assert [raw.read(window=window)["sequence"].tolist() for window in raw.windows()] == [[1, 3, 5], [2, 4]]
    assert {manifest.completeness for manifest in raw.manifests()} == {"complete"}
    assert raw.manifest("2024-07-18").coverage == ((MIDNIGHT - 3, MIDNIGHT),)
    assert raw.manifest("2024-07-19").coverage == ((MIDNIGHT, MIDNIGHT + 6),)


def test_what_was_recorded_is_not_recorded_again(root, tmp_path):
    path = capture(tmp_path / "a.gz", MIDNIGHT, MIDNIGHT + 1)
    store, _ = recorded(root, path)
    version = store.raw[KEY].version
    store, (told,) = recorded(root, path)
    assert (told.appended, told.present, store.raw[KEY].version) == (0, 2, version)


def test_a_recorder_that_died_goes_on_with_the_first_line_that_is_missing(root, tmp_path):
    path = capture(tmp_path / "a.gz", *range(MIDNIGHT, MIDNIGHT + 7))
    (whole,) = inspect_captures([path])
    store = arraystore.open_store(root, role="data-recording", create=True)
    with pytest.raises(KeyboardInterrupt):
        record(store, [whole], recorder="recorder-1", advance=_stop_at_once)
    assert store.raw[KEY].rows == 0
    half = store.raw[KEY]
    first = [b"%d" % MIDNIGHT, b"%d" % (MIDNIGHT + 1)]
    half.append(
        {
            "time": [int(time) for time in first],
            "sequence": [1, 2],
            "direction": ["recv"] * 2,
            "connection": [whole.connection] * 2,
            "encoding": ["json"] * 2,
            "payload": [trade(1), trade(2)],
        }
    )
    store, (told,) = recorded(root, path)
    frame = store.raw[KEY].read()
    assert (told.appended, told.present) == (5, 2)
    assert frame["sequence"].tolist() == list(range(1, 8))
    assert [frame["payload"][row] for row in range(7)] == [trade(number) for number in range(1, 8)]


def _stop_at_once(_):
    raise KeyboardInterrupt


def test_a_line_without_a_time_is_recorded_and_counted(root, tmp_path):
    path = write(tmp_path / "a.gz", b"%d %b\n" % (MIDNIGHT, trade(1)), b"# a remark\n", b"%d %b\n" % (MIDNIGHT + 1, trade(2)))
    store, (told,) = recorded(root, path)
    frame = store.raw[KEY].read()
    assert told.malformed == 1
    assert list(frame["encoding"]) == ["json", "line", "json"]
    assert frame["payload"][1] == b"# a remark"
    quality, ((verdict,), _) = reviewed(root)
    assert verdict.held is None
    assert quality.canonical["binance-usdm", "trades", "BTCUSDT"].read()["capture_sequence"].tolist() == [1, 3]


def test_a_capture_that_comes_late_makes_new_versions_of_raw_and_of_canonical(root, tmp_path):
    early = capture(tmp_path / "a.gz", MIDNIGHT, MIDNIGHT + 1)
    recorded(root, early)
    quality, (_, cursor) = reviewed(root)
    trades = quality.canonical["binance-usdm", "trades", "BTCUSDT"]
    pin = trades.pin()
    late = capture(tmp_path / "b.gz", MIDNIGHT + 10, MIDNIGHT + 11, first=3)
    store, (told,) = recorded(root, early, late)
    assert (told.appended, told.present) == (2, 2)
    assert store.raw[KEY].manifest("2024-07-19").coverage == ((MIDNIGHT, MIDNIGHT + 2), (MIDNIGHT + 10, MIDNIGHT + 12))
    quality, ((verdict,), _) = reviewed(root, cursor)
    assert verdict.promoted["binance-usdm", "trades", "BTCUSDT"] == 4
    assert trades.refresh().read()["trade_id"].tolist() == [1, 2, 3, 4]
    assert quality.read(pin)["trade_id"].tolist() == [1, 2]


def test_nothing_new_is_nothing_to_review(root, tmp_path):
    recorded(root, capture(tmp_path / "a.gz", MIDNIGHT))
    _, (verdicts, cursor) = reviewed(root)
    assert len(verdicts) == 1
    assert reviewed(root, cursor)[1] == ([], cursor)


def test_of_two_recorders_the_first_that_was_promoted_stays(root, tmp_path):
    path = capture(tmp_path / "a.gz", MIDNIGHT, MIDNIGHT + 1)
    recorded(root, path)
    reviewed(root)
    recorded(root, capture(tmp_path / "b.gz", MIDNIGHT + 5, first=9), recorder="recorder-2")
    quality, (verdicts, _) = reviewed(root)
    assert [sum(verdict.promoted.values()) for verdict in verdicts] == [0, 0]
    assert quality.canonical["binance-usdm", "trades", "BTCUSDT"].read()["trade_id"].tolist() == [1, 2]


def test_two_recorders_of_simulated_markets_do_not_mix(root, tmp_path):
    paths = simulate_captures(tmp_path, messages=200)
    recorded(root, *paths)
    store, _ = recorded(root, *paths[2:], recorder="recorder-2")
    raw = [store.raw["binance-usdm", "betausdt-streams", recorder].read() for recorder in ("recorder-1", "recorder-2")]
    for name in ("time", "sequence"):
        np.testing.assert_array_equal(raw[0][name], raw[1][name])


def test_recorded_captures_take_no_more_room_than_their_gzip_originals(root, shared_data):
    captures = inspect_captures(sorted((shared_data / "binance-usdm").glob("*.gz")))
    store = arraystore.open_store(root, role="data-recording", create=True)
    windows = {item.key: item.windows for item in record(store, captures, recorder="recorder-1")}
    assert windows == {
        ("binance-usdm", "btcusdt-streams", "recorder-1"): ("2024-07-18", "2024-07-19", "2024-08-08"),
        ("binance-usdm", "ethusdt-streams", "recorder-1"): ("2024-08-08",),
    }
    sizes = [manifest.bytes for key in windows for manifest in store.raw[key].manifests()]
    assert all(size <= capture.file_bytes for size, capture in zip(sizes, captures, strict=True))
