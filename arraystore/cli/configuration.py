"""What a command is set to, and by whom: a flag, else the environment, else the configuration file, else the default."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from arraystore.errors import InvalidInput, Problem
from layouts.classes import Role

__all__ = ["SETTINGS", "Setting", "config_path", "configured", "read_config", "setting"]

CONFIG_VARIABLE = "ARRAYSTORE_CONFIG"
LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("text", "json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting: its name in the file, its variable, its default, what it may be (empty: any text), and what it is for."""

    name: str
    variable: str
    default: str | None
    choices: tuple[str, ...] = ()
    meaning: str


SETTINGS = (
    Setting(name="root", variable="ARRAYSTORE_ROOT", default=None, meaning="the store: a directory, or s3://, gs://, az://"),
    Setting(name="role", variable="ARRAYSTORE_ROLE", default=Role.OPERATIONS.value, choices=tuple(Role), meaning="the role to act as"),
    Setting(name="log", variable="ARRAYSTORE_LOG", default=None, choices=LOG_FORMATS, meaning="log on stderr, as text or JSON lines"),
    Setting(name="log_level", variable="ARRAYSTORE_LOG_LEVEL", default="info", choices=LEVELS, meaning="log this and what is graver"),
)


def config_path() -> Path:
    """Where the file is looked for: `ARRAYSTORE_CONFIG`, else below `XDG_CONFIG_HOME`, else below `~/.config`."""
    if named := os.environ.get(CONFIG_VARIABLE):
        return Path(named)
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")  # noqa: PTH111, PTH118 - may be unset
    return Path(base) / "arraystore" / "config.toml"


def configured() -> Mapping[str, str]:
    """What the file says; nothing where there is none (one that `ARRAYSTORE_CONFIG` names must be there)."""
    path = config_path()
    try:
        stamp = path.stat().st_mtime_ns
    except FileNotFoundError:
        if os.environ.get(CONFIG_VARIABLE):
            raise InvalidInput(Problem(CONFIG_VARIABLE, f"there is no file {str(path)!r}: make it, or unset the variable")) from None
        return {}
    return read_config(path, stamp)


@cache
def read_config(path: Path, stamp: int = 0) -> Mapping[str, str]:
    """A configuration file's settings, checked; `stamp` tells one state of the file from another."""
    del stamp
    try:
        found = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(Problem(str(path), f"it isn't TOML ({error}); correct it, or move it away")) from error
    known = {each.name: each for each in SETTINGS}
    problems = [
        Problem(f"{path}: {name}", f"there is no such setting; there are {', '.join(known)}") for name in found if name not in known
    ]
    for name, value in found.items():
        if name not in known:
            continue
        if not isinstance(value, str) or not value:
            problems.append(Problem(f"{path}: {name}", f"{value!r} isn't text: give it in quotes"))
        elif known[name].choices and value not in known[name].choices:
            problems.append(Problem(f"{path}: {name}", f"{value!r} is none of {', '.join(known[name].choices)}"))
    if problems:
        raise InvalidInput(problems)
    return found


def setting(name: str) -> str | None:
    """What a setting is without a flag."""
    found = next(each for each in SETTINGS if each.name == name)
    return os.environ.get(found.variable) or configured().get(name) or found.default
