"""Examples in docstrings and in the README run in a directory of their own."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _examples_run_in_a_scratch_directory(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if isinstance(request.node, pytest.DoctestItem):
        scratch: Path = request.getfixturevalue("tmp_path")
        monkeypatch.chdir(scratch)
