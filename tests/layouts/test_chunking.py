"""Chunks of about their budget, shards of whole chunks."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from layouts import (
    CHUNK_BYTES,
    PAYLOAD_CHUNK_BYTES,
    SEGMENT_ROWS,
    SHARD_BYTES,
    TAIL_BYTES,
    TAIL_COUNT,
    TAIL_TOTAL_BYTES,
    chunk_length,
    shard_length,
)

lengths = st.integers(0, SEGMENT_ROWS)
element_bytes = st.sampled_from([1, 2, 4, 8, 40, 8000, 300_000])


@given(lengths, element_bytes, st.sampled_from([CHUNK_BYTES, PAYLOAD_CHUNK_BYTES]))
@example(0, 8, CHUNK_BYTES)
@example(1, 8, CHUNK_BYTES)
@example(32_768, 8, CHUNK_BYTES)
@example(32_769, 8, CHUNK_BYTES)
def test_chunks_are_equal_parts_within_the_budget_and_never_longer_than_the_array(length, size, budget):
    chunk = chunk_length(length, size, budget)
    assert 1 <= chunk <= max(1, length)
    assert chunk == 1 or (chunk - 1) * size < budget
    parts = max(1, -(-length * size // budget))
    assert chunk == max(1, -(-length // min(parts, max(1, length))))
    if chunk > 1:
        padding = -length % chunk
        assert padding < -(-length // chunk)  # less than an element per chunk


@pytest.mark.parametrize(("length", "chunk"), [(0, 1), (1, 1), (1000, 1000), (32_768, 32_768), (32_769, 16_385), (100_000, 25_000)])
def test_chunks_of_eight_byte_columns(length, chunk):
    assert chunk_length(length, 8, CHUNK_BYTES) == chunk


@given(lengths, element_bytes)
@example(SEGMENT_ROWS, 8)
def test_shards_hold_whole_chunks_within_the_limit_and_all_rows_where_they_fit(length, size):
    chunk = chunk_length(length, size, CHUNK_BYTES)
    shard = shard_length(length, chunk, size)
    assert shard % chunk == 0
    assert shard * size <= max(SHARD_BYTES, chunk * size)
    if -(-length // chunk) * chunk * size <= SHARD_BYTES:
        assert shard >= length
        assert shard - max(length, 1) < chunk


def test_a_day_of_thirty_million_rows_is_one_shard_and_a_full_segment_a_few():
    def shards(length):
        return -(-length // shard_length(length, chunk_length(length, 8, CHUNK_BYTES), 8))

    assert shards(30_000_000) == 1
    assert shards(SEGMENT_ROWS) == 2
    assert shards(SEGMENT_ROWS - 1) == 2


def test_an_element_larger_than_half_a_shard_has_one_of_its_own():
    assert shard_length(10, 1, 200 << 20) == 1


def test_the_limits_are_those_of_the_format():
    assert (CHUNK_BYTES, PAYLOAD_CHUNK_BYTES, SHARD_BYTES) == (262_144, 1_048_576, 268_435_456)
    assert (SEGMENT_ROWS, TAIL_BYTES, TAIL_COUNT, TAIL_TOTAL_BYTES) == (67_108_864, 131_072, 256, 1_048_576)
