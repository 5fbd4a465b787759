"""The project keeps the promises it makes about itself."""

import ast
import importlib
import json
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import click
import pytest

from arraystore.cli import main
from arraystore.cli.command import Command

PROJECT = Path(__file__).parents[1]
SOURCES = sorted(path for package in ("arraystore", "layouts") for path in (PROJECT / package).rglob("*.py"))
COMMANDS = {name: command for name, command in main.commands.items() if isinstance(command, Command)}

LOADED_WHEN_USED = ("dask", "h5py", "matplotlib", "obstore", "pandas", "polars", "pyarrow", "rich", "tensorstore", "xarray", "zarr")
MODULE_LINES = 400
FUNCTION_LINES = 70

# Put together here, so that this file doesn't hold what it looks for.
REGISTRY = re.compile(r"py" + r"pi\.org|pythonhosted\." + r"org", re.IGNORECASE)
MACHINE_PATH = re.compile(r"(?<![\w.])/" + r"(root|work|home)/[\w.]")


@cache
def modules_after(statement: str) -> frozenset[str]:
    """What a fresh interpreter has loaded after a statement."""
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=PROJECT)
    return frozenset(json.loads(done.stdout))


@pytest.mark.parametrize("library", LOADED_WHEN_USED)
def test_importing_the_package_loads_no_heavy_library(library: str) -> None:
    assert library not in modules_after("import arraystore")


@pytest.mark.parametrize("library", LOADED_WHEN_USED)
def test_the_command_line_starts_without_heavy_libraries(library: str) -> None:
    assert library not in modules_after("import arraystore.cli")


@pytest.mark.parametrize("package", ["arraystore", "layouts"])
def test_public_names_are_sorted_and_there(package: str) -> None:
    module = importlib.import_module(package)
    assert list(module.__all__) == sorted(set(module.__all__), key=lambda name: (not name.isupper(), not name[0].isupper(), name))
    assert [name for name in module.__all__ if not hasattr(module, name)] == []
    assert module.__all__, "a package without public names"


def test_every_module_that_lists_its_names_has_them() -> None:
    missing = []
    for path in SOURCES:
        name = ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")
        module = importlib.import_module(name)
        missing += [f"{name}.{public}" for public in getattr(module, "__all__", ()) if not hasattr(module, public)]
    assert missing == []


def test_every_command_is_made_as_the_others_are() -> None:
    assert COMMANDS.keys() == main.commands.keys()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_with_an_example_that_parses(name: str) -> None:
    command = COMMANDS[name]
    with click.Context(command, info_name=name) as context:
        shown = command.get_help(context)
    assert "--json" in shown
    assert command.examples
    for example in command.examples:
        assert f"  {example}\n" in f"{shown}\n"
        assert example.startswith(f"arraystore {name}")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_every_command_is_described(name: str) -> None:
    options = [parameter for parameter in COMMANDS[name].params if isinstance(parameter, click.Option)]
    assert [option.name for option in options if not option.help] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_the_readme_names_every_command(name: str) -> None:
    assert re.search(rf"(arraystore |`){name}\b", (PROJECT / "README.md").read_text("utf-8"))


def test_the_checks_run_the_readmes_test_command() -> None:
    command = "pip install uv && uv run pytest"
    assert command in (PROJECT / "README.md").read_text("utf-8")
    assert command in (PROJECT / ".ci" / "run").read_text("utf-8")


def test_imports_point_the_way_they_should() -> None:
    tool = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([tool, "--no-logo", "--no-cache"], check=False, capture_output=True, text=True, cwd=PROJECT)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_modules_and_functions_can_be_held_in_the_head(path: Path) -> None:
    text = path.read_text("utf-8")
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    too_long = {node.name: lines for node in functions if (lines := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES}
    assert too_long == {}
    assert text.count("\n") < MODULE_LINES


@cache
def tracked_files() -> tuple[Path, ...]:
    """What the repository holds; outside of one (an unpacked source distribution) there is nothing to look at."""
    if not (PROJECT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not in a git repository")
    done = subprocess.run(["git", "ls-files", "-z"], check=True, capture_output=True, text=True, cwd=PROJECT)
    return tuple(PROJECT / name for name in done.stdout.split("\0") if name and (PROJECT / name).is_file())


def lines_that_match(pattern: re.Pattern[str]) -> list[str]:
    found = []
    for path in tracked_files():
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue  # bytes of a golden store
        found += [f"{path.relative_to(PROJECT)}:{number}" for number, line in enumerate(text.splitlines(), 1) if pattern.search(line)]
    return found


def test_no_file_names_a_package_registry() -> None:
    assert lines_that_match(REGISTRY) == []


def test_no_file_names_a_place_of_one_machine() -> None:
    assert lines_that_match(MACHINE_PATH) == []


def test_no_lock_file_is_kept() -> None:
    assert [path.name for path in tracked_files() if path.name in {"uv.lock", "poetry.lock", "pdm.lock"}] == []


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (REGISTRY, "https://files.python" + "hosted.org/packages"),
        (REGISTRY, "https://" + "py" + "pi.org/simple"),
        (MACHINE_PATH, "see /" + "root/.cache"),
        (MACHINE_PATH, '"/' + 'home/someone/data"'),
    ],
)
def test_the_search_finds_what_it_is_for(pattern: re.Pattern[str], text: str) -> None:
    assert pattern.search(text)
