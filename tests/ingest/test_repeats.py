"""Whatever comes twice, is interrupted or comes in parallel: nothing is half in, nothing doubled."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import arraystore
from tests.ingest.conftest import DAY, HEADER, INTO, lines, mapping, written

QUOTES = mapping()
KEY = "venue/quotes/X"


def days(folder: Path, count: int, rows: int = 50) -> list[Path]:
    """A file per half minute, each other."""
    return [written(folder / f"part{n:03d}.csv.gz", HEADER + lines(rows, n * rows)) for n in range(count)]


def test_a_file_that_is_in_already_is_refused_and_passed_over_with_resume(tmp_path: Path, store: arraystore.Store, load: Any) -> None:
    path = written(tmp_path / "day.csv", HEADER + lines(5))
    load(path, mapping=QUOTES)
    with pytest.raises(arraystore.AlreadyExists, match=r"was ingested into canonical/venue/quotes/X with this mapping, in version 2"):
        load(path, mapping=QUOTES)
    (report,) = load(path, mapping=QUOTES, resume=True).files
    assert (report.state, report.version, store.canonical[KEY].rows) == ("known", 2, 5)


def test_the_same_content_under_another_name_is_the_same_file(tmp_path: Path, load: Any) -> None:
    first, second = (written(tmp_path / name, HEADER + lines(5)) for name in ("a.csv", "b.csv"))
    with pytest.raises(arraystore.InvalidInput, match=r"b\.csv: .*a\.csv has the same content"):
        load(first, second, mapping=QUOTES)
    reports = load(first, second, mapping=QUOTES, resume=True).files  # two workers: either may be first
    assert sorted(report.state for report in reports) == ["ingested", "known"]


def test_another_mapping_makes_the_same_content_another_matter(tmp_path: Path, store: arraystore.Store, load: Any) -> None:
    path = written(tmp_path / "day.csv", HEADER + lines(5))
    load(path, mapping=QUOTES)
    load(path, mapping=mapping(ask_price=None), resume=True)
    assert store.canonical[KEY].rows == 10


def test_a_file_of_a_complete_window_is_refused_unless_reopened(tmp_path: Path, store: arraystore.Store, load: Any) -> None:
    first, late = (written(tmp_path / f"{n}.csv", HEADER + lines(5, n)) for n in (0, 100))
    load(first, mapping=QUOTES, completeness="complete")
    with pytest.raises(arraystore.WindowClosed, match=rf"100\.csv: window {DAY} is complete since version 2"):
        load(late, mapping=QUOTES)
    with pytest.raises(arraystore.WindowClosed, match=r"pass --reopen"):
        load(late, mapping=QUOTES, dry_run=True)
    load(late, mapping=QUOTES, reopen=True)
    assert store.canonical[KEY].rows == 10


def test_workers_lose_and_double_nothing(tmp_path: Path, store: arraystore.Store, load: Any) -> None:
    files = days(tmp_path, 24)
    report = load(*files, mapping=QUOTES, workers=4)
    assert report.rows == 24 * 50
    assert [each.file for each in report.files] == [str(path) for path in files]
    frame = store.canonical[KEY].read()
    assert sorted(frame["bid_price"].tolist()) == [100 + n / 4 for n in range(24 * 50)]
    again = load(*files, mapping=QUOTES, workers=4, resume=True)
    assert (again.count("known"), store.canonical[KEY].refresh().rows) == (24, 24 * 50)


VICTIM = """
import sys
import arraystore
from tests.ingest.conftest import INTO, mapping

store = arraystore.open_store(sys.argv[1], role="data-quality")
told = lambda report: print(report.file, flush=True)
arraystore.ingest(store, sys.argv[2:], mapping=mapping(), into=INTO, workers=2, resume=True, progress=told)
"""


def test_a_backfill_killed_at_any_moment_resumes_to_the_same_rows(tmp_path: Path, store: arraystore.Store, load: Any) -> None:
    files = days(tmp_path, 30, 2_000)
    command = [sys.executable, "-c", VICTIM, str(tmp_path / "store"), *map(str, files)]
    project = Path(__file__).parents[2]
    for done in (1, 8, 15):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=project) as victim:
            assert victim.stdout is not None
            for _ in range(done):
                victim.stdout.readline()
            time.sleep(0.003 * done)
            victim.kill()
        dataset = store.canonical[KEY]
        assert dataset.rows % 2_000 == 0
        assert dataset.verify(deep=True) == []
    report = load(*files, mapping=QUOTES, resume=True, workers=2)
    assert report.count("known") >= 15
    assert sorted(store.canonical[KEY].read()["bid_price"].tolist()) == [100 + n / 4 for n in range(30 * 2_000)]


def test_a_dry_run_reads_everything_and_writes_nothing(tmp_path: Path, store: arraystore.Store, load: Any) -> None:
    good, bad = (written(tmp_path / f"{n}.csv", HEADER + lines(500) + extra) for n, extra in (("good", ""), ("bad", f"{DAY}T23:00,1,x\n")))
    (report,) = load(good, mapping=QUOTES, dry_run=True).files
    assert (report.state, report.rows, report.windows, report.version) == ("checked", 500, (DAY,), None)
    with pytest.raises(arraystore.InvalidInput, match=r"bad\.csv line 502"):
        load(bad, mapping=QUOTES, dry_run=True)
    assert store.canonical.find() == []


def test_commits_say_where_their_rows_came_from(tmp_path: Path, store: arraystore.Store, load: Any) -> None:
    path = written(tmp_path / "day.csv.gz", HEADER + lines(5))
    (report,) = load(path, mapping=QUOTES, keep_originals=True).files
    dataset = store.canonical[KEY]
    assert f"ingested day.csv.gz, sha256 {report.sha256}" in dataset.versions()[1].reason
    told = dataset.manifest(DAY).attributes["ingested"]
    assert (told["file"], told["sha256"]) == ("day.csv.gz", report.sha256)
    assert dataset.artifacts()["originals/day.csv.gz"].read() == path.read_bytes()
    load(path, mapping=QUOTES, keep_originals=True, resume=True)
    assert store.canonical[KEY].version == dataset.version


def test_who_may_not_write_there_ingests_nothing(tmp_path: Path) -> None:
    path = written(tmp_path / "day.csv", HEADER + lines(5))
    live = arraystore.open_store(tmp_path / "s", role="live", create=True)
    with pytest.raises(arraystore.AccessDenied):
        arraystore.ingest(live, path, mapping=QUOTES, into=INTO)


def test_a_dataset_that_is_there_keeps_its_schema(tmp_path: Path, store: arraystore.Store, load: Any) -> None:
    schema = arraystore.schema_by_name("quotes", clock="exchange", decimals=(2, 0))
    store.canonical.create(KEY, schema)
    load(written(tmp_path / "day.csv", HEADER + lines(3)), mapping=QUOTES)
    assert [str(price) for price in store.canonical[KEY].read()["bid_price"]] == ["100.00", "100.25", "100.50"]


def test_progress_is_told_file_by_file(tmp_path: Path, load: Any) -> None:
    told: list[arraystore.FileReport] = []
    report = load(*days(tmp_path, 3), mapping=QUOTES, progress=told.append)
    assert sorted(told, key=lambda each: each.file) == sorted(report.files, key=lambda each: each.file)


def test_files_of_arrival_ordered_data_follow_each_other_however_many_workers_read(
    tmp_path: Path, store: arraystore.Store, load: Any
) -> None:
    sizes = [3_000, 1, 2_000, 5, 1_000, 2]  # the small ones are read sooner
    starts = [sum(sizes[:n]) for n in range(len(sizes))]
    files = [
        written(tmp_path / f"{n}.csv.gz", HEADER + lines(size, start)) for n, (size, start) in enumerate(zip(sizes, starts, strict=True))
    ]
    load(*files, mapping=mapping(schema="quotes"), workers=4)
    assert store.canonical[KEY].read()["bid_price"].tolist() == [100 + n / 4 for n in range(sum(sizes))]
