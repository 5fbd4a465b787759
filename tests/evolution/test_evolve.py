"""A dataset gets another schema: what is there reads on under it, versions before under their own."""

from itertools import pairwise

import msgspec
import numpy as np
import pytest

import arraystore
from arraystore import Column, Kind, Schema
from layouts.windows import parse_window, split_by_window
from tests.format.independent_reader import Dataset as IndependentDataset
from tests.store.conftest import DAY, START, OpenAs, rows

KEY = ("venue", "trades", "BTCUSDT")
NARROW = Schema(
    name="ticks",
    columns=(
        Column(name="time", kind=Kind.TIME),
        Column(name="number", kind=Kind.NUMBER, dtype="int16"),
        Column(name="level", kind=Kind.NUMBER, dtype="int32", nullable=True),
        Column(name="side", kind=Kind.VOCABULARY, vocabulary=(("buy", 1), ("sell", -1))),
    ),
)
WIDE = msgspec.structs.replace(
    NARROW,
    columns=(
        NARROW.columns[0],
        msgspec.structs.replace(NARROW.columns[1], dtype="int64"),
        msgspec.structs.replace(NARROW.columns[2], dtype="float64"),
        msgspec.structs.replace(NARROW.columns[3], vocabulary=(("buy", 1), ("sell", -1), ("none", 0))),
        Column(name="note", kind=Kind.TEXT, nullable=True),
    ),
)


def ticks(first: int, count: int = 4, step: int = 10**9) -> dict[str, object]:
    numbers = np.arange(first, first + count)
    level = np.ma.masked_array(numbers.astype(np.int32), mask=numbers % 2 == 0)
    return {"time": START + numbers * step, "number": numbers.astype(np.int16), "level": level, "side": ["buy"] * count}


def noted(first: int, count: int = 4) -> dict[str, object]:
    return {**ticks(first, count), "note": [f"no {number}" for number in range(first, first + count)], "side": ["none"] * count}


def new(open_as: OpenAs, schema: Schema = NARROW) -> arraystore.Dataset:
    return open_as("data-quality").canonical.create(KEY, schema)


def test_older_rows_read_under_the_schema_in_force_and_older_versions_under_their_own(open_as: OpenAs) -> None:
    dataset = new(open_as)
    dataset.append(ticks(0))
    dataset.append(ticks(4, 20_000, 10**6))
    before = dataset.version
    receipt = dataset.evolve(WIDE, reason="venue sends notes")
    assert (receipt.version, receipt.rows, dataset.schema) == (before + 1, 0, WIDE)
    dataset.append(noted(30_000))
    frame = open_as("analysis").canonical[KEY].read()
    assert frame["number"].dtype == np.int64
    assert frame["level"].dtype == np.float64
    assert np.isnan(frame["level"][0]), "under a null of a float lies NaN"
    assert frame.valid("note").sum() == 4
    assert list(frame["side"][-1:]) == [0]
    old = dataset.at(before)
    assert old.schema == NARROW
    assert old.read()["number"].dtype == np.int16
    assert "note" not in old.read()
    said = dataset.versions()[before]
    assert (said.operation, said.reason) == ("evolve", "venue sends notes")
    assert not dataset.verify(deep=True)


def test_a_schema_that_is_in_force_already_makes_no_version(open_as: OpenAs) -> None:
    dataset = new(open_as)
    assert dataset.evolve(WIDE).version == 2
    assert dataset.evolve(WIDE).version == 2


def test_what_cant_follow_is_refused_with_all_reasons_and_a_way_out(open_as: OpenAs) -> None:
    dataset = new(open_as)
    broken = Schema(
        name="ticks",
        columns=(
            Column(name="time", kind=Kind.TIME),
            Column(name="number", kind=Kind.NUMBER, dtype="int8"),
            Column(name="level", kind=Kind.NUMBER, dtype="int32"),
            Column(name="extra", kind=Kind.TEXT),
        ),
    )
    with pytest.raises(arraystore.InvalidInput) as caught:
        dataset.evolve(broken)
    places = {problem.where for problem in caught.value.problems}
    assert places == {"column 'number'", "column 'level'", "column 'side'", "column 'extra'"}
    assert "supersedes" in str(caught.value)
    assert dataset.refresh().version == 1
    with pytest.raises(arraystore.InvalidInput, match="isn't a Schema"):
        dataset.evolve("ticks")
    with pytest.raises(arraystore.AccessDenied):
        open_as("analysis").canonical[KEY].evolve(WIDE)


@pytest.mark.parametrize("count", [3, 20_000])
def test_a_handle_that_hasnt_seen_the_change_may_go_on_and_takes_no_column_away(open_as: OpenAs, count: int) -> None:
    late = new(open_as)
    late.append(ticks(0, 2))
    other = open_as("data-quality").canonical[KEY]
    other.evolve(WIDE)
    other.append(noted(2, 2))
    late.append(ticks(4, count, 10**6), completeness="complete")
    assert late.schema == WIDE, "its own write showed it the new one"
    frame = late.read()
    assert frame.row_count == 4 + count
    assert sorted(note for note in np.asarray(frame["note"]).tolist() if note) == ["no 2", "no 3"], "tails kept what only they had"
    assert not late.verify(deep=True)


def test_a_handle_that_hasnt_seen_the_change_is_told_when_its_rows_want_the_new_schema(open_as: OpenAs) -> None:
    late = new(open_as)
    open_as("data-quality").canonical[KEY].evolve(WIDE)
    with pytest.raises(arraystore.InvalidInput, match=r"refresh\(\) and try again"):
        late.append(noted(0))
    assert late.refresh().append(noted(0)).version == 3


def test_a_stream_that_a_change_overtakes_lands_as_it_was_written(open_as: OpenAs) -> None:
    dataset = new(open_as)

    def batches():
        yield ticks(0, 1000)
        dataset.evolve(WIDE)
        yield ticks(1000, 1000)

    assert dataset.append_stream(batches(), piece_bytes=4096).rows == 2000
    assert dataset.read()["number"].tolist() == list(range(2000))
    assert dataset.read()["number"].dtype == np.int64


def test_a_sealed_dataset_keeps_its_schema(root) -> None:
    store = arraystore.open_store(root, role="backtesting")
    with store.experiments.run("grid", "one") as run:
        pass
    with pytest.raises(arraystore.WindowClosed, match="sealed"):
        run.dataset.evolve(NARROW)


# --- another length of windows --------------------------------------------------------------------------------------


def monthly(schema: Schema) -> Schema:
    return msgspec.structs.replace(schema, window="month")


def test_future_windows_have_another_length_and_never_overlap_those_before(open_as: OpenAs) -> None:
    dataset = open_as("data-quality").canonical.create(KEY, arraystore.schema_by_name("trades"))
    dataset.append(rows(3, step=DAY))
    dataset.evolve(monthly(dataset.schema), window_from="2024-09-01")
    data = rows(40, start=arraystore.parse_time("2024-08-20"), step=DAY, first=0)
    receipt = dataset.append(data)
    assert receipt.windows[-2:] == ("2024-08-31", "2024-09")
    spans = [parse_window(name) for name in dataset.windows()]
    assert all(first.stop <= second.start for first, second in pairwise(spans))
    frame = open_as("live").canonical[KEY].read()
    assert frame.row_count == 43
    assert (np.diff(np.asarray(frame["time"]).astype(np.int64)) > 0).all()
    assert dataset.read("2024-08-31", "2024-09-02").row_count == 2
    assert dataset.read(window="2024-09").row_count == 28
    covered = dataset.append(None, coverage=("2024-08-30", "2024-10-02"))
    assert covered.windows == ("2024-08-30", "2024-08-31", "2024-09", "2024-10")
    assert not dataset.verify(deep=True)


def test_the_moment_must_fit_both_lengths_and_lie_past_every_window(open_as: OpenAs) -> None:
    dataset = open_as("data-quality").canonical.create(KEY, arraystore.schema_by_name("trades"))
    dataset.append(rows(40, step=DAY))
    with pytest.raises(arraystore.InvalidInput, match="say from which moment"):
        dataset.evolve(monthly(dataset.schema))
    with pytest.raises(arraystore.InvalidInput, match="no window of month begins"):
        dataset.evolve(monthly(dataset.schema), window_from="2024-10-02")
    with pytest.raises(
        arraystore.InvalidInput, match="16 windows up to '2024-09-16' end later: the first moment that can be is 2024-10-01"
    ):
        dataset.evolve(monthly(dataset.schema), window_from="2024-09-01")
    with pytest.raises(arraystore.InvalidInput, match="can't be followed"):
        dataset.evolve(dataset.schema, window_from="2024-10-01")
    assert dataset.evolve(monthly(dataset.schema), window_from="2024-10-01").version == 3
    again = msgspec.structs.replace(dataset.schema, window="hour", earlier_windows=())
    assert dataset.evolve(again, window_from="2025-01-01").version == 4
    assert [until for _, until in dataset.schema.earlier_windows] == list(map(arraystore.parse_time, ["2024-10-01", "2025-01-01"]))
    late = dataset.append(rows(1, start=arraystore.parse_time("2024-11-05")))
    assert late.windows == ("2024-11",)
    assert dataset.append(rows(1, start=arraystore.parse_time("2025-11-05"))).windows == ("2025-11-05T00",)


def test_windows_that_another_handle_would_cut_the_old_way_are_cut_the_new_way(open_as: OpenAs) -> None:
    late = open_as("data-quality").canonical.create(KEY, arraystore.schema_by_name("trades"))
    other = open_as("data-quality").canonical[KEY]
    other.evolve(monthly(other.schema), window_from="2024-08-01")
    assert late.append(rows(3, step=DAY)).windows == ("2024-08",)


def test_a_stream_cut_the_old_way_is_refused_and_leaves_nothing(open_as: OpenAs) -> None:
    dataset = open_as("data-quality").canonical.create(KEY, arraystore.schema_by_name("trades"))
    other = open_as("data-quality").canonical[KEY]

    def batches():
        yield rows(1000)
        other.evolve(monthly(other.schema), window_from="2024-08-01")
        yield rows(1000, first=1000)

    with pytest.raises(arraystore.Conflict, match="append them again"):
        dataset.append_stream(batches(), piece_bytes=4096)
    assert dataset.refresh().rows == 0
    assert dataset.append_stream([rows(1000)], piece_bytes=4096).windows == ("2024-08",)


def test_a_reader_written_from_the_format_page_reads_what_evolved(root) -> None:
    dataset = arraystore.open_store(root, role="data-quality").canonical.create(KEY, NARROW)
    dataset.append(ticks(0))
    dataset.evolve(WIDE)
    dataset.append(noted(4))
    dataset.evolve(monthly(WIDE), window_from="2024-09-01")
    dataset.append(noted(2_500_000))
    reader = IndependentDataset(root / "canonical" / "venue" / "trades" / "BTCUSDT", "canonical", KEY)
    state = reader.state()
    assert sorted(state.windows) == ["2024-08-08", "2024-09"]
    assert reader.read("2024-08-08", state)["number"].data.tolist() == list(range(8))
    assert reader.read("2024-09", state)["number"].data.dtype == np.int64


def test_whoever_doesnt_know_of_window_lengths_refuses_rather_than_write_windows_that_overlap(root, monkeypatch) -> None:
    dataset = arraystore.open_store(root, role="data-quality").canonical.create(KEY, NARROW)
    dataset.evolve(monthly(NARROW), window_from="2024-09-01")
    monkeypatch.setattr("arraystore.versions.record.KNOWN_FEATURES", frozenset())
    with pytest.raises(arraystore.Unsupported, match="window-lengths"):
        arraystore.open_store(root, role="data-quality").canonical[KEY]


def test_windows_that_overlap_all_the_same_are_found(root, monkeypatch) -> None:
    dataset = arraystore.open_store(root, role="data-quality").canonical.create(KEY, NARROW)
    dataset.evolve(monthly(NARROW), window_from="2024-08-01")
    dataset.append(ticks(0))
    with monkeypatch.context() as patched:
        patched.setattr("arraystore.datasets.request.cut_by_window", lambda _, times: split_by_window("day", times))
        dataset.append(ticks(4))
    (finding,) = dataset.verify()
    assert "window 2024-08-08 lies in window 2024-08" in finding.problem


# --- what can't evolve is superseded --------------------------------------------------------------------------------


def test_a_dataset_that_takes_anothers_place_says_which(open_as: OpenAs) -> None:
    store = open_as("data-quality")
    old = new(open_as)
    old.append(ticks(0))
    other = store.canonical.create((*KEY[:2], "BTCUSDT-2"), arraystore.schema_by_name("trades"), supersedes=old.pin())
    assert msgspec.convert(other.attributes["supersedes"], arraystore.Pin) == old.pin()
    assert other.versions()[0].inputs == (old.pin(),)
    wrong = msgspec.structs.replace(old.pin(), digest="0" * 64)
    with pytest.raises(arraystore.NotFound):
        store.canonical.create((*KEY[:2], "BTCUSDT-3"), NARROW, supersedes=wrong)
    assert (*KEY[:2], "BTCUSDT-3") not in store.canonical
