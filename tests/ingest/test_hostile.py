"""What nobody should send, and somebody does: refused with what it is and what to do, or taken as it is meant."""

import bz2
import gzip
import io
import lzma
import os
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import arraystore
from arraystore.ingest import locate, sources, tables
from tests.ingest.conftest import DAY, HEADER, lines, mapping, written, zipped

QUOTES = mapping()
GOOD = HEADER + lines(1_000)


def refused(store: arraystore.Store, load: Any, path: Path, mapping: Any = QUOTES) -> str:
    with pytest.raises(arraystore.InvalidInput) as raised:
        load(path, mapping=mapping)
    assert store.canonical.find() == []
    return str(raised.value)


def flagged(data: bytes, *, flags: int = 0, method: int = 8) -> bytes:
    """A zip that says something else of its first member."""
    changed = bytearray(data)
    start = changed.find(b"PK\x01\x02")
    changed[6] |= flags
    changed[start + 8] |= flags
    changed[8] = changed[start + 10] = method
    return bytes(changed)


def tarred(data: bytes) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        info = tarfile.TarInfo("day.csv")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return sink.getvalue()


def parquet() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"time": [1]}), sink)
    return sink.getvalue()


def in_zip(name: str, data: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr(name, data)
    return sink.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("day.zip", flagged(in_zip("day.csv", GOOD.encode()), flags=1), "is encrypted: unpack it first, with its password"),
        ("day.zip", flagged(in_zip("day.csv", GOOD.encode()), method=9), "can't be unpacked here"),
        ("day.zip", in_zip("inner.zip", in_zip("day.csv", GOOD.encode())), "inner.zip: isn't text, but zip: unpack it first"),
        ("day.zip", in_zip("day.csv.gz", gzip.compress(GOOD.encode())), "isn't text, but gzip: unpack it first"),
        ("day.tar", tarred(GOOD.encode()), "is an archive of tar, which isn't read: unpack it first"),
        ("day.tar.gz", gzip.compress(tarred(GOOD.encode())), "isn't text, but tar: unpack it first"),
        ("day.7z", b"7z\xbc\xaf\x27\x1c" + bytes(300), "is an archive of 7-Zip, which isn't read"),
        ("day.csv", parquet(), "isn't text, but Parquet: unpack it first, or say file.format"),
        ("day.csv.bz2", bz2.compress((HEADER + lines(50_000)).encode())[:-2_000], "is damaged or cut short"),
        ("day.csv.xz", lzma.compress((HEADER + lines(50_000)).encode())[:-2_000], "is damaged or cut short"),
        ("day.csv.zst", pa.compress(GOOD.encode(), "zstd", asbytes=True)[:-50], "is damaged or cut short"),
        ("day.csv", GOOD.encode("utf-16"), "is UTF-16 text: say encoding = 'utf-16'"),
        ("day.csv", f"{HEADER}{DAY},1\0,2\n".encode(), "line 2: column 'bid'"),
        (
            "day.csv",
            f'{HEADER}{DAY},"1,2\n{lines(5)}'.encode(),
            "line 2: Expected 3 columns, got 2: correct the line, or say which lines count",
        ),
        ("day.csv", (HEADER + lines(3).replace("\n", ",\n")).encode(), "where every line ends with a delimiter, name all columns"),
        ("day.csv", b"<html>404 Not Found</html>", "has no column 'time'; it has <html>404"),
        (
            "day.csv",
            f"time,bid,bid,ask\n{DAY},1,2,3\n".encode(),
            "has more than one column 'bid': give the number of the one meant, 2 or 3",
        ),
        ("day.csv", f"{HEADER}{DAY},None,2\n".encode(), "line 2: column 'bid': CSV conversion error to double: invalid value 'None'"),
    ],
)
def test_what_isnt_a_table_is_named(tmp_path: Path, store: arraystore.Store, load: Any, name: str, data: bytes, told: str) -> None:
    assert told in refused(store, load, written_as_is(tmp_path / name, data))


def written_as_is(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("day.csv.bz2", bz2.compress(GOOD.encode())),
        ("day.csv.xz", lzma.compress(GOOD.encode())),
        (
            "day.csv.zst",
            pa.compress((HEADER + lines(500)).encode(), "zstd", asbytes=True) + pa.compress(lines(500, 500).encode(), "zstd", asbytes=True),
        ),
        ("day.csv", ("\n\n" + GOOD).encode()),
        ("day.csv", (HEADER.replace(",", ", ") + lines(500).replace("\n", "\r\n") + lines(500, 500) + "\r\n\n").encode()),
        ("day.zip", in_zip("../../../etc/day.csv", GOOD.encode())),
    ],
)
def test_what_is_only_odd_comes_in(tmp_path: Path, loaded: Any, name: str, data: bytes) -> None:
    assert loaded(written_as_is(tmp_path / name, data), mapping=QUOTES).row_count == 1_000
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "store"])


def test_a_member_that_leaves_its_archive_names_no_place_outside_the_store(tmp_path: Path, store: arraystore.Store, load: Any) -> None:
    path = zipped(tmp_path / "day.zip", {"../../evil.csv": GOOD})
    named = mapping({"name": r"(?P<symbol>.*)\.csv"})
    (report,) = load(path, mapping=named, into="canonical/venue/quotes/{symbol}").files
    assert report.address == "canonical/venue/quotes/=2E.=2F..=2Fevil"
    assert store.canonical.find() == [("venue", "quotes", "../../evil")]


def test_directories_and_pipes_are_refused_without_waiting(tmp_path: Path, store: arraystore.Store, load: Any) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    assert "isn't a regular file" in refused(store, load, tmp_path / "pipe.csv")
    assert "is a directory: name the files in it" in refused(store, load, tmp_path)


def test_a_bomb_is_refused(tmp_path: Path, store: arraystore.Store, load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "FREE_BYTES", 1 << 20)
    path = written(tmp_path / "day.csv.gz", HEADER + f"{DAY},1,2\n" * 1_000_000)
    assert "times its size: is it a decompression bomb? If it is right, unpack it first" in refused(store, load, path)


@pytest.mark.parametrize("file", [{}, {"multiline": True}])
def test_a_line_that_never_ends_is_named_soon(
    tmp_path: Path, store: arraystore.Store, load: Any, monkeypatch: pytest.MonkeyPatch, file: dict[str, Any]
) -> None:
    for module in (tables, locate):
        monkeypatch.setattr(module, "BLOCK_BYTES", 1 << 20)
    bad = f'{DAY},"{"x\n" * 800_000}' if file else f"{DAY},{'x' * 1_600_000}"
    told = refused(store, load, written(tmp_path / "day.csv", HEADER + lines(3) + bad), mapping(file))
    assert "day.csv line 5: is longer than 1 MiB, more than a line may be: is it text, with line ends" in told
    assert ("a quote that is never closed" in told) is bool(file)


def test_text_of_another_encoding_is_named(tmp_path: Path, store: arraystore.Store, load: Any) -> None:
    path = written_as_is(tmp_path / "day.csv", GOOD.encode() + b"\x81")
    assert "isn't text of the encoding charmap" in refused(store, load, path, mapping({"encoding": "cp1252"}))
    assert "'klingon' is no encoding that Python knows" in refused(store, load, path, mapping({"encoding": "klingon"}))


def test_two_members_of_one_name_are_refused(tmp_path: Path, store: arraystore.Store, load: Any) -> None:
    with zipfile.ZipFile(tmp_path / "day.zip", "w") as archive:
        archive.writestr("day.csv", GOOD)
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("day.csv", GOOD)
    assert "day.zip/day.csv: is there twice" in refused(store, load, tmp_path / "day.zip")


def test_a_full_disk_is_told_and_leaves_nothing(
    tmp_path: Path, store: arraystore.Store, load: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(written(tmp_path / "first.csv", HEADER + lines(5)), mapping=QUOTES)
    path = written(tmp_path / "day.csv", HEADER + lines(500, 10))

    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises((OSError, arraystore.ArrayStoreError), match="No space left on device"):
            load(path, mapping=QUOTES)
    assert store.canonical["venue/quotes/X"].refresh().rows == 5
    load(path, mapping=QUOTES, resume=True)
    assert store.canonical["venue/quotes/X"].rows == 505
