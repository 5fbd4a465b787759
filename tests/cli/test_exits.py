"""Every error ends a command with a code that scripts can tell apart, and with one line."""

import click
import pytest
from click.testing import CliRunner

from arraystore import errors
from arraystore.cli.command import Command, Group, command
from arraystore.cli.exits import EXIT_CODES, exit_code

CODES = {
    errors.AccessDenied: 4,
    errors.AlreadyExists: 2,
    errors.CommitUnknown: 5,
    errors.Conflict: 7,
    errors.Corrupt: 5,
    errors.FixTheCall: 2,
    errors.InvalidInput: 2,
    errors.NotFound: 3,
    errors.PlanExpired: 7,
    errors.QueueFull: 7,
    errors.Retry: 7,
    errors.StopAndVerify: 5,
    errors.StorageError: 6,
    errors.Unsupported: 5,
    errors.Purged: 3,
    errors.VersionExpired: 3,
    errors.WindowClosed: 2,
}


def group_that_raises(error: BaseException) -> Group:
    @command("work", examples=["work"])
    def work(*, as_json: bool) -> None:
        """Do it."""
        raise error

    group = Group("tool")
    group.add_command(work)
    return group


def test_every_error_of_the_store_has_a_code_of_its_own_kind() -> None:
    named = {getattr(errors, name) for name in errors.__all__}
    kinds = {kind for kind in named if issubclass(kind, errors.ArrayStoreError)} - {errors.ArrayStoreError}
    assert {kind: exit_code(kind("why")) for kind in kinds} == CODES


@pytest.mark.parametrize("error", [ZeroDivisionError("oops"), errors.ArrayStoreError("oops")])
def test_an_error_nobody_foresaw_is_told_as_a_bug(error: Exception) -> None:
    result = CliRunner().invoke(group_that_raises(error), ["work"])
    assert result.exit_code == 70
    assert result.stderr.startswith(f"error: unexpected {type(error).__name__}: oops; run again with --debug")


def test_the_medium_failing_is_told_apart_from_a_missing_store() -> None:
    assert exit_code(OSError(28, "No space left on device")) == 6
    assert exit_code(errors.NotFound("no store")) == 3


def test_codes_are_distinct_and_sorted() -> None:
    codes = [rule.code for rule in EXIT_CODES]
    assert codes == sorted(set(codes))


def test_an_error_is_one_line_on_stderr_even_if_its_message_is_hostile() -> None:
    error = errors.InvalidInput([errors.Problem("price", "must be\nfloat64"), errors.Problem("si\x1b[2Jze", "is missing")])
    result = CliRunner().invoke(group_that_raises(error), ["work"])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == "error: price: must be\\nfloat64; si\\x1b[2Jze: is missing\n"


def test_an_error_without_words_is_told_by_its_name() -> None:
    result = CliRunner().invoke(group_that_raises(errors.Conflict()), ["work"])
    assert result.stderr == "error: Conflict\n"


def test_debug_shows_the_traceback_before_the_line() -> None:
    result = CliRunner().invoke(group_that_raises(errors.NotFound("no such dataset")), ["work", "--debug"])
    assert result.exit_code == 3
    assert result.stderr.startswith("Traceback")
    assert result.stderr.endswith("error: no such dataset\n")


def test_wrong_usage_is_one_line_that_says_where_to_read() -> None:
    result = CliRunner().invoke(group_that_raises(ValueError()), ["work", "--nonsense"], prog_name="tool")
    assert result.exit_code == 2
    assert result.stderr == "error: No such option '--nonsense' (see `tool work --help`)\n"


def test_an_unknown_command_is_wrong_usage() -> None:
    result = CliRunner().invoke(group_that_raises(ValueError()), ["nonsense"], prog_name="tool")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1


def test_an_interrupt_ends_as_shells_expect() -> None:
    result = CliRunner().invoke(group_that_raises(KeyboardInterrupt()), ["work"])
    assert result.exit_code == 130


def test_a_command_may_choose_its_own_code() -> None:
    result = CliRunner().invoke(group_that_raises(click.exceptions.Exit(1)), ["work"])
    assert (result.exit_code, result.stderr) == (1, "")


def test_a_caller_of_the_group_may_handle_errors_itself() -> None:
    with pytest.raises(click.ClickException, match="no such dataset"):
        group_that_raises(errors.NotFound("no such dataset")).main(["work"], standalone_mode=False)


def test_examples_are_shown_as_they_are_typed() -> None:
    shown = Command("work", examples=["tool work --json  |  jq ."], help="Do it.", callback=print)
    with click.Context(shown, info_name="work") as context:
        assert shown.get_help(context).endswith("Examples:\n  tool work --json  |  jq .\n".rstrip())
