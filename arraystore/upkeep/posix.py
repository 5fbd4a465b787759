"""`policy posix`: the access matrix as groups, directories and access control lists of a store on a local disk."""

import os
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from arraystore.classes.roots import class_url
from arraystore.errors import InvalidInput, Problem
from arraystore.upkeep.posixacl import (
    check_supported,
    guard_directory,
    guard_tree,
    open_directory,
    own_directory,
    publish_file,
)
from layouts.classes import Role, StorageClass
from layouts.policy import Directory, Rights, directories

PREFIX = "arraystore-"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,30}\$?")
_BITS = {"r": 4, "w": 2, "x": 1, "-": 0}

LIMITS = (
    "a writer of a class can remove or damage what lies in it: permissions can't say append-only (verify, audit and copies find it)",
    "writers of one class share its marks, bulletins and catalog, which are hints: those of execution records see each other's names",
    "whoever makes something of a class may change the index of lineage below that class: store.rebuild_lineage() makes it anew",
    "the next version of a tag is made by whoever made its first, or by operations",
    "root, and whoever owns the store's root directory, may do everything",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """A directory on this machine, what each group may do in it, and in what is made below it."""

    path: str
    rule: Directory

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "path": self.path,
            "sticky": self.rule.sticky,
            "rights": {role.value: rights for role, rights in self.rule.rights.items()},
            "below": {role.value: rights for role, rights in self.rule.below.items()},
            "why": self.rule.why,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PosixPolicy:
    """What `policy posix` prints and applies: a group for each role, its users, and every directory, those above others first.

    `elsewhere` are the classes that lie on an object store, which credentials guard and no file system.
    """

    root: str
    groups: Mapping[Role, str]
    users: Mapping[Role, tuple[str, ...]]
    directories: tuple[Guarded, ...]
    elsewhere: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "root": self.root,
            "groups": {role.value: group for role, group in self.groups.items()},
            "users": {role.value: list(users) for role, users in self.users.items()},
            "directories": [each.to_json() for each in self.directories],
            "elsewhere": dict(self.elsewhere),
            "limits": list(LIMITS),
        }

    def script(self) -> str:
        """The policy as a shell script for root; `apply` does the same, and doesn't follow a link that somebody plants meanwhile."""
        lines = [
            "#!/bin/sh",
            "# Run as root, while nobody writes: who may do what in an arraystore, by groups and access control lists.",
            "set -eu",
            "",
        ]
        for role, group in self.groups.items():
            lines.append(f"getent group {shlex.quote(group)} >/dev/null || groupadd --system {shlex.quote(group)}")
            lines += [f"usermod --append --groups {shlex.quote(group)} -- {shlex.quote(user)}" for user in self.users.get(role, ())]
        for guarded in self.directories:
            place, rule = shlex.quote(guarded.path), guarded.rule
            lines += ["", f"# {rule.why}", f"mkdir -p -m 700 {place}", f"setfacl -b -k {place}"]
            lines.append(f"chown root: {place} && chmod {'1700' if rule.sticky else '0700'} {place}")
            lines.append(f"setfacl -m {self._entries(rule.rights)} {place}")
            if rule.below:
                below = f"u::rwx,g::-,{self._entries(rule.below)},o::-"
                found, inner = f"find {place} -mindepth 1 {self._left_out(guarded)}", below.replace("rwx", "rwX").replace("r-x", "rX")
                lines.append(f"setfacl -d -m {below} {place}")
                lines.append(f"{found}\\( -type d -o -type f \\) -exec setfacl -P -m {inner} {{}} +")
                lines.append(f"{found}-type d -exec setfacl -d -m {below} {{}} +")
            if not rule.path and (rule.place or guarded.path == self.root):
                lines.append(f"setfacl -b {place}/zarr.json && chown root {place}/zarr.json && chmod 644 {place}/zarr.json")
        return "\n".join([*lines, ""])

    def _left_out(self, guarded: Guarded) -> str:
        """What lies below and isn't ruled by this directory."""
        inner = [each.path for each in self.directories if each.path.startswith(f"{guarded.path}/")]
        if guarded.rule.place and not guarded.rule.path:
            inner.append(f"{guarded.path}/zarr.json")
        named = " -o ".join(f"-path {shlex.quote(path)}" for path in sorted(inner))
        return f"\\( {named} \\) -prune -o " if inner else ""

    def _entries(self, rights: Rights) -> str:
        return ",".join(f"g:{self.groups[role]}:{bits}" for role, bits in rights.items())

    def apply(self, numbers: Mapping[Role, int]) -> int:
        """Give every directory its owner (this process's user) and rights, and what lies below; returns how many objects that were.

        `numbers` are the groups' numbers. Can be repeated, and should be after files were copied in by hand.
        """
        paths = {each.path for each in self.directories}
        count = 0
        for guarded in self.directories:
            above, below = _bits(guarded.rule.rights, numbers), _bits(guarded.rule.below, numbers)
            with open_directory(*self._opened_from(guarded)) as fd:
                check_supported(fd, guarded.path)
                own_directory(fd)
                guard_directory(fd, above, below if guarded.rule.below else None, sticky=guarded.rule.sticky)
                is_root = not guarded.rule.path and (guarded.rule.place != "" or guarded.path == self.root)

                def leave(parts: tuple[str, ...], guarded: Guarded = guarded, is_root: bool = is_root) -> bool:  # noqa: FBT001
                    return "/".join((guarded.path, *parts)) in paths or (is_root and parts == ("zarr.json",))

                if guarded.rule.below:
                    count += guard_tree(fd, below, leave)
                if is_root:
                    publish_file(fd, "zarr.json")
                count += 1
        return count

    def _opened_from(self, guarded: Guarded) -> tuple[str, str]:
        """The root that whoever made the store named, and the way from there, on which no link is followed."""
        if guarded.path == self.root or not guarded.path.startswith(f"{self.root}/"):
            base = guarded.path.removesuffix(f"/{guarded.rule.path}") if guarded.rule.path else guarded.path
            return base, guarded.rule.path
        return self.root, guarded.path.removeprefix(f"{self.root}/")


def _bits(rights: Rights, numbers: Mapping[Role, int]) -> dict[int, int]:
    found: dict[int, int] = {}
    for role, letters in rights.items():
        number = numbers[role]  # one group may stand for several roles
        found[number] = found.get(number, 0) | sum(_BITS[letter] for letter in letters)
    return found


def posix_policy(
    root: str, roots: Mapping[str, str], *, groups: Mapping[Role, str] | None = None, users: Mapping[Role, Iterable[str]] | None = None
) -> PosixPolicy:
    """The policy of a store at a directory, whose class roots lie at `roots`; groups are `arraystore-<role>` unless named."""
    if "://" in root.removeprefix("file://"):
        raise InvalidInput(f"{root!r} is no directory: credentials guard an object store, not permissions", "root")
    base = str(Path(root.removeprefix("file://")).absolute())
    named = {role: (groups or {}).get(role, f"{PREFIX}{role.value}") for role in Role}
    listed = {role: tuple((users or {}).get(role, ())) for role in Role}
    every = [("groups", name) for name in named.values()] + [("users", name) for names in listed.values() for name in names]
    if problems := [Problem(where, f"{name!r} isn't a name of a user or group") for where, name in every if not _NAME.fullmatch(name)]:
        raise InvalidInput(problems)
    places = {each.value: class_url(base, roots.get(each.value, each.value)) for each in StorageClass}
    elsewhere = {name: place for name, place in places.items() if "://" in place.removeprefix("file://")}
    found = []
    for rule in directories():
        if rule.place not in elsewhere:
            place = places[rule.place].removeprefix("file://") if rule.place else base
            found.append(Guarded(path=os.path.normpath(f"{place}/{rule.path}"), rule=rule))
    return PosixPolicy(root=base, groups=named, users=listed, directories=tuple(found), elsewhere=elsewhere)
