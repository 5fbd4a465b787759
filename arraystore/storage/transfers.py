"""What goes over a network: streams that are counted on their way, and ranges joined into few requests."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence

from arraystore.storage.base import Buffer

type Span = tuple[int, int]

COALESCE_BYTES = 1 << 20
"""Ranges closer than this are fetched as one: an object store answers after 15 to 30 ms, in which a connection brings a megabyte or two."""


class Stream:
    """Pieces on their way: how many bytes they were, and what their source raised."""

    def __init__(self, pieces: Iterable[Buffer]) -> None:
        self._pieces = iter(pieces)
        self.size = 0
        self.ended = False
        self.failure: BaseException | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            piece = next(self._pieces)
        except StopIteration:
            self.ended = True
            raise
        except BaseException as error:
            self.failure = error
            raise
        # Several pieces are under way at once, and their source may fill one buffer again and again.
        piece = piece if isinstance(piece, bytes) else bytes(piece)
        self.size += len(piece)
        return piece

    def read(self, least: int) -> list[bytes]:
        """Pieces of at least so many bytes, or all of them."""
        head = []
        for piece in self:
            head.append(piece)
            if self.size >= least:
                break
        return head


def join_ranges(ranges: Iterable[Span], gap: int = COALESCE_BYTES) -> list[Span]:
    """The fewest disjoint spans that cover `ranges` without a hole longer than `gap`; empty ranges need none."""
    spans: list[Span] = []
    for start, stop in sorted(span for span in ranges if span[0] < span[1]):
        if spans and start - spans[-1][1] <= gap:
            spans[-1] = (spans[-1][0], max(spans[-1][1], stop))
        else:
            spans.append((start, stop))
    return spans


def cut_ranges(ranges: Iterable[Span], spans: Sequence[Span], pieces: Sequence[memoryview]) -> list[bytes]:
    """The bytes of each range out of the pieces that were fetched for `spans`, short where those are."""
    cut = []
    for start, stop in ranges:
        place = bisect_right(spans, start, key=lambda span: span[0]) - 1
        origin = spans[place][0] if place >= 0 else 0
        cut.append(bytes(pieces[place][start - origin : stop - origin]) if place >= 0 else b"")
    return cut
