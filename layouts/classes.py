"""The six storage classes and who may do what in each: one table, from which checks, messages and documents derive."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from layouts.problems import InvalidInput, Problem


class StorageClass(StrEnum):
    """What a dataset is for; told from its location alone. Values are the names on disk."""

    RAW = "raw"
    CANONICAL = "canonical"
    DERIVED = "derived"
    QUARANTINE = "quarantine"
    EXPERIMENTS = "experiments"
    EXECUTION_RECORDS = "execution-records"


class Role(StrEnum):
    """As whom a store is opened."""

    DATA_RECORDING = "data-recording"
    DATA_QUALITY = "data-quality"
    BACKTESTING = "backtesting"
    LIVE = "live"
    ANALYSIS = "analysis"
    OPERATIONS = "operations"


class Action(StrEnum):
    """What a role does in a class."""

    READ = "read"
    WRITE = "write"  # create datasets, append, complete and seal
    REPLACE = "replace"  # replace or withdraw a window
    MAINTAIN = "maintain"  # compact and repair: the rows stay what they are
    DELETE = "delete"  # delete a dataset, or let one age out
    PURGE = "purge"  # take windows out of every version, when their licence or age ends


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A role in a class, perhaps only below one first key part (`under`)."""

    role: Role
    under: str | None = None

    def covers(self, key: Sequence[str] | None) -> bool:
        """Whether this grant reaches the key; `None` asks for at least some key."""
        return self.under is None or key is None or (len(key) > 0 and key[0] == self.under)

    def __str__(self) -> str:
        return self.role.value if self.under is None else f"{self.role} under {self.under}/"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassRule:
    """One storage class: what it holds, who writes and reads it, what may happen afterwards, and its keys.

    Writers also read what they write. `replaceable`: writers may replace windows. `deleters` may delete datasets.
    """

    storage_class: StorageClass
    holds: str
    writers: tuple[Grant, ...]
    readers: tuple[Grant, ...]
    after_writing: str
    key_template: tuple[str, ...]
    replaceable: bool = False
    deleters: tuple[Grant, ...] = ()

    def grants(self, action: Action) -> tuple[Grant, ...]:
        """Who may do this here."""
        match action:
            case Action.READ:
                return (*self.writers, *self.readers, _OPERATIONS)
            case Action.WRITE:
                return self.writers
            case Action.REPLACE:
                return self.writers if self.replaceable else ()
            case Action.MAINTAIN | Action.PURGE:
                return (_OPERATIONS,)
            case Action.DELETE:
                return self.deleters


_RECORDING = Grant(role=Role.DATA_RECORDING)
_QUALITY = Grant(role=Role.DATA_QUALITY)
_BACKTESTING = Grant(role=Role.BACKTESTING)
_LIVE = Grant(role=Role.LIVE)
_ANALYSIS = Grant(role=Role.ANALYSIS)
_OPERATIONS = Grant(role=Role.OPERATIONS)

ACCESS: tuple[ClassRule, ...] = (
    ClassRule(
        storage_class=StorageClass.RAW,
        holds="recorded venue messages, exactly as received, with capture time and source metadata",
        writers=(_RECORDING,),
        readers=(_QUALITY,),
        after_writing="append only; never modified; may age out by an explicit purge that leaves a tombstone",
        key_template=("venue", "feed", "recorder"),
        deleters=(_OPERATIONS,),
    ),
    ClassRule(
        storage_class=StorageClass.CANONICAL,
        holds="validated, normalised datasets promoted by data quality",
        writers=(_QUALITY,),
        readers=(_BACKTESTING, _ANALYSIS, _LIVE),
        after_writing="immutable: a correction is a new version, the old one stays readable",
        key_template=("venue", "feed", "instrument"),
        replaceable=True,
    ),
    ClassRule(
        storage_class=StorageClass.DERIVED,
        holds="features, bars, statistics computed from canonical or execution data",
        writers=(_ANALYSIS, _BACKTESTING),
        readers=(_LIVE,),
        after_writing="recomputable; versions kept by retention rule",
        key_template=("product", "variant", "venue", "instrument"),
        replaceable=True,
        deleters=(_ANALYSIS, _BACKTESTING),
    ),
    ClassRule(
        storage_class=StorageClass.QUARANTINE,
        holds="datasets excluded from promotion: reason code, failed checks, where they came from, state held, released or rejected",
        writers=(_QUALITY,),
        readers=(),
        after_writing="reviewed, released or deleted",
        key_template=("venue", "feed", "instrument"),
        replaceable=True,
        deleters=(_QUALITY,),
    ),
    ClassRule(
        storage_class=StorageClass.EXPERIMENTS,
        holds="backtest runs: definition, parameters, results, metrics, series, artifacts",
        writers=(_BACKTESTING,),
        readers=(_ANALYSIS,),
        after_writing="a finished run is sealed",
        key_template=("experiment", "run"),
    ),
    ClassRule(
        storage_class=StorageClass.EXECUTION_RECORDS,
        holds="order events, fills, positions, balances and other records",
        writers=(Grant(role=Role.LIVE, under="live"), Grant(role=Role.BACKTESTING, under="backtest")),
        readers=(_ANALYSIS,),
        after_writing="append only, gap-free sequence per session, auditable",
        key_template=("live|backtest", "session", "record"),
    ),
)

_RULES = {rule.storage_class: rule for rule in ACCESS}


def class_rule(storage_class: StorageClass | str) -> ClassRule:
    """The class's row of the table."""
    return _RULES[parse_storage_class(storage_class)]


def may(role: Role | str, storage_class: StorageClass | str, action: Action | str, key: Sequence[str] | None = None) -> bool:
    """Whether a role may do this to a dataset of this key; without a key, to at least some."""
    grants = class_rule(storage_class).grants(_parse(Action, action, "action"))
    wanted = parse_role(role)
    return any(grant.role is wanted and grant.covers(key) for grant in grants)


def who_may(storage_class: StorageClass | str, action: Action | str, key: Sequence[str] | None = None) -> tuple[str, ...]:
    """Who may do this, for messages: roles in the order of the table, with the part of the class they're limited to."""
    grants = class_rule(storage_class).grants(_parse(Action, action, "action"))
    return tuple(str(grant) for grant in grants if grant.covers(key))


def parse_role(value: Role | str) -> Role:
    """The role of this name."""
    return _parse(Role, value, "role")


def parse_storage_class(value: StorageClass | str) -> StorageClass:
    """The storage class of this name."""
    return _parse(StorageClass, value, "storage class")


def _parse[E: StrEnum](enumeration: type[E], value: object, what: str) -> E:
    if isinstance(value, str) and value in enumeration:
        return enumeration(value)
    raise InvalidInput(Problem(what, f"{value!r} isn't one of {', '.join(enumeration)}"))


def access_table_markdown() -> str:
    """The table as documents show it."""
    lines = [
        "| class | key | holds | writers | readers besides the writer | after writing |",
        "|---|---|---|---|---|---|",
    ]
    for rule in ACCESS:
        key = " / ".join(" or ".join(f"`{word}`" for word in part.split("|")) if "|" in part else part for part in rule.key_template)
        writers = ", ".join(map(str, rule.writers))
        readers = ", ".join(map(str, rule.readers)) or "–"
        lines.append(f"| {rule.storage_class} | {key} | {rule.holds} | {writers} | {readers} | {rule.after_writing} |")
    return "\n".join(lines) + "\n"
