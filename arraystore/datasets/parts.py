"""A window's segments with what reading them needs: tails come with their rows, proved to be those that were folded."""

from collections.abc import Sequence

from arraystore.errors import Corrupt, NotFound, Purged, VersionExpired
from arraystore.segments.plan import Part
from arraystore.segments.tail import decode_tail
from arraystore.versions.commit import Commit, SegmentEntry, Tail, WindowChange
from arraystore.versions.fold import check_span
from arraystore.versions.log import Log
from arraystore.versions.state import State, WindowState


def load_parts(log: Log, state: State, *windows: WindowState) -> list[Part]:
    """The windows' segments as the reader wants them: tails come with their rows. A commit is read once, however many tails it holds."""
    commits: dict[int, tuple[Commit, memoryview]] = {}
    parts = []
    for window in windows:
        for entry in window.segments:
            schema, rows = state.schemas[entry.schema], None
            prefix = f"{log.prefix}/{window.window}/{entry.segment}"
            if entry.tail:
                prefix = f"{log.prefix}/_log/{entry.tail}"
                if entry.tail not in commits:
                    commits[entry.tail] = _commit_of(log, entry, prefix)
                commit, body = commits[entry.tail]
                if window.window in commit.purged:
                    raise Purged(f"{prefix}: its rows of window {window.window} were purged")
                rows = decode_tail(_tail_of(commit.windows, window.window, entry, prefix), body, schema, prefix)
            if state.schema is not None:
                check_span(entry, window.window, schema, prefix)
            parts.append(Part(prefix=prefix, entry=entry, rows=rows, schema=schema))
    return parts


def _commit_of(log: Log, entry: SegmentEntry, where: str) -> tuple[Commit, memoryview]:
    """The commit that holds a tail: the very one that was folded, also where the fold is a checkpoint's."""
    try:
        commit, body, digest, _ = log.record(entry.tail, digest=entry.index)
    except NotFound as error:
        if entry.tail <= log.floor():
            raise VersionExpired(f"{where}: the version that held these rows {log.floor_record().told()}") from error
        raise Corrupt(f"{where}: the commit is missing, though it holds rows: restore it from a replica") from error
    if digest != entry.index:
        raise Corrupt(f"{where}: its digest is {digest}, where {entry.index} holds the rows: restore it from a replica")
    return commit, body


def _tail_of(changes: Sequence[WindowChange], window: str, entry: SegmentEntry, where: str) -> Tail:
    change = changes[entry.place] if entry.place < len(changes) else None
    tail = change.tail if change is not None and change.window == window else None
    if tail is None or (tail.rows, tail.schema) != (entry.rows, entry.schema):
        raise Corrupt(f"{where}: it holds no {entry.rows} rows of window {window}, though a manifest says so")
    return tail
