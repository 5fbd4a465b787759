"""End of the day at a venue: what was recorded is checked and promoted, one part is held for review and released, and nothing doubles."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

import arraystore
from arraystore.demo.captures import read_batches
from arraystore.demo.decoding import decode_messages
from arraystore.demo.normalise import normalise

VENUE, RECORDER = "binance-usdm", "tokyo-1"
BTC, ETH = "btcusdt-streams", "ethusdt-streams"
TRADES = arraystore.schema_by_name("trades", identifiers="uint64")
QUOTES, BOOK = (arraystore.schema_by_name(name) for name in ("quotes", "book_updates"))
DAMAGED = (VENUE, "trades", "ETHUSDT")


def record(store: arraystore.Store, feed: str, captures: list[Path], limit: int | None, lost: range) -> None:
    """A recorder's day or two: every line as it came, but for some that are lost; complete when the connection was closed."""
    raw = store.raw.create((VENUE, feed, RECORDER), arraystore.schema_by_name("raw_messages"), exist_ok=True)
    first = last = None
    for capture in captures:
        for lines in islice(read_batches(capture, rows=4_000), limit):
            sequence = raw.rows + 1 + np.arange(len(lines))
            kept = np.flatnonzero(~np.isin(sequence, lost))
            raw.append(
                {
                    "time": lines.times[kept],
                    "sequence": sequence[kept].astype(np.uint64),
                    "direction": ["recv"] * len(kept),
                    "connection": [capture.stem] * len(kept),
                    "encoding": ["json"] * len(kept),
                    "payload": arraystore.Ragged(lines.data, lines.offsets)[kept],
                }
            )
            first, last = first or int(lines.times[0]), int(lines.times[-1])
    raw.append(None, coverage=(first, last + 1), completeness="complete")


def end_of_day(store: arraystore.Store, day: str) -> Iterator[arraystore.Receipt]:
    """Promote every complete feed of a day. It may die anywhere and be run again: each dataset knows the day's token."""
    token = (f"end-of-day {day}", 1)
    for key in store.raw.find((VENUE, "*", "*")):
        raw = store.raw[key]
        if day not in raw.windows() or raw.manifest(day).completeness != "complete":
            continue
        frame, coverage = raw.read(window=day), raw.manifest(day).coverage
        payload = frame["payload"]
        tables = normalise(decode_messages(payload.data, payload.offsets), frame["time"].view(np.int64), frame["sequence"])
        for symbol, found in tables.items():
            for schema, columns in ((TRADES, found.trades), (QUOTES, found.quotes), (BOOK, found.book_updates)):
                into = (VENUE, schema.name, symbol)
                missing = np.flatnonzero(np.diff(columns["trade_id"]) != 1) if schema is TRADES else np.empty(0, int)
                if len(missing):
                    hold(store, into, day, columns, missing, coverage, frame.pin)
                    continue
                dataset = store.canonical.create(into, schema, exist_ok=True)
                yield dataset.append(columns, inputs=frame.pin, coverage=coverage, completeness="complete", token=token)


def hold(store, key, day, columns, missing, coverage, source) -> None:
    """Keep a day of trades from promotion, once, with what was found and where."""
    if key in store.quarantine and day in store.quarantine[key].windows():
        return
    gaps = [[int(columns["trade_id"][row]) + 1, int(columns["trade_id"][row + 1])] for row in missing]
    store.quarantine.hold(
        key,
        columns,
        schema=TRADES,
        reason="sequence-gap",
        failed_checks=["trade ids follow each other"],
        source=f"raw/{'/'.join(source.key)} version {source.version}",
        inputs=source,
        coverage=coverage,
        evidence={"missing-trades.json": json.dumps(gaps).encode()},
    )


def rows_by_dataset(store: arraystore.Store) -> dict[tuple[str, ...], int]:
    return {entry.path: entry.rows for entry in store.canonical.summaries()}


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        pytest.param({BTC: ["btcusdt_20240808"], ETH: ["ethusdt_20240808"]}, 1, id="some"),
        pytest.param(
            {BTC: ["btcusdt_20240718", "btcusdt_20240719", "btcusdt_20240808"], ETH: ["ethusdt_20240808"]},
            None,
            id="everything",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_day_of_a_venue_is_promoted(root: Path, shared_data: Path, files: dict[str, list[str]], limit: int | None) -> None:
    recording = arraystore.open_store(root, role="data-recording")
    for feed, names in files.items():
        captures = [shared_data / "binance-usdm" / f"usdm_{name}.gz" for name in names]
        record(recording, feed, captures, limit, lost=range(1_000, 1_500) if feed == ETH else range(0))
    quality = arraystore.open_store(root, role="data-quality")
    days = sorted({window for key in quality.raw.find() for window in quality.raw[key].windows()})

    # The job is ended in the middle, and run again. What it had done it finds done.
    assert [receipt.repeated for receipt in islice(end_of_day(quality, days[-1]), 2)] == [False, False]
    receipts = [receipt for day in days for receipt in end_of_day(quality, day)]
    assert sum(receipt.repeated for receipt in receipts) == 2
    promoted = rows_by_dataset(quality)
    assert all(receipt.repeated for day in days for receipt in end_of_day(quality, day))
    assert rows_by_dataset(quality) == promoted

    # Everything but the trades with a gap is there, complete, and covers what was recorded.
    names = {(VENUE, schema.name, symbol) for schema in (TRADES, QUOTES, BOOK) for symbol in ("BTCUSDT", "ETHUSDT")}
    assert set(quality.canonical.find(complete=True)) == names - {DAMAGED}
    for key in quality.canonical.find():
        feed = quality.raw[VENUE, f"{key[2].lower()}-streams", RECORDER]
        for manifest in quality.canonical[key].manifests():
            assert manifest.coverage == feed.manifest(manifest.window).coverage
            assert [(pin.key, pin.dataset) for pin in manifest.lineage] == [(feed.key, feed.uuid)]
    messages = sum(quality.raw[key].rows for key in quality.raw.find())
    booked = quality.canonical[VENUE, "quotes", "BTCUSDT"]
    assert 0 < booked.rows < messages
    sequence = booked.read(columns=["capture_sequence"])["capture_sequence"]
    assert (np.diff(sequence.astype(np.int64)) > 0).all(), "each once, in arrival order"

    # A reviewer looks at what is held, asks the venue, and releases it.
    (case,) = quality.quarantine.cases(state="held")
    assert (case.key, case.reason) == (DAMAGED, "sequence-gap")
    ((_, evidence),) = quality.quarantine.evidence(case.key, case.window).items()
    (gap,) = json.loads(evidence.read())
    assert gap[1] > gap[0]
    quality.quarantine.note(case.key, case.window, "the venue doesn't resend these")
    trades = quality.canonical.create(case.key, TRADES)
    quality.quarantine.release(case.key, case.window, into=trades, note="as good as it gets")
    assert quality.quarantine.cases(state="held") == []

    # Now it is complete too, and tells where it came from; the job finds nothing more to do.
    assert set(quality.canonical.find(complete=True)) == names
    assert trades.refresh().rows == case.rows
    sources = [ancestor.pin.storage_class for ancestor in quality.lineage(trades.pin(window=case.window)).walk()]
    assert sources == ["canonical", "quarantine", "raw"]
    after = rows_by_dataset(quality)
    assert all(receipt.repeated for day in days for receipt in end_of_day(quality, day))
    assert rows_by_dataset(quality) == after
