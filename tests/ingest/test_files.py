"""Files of every wrapping come in whole, with the values that their text says."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import arraystore
from arraystore.ingest import loading, tables
from tests.ingest.conftest import DAY, HEADER, lines, mapping, written, zipped

QUOTES = mapping()


@pytest.mark.parametrize("name", ["day.csv", "day.csv.gz", "day.zip"])
def test_a_file_comes_in_whatever_it_is_wrapped_in(tmp_path: Path, loaded: Any, name: str) -> None:
    frame = loaded(written(tmp_path / name, HEADER + lines(500)), mapping=QUOTES)
    assert frame["bid_price"].tolist() == [100 + n / 4 for n in range(500)]
    assert str(frame["time"][-1]) == f"{DAY}T00:08:19.000000000"


def test_a_zstd_file_comes_in(tmp_path: Path, loaded: Any) -> None:
    path = tmp_path / "day.csv.zst"
    with pa.CompressedOutputStream(str(path), "zstd") as out:
        out.write((HEADER + lines(3)).encode())
    assert loaded(path, mapping=QUOTES).row_count == 3


def test_a_gzip_of_several_streams_comes_in_whole(tmp_path: Path, loaded: Any) -> None:
    path = tmp_path / "day.csv.gz"
    path.write_bytes(gzip.compress((HEADER + lines(2)).encode()) + gzip.compress(lines(3, 2).encode()))
    assert loaded(path, mapping=QUOTES).row_count == 5


def test_all_members_of_an_archive_are_one_commit(tmp_path: Path, store: arraystore.Store, loaded: Any) -> None:
    members = {"a.csv": HEADER + lines(3), "b.csv": HEADER + lines(4, 10), "readme.txt": "not a table", "__MACOSX/a.csv": "?"}
    frame = loaded(zipped(tmp_path / "days.zip", members), mapping=mapping({"member": "*.csv"}))
    assert frame.row_count == 7
    assert store.canonical["venue/quotes/X"].version == 2


@pytest.mark.parametrize(
    ("text", "file"),
    [
        pytest.param("\ufeff" + HEADER + lines(3), {}, id="byte order mark"),
        pytest.param((HEADER + lines(3)).replace("\n", "\r\n"), {}, id="CRLF"),
        pytest.param((HEADER + lines(3)).replace("\n", "\r"), {}, id="CR"),
        pytest.param((HEADER + lines(3)).rstrip("\n"), {}, id="no line end at the end"),
        pytest.param((HEADER + lines(3)).replace("\n", "\n\n"), {}, id="empty lines"),
        pytest.param((HEADER + lines(3)).replace(",", '","').replace("\n", '"\n"').removesuffix('"').join(('"', "")), {}, id="quoted"),
        pytest.param((HEADER + lines(3)).replace(",", ";"), {"delimiter": ";"}, id="semicolons"),
        pytest.param((HEADER + lines(3)).replace(",", "\t"), {"delimiter": "\t"}, id="tabs"),
        pytest.param("a vendor's\nforeword\n" + HEADER + lines(3), {"skip": 2}, id="foreword"),
        pytest.param(lines(3), {"header": False, "columns": ["time", "bid", "ask"]}, id="no header"),
        pytest.param(lines(3), {"header": "maybe", "columns": ["time", "bid", "ask"]}, id="perhaps a header: none"),
        pytest.param(HEADER + lines(3), {"header": "maybe", "columns": ["time", "bid", "ask"]}, id="perhaps a header: one"),
        pytest.param((HEADER + lines(3)).encode("utf-16"), {"encoding": "utf-16"}, id="UTF-16"),
        pytest.param((HEADER + lines(3)).replace(",", " , "), {}, id="blanks"),
    ],
)
def test_every_way_to_write_csv_is_read(tmp_path: Path, loaded: Any, text: str | bytes, file: dict[str, Any]) -> None:
    columns = (
        {}
        if " , " not in str(text)
        else {"time": {"from": "time ", "unit": "iso"}, "bid_price": {"from": " bid "}, "ask_price": {"from": " ask"}}
    )
    frame = loaded(written(tmp_path / "day.csv", text), mapping=mapping(file, **columns))
    assert frame["bid_price"].tolist() == [100.0, 100.25, 100.5]
    assert frame["ask_price"].tolist() == [100.5, 100.75, 101.0]


def test_quoted_fields_may_hold_delimiters_and_lines(tmp_path: Path, loaded: Any) -> None:
    text = 'time,id,price\n2024-08-08,"a,\nb""c",1.5\n2024-08-09,d,2\n'
    columns = {"price": {"from": "price"}, "trade_id": {"from": "id"}, "size": {"value": 1}, "side": {"value": "none"}}
    trades = mapping({"multiline": True}, {"name": "trades", "options": {"clock": "exchange"}}, bid_price=None, ask_price=None, **columns)
    assert loaded(written(tmp_path / "day.csv", text), mapping=trades)["trade_id"].tolist() == ['a,\nb"c', "d"]


def test_columns_may_be_named_by_number(tmp_path: Path, loaded: Any) -> None:
    numbered = mapping({"header": False}, time={"from": 1, "unit": "iso"}, bid_price={"from": 2}, ask_price={"from": 3})
    assert loaded(written(tmp_path / "day.csv", lines(3)), mapping=numbered)["ask_price"].tolist() == [100.5, 100.75, 101.0]


def table(count: int) -> pa.Table:
    times = np.datetime64(DAY, "us") + np.arange(count) * np.timedelta64(1, "s")
    return pa.table({"time": pa.array(times), "bid": np.arange(count) / 3, "ask": pa.array([None, *range(1, count)], pa.int32())})


def test_a_parquet_file_comes_in(tmp_path: Path, loaded: Any) -> None:
    pq.write_table(table(300_000), tmp_path / "day.parquet", row_group_size=70_000)
    frame = loaded(tmp_path / "day.parquet", mapping=mapping({"format": "parquet"}, time={"from": "time"}))
    assert frame["bid_price"].tobytes() == (np.arange(300_000) / 3).tobytes()
    assert frame.valid("ask_price").sum() == 299_999


@pytest.mark.parametrize("kind", ["file", "stream", "stream.gz"])
def test_an_arrow_file_comes_in(tmp_path: Path, loaded: Any, kind: str) -> None:
    path = tmp_path / f"day.{kind}"
    sink = pa.BufferOutputStream()
    with (pa.ipc.new_file if kind == "file" else pa.ipc.new_stream)(sink, table(1).schema) as writer:
        writer.write_table(table(5_000), max_chunksize=700)
    data = sink.getvalue().to_pybytes()
    path.write_bytes(gzip.compress(data) if kind.endswith("gz") else data)
    frame = loaded(path, mapping=mapping({"format": "arrow"}, time={"from": "time"}))
    assert frame["bid_price"].tobytes() == (np.arange(5_000) / 3).tobytes()


def test_a_file_with_a_header_only_has_no_rows_and_makes_no_version(tmp_path: Path, store: arraystore.Store, load: Any) -> None:
    (report,) = load(written(tmp_path / "day.csv", HEADER), mapping=QUOTES).files
    assert (report.state, report.rows, report.version) == ("empty", 0, None)
    assert store.canonical.find() == []


def test_files_larger_than_what_is_held_at_once_are_one_commit(
    tmp_path: Path, store: arraystore.Store, loaded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "BLOCK_BYTES", 20_000)
    monkeypatch.setattr(loading, "PIECE_BYTES", 60_000)
    frame = loaded(written(tmp_path / "day.csv.gz", HEADER + lines(20_000)), mapping=QUOTES)
    dataset = store.canonical["venue/quotes/X"]
    assert dataset.version == 2
    assert len(dataset.manifest(DAY).segments) > 5
    assert frame["bid_price"].tolist() == [100 + n / 4 for n in range(20_000)]
    assert dataset.verify(deep=True) == []
