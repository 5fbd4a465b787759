"""Arrow arrays are taken in whatever type, chunking, offset or encoding they come."""

import datetime as dt
from decimal import Decimal

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arraystore.frames.frame import Frame
from arraystore.frames.intake import rows_from
from layouts.schema import Column, Schema

START = 1_704_067_200_000_000_000  # 2024-01-01T00:00:00Z
DAY = 86_400_000_000_000


def taken(values, **column):
    """A column of this kind, from a table and from the array by itself."""
    schema = Schema(name="s", columns=(Column(name="time", kind="time"), Column(name="x", nullable=True, **column)))
    times = np.arange(len(values))
    frame = Frame(rows_from(pa.table({"time": times, "x": values}), schema))
    alone = Frame(rows_from({"time": times, "x": values}, schema))
    assert listed(alone) == listed(frame)
    return frame


def listed(frame):
    valid = frame.valid("x")
    return [item if valid is None or valid[row] else None for row, item in enumerate(frame["x"].tolist())]


PLAIN = [pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(), pa.binary_view()]
CODED = [pa.dictionary(pa.int8(), pa.string()), pa.dictionary(pa.uint32(), pa.large_string())]


@pytest.mark.parametrize("kind", ["text", "bytes", "dictionary"])
@pytest.mark.parametrize("arrow", [*PLAIN, *CODED], ids=str)
def test_texts_of_every_arrow_type(arrow, kind):
    texts = ["long enough to lie outside of a view", "", None, "é", "é"]
    values = pa.array(texts).cast(arrow) if arrow in CODED else pa.array([text and text.encode() for text in texts]).cast(arrow)
    values = pa.array(texts).cast(arrow) if arrow in PLAIN[:3] else values
    wanted = [text if text is None or kind != "bytes" else text.encode() for text in texts]
    assert listed(taken(values, kind=kind)) == wanted
    chunked = pa.chunked_array([values[:1], values[1:1], values[1:4], values[4:]])
    assert listed(taken(chunked, kind=kind)) == wanted


def test_bytes_of_fixed_width():
    assert listed(taken(pa.array([b"ab", None, b"cd"], pa.binary(2)), kind="bytes")) == [b"ab", None, b"cd"]


@given(st.lists(st.none() | st.binary(max_size=9), max_size=30), st.integers(0, 30), st.integers(0, 30))
def test_slices_of_arrow_arrays_are_only_their_part(values, start, length):
    array = pa.array(values, pa.large_binary()).slice(min(start, len(values)), length)
    assert listed(taken(array, kind="bytes")) == array.to_pylist()


@given(st.lists(st.none() | st.booleans(), max_size=40), st.integers(0, 40), st.integers(0, 40))
def test_packed_bools_and_validities_are_unpacked_from_any_bit(values, start, length):
    array = pa.array(values, pa.bool_()).slice(min(start, len(values)), length)
    assert listed(taken(array, dtype="bool")) == array.to_pylist()


@pytest.mark.parametrize("arrow", [pa.int8(), pa.uint16(), pa.int64(), pa.float16(), pa.float32(), pa.float64()], ids=str)
def test_numbers_of_every_arrow_type(arrow):
    values = pa.array([1, None, 3], pa.int64()).cast(arrow)
    assert listed(taken(values, dtype="float64")) == [1.0, None, 3.0]
    assert listed(taken(pa.chunked_array([values[:1], values[1:]]), dtype="float64")) == [1.0, None, 3.0]


@pytest.mark.parametrize(
    "arrow",
    [pa.timestamp("s"), pa.timestamp("ms", "Europe/Paris"), pa.timestamp("us", "UTC"), pa.timestamp("ns"), pa.date32(), pa.date64()],
    ids=str,
)
def test_moments_of_every_arrow_type(arrow):
    values = pa.array([dt.datetime(2024, 1, 2, tzinfo=dt.UTC), None], pa.timestamp("us", "UTC")).cast(pa.timestamp("us")).cast(arrow)
    if getattr(arrow, "tz", None) == "Europe/Paris":
        values = pa.array([dt.datetime(2024, 1, 2, tzinfo=dt.UTC), None], arrow)
    frame = taken(values, kind="time")
    assert frame.rows.arrays["x"].tolist() == [START + DAY, -(2**63)]


@pytest.mark.parametrize("arrow", [pa.decimal128(38, 4), pa.decimal128(10, 2), pa.decimal256(60, 3), pa.decimal128(3, 0)], ids=str)
def test_decimals_of_every_arrow_type(arrow):
    values = pa.array([Decimal(-12), None, Decimal(7)], arrow)
    frame = taken(values, kind="decimal", places=3)
    assert frame["x"].tolist() == [Decimal("-12.000"), None, Decimal("7.000")]
    assert frame.rows.arrays["x"].tolist() == [-12_000, 0, 7_000]
    assert taken(values[1:], kind="decimal", places=3).rows.arrays["x"].tolist() == [0, 7_000]


@pytest.mark.parametrize("arrow", [pa.list_(pa.float64(), 2), pa.list_(pa.float64()), pa.large_list(pa.float32())], ids=str)
def test_levels_of_every_arrow_type(arrow):
    values = pa.array([[1, 2], None, [3, 4]], arrow)
    assert listed(taken(values, levels=2)) == [[1, 2], None, [3, 4]]
    assert listed(taken(values[1:], levels=2)) == [None, [3, 4]]
    assert listed(taken(pa.chunked_array([values[:1], values[2:]]), levels=2)) == [[1, 2], [3, 4]]


def test_dictionaries_that_differ_by_chunk_are_unified():
    chunks = [pa.array(["a", None, "b"]).dictionary_encode(), pa.array(["c", "b"]).dictionary_encode()]
    frame = taken(pa.chunked_array(chunks), kind="dictionary")
    assert frame["x"].tolist() == ["a", None, "b", "c", "b"]
    assert frame["x"].labels == ("a", "b", "c")


def test_labels_of_all_chunks_may_be_more_than_one_chunk_can_count():
    coded = pa.dictionary(pa.int8(), pa.string())
    chunks = [pa.array([f"{number}-{place}" for place in range(100)]).dictionary_encode().cast(coded) for number in range(3)]
    labels = taken(pa.chunked_array(chunks), kind="dictionary")["x"]
    assert len(labels.labels) == 300
    assert labels[[0, 150, 299]].tolist() == ["0-0", "1-50", "2-99"]


def test_labels_that_are_null_make_their_rows_null():
    indices, labels = pa.array([0, 1, None, 2], pa.int8()), pa.array(["a", None, "a"])
    frame = taken(pa.DictionaryArray.from_arrays(indices, labels), kind="dictionary")
    assert frame["x"].tolist() == ["a", None, None, "a"]


def test_dictionaries_of_other_things_than_text_are_spelled_out():
    assert listed(taken(pa.array([5, None, 5]).dictionary_encode(), dtype="int64")) == [5, None, 5]


def test_run_ends_are_decoded():
    values = pa.RunEndEncodedArray.from_arrays(pa.array([2, 3, 5], pa.int32()), pa.array([1.5, None, 2.5]))
    assert listed(taken(values, dtype="float64")) == [1.5, 1.5, None, 2.5, 2.5]


def test_extension_types_are_what_they_are_stored_as():
    assert listed(taken(pa.array([True, None], pa.bool_()).cast(pa.int8()).cast(pa.bool8()), dtype="int8")) == [1, None]


def test_a_column_of_no_type_is_null_throughout():
    for kind in ("number", "time", "text", "dictionary"):
        assert "x" not in taken(pa.nulls(3), kind=kind).rows.arrays


def test_polars_types_arrive():
    table = pl.DataFrame(
        {
            "time": pl.Series([dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 2)], dtype=pl.Datetime("us")),  # noqa: DTZ001
            "category": pl.Series(["a", None], dtype=pl.Categorical),
            "choice": pl.Series(["sell", "buy"], dtype=pl.Enum(["buy", "sell"])),
            "note": ["a longer text than a view holds inline", None],
            "levels": pl.Series([[1.0, 2.0], [3.0, 4.0]], dtype=pl.Array(pl.Float64, 2)),
            "fee": pl.Series(["1.25", None]).cast(pl.Decimal(20, 2)),
        }
    )
    schema = Schema(
        name="s",
        columns=(
            Column(name="time", kind="time"),
            Column(name="category", kind="dictionary", nullable=True),
            Column(name="choice", kind="vocabulary", vocabulary=(("buy", 1), ("sell", -1))),
            Column(name="note", kind="text", nullable=True),
            Column(name="levels", levels=2),
            Column(name="fee", kind="decimal", places=2, nullable=True),
        ),
    )
    for data in (table, pl.concat([table[:1], table[1:]], rechunk=False), {series.name: series for series in table}):
        frame = Frame(rows_from(data, schema))
        assert frame["time"].view(np.int64).tolist() == [START, START + DAY]
        assert frame["category"].tolist() == ["a", None]
        assert frame["choice"].tolist() == [-1, 1]
        assert frame["note"].tolist() == ["a longer text than a view holds inline", None]
        assert frame["levels"].tolist() == [[1.0, 2.0], [3.0, 4.0]]
        assert frame["fee"].tolist() == [Decimal("1.25"), None]


def test_batches_and_readers_are_tables_too():
    schema = Schema(name="s", columns=(Column(name="time", kind="time"), Column(name="x")))
    batch = pa.record_batch({"time": [1, 2], "x": [0.5, 1.5]})
    for data in (batch, pa.RecordBatchReader.from_batches(batch.schema, [batch, batch[:0]])):
        assert rows_from(data, schema).arrays["x"].tolist() == [0.5, 1.5]
