"""How a command ends: the one table from errors to exit codes, and the one line that tells why."""

import os
import sys
from dataclasses import dataclass
from typing import IO, Any, override

import click

from arraystore.cli.output import printable
from arraystore.errors import AccessDenied, Corrupt, FixTheCall, InvalidInput, NotFound, Retry, StopAndVerify, StorageError
from arraystore.findings import REPLICA

__all__ = ["EXIT_CODES", "FINDINGS", "INTERRUPTED", "ExitCode", "Failure", "exit_code", "failure", "usage_failure"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitCode:
    """One way to end, and the errors that end so (the most specific class of an error decides)."""

    code: int
    meaning: str
    errors: tuple[type[BaseException], ...] = ()


FINDINGS = 1
USAGE = 2
UNEXPECTED = 70
INTERRUPTED = 130  # as shells tell SIGINT
READER_LEFT = 141  # as shells tell SIGPIPE

EXIT_CODES = (
    ExitCode(code=0, meaning="done"),
    ExitCode(code=FINDINGS, meaning="verify found damage, or lint an error"),
    ExitCode(code=USAGE, meaning="the call can't succeed as it is: usage, input, a name that is taken", errors=(FixTheCall, InvalidInput)),
    ExitCode(code=3, meaning="no such store, dataset, version or window", errors=(NotFound,)),
    ExitCode(code=4, meaning="the role may not do that", errors=(AccessDenied,)),
    ExitCode(code=5, meaning="stop and look: damaged data, unknown outcome, newer format", errors=(StopAndVerify,)),
    ExitCode(code=6, meaning="the medium failed: full, read-only, unreachable", errors=(StorageError, OSError)),
    ExitCode(code=7, meaning="another writer was faster: try again", errors=(Retry,)),
    ExitCode(code=UNEXPECTED, meaning="a bug of arraystore: run again with --debug and report it"),
    ExitCode(code=INTERRUPTED, meaning="interrupted"),
    ExitCode(code=READER_LEFT, meaning="whoever read the output has left", errors=(BrokenPipeError,)),
)

REMEDIES = ("replica", "repair", "try again")
"""Words of errors of damage that say what to do already."""

_BY_ERROR = {error: rule.code for rule in EXIT_CODES for error in rule.errors}


class Failure(click.ClickException):
    """An error on its way out of a command: `error: …` on stderr, and an exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code

    @override
    def show(self, file: IO[Any] | None = None) -> None:
        """Print the one line."""
        click.echo(f"error: {printable(self.message)}", file=file, err=file is None)


class ReaderLeft(Failure):
    """Whoever read our output has left, as `head` does: end without a word."""

    def __init__(self) -> None:
        super().__init__("", READER_LEFT)

    @override
    def show(self, file: IO[Any] | None = None) -> None:
        """Send what is still buffered nowhere, or Python would complain when it flushes at exit."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def exit_code(error: BaseException) -> int:
    """The exit code of an error."""
    return next((_BY_ERROR[kind] for kind in type(error).__mro__ if kind in _BY_ERROR), UNEXPECTED)


def failure(error: Exception) -> Failure:
    """Tell an error of the store, or of ourselves, to whoever called the command."""
    code = exit_code(error)
    if code == READER_LEFT:
        return ReaderLeft()
    message = str(error) or type(error).__name__
    if isinstance(error, Corrupt) and not any(told in message for told in REMEDIES):
        message = f"{message}: {REPLICA}"
    if code == UNEXPECTED:
        message = f"unexpected {type(error).__name__}: {message}; run again with --debug for the traceback, and report it"
    return Failure(message, code)


def usage_failure(error: click.ClickException) -> Failure:
    """Tell what is wrong with the command line, and where the right way is described."""
    message = error.format_message().rstrip(".")
    context = getattr(error, "ctx", None)
    return Failure(f"{message} (see `{context.command_path} --help`)" if context else message, error.exit_code)
