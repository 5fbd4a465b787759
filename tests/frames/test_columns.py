"""Ragged, labelled and decimal values behave as sequences of what they stand for."""

import decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arraystore.frames.columns import Decimals, Labels, Ragged

payloads = st.lists(st.none() | st.binary(max_size=20), max_size=20)
texts = st.lists(st.none() | st.text(max_size=8), max_size=20)
mantissas = st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), max_size=20)
indices = st.slices(20) | st.lists(st.integers(-1, 0), max_size=5)


def ragged(values, *, text):
    return Ragged.from_values(values, text=text)


def decimals(values, places=3):
    valid = np.array([value is not None for value in values], bool)
    return Decimals(np.array([value or 0 for value in values], np.int64), places, None if valid.all() else valid)


@given(payloads, texts, mantissas)
def test_values_come_out_as_they_went_in(some_bytes, some_texts, some_mantissas):
    assert ragged(some_bytes, text=False).tolist() == some_bytes
    assert ragged(some_texts, text=True).tolist() == some_texts
    assert Labels.from_values(some_texts).tolist() == some_texts
    assert [None if value is None else int(value * 1000) for value in decimals(some_mantissas)] == some_mantissas


@given(texts.filter(len), st.data())
def test_items_slices_and_masks_are_those_of_a_list(values, data):
    chosen = data.draw(st.slices(len(values)))
    picked = data.draw(st.lists(st.integers(-len(values), len(values) - 1), max_size=5))
    mask = data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values)))
    numbers = [None if value is None else len(value) for value in values]
    for column, listed in ((ragged(values, text=True), values), (Labels.from_values(values), values), (decimals(numbers, 0), numbers)):
        assert column[chosen].tolist() == listed[chosen]
        assert column[picked].tolist() == [listed[row] for row in picked]
        assert column[np.array(mask)].tolist() == [value for value, kept in zip(listed, mask, strict=True) if kept]
        assert [column[row] for row in range(-len(values), len(values))] == listed + listed


@pytest.mark.parametrize("index", [3, -4, [0, 5], 1.5, [True], [[0]], "x", None])
def test_what_is_no_row_raises(index):
    for column in (ragged(["a", "b", "c"], text=True), Labels.from_values(["a", "b", "c"]), decimals([1, 2, 3])):
        with pytest.raises(IndexError, match=r"rows?"):
            column[index]


def test_labels_are_numbered_in_order_of_first_appearance():
    labels = Labels.from_values(["b", None, "a", "b", "c"])
    assert labels.labels == ("b", "a", "c")
    assert labels.codes.tolist() == [0, -1, 1, 0, 2]
    assert labels.codes.dtype == np.int32


def test_labels_are_compared_without_spelling_them_out():
    labels = Labels.from_values(["b", None, "a", "b", "c"])
    assert labels.matches("b").tolist() == [True, False, False, True, False]
    assert labels.matches("a", "c", "never seen").tolist() == [False, False, True, False, True]
    assert Labels(np.array([-1], np.int32), ()).matches("a").tolist() == [False]


def test_slices_of_ragged_values_share_their_bytes():
    values = ragged([b"ab", b"", b"cde"], text=False)
    part = values[1:]
    assert np.shares_memory(part.data, values.data)
    assert part.nbytes == 3
    assert part.content.tobytes() == b"cde"
    assert part.counts.tolist() == [0, 3]


def test_as_numpy_arrays_they_are_objects_and_decimals_floats():
    assert np.asarray(ragged(["a", None], text=True)).tolist() == ["a", None]
    assert np.asarray(Labels.from_values(["a", None])).tolist() == ["a", None]
    assert np.asarray(Labels.from_values(["a", "b"]), dtype="U1").dtype == np.dtype("U1")
    assert np.array_equal(np.asarray(decimals([1, None, -2500])), [0.001, np.nan, -2.5], equal_nan=True)
    assert np.asarray(decimals([1500]), dtype=object).tolist() == [decimal.Decimal("1.500")]
    for column in (ragged(["a"], text=True), Labels.from_values(["a"]), decimals([1])):
        with pytest.raises(ValueError, match="always a copy"):
            np.array(column, copy=False)


def test_decimals_become_the_nearest_double_of_their_text():
    ticks = np.arange(1, 100_000)
    assert np.asarray(Decimals(ticks, 2)).tolist() == [float(f"{tick // 100}.{tick % 100:02d}") for tick in ticks.tolist()]


def test_decimals_are_exact_whatever_the_callers_context():
    with decimal.localcontext(prec=3):
        assert Decimals(np.array([2**63 - 1]), 18)[0] == decimal.Decimal("9.223372036854775807")


def test_they_describe_themselves_shortly():
    assert repr(ragged(["a", None, "c", "d"], text=True)) == "Ragged(['a', None, 'c', …], 4 rows, text, 3 bytes)"
    assert repr(Labels.from_values(["a", "a"])) == "Labels(['a', 'a'], 2 rows, 1 labels)"
    assert repr(decimals([125])) == "Decimals([Decimal('0.125')], 1 rows, 3 places)"


def test_they_are_compared_by_identity_like_any_container_of_many():
    values = ragged(["a"], text=True)
    assert values == values  # noqa: PLR0124
    assert values != ragged(["a"], text=True)
