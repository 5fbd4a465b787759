"""What becomes of windows in quarantine: evidence, notes, decisions, and what is held again."""

import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

import arraystore
from tests.store.conftest import DAY, START, root, rows

__all__ = ["root"]

KEY, TRADES = ("venue", "trades", "X"), arraystore.schema_by_name("trades")
FIRST, SECOND = "2024-08-08", "2024-08-09"
CASE = {"schema": TRADES, "reason": "sequence-gap", "failed_checks": ["ids"], "source": "capture.gz:17"}


@pytest.fixture
def store(root: Path) -> arraystore.Store:
    return arraystore.open_store(root, role="data-quality")


def sizes(dataset: arraystore.DatasetView, window: str) -> list[float]:
    return dataset.read(window=window, columns=["size"])["size"].tolist()


def test_evidence_is_kept_with_the_case(store: arraystore.Store, tmp_path: Path) -> None:
    path = tmp_path / "gap.txt"
    path.write_text("12 missing")
    store.quarantine.hold(KEY, rows(2), **CASE, evidence=path)
    store.quarantine.hold(KEY, rows(2, START + DAY), **CASE, evidence={"raw.gz": b"\x1f", "seen.json": b"{}"})
    store.quarantine.hold(KEY, rows(2, START + 2 * DAY), **CASE, evidence=b"bytes")
    kept = [store.quarantine.evidence(KEY, window) for window in store.quarantine[KEY].windows()]
    assert [[name.rpartition("/")[2] for name in files] for files in kept] == [["gap.txt"], ["raw.gz", "seen.json"], ["evidence"]]
    assert [artifact.read() for files in kept for artifact in files.values()] == [b"12 missing", b"\x1f", b"{}", b"bytes"]
    assert len({name for files in kept for name in files}) == 4


def test_notes_are_added_with_time_and_role(store: arraystore.Store) -> None:
    before = time.time_ns()
    store.quarantine.hold(KEY, rows(2), **CASE)
    store.quarantine.note(KEY, FIRST, "asked the venue")
    store.quarantine.note(KEY, FIRST, "they say it was theirs")
    store.quarantine.reject(KEY, FIRST, note="their fault")
    store.quarantine.note(KEY, FIRST, "told everyone")
    case = store.quarantine.case(KEY, FIRST)
    assert [(note.role, note.text) for note in case.notes] == [
        ("data-quality", "asked the venue"),
        ("data-quality", "they say it was theirs"),
        ("data-quality", "told everyone"),
    ]
    assert before < case.held < case.notes[0].time < case.notes[1].time < case.decided < case.notes[2].time
    assert (case.state, case.note, case.decided_by) == ("rejected", "their fault", "data-quality")
    with pytest.raises(arraystore.AccessDenied):
        arraystore.open_store(store.url, role="operations").quarantine.note(KEY, FIRST, "not mine to say")
    with pytest.raises(arraystore.NotFound, match="2024-08-10"):
        store.quarantine.note(KEY, "2024-08-10", "of what?")


def test_a_note_written_meanwhile_is_not_lost(store: arraystore.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.quarantine.hold(KEY, rows(2), **CASE)
    stale = store.quarantine[KEY]
    store.quarantine.note(KEY, FIRST, "first")
    monkeypatch.setattr(type(store.quarantine), "__getitem__", lambda *_: stale)
    store.quarantine.note(KEY, FIRST, "second")
    assert [note.text for note in store.quarantine.case(KEY, FIRST).notes] == ["first", "second"]


def test_a_case_is_released_once_with_its_rows_and_lineage(store: arraystore.Store) -> None:
    store.quarantine.hold(KEY, rows(3), **CASE, coverage=("2024-08-08", "2024-08-09"))
    into = store.canonical.create(KEY, TRADES)
    store.quarantine.release(KEY, FIRST, into=into, note="the gap was the venue's")
    manifest = store.canonical[KEY].manifest(FIRST)
    assert (manifest.rows, manifest.completeness, manifest.coverage) == (3, "complete", ((START, START + DAY),))
    (pin,) = manifest.lineage
    assert (pin.storage_class, pin.key, pin.version) == ("quarantine", KEY, 2)
    assert store.read(pin)["size"].tolist() == [0.0, 1.0, 2.0]
    case = store.quarantine.case(KEY, FIRST)
    assert (case.state, case.note) == ("released", "the gap was the venue's")
    assert store.read(case.released_into[0]).row_count == 3
    for call in (
        lambda: store.quarantine.release(KEY, FIRST, into=into),
        lambda: store.quarantine.release(KEY, FIRST, into=pin),
        lambda: store.quarantine.reject(KEY, FIRST, note="no"),
    ):
        with pytest.raises(arraystore.InvalidInput, match="only a held one"):
            call()
    assert store.canonical[KEY].rows == 3


def test_a_release_that_died_half_way_doubles_nothing(store: arraystore.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.quarantine.hold(KEY, rows(3), **CASE)
    into = store.canonical.create(KEY, TRADES)
    with monkeypatch.context() as patched:
        patched.setattr(type(store.quarantine), "_decide", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            store.quarantine.release(KEY, FIRST, into=into)
    assert store.quarantine.case(KEY, FIRST).state == "held"
    store.quarantine.release(KEY, FIRST, into=store.canonical[KEY])
    assert store.canonical[KEY].rows == 3
    assert store.quarantine.case(KEY, FIRST).released_into[0].version == 2


def test_rows_are_not_released_beside_others_unless_asked_for(store: arraystore.Store) -> None:
    store.quarantine.hold(KEY, rows(3), **CASE)
    into = store.canonical.create(KEY, TRADES)
    into.append(rows(1, first=9), completeness="complete")
    with pytest.raises(arraystore.WindowClosed, match="reopen=True"):
        store.quarantine.release(KEY, FIRST, into=into)
    assert store.quarantine.case(KEY, FIRST).state == "held"
    store.quarantine.release(KEY, FIRST, into=into, reopen=True)
    assert sizes(store.canonical[KEY], FIRST) == [9.0, 0.0, 1.0, 2.0]


def test_what_is_held_again_after_a_decision_is_a_new_case_of_the_new_rows(store: arraystore.Store) -> None:
    quarantine = store.quarantine
    quarantine.hold(KEY, rows(3), **CASE)
    quarantine.note(KEY, FIRST, "looks bad")
    quarantine.reject(KEY, FIRST, note="broken")
    old = quarantine[KEY].pin()
    later = {**CASE, "reason": "checksum", "failed_checks": ["crc"]}
    receipt = quarantine.hold(KEY, np_concat(rows(2, first=7), rows(1, START + DAY)), **later)
    assert (receipt.rows, receipt.windows) == (3, (FIRST, SECOND))
    case = quarantine.case(KEY, FIRST)
    assert (case.state, case.reason, case.failed_checks, case.notes, case.note, case.decided) == (
        "held",
        "checksum",
        ("crc",),
        (),
        "",
        None,
    )
    assert sizes(quarantine[KEY], FIRST) == [7.0, 8.0]
    assert store.read(old)["size"].tolist() == [0.0, 1.0, 2.0]
    (before,) = case.history
    assert (before["state"], before["reason"], before["note"], before["decided_by"]) == (
        "rejected",
        "sequence-gap",
        "broken",
        "data-quality",
    )
    assert [note["text"] for note in before["notes"]] == ["looks bad"]
    assert quarantine.case(KEY, SECOND).history == ()
    quarantine.release(KEY, FIRST, into=store.canonical.create(KEY, TRADES))
    quarantine.hold(KEY, rows(1), **CASE)
    assert [earlier["state"] for earlier in quarantine.case(KEY, FIRST).history] == ["rejected", "released"]
    assert not quarantine[KEY].verify(deep=True)


def np_concat(*parts: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def test_more_of_a_held_window_joins_its_case(store: arraystore.Store) -> None:
    quarantine = store.quarantine
    quarantine.hold(KEY, rows(2), **CASE, evidence=b"one")
    quarantine.note(KEY, FIRST, "wait for more")
    first = quarantine.case(KEY, FIRST)
    quarantine.hold(KEY, rows(1, first=5), **{**CASE, "reason": "late"}, evidence=b"two")
    case = quarantine.case(KEY, FIRST)
    assert (case.held, case.notes, case.reason) == (first.held, first.notes, "late")
    assert [earlier["reason"] for earlier in case.history] == ["sequence-gap"]
    assert [file.read() for file in quarantine.evidence(KEY, FIRST).values()] == [b"one", b"two"]
    assert sizes(quarantine[KEY], FIRST) == [0.0, 1.0, 5.0]


def test_cases_are_found_by_reason_state_and_age(store: arraystore.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    quarantine, now = store.quarantine, time.time_ns
    for days, (key, reason) in enumerate(((("a", "f", "X"), "late"), (("b", "f", "X"), "gap"), (("c", "f", "X"), "gap"))):
        with monkeypatch.context() as patched:
            patched.setattr(time, "time_ns", lambda days=days: now() - days * DAY)
            quarantine.hold(key, rows(1), **{**CASE, "reason": reason})
    quarantine.reject("b/f/X", FIRST, note="no")

    def found(**options: object) -> str:
        return "".join(case.key[0] for case in quarantine.cases(**options))

    assert found() == "abc"
    assert found(reason="gap") == "bc"
    assert found(state="held", reason="gap") == "c"
    assert found(older_than="12h") == "bc"
    assert found(older_than=timedelta(days=1, hours=12)) == "c"
    assert found(older_than="3d") == ""
    with pytest.raises(arraystore.InvalidInput, match="older_than"):
        quarantine.cases(older_than="a while")


def test_the_age_of_a_case_that_does_not_tell_is_that_of_its_first_commit(store: arraystore.Store) -> None:
    dataset = store.quarantine.create(KEY, TRADES)
    dataset.append(rows(1), window_attributes={"state": "held"})
    assert store.quarantine.case(KEY, FIRST).held == dataset.versions()[-1].time


def test_what_was_deleted_can_be_held_anew(store: arraystore.Store) -> None:
    store.quarantine.hold(KEY, rows(2), **CASE)
    old = store.quarantine[KEY].pin()
    store.quarantine.delete(KEY, reason="reviewed")
    assert store.quarantine.cases() == []
    store.quarantine.hold(KEY, rows(1), **CASE)
    case = store.quarantine.case(KEY, FIRST)
    assert (case.rows, case.history) == (1, ())
    assert store.read(old).row_count == 2


def test_a_window_that_was_withdrawn_can_be_held_anew(store: arraystore.Store) -> None:
    store.quarantine.hold(KEY, rows(2), **CASE)
    store.quarantine[KEY].withdraw(FIRST, reason="held by mistake")
    store.quarantine.hold(KEY, rows(1, first=5), **CASE)
    assert (store.quarantine.case(KEY, FIRST).state, sizes(store.quarantine[KEY], FIRST)) == ("held", [5.0])
