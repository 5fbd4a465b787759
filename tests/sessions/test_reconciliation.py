"""Which fills count once busts and corrections are applied."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import arraystore
from arraystore.frames.intake import rows_from
from tests.sessions.conftest import fills, session, told


def frame(*names: str | tuple[str, str, float], **columns: object) -> arraystore.Frame:
    numbers = np.arange(1, len(names) + 1, dtype=np.uint64)
    return arraystore.Frame(rows_from({**fills(*names), "sequence": numbers, **columns}, arraystore.schema_by_name("fills")))


def test_a_session_is_reconciled_and_its_records_stay(root: Path) -> None:
    live = session(root)
    live.append("fills", fills("a", "b", "c"))
    live.append("other", fills("x"), arraystore.schema_by_name("fills"))
    live.append("fills", fills(("d", "a", 0.0), ("e", "b", 7.0), ("f", "zzz", 0.0)))
    found = live.reconcile()
    assert told(found) == ["c", "e"]
    assert found.effective["size"].tolist() == [1.0, 7.0]
    assert (dict(found.busted), dict(found.corrected), dict(found.unknown), found.repeated) == ({1: 5}, {2: 6}, {7: "zzz"}, ())
    assert live.read("fills").row_count == 6


@pytest.mark.parametrize(
    ("rows", "standing", "busted", "corrected", "unknown", "repeated"),
    [
        ([], [], {}, {}, {}, ()),
        (["a", "b"], ["a", "b"], {}, {}, {}, ()),
        ([("x", "a", 0.0), "a"], [], {2: 1}, {}, {}, ()),  # its bust came first
        ([("x", "a", 5.0), "a"], ["x"], {}, {2: 1}, {}, ()),
        (["a", ("b", "a", 2.0), ("c", "b", 3.0)], ["c"], {}, {1: 2, 2: 3}, {}, ()),  # a correction corrected
        (["a", ("b", "a", 2.0), ("c", "a", 3.0)], ["c"], {}, {1: 3, 2: 3}, {}, ()),  # corrected twice: the last counts
        (["a", ("b", "a", 2.0), ("c", "a", 0.0)], [], {1: 3, 2: 3}, {}, {}, ()),  # corrected, then busted
        (["a", ("b", "a", 2.0), ("c", "b", 0.0)], [], {2: 3}, {1: 2}, {}, ()),  # the correction is busted, by its own number
        (["a", ("a", "a", 2.0), ("a", "a", 3.0)], ["a"], {}, {1: 3, 2: 3}, {}, ()),  # a correction that keeps the number
        ([("a", "b", 1.0), ("b", "a", 1.0)], ["b"], {}, {1: 2}, {1: "b"}, ()),  # each names the other: the later counts
        ([("a", "a", 4.0)], ["a"], {}, {}, {1: "a"}, ()),  # names itself
        ([("x", "gone", 4.0), ("y", "gone", 0.0)], [], {1: 2}, {}, {1: "gone", 2: "gone"}, ()),
        (["a", "a"], ["a", "a"], {}, {}, {}, (2,)),
        (["a", "a", ("x", "a", 0.0)], [], {1: 3, 2: 3}, {}, {}, (2,)),
    ],
)
def test_references_are_followed(
    rows: list[str | tuple[str, str, float]],
    standing: list[str],
    busted: dict[int, int],
    corrected: dict[int, int],
    unknown: dict[int, str],
    repeated: tuple[int, ...],
) -> None:
    found = arraystore.reconcile(frame(*rows))
    assert told(found) == standing
    assert (dict(found.busted), dict(found.corrected), dict(found.unknown), found.repeated) == (busted, corrected, unknown, repeated)


def test_the_same_number_of_another_instrument_or_account_is_another_fill() -> None:
    rows = frame("1", "1", "1", ("2", "1", 0.0), instrument=["A", "B", "A", "B"], account=["x", "x", "y", "x"])
    assert dict(arraystore.reconcile(rows).busted) == {2: 4}
    assert arraystore.reconcile(rows).repeated == ()


def test_rows_are_taken_by_their_number_not_as_they_come() -> None:
    rows = frame(("c", "a", 0.0), ("b", "a", 2.0), "a", sequence=np.array([3, 2, 1], np.uint64))
    assert dict(arraystore.reconcile(rows).busted) == {1: 3, 2: 3}


def test_numbers_and_decimals_do_as_well() -> None:
    schema = arraystore.schema_by_name("fills", identifiers="uint64", decimals=(1, 3))
    given_ = fills("1", "2", ("3", "1", 0.0)) | {"fill_id": [1, 2, 3], "ref_fill_id": np.ma.array([0, 0, 1], mask=[1, 1, 0])}
    given_ |= {"sequence": np.arange(1, 4, dtype=np.uint64), "size": ["1", "1", "0"], "price": ["1.5"] * 3}
    found = arraystore.reconcile(arraystore.Frame(rows_from(given_, schema)))
    assert found.effective["fill_id"].tolist() == [2]


def test_what_has_no_references_cannot_be_reconciled() -> None:
    schema = arraystore.schema_by_name("balances")
    with pytest.raises(arraystore.InvalidInput, match="ref_fill_id"):
        arraystore.reconcile(arraystore.Frame(rows_from({}, schema)))


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["", "", *"abcde"]), st.sampled_from([0.0, 1.0])), max_size=8))
def test_every_row_stands_busts_or_was_taken_by_one_that_names_it(rows: list[tuple[str, str, float]]) -> None:
    rows = [(name, ref, size if ref else 1.0) for name, ref, size in rows]
    found = arraystore.reconcile(frame(*rows))
    standing = set(found.effective["sequence"].tolist())
    taken = {**found.busted, **found.corrected}
    for number, (name, ref, size) in enumerate(rows, 1):
        is_bust = bool(ref) and size == 0
        assert (number in standing) == (not is_bust and number not in taken)
        if number in taken:
            by = rows[taken[number] - 1]
            assert by[1] in {name, ref}
            assert (number in found.busted) == (by[2] == 0)
        if number in found.unknown:
            assert not any(other == ref and place < number for place, (other, other_ref, _) in enumerate(rows, 1) if not other_ref)
