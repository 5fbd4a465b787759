"""Who may do what: the matrix of the design, cell by cell."""

from itertools import product

import pytest

from layouts import ACCESS, KEY_TEMPLATES, Action, InvalidInput, Role, StorageClass, access_table_markdown, may, parse_role, who_may

Q, R, B, L, A, O = "data-quality", "data-recording", "backtesting", "live", "analysis", "operations"  # noqa: E741

ALLOWED = {
    "raw": {"read": {R, Q, O}, "write": {R}, "replace": set(), "maintain": {O}, "delete": {O}, "purge": {O}},
    "canonical": {"read": {Q, B, A, L, O}, "write": {Q}, "replace": {Q}, "maintain": {O}, "delete": set(), "purge": {O}},
    "derived": {"read": {A, B, L, O}, "write": {A, B}, "replace": {A, B}, "maintain": {O}, "delete": {A, B}, "purge": {O}},
    "quarantine": {"read": {Q, O}, "write": {Q}, "replace": {Q}, "maintain": {O}, "delete": {Q}, "purge": {O}},
    "experiments": {"read": {B, A, O}, "write": {B}, "replace": set(), "maintain": {O}, "delete": set(), "purge": {O}},
    "execution-records": {"read": {L, B, A, O}, "write": {L, B}, "replace": set(), "maintain": {O}, "delete": set(), "purge": {O}},
}
CELLS = list(product(Role, StorageClass, Action))


@pytest.mark.parametrize(("role", "storage_class", "action"), CELLS, ids=lambda member: member.value)
def test_each_cell_of_the_matrix(role, storage_class, action):
    expected = role.value in ALLOWED[storage_class.value][action.value]
    assert may(role, storage_class, action) is expected
    assert may(role.value, storage_class.value, action.value) is expected
    assert expected == any(text.split(" ")[0] == role for text in who_may(storage_class, action))


@pytest.mark.parametrize("action", [Action.READ, Action.WRITE])
def test_execution_records_are_divided_between_live_and_backtesting(action):
    live, backtest = ("live", "s1", "fills"), ("backtest", "s1", "fills")
    assert may("live", "execution-records", action, live)
    assert not may("live", "execution-records", action, backtest)
    assert may("backtesting", "execution-records", action, backtest)
    assert not may("backtesting", "execution-records", action, live)


def test_analysis_and_operations_read_execution_records_of_both():
    for role, first in product(("analysis", "operations"), ("live", "backtest")):
        assert may(role, "execution-records", "read", (first, "s1", "fills"))
        assert not may(role, "execution-records", "write", (first, "s1", "fills"))


def test_a_part_of_a_class_is_not_reached_by_the_empty_key_or_a_like_name():
    assert not may("live", "execution-records", "write", ())
    assert not may("live", "execution-records", "write", ("live2", "s", "r"))
    assert not may("live", "execution-records", "write", ("backtest", "live", "r"))


def test_messages_can_name_who_may_and_where():
    assert who_may("execution-records", "write") == ("live under live/", "backtesting under backtest/")
    assert who_may("execution-records", "write", ("live", "s", "r")) == ("live under live/",)
    assert who_may("raw", "read") == ("data-recording", "data-quality", "operations")
    assert who_may("canonical", "delete") == ()


@pytest.mark.parametrize("role", ["", "admin", "Live", None, 3])
def test_an_unknown_role_is_refused_with_those_that_are(role):
    with pytest.raises(InvalidInput, match="isn't one of data-recording, data-quality, backtesting, live, analysis, operations"):
        parse_role(role)


def test_unknown_classes_and_actions_are_refused():
    with pytest.raises(InvalidInput, match="storage class: 'RAW' isn't one of raw, canonical"):
        may("live", "RAW", "read")
    with pytest.raises(InvalidInput, match="action: 'own'"):
        may("live", "raw", "own")


def test_the_table_has_each_class_once_and_all_that_is_derived_from_it_agrees():
    assert [rule.storage_class for rule in ACCESS] == list(StorageClass)
    assert {rule.storage_class: rule.key_template for rule in ACCESS} == dict(KEY_TEMPLATES)


def test_the_documented_table_tells_keys_writers_and_readers():
    lines = access_table_markdown().splitlines()
    assert len(lines) == 2 + len(StorageClass)
    assert len({line.count("|") for line in lines}) == 1
    assert "`live` or `backtest` / session / record" in lines[-1]
    assert "live under live/, backtesting under backtest/" in lines[-1]
    assert "| canonical | venue / feed / instrument |" in lines[3]
