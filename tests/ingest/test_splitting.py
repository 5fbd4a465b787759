"""Files of many instruments: each row goes to its dataset, all of a file or nothing, also when it is interrupted between two."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import arraystore
from arraystore.datasets.dataset import Dataset
from arraystore.ingest import load_mapping, portions, shipped_mappings, spool, tables
from arraystore.ingest.forms import read_form
from layouts.times import parse_time
from tests.ingest.conftest import DAY, HEADER, lines, mapping, written, zipped

INTO = "canonical/venue/quotes/{symbol}"
MANY = mapping({"split": ["symbol"]})


def mixed(count: int, symbols: str = "ABC") -> str:
    rows = "".join(f"{symbols[n * n % len(symbols)]},{DAY}T00:{n // 60:02d}:{n % 60:02d},{n},{n + 1}\n" for n in range(count))
    return f"symbol,time,bid,ask\n{rows}"


def bids(store: arraystore.Store) -> dict[str, list[float]]:
    """What each symbol has."""
    return {key[-1]: store.canonical[key].read()["bid_price"].tolist() for key in store.canonical.find()}


def expected(count: int, symbols: str = "ABC") -> dict[str, list[float]]:
    return {symbol: [n for n in range(count) if symbols[n * n % len(symbols)] == symbol] for symbol in symbols if symbol != "C"}


@pytest.mark.parametrize("held", [1, 2_000, 1 << 30])
def test_rows_go_where_they_belong_in_their_order(
    tmp_path: Path, store: arraystore.Store, load: Any, monkeypatch: pytest.MonkeyPatch, held: int
) -> None:
    monkeypatch.setattr(spool.Spool.__init__, "__defaults__", (held,))
    report = load(written(tmp_path / "day.csv", mixed(500)), mapping=MANY, into=INTO)
    assert bids(store) == expected(500)
    assert report.rows == 500


def test_one_bad_row_keeps_all_datasets_from_being_made(tmp_path: Path, store: arraystore.Store, load: Any) -> None:
    path = written(tmp_path / "day.csv", mixed(500) + f"B,{DAY}T01:00,x,1\n")
    with pytest.raises(arraystore.InvalidInput, match=r"day\.csv line 502: column 'bid'"):
        load(path, mapping=MANY, into=INTO)
    assert store.canonical.find() == []


def test_order_binds_within_each_dataset_only(tmp_path: Path, store: arraystore.Store, load: Any) -> None:
    text = f"symbol,time,bid,ask\nA,{DAY}T09:00,1,2\nB,{DAY}T08:00,1,2\nA,{DAY}T10:00,1,2\n"
    load(written(tmp_path / "day.csv", text), mapping=MANY, into=INTO)
    with pytest.raises(arraystore.InvalidInput, match=r"line 5: column 'time': holds 2024-08-08T09:30:00Z, before 2024-08-08T10:00:00Z"):
        load(written(tmp_path / "bad.csv", text + f"A,{DAY}T09:30,1,2\n"), mapping=MANY, into=INTO)


@pytest.mark.parametrize("late", [False, True])
def test_a_file_interrupted_between_two_datasets_is_completed_by_resume(
    tmp_path: Path, store: arraystore.Store, load: Any, monkeypatch: pytest.MonkeyPatch, *, late: bool
) -> None:
    text = mixed(500)
    if late:  # the second dataset comes up only after much of the first was read
        monkeypatch.setattr(portions, "BEGINNING_BYTES", 1)
        monkeypatch.setattr(tables, "BLOCK_BYTES", 2_000)
        header, *rows = text.splitlines(keepends=True)
        text = header + "".join(sorted(rows, key=lambda row: row[0]))
    path = written(tmp_path / "day.csv", text)
    append, done = Dataset.append_stream, []

    def dies(self: Dataset, *args: Any, **options: Any) -> Any:
        if done:
            raise KeyboardInterrupt
        receipt = append(self, *args, **options)
        done.append(receipt)
        return receipt

    with monkeypatch.context() as patched:
        patched.setattr(Dataset, "append_stream", dies)
        with pytest.raises(KeyboardInterrupt):
            load(path, mapping=MANY, into=INTO)
    assert len(done) == 1
    with pytest.raises(arraystore.AlreadyExists, match="pass --resume"):
        load(path, mapping=MANY, into=INTO)
    report = load(path, mapping=MANY, into=INTO, resume=True)
    assert [each.state for each in report.files] == ["known", "ingested"]
    assert bids(store) == expected(500)


def test_a_complete_window_of_one_keeps_all_out(tmp_path: Path, store: arraystore.Store, load: Any) -> None:
    load(written(tmp_path / "b.csv", mixed(10, "B")), mapping=MANY, into=INTO, completeness="complete")
    with pytest.raises(arraystore.WindowClosed, match=f"window {DAY} of canonical/venue/quotes/B is complete"):
        load(written(tmp_path / "day.csv", mixed(500)), mapping=MANY, into=INTO)
    assert store.canonical.find() == [("venue", "quotes", "B")]


def test_members_of_an_archive_go_to_datasets_of_their_own(tmp_path: Path, store: arraystore.Store, load: Any) -> None:
    path = zipped(tmp_path / "all.zip", {f"{symbol}.txt": HEADER + lines(count) for symbol, count in (("A", 3), ("B", 4))})
    report = load(path, mapping=mapping({"name": r"^(?P<symbol>[A-Z])\.txt"}), into=INTO)
    assert [(each.address[-1], each.rows) for each in report.files] == [("A", 3), ("B", 4)]
    assert [each.state for each in load(path, mapping=mapping({"name": r"^(?P<symbol>[A-Z])\.txt"}), into=INTO, resume=True).files] == [
        "known",
        "known",
    ]


def test_rows_are_chosen_and_the_others_counted(tmp_path: Path, store: arraystore.Store, load: Any) -> None:
    chosen = mapping({"where": {"symbol": ["A", "B"]}, "unless": {"bid": ["0", "3"]}, "split": ["symbol"]})
    report = load(written(tmp_path / "day.csv", mixed(9, "ABCD")), mapping=chosen, into=INTO)
    assert bids(store) == {"A": [2, 4, 6, 8], "B": [1, 5, 7]}
    assert (report.rows, report.files[0].left_out) == (7, 2)


def test_a_dry_run_tells_every_dataset_and_makes_none(tmp_path: Path, store: arraystore.Store, load: Any) -> None:
    report = load(written(tmp_path / "day.csv", mixed(500)), mapping=MANY, into=INTO, dry_run=True)
    assert sorted((each.address[-1], each.state, each.windows) for each in report.files) == [(s, "checked", (DAY,)) for s in "AB"]
    assert store.canonical.find() == []


RACER = """
import sys
import arraystore
from tests.ingest.test_splitting import INTO, MANY

store = arraystore.open_store(sys.argv[1], role="data-quality")
print(*(file.state for file in arraystore.ingest(store, sys.argv[2], mapping=MANY, into=INTO, resume=True).files))
"""


def test_two_ingests_of_one_file_at_once_double_nothing(tmp_path: Path, store: arraystore.Store) -> None:
    path = written(tmp_path / "day.csv", mixed(500))
    command = [sys.executable, "-c", RACER, str(tmp_path / "store"), str(path)]
    project = Path(__file__).parents[2]
    racers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=project) for _ in range(2)]
    told = [racer.communicate()[0].split() for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0]
    assert sorted(state for states in told for state in states).count("ingested") == 2
    assert bids(store) == expected(500)


def test_a_mapping_is_known_by_the_same_digest_in_later_releases() -> None:
    """Files that are in would be strangers to `--resume` otherwise."""
    digest = load_mapping("oanda-xauusd")[1].digest
    assert digest == "2968c0bdea9cc0f930ecea8c92c8ed25ea71d0487997fa10ae57195de7424309"
    assert len({load_mapping(name)[1].digest for name in shipped_mappings()}) == len(shipped_mappings())
    assert load_mapping(mapping({"decimal": ","}))[1].digest != load_mapping(mapping())[1].digest


EARLIEST, LATEST = datetime(1678, 1, 1), datetime(2261, 12, 31)  # noqa: DTZ001 - as Hypothesis wants them
FORMS = ("%Y%m%d %H%M%S%f", "%d.%m.%Y %H:%M:%S.%f", "%Y-%j %H%M", "%Y%m%d", "%m/%d/%Y %H:%M", "%d %b %Y %H:%M:%S", "%I:%M %p %Y-%m-%d")


@given(st.lists(st.datetimes(EARLIEST, LATEST), min_size=1), st.sampled_from(FORMS))
def test_times_of_any_form_are_read_as_strptime_reads_them(moments: list[datetime], form: str) -> None:
    texts = [moment.strftime(form) for moment in moments]
    wanted = [parse_time(datetime.strptime(text, form).replace(tzinfo=UTC)) for text in texts]
    np.testing.assert_array_equal(read_form(list(texts), form, "x", since=False), wanted)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("10500", "%H%M%S"),
        ("20240230", "%Y%m%d"),
        ("20241301", "%Y%m%d"),
        ("2024-02-30", "%Y-%m-%d"),
        ("256000", "%H%M%S"),
        ("2023366", "%Y%j"),
        ("٢٠٢٤٠١٠١", "%Y%m%d"),
        ("", "%Y%m%d"),
        ("2024-01-01x", "%Y-%m-%d"),
    ],
)
def test_times_that_aren_t_of_the_form_are_refused_not_guessed(text: str, form: str) -> None:
    with pytest.raises(arraystore.InvalidInput, match="isn't of the form"):
        read_form(["20240101"[: 8 if form == "%Y%m%d" else 0] or None, text], form, "x", since=False)


def test_times_of_day_of_nine_digits() -> None:
    assert read_form(["093000123456789", None], "%H%M%S%f", "x", since=True).tolist() == [34_200_123_456_789, 0]


def test_bars_of_all_tickers_may_lie_in_one_dataset(tmp_path: Path, store: arraystore.Store, load: Any) -> None:
    prices = {name: {"from": "close"} for name in ("open", "high", "low", "close")}
    times = {"open_time": {"from": "at", "unit": "ns"}, "close_time": {"from": "at", "unit": "ns", "plus": "1m"}}
    bars = {
        "schema": "bars",
        "file": {"split": ["ticker"], "sort": True},
        "columns": {**times, **prices, "volume": {"from": "volume"}, "is_revision": {"value": False}},
    }
    rows = "".join(
        f"{ticker},{minute * 60_000_000_000},{minute + level},1\n" for ticker, level in (("A", 0), ("B", 9)) for minute in range(3)
    )
    load(written(tmp_path / "day.csv", "ticker,at,close,volume\n" + rows), mapping=bars, into="canonical/polygon/bars-1m/_all")
    dataset = store.canonical["polygon", "bars-1m", "_all"]
    assert dataset.read(instruments="B")["close"].tolist() == [9, 10, 11]
    assert dataset.read()["instrument"].tolist() == ["A", "B"] * 3
