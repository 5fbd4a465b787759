"""Captures are looked for in a stated order, and simulated where there are none."""

import pytest

from arraystore import InvalidInput
from arraystore.demo import sources
from arraystore.demo.sources import VARIABLE, find_captures


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """A working directory and a project without shared captures beside them."""
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sources, "__file__", str(tmp_path / "x" / "y" / "z" / "sources.py"))
    return tmp_path


def test_named_files_come_first(nowhere):
    found = find_captures([nowhere / "my.gz"], nowhere, environment={VARIABLE: "elsewhere"})
    assert found.paths == (nowhere / "my.gz",)
    assert "1 named file" in found.told


def test_then_the_directory_that_the_environment_names(nowhere):
    (nowhere / "kept").mkdir()
    (nowhere / "kept" / "b.gz").touch()
    (nowhere / "kept" / "a.gz").touch()
    found = find_captures([], nowhere, environment={VARIABLE: str(nowhere / "kept")})
    assert [path.name for path in found.paths] == ["a.gz", "b.gz"]


def test_a_named_directory_without_captures_is_an_error(nowhere):
    with pytest.raises(InvalidInput, match=r"ARRAYSTORE_CAPTURES: .*holds no \*\.gz"):
        find_captures([], nowhere, environment={VARIABLE: str(nowhere)})


def test_then_the_shared_recordings(nowhere):
    shared = nowhere / "a" / "shared" / "data" / "binance-usdm"
    shared.mkdir(parents=True)
    (shared / "one.gz").touch()
    found = find_captures([], nowhere, environment={})
    assert [path.name for path in found.paths] == ["one.gz"]
    assert "recorded" in found.told


def test_else_a_market_is_simulated(nowhere):
    found = find_captures([], nowhere, environment={}, messages=50)
    assert len(found.paths) == 3
    assert "simulated" in found.told
