"""What changed from one version to another, told from digests wherever these tell it."""

import json
import uuid

import msgspec
import numpy as np
import pytest

import arraystore
from arraystore import Column, Kind, Order, Schema
from tests.store.conftest import DAY, START, OpenAs, rows

KEY = ("venue", "trades", "BTCUSDT")
MIXED = Schema(
    name="mixed",
    order=Order.TIME,
    columns=(
        Column(name="time", kind=Kind.TIME),
        Column(name="number", kind=Kind.NUMBER, dtype="int32"),
        Column(name="who", kind=Kind.DICTIONARY),
        Column(name="text", kind=Kind.TEXT, nullable=True),
        Column(name="ladder", kind=Kind.NUMBER, dtype="float64", levels=2),
        Column(name="maybe", kind=Kind.NUMBER, dtype="int16", nullable=True),
    ),
)


@pytest.fixture
def open_as() -> OpenAs:
    """One store in memory: what is tested here is the same on every storage."""
    url = f"memory://{uuid.uuid4().hex}"
    return lambda role: arraystore.open_store(url, role=role, create=True)


def mixed(chosen: np.ndarray) -> dict[str, object]:
    return {
        "time": START + chosen * 10**9,
        "number": chosen.astype(np.int32),
        "who": [f"w{number % 3}" for number in chosen],
        "text": [None if number % 4 == 0 else f"text {number}" for number in chosen],
        "ladder": np.stack([chosen, chosen + 0.5], axis=1).astype(np.float64),
        "maybe": np.ma.masked_array(chosen.astype(np.int16), mask=chosen % 2 == 0),
    }


def new(open_as: OpenAs, schema: Schema | None = None) -> arraystore.Dataset:
    return open_as("data-quality").canonical.create(KEY, schema or arraystore.schema_by_name("trades"))


def changed(diff: arraystore.Diff) -> list[tuple[str, str, tuple[int, int], tuple[str, ...]]]:
    return [(each.window, each.change, each.rows, each.columns) for each in diff.windows]


def test_windows_are_added_changed_and_left_alone(open_as: OpenAs) -> None:
    dataset = new(open_as)
    dataset.append(rows(3, step=DAY))
    dataset.append(rows(1, start=START + 5 * DAY))
    data = rows(1)
    dataset.replace("2024-08-08", {**data, "price": data["price"] + 1}, reason="price was wrong")
    every = arraystore.schema_by_name("trades").names
    diff = dataset.diff(2)
    assert changed(diff) == [("2024-08-08", "changed", (1, 1), ("price",)), ("2024-08-13", "added", (0, 1), every)]
    assert diff.windows[0].completeness == ("open", "complete")
    assert diff.rows == (1, 2)
    assert changed(dataset.diff(4, 2)) == [("2024-08-08", "changed", (1, 1), ("price",)), ("2024-08-13", "removed", (1, 0), every)]
    assert changed(dataset.diff(2, 3))[0][0] == "2024-08-13"
    assert not dataset.diff(4)
    assert diff


def test_the_same_rows_in_other_segments_are_no_change(open_as: OpenAs) -> None:
    dataset = new(open_as, MIXED)
    for part in np.array_split(np.arange(120), 10):
        dataset.append(mixed(part))
    tails = dataset.version
    dataset.append(mixed(np.arange(120, 30_000)))
    dataset.append(mixed(np.arange(30_000, 30_010)))
    dataset.replace("2024-08-08", dataset.read(window="2024-08-08"), reason="one segment instead", completeness="open")
    assert len(dataset.manifest("2024-08-08").segments) == 1
    assert not dataset.diff(dataset.version - 1), "folded, other chunks, other codes: the same values"
    assert changed(dataset.diff(tails))[0][2] == (120, 30_010)


@pytest.mark.parametrize("column", MIXED.names)
def test_one_value_in_one_column_is_found_also_among_tails_and_overlapping_segments(root, column: str) -> None:
    dataset = arraystore.open_store(root, role="data-quality").canonical.create(KEY, MIXED)
    chosen = np.arange(200)
    dataset.append(mixed(chosen[::2]))
    dataset.append(mixed(chosen[1::2]))
    same = mixed(chosen)
    other = mixed(chosen)
    if column in ("who", "text"):
        other[column][77] = "another"
    elif column == "time":
        other[column][77] += 1
    else:
        other[column][77] += 1
    dataset.replace("2024-08-08", same, reason="the same", completeness="open")
    assert not dataset.diff(3)
    dataset.replace("2024-08-08", other, reason="one value", completeness="open")
    assert changed(dataset.diff(3)) == [("2024-08-08", "changed", (200, 200), (column,))]
    assert changed(dataset.diff(4)) == changed(dataset.diff(3))


def test_a_null_is_another_value_than_what_lies_under_it(root) -> None:
    dataset = arraystore.open_store(root, role="data-quality").canonical.create(KEY, MIXED)
    data = mixed(np.arange(1, 5000, 2))
    dataset.append(data)
    zero = np.ma.masked_array(np.zeros(2500, np.int16), mask=np.arange(2500) == 7)
    dataset.replace("2024-08-08", {**data, "maybe": zero}, reason="zeros")
    dataset.replace("2024-08-08", {**data, "maybe": np.zeros(2500, np.int16)}, reason="no null")
    dataset.replace("2024-08-08", {name: values for name, values in data.items() if name != "maybe"}, reason="all null")
    assert [changed(dataset.diff(version, version + 1))[0][3] for version in (2, 3, 4)] == [("maybe",)] * 3


def test_a_schema_that_evolved_is_told_and_rows_that_read_the_same_are_not(open_as: OpenAs) -> None:
    dataset = new(open_as, MIXED)
    dataset.append(mixed(np.arange(5000)))
    wide = [msgspec.structs.replace(each, dtype="int64") if each.name == "number" else each for each in MIXED.columns]
    dataset.evolve(msgspec.structs.replace(MIXED, columns=(*wide, Column(name="extra", kind=Kind.TEXT, nullable=True))))
    diff = dataset.diff(2)
    assert list(diff.schema) == ["column number", "column extra"]
    assert diff.schema["column extra"][0] is None
    assert not diff.windows
    dataset.replace("2024-08-08", mixed(np.arange(5000)), reason="as it was", completeness="open")
    assert not dataset.diff(2).windows, "wider numbers, and a column of nulls: nothing else to read"
    dataset.replace("2024-08-08", {**mixed(np.arange(5000)), "extra": ["x"] * 5000}, reason="extra", completeness="open")
    assert changed(dataset.diff(2))[0][3] == ("extra",)
    assert changed(dataset.diff(5, 2))[0][3] == ("extra",)


def test_attributes_files_coverage_and_deletion_are_told(open_as: OpenAs) -> None:
    dataset = open_as("analysis").derived.create(("p", "v", *KEY[1:]), arraystore.schema_by_name("trades"), attributes={"a": 1, "b": 2})
    dataset.append(rows(1))
    dataset.update(attributes={"a": None, "b": 3, "c": 4})
    dataset.update(window="2024-08-08", window_attributes={"note": "seen"})
    dataset.append(None, coverage=("2024-08-08", "2024-08-09"), completeness="complete")
    dataset.add_file(b"x", name="x.txt")
    diff = dataset.diff(2)
    assert diff.attributes == {"a": (1, None), "b": (2, 3), "c": (None, 4)}
    assert list(diff.artifacts) == ["x.txt"]
    (window,) = diff.windows
    assert (window.columns, window.attributes, window.completeness) == ((), {"note": (None, "seen")}, ("open", "complete"))
    assert window.coverage == ((), ((START, START + DAY),))
    version = open_as("analysis").derived.delete(dataset.key, reason="done")
    gone = dataset.diff(2, version)
    assert (gone.state, gone.rows, gone.windows[0].change) == (("", "deleted"), (1, 0), "removed")
    assert json.loads(json.dumps(gone.to_json()))["windows"][0]["rows"] == [1, 0]


def test_series_of_a_run_are_compared_by_their_names(root) -> None:
    store = arraystore.open_store(root, role="backtesting")
    with store.experiments.run("grid", "one") as run:
        run.write("some rows", {"time": [1], "name": ["x"], "value": [1.0]}, arraystore.schema_by_name("metrics"))
        run.log(sharpe=1.0)
    diff = store.experiments["grid/one"].diff(1)
    assert [(each.window, each.change) for each in diff.windows] == [("metrics", "added"), ("some rows", "added")]
    assert diff.state == ("", "sealed")


def test_pins_are_compared_also_of_two_datasets(open_as: OpenAs) -> None:
    store = open_as("data-quality")
    dataset = new(open_as)
    dataset.append(rows(4, step=DAY))
    other = store.canonical.create((*KEY[:2], "COPY"), dataset.schema)
    other.append(dataset.read())
    reader = open_as("analysis")
    assert not reader.diff(dataset.pin(), other.pin())
    other.append(rows(1, start=START + 3 * DAY, first=1))
    assert [each.window for each in reader.diff(dataset.pin(), other.pin()).windows] == ["2024-08-11"]
    assert not reader.diff(dataset.pin(end="2024-08-11"), other.pin(end="2024-08-11"))
    with pytest.raises(arraystore.NotFound, match=r"store\.diff"):
        dataset.diff(other.pin())
    assert not dataset.diff(dataset.pin(), dataset.pin())
