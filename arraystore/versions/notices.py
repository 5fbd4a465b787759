"""What a class lets others know of its commits before they appear: a mark in its journal, edges in the lineage, a line in a bulletin."""

from collections.abc import Callable
from dataclasses import dataclass

from arraystore.versions.bulletin import Bulletin
from arraystore.versions.commit import Commit
from arraystore.versions.journal import Journal
from arraystore.versions.lineage import Dependent, LineageIndex
from arraystore.versions.state import State
from layouts.naming import is_escaped, unescape

TEND_AFTER = 1024


@dataclass(slots=True)
class Notices:
    """The notices of one class root. Safe to share between threads.

    They come before the commit, so that nothing that appears is missed; of a commit that lost its race, or whose writer died, a
    needless notice stays behind. `tend` is called now and then, once that many datasets had commits.
    """

    storage_class: str
    journal: Journal
    bulletin: Bulletin
    lineage: LineageIndex | None
    tend: Callable[[], None] | None = None
    tended: int = 0

    def before(self, path: str, commit: Commit) -> None:
        """Make it known, durably, that `commit` may be about to appear."""
        self.journal.mark(path)
        if commit.inputs and self.lineage is not None:
            self.lineage.add(made_by(self.storage_class, path, commit))
        self.bulletin.announce(path, commit.id)

    def after(self, path: str, commit: Commit, state: State | None) -> None:
        """Tell that it is there and made this of the dataset; None: that it isn't, or doesn't count."""
        if state is not None:
            self.journal.mark(path)  # again if the hour turned meanwhile, so that who looks from now on finds it
        self.bulletin.conclude(path, commit.id, state)
        if self.tend is not None and self.journal.made >= self.tended + TEND_AFTER:
            self.tended = self.journal.made
            self.tend()


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
