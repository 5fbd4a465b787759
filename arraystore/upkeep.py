"""What is asked of a store as a whole by those who look after it; each call is a module of its own."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from arraystore import arguments
from arraystore.place import require
from arraystore.roots import Opener, StoreAttributes
from arraystore.storage.base import Storage
from arraystore.surface import Surface
from arraystore.tags import Tags
from arraystore.verification import Scope, Verification, Verifier
from layouts.classes import Action, Role, StorageClass, may


class Upkeep(ABC):
    """The half of a `Store` that keeps it whole and tells how it is."""

    url: str
    role: Role
    attributes: StoreAttributes
    _opener: Opener

    @abstractmethod
    def surface(self, storage_class: StorageClass | str) -> Surface:
        """The surface of a class."""

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
        wanted = tuple(pattern.rstrip("/") for pattern in arguments.texts(patterns, "patterns"))
        named = {pattern.partition("/")[0] for pattern in wanted}
        classes = [each for each in StorageClass if each.value in named or (not named and may(self.role, each, Action.READ))]
        for each in classes:
            require(self.role, Action.READ, each)
        surfaces = [partial(self.surface, each) for each in classes]
        tags = None if wanted else Tags(partial(self._beside, "tags"))
        return Verifier(Scope(store=self.attributes.store, surfaces=surfaces, patterns=wanted, tags=tags, deep=deep), **options)
