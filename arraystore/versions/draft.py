"""What a writer wants the next version to say, before the log gives it a number."""

import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import msgspec

from arraystore.errors import InvalidInput
from arraystore.versions.commit import Commit
from arraystore.versions.record import WINDOW_LENGTHS
from layouts.schema import Schema

HOST = os.uname().nodename
_DECODER = msgspec.json.Decoder(Commit)


@dataclass(frozen=True, slots=True)
class Draft:
    """What a writer wants the next version to say: a commit but for what only the log knows, and the body's pieces."""

    commit: Commit
    pieces: Sequence[bytes] = ()


def draft_commit(
    operation: str,
    role: str,
    *,
    dataset: str = "",
    schemas: Iterable[Schema] = (),
    requires: Iterable[str] = (),
    clock: Callable[[], int] = time.time_ns,
    **fields: object,
) -> Commit:
    """A commit with who, where, when and what must be known to read it filled in; the log completes number, chain and running time."""
    schemas = tuple(schemas)
    return Commit(
        version=0,
        dataset=dataset,
        id="",
        previous="",
        operation=operation,
        role=role,
        host=HOST,
        process=str(os.getpid()),
        time=clock(),
        running_time=0,
        schemas=schemas,
        requires=(*requires, *([WINDOW_LENGTHS] if any(schema.earlier_windows for schema in schemas) else [])),
        **fields,  # type: ignore[arg-type]
    )


def as_read(commit: Commit) -> tuple[Commit, bytes]:
    """The commit as readers will have it, which shares nothing with the caller's, and its header; raises if that isn't what was meant."""
    try:
        header = msgspec.json.encode(commit)
        found = _DECODER.decode(header)
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(f"it can't be written so that it reads back: {error}", "commit") from error
    if found != commit:
        raise InvalidInput("it would read back as something else: give text, whole numbers, and JSON for attributes", "commit")
    return found, header
