"""What a class lets others know of its commits before they appear: a mark in its journal, and edges in the lineage."""

from dataclasses import dataclass

from arraystore.commit import Commit
from arraystore.journal import Journal
from arraystore.lineage import Dependent, LineageIndex
from layouts.naming import is_escaped, unescape


@dataclass(frozen=True, slots=True)
class Notices:
    """The notices of one class root. Safe to share between threads.

    They come before the commit, so that nothing that appears is missed; of a commit that lost its race, or whose writer died, a
    needless notice stays behind.
    """

    storage_class: str
    journal: Journal
    lineage: LineageIndex | None

    def before(self, path: str, commit: Commit) -> None:
        """Make it known, durably, that `commit` may be about to appear."""
        self.journal.mark(path)
        if commit.inputs and self.lineage is not None:
            self.lineage.add(made_by(self.storage_class, path, commit))

    def after(self, path: str) -> None:
        """Mark again if the hour turned meanwhile, so that who looks from now on finds it."""
        self.journal.mark(path)


def made_by(storage_class: str, path: str, commit: Commit) -> Dependent:
    """A commit as one that was made from others."""
    return Dependent(
        storage_class=storage_class,
        key=tuple(map(unescape, path.split("/"))),
        dataset=commit.dataset,
        version=commit.version,
        time=commit.time,
        windows=tuple(unescape(change.window) if is_escaped(change.window) else change.window for change in commit.windows),
        inputs=commit.inputs,
    )
