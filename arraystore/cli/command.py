"""What all commands share: how they are declared, their common options, and how errors leave them."""

import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, override

import click
from click.core import ParameterSource

from arraystore.cli.addresses import address_of, at_version, complete_address, dataset_at, no_match, split_address
from arraystore.cli.configuration import LEVELS, LOG_FORMATS, SETTINGS, configured
from arraystore.cli.exits import EXIT_CODES, INTERRUPTED, Failure, failure, usage_failure
from arraystore.cli.logs import logging_to_stderr
from arraystore.cli.output import printable
from arraystore.errors import InvalidInput, Problem
from layouts.classes import Role

if TYPE_CHECKING:
    from arraystore.classes.roots import Opener

__all__ = [
    "Command",
    "Group",
    "SettingOption",
    "address_of",
    "at_version",
    "columns_option",
    "command",
    "confirm",
    "dataset_at",
    "defaults_of",
    "end_option",
    "failing",
    "key_argument",
    "listed",
    "no_match",
    "opener_for",
    "patterns_argument",
    "role_option",
    "root_option",
    "some_patterns_argument",
    "split_address",
    "start_option",
    "tell_dry_run",
    "version_option",
    "window_option",
    "with_store",
    "yes_option",
]


class SettingOption(click.Option):
    """An option that may also stand before the command's name."""

    @override
    def consume_value(self, ctx: click.Context, opts: Mapping[str, Any]) -> tuple[Any, ParameterSource]:
        """The command's own flag, else the group's, else whatever else there is."""
        value, source = super().consume_value(ctx, opts)
        given = ctx.find_root().params.get(str(self.name)) if ctx.parent is not None else None
        return (given, ParameterSource.COMMANDLINE) if given and source is not ParameterSource.COMMANDLINE else (value, source)


def listed(ctx: click.Context, param: click.Parameter, value: str | None) -> list[str] | None:
    """The names of an option NAME,…, as its callback; None where it isn't given."""
    del ctx, param
    return None if value is None else [name.strip() for name in value.split(",")]


root_option = click.option(
    "--root",
    cls=SettingOption,
    metavar="URL",
    envvar="ARRAYSTORE_ROOT",
    show_envvar=True,
    required=True,
    help="The store: a directory, or s3://, gs://, az://.",
)
role_option = click.option(
    "--role",
    cls=SettingOption,
    type=click.Choice([role.value for role in Role]),
    envvar="ARRAYSTORE_ROLE",
    show_envvar=True,
    default=Role.OPERATIONS.value,
    show_default=True,
    help="Act as this role; operations reads everything.",
)
key_argument = click.argument("key", metavar="CLASS/KEY", shell_complete=complete_address)
patterns_argument = click.argument("patterns", metavar="[PATTERN]...", nargs=-1, shell_complete=complete_address)
some_patterns_argument = click.argument("patterns", metavar="PATTERN...", nargs=-1, required=True, shell_complete=complete_address)
start_option = click.option("--start", metavar="TIME", help="Only from this time on.")
end_option = click.option("--end", metavar="TIME", help="Only before this time.")
window_option = click.option("--window", help="Look into this window only; of an experiment run, into this series.")
columns_option = click.option("--columns", metavar="NAME,…", callback=listed, help="Only these columns, in this order.")
version_option = click.option("--version", metavar="NUMBER|TIME", help="Look at this version, or at what was the newest at that time.")


class Command(click.Command):
    """A command with `--json`, with examples in its help, whose errors become one line and an exit code."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)
        self.params.append(
            click.Option(["--json", "as_json"], is_flag=True, is_eager=True, help="Print one JSON document on stdout, and nothing else.")
        )
        self.params += [
            click.Option(["--log"], type=click.Choice(LOG_FORMATS), envvar="ARRAYSTORE_LOG", help="Log on stderr, as text or JSON lines."),
            click.Option(
                ["--log-level"],
                type=click.Choice(LEVELS),
                envvar="ARRAYSTORE_LOG_LEVEL",
                default="info",
                help="Log this and what is graver.",
            ),
            click.Option(["--debug"], is_flag=True, help="Show the traceback of an error."),
        ]

    @override
    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, each on a line of its own."""
        with formatter.section("Examples"):
            for example in self.examples:
                formatter.write(f"{'':{formatter.current_indent}}{example}\n")

    @override
    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an error leaves it as a `Failure`."""
        debug, log, log_level = (ctx.params.pop(name) for name in ("debug", "log", "log_level"))
        ctx.meta.update(log=log, log_level=log_level)
        with failing(debug=debug), logging_to_stderr(log, log_level):
            return super().invoke(ctx)


@contextmanager
def failing(*, debug: bool = False) -> Iterator[None]:
    """Any error leaves as a `Failure`."""
    try:
        yield
    except (click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except Exception as error:
        if debug:
            traceback.print_exc()
        raise failure(error) from error


class Group(click.Group):
    """The commands in the order they are met, set as the configuration file says, and their exit codes."""

    command_class = Command

    @override
    def invoke(self, ctx: click.Context) -> Any:
        """Run what was named, with what the file says in place of defaults."""
        with failing():
            ctx.default_map = defaults_of(self, {} if _asks_for_help(ctx.args) else configured())
            return super().invoke(ctx)

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands in the order they were added."""
        return list(self.commands)

    @override
    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of exit codes."""
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(rule.code), rule.meaning) for rule in EXIT_CODES])

    @override
    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command line and leave the process with its exit code; with `standalone_mode=False` errors are the caller's."""
        run = partial(super().main, args, prog_name, complete_var, standalone_mode=False, **extra)
        return sys.exit(_exit_code_of(run)) if standalone_mode else run()


def defaults_of(group: click.Group, file: Mapping[str, str]) -> dict[str, Any]:
    """What takes the place of the defaults of each command's parameters that are settings, as click wants it.

    It is for the commands that also take it from the environment.
    """
    variables = {each.variable: each.name for each in SETTINGS}
    made: dict[str, Any] = {}
    for name, each in group.commands.items():
        settings = ((str(param.name), variables.get(str(param.envvar), "")) for param in each.params)
        made[name] = {param: file[called] for param, called in settings if called in file}
    return made


def _asks_for_help(words: Sequence[str]) -> bool:
    """Whether a broken configuration file mustn't stand in the way."""
    return any(word in ("-h", "--help") for word in words)


def _exit_code_of(run: Callable[[], Any]) -> int:
    """Run a command line, and tell on stderr what went wrong."""
    try:
        ended = run()
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        told = error if isinstance(error, Failure) else usage_failure(error)
        told.show()
        return told.code
    except click.Abort:
        return INTERRUPTED
    return ended if isinstance(ended, int) else 0


def command(name: str, *, examples: Sequence[str]) -> Callable[[Callable[..., Any]], Command]:
    """Declare a command; its docstring is the help, `as_json` tells it how to print."""
    return click.command(name, cls=Command, examples=examples)


def opener_for(*, dry_run: bool) -> "Opener":
    """How a command opens storages: a dry run does all it would do, on storages that keep what is written to themselves."""
    from arraystore.storage import open_storage
    from arraystore.storage.rehearsal import Rehearsal

    return Rehearsal() if dry_run else open_storage


def confirm(what: str, *, yes: bool, dry_run: bool) -> None:
    """Go on with what can't simply be undone only if somebody says so: by --yes, or by answering on a terminal."""
    if yes or dry_run:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise InvalidInput(Problem("--yes", f"{what}: look with --dry-run, then pass --yes"))
    click.confirm(f"{printable(what)}; do it?", abort=True, err=True)


yes_option = click.option("--yes", is_flag=True, help="Do it without asking; where there is no terminal to ask on, this is needed.")


def tell_dry_run(*, dry_run: bool, as_json: bool) -> None:
    """Say to people that what they see wasn't done; documents say so themselves."""
    if dry_run and not as_json:
        click.echo("dry run: nothing was changed", err=True)


def with_store(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--root` and `--role`, and the store they open as its first argument; with `dry_run`, one to rehearse on."""

    @wraps(function)
    def opened(*, root: str, role: str, **kwargs: Any) -> Any:
        from arraystore.store import open_store

        dry_run = bool(kwargs.get("dry_run"))
        done = function(open_store(root, role=role, opener=opener_for(dry_run=dry_run)), **kwargs)
        tell_dry_run(dry_run=dry_run, as_json=kwargs["as_json"])
        return done

    return root_option(role_option(opened))
