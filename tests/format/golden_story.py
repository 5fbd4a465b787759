"""What the golden store holds: every class, both profiles, every kind of column with its extremes, every change to a window."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

import arraystore
from arraystore import Column, Role, Schema, Store
from tests.format.golden import Json
from tests.format.make_golden import Book, as_given, told

SECOND = 10**9
DAY = 86_400 * SECOND
START = arraystore.parse_time("2024-08-08")
NAN = float("nan")
PAYLOADS = np.array([0x7FF8000000000001, 0xFFF8DEADBEEF0000, 0x7FF0000000000001, 0x8000000000000000], np.uint64).view(np.float64).tolist()
SMALL_PAYLOADS = np.array([0x7FC00001, 0xFFC12345, 0x7F800001, 0x80000000, 0x00000001, 0x3DCCCCCD], np.uint32).view(np.float32)
NUMBERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
SIDE = (("buy", 1), ("sell", -1), ("none", 0))
HOSTILE = (
    ("BTC/USDT:USDT", "a b", "=%..é🙂", "hour", "arrival"),
    ("..", ".", "_all", "month", "time"),
    ("CON", "nul.txt", "zarr.json", "year", "arrival"),
    ("trailing..", "a/../b", "\x00\n\\", "whole", "time"),
)

PLAIN_KINDS = (
    Column(name="expiry", kind="time"),
    *(Column(name=name, dtype=name) for name in NUMBERS),
    Column(name="truth", dtype="bool"),
    Column(name="small", dtype="float32"),
    Column(name="price", unit="USD", description="a price", attributes={"decimal_places": 1}),
    Column(name="side", kind="vocabulary", vocabulary=SIDE),
    Column(name="flags", kind="flags", dtype="uint16", vocabulary=(("last", 1 << 15), ("first", 1))),
    Column(name="instrument", kind="dictionary"),
    Column(name="fee", kind="decimal", places=8, unit="USD"),
    Column(name="note", kind="text"),
    Column(name="empty", kind="text"),
    Column(name="payload", kind="bytes"),
    Column(name="bid", levels=3),
)
NULLABLE_KINDS = (
    Column(name="exchange_time", kind="time", clock="exchange", nullable=True),
    Column(name="maybe", dtype="bool", nullable=True),
    Column(name="size", nullable=True),
    Column(name="count", dtype="uint64", nullable=True),
    Column(name="never", dtype="int16", nullable=True),
    Column(name="origin", kind="vocabulary", dtype="uint8", vocabulary=(("venue", 0), ("rebuilt", 200)), nullable=True),
    Column(name="marks", kind="flags", dtype="uint32", vocabulary=(("top", 1 << 31),), nullable=True),
    Column(name="account", kind="dictionary", nullable=True),
    Column(name="cost", kind="decimal", places=0, nullable=True),
    Column(name="remark", kind="text", nullable=True),
    Column(name="extra", kind="bytes", nullable=True),
    Column(name="depth", dtype="uint32", levels=3, nullable=True),
)


def kinds_rows() -> Json:
    """Six rows of extremes; under `odd` False lies a null."""
    odd = [True, False, True, True, False, True]
    return {
        "time": [START, START, START + 1, START + 5 * SECOND, START + 5 * SECOND, START + DAY - 1],
        "exchange_time": ([START + 7, 0, START - 90 * DAY, START, 0, START + 1], odd),
        "expiry": [np.iinfo("int64").max, np.iinfo("int64").min + 1, 0, -1, 1, START],
        **{name: [np.iinfo(name).min, np.iinfo(name).max, 0, 1, 2, 3] for name in NUMBERS},
        "truth": odd,
        "maybe": ([True, False, False, True, False, True], odd),
        "small": SMALL_PAYLOADS,
        "price": [*PAYLOADS, 0.1, -np.inf],
        "size": ([NAN, 0, -0.0, 5e-324, 0, PAYLOADS[1]], odd),
        "count": ([2**64 - 1, 0, 0, 1, 0, 2], odd),
        "side": [1, -1, 0, 1, 1, -1],
        "origin": ([200, 0, 0, 200, 0, 0], odd),
        "flags": [1 << 15, 1, (1 << 15) + 1, 0, 0, 1],
        "marks": ([1 << 31, 0, 0, 1 << 31, 0, 0], odd),
        "instrument": ["BTC/USDT:USDT", "", "日経 🙂", "a\nb\x00", "", "BTC/USDT:USDT"],
        "account": ["x", None, "", "x", None, "-1"],
        "fee": [np.iinfo("int64").min, np.iinfo("int64").max, -1, 0, 1, 12_345_678],
        "cost": ([-1, 0, 0, 9, 0, np.iinfo("int64").max], odd),
        "note": ["", "é🙂", "\x00", "a" * 40, "日経", "\r\n"],
        "remark": ["", None, "x", "null", None, "None"],
        "payload": [b"", b"\xff\xfe\x00", b"{}", bytes(range(256)), b"\x80", b""],
        "extra": [b"\x00", None, b"", b"\xc3\x28", None, b"x"],
        "empty": [""] * 6,
        "bid": [[0.1, -0.0, NAN], [1, 2, 3], [4, 5, 6], [PAYLOADS[0], 8, 9], [10, 11, 12], [np.inf, -np.inf, 0]],
        "depth": ([[1, 2, 3], [0, 0, 0], [0, 2**32 - 1, 0], [7, 8, 9], [0, 0, 0], [4, 5, 6]], odd),
    }


def columns_of(rows: Json, schema: Schema) -> Json:
    """Of the columns those that the schema has."""
    return {name: values for name, values in rows.items() if name in schema.names}


def kinds(quality: Store) -> Iterable[Book]:
    """Rows of every kind, as tails that become a dense segment, and of some kinds as a portable one."""
    axis = Column(name="time", kind="time")
    schema = Schema(name="kinds", columns=(axis, *PLAIN_KINDS, *NULLABLE_KINDS), attributes={"source": {"list": [1, 2.5, None, "é"]}})
    book = Book(quality.canonical.create(("golden", "kinds", "dense"), schema), schema)
    book.append(columns_of(kinds_rows(), schema), completeness="partial", coverage=[("2024-08-08", "2024-08-09")])
    book.append({}, completeness="complete", coverage=[("2024-08-08", "2024-08-10")])
    yield book
    names = {"int64", "uint16", "truth", "small", "size", "account", "extra", "bid"}
    schema = Schema(name="some_kinds", columns=(axis, *(c for c in (*PLAIN_KINDS, *NULLABLE_KINDS) if c.name in names)))
    book = Book(quality.canonical.create(("golden", "kinds", "portable"), schema, profile="portable"), schema)
    book.append(columns_of(kinds_rows(), schema), completeness="complete", coverage=[("2024-08-08", "2024-08-09")])
    yield book


def tick_schema(**options: Any) -> Schema:
    return Schema(name="ticks", columns=(Column(name="time", kind="time"), Column(name="price")), **options)


def ticks(times: Any, first: int = 0) -> Json:
    return {"time": times, "price": range(first, first + len(times))}


def hostile(quality: Store) -> Iterable[Book]:
    """Keys that would lead elsewhere if they weren't escaped; windows of every length."""
    for *key, window, order in HOSTILE:
        schema = tick_schema(window=window, order=order)
        book = Book(quality.canonical.create(tuple(key), schema), schema)
        book.append(ticks([START, START + SECOND, START + 40 * DAY]))
        book.append(ticks([START - 300 * DAY, START], first=3))
        yield book


def large(quality: Store) -> Book:
    """More than one chunk per array, the last one padded; and a single time column is a schema too."""
    schema = Schema(name="moments", columns=(Column(name="time", kind="time"),), order="arrival", window="hour")
    book = Book(quality.canonical.create(("golden", "large", "X"), schema), schema)
    book.append({"time": range(START, START + 70_001 * 1000, 1000)})
    return book


def recorded(recording: Store) -> Book:
    """Messages as received: across midnight and back, with tokens, and all three degrees of completeness."""
    schema = Schema(
        name="messages",
        order="arrival",
        columns=(
            Column(name="time", kind="time"),
            Column(name="exchange_time", kind="time", clock="exchange", nullable=True),
            Column(name="direction", kind="vocabulary", vocabulary=(("recv", 1), ("send", 2))),
            Column(name="connection", kind="dictionary"),
            Column(name="payload", kind="bytes"),
        ),
    )
    attributes = {"host": "tokyo-1", "versions": {"recorder": "1.2"}, "gone": 1}
    book = Book(recording.raw.create(("venue", "all", "recorder-1"), schema, attributes=attributes), schema, attributes)

    def messages(*times: int, connection: str = "c1") -> Json:
        count = len(times)
        valid = [place % 2 == 1 for place in range(count)]
        return {
            "time": list(times),
            "exchange_time": ([time - 3 if ok else 0 for time, ok in zip(times, valid, strict=True)], valid),
            "direction": [1, 2][:count] + [1] * (count - 2),
            "connection": [connection, "c2"][:count] + ["c1"] * (count - 2),
            "payload": [b"\xff\x00", b""][:count] + [b'{"e":"trade"}'] * (count - 2),
        }

    midnight = START + DAY
    book.append(messages(midnight - 2, midnight + 1, midnight - 1, midnight + 5), token=("recorder-1", 1))
    more = messages(midnight + 2, midnight + 2, connection="c3")
    book.append(more, token=("recorder-1", 2), window_attributes={"drops": 0, "x": 1})
    book.append({}, coverage=[("2024-08-08", "2024-08-09")], completeness="complete", token=("recorder-1", 3))
    book.append({}, coverage=[("2024-08-09", "2024-08-10")], completeness="partial")
    book.append({}, coverage=[("2024-08-11", "2024-08-12")], completeness="complete", reason="the venue was closed")
    book.append(messages(midnight - 7), reopen=True, token=("recorder-2", 9), window_attributes={"x": None, "late": True})
    book.update(attributes={"gone": None, "host": "tokyo-2"}, reason="moved")
    book.append(messages(midnight + DAY, midnight + DAY + 1))
    return book


def corrected(quality: Store, raw: Book) -> Book:
    """So much of a log that a checkpoint stands; windows are folded, replaced, closed and reopened after it; files lie beside them."""
    schema = tick_schema(order="arrival")
    book = Book(quality.canonical.create(("golden", "history", "X"), schema), schema)
    pin = raw.dataset.pin()
    book.append(ticks([START + 1, START + 2]), inputs=[pin], completeness="partial")
    book.add_file(b"first", "model.bin", "application/octet-stream")
    for number in range(27):
        first = START + DAY * (number % 3) + SECOND * number
        book.append(ticks(range(first, first + 120), first=number * 1000), token=("loader", number), window_attributes={"last": number})
    book.replace("2024-08-09", ticks([START + DAY, START + DAY + 1], first=500), reason="busted", inputs=[pin])
    book.append({}, coverage=[("2024-08-10", "2024-08-11")], completeness="complete")
    book.add_file(b"", "é /empty", "text/plain")
    book.add_file(b"second\xff", "model.bin", "application/x-model")
    book.append(ticks([START + 2 * DAY], first=900), reopen=True)
    return book


def late(analysis: Store, history: Book) -> Book:
    """Order of time, with rows that come late, at once and as tails; a clock with nulls."""
    columns = (
        Column(name="open_time", kind="time"),
        Column(name="close_time", kind="time", clock="publish", nullable=True),
        Column(name="close", dtype="float32"),
    )
    schema = Schema(name="own_bars", axis="open_time", order="time", window="month", columns=columns)
    book = Book(analysis.derived.create(("bars", "1m", "venue", "X"), schema), schema)

    def bars(*minutes: int, first: int) -> Json:
        times = [START + 60 * SECOND * minute for minute in minutes]
        valid = [minute % 3 != 0 for minute in minutes]
        ends = [time + 60 * SECOND if ok else 0 for time, ok in zip(times, valid, strict=True)]
        return {"open_time": times, "close_time": (ends, valid), "close": [first + place / 8 for place in range(len(minutes))]}

    pin = history.dataset.pin("2024-08-08", "2024-08-09", ["price"])
    book.append(bars(0, 1, 2, 3, 5, 8, first=0), completeness="complete", inputs=[pin])
    book.append(bars(1, 2, 9, 10, first=10), completeness="complete", reopen=True)
    book.append(bars(4, 8, first=20), reopen=True)
    book.append(bars(0, 11, 60 * 24 * 40, first=30))
    return book


def held(quality: Store, raw: Book, canonical: Book) -> Book:
    """Three windows in quarantine: one still held, one released, one rejected."""
    schema, surface, key = Schema(name="moments", columns=(Column(name="time", kind="time"),)), quality.quarantine, ("venue", "trades", "X")
    book = Book(surface.create(key, schema), schema)
    rows = {"time": [START, START + DAY, START + DAY + 1, START + 2 * DAY]}
    case = {"reason": "sequence-gap", "failed_checks": ["gap", "é"], "source": "raw/venue/all"}
    pin, into = raw.dataset.pin(), canonical.dataset.pin()

    def decided(window: str) -> Json:
        told = surface.case(key, window)
        return {"decided": told.decided, "decided_by": told.decided_by}

    surface.hold(key, as_given(told(schema), rows), schema=schema, inputs=[pin], **case)
    book.added(
        "",
        rows,
        "append",
        completeness="complete",
        window_attributes={"state": "held", **case, "held": surface.case(key, "2024-08-08").held},
        inputs=[pin],
    )
    surface.release(key, "2024-08-08", into=into)
    pinned = {"class": "canonical", "key": list(into.key), "dataset": into.dataset, "version": into.version, "digest": into.digest}
    book.touch("2024-08-08", {"window_attributes": {"state": "released", "released_into": [pinned], **decided("2024-08-08")}})
    book.note("update")
    surface.reject(key, "2024-08-10", note="duplicates")
    book.touch("2024-08-10", {"window_attributes": {"state": "rejected", "note": "duplicates", **decided("2024-08-10")}})
    book.note("update")
    return book


def experiments(backtesting: Store, history: Book) -> Iterable[Book]:
    """A run that finished, with two series, metrics and a file; and one that failed."""
    curve = Schema(name="curve", window="whole", columns=(Column(name="time", kind="time"), Column(name="equity", dtype="float64")))
    marks = Schema(
        name="marks", window="whole", order="arrival", columns=(Column(name="time", kind="time"), Column(name="mark", kind="text"))
    )
    given: Json = {"params": {"spread": 0.5, "list": [1, None]}, "definition": {"code": "abc"}}
    pin = history.dataset.pin("2024-08-08", None, ["price"])
    with backtesting.experiments.run("mm/grid", "7f3a", **given) as run:
        run.read(backtesting.canonical[history.dataset.key], "2024-08-08", columns=["price"])
        book = Book(run.dataset, None, {"state": "running", "attempt": 1, **given})
        for name, schema, column, values in (
            ("équity curve", curve, "equity", [1.0, -0.0, NAN]),
            ("marks", marks, "mark", ["open", "", "é"]),
            ("équity curve", curve, "equity", [2.0, 3.0, 4.0]),
        ):
            rows = {"time": [START, START + 1, START + 2], column: values}
            run.write(name, as_given(told(schema), rows), schema)
            book.series(name, schema)
            book.added(name, rows, "append")
        run.add_file(b"<html>", "report.html")
        book.noted_file(b"<html>", "report.html", "text/html")
        run.log(sharpe=1.5, drawdown=np.inf)
        run.log(sharpe=2.5)
        moments = [moment for moment, _, _ in run._metrics]
    book.series("metrics", arraystore.schema_by_name("metrics"))
    metrics = {"time": moments, "name": ["sharpe", "drawdown", "sharpe"], "value": [1.5, np.inf, 2.5]}
    book.added("metrics", metrics, "seal", quiet=True)
    book.touch_all({"completeness": "complete", "inputs": [pin]})
    book.attributes = {**book.attributes, "state": "finished", "metrics": {"sharpe": 2.5, "drawdown": "inf"}}
    book.note("seal")
    yield book
    try:
        with backtesting.experiments.run("mm/grid", "failed") as run:
            book = Book(run.dataset, None, {"state": "running", "attempt": 1, "params": {}, "definition": {}})
            raise ValueError("no data")
    except ValueError:
        book.attributes = {**book.attributes, "state": "failed", "error": "ValueError: no data", "metrics": {}}
        book.note("seal")
    yield book


def sessions(store: Store, kind: str, *, closed: bool) -> Iterable[Book]:
    """Records that share one sequence, in a session that was closed or still runs."""
    columns = (Column(name="time", kind="time"), Column(name="sequence", dtype="uint64"), Column(name="status", kind="dictionary"))
    schema = Schema(name="record", order="arrival", columns=columns)
    session, books = store.execution_records.session(kind, "2024-08-08 #1"), {}
    sequence = 1
    for place, (record, count) in enumerate((("orders", 2), ("fills", 1), ("orders", 3))):
        rows = {
            "time": [START + DAY * (place > 1 and not closed) + number for number in range(count)],
            "status": ["new", "filled", "new"][:count],
        }
        book = books.setdefault(record, Book(None, schema))
        session.append(record, as_given(told(schema), rows), schema)
        book.added("", {**rows, "sequence": range(sequence, sequence + count)}, "append")
        sequence += count
    if closed:
        session.close()
    for record, book in books.items():
        book.dataset = store.execution_records[kind, "2024-08-08 #1", record]
        for window in book.windows() if closed else ():
            book.touch(window, {"completeness": "complete"})
            book.note("update")
    return books.values()


def tell(root: Path) -> list[Book]:
    """Write the store at `root`; the books say what is in it."""
    arraystore.init_store(root)
    stores = {role: arraystore.open_store(root, role=role) for role in Role}
    quality, backtesting = stores[Role.DATA_QUALITY], stores[Role.BACKTESTING]
    raw = recorded(stores[Role.DATA_RECORDING])
    history = corrected(quality, raw)
    bars = late(stores[Role.ANALYSIS], history)
    books = [raw, history, bars, *kinds(quality), *hostile(quality), large(quality), held(quality, raw, history)]
    books += experiments(backtesting, history)
    books += [*sessions(backtesting, "backtest", closed=True), *sessions(stores[Role.LIVE], "live", closed=False)]
    return books
