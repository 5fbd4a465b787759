"""Which ranges of a clock may hold rows that a query wants, found by asking what can be proven of ranges."""

from collections.abc import Callable, Sequence

type Span = tuple[int, int]
"""First and last moment, int64 ns: both belong to it."""

type Possible = Callable[[Sequence[Span]], list[bool]]
"""Whether a row with its clock in a span may be wanted: False is a proof that none is."""

ASKED_AT_ONCE = 64
STEP_NS = 1_000_000  # who reads a millisecond more, reads no chunk more
MOST_RANGES = 64


def wanted_ranges(spans: Sequence[Span], possible: Possible) -> list[Span]:
    """Ranges [start, stop) in ascending order, apart from each other, outside of which no row is wanted.

    `spans` are those of windows that have rows, ascending and apart from each other. Ranges are proven to about a millisecond at
    both ends of what is left of the windows; between, to the window.
    """
    kept = _kept(spans, possible) if spans else []
    groups: list[list[int]] = []
    for place in kept:
        if groups and groups[-1][-1] == place - 1:
            groups[-1].append(place)
        else:
            groups.append([place])
    found = [(spans[group[0]][0], spans[group[-1]][1]) for group in groups]
    if len(found) > MOST_RANGES:
        found = [(found[0][0], found[-1][1])]
    if not found:
        return []
    ends = {0, len(found) - 1}
    tightened = [_tightened(span, possible) if place in ends else span for place, span in enumerate(found)]
    return [(first, last + 1) for first, last in tightened]


def _kept(spans: Sequence[Span], possible: Possible) -> list[int]:
    """Places of the spans that may hold something: those of many together are asked for first."""
    groups = [range(len(spans))]
    for size in _sizes(len(spans)):
        pieces = [group[at : at + size] for group in groups for at in range(0, len(group), size)]
        groups = [piece for piece, answer in zip(pieces, _answers(spans, pieces, possible), strict=True) if answer]
    return [group[0] for group in groups]


def _sizes(count: int) -> list[int]:
    """How many spans are asked for together, fewer from time to time, one at last."""
    sizes = [-(-count // ASKED_AT_ONCE)]
    while sizes[-1] > 1:
        sizes.append(-(-sizes[-1] // ASKED_AT_ONCE))
    return sizes


def _answers(spans: Sequence[Span], pieces: Sequence[range], possible: Possible) -> list[bool]:
    asked = [(spans[piece[0]][0], spans[piece[-1]][1]) for piece in pieces]
    return [answer for at in range(0, len(asked), ASKED_AT_ONCE) for answer in possible(asked[at : at + ASKED_AT_ONCE])]


def _tightened(span: Span, possible: Possible) -> Span:
    """The span without what is proven to hold nothing at its ends."""
    first, last = span
    low, high = first, last  # what is before `low` is proven
    while high - low > STEP_NS:
        middle = (low + high) // 2
        if possible([(first, middle)])[0]:
            high = middle
        else:
            low = middle + 1
    first = low
    low, high = first, last  # what is after `high` is proven
    while high - low > STEP_NS:
        middle = (low + high) // 2
        if possible([(middle + 1, last)])[0]:
            low = middle + 1
        else:
            high = middle
    return first, high
