"""Late rows, interleaved writers, corrections and withdrawals; pins read the bytes they named all the while."""

import threading

import numpy as np
import pytest

import arraystore
from tests.store.conftest import DAY, START, OpenAs, rows

pytestmark = pytest.mark.parametrize("open_as", ["memory", "local"], indirect=True)

KEY = ("venue", "trades", "BTCUSDT")
SECOND = 10**9
WHOLE_DAY = ("2024-08-08", "2024-08-09")


def numbers(frame: arraystore.Frame) -> list[int]:
    return np.asarray(frame["size"]).astype(int).tolist()


def new(open_as: OpenAs, schema: str = "trades") -> arraystore.Dataset:
    return open_as("data-quality").canonical.create(KEY, arraystore.schema_by_name(schema))


def bars(*hours: int, close: float = 1.0) -> dict[str, object]:
    """Bars of these hours of the day, in time order as vendors send them."""
    prices = np.full(len(hours), close)
    base = dict.fromkeys(("open", "high", "low", "close"), prices)
    times = START + np.asarray(hours) * 3600 * SECOND
    told = {"open_time": times, "close_time": times + 3600 * SECOND, "is_revision": np.zeros(len(hours), bool)}
    return {**told, **base, "volume": np.asarray(hours, float)}


def test_late_rows_of_a_dataset_in_time_order_read_where_their_time_is(open_as: OpenAs) -> None:
    dataset = new(open_as, "bars")
    dataset.append(bars(0, 1, 4, 5))
    pin = dataset.pin()
    dataset.append(bars(2, 3))
    dataset.append(bars(1, close=2.0))  # again, after the others
    read = dataset.read()
    assert read["volume"].tolist() == [0, 1, 1, 2, 3, 4, 5]
    assert read["close"].tolist() == [1, 1, 2, 1, 1, 1, 1], "of the same time, the later append comes later"
    assert open_as("analysis").read(pin)["volume"].tolist() == [0, 1, 4, 5]


def test_late_rows_in_arrival_order_read_as_they_came(open_as: OpenAs) -> None:
    dataset = new(open_as)
    dataset.append(rows(3, first=10))
    dataset.append(rows(2, first=2))
    assert numbers(dataset.read()) == [10, 11, 12, 2, 3]
    assert numbers(dataset.read(START + 2 * SECOND, START + 11 * SECOND)) == [10, 2, 3]


def test_two_writers_take_turns_and_each_reads_what_it_saw(open_as: OpenAs) -> None:
    one = new(open_as)
    other = open_as("data-quality").canonical[KEY]
    pins, expected = [], []
    for turn in range(6):
        receipt = (one, other)[turn % 2].append(rows(1, first=turn))
        expected.append(list(range(turn + 1)))
        pins.append(receipt.pin)
    reader = open_as("live")
    assert [numbers(reader.read(pin)) for pin in pins] == expected
    assert (one.version, other.version) == (6, 7), "a handle moves by its own writes only"
    assert numbers(one.read()) == [0, 1, 2, 3, 4]


def test_writers_at_the_same_time_lose_nothing_and_pins_of_each_hold(open_as: OpenAs) -> None:
    new(open_as)
    receipts: dict[int, arraystore.Receipt] = {}

    def work(writer: int) -> None:
        dataset = open_as("data-quality").canonical[KEY]
        for turn in range(5):
            receipts[writer * 5 + turn] = dataset.append(rows(1, first=writer * 5 + turn), token=(f"writer-{writer}", turn))

    threads = [threading.Thread(target=work, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store = open_as("analysis")
    assert sorted(numbers(store.canonical[KEY].read())) == list(range(20))
    assert sorted(receipt.version for receipt in receipts.values()) == list(range(2, 22))
    for number, receipt in receipts.items():
        found = numbers(store.read(receipt.pin))
        assert found[-1] == number
        assert len(found) == receipt.version - 1


def test_a_correction_of_what_has_changed_meanwhile_is_a_conflict(open_as: OpenAs) -> None:
    dataset = new(open_as)
    dataset.append(rows(10))
    other = open_as("data-quality").canonical[KEY]
    other.append(rows(1, first=10))
    with pytest.raises(arraystore.Conflict, match="refresh and correct again"):
        dataset.replace("2024-08-08", rows(5), reason="too few")
    with pytest.raises(arraystore.Conflict, match="refresh and correct again"):
        dataset.withdraw("2024-08-08", reason="all wrong")
    other.append(rows(1, start=START + DAY))
    dataset.refresh().replace("2024-08-08", rows(5), reason="too few")
    assert dataset.rows == 6


def test_a_withdrawn_window_has_no_rows_and_says_why_until_it_is_filled_again(open_as: OpenAs) -> None:
    dataset = new(open_as)
    dataset.append(rows(2, step=DAY), completeness="complete", coverage=("2024-08-08", "2024-08-10"))
    pin = dataset.pin(window="2024-08-08")
    receipt = dataset.withdraw("2024-08-08", reason="clock was an hour off")
    assert receipt.windows == ("2024-08-08",)
    manifest = dataset.manifest("2024-08-08")
    assert (manifest.rows, manifest.completeness, manifest.coverage, manifest.lineage) == (0, "open", (), ())
    assert manifest.attributes == {"withdrawn": "clock was an hour off"}
    assert numbers(dataset.read()) == [1]
    assert numbers(open_as("backtesting").read(pin)) == [0]

    with pytest.raises(arraystore.WindowClosed, match=r"withdrawn in version 3 \(clock was an hour off\): pass reopen=True"):
        dataset.append(rows(1))
    assert dataset.append(rows(1, start=START + DAY), reopen=True).windows == ("2024-08-09",), "other windows aren't concerned"
    dataset.append(rows(3), reopen=True)
    assert dataset.manifest("2024-08-08").attributes == {}
    dataset.withdraw("2024-08-08", reason="again")
    dataset.replace("2024-08-08", rows(1, first=7), reason="the right one")
    assert (dataset.manifest("2024-08-08").attributes, dataset.manifest("2024-08-08").completeness) == ({}, "complete")
    assert not dataset.verify(deep=True)


def test_withdrawing_needs_a_reason_a_window_and_the_right(open_as: OpenAs) -> None:
    dataset = new(open_as)
    dataset.append(rows(1))
    with pytest.raises(arraystore.InvalidInput, match="reason"):
        dataset.withdraw("2024-08-08", reason="")
    with pytest.raises(arraystore.NotFound, match="2024-08-09"):
        dataset.withdraw("2024-08-09", reason="wrong")
    with pytest.raises(arraystore.AccessDenied):
        open_as("analysis").canonical[KEY].withdraw("2024-08-08", reason="wrong")
    raw = open_as("data-recording").raw.create(("venue", "feed", "recorder"), arraystore.schema_by_name("trades"))
    raw.append(rows(1))
    with pytest.raises(arraystore.AccessDenied, match="nobody"):
        raw.withdraw("2024-08-08", reason="wrong")


def test_a_pin_of_a_window_names_its_range(open_as: OpenAs) -> None:
    dataset = new(open_as)
    dataset.append(rows(4, step=DAY // 2))
    pin = dataset.pin(window="2024-08-08")
    assert (pin.start, pin.end) == (START, START + DAY)
    assert numbers(open_as("live").read(pin)) == [0, 1]
    assert dataset.read(window="2024-08-08").pin == pin
    noon = dataset.pin("2024-08-08T12:00", window="2024-08-08", columns=["size"])
    assert (noon.start, noon.end, noon.columns) == (START + DAY // 2, START + DAY, ("size",))
    assert numbers(open_as("live").read(noon)) == [1]
    outside = dataset.pin("2024-08-09T12:00", window="2024-08-08")
    assert open_as("live").read(outside).row_count == 0
    with pytest.raises(arraystore.NotFound):
        dataset.pin(window="2024-08-10")


def test_a_read_by_another_clock_in_a_window_pins_that_window(open_as: OpenAs) -> None:
    dataset = open_as("data-quality").canonical.create(KEY, arraystore.schema_by_name("fills"))
    times = START + np.arange(4) * DAY // 2
    given = {"time": times, "account": ["a"] * 4, "strategy": ["s"] * 4, "instrument": ["i"] * 4, "fill_id": list("abcd")}
    dataset.append({**given, "side": ["buy"] * 4, "price": np.ones(4), "size": np.arange(4.0), "sequence": np.arange(4, dtype=np.uint64)})
    clock = next(name for name in dataset.schema.clocks if name != "time")
    pin = dataset.read("2020", "2030", window="2024-08-08", clock=clock).pin
    assert (pin.start, pin.end) == (START, START + DAY)
