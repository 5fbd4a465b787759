"""Rows on their way, each batch with where it goes: one destination or several, and whose turn it is."""

import threading
from collections.abc import Callable, Iterable, Iterator

from arraystore.frames.rows import Rows
from arraystore.ingest.divide import Destination

type Portions = Iterator[tuple[Destination, Rows]]

BEGINNING_BYTES = 32 << 20


class SeveralError(Exception):
    """Rows of a second dataset came, where it looked as if a file had those of one."""


def beginning(portions: Portions) -> list[tuple[Destination, Rows]]:
    """As many rows as a small file has, so that most of what is wrong, and most second datasets, come up before anything is written."""
    held: list[tuple[Destination, Rows]] = []
    size = 0
    for destination, rows in portions:
        if rows.count:
            if held and destination.address != held[0][0].address:
                raise SeveralError
            held.append((destination, rows))
            size += rows.nbytes
        if size >= BEGINNING_BYTES:
            break
    return held


def told(portions: Portions, tell: Callable[[int], None]) -> Portions:
    """The same, telling how many rows come with each."""
    for destination, rows in portions:
        tell(rows.count)
        yield destination, rows


def only(destination: Destination, portions: Iterable[tuple[Destination, Rows]]) -> Iterator[Rows]:
    """The rows, which all go to one dataset; raises where they don't."""
    for other, rows in portions:
        if other.address != destination.address and rows.count:
            raise SeveralError
        yield rows


def in_turn(rows: Iterator[Rows], earlier: list[threading.Event]) -> Iterator[Rows]:
    """The rows; the last is followed by its commit, so the end waits until the files before are done with (all of them were begun)."""
    yield from rows
    for end in earlier:
        end.wait()
