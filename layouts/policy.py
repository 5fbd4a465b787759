"""Who may do what on a file system, derived from the access matrix: directories, and what each role may do in and below them.

A directory's owner and group can't say that one role writes, several read and one maintains. Access control lists can, and what is
made below inherits them whatever the maker's umask. A sticky directory keeps what its owner made from being replaced by others who may
write there.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from layouts.classes import ACCESS, Action, ClassRule, Grant, Role, who_may

READ = "r-x"
WRITE = "rwx"

type Rights = Mapping[Role, str]
"""What roles may do, as `rwx` or `r-x`; a role that isn't there may do nothing."""

SHARED = ("_catalog", "_deleted", "_journal")


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """A directory of a store, and who may do what in it (`rights`) and in what is made below it (`below`; empty: nothing is made there).

    `place` is a storage class, or empty for the store's root; `path` lies below it. `sticky`: what lies in it is removed and renamed by
    its owner only.
    """

    place: str
    path: str
    rights: Rights
    below: Rights
    why: str
    sticky: bool = False


def directories() -> tuple[Directory, ...]:
    """Every directory of a store that whoever guards it makes: nobody else can replace one of these, or what lies beside them."""
    everyone = dict.fromkeys(Role, READ)
    root = Directory(
        place="", path="", rights=everyone, below={}, why="the map of class roots, written once; nobody but its owner changes it"
    )
    found = [root]
    for rule in ACCESS:
        found += _class_directories(rule)
    found.append(Directory(place="", path="lineage", rights=everyone, below={}, why="names of what was made from what"))
    found.append(Directory(place="", path="lineage/packed", rights=everyone, below={}, why="the same, folded"))
    for rule in ACCESS:
        rights = _lineage_rights(rule)
        for path in (f"lineage/{rule.storage_class}", f"lineage/packed/{rule.storage_class}"):
            why = f"whoever makes something of {rule.storage_class} notes it here, and whoever may read that reads it"
            found.append(Directory(place="", path=path, rights=rights, below=rights, why=why))
    tags = dict.fromkeys(Role, WRITE)
    below = dict.fromkeys(Role, READ) | {Role.OPERATIONS: WRITE}
    why = "everybody names sets of pins; the next version of a name is its maker's, or operations'"
    found.append(Directory(place="", path="tags", rights=tags, below=below, why=why, sticky=True))
    return tuple(found)


def _class_directories(rule: ClassRule) -> list[Directory]:
    """A class root; where writers only write below a first part of the key, one directory for each of these."""
    name = rule.storage_class.value
    parts = sorted({grant.under for grant in rule.writers if grant.under is not None})
    if not parts:
        rights = _rights(rule, None)
        why = f"{_names(rule.writers)} write, {_names(rule.readers) or 'nobody else'} read, operations maintain"
        return [Directory(place=name, path="", rights=rights, below=rights, why=why, sticky=True)]
    anybody = {role: READ for role in Role if _any(rule, role)}
    shared = anybody | {grant.role: WRITE for grant in rule.writers} | {Role.OPERATIONS: WRITE}
    found = [Directory(place=name, path="", rights=anybody, below={}, why="one directory for each writer; nobody makes another")]
    for part in parts:
        rights = _rights(rule, part)
        found.append(Directory(place=name, path=part, rights=rights, below=rights, why=f"only {_writers(rule, part)} write here"))
    why = "hints and marks of all writers of the class: names, and no records"
    found += [Directory(place=name, path=path, rights=shared, below=shared, why=why) for path in SHARED]
    return found


def _rights(rule: ClassRule, part: str | None) -> dict[Role, str]:
    key = None if part is None else (part,)
    allowed = {action: _roles(rule, action, key) for action in Action}
    writing = allowed[Action.WRITE] | allowed[Action.MAINTAIN] | allowed[Action.DELETE] | allowed[Action.REPLACE]
    return {role: WRITE if role in writing else READ for role in Role if role in writing | allowed[Action.READ]}


def _roles(rule: ClassRule, action: Action, key: tuple[str, ...] | None) -> set[Role]:
    return {grant.role for grant in rule.grants(action) if grant.covers(key)}


def _any(rule: ClassRule, role: Role) -> bool:
    return any(grant.role is role for action in Action for grant in rule.grants(action))


def _lineage_rights(rule: ClassRule) -> dict[Role, str]:
    """Whoever may read a class and write anywhere."""
    readers = {grant.role for grant in rule.grants(Action.READ)}
    writers = {grant.role for other in ACCESS for grant in other.writers} | {Role.OPERATIONS}
    return {role: WRITE if role in writers else READ for role in Role if role in readers}


def _names(grants: tuple[Grant, ...]) -> str:
    return ", ".join(map(str, grants))


def _writers(rule: ClassRule, part: str) -> str:
    return ", ".join(role for role in who_may(rule.storage_class, Action.WRITE, (part,)))
