"""What a symbol named on a venue at a time, by what was known: symbols are used again, and instruments get other names."""

import uuid
from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import arraystore
from arraystore.classes.symbols import Name, holding, periods_of
from tests.store.conftest import OpenAs

SYMBOLOGY = ("_all", "symbology", "_all")
DEFINITIONS = ("venue", "instrument_definitions", "_all")

#: instrument_uid, venue, symbol, valid_from, valid_to, known_from: in order of knowledge
LUNA = [
    ("terra-1", "venue", "LUNAUSDT", "2020-01-01", None, "2020-01-01"),
    ("terra-1", "venue", "LUNAUSDT", "2020-01-01", "2022-05-13", "2022-05-13"),
    ("terra-1", "venue", "LUNCUSDT", "2022-09-09", None, "2022-09-08"),
    ("terra-2", "venue", "LUNAUSDT", "2022-09-10", None, "2022-09-08"),
]
META = [
    ("isin-us30303m1027", "xnas", "FB", "2012-05-18", None, "2012-05-01"),
    ("isin-us30303m1027", "xnas", "FB", "2012-05-18", "2022-06-09", "2022-05-31"),
    ("isin-us30303m1027", "xnas", "META", "2022-06-09", None, "2022-05-31"),
]


def tell(store: arraystore.Store, names: list[tuple[str | None, ...]], key: tuple[str, ...] = SYMBOLOGY) -> None:
    """Keep names in a dataset of symbology."""
    columns = ("instrument_uid", "venue", "symbol", "valid_from", "valid_to", "known_from")
    dataset = store.canonical.create(key, arraystore.schema_by_name("symbology"), exist_ok=True)
    dataset.append({column: [name[place] for name in names] for place, column in enumerate(columns)})


def define(store: arraystore.Store, *rows: dict[str, object], key: tuple[str, ...] = DEFINITIONS) -> None:
    """Keep definitions, of which each says only what matters to its test."""
    usual = {
        "class": "spot", "base": "LUNA", "quote": "USDT", "settlement": "USDT", "is_inverse": False, "price_increment": 0.01,
        "size_increment": 0.1, "price_precision": 2, "size_precision": 1, "lot_size": 1.0, "multiplier": 1.0, "valid_to": None,
        "option_kind": None, "min_size": None, "info": None,
    }  # fmt: skip
    dataset = store.canonical.create(key, arraystore.schema_by_name("instrument_definitions"), exist_ok=True)
    told = [{**usual, **row} for row in rows]
    columns = {name: [row[name] for row in told] for name in told[0]}
    for name in ("price_precision", "size_precision"):
        columns[name] = np.array(columns[name], np.int8)  # type: ignore[assignment]
    dataset.append(columns)


@pytest.fixture
def open_as() -> OpenAs:
    """One store in memory: how names are told apart doesn't depend on where they lie."""
    url = f"memory://{uuid.uuid4().hex}"
    return lambda role: arraystore.open_store(url, role=role, create=True)


@pytest.fixture
def store(open_as: OpenAs) -> arraystore.Store:
    """What data quality knows of two coins of one symbol, seen by a backtest."""
    tell(open_as("data-quality"), LUNA)
    return open_as("backtesting")


def uid(store: arraystore.Store, symbol: str, at: str, known_at: str | None = None, venue: str = "venue") -> str | None:
    try:
        return store.resolve(symbol, venue=venue, at=at, known_at=known_at).instrument_uid
    except arraystore.NotFound:
        return None


def test_a_symbol_used_again_names_another_instrument(store: arraystore.Store) -> None:
    assert uid(store, "LUNAUSDT", "2021-06-01") == "terra-1"
    assert uid(store, "LUNAUSDT", "2023-06-01") == "terra-2"
    assert uid(store, "LUNCUSDT", "2023-06-01") == "terra-1"


def test_validity_is_half_open_and_ends_when_a_later_row_says_so(store: arraystore.Store) -> None:
    assert uid(store, "LUNAUSDT", "2022-05-12T23:59:59.999999999") == "terra-1"
    assert uid(store, "LUNAUSDT", "2022-05-13") is None
    assert uid(store, "LUNAUSDT", "2022-09-09T23:59:59.999999999") is None
    assert uid(store, "LUNAUSDT", "2022-09-10") == "terra-2"
    assert uid(store, "LUNAUSDT", "2019-12-31") is None


def test_what_was_learnt_later_is_left_out_as_of_then(store: arraystore.Store) -> None:
    assert uid(store, "LUNAUSDT", "2022-07-01", known_at="2022-05-12") == "terra-1", "nobody knew that it would end"
    assert uid(store, "LUNAUSDT", "2022-07-01", known_at="2022-05-13") is None
    assert uid(store, "LUNAUSDT", "2022-10-01", known_at="2022-09-07") is None
    assert uid(store, "LUNAUSDT", "2022-10-01", known_at="2022-09-08") == "terra-2"
    assert uid(store, "LUNAUSDT", "2021-01-01", known_at="2019-01-01") is None


def test_the_answer_says_from_when_to_when_and_all_the_instrument_was_called(store: arraystore.Store) -> None:
    found = store.resolve("LUNCUSDT", venue="venue", at="2023-01-01")
    time = arraystore.parse_time
    assert (found.instrument_uid, found.venue, found.symbol) == ("terra-1", "venue", "LUNCUSDT")
    assert (found.valid_from, found.valid_to, found.known_from) == (time("2022-09-09"), None, time("2022-09-08"))
    assert found.periods == (
        ("LUNAUSDT", time("2020-01-01"), time("2022-05-13")),
        ("LUNCUSDT", time("2022-09-09"), None),
    )
    assert found.definition is None
    told = msgspec.json.decode(msgspec.json.encode(found.to_json()))
    assert (told["valid_from"], told["valid_to"]) == ("2022-09-09T00:00:00Z", None)
    assert told["periods"][0] == ["LUNAUSDT", "2020-01-01T00:00:00Z", "2022-05-13T00:00:00Z"]
    with pytest.raises(AttributeError):
        found.symbol = "X"  # type: ignore[misc]


def test_where_names_overlap_the_one_known_last_counts(open_as: OpenAs) -> None:
    tell(
        open_as("data-quality"),
        [
            ("old", "venue", "X", "2020-01-01", None, "2020-01-01"),
            ("mistaken", "venue", "X", "2021-01-01", "2022-01-01", "2020-06-01"),
            ("right", "venue", "X", "2021-01-01", "2022-01-01", "2021-02-01"),
        ],
    )
    store = open_as("live")
    assert [uid(store, "X", at) for at in ("2020-12-31", "2021-07-01", "2022-01-01")] == ["old", "right", "old"]
    assert uid(store, "X", "2021-07-01", known_at="2021-01-31") == "mistaken"


def test_of_names_known_at_once_the_last_row_counts_whichever_dataset_has_it(open_as: OpenAs) -> None:
    store = open_as("data-quality")
    tell(store, [("second", "venue", "X", "2020-01-01", None, "2020-01-01")], key=("venue", "symbology", "vendor"))
    tell(store, [("first", "venue", "X", "2020-01-01", None, "2020-01-01")], key=("a", "symbology", "vendor"))
    assert uid(store, "X", "2021-01-01") == "second"
    tell(store, [("third", "venue", "X", "2020-01-01", None, "2020-02-01")], key=("a", "symbology", "vendor"))
    assert uid(store, "X", "2021-01-01") == "third", "names that are appended are seen"


def test_a_revised_name_counts_as_known_when_it_was_revised(open_as: OpenAs) -> None:
    store = open_as("data-quality")
    tell(store, [("a", "venue", "X", "2020-01-01", None, "2020-01-01"), ("b", "venue", "X", "2020-06-01", None, "2020-06-01")])
    assert uid(store, "X", "2021-01-01") == "b"
    tell(store, [("a", "venue", "X", "2020-01-01", "2022-01-01", "2020-09-01")])
    assert [uid(store, "X", at) for at in ("2021-01-01", "2022-01-01")] == ["a", "b"]


def test_a_name_can_be_taken_back(open_as: OpenAs) -> None:
    store = open_as("data-quality")
    tell(store, [("a", "venue", "X", "2020-01-01", None, "2020-01-01"), ("a", "venue", "X", "2020-01-01", "2020-01-01", "2020-03-01")])
    assert uid(store, "X", "2021-01-01") is None
    assert uid(store, "X", "2021-01-01", known_at="2020-02-01") == "a"


def test_an_instrument_is_called_by_its_newest_name_even_if_the_old_one_was_never_ended(open_as: OpenAs) -> None:
    store = open_as("data-quality")
    tell(store, [META[0], META[2]])
    periods = store.resolve("META", venue="xnas", at="2023-01-01").periods
    time = arraystore.parse_time
    assert periods == (("FB", time("2012-05-18"), time("2022-06-09")), ("META", time("2022-06-09"), None))


def test_a_definition_is_the_one_that_held_then_as_was_known(open_as: OpenAs, store: arraystore.Store) -> None:
    define(
        open_as("data-quality"),
        {"instrument_uid": "terra-1", "raw_symbol": "LUNAUSDT", "valid_from": "2020-01-01", "time": "2020-01-01", "price_increment": 0.01},
        {"instrument_uid": "terra-2", "raw_symbol": "LUNAUSDT", "valid_from": "2020-01-01", "time": "2020-01-01", "price_increment": 7.0},
        {
            "instrument_uid": "terra-1", "raw_symbol": "LUNAUSDT", "valid_from": "2021-03-01", "time": "2021-02-20",
            "price_increment": 0.001, "option_kind": "call", "min_size": 0.5, "info": b"{}",
        },
    )  # fmt: skip
    before = store.resolve("LUNAUSDT", venue="venue", at="2021-02-28").definition
    after = store.resolve("LUNAUSDT", venue="venue", at="2021-03-01").definition
    assert before is not None
    assert after is not None
    assert (before["price_increment"], before["option_kind"], before["min_size"], before["info"]) == (0.01, None, None, None)
    assert (after["price_increment"], after["option_kind"], after["min_size"], after["info"]) == (0.001, "call", 0.5, b"{}")
    assert (after["valid_from"], after["valid_to"], after["price_precision"]) == (arraystore.parse_time("2021-03-01"), None, 2)
    assert tuple(after) == arraystore.schema_by_name("instrument_definitions").names
    unknown = store.resolve("LUNAUSDT", venue="venue", at="2021-03-01", known_at="2021-02-19").definition
    assert unknown is not None
    assert unknown["price_increment"] == 0.01


def test_of_definitions_in_several_datasets_the_one_known_last_counts(open_as: OpenAs) -> None:
    store = open_as("data-quality")
    row: dict[str, object] = {"instrument_uid": "a", "raw_symbol": "X", "valid_from": "2020-01-01", "time": "2020-01-01"}
    other = ("venue", "instrument_definitions", "vendor")
    define(store, {**row, "price_increment": 1.0})
    define(store, {**row, "valid_from": "2020-03-01", "time": "2020-03-01", "price_increment": 2.0}, key=other)
    define(store, {**row, "valid_from": "2020-06-01", "time": "2020-06-01", "price_increment": 3.0})
    found = [store.resolve("X", venue="venue", at=at) for at in ("2020-02-01", "2020-04-01", "2020-07-01")]
    assert [instrument.definition and instrument.definition["price_increment"] for instrument in found] == [1.0, 2.0, 3.0]
    assert found[0].periods == (("X", arraystore.parse_time("2020-01-01"), None),), "one name throughout, however often it was defined"


def test_without_symbology_definitions_tell_names_and_only_of_their_own_venue(open_as: OpenAs) -> None:
    store = open_as("data-quality")
    define(store, {"instrument_uid": "a", "raw_symbol": "X", "valid_from": "2020-01-01", "time": "2020-01-01"})
    define(
        store,
        {"instrument_uid": "b", "raw_symbol": "X", "valid_from": "2020-01-01", "time": "2020-01-01"},
        key=("other/venue", "instrument_definitions", "_all"),
    )
    assert uid(store, "X", "2021-01-01") == "a"
    assert uid(store, "X", "2021-01-01", venue="other/venue") == "b"
    tell(store, [("c", "venue", "X", "2020-06-01", "2020-07-01", "2020-06-01")])
    assert uid(store, "X", "2020-06-15") == "c", "symbology counts where it knows the symbol"
    assert uid(store, "X", "2021-01-01") is None
    assert uid(store, "X", "2021-01-01", venue="other/venue") == "b"


@pytest.mark.parametrize(
    ("symbol", "venue", "at", "told"),
    [
        ("LUNAUSDT", "venue", "2022-07-01", "'LUNAUSDT' is 'terra-1' from 2020-01-01T00:00:00Z to 2022-05-13"),
        ("LUNAUSDT", "other", "2021-01-01", "'LUNAUSDT' is known on venue"),
        ("LUNUSDT", "venue", "2021-01-01", "venue knows LUNCUSDT, LUNAUSDT"),
        ("zzz", "venue", "2021-01-01", "venue knows LUNAUSDT, LUNCUSDT"),
        ("zzz", "vneue", "2021-01-01", "venue 'vneue' isn't known; there are venue"),
    ],
)
def test_what_isnt_known_is_refused_with_what_is_known_nearby(store: arraystore.Store, symbol: str, venue: str, at: str, told: str) -> None:
    with pytest.raises(arraystore.NotFound, match=f"'{symbol}' names no instrument of '{venue}' at {at}.*; .*{told}"):
        store.resolve(symbol, venue=venue, at=at)


def test_a_store_without_names_says_where_they_belong(open_as: OpenAs) -> None:
    with pytest.raises(arraystore.NotFound, match="keep them in <venue>/symbology/_all, by the schema 'symbology'"):
        open_as("analysis").resolve("X", venue="venue", at="2021-01-01")


def test_a_dataset_of_that_feed_with_another_schema_is_none_of_names(open_as: OpenAs) -> None:
    store = open_as("data-quality")
    store.canonical.create(("venue", "symbology", "old"), arraystore.schema_by_name("trades"))
    tell(store, LUNA)
    assert uid(store, "LUNAUSDT", "2021-01-01") == "terra-1"


@pytest.mark.parametrize(
    "call", [{"at": "yesterday"}, {"at": None}, {"venue": ""}, {"venue": 5}, {"symbol": ""}, {"symbol": None}, {"known_at": "soon"}]
)
def test_what_makes_no_sense_is_refused(store: arraystore.Store, call: dict[str, object]) -> None:
    asked = {"symbol": "X", "venue": "venue", "at": "2021-01-01", **call}
    with pytest.raises(arraystore.InvalidInput, match=next(iter(call))):
        store.resolve(asked.pop("symbol"), **asked)  # type: ignore[arg-type]


def test_a_role_that_may_not_read_canonical_may_not_resolve(open_as: OpenAs) -> None:
    with pytest.raises(arraystore.AccessDenied):
        open_as("data-recording").resolve("X", venue="venue", at="2021-01-01")


@given(st.lists(st.tuples(st.sampled_from("XYZ"), st.integers(0, 9), st.one_of(st.none(), st.integers(0, 9))), max_size=8))
def test_periods_say_at_each_time_what_the_name_known_last_says(drawn: list[tuple[str, int, int | None]]) -> None:
    names = [Name("a", "venue", symbol, start, stop, rank) for rank, (symbol, start, stop) in enumerate(drawn)]
    periods = periods_of(names)
    for time in range(-1, 11):
        name = holding(names, time)
        told = [symbol for symbol, start, stop in periods if start <= time and (stop is None or time < stop)]
        assert told == ([] if name is None else [name.symbol])
    assert all(before[2] is not None and before[2] <= after[1] for before, after in pairwise(periods))
    assert all(before.symbol != after.symbol or before.stop != after.start for before, after in pairwise(periods))
