"""What is asked of a store as a whole by those who look after it; each call is a module of its own."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from arraystore import arguments
from arraystore.copying import BESIDE, Copied, Replica, copy_beside, copy_datasets
from arraystore.errors import InvalidInput
from arraystore.place import require
from arraystore.roots import Opener, StoreAttributes
from arraystore.shipping import Shipped
from arraystore.storage.base import Storage
from arraystore.surface import Surface
from arraystore.tags import Tags
from arraystore.verification import Scope, Verification, Verifier, matches
from layouts.classes import Action, Role, StorageClass, may


def patterns_of(given: Iterable[str]) -> tuple[str, ...]:
    """Patterns of addresses, as `matches` takes them."""
    return tuple(pattern.rstrip("/") for pattern in arguments.texts(given, "patterns"))


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
        patterns: Iterable[str] = (),
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

    def _require_all(self, action: Action) -> None:
        for storage_class in StorageClass:
            require(self.role, action, storage_class)

    @abstractmethod
    def _beside(self, name: str, *, create: bool) -> Storage:
        """What lies beside the classes."""

    def verify(
        self,
        patterns: Iterable[str] = (),
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

    def verifier(self, patterns: Iterable[str] = (), *, deep: bool = False, **options: Any) -> Verifier:
        """The same, about to run."""
        wanted = patterns_of(patterns)
        named = {pattern.partition("/")[0] for pattern in wanted}
        classes = [each for each in StorageClass if each.value in named or (not named and may(self.role, each, Action.READ))]
        for each in classes:
            require(self.role, Action.READ, each)
        surfaces = [partial(self.surface, each) for each in classes]
        tags = None if wanted else Tags(partial(self._beside, "tags"))
        return Verifier(Scope(store=self.attributes.store, surfaces=surfaces, patterns=wanted, tags=tags, deep=deep), **options)
