"""What is asked of a store as a whole by those who look after it; each call is a module of its own."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec

from arraystore import arguments
from arraystore.classes.roots import Opener, StoreAttributes, open_place, restore_class_root
from arraystore.classes.surface import Surface
from arraystore.classes.tags import Tags
from arraystore.errors import ArrayStoreError, InvalidInput, NotFound
from arraystore.findings import Finding
from arraystore.place import require
from arraystore.storage import MemoryStorage
from arraystore.storage.base import Storage
from arraystore.upkeep.auditing import Anchor, Audit, Head, Heads, anchor_of, audit_logs, head_of, heads_of
from arraystore.upkeep.copying import BESIDE, Copied, Replica, copy_beside, copy_datasets
from arraystore.upkeep.evidence import sha256_of
from arraystore.upkeep.mending import MISSING, Mended, Restored
from arraystore.upkeep.repairing import KnownHeads, Repaired, datasets_in, mend_class, mend_lineage, mend_tags
from arraystore.upkeep.shipping import Shipped
from arraystore.upkeep.status import ClassStatus, class_status
from arraystore.upkeep.usage import Usage, usage_beside, usage_of
from arraystore.upkeep.verification import Scope, Verification, Verifier, matches, tag_findings
from arraystore.versions.log import Log
from layouts.classes import Action, Role, StorageClass, may


def patterns_of(given: str | Iterable[str]) -> tuple[str, ...]:
    """Patterns of addresses, as `matches` takes them."""
    return tuple(pattern.rstrip("/") for pattern in ((given,) if isinstance(given, str) else arguments.texts(given, "patterns")))


class Upkeep(ABC):
    """The half of a `Store` that keeps it whole and tells how it is."""

    url: str
    role: Role
    attributes: StoreAttributes
    _opener: Opener

    @abstractmethod
    def surface(self, storage_class: StorageClass | str) -> Surface:
        """The surface of a class."""

    def copy(
        self,
        url: str | os.PathLike[str],
        patterns: str | Iterable[str] = (),
        *,
        trial: bool = False,
        tell: Callable[[Shipped], None] | None = None,
    ) -> Copied:
        """Make, or bring up to date, a copy of the store elsewhere (role operations): the same identity, the same bytes, its own places.

        Each dataset's commits come after all that they name, in order, so that the copy is readable, at earlier versions, all along; a
        copy that was interrupted goes on. Every object is compared with its digest on the way. Versions that retention removed here stay
        away; nothing is ever deleted there. What is damaged here ends the copying of its dataset, and is told.

        Parameters
        ----------
        patterns
            Only datasets that these name, or that lie below what they name; tags and lineage stay behind then.
        trial
            Write nothing, and tell what would be brought.
        """
        self._require_all(Action.MAINTAIN)
        wanted = patterns_of(patterns)
        target = Replica(os.fspath(url), self.attributes.store, self._opener, create=True, trial=trial)
        if target.url == self.url:
            raise InvalidInput("it is the store itself: name another place", "url")
        classes = {each: self.surface(each).logs for each in StorageClass}
        datasets, problems = copy_datasets(classes, target, partial(matches, patterns=wanted), trial=trial, tell=tell)
        others = 0
        for name in () if wanted else BESIDE:
            count, more = copy_beside(name, self._beside(name, create=False), partial(target.beside, name, create=True), trial=trial)
            others, problems = others + count, problems + more
        return Copied(target=target.url, store=self.attributes.store, datasets=tuple(datasets), others=others, problems=tuple(problems))

    def repair(
        self,
        source: str | os.PathLike[str] | None = None,
        patterns: str | Iterable[str] = (),
        *,
        trial: bool = False,
        expect: KnownHeads | None = None,
        tell: Callable[[Mended], None] | None = None,
    ) -> Repaired:
        """Put back what is damaged or missing, from a copy of this store, and prove it by digest (role operations).

        Reads every object that a kept version names. Whole objects are replaced, each durably and at once, and only those that aren't
        what was written: nobody ever sees a change of a good one. It can stop at any moment and be run again. Rows of a segment of which
        something was put back are decoded and compared with their logical digests. What can't be put back is told, and harms nothing else.

        Parameters
        ----------
        source
            Where the copy lies; None: make anew only what the log itself tells (checkpoints, manifests).
        patterns
            Only datasets that these name, or that lie below what they name.
        trial
            Write nothing, and tell what would be done.
        expect
            Digests of versions that are known to be right, by dataset, where this store and the copy differ in their newest.
        """
        self._require_all(Action.MAINTAIN)
        wanted = patterns_of(patterns)
        replica = None if source is None else Replica(os.fspath(source), self.attributes.store, self._opener)
        found: list[Mended] = []
        others: list[Restored] = []
        lost: list[Finding] = []
        checked = 0
        for each in StorageClass:
            made = self._class_roots_restored(each, trial=trial)
            others += made
            if made and trial:
                continue  # there is nothing yet to look into
            surface = self.surface(each)
            inner = partial(matches, patterns=wanted)
            for mended in mend_class(each, surface, replica, inner, trial=trial, expect=expect or {}):
                checked += 1
                if tell is not None:
                    tell(mended)
                if mended.restored or mended.lost or mended.versions:
                    found.append(mended)
        if replica is not None and not wanted:
            for mend, name in ((mend_tags, "tags"), (mend_lineage, "lineage")):
                put_back, gone = mend(self._beside(name, create=not trial), replica.beside(name), trial=trial)
                others, lost = others + put_back, lost + gone
        told = "" if replica is None else replica.url
        return Repaired(
            store=self.attributes.store, source=told, checked=checked, datasets=tuple(found), others=tuple(others), lost=tuple(lost)
        )

    def status(self, *, deep: bool = False) -> list[ClassStatus]:
        """What each class that this role may read holds and how it is, at a cost of what changed; `deep` looks for garbage, too."""
        return [class_status(self.surface(each), self.role.value, deep=deep) for each in self._readable()]

    def du(self, patterns: Iterable[str] = (), *, garbage: bool = False, tell: Callable[[Usage], None] | None = None) -> list[Usage]:
        """What each dataset that this role may read takes, deleted ones too, by kind of object and column; and what lies beside them.

        Looks at every object.

        Parameters
        ----------
        patterns
            Only datasets that these name, or that lie below what they name.
        garbage
            Tell what `gc` would free, too.
        tell
            Is told of each dataset as it is counted.

        Examples
        --------
        >>> import arraystore
        >>> store = arraystore.open_store("memory://usage", role="data-quality", create=True)
        >>> trades = store.canonical.create(("venue", "trades", "X"), arraystore.schema_by_name("trades"))
        >>> [usage.dataset for usage in store.du(["canonical/*"])]
        ['canonical/venue/trades/X']
        """
        wanted = patterns_of(patterns)
        named = {pattern.partition("/")[0] for pattern in wanted}
        for each in StorageClass:
            if each.value in named:
                require(self.role, Action.READ, each)
        found = []
        for each in self._readable():
            logs = list(self.surface(each).logs())
            for log in logs:
                if matches(f"{each.value}/{log.prefix}", wanted):
                    found.append(usage_of(log, each.value, self.role.value, garbage=garbage))
                    if tell is not None:
                        tell(found[-1])
            if not wanted:
                location = self.attributes.roots.get(each.value, each.value)
                found.append(usage_beside(open_place(self._opener, self.url, location), each.value, [log.prefix for log in logs]))
        return found

    def heads(self, patterns: str | Iterable[str] = ()) -> Heads:
        """The newest version of every dataset that this role may read, deleted ones', too: keep it elsewhere, for `audit(expect=…)`."""
        wanted = patterns_of(patterns)
        found = [head_of(log) for log in self._logs() if matches(log.address, wanted)]
        return heads_of(self.attributes.store, [head for head in found if head is not None])

    def audit(
        self,
        patterns: str | Iterable[str] = (),
        *,
        expect: Iterable[Heads | Head] = (),
        copies: Iterable[str | os.PathLike[str]] = (),
    ) -> Audit:
        """Who wrote what, when, from where, in order; whether each chain of commits is whole, and holds to what is known of it elsewhere.

        Anchors are the versions in `expect`, the newest ones of `copies`, the pins of tags, and those in commits of the datasets that are
        read. Relative to an anchored version every edit, removal, reordering or forgery of it or of earlier ones is found; of versions
        after the last anchor only what breaks the chain. Reads logs and checkpoints, but no rows: that is `verify(deep=True)`.
        """
        wanted = patterns_of(patterns)
        tags = Tags(partial(self._beside, "tags"))
        anchors: list[Anchor] = []
        for given in expect:
            listed = given.heads if isinstance(given, Heads) else (given,)
            anchors += [Anchor(kind="head", source="expected", **msgspec.structs.asdict(head)) for head in listed]
        for url in copies:
            anchors += self._anchors_of_copy(os.fspath(url))
        found = tag_findings(tags)
        for name in tags.names():
            for version in tags.versions(name):
                with suppress(ArrayStoreError):  # what is wrong with it is found already
                    anchors += [anchor_of(pin, "tag", f"{name} version {version}") for pin in tags.get(name, version).pins]
        classes = {each.value for each in self._readable()}
        audit = audit_logs(
            self.attributes.store,
            self._logs(),
            anchors,
            partial(matches, patterns=wanted),
            lambda address: address.partition("/")[0] in classes,
        )
        return replace(audit, findings=(*audit.findings, *found))

    def _anchors_of_copy(self, url: str) -> Iterator[Anchor]:
        replica = Replica(url, self.attributes.store, self._opener)
        for each in self._readable():
            root = replica.class_root(each)
            for path in datasets_in(root, each):
                try:
                    head = head_of(Log(root, path, each.value))
                except ArrayStoreError:
                    continue  # a copy's damage says nothing of this store
                if head is not None:
                    yield Anchor(kind="copy", source=replica.url, **msgspec.structs.asdict(head))

    def _readable(self) -> list[StorageClass]:
        return [each for each in StorageClass if may(self.role, each, Action.READ)]

    def _logs(self) -> Iterator[Log]:
        for each in self._readable():
            yield from self.surface(each).logs()

    def _class_roots_restored(self, storage_class: StorageClass, *, trial: bool) -> list[Restored]:
        """The `zarr.json` of a class root can be told from the store's."""
        location = self.attributes.roots.get(storage_class.value, storage_class.value)
        try:
            root = open_place(self._opener, self.url, location, create=not trial)
        except NotFound:
            root = MemoryStorage()
        before = sha256_of(root, "zarr.json")
        if not restore_class_root(root, self.attributes.store, storage_class, trial=trial):
            return []
        after = "" if trial else sha256_of(root, "zarr.json")
        told = "it says what the store's own zarr.json says of the class"
        return [Restored(where=f"{storage_class.value}/zarr.json", dataset="", proof=told, before=before or MISSING, sha256=after)]

    def _require_all(self, action: Action) -> None:
        for storage_class in StorageClass:
            require(self.role, action, storage_class)

    @abstractmethod
    def _beside(self, name: str, *, create: bool) -> Storage:
        """What lies beside the classes."""

    def verify(
        self,
        patterns: str | Iterable[str] = (),
        *,
        deep: bool = False,
        rate: float | None = None,
        progress: str | os.PathLike[str] | None = None,
        tell: Callable[[Verification], None] | None = None,
    ) -> Verification:
        """Whether all that this role may read still is what was written: datasets, also deleted ones, one after the other, and tags.

        Parameters
        ----------
        patterns
            Only datasets that these name, or that lie below what they name (`canonical/venue/*`); tags are left out then.
        deep
            Read and decode every byte, not only logs, indexes and sizes.
        rate
            Bytes to read a second, at most.
        progress
            A file to keep how far this has come; if it tells of an unfinished verification of the same, that goes on.
        tell
            Is told after each segment and each dataset how far this has come.
        """
        return self.verifier(patterns, deep=deep, rate=rate, progress=progress, tell=tell).run()

    def verifier(self, patterns: str | Iterable[str] = (), *, deep: bool = False, **options: Any) -> Verifier:
        """The same, about to run."""
        wanted = patterns_of(patterns)
        named = {pattern.partition("/")[0] for pattern in wanted}
        classes = [each for each in StorageClass if each.value in named or (not named and may(self.role, each, Action.READ))]
        for each in classes:
            require(self.role, Action.READ, each)
        surfaces = [partial(self.surface, each) for each in classes]
        tags = None if wanted else Tags(partial(self._beside, "tags"))
        return Verifier(Scope(store=self.attributes.store, surfaces=surfaces, patterns=wanted, tags=tags, deep=deep), **options)
