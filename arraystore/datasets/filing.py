"""How a file becomes a version: stream it beside the rows, then publish; again if a floor came meanwhile."""

from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO

from arraystore.datasets.artifacts import ArtifactSource, open_source, write_artifact
from arraystore.errors import PlanExpired
from arraystore.versions.commit import ArtifactEntry, Pin
from arraystore.versions.draft import Draft, draft_commit
from arraystore.versions.log import Log
from arraystore.versions.state import State


def keep_file(
    log: Log,
    role: str,
    file: ArtifactSource,
    name: str | None,
    media_type: str | None,
    *,
    inputs: tuple[Pin, ...],
    check: Callable[[State], None],
) -> tuple[ArtifactEntry, State]:
    """Keep a file in one commit, durable when this returns; `check` raises for a state that can't take it.

    `PlanExpired` only for a stream that can't be read again, if its writer was suspended past a floor.
    """

    def decide(state: State) -> Draft:
        check(state)
        return Draft(draft_commit("artifact", role, artifacts=(entry,), inputs=inputs))

    with open_source(file, name) as (stream, known_as):
        begin = _position(stream)
        while True:
            state = log.head()
            check(state)
            try:
                with log.batch(state.version) as batch:
                    entry = write_artifact(batch, log.prefix, state.version, stream, known_as, media_type)
                return entry, log.publish(decide)
            except PlanExpired:  # its bytes may be gone by now: write them again, under a new name
                if begin is None:
                    raise
                stream.seek(begin)


def _position(stream: BinaryIO) -> int | None:
    """Where a stream is, if it can go back there."""
    with suppress(OSError, ValueError, AttributeError):
        return stream.tell() if stream.seekable() else None
    return None
