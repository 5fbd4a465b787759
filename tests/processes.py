"""Other processes that tests start, each with a pipe to talk through, and none of which outlives its test."""

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from typing import Any


def forked(*modules: str) -> BaseContext:
    """Starts processes by forking one that has imported these modules and done nothing else."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(modules))
    return context


@contextmanager
def running(context: BaseContext, target: Any, *args: Any, **options: Any) -> Iterator[tuple[Any, Connection]]:
    """A process, and our end of its pipe, the other end of which is its last argument; it is killed when the context is left."""
    ours, theirs = context.Pipe()
    process = context.Process(target=target, args=(*args, theirs), kwargs=options)  # type: ignore[attr-defined]  # every context has it
    process.start()
    theirs.close()
    try:
        yield process, ours
    finally:
        process.kill()
        process.join()
        ours.close()
