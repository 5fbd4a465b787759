"""Chunks are compressed harder where that pays, whoever encodes them; and what is chosen costs next to nothing in bytes."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arraystore.digest import crc32c
from arraystore.segments import levels
from arraystore.segments.codec import decode_chunk, encode_payload
from arraystore.segments.levels import LAG_CHUNKS, MOST_TIMES_LARGER, RUN_CHUNKS, Encoders
from layouts.codecs import CodecSpec, codec_for

ELEMENTS = 16_000
THOROUGH = codec_for("dense", "int64")


def told(level: int) -> CodecSpec:
    return CodecSpec(name="pcodec", dtype="int64", configuration={"level": level})


def waits(random: np.random.Generator) -> np.ndarray:
    """Capture times: a finer level tells the noise a little better."""
    return np.cumsum(random.exponential(1 << 40, ELEMENTS).astype(np.int64))


def nests(random: np.random.Generator) -> np.ndarray:
    """Values about a hundred places far from each other: more bins are needed than the quick level has."""
    places = np.random.default_rng(0).integers(0, 1 << 60, 100)
    return places[random.integers(0, len(places), ELEMENTS)] + random.integers(0, 50, ELEMENTS)


def still(random: np.random.Generator) -> np.ndarray:
    return np.full(ELEMENTS, random.integers(0, 1 << 60))


KINDS = {"waits": waits, "nests": nests, "still": still}


def column(kinds: list[str], seed: int = 0) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [KINDS[kind](random) for kind in kinds]


def encoded(chunks: list[np.ndarray], spec: CodecSpec = THOROUGH) -> list[bytes]:
    encoders = Encoders(spec, len(chunks))
    return [encode(chunk)[0] for encode, chunk in [(encoders.next(chunk), chunk) for chunk in chunks]]


def level_of(chunk: np.ndarray, stored: bytes) -> set[int]:
    return {level for level in (levels.QUICK_LEVEL, 8) if encode_payload(told(level), chunk)[0] == stored}


@pytest.mark.parametrize(("kind", "level"), [("waits", 6), ("nests", 8)])
def test_the_quick_level_is_taken_where_the_thorough_one_hardly_saves_anything(kind: str, level: int) -> None:
    chunks = column([kind] * 12)
    stored = encoded(chunks)
    assert [level_of(*each) for each in zip(chunks[:LAG_CHUNKS], stored, strict=False)] == [{8}] * LAG_CHUNKS
    assert [level_of(*each) for each in zip(chunks[LAG_CHUNKS:], stored[LAG_CHUNKS:], strict=True)] == [{level}] * 4


def test_short_arrays_and_other_codecs_are_encoded_as_their_metadata_say() -> None:
    chunks = column(["waits"] * LAG_CHUNKS)
    assert [level_of(*each) for each in zip(chunks, encoded(chunks), strict=True)] == [{8}] * LAG_CHUNKS
    bools = [chunk % 3 == 0 for chunk in column(["waits"] * 12)]
    spec = codec_for("dense", "bool")
    assert encoded(bools, spec) == [encode_payload(spec, chunk)[0] for chunk in bools]


@settings(max_examples=12)
@given(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=4), st.integers(0, 9))
def test_a_column_whose_character_lasts_is_hardly_larger_and_each_chunk_comes_back(lasting: list[str], seed: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(levels, "RUN_CHUNKS", 3)
        patch.setattr(levels, "LAG_CHUNKS", 1)
        chunks = column([kind for kind in lasting for _ in range(9)], seed)
        stored = encoded(chunks)
    thorough = [encode_payload(THOROUGH, chunk)[0] for chunk in chunks]
    # The trial of a kind's first chunk tells of those after it; before, they may have been told by another kind's.
    settled = [number for number in range(len(chunks)) if number % 9]
    assert sum(len(stored[n]) for n in settled) <= (MOST_TIMES_LARGER + 0.01) * sum(len(thorough[n]) for n in settled)
    for chunk, each in zip(chunks, stored, strict=True):
        out = np.empty_like(chunk)
        decode_chunk("pcodec", each + crc32c(each).to_bytes(4, "little"), crc32c(each), out)
        assert np.array_equal(out, chunk)


def test_what_is_written_follows_from_the_chunks_alone_in_whatever_order_threads_come() -> None:
    chunks = column(["waits"] * 20 + ["nests"] * RUN_CHUNKS + ["waits"] * 20)
    in_order = encoded(chunks)
    encoders = Encoders(THOROUGH, len(chunks))
    each = [(encoders.next(chunk), chunk) for chunk in chunks]
    assert [encode(chunk)[0] for encode, chunk in reversed(each)][::-1] == in_order
    encoders = Encoders(THOROUGH, len(chunks))
    each = [(encoders.next(chunk), chunk) for chunk in chunks]
    with ThreadPoolExecutor(5) as pool:
        assert list(pool.map(lambda one: one[0](one[1])[0], each)) == in_order
