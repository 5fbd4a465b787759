"""What is left of a dataset that was deleted: the commit that says who did it, when and why."""

from arraystore.errors import NotFound
from arraystore.versions.draft import Draft, draft_commit
from arraystore.versions.log import Log
from arraystore.versions.state import State
from layouts.times import format_time

DELETED = "deleted"


def deletion_draft(role: str, reason: str) -> Draft:
    """The commit that deletes a dataset: nothing of it is newest any more, and nothing on disk goes."""
    return Draft(draft_commit("delete", role, state=DELETED, reason=reason))


def gone(log: Log, state: State, dataset: str | None = None) -> NotFound:
    """The error for who looks for a dataset (`dataset`: the very one of this UUID) that isn't there on the newest `state`."""
    if state.alive:
        return NotFound(f"{log.address}: dataset {dataset} was deleted, and {state.dataset} was made in its place: open it anew")
    for version in range(state.version, 0, -1):
        try:
            commit = log.record(version)[0]
        except NotFound:
            break
        if commit.state == DELETED:
            who = f"{commit.role} on {commit.host}"
            kept = "pins of earlier versions still read; create() makes a new one here"
            told = f"was deleted in version {version} at {format_time(commit.time)} by {who}: {commit.reason} ({kept})"
            return NotFound(f"{log.address} {told}")
    return NotFound(f"{log.address} was deleted by version {state.version}")
