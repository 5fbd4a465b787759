"""Each check finds its fault, and leaves what is right alone."""

import numpy as np
import pytest

from arraystore.demo.captures import parse_lines
from arraystore.demo.checks import check_window
from arraystore.demo.decoding import decode_messages
from arraystore.demo.simulator import damaged_lines


def failed(venue, *messages, sequences=None):
    decoded = venue.decode(*messages)
    numbers = np.arange(len(messages)) if sequences is None else np.array(sequences)
    return {check.name: check.found for check in check_window(decoded, numbers) if not check.passed}


@pytest.fixture
def whole(venue):
    """A window without a fault."""
    return (venue.ticker(), venue.trade(), venue.depth(u=5, pu=4), venue.snapshot, venue.depth(u=6, pu=5), venue.trade(t=12))


def test_a_whole_window_passes(venue, whole):
    assert failed(venue, *whole) == {}


FAULTS = {
    "garbled": (lambda _: (b"?", b"!"), "messages can be decoded"),
    "trades lost": (lambda venue: (venue.trade(t=20), venue.trade(t=30)), "trade ids run on"),
    "updates lost": (lambda venue: (venue.depth(u=9, pu=8), venue.depth(u=12, pu=11)), "book updates run on"),
    "crossed": (lambda venue: (venue.ticker(b="5", a="5"),), "best bid lies below best ask"),
    "no price": (lambda venue: (venue.trade(t=13, p="0"),), "prices and sizes make sense"),
    "price NaN": (lambda venue: (venue.trade(t=13, p="nan"),), "prices and sizes make sense"),
    "negative level": (lambda venue: (venue.depth(u=7, pu=6, b=[["-1", "1"]]),), "prices and sizes make sense"),
    "infinite size": (lambda venue: (venue.ticker(A="inf"),), "prices and sizes make sense"),
}


@pytest.mark.parametrize(("messages", "name"), FAULTS.values(), ids=FAULTS)
def test_a_fault_fails_its_check_alone(venue, whole, messages, name):
    assert failed(venue, *whole, *messages(venue)).keys() == {name}


def test_a_message_cut_in_two_by_a_kill_is_allowed(venue, whole):
    assert failed(venue, *whole, b'{"stream":') == {}


def test_messages_of_other_streams_are_no_fault_but_alone_they_are(venue, whole):
    other = {"stream": "btcusdt@markPrice", "data": {"e": "markPriceUpdate"}}
    assert failed(venue, *whole, other, other, other) == {}
    assert failed(venue, other).keys() == {"holds messages known here"}


def test_trades_off_the_market_may_have_no_price(venue, whole):
    assert failed(venue, *whole, venue.trade(t=13, X="NA", p="0", q="0")) == {}


def test_a_number_the_recorder_left_out_is_a_lost_message(venue, whole):
    assert failed(venue, *whole, sequences=[1, 2, 3, 5, 6, 7]) == {"capture sequence runs on": 1}


def test_ids_of_two_symbols_run_on_by_themselves(venue):
    assert (
        failed(venue, venue.trade(t=1), venue.trade(t=70, s="ETHUSDT"), venue.trade(t=2), venue.trade(t=71, s="ETHUSDT"), venue.trade(t=3))
        == {}
    )


def test_the_injected_damage_fails_its_checks_and_its_whole_twin_passes():
    def run(lines):
        parsed = parse_lines(b"".join(lines))
        checks = check_window(decode_messages(parsed.data, parsed.offsets), np.arange(len(parsed)))
        return {check.name for check in checks if not check.passed}

    whole, damaged = damaged_lines(messages=900)
    assert run(whole) == set()
    assert run(damaged) >= {"messages can be decoded", "book updates run on", "best bid lies below best ask"}
