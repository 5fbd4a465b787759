"""What became visible in a surface since one last looked."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from arraystore.errors import InvalidInput, NotFound
from arraystore.versions.log import Log
from layouts.naming import unescape


@dataclass(frozen=True, slots=True)
class Change:
    """A version that became visible in a surface: which windows of which dataset, by what operation."""

    key: tuple[str, ...]
    dataset: str
    version: int
    windows: tuple[str, ...]
    operation: str


@dataclass(frozen=True, slots=True)
class Changes(Sequence[Change]):
    """What became visible since a cursor, by key and version; `cursor` continues from here (opaque text, keep it anywhere)."""

    changes: tuple[Change, ...]
    cursor: str

    def __getitem__(self, index):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN204 - as a tuple does
        return self.changes[index]

    def __len__(self) -> int:
        return len(self.changes)


class Cursor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Up to where one has looked in a class: a generation of the journal, and the version of each dataset seen."""

    storage_class: str = ""
    generation: int | None = None
    versions: dict[str, int] = {}

    def to_text(self) -> str:
        """As opaque text."""
        return msgspec.json.encode(self).decode()


def parse_cursor(text: str | None, storage_class: str) -> Cursor:
    """A class's cursor from its text; None begins at the beginning."""
    if text is None:
        return Cursor(storage_class)
    try:
        cursor = msgspec.json.decode(text, type=Cursor)
    except (msgspec.MsgspecError, UnicodeError, TypeError, RecursionError) as error:
        msg = f"{str(text)[:80]!r} isn't a cursor: pass what an earlier call's `.cursor` said, or None to start over"
        raise InvalidInput(msg, "since") from error
    if cursor.storage_class != storage_class:
        msg = f"{str(text)[:80]!r} is a cursor of {cursor.storage_class or 'no class'}, not of {storage_class}: each class has its own"
        raise InvalidInput(msg, "since")
    return cursor


def changes_of(key: tuple[str, ...], log: Log, after: int) -> list[Change]:
    """A dataset's kept versions after one, oldest first."""
    # Below the floor a version may stay for its rows where those after it are gone.
    if after and log.has(after) and log.is_newest(after):
        return []
    try:
        state = log.head()
    except NotFound:
        return []
    found = []
    for commit, _ in log.commits(state, after=after):
        names = (change.window for change in commit.windows)
        windows = tuple(names if state.schema is not None else map(unescape, names))
        found.append(Change(key, commit.dataset, commit.version, windows, commit.operation))
    return found
