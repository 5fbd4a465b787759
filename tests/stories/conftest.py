"""What the stories stand on: a store on disk, other processes as users start them, and a kill that none of them sees coming."""

import subprocess
import sys
from pathlib import Path

import pytest

import arraystore

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty store on disk."""
    path = tmp_path / "store"
    arraystore.init_store(path)
    return path


def program(name: str, *arguments: object) -> subprocess.Popen[str]:
    """A program in another process, `arraystore` or a module; what it prints can be read."""
    command = [sys.executable, "-m", name, *map(str, arguments)]
    return subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)


def kill_after(lines: int, process: subprocess.Popen[str]) -> list[str]:
    """SIGKILL it once it has printed so many lines; all that it came to print."""
    with process:
        assert process.stdout is not None
        told = [process.stdout.readline().strip() for _ in range(lines)]
        process.kill()
        return [line for line in [*told, *map(str.strip, process.stdout)] if line]
