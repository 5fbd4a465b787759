"""Whatever callers have is taken, if not a single value changes on the way."""

import array
import datetime as dt
import decimal
from types import MappingProxyType

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import example, given
from hypothesis import strategies as st

from arraystore.errors import InvalidInput
from arraystore.frames.casts import BLOCK_ROWS
from arraystore.frames.columns import Decimals, Labels, Ragged
from arraystore.frames.frame import Frame
from arraystore.frames.intake import first_step_back, rows_from
from layouts.feeds import schema_by_name
from layouts.schema import Column, Schema

START = 1_704_067_200_000_000_000  # 2024-01-01T00:00:00Z
VOCABULARY = (("buy", 1), ("sell", -1), ("none", 0))
MASKS = (("last", 128), ("snapshot", 32))


def taken(values, *, valid=None, **column):
    """What becomes of one column's values."""
    schema = Schema(name="s", order="arrival", columns=(Column(name="time", kind="time"), Column(name="x", **column)))
    data = {"time": np.arange(len(values)), "x": values} | ({} if valid is None else {"x_valid": valid})
    return Frame(rows_from(data, schema))


@pytest.mark.parametrize(
    "nothing", [None, {}, {"time": []}, {"time": np.array([], "datetime64[s]"), "price": []}, pd.DataFrame({"time": []})]
)
def test_nothing_is_no_rows(nothing, schema):
    rows = rows_from(nothing, schema)
    assert rows.count == 0
    assert rows.schema is schema
    assert set(rows.arrays) >= set(schema.names)


def test_nullable_columns_may_be_left_out(schema):
    rows = rows_from({"time": [START]}, schema)
    assert set(rows.arrays) == {"time"}
    assert Frame(rows)["note"].tolist() == [None]


@pytest.mark.parametrize("values", [[1, 2], (1, 2), range(1, 3), np.array([1, 2]), np.array([1, 2], ">i8"), array.array("q", [1, 2])])
@pytest.mark.parametrize("dtype", ["int8", "uint64", "float32", "float64"])
def test_whole_numbers_fit_every_type_that_holds_them(values, dtype):
    found = taken(values, dtype=dtype)["x"]
    assert found.dtype == np.dtype(dtype)
    assert found.tolist() == [1, 2]


@pytest.mark.parametrize(
    "values", [(0.5, 1.5), [0.5, 1.5], [np.float32(0.5), 1.5], np.array([0.5, 1.5], np.float16), memoryview(np.array([0.5, 1.5]))]
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_floats_fit_every_float_that_holds_them_exactly(values, dtype):
    assert taken(values, dtype=dtype)["x"].tolist() == [0.5, 1.5]


@given(st.lists(st.floats(width=32), min_size=1))
@example([float("nan"), float("inf"), -0.0])
def test_narrow_floats_widen_to_the_same_values(values):
    narrow = np.array(values, np.float32)
    wide = taken(narrow, dtype="float64")["x"]
    assert np.array_equal(wide.astype(np.float32), narrow, equal_nan=True)
    assert np.array_equal(taken(wide, dtype="float32")["x"], narrow, equal_nan=True)


def test_flags_and_bools_come_as_they_are():
    assert taken([True, False], dtype="bool")["x"].tolist() == [True, False]
    assert taken([True, False], dtype="int8")["x"].tolist() == [1, 0]
    assert taken(np.array([160, 0, 32], np.int64), kind="flags", vocabulary=MASKS)["x"].tolist() == [160, 0, 32]


MOMENTS = {
    "nanoseconds": [START, None],
    "text": ["2024-01-01", None],
    "text with a zone": ["2024-01-01T01:00:00+01:00", None],
    "datetimes": [dt.datetime(2024, 1, 1, tzinfo=dt.UTC), None],
    "naive datetimes": [dt.datetime(2024, 1, 1), None],  # noqa: DTZ001 - without a zone it is UTC
    "dates": [dt.date(2024, 1, 1), None],
    "timestamps": [pd.Timestamp("2024-01-01"), pd.NaT],
    "NumPy scalars": [np.datetime64("2024-01-01"), np.datetime64("NaT", "ns")],
    "days": np.array(["2024-01-01", "NaT"], "datetime64[D]"),
    "years": np.array(["2024", "NaT"], "datetime64[Y]"),
    "big-endian milliseconds": np.array(["2024-01-01", "NaT"], ">M8[ms]"),
    "steps of 25 s": np.array(["2024-01-01", "NaT"], "datetime64[25s]"),
    "masked": np.ma.MaskedArray([START, 5], [False, True]),
    "series": pd.Series(pd.to_datetime(["2024-01-01", None])),
    "index with a zone": pd.DatetimeIndex(["2024-01-01T01:00", None], tz="Europe/Paris"),
    "Arrow strings": pd.array(["2024-01-01", None], dtype="string"),
    "DataArray": xr.DataArray(np.array(["2024-01-01", "NaT"], "datetime64[ns]")),
}


@pytest.mark.parametrize("form", MOMENTS)
def test_moments_come_in_every_form(form):
    frame = taken(MOMENTS[form], kind="time", nullable=True)
    assert frame["x"].view(np.int64)[0] == START
    assert frame.valid("x").tolist() == [True, False]


def test_finer_moments_are_taken_where_they_are_whole_nanoseconds():
    assert taken(np.array([5000, -1000]).view("datetime64[ps]"), kind="time")["x"].view(np.int64).tolist() == [5, -1]
    with pytest.raises(InvalidInput, match="row 1 holds"):
        taken(np.array([5000, 1001]).view("datetime64[ps]"), kind="time")


TEXTS = {
    "list": ["buy", None, "sell", "buy"],
    "objects": np.array(["buy", None, "sell", "buy"], object),
    "padded text": np.ma.MaskedArray(np.array(["buy", "?", "sell", "buy"]), [False, True, False, False]),
    "padded bytes": np.ma.MaskedArray(np.array([b"buy", b"?", b"sell", b"buy"]), [False, True, False, False]),
    "NumPy strings": np.array(["buy", None, "sell", "buy"], np.dtypes.StringDType(na_object=None)),
    "categorical": pd.Categorical(["buy", None, "sell", "buy"]),
    "series": pd.Series(["buy", None, "sell", "buy"]),
    "series of objects": pd.Series(["buy", np.nan, "sell", "buy"], dtype=object),
    "series of Python strings": pd.Series(["buy", pd.NA, "sell", "buy"], dtype="string[python]"),
    "labels": Labels(np.array([2, -1, 0, 2]), ("sell", "none", "buy")),
    "labels that repeat": Labels(np.array([2, -1, 0, 1]), ("sell", "buy", "buy")),
    "ragged text": Ragged.from_values(["buy", None, "sell", "buy"], text=True),
    "ragged bytes": Ragged.from_values([b"buy", None, b"sell", b"buy"], text=False),
}


@pytest.mark.parametrize("form", TEXTS)
@pytest.mark.parametrize("kind", ["dictionary", "vocabulary", "text", "bytes"])
def test_texts_come_in_every_form(form, kind):
    frame = taken(TEXTS[form], kind=kind, vocabulary=VOCABULARY if kind == "vocabulary" else (), nullable=True)
    assert frame.valid("x").tolist() == [True, False, True, True]
    if kind == "vocabulary":
        assert frame["x"].tolist() == [1, 0, -1, 1]
    else:
        wanted = ["buy", None, "sell", "buy"]
        assert kind != "dictionary" or len(set(frame["x"].labels)) == len(frame["x"].labels)
        assert frame["x"].tolist() == ([text and text.encode() for text in wanted] if kind == "bytes" else wanted)


def test_codes_of_a_vocabulary_are_taken_as_they_are():
    assert taken([1, -1, 0], kind="vocabulary", vocabulary=VOCABULARY)["x"].tolist() == [1, -1, 0]
    masked = np.ma.MaskedArray([1, 99], [False, True])
    assert taken(masked, kind="vocabulary", vocabulary=VOCABULARY, nullable=True)["x"].tolist() == [1, 0]


def test_labels_are_numbered_in_order_of_first_appearance():
    values = np.tile(np.array(["b", "a", "c"]), 50_000)
    labels = taken(values, kind="dictionary")["x"]
    assert labels.labels == ("b", "a", "c")
    assert np.array_equal(labels.codes, np.tile([0, 1, 2], 50_000))


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)))
def test_numpys_padded_texts_lose_nothing_but_their_padding(texts):
    for values in (np.array(texts, "U8"), np.array([text.encode() for text in texts], "S24"), np.array(texts, np.dtypes.StringDType())):
        assert taken(values, kind="text")["x"].tolist() == texts


@given(st.lists(st.none() | st.binary(max_size=5)))
def test_bytes_are_kept_whatever_they_are(values):
    assert taken(values, kind="bytes", nullable=True)["x"].tolist() == values


def test_text_is_utf8_as_a_whole_and_row_by_row():
    long = "日" * (2 << 20)  # characters that straddle every block of the check
    assert taken(["x", long, "é"], kind="text")["x"].tolist() == ["x", long, "é"]


def test_bytes_under_a_null_are_dropped():
    data = Ragged(np.frombuffer(b"abcdef", np.uint8), np.array([1, 2, 4, 6]), valid=np.array([True, False, True]))
    rows = taken(data, kind="bytes", nullable=True).rows
    assert rows.arrays["x"].tobytes() == b"bef"
    assert rows.arrays["x_count"].tolist() == [1, 0, 2]


EXACT = decimal.Decimal("-12.3400")


DECIMALS = {
    "decimals": [EXACT, None],
    "text": ["-12.34", None],
    "text with an exponent": ["-1234e-2", None],
    "floats": [-12.34, None],
    "NumPy floats": [np.float64(-12.34), None],
    "masked": np.ma.masked_invalid([-12.34, np.nan]),
    "NumPy strings": np.array(["-12.340", ""], np.dtypes.StringDType()),
    "more places": Decimals(np.array([-1_234_000, 7]), 5, np.array([True, False])),
    "fewer places": Decimals(np.array([-1234, 7]), 2, np.array([True, False])),
}


@pytest.mark.parametrize("form", DECIMALS)
def test_decimals_come_in_every_form(form):
    valid = [True, False] if form == "NumPy strings" else None
    frame = taken(DECIMALS[form], kind="decimal", places=4, nullable=True, valid=valid)
    assert frame["x"].tolist() == [EXACT, None]
    assert frame.rows.arrays["x"].tolist() == [-123_400, 0]


@given(st.integers(0, 18), st.lists(st.integers(-(10**15), 10**15), min_size=1))
def test_doubles_nearest_to_decimals_become_those_decimals(places, mantissas):
    doubles = np.asarray(Decimals(np.array(mantissas), places))
    assert taken(doubles, kind="decimal", places=places).rows.arrays["x"].tolist() == mantissas


@given(st.integers(0, 18), st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1))
def test_decimals_as_text_are_exact(places, mantissas):
    texts = [str(value) for value in Decimals(np.array(mantissas), places)]
    assert taken(texts, kind="decimal", places=places).rows.arrays["x"].tolist() == mantissas


def test_levels_come_as_an_array_or_as_lists():
    wanted = [[1.0, 2.0], [3.0, 4.0]]
    for values in (wanted, np.array(wanted), [np.array(row) for row in wanted], np.array(wanted).T.copy().T, np.array(wanted, np.float32)):
        assert taken(values, levels=2)["x"].tolist() == wanted
    hidden = np.ma.MaskedArray(wanted, [[True, True], [False, False]])
    for values in ([None, [3, 4]], hidden):
        frame = taken(values, levels=2, nullable=True)
        assert frame.valid("x").tolist() == [False, True]
        assert np.isnan(frame["x"][0]).all()


def test_nan_is_a_value_but_in_pandas():
    values = np.array([np.nan, 1.0])
    assert taken(values, nullable=True).valid("x") is None
    assert taken(pd.Series(values), nullable=True).valid("x").tolist() == [False, True]
    assert taken(pd.Series(values)).valid("x") is None
    assert taken(pd.array([None, 1.0], dtype="Float64"), nullable=True).valid("x").tolist() == [False, True]


def test_validity_may_stand_beside_a_column():
    frame = taken([1.5, 2.5], valid=[True, False], nullable=True)
    assert frame.valid("x").tolist() == [True, False]
    assert np.isnan(frame["x"][1])
    assert taken([1.5, 2.5], valid=[True, True]).valid("x") is None
    assert taken([1.5, None], valid=[False, True], nullable=True).rows.arrays.keys() == {"time"}


def test_what_lies_under_nulls_is_not_looked_at(schema):
    valid = np.array([True, False])
    data = {
        "time": [1, 2],
        "price": [1.5, "?"],
        "count": np.array([1, -1]),
        "side": np.array([1, 55]),
        "flags": np.array([128, 1]),
        "instrument": Labels(np.array([0, 77]), ("a",)),
        "fee": [1.25, float("inf")],
        "note": Ragged(np.array([65, 0xFF], np.uint8), np.array([0, 1, 2])),
        "exchange_time": np.array([0, 2**63 - 1]).view("datetime64[s]"),
    }
    beside = {f"{name}_valid": valid for name in data if name != "time"}
    frame = Frame(rows_from(data | beside, schema))
    assert all(frame.valid(name).tolist() == [True, False] for name in data if name != "time")
    assert rows_from(frame, schema).arrays["note"].tobytes() == b"A"


def test_the_array_that_was_given_is_never_changed():
    values = np.array([1.0, 2.0])
    taken(np.ma.MaskedArray(values, [False, True]), nullable=True)
    taken(pd.Series(values), nullable=True)
    taken(values, valid=[True, False], nullable=True)
    assert values.tolist() == [1.0, 2.0]


def test_a_structured_array_is_a_mapping_of_its_fields():
    schema = Schema(name="s", columns=(Column(name="time", kind="time"), Column(name="x")))
    data = np.array([(1, 0.5), (2, 1.5)], [("time", "i8"), ("x", "f8")])
    rows = rows_from(data, schema)
    assert rows.arrays["x"].tolist() == [0.5, 1.5]
    assert rows.arrays["x"].flags.c_contiguous


def test_the_index_of_a_dataframe_is_its_axis(schema):
    index = pd.DatetimeIndex(["2024-01-01", "2024-01-02"])
    for table in (pd.DataFrame({"price": [1.0, 2.0]}, index), pd.DataFrame({"price": [1.0, 2.0]}, index.rename("time"))):
        assert rows_from(table, schema).arrays["time"].tolist() == [START, START + 86_400 * 10**9]
    both = pd.MultiIndex.from_arrays([index, ["a", "b"]], names=["time", "instrument"])
    assert Frame(rows_from(pd.DataFrame({"price": [1.0, 2.0]}, both), schema))["instrument"].tolist() == ["a", "b"]


def test_a_dataset_of_ones_own_may_have_other_coordinates_and_dimensions(schema):
    data = xr.Dataset(
        {"price": ("row", [1.0, 2.0]), "bids": (("row", "level"), [[1.0, 2.0], [3.0, 4.0]]), "note": ("row", np.array(["a", "b"]))},
        coords={"time": ("row", pd.DatetimeIndex(["2024-01-01", "2024-01-02"])), "level": [0, 1], "row": [5, 6]},
    )
    frame = Frame(rows_from(data, schema))
    assert frame["note"].tolist() == ["a", "b"]
    assert frame["bids"].tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_codes_with_another_vocabulary_go_by_their_meaning(frame, schema):
    ours = Schema(
        name="s", columns=(Column(name="time", kind="time"), Column(name="side", kind="vocabulary", vocabulary=(("sell", 0), ("buy", 1))))
    )
    data = {"time": [1, 2], "side": np.array([0, 1], np.int8)}
    theirs = Frame(rows_from(data, ours))
    assert Frame(rows_from(theirs, schema))["side"].tolist() == [-1, 1]
    assert Frame(rows_from(theirs.to_xarray(), schema))["side"].tolist() == [-1, 1]
    assert Frame(rows_from(theirs.to_arrow(), schema))["side"].tolist() == [-1, 1]


def test_rows_in_order_of_arrival_may_step_back_in_time():
    arrival = Schema(name="s", order="arrival", columns=(Column(name="time", kind="time"),))
    assert rows_from({"time": [2, 1, 3]}, arrival).arrays["time"].tolist() == [2, 1, 3]


@given(st.lists(st.integers(0, 9), max_size=8), st.sampled_from([0, 1, BLOCK_ROWS - 2, BLOCK_ROWS, 2 * BLOCK_ROWS - 1]))
def test_the_first_step_back_is_found_wherever_it_is(tail, before):
    times = np.concatenate([np.zeros(before, np.int64), np.array(tail, np.int64)])
    steps = [row for row in range(1, len(tail)) if tail[row] < tail[row - 1]]
    assert first_step_back(times) == (before + steps[0] if steps else None)


def test_datasets_with_undecoded_units_of_their_own_are_sent_to_decoding(schema):
    data = xr.Dataset({"time": ("time", [0, 1], {"units": "seconds since 2024-01-01"})})
    with pytest.raises(InvalidInput, match=r"xarray\.decode_cf"):
        rows_from(data, schema)
    assert rows_from(xr.decode_cf(data), schema).arrays["time"].tolist() == [START, START + 10**9]


def test_a_plain_dict_of_stored_types_reads_as_any_other_mapping_does() -> None:
    schema = schema_by_name("trades")
    data = {
        "time": np.arange(5, dtype=np.int64),
        "price": np.array([1.0, np.nan, -0.0, 3.0, 4.0]),
        "size": np.arange(10.0)[::2],
        "side": np.array([1, -1, 1, -1, 1], np.int8),
        "flags": np.zeros(5, np.uint8),
    }
    quick, careful = rows_from(data, schema), rows_from(MappingProxyType(data), schema)
    assert quick.count == careful.count == 5
    assert {name: array.tobytes() for name, array in quick.arrays.items()} == {n: a.tobytes() for n, a in careful.arrays.items()}
    for name, wrong in {"side": np.full(5, 9, np.int8), "flags": np.full(5, 255, np.uint8), "time": np.full(5, -(1 << 63))}.items():
        with pytest.raises(InvalidInput) as told:
            rows_from(data | {name: wrong}, schema)
        with pytest.raises(InvalidInput) as told_carefully:
            rows_from(MappingProxyType(data | {name: wrong}), schema)
        assert told.value.problems == told_carefully.value.problems
