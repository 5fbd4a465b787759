"""Values that a column can't have, written with every digest right, are refused when read and found by verify."""

import numpy as np
import pytest

from arraystore.domain import domain_of, invalid_utf8_row
from arraystore.errors import Corrupt
from arraystore.frames.rows import Rows
from arraystore.segments.index import forget_indexes
from arraystore.segments.reader import Selection, read
from arraystore.segments.segmentcheck import verify_segment
from arraystore.segments.tail import decode_tail, encode_tail
from arraystore.storage.memory import MemoryStorage
from arraystore.testing.parts import segment_part
from arraystore.testing.strategies import differences, small_chunks
from layouts.schema import Column, Schema

SCHEMA = Schema(
    name="limited",
    columns=(
        Column(name="time", kind="time"),
        Column(name="side", kind="vocabulary", vocabulary=(("sell", -1), ("none", 0), ("buy", 1))),
        Column(name="state", kind="vocabulary", dtype="uint8", vocabulary=(("new", 2), ("open", 4), ("shut", 200)), nullable=True),
        Column(name="flags", kind="flags", vocabulary=(("a", 1), ("b", 2), ("c", 4))),
        Column(name="marks", kind="flags", dtype="uint16", vocabulary=(("a", 1), ("z", 1024))),
        Column(name="live", dtype="bool"),
        Column(name="price", nullable=True),
        Column(name="venue", kind="dictionary"),
        Column(name="account", kind="dictionary", nullable=True),
        Column(name="note", kind="text"),
        Column(name="raw", kind="bytes"),
    ),
)
COUNT = 24
TEXTS = ["plain", "", "Grüße", "日本語", "😀", "x"] * 4


def truth(*rows: int) -> np.ndarray:
    return np.isin(np.arange(COUNT), rows)


def good() -> Rows:
    texts = [text.encode() for text in TEXTS]
    valid = ~truth(3, 9)
    arrays = {
        "time": 1000 + np.arange(COUNT),
        "side": np.resize(np.array([-1, 0, 1], np.int8), COUNT),
        "state": np.where(valid, np.resize(np.array([2, 4, 200], np.uint8), COUNT), np.uint8(0)),
        "state_valid": valid,
        "flags": np.resize(np.arange(8, dtype=np.uint8), COUNT),
        "marks": np.resize(np.array([0, 1, 1024, 1025], np.uint16), COUNT),
        "live": np.resize(np.array([True, False]), COUNT),
        "price": np.where(valid, 1.5, np.nan),
        "price_valid": valid,
        "venue": np.resize(np.array([0, 1], np.int32), COUNT),
        "account": np.where(valid, np.resize(np.array([1, 0], np.int32), COUNT), np.int32(-1)),
        "account_valid": valid,
        "note": np.frombuffer(b"".join(texts), np.uint8),
        "note_count": np.array([len(text) for text in texts], np.uint32),
        "raw": np.frombuffer(b"\xff" * COUNT, np.uint8),
        "raw_count": np.ones(COUNT, np.uint32),
    }
    return Rows(schema=SCHEMA, count=COUNT, arrays=arrays, labels={"venue": ("a", "b"), "account": ("c", "d")})


def changed(**arrays: np.ndarray) -> Rows:
    rows = good()
    return Rows(schema=SCHEMA, count=COUNT, arrays=rows.arrays | arrays, labels=rows.labels)


def with_value(name: str, value: int, row: int = 17) -> Rows:
    array = good().arrays[name].copy()
    array[row] = value
    return changed(**{name: array})


def with_truth_of_two(name: str) -> Rows:
    array = good().arrays[name].astype(np.uint8)
    array[17] = 2
    return changed(**{name: array.view(np.bool_)})


def with_text(row: int, data: bytes, following: bytes | None = None) -> Rows:
    texts = [text.encode() for text in TEXTS]
    texts[row] = data
    if following is not None:
        texts[row + 1] = following
    counts = np.array([len(text) for text in texts], np.uint32)
    return changed(note=np.frombuffer(b"".join(texts), np.uint8), note_count=counts)


BAD = {
    "a code above the vocabulary": lambda: with_value("side", 2),
    "a code below the vocabulary": lambda: with_value("side", -128),
    "a code between those of the vocabulary": lambda: with_value("state", 3),
    "the stand-in of a null that is none": lambda: with_value("state", 0),
    "flags above the mask": lambda: with_value("flags", 8),
    "flags in a gap of the mask": lambda: with_value("marks", 2),
    "a truth value of two": lambda: with_truth_of_two("live"),
    "a validity of two": lambda: with_truth_of_two("price_valid"),
    "a null where none may be": lambda: with_value("venue", -1),
    "a code without a label": lambda: with_value("venue", 2),
    "text that isn't UTF-8": lambda: with_text(12, b"\xff"),
    "text of a surrogate": lambda: with_text(12, b"\xed\xa0\x80"),
    "text cut within a letter": lambda: with_text(23, "ü".encode()[:1]),
    "a letter that two rows share": lambda: with_text(12, "ü".encode()[:1], "ü".encode()[1:]),
    "an overlong letter": lambda: with_text(12, b"\xc0\x80"),
}
ONLY_DEEP = ("the stand-in of a null that is none",)
"""Of these reads can't tell; what they give is as said."""


@pytest.mark.parametrize("small", [False, True])
def test_good_values_read_back(small: bool) -> None:
    storage = MemoryStorage()
    with small_chunks(100, 20, 200) if small else small_chunks(1 << 18, 1 << 20, 1 << 28):
        part = segment_part(storage, good())
    assert differences(read(storage, [part], SCHEMA, Selection()), good()) == []
    assert verify_segment(storage, part.prefix, part.entry, SCHEMA, deep=True) == []
    tail, pieces = encode_tail(good(), 0)
    assert differences(decode_tail(tail, memoryview(b"".join(pieces)), SCHEMA, "here"), good()) == []


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("small", [False, True])
def test_a_segment_of_such_values_is_refused_and_found(name: str, small: bool) -> None:
    storage, rows = MemoryStorage(), BAD[name]()
    with small_chunks(100, 20, 200) if small else small_chunks(1 << 18, 1 << 20, 1 << 28):
        part = segment_part(storage, rows)
    found = verify_segment(storage, part.prefix, part.entry, SCHEMA, deep=True)
    assert found
    assert all(part.prefix in text for text in found)
    for selection in (Selection(), Selection(rows=(0, COUNT)), Selection(start=1000, stop=1000 + COUNT)):
        forget_indexes()
        if name in ONLY_DEEP:
            read(storage, [part], SCHEMA, selection)
            continue
        with pytest.raises(Corrupt, match=part.prefix):
            read(storage, [part], SCHEMA, selection)


@pytest.mark.parametrize("name", [name for name in BAD if name not in ONLY_DEEP])
def test_a_tail_of_such_values_is_refused(name: str) -> None:
    tail, pieces = encode_tail(BAD[name](), 0)
    with pytest.raises(Corrupt, match="here: damaged tail"):
        decode_tail(tail, memoryview(b"".join(pieces)), SCHEMA, "here")


def test_what_lies_under_nulls_is_looked_at_in_depth_only() -> None:
    for name, value in {"price": 1.0, "account": 0, "state": 2}.items():
        storage = MemoryStorage()
        part = segment_part(storage, with_value(name, value, row=9))
        assert not verify_segment(storage, part.prefix, part.entry, SCHEMA, deep=False)
        assert [text for text in verify_segment(storage, part.prefix, part.entry, SCHEMA, deep=True) if "under a null" in text]


def test_times_that_step_back_in_a_segment_in_time_order_are_found() -> None:
    storage = MemoryStorage()
    part = segment_part(storage, changed(time=1000 + np.arange(COUNT)[::-1]))
    assert [text for text in verify_segment(storage, part.prefix, part.entry, SCHEMA, deep=True) if "step back" in text]


@pytest.mark.parametrize("length", [1, 65535, 65536, 65537, 200_000])
def test_bad_text_is_told_wherever_blocks_are_cut(length: int) -> None:
    content = ("a" * (length - 1) + "é" + "b" * 70_000).encode()
    whole = np.frombuffer(content, np.uint8)
    assert invalid_utf8_row(whole, np.array([len(content)], np.uint32)) is None
    assert invalid_utf8_row(whole, np.array([length, len(content) - length], np.uint32)) == 1
    cut = np.frombuffer(content[:length] + content[length + 1 :], np.uint8)
    assert invalid_utf8_row(cut, np.array([length - 1, len(cut) - length + 1], np.uint32)) == 1


def test_a_column_without_limits_has_no_domain() -> None:
    assert domain_of(Column(name="price"), has_nulls=True) is None
    assert domain_of(Column(name="time", kind="time"), has_nulls=False) is None
