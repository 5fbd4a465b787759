"""Numbers, times and words of files become exactly what they say."""

from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import arraystore
from tests.ingest.conftest import DAY, mapping, written

OWN = [{"name": "time", "kind": "time"}]


def one_column(
    store: arraystore.Store, path: Path, texts: list[str], column: dict[str, Any], spec: dict[str, Any], **file: Any
) -> arraystore.Frame:
    """Ingest texts as the column `x`."""
    written(path, "time,x\n" + "".join(f"{DAY},{text}\n" for text in texts))
    schema = {"name": "own", "columns": [*OWN, {"name": "x", **column}]}
    own = {"schema": schema, "file": file, "columns": {"time": {"from": "time", "unit": "iso"}, "x": {"from": "x", **spec}}}
    key = f"v/own/{len(store.canonical.find())}"
    arraystore.ingest(store, path, mapping=own, into=f"canonical/{key}")
    return store.canonical[key].read()


@pytest.fixture
def column(store: arraystore.Store, tmp_path: Path) -> Any:
    def ingested(texts: list[str], column: dict[str, Any] | None = None, **spec: Any) -> Any:
        return one_column(store, tmp_path / "x.csv", texts, column or {}, spec)["x"]

    return ingested


def moments(store: arraystore.Store, path: Path, texts: list[str], **spec: Any) -> list[str]:
    """Ingest texts as times that needn't be in order."""
    return [str(time) for time in one_column(store, path, texts, {"kind": "time", "nullable": True}, spec)["x"]]


@pytest.mark.parametrize(
    ("texts", "unit", "expected"),
    [
        (["1.5", "86399.999999999"], "s", ["1970-01-01T00:00:01.500000000", "1970-01-01T23:59:59.999999999"]),
        (["43.142", "0.0001"], "ms", ["1970-01-01T00:00:00.043142000", "1970-01-01T00:00:00.000000100"]),
        (["1577836800102345", "-1"], "us", ["2020-01-01T00:00:00.102345000", "1969-12-31T23:59:59.999999000"]),
        (["1577836800102345678"], "ns", ["2020-01-01T00:00:00.102345678"]),
        (
            ["1577836800", "1577836800001", "1577836800000002", "1577836800000000003"],
            "by-size",
            [f"2020-01-01T00:00:00.{x}" for x in ("000000000", "001000000", "000002000", "000000003")],
        ),
        (
            ["2020-01-01T00:00:00.123456789Z", "2020-01-01 02:00:00+02:00"],
            "iso",
            ["2020-01-01T00:00:00.123456789", "2020-01-01T00:00:00.000000000"],
        ),
        (
            ["2020-01-01 01:00:00.123456789 +01:00", "2019-12-31T19:00:00 -0500", "2020-01-01 00:00 +00", "2020-01-01 00:00:00.5 Z"],
            "iso",
            [f"2020-01-01T00:00:00.{x}" for x in ("123456789", "000000000", "000000000", "500000000")],
        ),
        (["2020-01-01", "2020-01-01T00:00:00.1"], "iso", ["2020-01-01T00:00:00.000000000", "2020-01-01T00:00:00.100000000"]),
        ([""], "ms", ["NaT"]),
    ],
)
def test_times_are_exact_in_every_unit(store: arraystore.Store, tmp_path: Path, texts: list[str], unit: str, expected: list[str]) -> None:
    assert moments(store, tmp_path / "x.csv", texts, unit=unit) == expected


def test_times_of_a_form_of_their_own(store: arraystore.Store, tmp_path: Path) -> None:
    told = moments(store, tmp_path / "x.csv", ["20200101 093000.25"], unit="format", format="%Y%m%d %H%M%S.%f", zone="America/New_York")
    assert told == ["2020-01-01T14:30:00.250000000"]


@pytest.mark.parametrize(
    ("text", "spec", "expected"),
    [
        ("2024-03-10 01:59:59", {}, "2024-03-10T06:59:59.000000000"),
        ("2024-03-10 03:00:00", {}, "2024-03-10T07:00:00.000000000"),
        ("2024-03-10 02:30:00", {"gap": "later"}, "2024-03-10T07:00:00.000000000"),
        ("2024-11-03 01:30:00", {"fold": "earlier"}, "2024-11-03T05:30:00.000000000"),
        ("2024-11-03 01:30:00", {"fold": "later"}, "2024-11-03T06:30:00.000000000"),
    ],
)
def test_wall_clock_times_become_moments(store: arraystore.Store, tmp_path: Path, text: str, spec: dict[str, str], expected: str) -> None:
    assert moments(store, tmp_path / "x.csv", [text], unit="iso", zone="America/New_York", **spec) == [expected]


@pytest.mark.parametrize("text", ["2024-03-10 02:30:00", "2024-11-03 01:30:00"])
def test_wall_clock_times_that_are_skipped_or_repeated_are_refused_unless_chosen(
    store: arraystore.Store, tmp_path: Path, text: str
) -> None:
    with pytest.raises(arraystore.InvalidInput, match=r"line 2: column 'x' .*say which is meant"):
        moments(store, tmp_path / "x.csv", [text], unit="iso", zone="America/New_York")


@pytest.mark.parametrize(("text", "unit"), [("1.5", "ns"), ("1.0000001", "ms"), ("9300000000", "s"), ("1e3x", "us")])
def test_times_that_cannot_be_exact_are_refused(store: arraystore.Store, tmp_path: Path, text: str, unit: str) -> None:
    with pytest.raises(arraystore.InvalidInput, match="line 2"):
        moments(store, tmp_path / "x.csv", [text], unit=unit)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(numbers=st.lists(st.tuples(st.integers(-(10**18), 10**18), st.integers(0, 12)), min_size=1, max_size=20))
def test_decimal_texts_become_the_nearest_double_and_exact_multiples(column: Any, numbers: list[tuple[int, int]]) -> None:
    texts = [f"{mantissa}e-{places}" for mantissa, places in numbers]
    assert column(texts).tolist() == [float(text) for text in texts]
    for scale in ("0.01", "1e-9", "100", "1/32"):
        assert column(texts, scale=scale).tolist() == [float(Fraction(text) * Fraction(scale)) for text in texts]


def test_scaled_whole_numbers_are_the_nearest_double(column: Any) -> None:
    numbers = [*np.random.default_rng(3).integers(-(2**53), 2**53, 2_000).tolist(), 2**63 - 1, -(2**62) - 1]
    assert column([str(number) for number in numbers], scale="1e-8").tolist() == [float(Fraction(number, 10**8)) for number in numbers]


def test_scaled_numbers_may_be_whole_or_decimals(column: Any) -> None:
    assert column(["1.25", "-3"], {"dtype": "int64"}, scale=100).tolist() == [125, -300]
    assert [str(value) for value in column(["125", "-3"], {"kind": "decimal", "places": 4}, scale="0.01")] == ["1.2500", "-0.0300"]
    with pytest.raises(arraystore.InvalidInput, match="isn't a whole number"):
        column(["1.255"], {"dtype": "int64"}, scale=100)


@pytest.mark.parametrize(
    ("dtype", "texts", "expected"),
    [
        ("float32", ["0.1", "16777217"], [np.float32("0.1"), np.float32(16777216)]),
        ("uint64", ["18446744073709551615"], [2**64 - 1]),
        ("int8", ["-128"], [-128]),
        ("bool", ["true", "0", "1", "false"], [True, False, True, False]),
    ],
)
def test_numbers_of_every_type(column: Any, dtype: str, texts: list[str], expected: list[Any]) -> None:
    assert column(texts, {"dtype": dtype}).tolist() == expected


def test_words_stand_for_meanings_numbers_and_texts(column: Any) -> None:
    vocabulary = {"kind": "vocabulary", "vocabulary": {"up": 1, "down": 2}}
    assert column(["u", "d", "u"], vocabulary, words={"u": "up", "d": "down"}).tolist() == [1, 2, 1]
    assert column(["yes", "no"], {"dtype": "bool"}, words={"yes": True, "no": False}).tolist() == [True, False]
    assert column(["a", ""], {"dtype": "float64", "nullable": True}, words={"a": 1.5}).tolist()[0] == 1.5
    assert column(["a", "a"], {"kind": "text"}, words={"a": "alpha"}).tolist() == ["alpha", "alpha"]


def test_texts_that_mean_null_are_null(store: arraystore.Store, tmp_path: Path) -> None:
    frame = one_column(store, tmp_path / "x.csv", ["NA", "1", "-", ""], {"nullable": True}, {"null": ["-1"]}, null=["", "NA", "-"])
    assert frame.valid("x").tolist() == [False, True, False, False]
    frame = one_column(store, tmp_path / "y.csv", ["-1", "1"], {"nullable": True}, {"null": ["-1"]})
    assert frame.valid("x").tolist() == [False, True]


@pytest.mark.parametrize(
    ("column", "spec", "texts", "valid"),
    [
        ({}, {"null": ["-", 0]}, ["-", "0", "0.00", "-0.0", "0e3", "0.001"], [False] * 5 + [True]),
        ({}, {"null": [0, -999.5], "scale": "0.01"}, ["0.0", "-999.50", "10"], [False, False, True]),
        ({"dtype": "int64"}, {"null": ["-", 2**63 - 1]}, [str(2**63 - 1), str(2**63 - 2)], [False, True]),
        ({"kind": "decimal", "places": 2}, {"null": ["-", "1"]}, ["1.00", "1.01"], [False, True]),
        ({"kind": "text"}, {"null": ["-", "0"]}, ["0.0", "0"], [True, False]),
        ({}, {"null": [0], "words": {"0.0": 3, "0": 4}}, ["0.0", "0"], [True, False]),
    ],
)
def test_a_number_that_is_null_is_so_however_it_is_written(
    store: arraystore.Store, tmp_path: Path, column: dict[str, Any], spec: dict[str, Any], texts: list[str], valid: list[bool]
) -> None:
    frame = one_column(store, tmp_path / "x.csv", texts, {**column, "nullable": True}, spec)
    assert frame.valid("x").tolist() == valid


@pytest.mark.parametrize(
    ("column", "spec", "texts", "expected"),
    [
        ({"dtype": "uint64"}, {"null": ["-"]}, ["-", "18446744073709551615"], 2**64 - 1),
        ({"dtype": "uint8"}, {"null": [-1]}, ["-1", "7"], 7),
        ({"dtype": "float64"}, {"null": ["n/a", "-"]}, ["n/a", "0.1"], 0.1),
        ({"dtype": "float32"}, {"null": ["-"]}, ["-", "0.1"], np.float32("0.1")),
        ({"dtype": "bool"}, {"null": ["?"]}, ["?", "true"], True),
        ({"kind": "decimal", "places": 2}, {"null": ["-"]}, ["-", "1.25"], Decimal("1.25")),
        ({"kind": "time"}, {"null": ["-"], "unit": "ms"}, ["-", "1.5"], np.datetime64(1_500_000, "ns")),
        ({"kind": "vocabulary", "vocabulary": {"up": 1}}, {"null": ["-"], "sign": {"positive": "up"}}, ["-", "3"], 1),
    ],
)
def test_a_text_that_is_no_number_may_mean_null_in_one_column(
    store: arraystore.Store, tmp_path: Path, column: dict[str, Any], spec: dict[str, Any], texts: list[str], expected: Any
) -> None:
    frame = one_column(store, tmp_path / "x.csv", texts, {**column, "nullable": True}, spec)
    assert frame.valid("x").tolist() == [False, True]
    assert frame["x"][1] == expected


def test_bytes_and_labels(column: Any) -> None:
    assert column(["ab", "c"], {"kind": "bytes"}).tolist() == [b"ab", b"c"]
    assert column(["ab", "c", "ab"], {"kind": "dictionary"}).tolist() == ["ab", "c", "ab"]


BAD = {
    "comes from nowhere": {"bid_price": {}},
    "comes from more than one place": {"bid_price": {"from": "bid", "value": 1}},
    "schema 'quotes' has no such column; did you mean 'bid_price'": {"bid_prise": {"from": "bid"}},
    "the unit 'minutes' is none of s, ms, us, ns": {"time": {"from": "time", "unit": "minutes"}},
    "'Mars/Olympus' isn't an IANA time zone": {"time": {"from": "time", "unit": "iso", "zone": "Mars/Olympus"}},
    "isn't in the mapping, and must have a value in every row": {"flags": None},
    "since = 'date' needs the date": {"time": {"from": "time", "unit": "ms", "since": "date"}},
    "unit is for times": {"bid_price": {"from": "bid", "unit": "ms"}},
    "the form '%H:%M:%S' names no year": {"time": {"from": "time", "unit": "format", "format": "%H:%M:%S"}},
    "the form '%d %H:%M' names a date (%d), and since = '2024-01-02' is for times of day": {
        "time": {"from": "time", "unit": "format", "format": "%d %H:%M", "since": "2024-01-02"}
    },
    "isn't a number such as 0.01": {"bid_price": {"from": "bid", "scale": "much"}},
}


def test_every_problem_of_a_mapping_is_told_before_a_file_is_read(tmp_path: Path, load: Any) -> None:
    for problem, columns in BAD.items():
        with pytest.raises(arraystore.InvalidInput) as raised:
            load(written(tmp_path / "day.csv", "time,bid,ask\n"), mapping=mapping(**columns))
        assert problem in str(raised.value)
    several = {name: spec for columns in list(BAD.values())[:3] for name, spec in columns.items()}
    with pytest.raises(arraystore.InvalidInput) as raised:
        load(written(tmp_path / "day.csv", "time,bid,ask\n"), mapping=mapping(**several, flags=None))
    assert len(raised.value.problems) == 3


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("title = 3", "Expected `str`, got `int` - at `$.title`"),
        ("colums = {}", "unknown field `colums`"),
        ("a = ", "isn't TOML"),
        (None, "there is no file"),
    ],
)
def test_a_mapping_that_is_no_mapping_is_refused(tmp_path: Path, load: Any, text: str | None, problem: str) -> None:
    path = tmp_path / "own.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(arraystore.InvalidInput, match=r"see docs/ingest.md|give a TOML file") as raised:
        load(tmp_path, mapping=path)
    assert problem in str(raised.value)


def test_an_unknown_mapping_is_told_with_the_nearest(tmp_path: Path, load: Any) -> None:
    with pytest.raises(arraystore.InvalidInput, match="did you mean 'oanda-xauusd'"):
        load(tmp_path, mapping="oanda-xauusb")
