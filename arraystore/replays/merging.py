"""The merge itself: reads the earliest blocks of all streams, and gives out what lies before everything that isn't read yet."""

from collections.abc import Iterator
from functools import partial

from arraystore.pool import Job, run_jobs
from arraystore.replays.blocks import ROUND_BYTES, Block, Frontier
from arraystore.replays.runs import Merged, Run, merge, split


def rounds(frontier: Frontier) -> Iterator[Merged]:
    """All rows, merged, in pieces of about `ROUND_BYTES`.

    What is held beside a piece are rows of blocks that reach past it: one block a stream where its clock never steps back, and as
    many as overlap where it does.
    """
    pending: list[Run] = []
    while True:
        loaded = _load(frontier, frontier.take(ROUND_BYTES))
        cut = frontier.low
        before, pending = split([*pending, *loaded], cut)
        if before:
            yield merge(before)
        if cut is None:
            return


def _load(frontier: Frontier, blocks: list[Block]) -> list[Run]:
    """The runs that blocks become, loaded side by side."""
    found: list[Run | None] = [None] * len(blocks)

    def load(number: int) -> None:
        found[number] = frontier.load(blocks[number])

    jobs: list[Job] = [partial(load, number) for number in range(len(blocks))]
    run_jobs(jobs, frontier.threads)
    return [run for run in found if run is not None]
