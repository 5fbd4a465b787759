"""Which stretches a search for the row in force looks into: always enough of them, and no more than it must."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from arraystore.segments.inforce import Sought, Spans, latest, latest_of

clocks = st.lists(st.integers(0, 60), min_size=1, max_size=6)


def search(chunks, times, tolerance, depth):
    """Rows found by waves over chunks, and which chunks each time asked for."""
    bounds = np.array([(min(chunk), max(chunk)) for chunk in chunks])
    starts = np.cumsum([0, *map(len, chunks)])
    spans = Spans(bounds[:, 0], bounds[:, 1], starts[1:] - 1)
    sought = Sought.of(times, times - tolerance, np.zeros(len(times), np.int64))
    places, position = np.arange(len(times)), spans.start(sought)
    looked = [set() for _ in times]
    while len(places):
        wave = spans.wave(sought, places, position, depth)
        for number, asked in wave.by_span():
            found = latest(np.array(chunks[number]), times[asked])
            sought.note(asked[found >= 0], np.array(chunks[number])[found[found >= 0]], starts[number] + found[found >= 0])
            for place in asked.tolist():
                assert number not in looked[place]
                looked[place].add(number)
        places, position = wave.places, wave.position
    return sought, looked


@given(st.lists(clocks, min_size=1, max_size=12), st.lists(st.integers(-5, 65), max_size=8), st.integers(0, 70), st.integers(1, 3))
def test_waves_find_what_a_look_at_every_row_finds(chunks, times, tolerance, depth):
    times = np.sort(np.array(times, np.int64))
    sought, _ = search(chunks, times, tolerance, depth)
    every = [clock for chunk in chunks for clock in chunk]
    for place, time in enumerate(times.tolist()):
        wanted = max(((clock, row) for row, clock in enumerate(every) if time - tolerance <= clock <= time), default=(None, -1))
        assert sought.rows[place] == wanted[1]
        assert wanted[0] in (None, sought.clocks[place])


@given(st.lists(st.integers(0, 60), min_size=1, max_size=40, unique=True), st.lists(st.integers(-5, 65), max_size=8))
def test_where_clocks_never_step_back_one_chunk_tells(values, times):
    values.sort()
    chunks = [values[start : start + 4] for start in range(0, len(values), 4)]
    _, looked = search(chunks, np.sort(np.array(times, np.int64)), 100, 1)
    assert all(len(each) == (time >= values[0]) for each, time in zip(looked, sorted(times), strict=True))


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(-1, 3)), max_size=30), st.lists(st.tuples(st.integers(-2, 22), st.integers(0, 4)))
)
def test_the_latest_row_with_a_code_is_found(rows, asked):
    clock, codes = (np.array([row[place] for row in rows], np.int64) for place in (0, 1))
    times, wanted = (np.array([each[place] for each in asked], np.int64) for place in (0, 1))
    found = latest_of(clock, codes, times, wanted)
    for place, (time, code) in enumerate(asked):
        fitting = [(row[0], number) for number, row in enumerate(rows) if row[0] <= time and row[1] == code]
        assert found[place] == max(fitting, default=(0, -1))[1]
