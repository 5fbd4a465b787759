"""Simulated captures look like recorded ones, and are the same every time."""

import gzip

import numpy as np

from arraystore.demo.captures import inspect_captures, parse_lines
from arraystore.demo.checks import check_window
from arraystore.demo.decoding import decode_messages
from arraystore.demo.simulator import simulate_captures


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path):
    def content(folder, **options):
        (tmp_path / folder).mkdir()
        return [path.read_bytes() for path in simulate_captures(tmp_path / folder, messages=300, **options)]

    first = content("a")
    assert first == content("b")
    assert first != content("c", seed=8)


def test_two_captures_of_one_instrument_meet_at_midnight(tmp_path):
    captures = inspect_captures(simulate_captures(tmp_path, messages=500))
    assert [capture.feed for capture in captures] == ["alphausdt-streams", "alphausdt-streams", "betausdt-streams"]
    assert [list(capture.last_line_of_day) for capture in captures] == [[19_922], [19_923], [19_943]]
    assert captures[1].first_time - captures[0].last_time < 10**9


def test_what_is_simulated_passes_the_checks_and_holds_every_kind_of_message(tmp_path):
    for path in simulate_captures(tmp_path, messages=500):
        lines = parse_lines(gzip.decompress(path.read_bytes()))
        decoded = decode_messages(lines.data, lines.offsets)
        assert [check for check in check_window(decoded, np.arange(len(lines))) if check.found] == []
        assert min(len(decoded.trades["row"]), len(decoded.quotes["row"]), len(decoded.books["row"])) > 20
        assert (np.diff(lines.times) >= 0).all()


def test_trade_ids_and_update_ids_run_on_across_midnight(tmp_path):
    ids = []
    for path in simulate_captures(tmp_path, messages=500)[:2]:
        lines = parse_lines(gzip.decompress(path.read_bytes()))
        decoded = decode_messages(lines.data, lines.offsets)
        updates = ~decoded.books["is_snapshot"]
        ids.append((decoded.trades["trade_id"], decoded.books["sequence"][updates], decoded.books["previous_sequence"][updates]))
    (before, after) = ids
    assert after[0][0] == before[0][-1] + 1
    assert after[2][0] == before[1][-1]
