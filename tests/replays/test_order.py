"""Whatever streams are made of, a replay gives their rows by (clock, ties, stream rank, row): the same however it is cut up."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import arraystore
from arraystore.replays import blocks, merging
from tests.replays.conftest import START, oracle, stores

fewer = settings(max_examples=max(1, settings.default.max_examples // 2))
clocks = st.sampled_from((None, "time", "exchange_time"))
all_ties = st.sampled_from(((), ("sequence",), ("flag", "sequence")))
bounds = st.one_of(st.none(), st.integers(START - 30, START + 60))
cuts = st.fixed_dictionaries(
    {
        "batch_rows": st.sampled_from((None, 1, 7, 50)),
        "prefetch": st.sampled_from((0, 1, 3)),
        "threads": st.sampled_from((1, 2)),
    }
)


def small_rounds(size):
    """What is read at once, in bytes; blocks are as small as chunks are."""
    patches = {"ROUND_BYTES": size, "LEAST_BLOCK_BYTES": 1, "NULL_ROWS": 7}
    return mock.patch.multiple(blocks, **patches), mock.patch.object(merging, "ROUND_BYTES", size)


def told(batches):
    """Numbers, clocks and streams of all rows of some batches."""
    batches = list(batches)
    return (
        [int(number) for batch in batches for number in batch.gather("number")],
        [int(time) for batch in batches for time in batch.time.astype(np.int64)],
        [int(stream) for batch in batches for stream in batch.stream],
    )


@given(stores(), clocks, all_ties, bounds, bounds, cuts, st.sampled_from((1, 300, 2_000, 1 << 24)))
def test_rows_come_in_the_order_of_one_sort_of_all_of_them(streams, clock, ties, start, end, cut, round_bytes):
    if None not in (start, end) and start > end:
        start, end = end, start
    first, second = small_rounds(round_bytes)
    with first, second:
        found = told(arraystore.replay(streams, start, end, clock=clock, ties=ties, **cut))
    assert found == oracle(streams, clock, ties, start, end)


@fewer
@given(stores(), clocks, all_ties, cuts, st.sampled_from((1, 300)), st.data())
def test_a_restart_goes_on_where_any_batch_ended(streams, clock, ties, cut, round_bytes, data):
    first, second = small_rounds(round_bytes)
    with first, second:
        whole = list(arraystore.replay(streams, clock=clock, ties=ties, **cut))
        digest = arraystore.replay(streams, clock=clock, ties=ties).digest()
        if not whole:
            assert digest == arraystore.replay(streams, clock=clock, ties=ties).position.digest
            return
        chosen = data.draw(st.integers(0, len(whole) - 1))
        position = arraystore.ReplayPosition.from_json(whole[chosen].position.to_json())
        other = data.draw(cuts)
        rest = list(arraystore.replay(streams, clock=clock, ties=ties, position=position, **other))
    before, after, everything = told(whole[: chosen + 1]), told(rest), told(whole)
    assert tuple(left + right for left, right in zip(before, after, strict=True)) == everything
    assert whole[-1].position == (rest[-1].position if rest else position)
    assert whole[-1].position.digest == digest


@fewer
@given(stores(nulls=True), all_ties, cuts, st.sampled_from((1, 300)), bounds, bounds)
def test_rows_without_a_time_are_refused_or_left_out_and_counted(streams, ties, cut, round_bytes, start, end):
    if None not in (start, end) and start > end:
        start, end = end, start
    missing = []
    for each in streams:
        frame = each.read(start, end)
        valid = frame.valid("exchange_time")
        missing.append(0 if valid is None else int((~valid).sum()))
    first, second = small_rounds(round_bytes)
    with first, second:
        given_out = arraystore.replay(streams, start, end, clock="exchange_time", ties=ties, nulls="skip", **cut)
        assert told(given_out) == oracle(streams, "exchange_time", ties, start, end)
        assert given_out.skipped == tuple(missing)
        if any(missing):
            with pytest.raises(arraystore.InvalidInput, match=r"'exchange_time' is null in .* nulls='skip'"):
                told(arraystore.replay(streams, start, end, clock="exchange_time", ties=ties, **cut))
        else:
            assert told(arraystore.replay(streams, start, end, clock="exchange_time", ties=ties, **cut)) == told(given_out)


@fewer
@given(stores(), clocks, cuts, st.sampled_from((1, 300, 2_000, 1 << 24)))
def test_what_is_gathered_is_what_frames_and_records_hold(streams, clock, cut, round_bytes):
    wanted = {}
    for each in streams:
        frame = each.read()
        columns = [frame[name].tolist() for name in ("number", "label", "text", "flag")]
        wanted |= {row[0]: row for row in zip(*columns, strict=True)}
    first, second = small_rounds(round_bytes)
    with first, second:
        for batch in arraystore.replay(streams, clock=clock, **cut):
            gathered = batch.gather(["number", "label", "text", "flag"])
            found = list(zip(*(gathered[name].tolist() for name in gathered), strict=True))
            assert found == [wanted[row[0]] for row in found]
            placed = zip(batch.stream.tolist(), batch.row.tolist(), strict=True)
            assert [int(batch.frames[stream]["number"][row]) for stream, row in placed] == [row[0] for row in found]
            assert sum(frame.row_count for frame in batch.frames) == len(batch) == len(found)
            records = list(batch.records())
            assert [tuple(record.values[name] for name in gathered) for record in records] == found
            assert [record.time for record in records] == batch.time.astype(np.int64).tolist()
            assert [record.stream for record in records] == batch.stream.tolist()
