"""`doctor` names real problems around a store, each with a remedy, and changes nothing."""

import json
import os
import resource
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

import arraystore
from arraystore.cli import main
from arraystore.diagnosis import SCARCE_BYTES
from tests.cli.conftest import build

HOUR = 3600


@pytest.fixture
def built(tmp_path: Path) -> Path:
    build(tmp_path / "store")
    return tmp_path / "store"


def problems(root: Path | str, **options: Any) -> dict[str, arraystore.Check]:
    found = arraystore.doctor(root, **options)
    assert all(check.remedy for check in found if check.state != "ok")
    assert not any(check.remedy for check in found if check.state == "ok")
    return {check.name: check for check in found if check.state == "problem"}


def contents(root: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(root.rglob("*"))}


def test_a_sound_store_has_no_problem_and_stays_as_it_is(built: Path) -> None:
    before = contents(built)
    names = [check.name for check in arraystore.doctor(built)]
    assert problems(built) == {}
    assert {"root", "medium", "space", "inodes", "leftovers", "rights", "heads", "clock", "python", "libraries"} <= set(names)
    assert contents(built) == before


def test_a_probe_leaves_nothing_behind(built: Path) -> None:
    before = {str(path) for path in built.rglob("*")}
    found = {check.name: check for check in arraystore.doctor(built, probe=True)}
    assert found["commits"].state == "ok"
    assert found["sync"].found.endswith(" ms")
    assert {str(path) for path in built.rglob("*")} == before


def test_a_place_without_a_store(tmp_path: Path) -> None:
    assert "arraystore init" in problems(tmp_path)["root"].remedy
    assert "no such" in problems(tmp_path / "nowhere")["root"].found or problems(tmp_path / "nowhere")["root"].remedy


def test_a_missing_class_root(built: Path) -> None:
    shutil.rmtree(built / "derived")
    found = problems(built)
    assert any("derived" in check.found for check in found.values())


def test_a_damaged_head(built: Path) -> None:
    (log,) = (built / "raw").rglob("_log")
    newest = max(path for path in log.iterdir() if path.name.isdecimal())
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.write_bytes(data)
    assert "1 of 4 datasets can't be opened: " in problems(built)["heads"].found
    assert "repair --from" in problems(built)["heads"].remedy


def test_leftovers_of_a_dead_writer(built: Path) -> None:
    (log,) = (built / "raw").rglob("_log")
    for name, age in ((".tmp-dead", 2 * HOUR), (".tmp-at-work", 0)):
        (log / name).write_bytes(b"x" * 10)
        when = (log / name).stat().st_mtime - age
        os.utime(log / name, (when, when))
    (check,) = [check for check in arraystore.doctor(built) if check.name == "leftovers"]
    assert (check.state, check.found.split(",")[0]) == ("warning", "1 unfinished files of 10 bytes")


def test_a_clock_that_is_behind_the_writers(built: Path) -> None:
    assert "NTP" in problems(built, clock=lambda: 10**18)["clock"].remedy


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_user_without_rights(built: Path) -> None:
    for path in (built, *built.parents):
        if path.stat().st_uid == 0 and path != Path(path.anchor):
            path.chmod(path.stat().st_mode | 0o055)
    os.seteuid(65534)
    try:
        found = problems(built)
    finally:
        os.seteuid(0)
    assert "user 65534 may not read or write" in found["rights"].found
    assert "policy posix" in found["rights"].remedy


def test_a_full_disk(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(total=1 << 40, used=0, free=SCARCE_BYTES - 1))
    assert "du --garbage" in problems(built)["space"].remedy


def test_a_network_file_system(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arraystore.diagnosis.kind_of_medium", lambda _: "nfs4")
    assert "ext4" in problems(built)["medium"].remedy


def test_few_open_files(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 256))
    (check,) = [check for check in arraystore.doctor(built) if check.name == "open files"]
    assert (check.state, "ulimit -n" in check.remedy) == ("warning", True)


def test_a_library_that_is_too_old(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import metadata

    there = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "0.1" if name == "zarr" else there(name))
    assert problems(built)["libraries"].found == "zarr 0.1 is older than 3.4"


def test_the_commands_exit_code_tells_of_problems(built: Path, tmp_path: Path) -> None:
    sound = CliRunner().invoke(main, ["doctor", "--root", str(built), "--json"])
    assert (sound.exit_code, json.loads(sound.stdout)["problems"]) == (0, 0)
    broken = CliRunner().invoke(main, ["doctor", "--root", str(tmp_path / "nowhere")])
    assert broken.exit_code == 1
    assert "problem" in broken.stdout
