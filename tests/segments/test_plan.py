"""Plans are arithmetic: they are checked against sets of positions, without a byte read."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arraystore.segments.fetches import plan_fetches, plan_takes, touched_chunks
from arraystore.segments.index import ArrayEntry, ChunkTable
from arraystore.segments.plan import Cluster, arrange, join_runs, run, runs_of, runs_where, tidy_runs
from arraystore.versions.commit import SegmentEntry
from layouts.schema import Column, Schema

positions = st.sets(st.integers(0, 60)).map(lambda found: np.array(sorted(found), np.int64))


def table_of(length, chunk, per_shard=2):
    count = -(-length // chunk)
    sizes = np.arange(5, 5 + count).astype(np.uint32)
    entry = ArrayEntry(array="x", dtype="int64", shape=(length,), chunk=chunk, shard=chunk * per_shard, codec="pcodec")
    starts = np.cumsum(sizes) - sizes
    offset = starts - starts[np.arange(count) // per_shard * per_shard]
    return ChunkTable(entry=entry, offset=offset.astype(np.int64), length=sizes, crc32c=np.zeros(count, np.uint32))


def members(runs):
    return runs.positions().tolist()


@given(positions)
def test_runs_hold_the_positions_they_were_made_from(chosen):
    mask = np.zeros(70, bool)
    mask[chosen] = True
    for runs in (runs_of(chosen), runs_where(mask), tidy_runs(chosen, chosen + 1)):
        assert members(runs) == chosen.tolist()
        assert runs.count == len(chosen)
        assert bool((runs.starts < runs.stops).all())
        assert bool((runs.starts[1:] > runs.stops[:-1]).all())
        assert np.arange(70)[runs.indices()].tolist() == chosen.tolist()


@given(positions, st.integers(1, 60))
def test_runs_join_in_any_order(chosen, cut):
    left, right = runs_of(chosen[chosen < cut]), runs_of(chosen[chosen >= cut])
    assert members(join_runs([right, run(3, 3), left])) == chosen.tolist()


@given(positions, st.integers(1, 20), st.integers(0, 9))
def test_takes_bring_every_position_to_its_place_and_touch_no_other_chunk(chosen, chunk, target):
    runs, table = runs_of(chosen), table_of(61, chunk)
    source = np.arange(61 + chunk)
    out = np.full(target + len(chosen), -1)
    takes = plan_takes(runs, table, target) if len(chosen) else []
    for take in takes:
        piece = source[take.chunk * chunk : (take.chunk + 1) * chunk][: take.end][take.chosen]
        assert len(piece) == take.elements
        out[take.target : take.target + take.elements] = piece
    assert out[target:].tolist() == chosen.tolist()
    assert [take.chunk for take in takes] == sorted({int(each) // chunk for each in chosen})
    assert not len(chosen) or touched_chunks(runs, chunk) == [take.chunk for take in takes]


@given(
    positions,
    st.integers(1, 20),
    st.integers(1, 4),
    st.integers(1, 60),
    st.sets(st.integers(0, 60)),
    st.integers(1, 9),
    st.none() | st.integers(1, 4),
)
def test_fetches_keep_to_one_object_and_read_no_chunk_twice_or_in_vain(chosen, chunk, per_shard, at_most, held, step, part):
    asked = []

    def portion(chunks):
        asked.append(chunks)
        return max(1, chunks // part)

    portion = portion if part else None
    table, held = table_of(61, chunk, per_shard), frozenset(held)
    whole = runs_of(chosen)
    runs = whole.every(0, len(chosen), step)
    takes = plan_takes(runs, table, 3) if len(chosen) else []
    fetches = plan_fetches(table, runs, 3, at_most, held, portion)
    found = [fetch.takes() for fetch in fetches]
    assert [described(take) for each in found for take in each] == [described(take) for take in takes if take.chunk not in held]
    for fetch, own in zip(fetches, found, strict=True):
        assert {take.chunk // per_shard for take in own} <= {fetch.shard}
        assert len(own) < 2 or held or sum(int(table.length[take.chunk]) for take in own[:-1]) < at_most
        ranges, checksums = fetch.places(own) if own else ([], [])
        assert checksums == [table.crc32c[take.chunk] for take in own]
        for take, (start, stop) in zip(own, ranges, strict=True):
            assert (start, stop - start) == (table.offset[take.chunk], table.length[take.chunk])
    if part and not held and len(chosen):
        sizes = [len(own) for own in found]
        assert asked == [sum(sizes[number:]) for number in range(len(sizes))]
        assert all(size <= max(1, left // part) for size, left in zip(sizes, asked, strict=True))


def described(take):
    return take.chunk, np.arange(99)[take.chosen].tolist(), take.target, take.elements, take.end


def entries(*spans):
    return [SegmentEntry(schema=0, rows=1, clocks={"time": span}, bytes=1, segment=str(number)) for number, span in enumerate(spans)]


TIMED = Schema(name="s", columns=(Column(name="time", kind="time"),))


@pytest.mark.parametrize(
    ("spans", "clusters"),
    [
        ([(1, 2), (3, 4)], [(0,), (1,)]),
        ([(3, 4), (1, 2)], [(1,), (0,)]),
        ([(1, 2), (2, 4)], [(0,), (1,)]),
        ([(2, 4), (1, 2)], [(0, 1)]),
        ([(1, 9), (2, 3), (9, 10)], [(0, 1), (2,)]),
        ([(2, 3), (1, 9), (9, 10), (20, 21)], [(0, 1), (2,), (3,)]),
        ([(5, 5), (5, 5), (5, 5)], [(0,), (1,), (2,)]),
        ([(5, 9), (5, 5), (5, 5)], [(0, 1, 2)]),
        ([], []),
    ],
)
def test_parts_are_merged_only_where_following_each_other_isnt_enough(spans, clusters):
    assert arrange(entries(*spans), TIMED) == [Cluster(parts, merge=len(parts) > 1) for parts in clusters]


@given(st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=4).map(sorted), max_size=6))
def test_clusters_read_as_the_stable_merge_of_all_parts_by_time_and_key(times):
    rows = [(time, number, place) for number, part in enumerate(times) for place, time in enumerate(part)]
    read = []
    for cluster in arrange(entries(*((part[0], part[-1]) for part in times)), TIMED):
        own = [row for number in cluster.parts for row in rows if row[1] == number]
        read += sorted(own, key=lambda row: row[0]) if cluster.merge else own
    assert read == sorted(rows)


def test_arrival_order_is_the_order_of_keys_whatever_the_times():
    schema = Schema(name="s", order="arrival", columns=TIMED.columns)
    assert arrange(entries((3, 4), (1, 9)), schema) == [Cluster((0,), merge=False), Cluster((1,), merge=False)]
