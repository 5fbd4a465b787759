"""Ranges hold all that is wanted, and little else."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from arraystore.tabular import ranges
from arraystore.tabular.ranges import wanted_ranges

MS = 1_000_000


@st.composite
def windows(draw):
    """Spans apart from each other, ascending."""
    bounds = sorted(draw(st.sets(st.integers(0, 5000), max_size=300)))
    return [(first * MS * 100, last * MS * 100 - 1) for first, last in zip(bounds[::2], bounds[1::2], strict=False)]


wanted = st.lists(
    st.tuples(st.integers(-100, 600_000), st.integers(0, 3000)).map(lambda each: (each[0] * MS, (each[0] + each[1]) * MS)), max_size=4
)


@given(windows(), wanted)
def test_ranges_hold_all_that_is_wanted_of_windows_and_end_where_it_ends(spans, hopes):
    asked = []

    def possible(given_spans):
        asked.append(len(given_spans))
        return [any(low <= last and first <= high for low, high in hopes) for first, last in given_spans]

    found = wanted_ranges(spans, possible)
    inside = [(max(low, first), min(high, last)) for low, high in hopes for first, last in spans if low <= last and first <= high]
    assert all(any(start <= low and high < stop for start, stop in found) for low, high in inside)
    assert all(left[1] <= right[0] for left, right in pairwise(found))
    assert bool(found) == bool(inside)
    if inside:
        assert min(low for low, _ in inside) - found[0][0] <= MS
        assert found[-1][1] - max(high for _, high in inside) <= MS + 1
        assert len(found) <= ranges.MOST_RANGES
    assert max(asked, default=0) <= ranges.ASKED_AT_ONCE


def test_of_very_many_windows_few_are_asked_for():
    spans = [(day * 86_400 * 10**9, (day + 1) * 86_400 * 10**9 - 1) for day in range(100_000)]
    asked = 0

    def possible(given_spans):
        nonlocal asked
        asked += len(given_spans)
        return [first <= spans[70_000][1] and last >= spans[69_998][0] for first, last in given_spans]

    assert wanted_ranges(spans, possible) == [(spans[69_998][0], spans[70_000][1] + 1)]
    assert asked < 400
