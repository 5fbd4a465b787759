"""Datasets of many instruments, read by instrument."""

import numpy as np
import pytest

import arraystore
from tests.store.conftest import START, OpenAs, rows

KEY = ("venue", "trades", "_all")
NAMES = ("BTCUSDT", "ETHUSDT", "SOLUSDT")


@pytest.fixture
def everything(open_as: OpenAs) -> arraystore.Dataset:
    """Trades of three instruments by turns, over a segment and a tail."""
    dataset = open_as("data-quality").canonical.create(KEY, arraystore.schema_by_name("trades", all_instruments=True))
    for first, count in ((0, 30_000), (30_000, 30)):
        data = rows(count, first=first)
        data["instrument"] = arraystore.Labels((np.arange(count) % 3).astype(np.int32), NAMES)
        dataset.append(data)
    return dataset


def numbers(frame: arraystore.Frame) -> list[int]:
    return np.asarray(frame["size"]).astype(int).tolist()


def test_rows_of_some_instruments_come_in_the_order_of_the_dataset(everything: arraystore.Dataset) -> None:
    assert numbers(everything.read(instruments=["ETHUSDT"])) == list(range(1, 30_030, 3))
    both = everything.read(instruments={"SOLUSDT", "BTCUSDT"})
    assert numbers(both) == [number for number in range(30_030) if number % 3 != 1]
    assert set(both["instrument"]) == {"SOLUSDT", "BTCUSDT"}
    assert numbers(everything.read()) == list(range(30_030))


def test_instruments_and_times_narrow_each_other(everything: arraystore.Dataset) -> None:
    frame = everything.read(START + 29_990 * 10**9, START + 30_010 * 10**9, ["size", "price"], instruments="BTCUSDT")
    assert numbers(frame) == [29_991, 29_994, 29_997, 30_000, 30_003, 30_006, 30_009]
    assert tuple(frame) == ("size", "price")


def test_an_instrument_that_nobody_wrote_has_no_rows(everything: arraystore.Dataset) -> None:
    assert everything.read(instruments=["DOGEUSDT"]).row_count == 0
    assert everything.read(instruments=[]).row_count == 0
    assert numbers(everything.read(instruments=["DOGEUSDT", "ETHUSDT"])) == list(range(1, 30_030, 3))


def test_what_a_pin_names_is_of_all_instruments(everything: arraystore.Dataset, open_as: OpenAs) -> None:
    frame = everything.read("2024-08-08", "2024-08-08T00:00:09", instruments="BTCUSDT")
    assert frame.row_count == 3
    assert frame.pin is not None
    assert open_as("analysis").read(frame.pin).row_count == 9


def test_instruments_are_told_apart_by_their_identity_where_that_is_what_rows_have(open_as: OpenAs) -> None:
    dataset = open_as("data-quality").canonical.create(("venue", "actions", "_all"), arraystore.schema_by_name("corporate_actions"))
    dataset.append({"instrument_uid": ["a", "b", "a"], "ex_time": [1, 2, 3], "kind": ["split", "dividend", "merger"]})
    assert dataset.read(instruments="a")["kind"].tolist() == ["split", "merger"]


@pytest.mark.parametrize("instruments", [5, ["BTCUSDT", 5], b"BTCUSDT"])
def test_instruments_are_texts(everything: arraystore.Dataset, instruments: object) -> None:
    with pytest.raises(arraystore.InvalidInput, match="instruments"):
        everything.read(instruments=instruments)  # type: ignore[arg-type]


def test_a_dataset_of_one_instrument_has_none_to_choose(trades: arraystore.Dataset) -> None:
    with pytest.raises(arraystore.InvalidInput, match="schema 'trades' has no column instrument or instrument_uid of labels"):
        trades.read(instruments=["BTCUSDT"])
