"""A chunk decodes to what was encoded, into the caller's memory, or not at all."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from arraystore.digest import crc32c
from arraystore.errors import Corrupt
from arraystore.segments.codec import STOPS_EARLY, decode_chunk, encode_chunk
from layouts.codecs import CodecSpec, codec_for

dtypes = st.sampled_from(("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"))
profiles = st.sampled_from(("dense", "portable"))
chunks = dtypes.flatmap(lambda dtype: npst.arrays(dtype, st.integers(1, 400)))


@given(chunks, profiles, st.booleans())
def test_what_comes_back_is_what_went_in(elements, profile, payload):
    payload = payload and elements.dtype == np.uint8
    spec = codec_for(profile, elements.dtype.name, payload=payload)
    stored, checksum = encode_chunk(spec, elements)
    out = np.empty_like(elements)
    decode_chunk(spec.name, stored, checksum, out)
    assert out.tobytes() == elements.tobytes()
    if spec.name in STOPS_EARLY:
        half = np.empty(len(elements) // 2 + 1, elements.dtype)
        decode_chunk(spec.name, stored, checksum, half, beginning=True)
        assert half.tobytes() == elements[: len(half)].tobytes()


@given(chunks, profiles, st.booleans(), st.data())
def test_any_changed_byte_is_corruption(elements, profile, payload, data):
    payload = payload and elements.dtype == np.uint8
    spec = codec_for(profile, elements.dtype.name, payload=payload)
    stored, checksum = encode_chunk(spec, elements)
    changed = bytearray(stored)
    changed[data.draw(st.integers(0, len(stored) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(Corrupt):
        decode_chunk(spec.name, bytes(changed), checksum, np.empty_like(elements))


@pytest.mark.parametrize("stored", [b"", b"abc", b"abcd", b"\0" * 40])
@pytest.mark.parametrize("codec", ["pcodec", "blosc", "zstd"])
def test_bytes_that_were_never_a_chunk_are_corruption(codec, stored):
    with pytest.raises(Corrupt):
        decode_chunk(codec, stored, 7, np.empty(3, np.uint64))
    framed = stored + crc32c(stored).to_bytes(4, "little")
    with pytest.raises(Corrupt):
        decode_chunk(codec, framed, crc32c(stored), np.empty(3, np.uint64))


@pytest.mark.parametrize(("dtype", "payload"), [("float64", False), ("int8", False), ("uint8", True)])
@pytest.mark.parametrize("profile", ["dense", "portable"])
@pytest.mark.parametrize("length", [1, 99, 101, 1_000_000])
def test_another_number_of_elements_is_corruption(profile, dtype, payload, length):
    spec = codec_for(profile, dtype, payload=payload)
    stored, checksum = encode_chunk(spec, np.zeros(length, dtype))
    with pytest.raises(Corrupt, match=r"belong|become"):
        decode_chunk(spec.name, stored, checksum, np.empty(100, dtype))


def test_every_size_that_a_zstd_frame_can_tell_is_understood():
    spec = codec_for("dense", "uint8", payload=True)
    for length in (1, 255, 256, 257, 65_535, 65_536, 66_000, 1 << 20):
        elements = np.arange(length).astype(np.uint8)
        stored, checksum = encode_chunk(spec, elements)
        out = np.empty_like(elements)
        decode_chunk("zstd", stored, checksum, out)
        assert np.array_equal(out, elements)


@pytest.mark.parametrize("level", range(13))
def test_readers_take_any_level(level):
    elements = np.cumsum(np.random.default_rng(level).integers(0, 1000, 5000))
    stored, checksum = encode_chunk(CodecSpec(name="pcodec", dtype="int64", configuration={"level": level}), elements)
    out = np.empty_like(elements)
    decode_chunk("pcodec", stored, checksum, out)
    assert np.array_equal(out, elements)


@pytest.mark.parametrize("profile", ["dense", "portable"])
@pytest.mark.parametrize("left", range(8))
def test_bits_are_shuffled_whatever_the_number_of_elements(left, profile):
    dtype = "int8" if profile == "dense" else "int32"
    whole = np.random.default_rng(7).choice([-1, 1], 40_000).astype(dtype)
    spec = codec_for(profile, dtype)
    # A bit of chance each: 8 elements a byte, where zstd alone takes a third more.
    for length in (39_992 + left, 1_000 + left):
        stored, checksum = encode_chunk(spec, whole[:length])
        assert len(stored) <= length / 8 * 1.02 + 100
        out = np.empty(length, dtype)
        decode_chunk("blosc", stored, checksum, out)
        assert np.array_equal(out, whole[:length])


@pytest.mark.parametrize("dtype", ["int8", "int64"])
def test_what_repeats_whole_elements_is_not_torn_apart(dtype):
    elements = np.repeat(np.random.default_rng(3).integers(-100, 100, 997).astype(dtype), 100)
    spec = codec_for("portable", dtype)
    plain = CodecSpec(name="blosc", dtype=dtype, configuration={**spec.configuration, "shuffle": "noshuffle"})
    assert encode_chunk(spec, elements) == encode_chunk(plain, elements)
