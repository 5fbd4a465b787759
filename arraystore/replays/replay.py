"""The entry: datasets in, batches of their rows in one order out."""

from collections.abc import Iterable, Iterator
from typing import Literal

import numpy as np

from arraystore import arguments
from arraystore.arguments import TimeLike
from arraystore.datasets.view import DatasetView
from arraystore.errors import InvalidInput
from arraystore.replays.ahead import Ahead
from arraystore.replays.batch import Piece, ReplayBatch, ReplayRecord
from arraystore.replays.blocks import Frontier
from arraystore.replays.merging import rounds
from arraystore.replays.position import ReplayPosition, checked, digest_of_inputs
from arraystore.replays.runs import Merged
from arraystore.replays.streams import Input, ReplayStream, range_problems, resolve
from arraystore.versions.commit import Pin

type Nulls = Literal["refuse", "skip"]


def replay(
    streams: Iterable[DatasetView | ReplayStream],
    start: TimeLike | None = None,
    end: TimeLike | None = None,
    *,
    clock: str | None = None,
    ties: Iterable[str] | str = (),
    columns: Iterable[str] | str | None = None,
    nulls: Nulls = "refuse",
    batch_rows: int | None = None,
    prefetch: int = 2,
    threads: int | None = None,
    position: ReplayPosition | None = None,
) -> "Replay":
    """The rows of many datasets in one order: by `(clock, ties, stream rank, row)`, the same every time, to the last tie.

    Memory is bounded however long the range. What the order means, also of rows whose clock steps back, is told in `Replay`.

    Parameters
    ----------
    streams
        Datasets at the versions that their handles see, in order of rank; `ReplayStream` where a stream has a clock, columns, a
        window or a name of its own.
    start, end
        Rows whose clock lies in `[start, end)`, as `read` takes them; None for open.
    clock
        The clock of every stream that doesn't name its own. By default the time from which a row was known: the capture time where
        the dataset has one beside its axis, `close_time` of bars, else the axis, which is the capture time of what we recorded.
    ties
        Columns (whole numbers, times, flags, vocabularies) that decide between rows of one time, smallest first; a row that is null
        there, or whose stream has no such column, comes after those that have one.
    columns
        Columns wanted; a stream has those of them that it has. None for all.
    nulls
        A row whose clock is null has no place in the sequence. Where its axis time lies in the range, it is refused when its window
        is reached, before any row of it (at once, if a whole window is null): `InvalidInput` with the remedy. With "skip" such rows
        are left out, and counted in `Replay.skipped`.
    batch_rows
        Rows in a batch, at most; None for as many as were merged at once.
    prefetch
        Pieces of about 16 MiB that are merged in the background before they are asked for; 0 for none.
    threads
        Decoders at work; the number of cores by default.
    position
        Go on after `batch.position` of an earlier replay of the same inputs.

    Raises
    ------
    InvalidInput
        A parameter, a clock that is null, or a position of other inputs. (AccessDenied is told before any I/O, as everywhere.)
    """
    first, stop = arguments.bounds(start, end)
    if nulls not in ("refuse", "skip"):
        raise InvalidInput(f"{nulls!r} is neither 'refuse' nor 'skip'", "nulls")
    batch_rows = None if batch_rows is None else arguments.whole(batch_rows, "batch_rows", 1)
    prefetch = arguments.whole(prefetch, "prefetch", 0)
    inputs = resolve(streams, start=first, stop=stop, clock=clock, ties=ties, columns=columns)
    if nulls == "refuse" and (problems := tuple(range_problems(inputs, first, stop))):
        raise InvalidInput(problems)
    found = digest_of_inputs([each.told for each in inputs], start=first, stop=stop, nulls=nulls)
    place = ReplayPosition(inputs=found) if position is None else checked(position, found)
    threads = arguments.threads(threads)
    return Replay(inputs, (first, stop), place, skip_nulls=nulls == "skip", batch_rows=batch_rows, prefetch=prefetch, threads=threads)


class Replay:
    """Many datasets as one sequence, resolved and checked; nothing is read before it is iterated over, each time from `position`.

    Iterate over it for batches, or over its `records()`. Safe to share between threads; each iteration is for one of them.

    Rows are merged by their clock, smallest first. Rows at one and the same time come by the tie columns, then as their streams are
    listed, then as they read back. So the order doesn't depend on batch sizes, threads, restarts, nor on how the rows lie on disk.
    A dataset in arrival order whose clock steps back (an exchange's time does, and a recorder's own may) is sorted by that clock,
    rows of equal times in arrival order: what the replay gives out never steps back.

    Memory is bounded however long the range: `prefetch` + 3 pieces of 16 MiB of decoded rows over all streams, and of each stream
    the rows of those chunks whose times reach past the piece, as the zone index tells: one block of 256 KiB to 8 MiB (at least
    a chunk) where its clock never steps back, else as many as overlap in time.

    Examples
    --------
    >>> import arraystore
    >>> store = arraystore.open_store("memory://replayed", role="data-quality", create=True)
    >>> trades = store.canonical.create(("venue", "trades", "X"), arraystore.schema_by_name("trades"))
    >>> quotes = store.canonical.create(("venue", "quotes", "X"), arraystore.schema_by_name("quotes"))
    >>> trades.append({"time": [1, 5], "price": [10.0, 10.5], "size": [1.0, 2.0], "side": [1, -1], "flags": [0, 0]}).version
    2
    >>> quotes.append({"time": [1, 3], "bid_price": [9.9, 10.4], "ask_price": [10.1, 10.6], "flags": [0, 0]}).version
    2
    >>> for batch in arraystore.replay([trades, quotes]):
    ...     print(batch.time.astype(int), batch.stream, batch.gather("price"))
    [1 1 3 5] [0 1 1 0] [10.   nan  nan 10.5]
    >>> [(record.time, record.name) for record in arraystore.replay([trades, quotes]).records()]
    [(1, 'venue/trades/X'), (1, 'venue/quotes/X'), (3, 'venue/quotes/X'), (5, 'venue/trades/X')]
    """

    def __init__(
        self,
        inputs: tuple[Input, ...],
        span: tuple[int | None, int | None],
        position: ReplayPosition,
        *,
        skip_nulls: bool,
        batch_rows: int | None,
        prefetch: int,
        threads: int | None,
    ) -> None:
        self._inputs = inputs
        self._span = span
        self._position = position
        self._skip_nulls = skip_nulls
        self._batch_rows = batch_rows
        self._prefetch = prefetch
        self._threads = threads
        self._skipped = [0] * len(inputs)

    def __repr__(self) -> str:
        return f"<Replay of {arguments.some(self.names)} by {', '.join(dict.fromkeys(self.clocks))}>"

    @property
    def names(self) -> tuple[str, ...]:
        """What the streams are called, by rank."""
        return tuple(each.name for each in self._inputs)

    @property
    def clocks(self) -> tuple[str, ...]:
        """The clock that each stream is merged by."""
        return tuple(each.clock for each in self._inputs)

    @property
    def pins(self) -> tuple[Pin, ...]:
        """What is read, to be named as the inputs of what is made of it; where the range is of another clock than the axis, all of it."""
        return tuple(each.pin for each in self._inputs)

    @property
    def position(self) -> ReplayPosition:
        """Where it begins."""
        return self._position

    @property
    def skipped(self) -> tuple[int, ...]:
        """Per stream how many rows without a time were left out, so far, by the iteration begun last."""
        return tuple(self._skipped)

    def __iter__(self) -> Iterator[ReplayBatch]:
        """Batches, each with the position after it; what was given out before an error stands."""
        position, (start, stop) = self._position, self._span
        if position.time is not None:
            start = position.time if start is None else max(start, position.time)
        frontier = Frontier(self._inputs, start, stop, skip_nulls=self._skip_nulls, threads=self._threads)
        self._skipped = frontier.skipped
        pieces = rounds(frontier)
        ahead = Ahead(pieces, self._prefetch) if self._prefetch else None
        done = position.at_time
        schemas = tuple(each.schema_given for each in self._inputs)
        try:
            for merged in ahead or pieces:
                skipped = min(done, len(merged.times))
                done -= skipped
                for times, owners, cuts in _cut(merged, skipped, self._batch_rows):
                    streams = _ranks(cuts, owners)
                    position = position.after(times, streams)
                    yield ReplayBatch(self.names, schemas, cuts, owners, times, streams, position)
        finally:
            if ahead is not None:
                ahead.close()

    def records(self) -> Iterator[ReplayRecord]:
        """Rows one by one, as Python objects: some hundred thousand a second, where batches give tens of millions."""
        for batch in self:
            yield from batch.records()

    def digest(self) -> str:
        """The digest of the whole sequence, as the last batch's `position.digest` tells it; reads everything."""
        position = self._position
        for batch in self:
            position = batch.position
        return position.digest


def _ranks(cuts: tuple[Piece, ...], owners: np.ndarray) -> np.ndarray:
    """The stream of each row, from the piece it is of."""
    ranks = [cut.rank for cut in cuts]
    if ranks == list(range(len(ranks))):  # one piece of each stream
        return owners.astype(np.uint16)
    return np.take(np.array(ranks, np.uint16), owners)


def _cut(merged: Merged, skipped: int, rows: int | None) -> Iterator[tuple[np.ndarray, np.ndarray, tuple[Piece, ...]]]:
    """Times, owners and pieces of batches of so many rows, without the first ones."""
    stop = len(merged.times)
    rows = rows or stop
    whole = np.array([len(run.times) for run in merged.runs])
    done = np.bincount(merged.owners[:skipped], minlength=len(whole))
    for first in range(skipped, stop, rows):
        last = min(first + rows, stop)
        owners = merged.owners[first:last]
        before, done = done, whole if last == stop else done + np.bincount(owners, minlength=len(whole))
        bounds = zip(merged.runs, before.tolist(), done.tolist(), strict=True)
        yield merged.times[first:last], owners, tuple(Piece(run.rank, run.rows, *bound) for run, *bound in bounds)
