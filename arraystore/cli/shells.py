"""`completion` and `config`: how a shell completes commands and keys, and what a command is set to, and by whom."""

import os
from typing import Any

import click
from click.core import ParameterSource
from click.shell_completion import get_completion_class

from arraystore.cli.command import SettingOption, command, role_option
from arraystore.cli.configuration import SETTINGS, Setting, config_path, configured
from arraystore.cli.output import left, print_json, table

__all__ = ["completion", "config"]

VARIABLE = "_ARRAYSTORE_COMPLETE"


@command(
    "completion",
    examples=["arraystore completion bash > ~/.local/share/bash-completion/completions/arraystore", "arraystore completion zsh --json"],
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, *, shell: str, as_json: bool) -> None:
    """Print the script that makes a shell complete commands, options and keys of datasets.

    bash: into ~/.local/share/bash-completion/completions/arraystore, or `eval "$(arraystore completion bash)"` in ~/.bashrc;
    zsh: `eval "$(arraystore completion zsh)"` in ~/.zshrc; fish: into ~/.config/fish/completions/arraystore.fish.
    Keys come from the store that --root, ARRAYSTORE_ROOT or the configuration file names.
    """
    made = get_completion_class(shell)
    assert made is not None
    script = made(context.find_root().command, {}, "arraystore", VARIABLE).source()
    print_json({"shell": shell, "script": script}) if as_json else click.echo(script)


@command("config", examples=["arraystore config", "arraystore config --root data --json"])
@click.option("--root", cls=SettingOption, metavar="URL", envvar="ARRAYSTORE_ROOT", show_envvar=True, help="As for other commands.")
@role_option
@click.pass_context
def config(context: click.Context, *, root: str | None, role: str, as_json: bool) -> None:
    """Show what commands are set to, and where that comes from: flag, environment, file or default.

    The file is TOML, such as `root = "data"`, and is looked for in ARRAYSTORE_CONFIG, then in $XDG_CONFIG_HOME/arraystore/config.toml
    (~/.config where that isn't set). A flag counts before the environment, that before the file.
    """
    del root, role
    path, file = config_path(), configured()
    listed: list[dict[str, Any]] = [_told(context, each, file.get(each.name)) for each in SETTINGS]
    if as_json:
        print_json({"file": str(path), "there": path.exists(), "settings": listed})
        return
    table(
        (left("setting"), left("value"), left("from"), left("meaning")),
        [[told[name] or "" for name in ("name", "value", "from", "meaning")] for told in listed],
    )
    click.echo(f"\nfile {path}{'' if path.exists() else ' (there is none)'}")


def _told(context: click.Context, each: Setting, in_file: str | None) -> dict[str, str | None]:
    source = context.get_parameter_source(each.name)
    value: str | None
    if source is ParameterSource.COMMANDLINE:
        value, origin = context.params.get(each.name) or context.meta[each.name], "flag"
    elif os.environ.get(each.variable):
        value, origin = os.environ[each.variable], f"environment ({each.variable})"
    elif in_file is not None:
        value, origin = in_file, "file"
    else:
        value, origin = each.default, "default" if each.default is not None else "not set"
    return {"name": each.name, "value": value, "from": origin, "variable": each.variable, "meaning": each.meaning}
