"""The cases about tables run, tiny, with what is installed; a contestant that gives back other values is refused."""

import inspect
import json
from dataclasses import replace
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
from click.testing import CliRunner

import arraystore
from benchmarks import (
    asof,
    book,
    columns,
    exporting,
    frame,
    history,
    labelled,
    large,
    many,
    opening,
    raw,
    replays,
    scan,
    size,
    slicing,
    synthetic,
    write,
)
from benchmarks.__main__ import CASES, main
from benchmarks.cold import answer
from benchmarks.frame import Goal, Setting, build, enter, take_turns
from benchmarks.report import cases_of, mark_of, write_readme
from benchmarks.tables.base import EVERYTHING, Data, Query, WrongValues, check
from benchmarks.tables.ours import Dataset

ROWS = 4_000
FEW = ("tuned, PyArrow", "Zarr fused", "np.load")


@pytest.fixture(scope="module", autouse=True)
def _unsynced():
    """What is built here is read at once and thrown away."""
    with mock.patch("os.fsync"):
        yield


@pytest.fixture(scope="module")
def setting(tmp_path_factory):
    return Setting(small=True, cache=tmp_path_factory.mktemp("built"), rounds=2, rows=ROWS)


@pytest.mark.parametrize("make", [synthetic.trades, synthetic.quotes, synthetic.books])
def test_every_way_that_is_installed_gives_back_what_it_was_given(make, setting):
    data = make(ROWS)
    time = data.columns["time"]
    part = Query(columns=("time", "bid_price" if "bid_price" in data.columns else "price"), start=int(time[700]), stop=int(time[1900]))
    entrants = enter(data, setting, queries=(EVERYTHING, part))
    assert {"arraystore", "np.load", "HDF5 gzip, h5py", "our bytes, Zarr fused pipeline"} <= {each.way.name for each in entrants}
    assert all(each.bytes > 0 for each in entrants)


def test_synthetic_data_are_those_of_the_seed_and_like_a_market():
    once, again = synthetic.quotes(ROWS), synthetic.quotes(ROWS)
    assert all(np.array_equal(once.columns[name], again.columns[name]) for name in once.columns)
    assert len(once.columns) == 12
    assert (np.diff(once.columns["time"]) >= 0).all()
    assert (once.columns["ask_price"] > once.columns["bid_price"]).all()
    assert once.columns["time"][-1] < synthetic.START + synthetic.DAY


@pytest.mark.parametrize("case", [scan, columns])
def test_a_scan_tells_its_goals_beside_the_limit_of_the_same_run(case, setting):
    figures = case.run(setting=replace(setting, only=FEW))
    mine = [each for each in figures if each.contestant == "arraystore"]
    assert mine
    for each in mine:
        assert {"of the limit, reused memory", "times the best peer", "times the best Parquet reader"} <= {goal.what for goal in each.goals}
        assert each.ratio == 1
        assert {other.group for other in figures if other.data == each.data} >= {"limit", "limit-fresh", "memcpy"}


def test_slices_are_those_of_five_and_of_twelve_columns(setting):
    figures = slicing.run(setting=replace(setting, only=FEW))
    assert {each.data.split(", ")[-1] for each in figures} == {"5 columns", "12 columns"}
    assert all(each.p99 >= each.milliseconds for each in figures)


def test_books_keep_their_levels(setting):
    figures = book.run(setting=replace(setting, rows=5_000, only=FEW))
    assert {"arraystore", "np.load", "Parquet tuned, PyArrow", "our bytes, Zarr fused pipeline"} <= {each.contestant for each in figures}


def test_payloads_come_out_as_they_went_in(setting):
    figures = raw.run(setting=replace(setting, rows=300))
    assert {"arraystore", "limit, reused memory", "Parquet zstd, PyArrow", "Parquet zstd, Polars"} <= {each.contestant for each in figures}


def test_made_up_messages_take_the_place_of_captures(setting, monkeypatch):
    monkeypatch.setattr(raw, "captures", list)
    table = raw.messages(replace(setting, rows=50))
    assert len(table) == 50
    with pytest.raises(WrongValues, match="payloads"):
        raw._check("wrong", table.set_column(1, "payload", table["payload"].take(list(range(49, -1, -1)))), table)


def test_writes_are_beside_encoding_and_syncing_the_same_bytes(setting):
    figures = {each.contestant: each for each in write.run(setting=replace(setting, only=FEW))}
    assert {
        "arraystore",
        "limit: encode, write, sync",
        "encode alone",
        "numpy (not synced)",
        "parquet-tuned (not synced)",
    } <= figures.keys()
    assert figures["arraystore"].goals[0].what == "of the limit"


def test_a_history_opens_at_its_newest_and_at_an_earlier_version(setting):
    figures = history.run(setting=setting)
    assert len({each.data for each in figures if each.contestant == "arraystore"}) == 2


def test_exports_are_beside_h5py_with_the_same_filters(setting):
    figures = exporting.run(setting=replace(setting, rows=2_000))
    assert [each.data.rpartition(", ")[2] for each in figures[::2]] == ["portable", "fast"] * 2
    assert {each.contestant for each in figures} == {"arraystore", "h5py, same filters"}
    assert [goal.wanted for each in figures for goal in each.goals] == [1.7, 1.0] * 2


def test_an_export_of_other_values_is_refused(setting, monkeypatch):
    arrays = exporting._arrays
    monkeypatch.setattr(exporting, "_arrays", lambda dataset: {name: array[::-1] for name, array in arrays(dataset).items()})
    with pytest.raises(WrongValues, match="arraystore of trades"):
        exporting.run(setting=replace(setting, rows=2_000))


def test_sizes_are_of_every_form_and_data_set(setting):
    sizes = size.run(setting=replace(setting, rows=1_000, only=("zstd", "portable")))
    assert {each.data.split(",")[0] for each in sizes} >= {"XAUUSD", "trades", "quotes", "books"}
    for each in sizes:
        if each.contestant == "arraystore dense" and each.goals:
            assert {goal.what for goal in each.goals} <= {"times smaller than the smallest other", "times smaller than"}


def test_looking_up_finds_the_row_in_force(setting):
    figures = asof.run(setting=setting)
    assert {"arraystore", "searchsorted in mapped .npy", "Polars join_asof", "pandas merge_asof"} <= {each.contestant for each in figures}


def test_many_datasets_are_beside_one_of_their_size(setting):
    figures = {each.contestant: each for each in many.run(setting=replace(setting, rows=2_000))}
    assert {"arraystore", "arraystore, one dataset of that size", "Parquet zstd, Polars"} <= figures.keys()
    assert {each.rows for each in figures.values()} == {20 * 100}


def test_a_replay_is_the_merge_of_its_streams(setting):
    figures = {each.contestant: each for each in replays.run(setting=replace(setting, rows=1_000, only=("none",)))}
    assert figures["arraystore"].rows == figures["arraystore, 50 streams"].rows == 2_000
    assert len(figures["arraystore"].goals) == 2


def test_a_replay_in_another_order_is_refused(setting, monkeypatch):
    place = frame.built_store("order", lambda place: replays._make(place, [synthetic.trades(500), synthetic.trades(500, seed=1)]), setting)
    right = replays.streams_of(place)
    replay = arraystore.replay
    monkeypatch.setattr(replays.arraystore, "replay", lambda streams: replay(list(reversed(streams))))
    monkeypatch.setattr(replays, "streams_of", lambda _: right)
    with pytest.raises(WrongValues, match="merge"):
        replays._check(place)


def test_a_lazy_dataset_computes_to_what_was_written(setting):
    figures = labelled.run(setting=setting)
    assert any(each.goals for each in figures)  # whichever was quickest
    opened = opening.run(setting=setting)
    assert {each.data.split(": ")[1] for each in opened} == {"open", "open, .sel of a minute"}


def test_memory_beyond_the_result_is_of_the_reading_process(setting, capsys):
    data = synthetic.top_of_book(ROWS, ROWS)
    (way,) = [way for way in frame.all_ways() if way.name == "arraystore"]
    large.answer("arraystore", build(way, data, setting.folder), data.decoded)
    wall, cpu, beyond = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert min(wall, cpu, beyond) >= 0
    readings = [large.Reading(data="x", contestant="arraystore", rows=rows, milliseconds=rows, cpu=rows, beyond=1) for rows in (10, 100)]
    assert [goal.met for each in large._judged(readings, 100) for goal in each.goals] == [True, True]


def wrong(change):
    """A way that is ours, but for what it does to the values it gives back."""
    (ours,) = [way for way in frame.all_ways() if way.name == "arraystore"]

    class Wrong(Dataset):
        def arrays(self, result):
            return change({name: values.copy() for name, values in super().arrays(result).items()})

    return replace(ours, name="wrong", open=Wrong)


def flip(arrays):
    arrays["price"].view(np.uint64)[17] ^= 1
    return arrays


def drop(arrays):
    return {name: values[:-1] for name, values in arrays.items()}


def narrow(arrays):
    return arrays | {"price": arrays["price"].astype(np.float32)}


def lose(arrays):
    del arrays["price"]
    return arrays


@pytest.mark.parametrize(("change", "told"), [(flip, r"price\[17\]"), (drop, "3999"), (narrow, "float32"), (lose, "no columns")])
def test_a_contestant_that_returns_wrong_values_is_refused(change, told, setting):
    with pytest.raises(WrongValues, match=told):
        enter(synthetic.trades(ROWS), setting, [wrong(change)])


def test_signs_of_zeros_and_nans_are_compared_bit_for_bit():
    with pytest.raises(WrongValues):
        check("zeros", {"x": np.array([0.0])}, {"x": np.array([-0.0])})
    check("NaNs", {"x": np.array([np.nan])}, {"x": np.array([np.nan])})


def test_contestants_take_turns_and_slow_ones_are_left_out():
    called: list[str] = []
    taken = take_turns({name: lambda name=name: called.append(name) for name in "abc"}, 4)
    assert sorted(called[:3]) == sorted(called[3:6]) == ["a", "b", "c"]
    assert all(len(samples.wall) == len(samples.cpu) == 4 for samples in taken.values())
    slow = take_turns({"slow": lambda: sum(range(20_000))}, 9, budget_seconds=0, least=2)
    assert len(slow["slow"].wall) == 2


def test_contestants_may_have_several_rounds_in_a_row():
    called: list[str] = []
    taken = take_turns({name: lambda name=name: called.append(name) for name in "ab"}, 5, block=2)
    assert {"".join(called[:2]), "".join(called[2:4])} == {"aa", "bb"}
    assert sorted(called[8:]) == ["a", "b"]
    assert all(len(samples.wall) == 5 for samples in taken.values())
    slow = take_turns({"slow": lambda: sum(range(20_000))}, 9, budget_seconds=0, least=3, block=5)
    assert len(slow["slow"].wall) == 3


def test_what_is_built_is_built_once_and_again_for_other_data(setting, tmp_path):
    (way,) = [way for way in frame.all_ways() if way.name == "np.load"]
    data = synthetic.trades(1_000)
    first = build(way, data, tmp_path)
    stamp = (first / "price.npy").stat().st_mtime_ns
    assert build(way, data, tmp_path) == first
    assert (first / "price.npy").stat().st_mtime_ns == stamp
    other = Data(name=data.name, columns=data.columns | {"price": data.columns["price"] + 1})
    assert build(way, other, tmp_path) != first


def test_a_cold_read_is_answered_by_a_process_of_its_own(setting, capsys, monkeypatch):
    place = build(next(way for way in frame.all_ways() if way.name == "arraystore"), synthetic.trades(ROWS), setting.folder)
    monkeypatch.setattr("sys.stdin.readline", lambda: "go\n", raising=False)
    answer("arraystore", place)
    loaded, figures = capsys.readouterr().out.splitlines()
    assert loaded == "loaded"
    assert all(each >= 0 for each in json.loads(figures))


def test_json_has_the_machine_and_whether_goals_are_met(setting, tmp_path):
    more = ["--cache", str(setting.folder), "--rows", str(ROWS), "--rounds", "1", *(f"--only={name}" for name in FEW)]
    done = CliRunner().invoke(main, ["columns", "--json", str(tmp_path / "told.json"), *more], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    told = json.loads((tmp_path / "told.json").read_text())
    assert told["machine"]["processors"] >= 1
    (mine,) = [each for each in told["columns"] if each["contestant"] == "arraystore"]
    assert all(goal["met"] in (True, False) for goal in mine["goals"])


def test_tables_go_between_their_marks_on_a_page(setting, tmp_path):
    page = tmp_path / "page.md"
    marked = "\n".join(f"{mark_of(name)}\nold\n<!-- end {name} -->" for name in ("goals", "columns"))
    page.write_text(f"before\n{marked}\nafter\n")
    assert cases_of(page) == ["columns"]
    write_readme({"columns": columns.run(setting=replace(setting, only=FEW))}, CASES, page=page)
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "| **arraystore** |" in text
    assert "| `columns` | quotes, 4,000 rows | of the limit, reused memory | 0.9 |" in text


def test_the_page_has_a_place_for_each_case_about_tables():
    with_setting = {name for name, case in CASES.items() if "setting" in inspect.signature(case.run).parameters}
    assert set(cases_of()) == with_setting


def test_a_case_that_fails_keeps_no_other_from_running(monkeypatch):
    ran = []

    def run(command, *, check):
        ran.append(command[3])
        return SimpleNamespace(returncode=int(command[3] == "book"))

    monkeypatch.setattr("benchmarks.__main__.subprocess.run", run)
    done = CliRunner().invoke(main, ["book", "columns"])
    assert ran == ["book", "columns"]
    assert done.exit_code == 1
    assert "book failed" in done.output


def test_a_goal_says_whether_it_is_met():
    assert "NOT MET" in str(Goal(what="times", wanted=2, found=1.99))
    assert str(Goal(what="times", wanted=2, found=2.0, beside="Parquet")).endswith("(Parquet), met")
