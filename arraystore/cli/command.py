"""What all commands share: how they are declared, their common options, and how errors leave them."""

import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, override

import click

from arraystore.cli.exits import EXIT_CODES, INTERRUPTED, Failure, failure, usage_failure
from arraystore.errors import InvalidInput, NotFound, Problem
from layouts.classes import Role, StorageClass, parse_storage_class
from layouts.naming import format_key

if TYPE_CHECKING:
    from arraystore.classes.roots import Opener
    from arraystore.datasets.view import DatasetView
    from arraystore.store import Store

__all__ = [
    "Command",
    "Group",
    "address_of",
    "at_version",
    "command",
    "dataset_at",
    "key_argument",
    "no_match",
    "opener_for",
    "role_option",
    "root_option",
    "split_address",
    "tell_dry_run",
    "version_option",
    "with_store",
]

root_option = click.option(
    "--root",
    metavar="URL",
    envvar="ARRAYSTORE_ROOT",
    show_envvar=True,
    required=True,
    help="The store: a directory, or s3://, gs://, az://.",
)
role_option = click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    envvar="ARRAYSTORE_ROLE",
    show_envvar=True,
    default=Role.OPERATIONS.value,
    show_default=True,
    help="Act as this role; operations reads everything.",
)
key_argument = click.argument("key", metavar="CLASS/KEY")
version_option = click.option("--version", metavar="NUMBER|TIME", help="Look at this version, or at what was the newest at that time.")


class Command(click.Command):
    """A command with `--json`, with examples in its help, whose errors become one line and an exit code."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)
        self.params.append(
            click.Option(["--json", "as_json"], is_flag=True, is_eager=True, help="Print one JSON document on stdout, and nothing else.")
        )
        self.params.append(click.Option(["--debug"], is_flag=True, help="Show the traceback of an error."))

    @override
    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, each on a line of its own."""
        with formatter.section("Examples"):
            for example in self.examples:
                formatter.write(f"{'':{formatter.current_indent}}{example}\n")

    @override
    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an error leaves it as a `Failure`."""
        debug = ctx.params.pop("debug")
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if debug:
                traceback.print_exc()
            raise failure(error) from error


class Group(click.Group):
    """The commands in the order they are met, and their exit codes."""

    command_class = Command

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


def split_address(address: str) -> tuple[StorageClass, str]:
    """The storage class and the escaped key that an address names.

    >>> split_address("canonical/binance-usdm/trades/BTCUSDT")
    (<StorageClass.CANONICAL: 'canonical'>, 'binance-usdm/trades/BTCUSDT')
    """
    name, _, key = address.partition("/")
    if not key:
        what = f"{address!r} names no dataset; give CLASS/KEY, such as canonical/binance-usdm/trades/BTCUSDT (`arraystore ls` lists them)"
        raise InvalidInput(Problem("address", what))
    return parse_storage_class(name), key


def address_of(storage_class: str, key: Sequence[str]) -> str:
    """What `split_address` takes apart again."""
    return f"{storage_class}/{format_key(key)}"


def dataset_at(store: "Store", address: str, version: str | None = None) -> "DatasetView":
    """The dataset at an address, at a version (a number or a time) or at its newest."""
    storage_class, key = split_address(address)
    return at_version(store.surface(storage_class)[key], version)


def at_version(dataset: "DatasetView", version: str | None) -> "DatasetView":
    """The dataset at a version, which is told as a number or a time; None for the one it is at."""
    return dataset if version is None else dataset.at(int(version) if version.isdecimal() else version)


def no_match(store: "Store", patterns: Iterable[str]) -> NotFound:
    """What is raised where patterns name nothing."""
    return NotFound(f"no dataset in {store.url} matches {' or '.join(map(repr, patterns))}; `arraystore ls` lists them")
