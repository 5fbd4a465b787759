"""Maintenance of many datasets of a store: what is done to one, done to all that patterns name."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

from arraystore.arguments import TimeLike, text, texts, whole
from arraystore.classes.surface import Surface
from arraystore.classes.tags import Tags
from arraystore.datasets.compaction import Compaction
from arraystore.datasets.dataset import Dataset
from arraystore.datasets.purging import ALL_WINDOWS, Choice, Purge, Purger
from arraystore.errors import InvalidInput, NotFound
from arraystore.place import require
from arraystore.storage.base import Storage
from arraystore.upkeep.expiry import Expirer, Expiry
from arraystore.upkeep.garbage import Collector, Garbage
from arraystore.upkeep.packing import LEAST, Packer, Packing
from arraystore.versions.lineage import LineageIndex
from arraystore.versions.log import Log
from layouts.classes import Action, Role, StorageClass
from layouts.naming import escape, format_key, unescape
from layouts.retention import Retention, retention_of
from layouts.times import parse_duration, parse_time

type Surfaces = Callable[[StorageClass], Surface]
type Clock = Callable[[], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """What arguments say instead of a class's rule of retention; giving either of the first two puts both in the rule's place."""

    keep_versions: int | None = None
    keep: Any = None
    delay: Any = None

    def applied(self, rule: Retention) -> Retention:
        """The rule, overridden."""
        if self.keep_versions is not None or self.keep is not None:
            rule = replace(
                rule,
                keep_versions=None if self.keep_versions is None else whole(self.keep_versions, "keep_versions", 1),
                keep_ns=None if self.keep is None else _duration(self.keep, "keep"),
            )
        return rule if self.delay is None else replace(rule, delay_ns=_duration(self.delay, "delay"))


def named(
    surfaces: Surfaces, role: Role, patterns: str | Iterable[str], action: Action, *, deleted: bool = False
) -> Iterator[tuple[str, Surface, tuple[str, ...]]]:
    """Address, surface and key of every dataset that a pattern names, or lies below; the role must be allowed the action in each class.

    Patterns are escaped addresses, with `*` and `?`: `raw`, `canonical/*/trades`, `*`. With `deleted` also those that were.
    """
    wanted = [pattern.rstrip("/") for pattern in ((patterns,) if isinstance(patterns, str) else texts(patterns, "patterns"))]
    if not wanted:
        raise InvalidInput("name what is meant, such as 'canonical/*/trades'; '*' is all", "patterns")
    classes = [each for each in StorageClass if any(fnmatchcase(each.value, pattern.partition("/")[0]) for pattern in wanted)]
    for storage_class in classes:
        require(role, action, storage_class)
    found = False
    for storage_class in classes:
        surface = surfaces(storage_class)
        for key in [tuple(map(unescape, log.prefix.split("/"))) for log in surface.logs()] if deleted else surface.find():
            address = f"{storage_class.value}/{format_key(key)}"
            if any(fnmatchcase(address, pattern) or fnmatchcase(address, f"{pattern}/*") for pattern in wanted):
                found = True
                yield address, surface, key
    if not found and wanted != ["*"]:
        raise NotFound(f"no dataset matches {' or '.join(map(repr, wanted))}; `arraystore ls` lists them")


def on_each[T](
    surfaces: Surfaces, role: Role, patterns: str | Iterable[str], action: Action, step: Callable[[Dataset], T]
) -> Mapping[str, T]:
    """What a step returned, by address."""
    return {address: step(surface[key]) for address, surface, key in named(surfaces, role, patterns, action)}


def collect_garbage(
    surfaces: Surfaces, role: Role, patterns: str | Iterable[str], *, dry_run: bool, grace: Any, clock: Clock
) -> Mapping[str, Garbage]:
    """Find, and remove unless `dry_run`, what no version names."""
    found: dict[str, Garbage] = {}
    for address, surface, key in named(surfaces, role, patterns, Action.MAINTAIN, deleted=True):
        rule = retention_of(surface.storage_class)
        grace_ns = rule.grace_ns if grace is None else _duration(grace, "grace")
        collector = Collector(surface.log_of(key), role.value, grace_ns=grace_ns, clock=clock)
        found[address] = collector.plan() if dry_run else collector.collect()
    return found


def expire_versions(
    surfaces: Surfaces,
    role: Role,
    patterns: str | Iterable[str],
    pinned: Callable[[str, tuple[str, ...]], Iterable[int]],
    override: Override,
    *,
    dry_run: bool,
    reason: str,
    clock: Clock,
) -> Mapping[str, Expiry]:
    """Take the next step of expiring versions, by the rule of each class or by another."""
    done: dict[str, Expiry] = {}
    text(reason, "reason")
    for address, surface, key in named(surfaces, role, patterns, Action.MAINTAIN, deleted=True):
        rule = override.applied(retention_of(surface.storage_class))
        pins = partial(pinned, surface.storage_class, key)
        expirer = Expirer(surface.log_of(key), role.value, rule, pins, reason=reason, clock=clock)
        done[address] = expirer.plan() if dry_run else expirer.expire()
    return done


def _duration(given: Any, where: str) -> int:
    found = parse_duration(given, where)
    if found < 0:
        raise InvalidInput(f"{given!r} is negative: give a duration such as '7d', or '0s'", where)
    return found


def pinned_versions(lineage: LineageIndex, tags: Tags, storage_class: str, key: tuple[str, ...]) -> set[int]:
    """Versions of a dataset that others were made from, or that a version of a tag names."""
    pins = [pin for made in lineage.dependents(storage_class, key) for pin in made.inputs]
    pins += [pin for tag in tags.every() for pin in tag.pins]
    return {pin.version for pin in pins if (pin.storage_class, pin.key) == (storage_class, key)}


class Maintenance(ABC):
    """The part of a `Store` that keeps it small: datasets are named by patterns, and what was done comes back by address."""

    role: Role

    @abstractmethod
    def surface(self, storage_class: StorageClass | str) -> Surface:
        """The surface of a class."""

    @abstractmethod
    def _beside(self, name: str, *, create: bool) -> Storage:
        """What lies beside the classes."""

    @property
    @abstractmethod
    def tag_name(self) -> str | None:
        """The tag that the store was opened at."""

    def _untagged(self) -> Callable[[StorageClass], Surface]:
        """The surfaces, for maintenance, which a tag knows nothing of."""
        if self.tag_name is not None:
            raise InvalidInput(f"the store was opened at tag {self.tag_name!r}, which is read-only: open it without the tag", "tag")
        return self.surface

    def compact(self, patterns: str | Iterable[str] = "*", *, dry_run: bool = False, **options: Any) -> Mapping[str, Compaction]:
        """Compact every window of every dataset that a pattern names (`canonical/*/trades`); what was done, by address.

        Role operations. `dry_run` only plans; the other options are those of `Dataset.compact`.
        """
        return on_each(self._untagged(), self.role, patterns, Action.MAINTAIN, lambda dataset: dataset.compact(dry_run=dry_run, **options))

    def gc(
        self, patterns: str | Iterable[str] = "*", *, dry_run: bool = True, grace: Any = None, clock: Callable[[], int] = time.time_ns
    ) -> Mapping[str, Garbage]:
        """Find what no version of a dataset names, and remove it unless `dry_run`; by address, also of deleted datasets.

        Role operations. Never removes what a version that is kept, a pin or a tag names, nor what a writer is about to name: one who
        planned before the floor that this commits writes again. `grace` (a duration; by default the class's, a day) spares writers that
        planned within it the trouble.
        """
        return collect_garbage(self._untagged(), self.role, patterns, dry_run=dry_run, grace=grace, clock=clock)

    def pack(self, patterns: str | Iterable[str] = "*", *, dry_run: bool = True, least: int = LEAST) -> Mapping[str, Packing]:
        """Move old commits, one small object each, into few large ones, unless `dry_run`; by address, also of deleted datasets.

        Role operations. What is read stays what it was, and at the same versions; only commits that a checkpoint follows are packed, and
        only if there are `least` of them. It can be interrupted and run again, beside readers and writers.
        """
        packers = {
            address: Packer(surface.log_of(key), least=whole(least, "least", 2))
            for address, surface, key in named(self._untagged(), self.role, patterns, Action.MAINTAIN, deleted=True)
        }
        return {address: packer.plan() if dry_run else packer.pack() for address, packer in packers.items()}

    def expire(
        self,
        patterns: str | Iterable[str] = "*",
        *,
        keep_versions: int | None = None,
        keep: Any = None,
        delay: Any = None,
        dry_run: bool = True,
        reason: str = "",
        clock: Callable[[], int] = time.time_ns,
    ) -> Mapping[str, Expiry]:
        """Take the next step of expiring old versions, by address: mark them, or once the delay is over, have them gone for readers.

        Role operations. Pinned and tagged versions stay readable, and so does the newest. `gc` then removes what only they named.

        Parameters
        ----------
        keep_versions, keep
            So many newest versions stay, and all that were the newest within that duration; given either, both take the place of the
            class's rule (`layouts.retention`: raw, canonical, quarantine, experiments and execution records keep all versions).
        delay
            Between the two steps (7 days by default); with `"0s"` one call takes both.
        """
        index, tags = LineageIndex(partial(self._beside, "lineage")), Tags(partial(self._beside, "tags"))
        override = Override(keep_versions=keep_versions, keep=keep, delay=delay)
        pinned = partial(pinned_versions, index, tags)
        return expire_versions(self._untagged(), self.role, patterns, pinned, override, dry_run=dry_run, reason=reason, clock=clock)

    def purge(
        self,
        patterns: str | Iterable[str],
        *,
        windows: str | Iterable[str] | None = None,
        before: TimeLike | None = None,
        reason: str,
        dry_run: bool = True,
    ) -> Mapping[str, Purge]:
        """Take rows out of every version of all datasets that a pattern names, for good, unless `dry_run`: see `Dataset.purge`.

        Also of datasets that were deleted, whose rows pins still read: those of `windows` that they had, `"*"` for all.
        Role operations.
        """
        done: dict[str, Purge] = {}
        for address, surface, key in named(self._untagged(), self.role, patterns, Action.PURGE, deleted=True):
            if key in surface:
                done[address] = surface[key].purge(windows, before=before, reason=reason, dry_run=dry_run)
            elif (purged := purge_deleted(surface.log_of(key), self.role.value, windows, before, reason, dry_run=dry_run)).windows:
                done[address] = purged
        return done


def purge_deleted(
    log: Log, role: str, windows: str | Iterable[str] | None, before: TimeLike | None, reason: str, *, dry_run: bool
) -> Purge:
    """Purge what a dataset that was deleted left."""
    if (windows is None) == (before is None):
        raise InvalidInput("name windows, or a time before which they end; one of the two", "windows")
    if windows is None:
        choice = Choice(until=parse_time(before, "before"))
    elif windows == ALL_WINDOWS:
        choice = Choice()
    else:
        given = (windows,) if isinstance(windows, str) else texts(windows, "windows")
        choice = Choice(names=frozenset([*given, *map(escape, given)]))  # nothing tells whether they were windows in time or series
    purger = Purger(log, log.head().dataset, role, choice, text(reason, "reason", empty=False), deleted=True)
    return purger.plan() if dry_run else purger.purge()[0]
