"""How tests are spread over processors, and where the examples of docstrings and the README run."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _examples_run_in_a_scratch_directory(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if isinstance(request.node, pytest.DoctestItem):
        scratch: Path = request.getfixturevalue("tmp_path")
        monkeypatch.chdir(scratch)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """With `-n auto`, all tests together run on all processors, and chosen ones right here: sooner than workers would start."""
    return None if config.args_source is pytest.Config.ArgsSource.TESTPATHS else 0
