"""Bad input is refused with every problem, each naming the column, the row, the value and the remedy."""

import subprocess
import sys
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import xarray as xr

from arraystore.errors import InvalidInput
from arraystore.frames.columns import Decimals, Labels, Ragged
from arraystore.frames.frame import Frame
from arraystore.frames.intake import rows_from
from arraystore.frames.texts import SCAN_BYTES
from layouts.schema import Column, Schema
from layouts.windows import AXIS_MAX, AXIS_MIN

VOCABULARY = (("buy", 1), ("sell", -1))
MASKS = (("last", 128), ("snapshot", 32))


def refusals(data, schema):
    with pytest.raises(InvalidInput) as caught:
        rows_from(data, schema)
    return list(map(str, caught.value.problems))


def refusal(values, *, valid=None, **column):
    """The only problem of one column's values."""
    schema = Schema(name="s", order="arrival", columns=(Column(name="time", kind="time"), Column(name="x", **column)))
    beside = {} if valid is None else {"x_valid": valid}
    (problem,) = refusals({"time": np.arange(2), "x": values} | beside, schema)
    assert problem.startswith("column 'x")
    return problem


NUMBERS = {
    "float for int": (np.array([1.0, 2.0]), "int64", "holds float64 where int64 is wanted; where all are whole numbers"),
    "int for bool": ([0, 1], "bool", "holds int64 where bool is wanted; convert 0 and 1 with .astype('bool')"),
    "too large": ([1, 256], "uint8", "row 1 holds 256, which uint8 can't hold (0 to 255); declare a wider type"),
    "negative": (np.array([1, -1]), "uint64", "row 1 holds -1, which uint64 can't hold (0 to 18446744073709551615)"),
    "wrapping": (np.array([0, 2**63], np.uint64), "int64", "row 1 holds 9223372036854775808, which int64 can't hold"),
    "beyond 64 bits": ([0, 2**64], "uint64", "holds int objects that uint64 can't hold; declare another type"),
    "inexact int": (np.array([1, 2**53 + 1]), "float64", "row 1 holds 9007199254740993, which float64 can't hold exactly"),
    "largest int": (np.array([1, 2**63 - 1]), "float64", "row 1 holds 9223372036854775807, which float64 can't hold exactly"),
    "inexact int among floats": ([0.5, 2**53 + 1], "float64", "row 1 holds 9007199254740993, which float64 can't hold exactly"),
    "inexact float": (np.array([0.5, 0.1]), "float32", "row 1 holds 0.1, which float32 can't hold exactly; declare a wider type"),
    "overflowing float": (np.array([0.5, 1e300]), "float32", "row 1 holds 1e+300, which float32 can't hold"),
    "text": (["0.5", "1"], "float64", "row 0 holds '0.5', a str, where float64 is wanted; convert it before"),
    "padded text": (np.array(["0.5", "1"]), "float64", "holds text where float64 is wanted"),
    "decimals": ([Decimal(1), Decimal(2)], "float64", "row 0 holds Decimal('1'), a Decimal, where float64 is wanted"),
    "our decimals": (Decimals(np.array([1, 2]), 1), "float64", "holds decimals where float64 is wanted"),
    "labels": (Labels.from_values(["a", "b"]), "float64", "holds labels where float64 is wanted"),
    "times": (np.array([1, 2], "datetime64[s]"), "int64", "holds datetime64[s] where int64 is wanted"),
    "durations": (np.array([1, 2], "timedelta64[s]"), "int64", "holds timedelta64[s] where int64 is wanted"),
    "complex": ([1j, 2j], "float64", "row 0 holds 1j, a complex, where float64 is wanted"),
    "lists": ([[1], [2]], "float64", "row 0 holds [1], a list, where float64 is wanted"),
    "levels that aren't wanted": (np.ones((2, 3)), "float64", "has the shape [2, 3] where [row] is wanted"),
}


@pytest.mark.parametrize("case", NUMBERS)
def test_numbers_that_would_change_are_refused(case):
    values, dtype, message = NUMBERS[case]
    assert message in refusal(values, dtype=dtype)


LEVELS = {
    "too many": (np.ones((2, 3)), "has the shape [2, 3] where [row, 2 levels] is wanted; give every row as many values as the schema says"),
    "none": (np.ones(2), "has the shape [2] where [row, 2 levels] is wanted"),
    "uneven": ([[1, 2], [3]], "rows can't be put into one array of float64"),
    "uneven in Arrow": (pa.array([[1.0, 2.0], [3.0]]), "rows have from 1 to 2 levels; give every row the same number, padded with NaN"),
    "null in Arrow": (pa.array([[1.0, 2.0], [3.0, None]]), "must hold numbers, none of them null; put NaN in empty levels"),
    "texts": ([["a", "b"], ["c", "d"]], "holds text where float64 is wanted"),
    "masked in part": (
        np.ma.MaskedArray(np.ones((2, 2)), [[False, False], [True, False]]),
        "row 1 is masked in part; a row is null as a whole",
    ),
    "inexact": (np.array([[1, 2], [3, 2**53 + 1]]), "row 1 holds [3, 9007199254740993], which float64 can't hold exactly"),
}


@pytest.mark.parametrize("case", LEVELS)
def test_levels_must_be_as_many_in_every_row(case):
    values, message = LEVELS[case]
    assert message in refusal(values, levels=2, nullable=True)


TIMES = {
    "floats": ([0.5, 1.5], "row 0: 0.5 can't be taken: give nanoseconds since 1970 UTC as an int, ISO 8601 text, or a datetime"),
    "float array": (
        np.array([0.5, 1.5]),
        "which are no times; give datetime64, int64 nanoseconds since 1970 UTC, datetimes, or ISO 8601 text",
    ),
    "nonsense": (["2024-01-01", "yesterday"], "row 1: 'yesterday' can't be taken: write ISO 8601"),
    "too early": (np.array(["2024", "1500"], "datetime64[Y]"), "row 1 holds 1500, which int64 nanoseconds since 1970 can't hold"),
    "too late": (np.array(["2024-01-01", "2262-04-12"], "datetime64[D]"), "row 1 holds 2262-04-12, which int64 nanoseconds since 1970"),
    "far too late": (np.array([0, 2**62], "datetime64[s]"), "row 1 holds 146"),
    "wide": (np.zeros((2, 2), "datetime64[ns]"), "holds datetime64[ns] of shape [2, 2], which are no times"),
    "beyond int64": (np.array([0, 2**63], np.uint64), "row 1 holds 9223372036854775808, which int64 can't hold"),
    "bytes": (Ragged.from_values([b"a", b"b"], text=False), "holds bytes, which are no times"),
    "durations": (np.array([1, 2], "timedelta64[s]"), "holds timedelta64[s] of shape [2], which are no times"),
}


@pytest.mark.parametrize("case", TIMES)
def test_what_is_no_moment_is_refused(case):
    values, message = TIMES[case]
    assert message in refusal(values, kind="time")


DECIMALS = {
    "more places": (["1.25", "1.255"], "row 1 holds '1.255', which isn't a decimal of 2 places with a mantissa of 64 bits; round it"),
    "double between": (np.array([0.5, 0.1 + 0.2]), "row 1 holds 0.30000000000000004, which isn't a decimal of 2 places"),
    "double of many digits": (
        np.array([0.5, 2e13]),
        "row 1 holds 20000000000000.0, of which a float tells too few digits for 2 places; give text",
    ),
    "infinite double": (np.array([0.5, np.inf]), "row 1 holds inf"),
    "nan": (np.array([0.5, np.nan]), "row 1 holds nan, which isn't a decimal"),
    "infinite": ([Decimal(1), Decimal("Infinity")], "row 1 holds Decimal('Infinity')"),
    "signalling": ([Decimal(1), Decimal("sNaN")], "row 1 holds Decimal('sNaN')"),
    "too many digits": ([1, 10**18], "row 1 holds 1000000000000000000, which isn't a decimal of 2 places with a mantissa of 64 bits"),
    "far too many digits": (["1", "1e999999"], "row 1 holds '1e999999'"),
    "one digit at the end": (["1", f"1.{'0' * 99}1"], "row 1 holds '1.000"),
    "no number": (["1", "one"], "row 1 holds 'one', which isn't a decimal"),
    "our own with more places": (Decimals(np.array([1000, 1005]), 3), "row 1 holds 1.005, which isn't a decimal of 2 places"),
    "our own too large": (Decimals(np.array([1, 2**62]), 0), "row 1 holds 4611686018427387904, which isn't"),
    "our own too far below 0": (Decimals(np.array([1, -(2**62)]), 0), "row 1 holds -4611686018427387904, which isn't"),
    "Arrow's with more digits": (
        pa.array([Decimal(1), Decimal(2**64)], pa.decimal128(38, 0)),
        "row 1 holds 18446744073709551616, more digits",
    ),
    "bools": (np.array([True, False]), "holds bool of shape [2] where decimals are wanted; give Decimals, text or numbers"),
    "objects": ([object(), 1], "row 0 holds <object object"),
}


@pytest.mark.parametrize("case", DECIMALS)
def test_decimals_that_would_be_rounded_are_refused(case):
    values, message = DECIMALS[case]
    assert message in refusal(values, kind="decimal", places=2)


CODES = {
    "unknown meaning": (["buy", "hold"], "row 1 holds 'hold'; the vocabulary has buy (1), sell (-1)"),
    "unknown code": ([1, 5], "row 1 holds the code 5; the vocabulary has buy (1), sell (-1)"),
    "code beyond the type": ([1, 300], "row 1 holds 300, which int8 can't hold (-128 to 127)"),
    "unknown label": (pd.Categorical(["buy", "hold"]), "row 1 holds 'hold'; the vocabulary has"),
    "unknown label in Arrow": (pa.array(["buy", "hold"]).dictionary_encode(), "row 1 holds 'hold'; the vocabulary has"),
    "floats": (np.array([1.0, -1.0]), "holds float64 where int8 is wanted"),
    "unknown code of theirs": (xr.DataArray([1, 7]), "row 1 holds the code 7"),
}


@pytest.mark.parametrize("case", CODES)
def test_codes_and_meanings_outside_of_the_vocabulary_are_refused(case):
    values, message = CODES[case]
    assert message in refusal(values, kind="vocabulary", vocabulary=VOCABULARY)


def test_bits_without_a_meaning_are_refused():
    message = "row 1 holds 161, of which the bits 1 mean nothing; the vocabulary has last (128), snapshot (32)"
    assert message in refusal([160, 161], kind="flags", vocabulary=MASKS)
    assert "row 1 holds 256, which uint8 can't hold" in refusal([160, 256], kind="flags", vocabulary=MASKS)


def test_codes_of_another_vocabulary_that_mean_nothing_are_refused():
    schema = Schema(name="s", columns=(Column(name="time", kind="time"), Column(name="x", kind="vocabulary", vocabulary=VOCABULARY)))
    data = xr.Dataset({"time": [1, 2], "x": ("time", np.array([0, 9]), {"flag_values": [0, 1], "flag_meanings": "buy sell"})})
    assert refusals(data, schema) == ["column 'x': row 1 holds 'code 9'; the vocabulary has buy (1), sell (-1)"]


LABELS = {
    "numbers": ([1, 2], "row 0 holds 1, a int, where text is wanted; convert it with str()"),
    "number array": (np.array([1, 2]), "holds int64 where labels are wanted; give texts, or Labels(codes, labels)"),
    "code beyond": (
        Labels(np.array([0, 1]), ("a",)),
        "row 1 holds the code 1, where there are 1 labels; codes count them from 0, and -1 is null",
    ),
    "code below": (Labels(np.array([0, -2]), ("a",)), "row 1 holds the code -2, where there are 1 labels"),
    "codes of floats": (Labels(np.array([0.0, 1.0]), ("a", "b")), "its codes are float64 of shape [2]"),
    "labels of numbers": (Labels(np.array([0, 1]), (1, 2)), "row 0 holds 1, a int, where text is wanted"),
    "surrogates": (["a", "\ud800"], "isn't valid UTF-8"),
    "bytes that are no text": ([b"a", b"\xff"], "the label b'\\xff' isn't valid UTF-8"),
    "text that is none": (
        Ragged(np.array([65, 255], np.uint8), np.arange(3), text=True),
        "isn't valid UTF-8; keep raw bytes in a bytes column",
    ),
    "lists": ([["a"], ["b"]], "holds objects that are no texts"),
}


@pytest.mark.parametrize("case", LABELS)
def test_labels_that_are_no_texts_are_refused(case):
    values, message = LABELS[case]
    assert message in refusal(values, kind="dictionary", nullable=True)


TEXTS = {
    "numbers": (["a", 1], "row 1 holds 1, a int, where text is wanted; give str or bytes"),
    "number array": (np.array([1, 2]), "holds int64 where text is wanted; give str, bytes, or Ragged(data, offsets)"),
    "bytes that are no text": ([b"a", b"\xff"], "row 1 isn't valid UTF-8; make the column one of bytes"),
    "characters cut in two": (["é".encode()[:1], "é".encode()[1:]], "isn't valid UTF-8"),
    "surrogates": (["a", "\ud800"], "can't be UTF-8 (surrogates not allowed); lone surrogates aren't text"),
    "padded surrogates": (np.array(["a", "\ud800"]), "can't be UTF-8 (surrogates not allowed)"),
    "Arrow's that is none": (pa.array([b"a", b"\xff"]).view(pa.string()), "row 1 isn't valid UTF-8"),
    "offsets that go back": (
        Ragged(np.zeros(5, np.uint8), np.array([0, 4, 2])),
        "row 1 goes from byte 4 to 2; a row has from 0 to 4294967295 bytes",
    ),
    "offsets beyond": (Ragged(np.zeros(5, np.uint8), np.array([0, 4, 6])), "its offsets go from 0 to 6, outside of the 5 bytes there are"),
    "offsets of another type": (Ragged(np.zeros(5, np.uint8), np.zeros(3, np.int32)), "its data must be uint8 and its offsets int64"),
}


@pytest.mark.parametrize("case", TEXTS)
def test_texts_that_are_none_are_refused(case):
    values, message = TEXTS[case]
    assert message in refusal(values, kind="text")


@pytest.mark.parametrize("after", [0, 1, 1 << 23])
def test_a_character_cut_at_the_end_of_a_block_is_found(after):
    schema = Schema(name="s", columns=(Column(name="time", kind="time"), Column(name="x", kind="text")))
    cut = b"b" * (SCAN_BYTES - 2) + b"\xc3" + b"c" * after
    assert "row 1 isn't valid UTF-8" in refusals({"time": [1, 1], "x": [b"a", cut]}, schema)[0]


def test_a_cut_character_is_found_however_far_in():
    long = ("日" * (3 << 20)).encode()
    assert (
        "row 2 isn't valid UTF-8"
        in refusals(
            {"time": [1, 1, 1], "x": [b"", long, long[:-1]]},
            Schema(name="s", columns=(Column(name="time", kind="time"), Column(name="x", kind="text"))),
        )[0]
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.5, None], "row 1 is null, and the column isn't nullable; give a value, or declare nullable=True"),
        ([None, None], "row 0 (and 1 more) is null, and the column isn't nullable"),
        (np.ma.MaskedArray([1.5, 2.5], [True, False]), "row 0 is null, and the column isn't nullable"),
        (pa.array([1.5, None]), "row 1 is null, and the column isn't nullable"),
        (pa.nulls(2), "row 0 (and 1 more) is null, and the column isn't nullable"),
        (pd.array([1.5, None], dtype="Float64"), "row 1 is null, and the column isn't nullable"),
    ],
)
def test_nulls_are_refused_where_there_may_be_none(values, message):
    assert message in refusal(values)


@pytest.mark.parametrize(
    ("kind", "values"), [("time", ["NaT", "2024"]), ("dictionary", [None, "a"]), ("text", [None, "a"]), ("bytes", [None, b"a"])]
)
def test_every_kind_tells_its_nulls(kind, values):
    values = np.array(values, "datetime64[s]") if kind == "time" else values
    assert "row 0 is null, and the column isn't nullable" in refusal(values, kind=kind)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("text", "a str isn't a column; give an array or a list with one value per row"),
        (b"bytes", "a bytes isn't a column"),
        (5, "a int isn't a column"),
        (None, "a NoneType isn't a column"),
        ({"a": 1}, "a dict isn't a column"),
        (np.array(5), "is a single value; give an array with one value per row"),
        (pa.array([{"a": 1}, {"a": 2}]), "the Arrow type struct<a: int64> has no place in any kind of column"),
        (pa.array([1, 2], pa.duration("s")), "the Arrow type duration[s] has no place in any kind of column"),
    ],
)
def test_what_is_no_column_is_refused(value, message):
    assert message in refusal(value)


@pytest.mark.parametrize(
    ("valid", "message"),
    [
        ([1, 0], "column 'x_valid': holds int64, and must be one bool per row; convert it with .astype(bool)"),
        ([True], "column 'x_valid': has 1 rows where there are 2; give one bool per row"),
        ([True, None], "column 'x_valid': must be one bool per row, none of them null"),
        (np.ones((2, 2), bool), "column 'x_valid': must be one bool per row"),
    ],
)
def test_validity_beside_a_column_is_one_bool_per_row(valid, message):
    assert message in refusal([1.5, 2.5], valid=valid, nullable=True)


def test_validity_without_its_column_is_refused():
    schema = Schema(name="s", columns=(Column(name="time", kind="time"), Column(name="x", nullable=True)))
    assert refusals({"time": [1, 2], "x_valid": [False, True]}, schema) == [
        "column 'x_valid': says that row 1 has a value, and 'x' is missing; give it too"
    ]
    assert rows_from({"time": [1, 2], "x_valid": [False, False]}, schema).count == 2


@pytest.mark.parametrize("data", [5, "file.csv", [{"time": 1}], np.zeros(3), object()], ids=["number", "text", "rows", "array", "object"])
def test_what_is_no_data_is_refused(data, schema):
    (problem,) = refusals(data, schema)
    assert problem.startswith("data: a ")
    assert "give a mapping of columns, a DataFrame, an xarray Dataset or an Arrow table" in problem


def test_an_arrow_stream_that_is_no_table_is_refused(schema):
    assert refusals(pa.chunked_array([[1, 2]]), schema)[0].startswith("data: this Arrow stream can't be read as a table")


def test_names_are_told_with_the_nearest_one(schema):
    problems = refusals({"time": [1], "prize": [1.0], "zzz": [1]}, schema)
    assert problems[0] == "column 'prize': schema 'everything' has no such column; did you mean 'price'?"
    assert problems[1].startswith("column 'zzz': schema 'everything' has no such column; there are time, exchange_time, ")
    assert "column 'a': schema" in refusals(xr.Dataset({"time": [1], "a": ("time", [1])}), schema)[0]
    assert "column 'a': schema" in refusals(pd.DataFrame({"time": [1], "a": [1]}), schema)[0]
    assert "column 'a': schema" in refusals(pa.table({"time": [1], "a": [1]}), schema)[0]


def test_names_that_come_twice_are_told(schema):
    message = "column 'price': comes more than once; give it once"
    assert refusals(pd.DataFrame([[1, 1.0, 2.0]], columns=["time", "price", "price"]), schema) == [message]
    assert refusals(pa.table([[1], [1.0], [2.0]], names=["time", "price", "price"]), schema) == [message]


def test_a_missing_column_is_told_unless_it_is_nullable():
    schema = Schema(name="s", columns=(Column(name="time", kind="time"), Column(name="x"), Column(name="y", nullable=True)))
    assert refusals({"time": [1, 2]}, schema) == ["column 'x': is missing, and isn't nullable; give a value for each of the 2 rows"]
    assert refusals({"x": [1.0]}, schema) == ["column 'time': is missing, and isn't nullable; give a value for each of the 1 rows"]


def test_lengths_are_those_of_the_axis(schema):
    problems = refusals({"price": [1.0], "time": [1, 2], "note": ["a", "b", "c"], "flags": [0, 0]}, schema)
    assert problems == [
        "column 'price': has 1 rows, where 'time' has 2; give every column one value per row",
        "column 'note': has 3 rows, where 'time' has 2; give every column one value per row",
    ]


def test_a_length_is_told_also_where_validity_stands_beside():
    schema = Schema(name="s", columns=(Column(name="time", kind="time"), Column(name="x", nullable=True)))
    told = refusals({"time": [1, 2], "x": [1.5], "x_valid": [True, False]}, schema)
    assert told == ["column 'x': has 1 rows, where 'time' has 2; give every column one value per row"]


def test_time_order_is_told_with_both_rows(schema):
    told = "column 'time': row 3 (1970-01-01T00:00:00.000000007Z) comes before row 2 (1970-01-01T00:00:01Z)"
    remedy = "and rows of one append must be in time order; sort them by 'time', keeping ties as they are"
    assert refusals({"time": [0, 5, 1_000_000_000, 7]}, schema) == [f"{told}, {remedy}"]


@pytest.mark.parametrize("order", ["time", "arrival"])
@pytest.mark.parametrize("time", [AXIS_MIN - 1, AXIS_MAX, -(2**63), 2**63 - 1])
def test_the_axis_stays_within_its_range(order, time):
    schema = Schema(name="s", order=order, columns=(Column(name="time", kind="time"),))
    times = sorted([0, time])
    (problem,) = refusals({"time": times}, schema)
    assert problem.startswith(f"column 'time': row {times.index(time)} holds ")
    assert f"({time} ns)" in problem
    assert "the axis goes from 1678-01-01T00:00:00Z to 2262-01-01T00:00:00Z, which isn't included: is it in nanoseconds" in problem
    assert rows_from({"time": [AXIS_MIN, AXIS_MAX - 1]}, schema).count == 2


def test_all_problems_are_told_at_once(schema):
    data = {
        "time": [2, 1],
        "prize": [1.0, 2.0],
        "price": ["a", "b"],
        "count": [-1, 0],
        "side": ["buy", "hold"],
        "note": [b"\xff", b""],
        "fee": [1.0],
        "bids": "text",
    }
    told = refusals(data, schema)
    assert len(told) == len(data)
    for name in data:
        assert sum(problem.startswith(f"column {name!r}: ") for problem in told) == 1


def test_a_broken_column_is_not_called_missing_too():
    schema = Schema(name="s", columns=(Column(name="time", kind="time"), Column(name="x")))
    assert len(refusals({"time": [1], "x": "text"}, schema)) == 1


ABSENT = """
import sys
sys.modules["pyarrow"] = None  # as if it weren't installed
import numpy as np
from arraystore.errors import InvalidInput
from arraystore.frames.frame import Frame
from arraystore.frames.intake import rows_from
from layouts.schema import Column, Schema

class Stream:
    def __arrow_c_stream__(self, requested_schema=None):
        raise AssertionError("never asked")

schema = Schema(name="s", columns=(Column(name="time", kind="time"), Column(name="x", kind="text"), Column(name="y", kind="dictionary")))
frame = Frame(rows_from({"time": [1, 2], "x": np.array(["a", "b"]), "y": np.array(["b", "a"])}, schema))
assert frame["y"].tolist() == ["b", "a"]
taking = (lambda: rows_from(Stream(), schema), lambda: rows_from({"time": [1, 2], "x": Stream()}, schema))
for call in (*taking, frame.to_arrow, frame["x"].to_arrow, frame.to_polars):
    try:
        call()
    except InvalidInput as error:
        assert "needs pyarrow, which isn't installed; pip install 'arraystore[arrow]'" in str(error), error
    else:
        raise AssertionError("it went through")
"""


def test_without_pyarrow_all_else_works_and_the_error_names_the_extra():
    subprocess.run([sys.executable, "-c", ABSENT], check=True, timeout=60)


def test_libraries_are_loaded_when_they_are_used():
    libraries = ("pandas", "polars", "pyarrow", "xarray")
    code = f"import sys, arraystore.frames.frame, arraystore.frames.intake; print([name for name in {libraries} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], check=True, timeout=60, capture_output=True, text=True)
    assert found.stdout == "[]\n"


def test_a_refused_frame_names_what_differs(frame):
    other = Schema(name="other", columns=(Column(name="time", kind="time"), Column(name="price", nullable=True)))
    assert any("column 'note': schema 'other' has no such column" in problem for problem in refusals(frame, other))
    assert rows_from(Frame(frame.rows.project(["time", "price"])), other).count == 3
