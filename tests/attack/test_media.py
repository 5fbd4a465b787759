"""Media that are full, read-only or closed to the writer, and processes that may open no more files: told, harmless, and then over."""

import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import arraystore
from tests.attack import deeds
from tests.attack.deeds import Deed, Outcome
from tests.attack.media import can_mount, mounted
from tests.attack.traced import KEY, writing
from tests.processes import running

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc, and limits as Linux has them")

NOBODY = 65_534
BEGINNING = [Deed(number=0, kind="create"), Deed(number=1, kind="spread", counts=(5, 6_000))]


def outcome(done: list[Deed]) -> Outcome:
    found = Outcome()
    for deed in done:
        found = found.after(deed)
    return found


def looked(url: Path) -> tuple[Any, list[str]]:
    """What another process finds, so that nothing here keeps the medium open."""
    context = multiprocessing.get_context("forkserver")
    with running(context, deeds.tell, str(url), KEY) as (_, answer):
        return answer.recv()


def is_there(url: Path, done: list[Deed]) -> None:
    assert looked(url) == (outcome(done).told(), [])


@can_mount
@pytest.mark.parametrize("kind", [pytest.param("small", marks=pytest.mark.slow), pytest.param("large", marks=pytest.mark.slow), "file"])
def test_a_full_medium_refuses_and_takes_more_once_there_is_space(tmp_path: Path, kind: str) -> None:
    sizes = {"small": {"counts": (39,)}, "large": {"counts": (7_000,)}, "file": {"size": 1_000_000}}[kind]
    many = [Deed(number=number, kind=kind, **sizes) for number in range(2, 4_000)]
    with mounted(tmp_path, "-t", "tmpfs", "-o", "size=16m", "none") as place:
        ballast = place / "ballast"
        with writing(place / "store", [*BEGINNING, *many]) as writer:
            done = [deed for deed in BEGINNING if writer.do() == ["", ""]]
            free = os.statvfs(place).f_bavail * os.statvfs(place).f_frsize
            ballast.write_bytes(bytes(free - (3 << 20) if kind != "small" else free - (64 << 10)))
            for deed in many:
                answer = writer.do()
                if answer != ["", ""]:
                    break
                done.append(deed)
            assert answer is not None
            assert answer[0] == "StorageError"
            assert "No space left" in answer[1]
            is_there(place / "store", done)
            ballast.unlink()
            assert writer.do() == ["", ""]
            is_there(place / "store", [*done, many[deed.number - 1]])


@can_mount
def test_a_medium_that_is_read_only_is_read_and_told(tmp_path: Path) -> None:
    following = [Deed(number=number, kind=kind, counts=(counts,)) for number, kind, counts in ((2, "small", 5), (3, "large", 6_000))]
    with mounted(tmp_path, "-t", "tmpfs", "-o", "size=16m", "none") as place:
        with writing(place / "store", BEGINNING) as writer:
            assert [writer.do() for _ in BEGINNING] == [["", ""]] * 2
        for number, deed in enumerate(following):
            subprocess.run(["mount", "-o", "remount,ro", place], check=True)
            with writing(place / "store", [deed, deed]) as writer:
                answer = writer.do()
                assert answer is not None
                assert answer[0] == "StorageError"
                assert "Read-only" in answer[1]
                is_there(place / "store", [*BEGINNING, *following[:number]])
                subprocess.run(["mount", "-o", "remount,rw", place], check=True)
                assert writer.do() == ["", ""], "with the same handle"
            is_there(place / "store", [*BEGINNING, *following[: number + 1]])


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A folder that every user may come to."""
    folder = Path(tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


def as_nobody(url: str, results: Any) -> None:
    """Write, be told that it isn't allowed any more, and write again, with one handle."""
    first = deeds.Doer(f"{url}-first", KEY)  # what is imported when it is used may lie where nobody may read
    for deed in [*BEGINNING, Deed(number=2, kind="small", counts=(5,)), Deed(number=3, kind="large", counts=(6_000,))]:
        first.do(deed)
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    doer = deeds.Doer(url, KEY)
    for deed in BEGINNING:
        doer.do(deed)
    for deed in (Deed(number=2, kind="small", counts=(5,)), Deed(number=3, kind="large", counts=(6_000,))):
        results.send("done")
        for _ in range(2):
            assert results.recv() == "go"
            try:
                doer.do(deed)
                results.send(("", ""))
            except arraystore.ArrayStoreError as error:
                results.send((type(error).__name__, str(error)))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root to take away from others what they may do")
def test_a_writer_that_loses_its_permission_is_told_and_goes_on_with_it(open_to_all: Path) -> None:
    url, done = open_to_all / "store", list(BEGINNING)
    with running(multiprocessing.get_context("forkserver"), as_nobody, str(url)) as (_, line):
        for deed in (Deed(number=2, kind="small", counts=(5,)), Deed(number=3, kind="large", counts=(6_000,))):
            assert line.recv() == "done"
            dataset = url / "canonical" / "/".join(KEY)
            closed = [path for path in (dataset, *dataset.rglob("*")) if path.is_dir()]
            for path in closed:
                path.chmod(0o555)
            line.send("go")
            name, text = line.recv()
            assert name == "StorageError"
            assert "Permission denied" in text
            is_there(url, done)
            for path in closed:
                path.chmod(0o755)
            line.send("go")
            assert line.recv() == ("", "")
            done.append(deed)
            is_there(url, done)


def short_of_files(url: str, results: Any) -> None:
    """Write while ever more files may be open, from none more than there are."""
    doer = deeds.Doer(url, KEY)
    done = [*BEGINNING, Deed(number=2, kind="large", counts=(6_000,)), Deed(number=3, kind="file", size=1_000)]
    for deed in done:
        doer.do(deed)
    doer.dataset.read()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    told = []
    for number in range(4, 64):
        kind, counts = (("small", (5,)), ("large", (6_000,)), ("file", ()))[number % 3]
        deed = Deed(number=number, kind=kind, counts=counts, size=1_000)
        used = max(int(place.name) for place in Path("/proc/self/fd").iterdir())
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + number // 3, hard))
        try:
            doer.do(deed)
            done.append(deed)
            told.append("")
        except BaseException as error:  # noqa: BLE001 - which one is the question
            told.append(f"{type(error).__name__}: {error}")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    results.send((done, told))


def test_a_process_that_may_open_no_more_files_is_told(tmp_path: Path) -> None:
    with running(multiprocessing.get_context("forkserver"), short_of_files, str(tmp_path / "store")) as (_, answer):
        done, told = answer.recv()
    failures = [each for each in told if each]
    assert 3 < len(failures) < len(told) - 3
    assert [each for each in failures if not (each.startswith("StorageError") and "Too many open files" in each)] == []
    is_there(tmp_path / "store", done)
