"""What can't be taken is named to the file, line and column with its remedy, and nothing of that file is in."""

import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import arraystore
from arraystore.ingest import loading
from tests.ingest.conftest import DAY, HEADER, lines, mapping, written, zipped

QUOTES = mapping()


def refused(store: arraystore.Store, load: Any, path: Path, mapping: Any = QUOTES, **options: Any) -> str:
    """The error's text; nothing was committed."""
    with pytest.raises(arraystore.InvalidInput) as raised:
        load(path, mapping=mapping, **options)
    key = "venue/quotes/X"
    assert key not in store.canonical or store.canonical[key].version == 1
    return str(raised.value)


def test_line_1000003_is_named_with_its_text_and_column(tmp_path: Path, store: arraystore.Store, load: Any) -> None:
    text = HEADER + f"{DAY},1,2\n" * 1_000_001 + f"{DAY},1x,2\n" + f"{DAY},1,2\n" * 50
    told = refused(store, load, written(tmp_path / "day.csv", text))
    assert "day.csv line 1000003: column 'bid': CSV conversion error to double: invalid value '1x'" in told
    assert f"the line is '{DAY},1x,2'" in told


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (f"{DAY},1", "Expected 3 columns, got 2"),
        (f"{DAY},1,2,3", "Expected 3 columns, got 4"),
        (f"{DAY},1,x", "column 'ask': CSV conversion error to double: invalid value 'x'"),
        ("yesterday,1,2", "column 'time' (from 'time')"),
        ("2024-02-30,1,2", "column 'time' (from 'time')"),
        (",1,2", "column 'time': row 0 is null"),
        ("2024-08-07T23:59:59,1,2", "before 2024-08-08T00:16:39Z of the row above, and rows must be in time order"),
        ("2500-01-01,1,2", "column 'time'"),
    ],
)
@pytest.mark.parametrize("wrap", ["csv", "csv.gz", "zip"])
def test_each_kind_of_bad_line_is_named(tmp_path: Path, store: arraystore.Store, load: Any, line: str, what: str, wrap: str) -> None:
    path = written(tmp_path / f"day.{wrap}", HEADER + lines(1_000) + line + "\n" + lines(10, 2_000))
    told = refused(store, load, path)
    assert re.search(r"day[^ ]* line 1002: ", told), told
    assert what.replace("row 0 ", "") in told
    assert repr(line) in told


def test_lines_are_counted_as_an_editor_does(tmp_path: Path, store: arraystore.Store, load: Any) -> None:
    text = "foreword\n" + HEADER + "\n" + lines(2) + "\n\n" + f"{DAY}T01:00,?,1\n"
    assert "line 8: column 'bid'" in refused(store, load, written(tmp_path / "day.csv", text), mapping({"skip": 1}))


def test_lines_within_quotes_are_counted(tmp_path: Path, store: arraystore.Store, load: Any) -> None:
    text = f'time,note,bid,ask\n{DAY},"a\nb\nc",1,2\n{DAY},"d",x,2\n'
    assert "line 5: column 'bid'" in refused(store, load, written(tmp_path / "day.csv", text), mapping({"multiline": True}))


def test_a_word_that_means_nothing_is_named(tmp_path: Path, store: arraystore.Store, load: Any) -> None:
    words = {"from": "side", "words": {"b": "buy", "s": "sell"}}
    trades = mapping(None, {"name": "trades", "options": {"clock": "exchange"}}, bid_price=None, ask_price=None)
    trades["columns"] |= {"price": {"from": "price"}, "size": {"value": 1}, "side": words}
    text = f"time,side,price\n{DAY},b,1\n{DAY},x,2\n"
    told = refused(store, load, written(tmp_path / "day.csv", text), trades)
    assert "line 3: column 'side' (from 'side'): holds 'x', where words has 'b', 's'" in told


def test_a_row_of_a_parquet_file_is_named(tmp_path: Path, store: arraystore.Store, load: Any) -> None:
    times = pa.array([0, 1, 2, None, 4], pa.timestamp("ns", "UTC"))
    pq.write_table(pa.table({"time": times, "bid": [1.0] * 5, "ask": [1.0] * 5}), tmp_path / "day.parquet")
    told = refused(store, load, tmp_path / "day.parquet", mapping({"format": "parquet"}, time={"from": "time"}))
    assert "day.parquet row 4: column 'time'" in told


@pytest.mark.parametrize("name", ["day.csv", "day.csv.gz", "day.zip"])
def test_an_empty_file_is_refused(tmp_path: Path, store: arraystore.Store, load: Any, name: str) -> None:
    assert "is empty: fetch it again" in refused(store, load, written(tmp_path / name, ""))


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
@pytest.mark.parametrize("name", ["day.csv.gz", "day.zip"])
def test_half_an_archive_is_refused(tmp_path: Path, store: arraystore.Store, load: Any, name: str, kept: float) -> None:
    path = written(tmp_path / name, HEADER + lines(50_000))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    assert "is damaged or cut short" in refused(store, load, path)


@pytest.mark.parametrize("name", ["day.csv.gz", "day.zip"])
def test_a_flipped_byte_of_an_archive_is_refused(tmp_path: Path, store: arraystore.Store, load: Any, name: str) -> None:
    path = written(tmp_path / name, HEADER + lines(50_000))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)
    told = refused(store, load, path)
    assert re.search(r"is damaged or cut short|line \d+", told)


def test_half_a_parquet_file_is_refused(tmp_path: Path, store: arraystore.Store, load: Any) -> None:
    path = tmp_path / "day.parquet"
    pq.write_table(pa.table({"time": [1], "bid": [1.0], "ask": [1.0]}), path)
    path.write_bytes(path.read_bytes()[:-20])
    assert "can't be read as Parquet" in refused(store, load, path, mapping({"format": "parquet"}))


def test_a_file_that_isnt_what_its_name_says_is_refused(tmp_path: Path, store: arraystore.Store, load: Any) -> None:
    path = tmp_path / "day.csv.gz"
    path.write_text("<html>404 Not Found</html>")
    assert "isn't gzip, though its name says so" in refused(store, load, path)


def test_a_file_that_isnt_there_is_refused(tmp_path: Path, store: arraystore.Store, load: Any) -> None:
    assert "can't be read (No such file or directory)" in refused(store, load, tmp_path / "none.csv")


def test_an_archive_without_a_table_is_refused(tmp_path: Path, store: arraystore.Store, load: Any) -> None:
    path = zipped(tmp_path / "day.zip", {"readme.txt": "hello"})
    assert "has no member like '*.csv', only readme.txt" in refused(store, load, path, mapping({"member": "*.csv"}))


def test_a_file_of_another_kind_is_told_by_its_columns(tmp_path: Path, store: arraystore.Store, load: Any) -> None:
    told = refused(store, load, written(tmp_path / "day.csv", "date,open,close\n2024-08-08,1,2\n"))
    assert "has no column 'time'; it has date, open, close: is the mapping for other files?" in told
    assert "has no column 'bid'" in told


def test_a_column_that_comes_twice_is_refused(tmp_path: Path, store: arraystore.Store, load: Any) -> None:
    assert "has more than one column 'bid'" in refused(store, load, written(tmp_path / "day.csv", "time,bid,bid,ask\n"))


def test_a_file_of_the_wrong_day_is_refused(tmp_path: Path, store: arraystore.Store, load: Any) -> None:
    daily = mapping({"name": r"(?P<date>\d{8})", "date": "%Y%m%d", "span": True})
    told = refused(store, load, written(tmp_path / "20240809.csv", HEADER + lines(3)), daily)
    assert "20240809.csv line 2: column 'time': holds 2024-08-08T00:00:00Z, outside of 2024-08-09T00:00:00Z to 2024-08-10T00:00:00Z" in told


def test_a_file_of_several_instruments_is_refused_where_one_is_meant(tmp_path: Path, store: arraystore.Store, load: Any) -> None:
    text = f"time,symbol,bid,ask\n{DAY},A,1,2\n{DAY},B,1,2\n"
    told = refused(store, load, written(tmp_path / "day.csv", text), mapping({"same": ["symbol"]}))
    assert "line 3: column 'symbol': holds 'B' after 'A'" in told


def test_a_name_of_another_form_is_refused(tmp_path: Path, store: arraystore.Store, load: Any) -> None:
    named = mapping({"name": r"^(?P<symbol>[A-Z]+)_"})
    told = refused(store, load, written(tmp_path / "day.csv", HEADER), named, into="canonical/venue/quotes/{symbol}")
    assert "its name isn't of the form '^(?P<symbol>[A-Z]+)_' that tells more: rename the file" in told


def test_a_file_written_to_while_it_is_read_is_refused(
    tmp_path: Path, store: arraystore.Store, load: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "day.csv", HEADER + lines(3))

    def reading(*args: Any, **options: Any) -> Any:
        yield from read_rows(*args, **options)
        path.write_text(HEADER + lines(4))

    read_rows = loading.read_rows
    monkeypatch.setattr(loading, "read_rows", reading)
    assert "was changed while it was read" in refused(store, load, path)


def test_other_files_come_in_and_the_errors_of_all_bad_ones_are_told(tmp_path: Path, store: arraystore.Store, load: Any) -> None:
    good = [written(tmp_path / f"good{n}.csv", HEADER + lines(3, 10 * n)) for n in range(3)]
    bad = [written(tmp_path / f"bad{n}.csv", HEADER + f"{DAY},x,{n}\n") for n in range(2)]
    with pytest.raises(arraystore.InvalidInput) as raised:
        load(good[0], bad[0], good[1], bad[1], good[2], mapping=QUOTES)
    told = str(raised.value)
    assert all(f"bad{n}.csv line 2: column 'bid'" in told for n in range(2))
    assert "2 of 5 files failed, 3 are in: correct them, then run the same again with --resume" in told
    assert store.canonical["venue/quotes/X"].rows == 9
