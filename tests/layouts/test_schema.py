"""A schema says what rows look like, and everything that is wrong with it at once."""

import pickle

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layouts import (
    SCHEMAS,
    SIDE,
    Clock,
    Column,
    InvalidInput,
    Kind,
    Order,
    Schema,
    WindowLength,
    parse_schema,
    validate_schema,
)

TIME = Column(name="time", kind="time")

EVERY_KIND = Schema(
    name="every_kind",
    order="arrival",
    window="hour",
    attributes={"source": {"urls": ["a", 1, 2.5, None, True]}},
    columns=(
        TIME,
        Column(name="seen", kind="time", clock="capture", nullable=True),
        Column(name="price"),
        Column(name="count", dtype="uint16", unit="1"),
        Column(name="bids", levels=5, nullable=True, unit="USD"),
        Column(name="side", kind="vocabulary", vocabulary=SIDE),
        Column(name="marks", kind="flags", dtype="uint16", vocabulary={"a": 1, "b": 256}),
        Column(name="account", kind="dictionary", nullable=True),
        Column(name="exact", kind="decimal", places=4),
        Column(name="note", kind="text", nullable=True),
        Column(name="payload", kind="bytes", description="as received", attributes={"codec": "json"}),
    ),
)


def schema_of(*columns, **options):
    return Schema(name="s", columns=(TIME, *columns), **options)


def problems_of(*columns, **options):
    return [str(problem) for problem in validate_schema(schema_of(*columns, **options))]


@pytest.mark.parametrize("schema", [EVERY_KIND, *(make() for make in SCHEMAS.values())], ids=lambda schema: schema.name)
def test_schemas_survive_json_and_pickle(schema):
    assert validate_schema(schema) == ()
    assert parse_schema(schema) is schema
    assert msgspec.json.decode(msgspec.json.encode(schema), type=Schema) == schema
    assert pickle.loads(pickle.dumps(schema)) == schema
    assert msgspec.convert(msgspec.to_builtins(schema), Schema) == schema


def test_the_json_holds_what_the_format_tells_and_leaves_defaults_out():
    schema = schema_of(Column(name="side", kind="vocabulary", vocabulary=SIDE, nullable=True), Column(name="price"))
    assert msgspec.json.decode(msgspec.json.encode(schema)) == {
        "name": "s",
        "axis": "time",
        "order": "time",
        "window": "day",
        "columns": [
            {"name": "time", "kind": "time", "dtype": "int64", "clock": "axis"},
            {
                "name": "side",
                "kind": "vocabulary",
                "dtype": "int8",
                "nullable": True,
                "vocabulary": [["buy", 1], ["sell", -1], ["none", 0]],
            },
            {"name": "price", "kind": "number", "dtype": "float64"},
        ],
    }


def test_fields_that_a_later_format_may_add_are_ignored():
    assert msgspec.json.decode(b'{"name":"s","columns":[{"name":"time","kind":"time","novel":1}],"novel":2}', type=Schema) == schema_of()


def test_plain_words_become_members_and_the_axis_column_its_clock():
    assert (EVERY_KIND.order, EVERY_KIND.window) == (Order.ARRIVAL, WindowLength.HOUR)
    assert EVERY_KIND.column("time").clock is Clock.AXIS
    assert EVERY_KIND.column("seen").clock is Clock.CAPTURE
    assert EVERY_KIND.column("side").kind is Kind.VOCABULARY
    assert EVERY_KIND.column("marks").vocabulary == (("a", 1), ("b", 256))
    assert schema_of(Column(name="x", kind="vocabulary", vocabulary=[["a", 1]])).column("x").vocabulary == (("a", 1),)


def test_each_kind_has_a_dtype_of_its_own():
    dtypes = {kind: Column(name="x", kind=kind).dtype for kind in Kind}
    assert dtypes == {
        "number": "float64",
        "time": "int64",
        "vocabulary": "int8",
        "flags": "uint8",
        "dictionary": "int32",
        "decimal": "int64",
        "text": "uint8",
        "bytes": "uint8",
    }


def test_columns_become_the_arrays_of_the_format():
    arrays = {spec.name: (spec.column, spec.role, spec.dtype, spec.dimensions, spec.inner_shape) for spec in EVERY_KIND.arrays()}
    rows = ("time",)
    assert arrays == {
        "time": ("time", "values", "int64", rows, ()),
        "seen": ("seen", "values", "int64", rows, ()),
        "seen_valid": ("seen", "valid", "bool", rows, ()),
        "price": ("price", "values", "float64", rows, ()),
        "count": ("count", "values", "uint16", rows, ()),
        "bids": ("bids", "values", "float64", ("time", "level"), (5,)),
        "bids_valid": ("bids", "valid", "bool", rows, ()),
        "side": ("side", "values", "int8", rows, ()),
        "marks": ("marks", "values", "uint16", rows, ()),
        "account": ("account", "values", "int32", rows, ()),
        "account_valid": ("account", "valid", "bool", rows, ()),
        "exact": ("exact", "values", "int64", rows, ()),
        "note": ("note", "values", "uint8", ("note_byte",), ()),
        "note_count": ("note", "count", "uint32", rows, ()),
        "note_valid": ("note", "valid", "bool", rows, ()),
        "payload": ("payload", "values", "uint8", ("payload_byte",), ()),
        "payload_count": ("payload", "count", "uint32", rows, ()),
    }
    assert [spec.name for spec in EVERY_KIND.arrays() if spec.is_payload] == ["note", "payload"]
    assert {spec.name: spec.element_bytes for spec in EVERY_KIND.arrays()}["bids"] == 40


def test_rows_are_counted_by_the_axis_and_clocks_begin_with_it():
    schema = Schema(
        name="s",
        axis="open_time",
        columns=(
            Column(name="close_time", kind="time", clock="other"),
            Column(name="plain", kind="time"),
            Column(name="open_time", kind="time"),
        ),
    )
    assert validate_schema(schema) == ()
    assert schema.row_dimension == "open_time"
    assert schema.clocks == ("open_time", "close_time")
    assert {spec.dimensions for spec in schema.arrays()} == {("open_time",)}


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (Column(name="x", dtype="int16"), np.int16(0)),
        (Column(name="x", dtype="bool"), np.bool_(False)),
        (Column(name="x", dtype="uint64"), np.uint64(0)),
        (Column(name="x", kind="time"), np.int64(-(1 << 63))),
        (Column(name="x", kind="dictionary"), np.int32(-1)),
        (Column(name="x", kind="vocabulary", vocabulary=SIDE), np.int8(0)),
        (Column(name="x", kind="decimal", places=2), np.int64(0)),
        (Column(name="x", kind="text"), np.uint32(0)),
    ],
    ids=lambda value: f"{value.kind}-{value.dtype}" if isinstance(value, Column) else None,
)
def test_under_a_null_lies_the_stand_in_of_the_format(column, expected):
    stand_in = schema_of(column).null_stand_in("x")
    assert stand_in == expected
    assert stand_in.dtype == expected.dtype
    assert schema_of(column).null_stand_in(column) == expected


@pytest.mark.parametrize(("dtype", "bits"), [("float64", 0x7FF8 << 48), ("float32", 0x7FC0 << 16)])
def test_under_a_null_float_lies_the_plain_nan(dtype, bits):
    stand_in = Column(name="x", dtype=dtype).null_stand_in
    assert stand_in.dtype == dtype
    assert int(stand_in.view(f"u{stand_in.dtype.itemsize}")) == bits


def test_a_missing_column_is_refused_with_the_nearest_one():
    with pytest.raises(InvalidInput, match=r"'pric'.*did you mean 'price'"):
        EVERY_KIND.column("pric")
    with pytest.raises(InvalidInput, match="there are time, seen, price"):
        EVERY_KIND.column("zzz")
    assert "price" in EVERY_KIND
    assert "pric" not in EVERY_KIND


def test_a_schema_of_some_of_its_columns_keeps_their_order_and_all_else():
    some = EVERY_KIND.only(["price", "elsewhere", "time"])
    assert some.names == ("time", "price")
    assert some == msgspec.structs.replace(EVERY_KIND, columns=(EVERY_KIND.column("time"), EVERY_KIND.column("price")))
    assert EVERY_KIND.only(EVERY_KIND.names) == EVERY_KIND
    assert EVERY_KIND.only([]).columns == ()


@pytest.mark.parametrize("name", ["", "Price", "1x", "_x", "a-b", "a b", "é", "x" * 65, None, 5])
def test_names_that_are_no_names_are_refused(name):
    assert problems_of(Column(name=name))
    assert validate_schema(Schema(name=name, columns=(TIME,)))


@pytest.mark.parametrize("places", [0, 18])
def test_decimals_have_0_to_18_places(places):
    assert problems_of(Column(name="x", kind="decimal", places=places)) == []


def test_a_name_of_64_letters_is_taken():
    assert problems_of(Column(name="x" * 64)) == []


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ([Column(name="x"), Column(name="x")], "column 'x': the name 'x' belongs to column 'x' already"),
        ([Column(name="x", nullable=True), Column(name="x_valid")], "column 'x_valid': the name 'x_valid' belongs to column 'x'"),
        ([Column(name="x_valid"), Column(name="x", nullable=True)], "column 'x': the name 'x_valid' belongs to column 'x_valid'"),
        ([Column(name="x", kind="text"), Column(name="x_count")], "'x_count' belongs to column 'x'"),
        ([Column(name="x", kind="bytes"), Column(name="x_byte")], "'x_byte' belongs to column 'x'"),
        ([Column(name="x", levels=2), Column(name="level")], "column 'level': this is the name of the second dimension"),
        ([Column(name="x", levels=2), Column(name="y", levels=3)], "columns have 2, 3 levels, and share one dimension"),
        ([Column(name="x", kind="float")], "the kind 'float' isn't one of number, time"),
        ([Column(name="x", dtype="float16")], "dtype 'float16' isn't one that a number column may have"),
        ([Column(name="x", dtype="<f8")], "dtype '<f8' isn't one"),
        ([Column(name="x", kind="time", dtype="float64")], "a time column may have: int64"),
        ([Column(name="x", kind="vocabulary", dtype="int16", vocabulary=SIDE)], "a vocabulary column may have: int8, uint8"),
        ([Column(name="x", clock="exchange")], "a number column can't be a clock; make its kind time"),
        ([Column(name="x", kind="time", clock="wall")], "the clock 'wall' isn't one of axis"),
        ([Column(name="x", kind="time", clock="axis")], "only the axis 'time' has the clock 'axis'"),
        ([Column(name="x", levels=0)], "levels=0 must be a whole number from 1 to 65536"),
        ([Column(name="x", levels=True)], "levels=True must be"),
        ([Column(name="x", kind="text", levels=2)], "a text column has one value per row"),
        ([Column(name="x", kind="decimal")], "places=None must be a whole number from 0 to 18"),
        ([Column(name="x", kind="decimal", places=19)], "places=19 must be"),
        ([Column(name="x", kind="decimal", places=-1)], "places=-1 must be"),
        ([Column(name="x", places=2)], "places=2 are for decimal columns"),
        ([Column(name="x", kind="vocabulary")], "needs a vocabulary"),
        ([Column(name="x", vocabulary=SIDE)], "a number column has no vocabulary"),
        ([Column(name="x", kind="vocabulary", vocabulary=(("a", 128),))], "the vocabulary value 128 doesn't fit int8"),
        ([Column(name="x", kind="vocabulary", dtype="uint8", vocabulary=(("a", -1),))], "the vocabulary value -1 doesn't fit uint8"),
        ([Column(name="x", kind="vocabulary", vocabulary=(("a", 1), ("a", 2)))], "the meaning 'a' occurs twice"),
        ([Column(name="x", kind="vocabulary", vocabulary=(("a", 1), ("b", 1)))], "the value 1 occurs twice"),
        ([Column(name="x", kind="vocabulary", vocabulary=(("a b", 1),))], "the meaning 'a b' must be one word"),
        ([Column(name="x", kind="vocabulary", vocabulary=(("", 1),))], "the meaning '' must be one word"),
        ([Column(name="x", kind="vocabulary", vocabulary=(("a", 1.5),))], "the vocabulary value 1.5 isn't a whole number"),
        ([Column(name="x", kind="vocabulary", vocabulary=("a", "b"))], "must be \\(meaning, value\\) pairs"),
        ([Column(name="x", kind="flags", vocabulary=(("a", 3),))], "the flag mask 3 isn't one bit"),
        ([Column(name="x", kind="flags", vocabulary=(("a", 0),))], "the flag mask 0 isn't one bit"),
        ([Column(name="x", kind="flags", vocabulary=(("a", 256),))], "256 doesn't fit uint8"),
        ([Column(name="x", kind="text", unit="m")], "a text column has no unit"),
        ([Column(name="x", unit="seconds")], "would decode unit 'seconds' into a duration; write 's'"),
        ([Column(name="x", unit="days since 1970-01-01")], "make it a time column"),
        ([Column(name="x", unit=5)], "the unit 5 isn't text"),
        ([Column(name="x", nullable="no")], "nullable is 'no'"),
        ([Column(name="x", description=None)], "the description None isn't text"),
        ([Column(name="x", attributes={"scale_factor": 0.1})], "the attribute 'scale_factor' follows from"),
        ([Column(name="x", kind="decimal", places=2, attributes={"decimal_places": 3})], "the attribute 'decimal_places' follows from"),
        ([Column(name="x", attributes={"a": float("nan")})], "x' attributes.a: nan has no JSON"),
        ([Column(name="x", attributes={"a": [1, {"b": {1, 2}}]})], r"attributes.a\[1\].b: a set isn't JSON"),
        ([Column(name="x", attributes={"a": "\ud800"})], "lone surrogates"),
        ([Column(name="x", attributes={"a": 1 << 64})], "doesn't fit 64 bits"),
        ([Column(name="x", attributes={5: "a"})], "the key 5 isn't text"),
        ([Column(name="x", attributes=())], "must be a dict"),
    ],
)
def test_a_wrong_column_is_refused_with_place_and_remedy(columns, message):
    with pytest.raises(InvalidInput, match=message):
        parse_schema(schema_of(*columns))


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (Schema(name="s", columns=(Column(name="x"),)), "the axis 'time' isn't among its columns"),
        (Schema(name="s", columns=()), "the axis 'time' isn't among its columns"),
        (Schema(name="s", axis="x", columns=(Column(name="x"),)), "column 'x': the axis must be a time column, and is of kind number"),
        (Schema(name="s", columns=(Column(name="time", kind="time", clock="capture"),)), "must have the clock 'axis', and has capture"),
        (Schema(name="s", columns=(Column(name="time", kind="time", nullable=True),)), "the axis can't be null"),
        (Schema(name="s", columns=(TIME,), order="random"), "the order 'random' isn't one of arrival, time"),
        (Schema(name="s", columns=(TIME,), window="week"), "the window 'week' isn't one of hour, day, month, year, whole"),
        (Schema(name="s", columns=(TIME,), attributes={"x": object()}), "schema 's' attributes.x: a object isn't JSON"),
        (Schema(name="s", columns=(TIME,), attributes=None), "attributes are None"),
        (Schema(name="s", columns=(TIME, "price")), "must be a tuple of Column"),
        (Schema(name="s", columns=5), "must be a tuple of Column"),
        ({"name": "s"}, "a dict isn't a Schema"),
        (None, "a NoneType isn't a Schema"),
    ],
)
def test_a_wrong_schema_is_refused_with_place_and_remedy(schema, message):
    with pytest.raises(InvalidInput, match=message):
        parse_schema(schema)


def test_every_problem_is_told_at_once():
    wrong = problems_of(
        Column(name="A"),
        Column(name="x", kind="text", dtype="str", levels=3, unit="m", clock="axis", places=1),
        Column(name="y", kind="flags", vocabulary=(("a b", 3), ("a b", 512))),
        window="week",
        order="any",
    )
    assert len(wrong) == 13
    assert len(set(wrong)) == 13


@given(
    st.builds(
        Column,
        name=st.sampled_from(["x", "time", "X", 5]),
        kind=st.sampled_from([*Kind, "float", None]),
        dtype=st.sampled_from(["", "int8", "float64", "object", 7]),
        nullable=st.sampled_from([True, False, None]),
        clock=st.sampled_from([None, "axis", "capture", "x", 3]),
        unit=st.sampled_from([None, "m", "seconds", 2]),
        levels=st.sampled_from([None, 0, 3, "3"]),
        vocabulary=st.sampled_from([(), SIDE, {"a": 1}, [["a"]], [5], None, "ab", (("a", "b"),)]),
        places=st.sampled_from([None, 2, 99, "2"]),
        attributes=st.sampled_from([{}, None, {"a": [{}]}, {"units": 1}]),
    )
)
def test_validation_tells_problems_of_any_column_and_never_fails_itself(column):
    problems = validate_schema(schema_of(column))
    if not problems:
        schema = schema_of(column)
        assert msgspec.json.decode(msgspec.json.encode(schema), type=Schema) == schema
        assert len({spec.name for spec in schema.arrays()}) == len(schema.arrays())
        assert column.null_stand_in is not None
