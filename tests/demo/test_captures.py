"""Capture files become rows, and rows become the same files again."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arraystore import InvalidInput
from arraystore.demo.captures import ENCODINGS, Lines, format_lines, inspect_capture, inspect_captures, parse_lines, read_batches

TIME = 1_723_161_255_030_314_667

message = st.builds(lambda time, data: b"%d %b" % (time, data), st.integers(10**18, 9_214_646_400 * 10**9 - 1), st.binary(max_size=12))
odd = st.sampled_from([b"", b" ", b"x", b"12 abc", b"%d" % TIME, b"0%d x" % (TIME // 10), b"9999999999999999999 x", b"%dx" % TIME])
line = st.one_of(message, odd, st.binary(max_size=30)).map(lambda text: text.replace(b"\n", b""))


def write(path, content):
    path.write_bytes(gzip.compress(content, mtime=0))
    return path


@given(st.lists(line, max_size=20), st.sampled_from([b"", b"\n"]))
def test_any_lines_come_back_bit_for_bit(lines, end):
    content = b"\n".join(lines) + end
    assert format_lines(parse_lines(content)) == content


@given(st.lists(message, min_size=1, max_size=20))
def test_a_payload_is_what_follows_the_time_and_a_space(lines):
    parsed = parse_lines(b"".join(text.replace(b"\n", b"?") + b"\n" for text in lines))
    assert parsed.times.tolist() == [int(text[:19]) for text in lines]
    assert [parsed.payload(row) for row in range(len(lines))] == [text[20:].replace(b"\n", b"?") for text in lines]


def test_a_line_without_a_time_is_kept_whole_at_the_time_before_it():
    parsed = parse_lines(b"no time\n%d {}\nnor here\n%d {}" % (TIME, TIME + 5))
    assert [ENCODINGS[code] for code in parsed.encodings] == ["line", "json", "line", "json/eof"]
    assert parsed.times.tolist() == [TIME, TIME, TIME, TIME + 5]
    assert parsed.payload(0) == b"no time"


def test_batches_join_to_the_whole_wherever_reading_starts(tmp_path):
    content = b"".join(b"%d message %d\n" % (TIME + row, row) for row in range(57)) + b"cut off"
    path = write(tmp_path / "a.gz", content)
    for skip in (0, 1, 10, 56, 57, 58, 90):
        batches = list(read_batches(path, rows=10, skip=skip))
        assert b"".join(map(format_lines, batches)) == b"".join(content.splitlines(keepends=True)[skip:])
        assert all(isinstance(batch, Lines) and len(batch) <= 10 for batch in batches)


def test_a_line_without_a_time_has_one_also_where_reading_starts_at_it(tmp_path):
    path = write(tmp_path / "a.gz", b"%d {}\nno time\n" % TIME)
    (batch,) = read_batches(path, skip=1)
    assert batch.times.tolist() == [TIME]


def test_a_capture_is_told_before_it_is_stored(tmp_path):
    midnight = 19_923 * 86_400 * 10**9
    times = [midnight - 2, midnight - 1, midnight, midnight - 1, midnight + 1]  # the clock steps back once
    stream = b'{"stream":"btcusdt@trade","data":{}}'
    path = write(tmp_path / "a.gz", b"".join(b"%d %b\n" % (time, stream) for time in times) + b"??\n")
    capture = inspect_capture(path)
    assert (capture.feed, capture.lines, capture.malformed) == ("btcusdt-streams", 6, 1)
    assert (capture.first_time, capture.last_time) == (midnight - 2, midnight + 1)
    assert capture.last_line_of_day == {19_922: 3, 19_923: 5}


def test_a_feed_is_named_after_the_symbols_it_carries(tmp_path):
    texts = [b'{"stream":"%b@trade"}' % symbol for symbol in (b"b", b"a", b"b", b"d", b"c", b"e")]
    path = write(tmp_path / "a.gz", b"".join(b"%d %b\n" % (TIME, text) for text in texts))
    assert inspect_capture(path).feed == "a+b+c+2-more-streams"


def test_every_file_that_cannot_be_used_is_named_with_the_reason(tmp_path):
    whole = gzip.compress(os.urandom(5000).hex().encode(), mtime=0)
    bad = {
        "missing.gz": None,
        "plain.gz": b"%d {}\n" % TIME,
        "empty.gz": b"",
        "nothing.gz": gzip.compress(b"", mtime=0),
        "cut.gz": whole[: len(whole) // 2],
        "text.gz": gzip.compress(b"a\nb\n", mtime=0),
        "micro.gz": gzip.compress(b"1723161255030314 {}\n", mtime=0),
    }
    for name, content in bad.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
    (tmp_path / "folder.gz").mkdir()
    with pytest.raises(InvalidInput) as caught:
        inspect_captures([tmp_path / name for name in (*bad, "folder.gz")])
    told = {Path(problem.where).name: problem.what for problem in caught.value.problems}
    assert told.keys() == {*bad, "folder.gz"}
    assert "no such file" in told["missing.gz"]
    assert "gzip" in told["plain.gz"]
    assert told["empty.gz"] == told["nothing.gz"] == "it is empty; name a capture that holds messages"
    assert "decompressed" in told["cut.gz"]
    assert "19 digits" in told["micro.gz"]


def test_the_same_messages_are_not_recorded_twice(tmp_path):
    paths = [write(tmp_path / name, b"%d {}\n" % TIME) for name in ("a.gz", "b.gz")]
    with pytest.raises(InvalidInput, match=r"b\.gz: holds the same messages as .*a\.gz"):
        inspect_captures(paths)


def test_captures_come_feed_by_feed_in_order_of_time(tmp_path):
    def capture(name, symbol, time):
        return write(tmp_path / name, b'%d {"stream":"%b@trade"}\n' % (time, symbol))

    paths = [capture("1.gz", b"b", TIME), capture("2.gz", b"a", TIME + 9), capture("3.gz", b"a", TIME + 4)]
    assert [found.path.name for found in inspect_captures(paths)] == ["3.gz", "2.gz", "1.gz"]


@pytest.mark.parametrize("name", ["usdm_btcusdt_20240718.gz", "usdm_ethusdt_20240808.gz"])
def test_a_recorded_capture_comes_back_bit_for_bit(shared_data, name):
    path = shared_data / "binance-usdm" / name
    batches = list(read_batches(path, rows=7_001))
    assert b"".join(map(format_lines, batches)) == gzip.decompress(path.read_bytes())
    assert all(np.all(batch.encodings == 0) for batch in batches)
