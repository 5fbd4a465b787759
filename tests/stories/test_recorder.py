"""A recorder with many instruments on several connections is killed, goes on, and loses and doubles nothing."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

import arraystore
from tests.stories.conftest import kill_after, program
from tests.stories.recorder import RECORDER, gateway, instruments_of, key_of, main

DAYS = ("2024-08-08", "2024-08-09")


@pytest.mark.parametrize(
    ("connections", "instruments", "messages", "kills"),
    [
        pytest.param(3, 12, 4_000, (12,), id="small"),
        pytest.param(10, 300, 40_000, (3, 150, 300, 450), id="full", marks=[pytest.mark.slow, pytest.mark.timeout(900)]),
    ],
)
def test_a_recorder_is_killed_and_promotion_finds_each_message_once(
    root: Path, capsys: pytest.CaptureFixture[str], connections: int, instruments: int, messages: int, kills: tuple[int, ...]
) -> None:
    recorder = ("tests.stories.recorder", root, connections, instruments, messages)

    # It is killed every now and then. What it said was there is there; whatever else is there are whole batches.
    for batches in kills:
        acknowledged = dict.fromkeys(range(connections), 0)
        for line in kill_after(batches, program(*recorder)):
            connection, last = map(int, line.split())
            acknowledged[connection] = last
        assert min(acknowledged.values()) < messages, "it was killed before it had done"
        reader = arraystore.open_store(root, role="data-quality")
        for connection, last in acknowledged.items():
            if key_of(connection) in reader.raw:
                raw = reader.raw[key_of(connection)]
                known = raw.token_version(RECORDER)
                assert (0 if known is None else known[0]) >= last
                assert raw.rows == (0 if known is None else known[0])

    # Started once more it comes to the end of the session; started again it has nothing to do.
    main(*map(str, recorder[1:]))
    assert capsys.readouterr().out
    main(*map(str, recorder[1:]))
    assert capsys.readouterr().out == ""

    # The day ends: the recorder says what it covered. What comes after that has to say that it is late.
    recording = arraystore.open_store(root, role="data-recording")
    for key in recording.raw.find(f"venue/*/{RECORDER}"):
        recording.raw[key].append(None, coverage=("2024-08-08T23:48", "2024-08-09T01:05"), completeness="complete")
    straggler = gateway(0, instruments_of(0, connections, instruments), messages + 1, messages + 1)
    with pytest.raises(arraystore.WindowClosed, match="reopen=True"):
        recording.raw[key_of(0)].append(straggler, token=(RECORDER, messages + 1))
    recording.raw[key_of(0)].append(straggler, token=(RECORDER, messages + 1), reopen=True, completeness="complete")

    # Promotion takes each connection apart into its instruments, day by day.
    quality = arraystore.open_store(root, role="data-quality")
    complete = quality.raw.find(f"venue/*/{RECORDER}", complete=True)
    assert len(complete) == connections
    for key in complete:
        promote(quality, quality.raw[key])

    # Each message was found once, and those of an instrument in the order in which they arrived.
    assert len(quality.canonical.find("venue/trades/*")) == instruments
    for connection in range(connections):
        last = messages + (connection == 0)
        sent = gateway(connection, instruments_of(connection, connections, instruments), 1, last)
        symbols = np.array([msgspec.json.decode(payload)["s"] for payload in sent["payload"]])
        days = np.asarray(sent["time"]).astype("datetime64[ns]").astype("datetime64[D]").astype(str)
        for symbol in np.unique(symbols):
            trades = quality.canonical["venue", "trades", str(symbol)]
            for day in DAYS:
                wanted = sent["sequence"][(symbols == symbol) & (days == day)]
                assert trades.read(window=day, columns=["capture_sequence"])["capture_sequence"].tolist() == wanted.tolist()


def promote(store: arraystore.Store, raw: arraystore.Dataset) -> None:
    """The trades of each instrument of a connection, in one commit per instrument."""
    frame = raw.read()
    messages = [msgspec.json.decode(payload) for payload in frame["payload"]]
    symbols = np.array([message["s"] for message in messages])
    for symbol in np.unique(symbols):
        rows = np.flatnonzero(symbols == symbol)
        trades = store.canonical.create(("venue", "trades", str(symbol)), arraystore.schema_by_name("trades"), exist_ok=True)
        trades.append(
            {
                "time": frame["time"][rows],
                "capture_sequence": frame["sequence"][rows],
                "price": [messages[row]["p"] for row in rows],
                "size": [messages[row]["q"] for row in rows],
                "side": ["none"] * len(rows),
                "trade_id": [str(messages[row]["t"]) for row in rows],
                "flags": np.zeros(len(rows), np.uint8),
            },
            inputs=frame.pin,
            completeness="complete",
        )
