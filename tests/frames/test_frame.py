"""A frame is a mapping of columns that shows itself and knows its nulls."""

import pickle

import numpy as np
import pytest

from arraystore.errors import InvalidInput, NotFound
from arraystore.frames.columns import Decimals, Labels, Ragged
from arraystore.frames.frame import Frame
from arraystore.frames.intake import rows_from
from arraystore.frames.rows import empty
from arraystore.testing.strategies import differences
from arraystore.versions.commit import Pin

PIN = Pin(storage_class="canonical", key=("venue", "trades", "A<B"), dataset="0" * 32, version=7, digest="0" * 64)


def test_it_maps_names_to_columns(frame, schema):
    assert list(frame) == list(schema.names)
    assert len(frame) == len(schema.columns)
    assert frame.row_count == 3
    assert frame.schema is schema
    assert "price" in frame
    assert "prize" not in frame
    assert frame.get("prize") is None
    assert frame["price"] is frame["price"]


def test_columns_come_in_the_types_of_their_kinds(frame):
    assert frame["time"].dtype == frame["exchange_time"].dtype == np.dtype("datetime64[ns]")
    assert frame["price"].dtype == np.float64
    assert frame["side"].dtype == np.int8
    assert frame["bids"].shape == (3, 2)
    assert isinstance(frame["instrument"], Labels)
    assert isinstance(frame["fee"], Decimals)
    assert (frame["note"].text, frame["payload"].text) == (True, False)
    assert isinstance(frame["payload"], Ragged)


def test_under_a_null_lies_what_can_not_be_taken_for_a_value(frame):
    assert np.isnat(frame["exchange_time"][1])
    assert np.isnan(frame["price"][1])
    assert np.isnan(frame["bids"][1]).all()
    assert frame["count"][1] == 0
    assert [frame[name][1] for name in ("instrument", "fee", "note", "payload")] == [None] * 4
    assert frame.valid("price").tolist() == [True, False, True]
    assert frame.valid("time") is None


def test_times_numbers_and_text_are_views_of_the_rows(frame, rows):
    for name in ("time", "price", "count", "bids"):
        assert np.shares_memory(frame[name], rows.arrays[name])
    assert np.shares_memory(frame["payload"].data, rows.arrays["payload"])


@pytest.mark.parametrize("chosen", [slice(1, None), [1, 2], np.array([1, 2], np.uint64), [False, True, True]], ids=str)
def test_some_rows_are_a_frame_with_their_nulls(frame, chosen):
    part = frame.take(chosen)
    assert part.row_count == 2
    assert part["note"].tolist() == [None, ""]
    assert part.valid("price").tolist() == [False, True]
    assert frame.take([]).row_count == frame.take(slice(3, 3)).row_count == 0


@pytest.mark.parametrize("chosen", [[3], [-1], [True], [0.5], [[0]], 1, "all"], ids=str)
def test_rows_that_are_not_there_are_refused(frame, chosen):
    with pytest.raises(InvalidInput, match="rows"):
        frame.take(chosen)


def test_a_column_that_is_not_there_is_named_with_the_nearest_one(frame):
    with pytest.raises(NotFound, match="did you mean 'price'"):
        frame["prize"]
    with pytest.raises(KeyError, match="did you mean 'price'"):
        frame.valid("prize")


def test_it_is_equal_to_itself_only_and_survives_pickling(frame, rows):
    assert frame == frame  # noqa: PLR0124
    assert frame != Frame(rows)
    assert len({frame, Frame(rows)}) == 2
    copy = pickle.loads(pickle.dumps(Frame(rows, PIN)))
    assert differences(copy.rows, rows) == []
    assert copy.pin == PIN


def test_it_prints_as_a_table_of_its_first_and_last_rows(frame, rows):
    shown = repr(frame).splitlines()
    assert shown[0] == "Frame everything: 3 rows × 12 columns"
    assert shown[1].split() == [f"{name}:" for name in frame]
    assert shown[2].split()[:4] == ["2024-01-01T00:00:00Z", "2023-12-31T23:59:59.999999995Z", "0.1", "7"]
    assert shown[2].split()[4:-2] == ["True", "buy", "128", "BTC/USDT", "0.0001", "héllo", r"b'\xff\x00'"]
    assert shown[3].split()[1:] == ["null"] * 11
    many = Frame(rows.take(np.zeros(1_000, np.int64)), PIN)
    assert repr(many).splitlines()[0] == "Frame everything of venue/trades/A<B at version 7: 1,000 rows × 12 columns"
    assert len(repr(many).splitlines()) == 2 + 5 + 1 + 5
    assert repr(Frame(empty(rows.schema))).splitlines()[0] == "Frame everything: 0 rows × 12 columns"


def test_it_prints_as_html_that_escapes_what_it_shows(frame, rows):
    html = Frame(rows, PIN)._repr_html_()
    assert html.count("<tr>") == 4
    assert "A&lt;B" in html
    assert "A<B" not in html
    assert "<small>float64[2]?</small>" in html


def test_long_and_unprintable_texts_are_shortened_on_show(schema):
    from arraystore.frames.intake import rows_from

    frame = Frame(rows_from({"time": [1], "note": ["line\nbreak"], "payload": [b"x" * 100]}, schema))
    assert "'line\\nbreak'" in repr(frame)
    assert f"b'{'x' * 29}…" in repr(frame)


def test_a_projection_without_its_axis_still_converts(rows):
    part = Frame(rows.project(["price", "note"]))
    assert list(part.to_pandas().index) == [0, 1, 2]
    assert part.to_arrow().column_names == ["price", "note"]
    assert set(part.to_xarray().variables) == {"price", "price_valid", "note", "note_count", "note_valid"}
    assert "2 columns" in repr(part)


def test_a_mapping_of_a_frame_goes_back_in_with_its_nulls(frame, rows):
    columns = frame.to_mapping()
    assert [name for name in columns if name.endswith("_valid")] == [f"{name}_valid" for name in frame if frame.valid(name) is not None]
    assert differences(rows_from(columns, rows.schema), rows) == []
    changed = Frame(rows_from(columns | {"price": np.array([3.0, 0.0, 5.0])}, rows.schema))
    assert changed["price"][[0, 2]].tolist() == [3.0, 5.0]
    assert changed.valid("price").tolist() == [True, False, True]
