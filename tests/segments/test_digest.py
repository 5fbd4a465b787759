"""The logical digest tells what was decoded, and can be told for a whole from its parts."""

import zlib
from itertools import pairwise

import google_crc32c
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arraystore.digest import LogicalDigest, combine, digest, parse_digest
from arraystore.errors import Corrupt


def digest_of_bytes(data):
    return LogicalDigest(len(data), google_crc32c.value(data), zlib.crc32(data))


def test_it_is_length_crc32c_and_crc32_as_the_format_page_says():
    nine = np.frombuffer(b"123456789", np.uint8)
    assert str(digest(nine)) == "9:e3069283cbf43926"  # the check values both checksums are published with


def test_it_covers_the_elements_little_endian_and_in_c_order():
    numbers = np.array([[1, 2], [3, 4]], dtype=">i4")
    assert digest(numbers) == digest_of_bytes(numbers.astype("<i4").tobytes())
    assert digest(numbers.T) == digest_of_bytes(numbers.T.astype("<i4").tobytes())


@given(st.lists(st.binary(max_size=200), max_size=8))
def test_the_digest_of_a_concatenation_follows_from_those_of_its_parts(parts):
    assert combine(map(digest_of_bytes, parts)) == digest_of_bytes(b"".join(parts))


@given(st.binary(max_size=20), st.integers(0, 70))
def test_the_digest_of_a_run_needs_no_run(element, times):
    assert digest_of_bytes(element).repeat(times) == digest_of_bytes(element * times)


def test_a_run_of_a_hundred_billion_ones_is_no_work():
    one = digest(np.ones(1, bool))
    assert one.repeat(10**11) == one.repeat(10**11 - 1) + one


@given(st.binary(max_size=40))
def test_it_reads_back_from_its_text(data):
    assert parse_digest(str(digest_of_bytes(data))) == digest_of_bytes(data)


@pytest.mark.parametrize(
    "text", ["", "8", "8:0123456789abcde", "8:0123456789ABCDEF", "08:0123456789abcdef", "-8:0123456789abcdef", " 8:0123456789abcdef"]
)
def test_other_text_is_no_digest(text):
    with pytest.raises(Corrupt, match="logical digest"):
        parse_digest(text)


@given(st.lists(st.tuples(st.sampled_from((0, 1, 8, 1000)), st.integers(1, 150)), max_size=5), st.integers(0, 9))
def test_any_number_of_any_lengths_combine(runs, seed):
    data = np.random.default_rng(seed).integers(0, 256, sum(length * times for length, times in runs), np.uint8)
    ends = np.cumsum([0, *(length for length, times in runs for _ in range(times))])
    assert combine(digest(data[start:stop]) for start, stop in pairwise(ends)) == digest(data)
