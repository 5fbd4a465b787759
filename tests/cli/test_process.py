"""The installed command, as a shell runs it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ARRAYSTORE = Path(sys.executable).with_name("arraystore")


@pytest.mark.parametrize("command", [[ARRAYSTORE], [sys.executable, "-m", "arraystore"]], ids=["script", "module"])
def test_the_command_is_installed_and_prints_one_document(store_root: Path, command: list[str | Path]) -> None:
    done = subprocess.run([*command, "ls", "--root", store_root, "--json"], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(json.loads(done.stdout)["datasets"]) == 4


def test_errors_go_to_stderr_with_their_code(store_root: Path) -> None:
    done = subprocess.run([ARRAYSTORE, "info", "raw/a/b/c", "--root", store_root], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("error: ")


def test_a_reader_that_leaves_early_hears_no_complaint(store_root: Path) -> None:
    started = subprocess.Popen([ARRAYSTORE, "ls", "--root", store_root], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert started.stdout is not None
    assert started.stderr is not None
    started.stdout.close()
    with started.stderr:
        complaint = started.stderr.read()
    assert (started.wait(), complaint) == (141, b"")
