"""`policy`: the access matrix as permissions that stop attackers, where checks in the process stop mistakes."""

import grp
import os
import subprocess
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from arraystore.cli.command import command, with_store
from arraystore.cli.output import counted, print_json
from arraystore.errors import AccessDenied, InvalidInput, Problem
from layouts.classes import Role

if TYPE_CHECKING:
    from arraystore.store import Store
    from arraystore.upkeep.posix import PosixPolicy

__all__ = ["policy"]


@command(
    "policy",
    examples=[
        "arraystore policy posix --root /srv/data > policy.sh",
        "arraystore policy posix --root /srv/data --users data-recording=recorder --users live=trader,backup --apply",
    ],
)
@click.argument("kind", type=click.Choice(["posix"]))
@click.option("--users", "users", metavar="ROLE=USER,…", multiple=True, help="Users who act in this role.")
@click.option("--group", "groups", metavar="ROLE=GROUP", multiple=True, help="The group of this role; arraystore-ROLE by default.")
@click.option("--apply", "applies", is_flag=True, help="Make groups, add users, and set owners and rights; as root.")
@with_store
def policy(store: "Store", *, kind: str, users: tuple[str, ...], groups: tuple[str, ...], applies: bool, as_json: bool) -> None:
    """Print or apply the rights of each role.

    posix: a group for each role, and access control lists for each directory, derived from the access matrix, such that each role
    may do on the file system what it may do through this program, and nothing else. Prints a shell script, or with --json the plan.
    """
    from arraystore.upkeep.posix import LIMITS, posix_policy

    assert kind == "posix"
    named = {role: names[-1] for role, names in _by_role("--group", groups).items()}
    made = posix_policy(store.url, store.attributes.roots, groups=named, users=_by_role("--users", users))
    count = 0
    if applies:
        count = made.apply(_numbers(made))
    if as_json:
        print_json(made.to_json() | {"applied": applies, "objects": count})
    elif applies:
        click.echo(f"{counted(count, 'object')} below {made.root}; what permissions can't say:")
        for limit in LIMITS:
            click.echo(f"- {limit}")
    else:
        click.echo(made.script(), nl=False)
    for name, place in made.elsewhere.items():
        click.echo(f"{name} lies at {place}: guard it by credentials", err=True)


def _by_role(option: str, given: tuple[str, ...]) -> dict[Role, list[str]]:
    found: dict[Role, list[str]] = {}
    problems = []
    for text in given:
        role, _, names = text.partition("=")
        if role in set(Role) and names:
            found.setdefault(Role(role), []).extend(names.split(","))
        else:
            problems.append(Problem(f"{option} {text!r}", f"give ROLE=NAME, ROLE being one of {', '.join(Role)}"))
    if problems:
        raise InvalidInput(problems)
    return found


def _numbers(made: "PosixPolicy") -> Mapping[Role, int]:
    """The groups' numbers; those that aren't there are made, and users added to theirs."""
    if os.geteuid() != 0:
        raise AccessDenied("only root gives directories away: run it as root, or without --apply, and hand the script to whoever may")
    for role, group in made.groups.items():
        try:
            grp.getgrnam(group)
        except KeyError:
            _run("groupadd", "--system", "--", group)
        for user in made.users[role]:
            _run("usermod", "--append", "--groups", group, "--", user)
    return {role: grp.getgrnam(group).gr_gid for role, group in made.groups.items()}


def _run(*words: str) -> None:
    done = subprocess.run(words, check=False, capture_output=True, text=True)  # noqa: S603 - names were checked, and there is no shell
    if done.returncode != 0:
        raise InvalidInput(f"{' '.join(words)}: {done.stderr.strip()}", "users")
