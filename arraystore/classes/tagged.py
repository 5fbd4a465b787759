"""A class as a tag names it: the pinned versions of some datasets, and nothing else. Read-only."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, NoReturn

from arraystore.arguments import TimeLike
from arraystore.classes.changes import Changes
from arraystore.classes.manykeys import Key
from arraystore.classes.surface import Surface
from arraystore.datasets.view import DatasetView
from arraystore.errors import InvalidInput, NotFound
from arraystore.place import require
from arraystore.versions.commit import Pin
from arraystore.versions.entry import Entry
from layouts.classes import Action
from layouts.deviations import Deviation
from layouts.naming import format_key


class TaggedSurface(Surface):
    """What a tag names of one class: `self[key]` is the pinned version, and there are no other keys."""

    tag: str = ""
    pins: Mapping[tuple[str, ...], Pin] = {}

    def __getitem__(self, key: Key) -> DatasetView:  # type: ignore[override] # a view of a version is all that a tag gives
        place = self._place(key, Action.READ)
        pin = self.pins.get(place.key)
        if pin is None:
            msg = f"tag {self.tag!r} names no {place}: open the store without the tag, or pin it in the tag's next version"
            raise NotFound(msg)
        return self.open_pin(pin)

    def find(
        self,
        pattern: str | Sequence[str] = "*",
        *,
        venue: str | None = None,
        schema: str | None = None,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        complete: bool | None = None,
        reconcile: bool = False,
    ) -> list[tuple[str, ...]]:
        """Keys that the tag names and that match pattern and venue, sorted; a tag isn't searched by anything else."""
        require(self._role, Action.READ, self._class)
        if not (schema is start is end is complete is None) or reconcile:
            self._refuse()
        parts = self._of_venue(self._parts(pattern), venue)
        keys = filter(self._readable, self.pins)
        return sorted(key for key in keys if all(map(fnmatchcase, format_key(key).split("/"), parts)))

    def summaries(self, *, reconcile: bool = False) -> list[Entry]:  # noqa: ARG002
        """Refused: what a tag names doesn't change."""
        self._refuse()

    def lint(self) -> list[Deviation]:
        """What isn't as the layout says of the versions that the tag names."""
        return [each for key in self.find() for each in self[key].lint()]

    def changes(self, since: str | None = None, *, reconcile: bool = False) -> Changes:  # noqa: ARG002
        """Refused: what a tag names doesn't change."""
        self._refuse()

    def create(self, *_: Any, **__: Any) -> NoReturn:
        """Refused: a tag is read-only."""
        self._refuse()

    def delete(self, *_: Any, **__: Any) -> NoReturn:
        """Refused: a tag is read-only."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        msg = f"the store was opened at tag {self.tag!r}, which only reads the versions it names: open it without the tag"
        raise InvalidInput(msg, "tag")
