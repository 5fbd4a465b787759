"""What a command is set to comes from a flag, else the environment, else the file, else the default; and `config` says which."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from arraystore.cli import main
from arraystore.cli.configuration import SETTINGS

TRADES = "canonical/binance-usdm/trades/BTC=2FUSDT"


class Shell:
    """Runs commands with a configuration file and an environment of its own."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "arraystore" / "config.toml"
        self.file.parent.mkdir()
        self.env: dict[str, str | None] = {each.variable: None for each in SETTINGS}
        self.env |= {"XDG_CONFIG_HOME": str(folder), "ARRAYSTORE_CONFIG": None}

    def __call__(self, *words: str, **env: str) -> Result:
        return CliRunner().invoke(main, [*words], prog_name="arraystore", env=self.env | env)

    def sources(self, *words: str, **env: str) -> dict[str, tuple[str, str]]:
        found = json.loads(self("config", "--json", *words, **env).stdout)
        return {each["name"]: (each["value"], each["from"]) for each in found["settings"]}


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def test_each_setting_tells_who_set_it(shell: Shell) -> None:
    assert shell.sources()["role"] == ("operations", "default")
    assert shell.sources()["root"] == (None, "not set")
    shell.file.write_text('root = "from-file"\nrole = "live"\n')
    assert shell.sources()["root"] == ("from-file", "file")
    assert shell.sources(ARRAYSTORE_ROOT="from-env")["root"] == ("from-env", "environment (ARRAYSTORE_ROOT)")
    assert shell.sources("--root", "flagged", ARRAYSTORE_ROOT="from-env")["root"] == ("flagged", "flag")
    assert shell.sources("--log", "json", "--log-level", "debug")["log"] == ("json", "flag")
    assert shell.sources("--log", "json", "--log-level", "debug")["log_level"] == ("debug", "flag")


def test_commands_are_set_as_config_tells(shell: Shell, store_root: Path) -> None:
    shell.file.write_text(f'root = "{store_root}"\nrole = "backtesting"\n')
    assert json.loads(shell("ls", "--json").stdout)["role"] == "backtesting"
    assert json.loads(shell("ls", "--json", ARRAYSTORE_ROLE="live").stdout)["role"] == "live"
    assert json.loads(shell("--role", "analysis", "ls", "--json", ARRAYSTORE_ROLE="live").stdout)["role"] == "analysis"
    assert json.loads(shell("--role", "analysis", "ls", "--role", "operations", "--json").stdout)["role"] == "operations"
    assert json.loads(shell("--json").stdout)["role"] == "backtesting"
    assert shell("ls", "--root", "elsewhere").exit_code == 3
    assert shell("lint").exit_code in (0, 1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('rooot = "x"\nroll = "y"', ["rooot", "roll", "root, role, log, log_level"]),
        ('role = "trader"', ["role", "trader", "data-recording"]),
        ("root = 5", ["root", "5", "quotes"]),
        ("root =", ["isn't TOML"]),
        ('log = "xml"', ["text, json"]),
    ],
)
@pytest.mark.parametrize("command", [["ls"], ["config"], []])
def test_a_file_that_cannot_be_taken_is_an_error_that_names_it(shell: Shell, text: str, words: list[str], command: list[str]) -> None:
    shell.file.write_text(text)
    result = shell(*command)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert all(word in result.stderr for word in [*words, str(shell.file)])
    assert shell("ls", "--help").exit_code == 0
    assert shell("--help").exit_code == 0


def test_a_file_that_is_named_must_be_there(shell: Shell, tmp_path: Path) -> None:
    assert shell("config", ARRAYSTORE_CONFIG=str(tmp_path / "none.toml")).exit_code == 2
    (tmp_path / "other.toml").write_text('role = "live"')
    assert shell.sources(ARRAYSTORE_CONFIG=str(tmp_path / "other.toml"))["role"] == ("live", "file")


def completed(shell: Shell, *words: str, **env: str) -> list[str]:
    told = {"_ARRAYSTORE_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(["arraystore", *words]), "COMP_CWORD": str(len(words)), **env}
    return [line.partition(",")[2] for line in shell(**told).stdout.split()]


def test_a_shell_completes_commands_and_keys(shell: Shell, store_root: Path) -> None:
    assert completed(shell, "cov") == ["coverage"]
    assert completed(shell, "info", "canonical/", ARRAYSTORE_ROOT=str(store_root)) == [TRADES]
    assert len(completed(shell, "ls", "-", ARRAYSTORE_ROOT=str(store_root))) > 5
    assert completed(shell, "info", "--root", str(store_root), "raw") == ["raw/binance-usdm/market/rec-1"]
    assert completed(shell, "ls", "can", ARRAYSTORE_ROOT="nowhere") == []
    assert completed(shell, "ls", "can") == []


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell_asks_the_program(shell: Shell, name: str) -> None:
    script = shell("completion", name).stdout
    assert "_ARRAYSTORE_COMPLETE" in script
    assert json.loads(shell("completion", name, "--json").stdout)["script"].strip() == script.strip()


def test_what_is_logged_is_shown_as_asked_for(shell: Shell, store_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def speak(*_: Any, **__: Any) -> dict[str, Any]:
        logging.getLogger("arraystore.versions").warning("a disk is slow\n", extra={"seconds": 2.5})
        logging.getLogger("arraystore.versions").debug("nothing much")
        return {}

    monkeypatch.setattr("arraystore.cli.inspection._info", speak)
    monkeypatch.setattr("arraystore.cli.inspection.print_json", lambda _: None)
    words = ["info", TRADES, "--root", str(store_root), "--json"]
    assert shell(*words).stderr == ""
    (line,) = shell(*words, "--log", "json").stderr.splitlines()
    told = json.loads(line)
    assert told.pop("time").endswith("Z")
    assert told == {"level": "warning", "logger": "arraystore.versions", "message": "a disk is slow\n", "seconds": 2.5}
    assert shell(*words, "--log", "text").stderr.rstrip("\n").endswith("warning a disk is slow\\n  seconds=2.5")
    assert len(shell(*words, ARRAYSTORE_LOG="text", ARRAYSTORE_LOG_LEVEL="debug").stderr.splitlines()) == 2
    assert shell(*words, "--log", "json", "--log-level", "error").stderr == ""
    assert all(isinstance(left, logging.NullHandler) for left in logging.getLogger("arraystore").handlers)
