"""What the second golden store holds: schemas that grew, other windows, what was withdrawn, deleted, tried again, reviewed and tagged."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

import arraystore
from arraystore import Column, Role, Schema, Store
from tests.format.golden import Json
from tests.format.make_golden import Book, as_given, told

SECOND = 10**9
HOUR = 3600 * SECOND
DAY = 24 * HOUR
START = arraystore.parse_time("2024-08-08")
SEPTEMBER = arraystore.parse_time("2024-09-01")
TIME = Column(name="time", kind="time")
SIDES = (("buy", 1), ("sell", -1))
TICKS = Schema(name="ticks", order="arrival", columns=(TIME, Column(name="price")))
GONE, AGAIN, RENEWED = ("gone", "v1", "venue", "X"), ("again", "v1", "venue", "X"), ("golden", "renewed", "X")


def ticks(first: int, count: int, start: int = START) -> Json:
    return {"time": [start + number * SECOND for number in range(first, first + count)], "price": range(first, first + count)}


def received(recording: Store) -> Book:
    """Raw messages of two days, and the vendor's own file beside them."""
    columns = (TIME, Column(name="channel", kind="dictionary"), Column(name="payload", kind="bytes"))
    schema = Schema(name="messages", order="arrival", columns=columns)
    book = Book(recording.raw.create(("venue", "all", "r1"), schema), schema)
    for day in range(2):
        times = [START + day * DAY + number for number in range(3)]
        rows = {"time": times, "channel": ["trade", "book", "trade"], "payload": [b"{}", b"\xff\x00", b""]}
        covered = [(f"2024-08-0{8 + day}", f"2024-08-{9 + day:02}")]
        book.append(rows, token=("r1", day), coverage=covered, completeness=("complete", "open")[day])
    book.add_file(bytes(range(256)) * 3, "capture.bin", "application/octet-stream")
    return book


def grown(quality: Store, raw: Book) -> Book:
    """A schema that grows three times, windows that become longer; rows and tails of every form of it, across a checkpoint."""
    side = Column(name="side", kind="vocabulary", vocabulary=SIDES)
    first = Schema(
        name="grown", order="arrival", columns=(TIME, Column(name="x", dtype="int32"), Column(name="small", dtype="float32"), side)
    )
    book = Book(quality.canonical.create(("golden", "grown", "X"), first), first)

    def rows(moments: list[int], first_number: int, sides: str, **more: Any) -> Json:
        numbers = np.arange(first_number, first_number + len(moments))
        words = {"b": 1, "s": -1, "n": 0}
        signs = [words[sides[number % len(sides)]] for number in range(len(moments))]
        return {"time": moments, "x": numbers, "small": numbers / np.float32(7), "side": signs, **more}

    def day(number: int, count: int, first_second: int = 0) -> list[int]:
        return [START + number * DAY + (first_second + place) * SECOND for place in range(count)]

    book.append(rows(day(0, 5), 0, "bs"), inputs=[raw.dataset.pin()], completeness="complete", coverage=[("2024-08-08", "2024-08-09")])
    book.append(rows(day(1, 4), 5, "sb"), token=("loader", 1))

    # Wider numbers, another meaning, columns that older rows don't have.
    sides = Column(name="side", kind="vocabulary", vocabulary=(*SIDES, ("none", 0)))
    wider = (TIME, Column(name="x", dtype="int64"), Column(name="small", dtype="float64"), sides)
    added = (
        Column(name="exchange_time", kind="time", clock="exchange", nullable=True),
        Column(name="label", kind="dictionary", nullable=True),
        Column(name="text", kind="text", nullable=True),
    )
    second = Schema(name="grown", order="arrival", columns=(*wider, *added), attributes={"note": "wider"})
    book.evolve(second, reason="the venue sends more")

    def more(count: int) -> Json:
        odd = [place % 2 == 1 for place in range(count)]
        return {
            "exchange_time": ([START - place for place in range(count)], odd),
            "label": [["a", None, "é"][place % 3] for place in range(count)],
            "text": [[None, "x", ""][place % 3] for place in range(count)],
        }

    book.append(rows(day(0, 3, 60), 1 << 40, "nbs", **more(3)), reopen=True, token=("loader", 2))
    book.append(rows(day(1, 3, 60), 12, "n", **more(3)), completeness="complete")
    for number in range(3, 21):
        times = range(START + 2 * DAY + number * HOUR, START + 2 * DAY + number * HOUR + 100 * SECOND, SECOND)
        numbers = range(number * 1_000, number * 1_000 + 100)
        book.append({"time": times, "x": numbers, "small": numbers, "side": [0] * 100}, token=("loader", number))

    # Windows of a month from September on; then numbers that may be missing.
    third = Schema(name="grown", order="arrival", window="month", columns=(*wider, *added), attributes={"note": "wider"})
    book.evolve(third, window_from=SEPTEMBER, reason="few rows a day from here on")
    book.append(rows([SEPTEMBER - 1, SEPTEMBER, SEPTEMBER + 20 * DAY], 70_000, "s", **more(3)))
    book.replace(
        "2024-08-09", rows(day(1, 6), 80_000, "n", **more(6)), reason="of the old length, by the new schema", inputs=[raw.dataset.pin()]
    )
    nullable = (TIME, Column(name="x", dtype="int64", nullable=True), *wider[2:])
    fourth = Schema(name="grown", order="arrival", window="month", columns=(*nullable, *added), attributes={"note": "nullable"})
    book.evolve(fourth)
    last = rows([SEPTEMBER + 30 * DAY - 1, SEPTEMBER + 30 * DAY], 90_000, "b", **more(2))
    last["x"] = (last["x"], [True, False])
    book.append(last, reopen=True)
    book.append({}, coverage=[("2024-10", "2024-11")], completeness="complete")
    return book


def renewed(quality: Store, before: Book) -> Book:
    """What no schema can become: another dataset, which says whose place it takes."""
    schema = Schema(name="renewed", order="arrival", columns=(TIME, Column(name="x", kind="decimal", places=2)))
    pin = before.dataset.pin()
    book = Book(quality.canonical.create(RENEWED, schema, profile="portable", supersedes=pin), schema, {"supersedes": as_json(pin)})
    book.append({"time": [START, START + 1], "x": [125, -1]}, inputs=[pin], completeness="complete")
    return book


def as_json(pin: Any) -> Json:
    """A pin as FORMAT.md has it, of which only the fields that say something."""
    fields = {"class": pin.storage_class, "key": list(pin.key), "dataset": pin.dataset, "version": pin.version, "digest": pin.digest}
    ranged = {name: value for name, value in (("start", pin.start), ("end", pin.end)) if value is not None}
    return fields | ranged | ({"columns": list(pin.columns)} if pin.columns else {})


def withdrawn(analysis: Store, operations: Store, source: Book) -> Book:
    """Three windows that were taken out: one stays so, one got rows again, one was replaced; and one that was compacted."""
    columns = (Column(name="open_time", kind="time"), Column(name="close", dtype="float32"))
    schema = Schema(name="own_bars", axis="open_time", window="day", columns=columns)
    key = ("bars", "1h", "venue", "X")
    book = Book(analysis.derived.create(key, schema), schema)

    def bars(day: int, *hours: int) -> Json:
        return {"open_time": [START + day * DAY + hour * HOUR for hour in hours], "close": [hour / 8 for hour in hours]}

    pin = source.dataset.pin("2024-08-08", "2024-08-09", ["x"])
    for day in range(4):
        book.append(
            bars(day, 0, 1, 2), inputs=[pin], completeness="complete", coverage=[(f"2024-08-{8 + day:02}", f"2024-08-{9 + day:02}")]
        )
    for day, why in ((0, "clock was an hour off"), (1, "again"), (2, "é")):
        book.withdraw(f"2024-08-{8 + day:02}", why)
    book.append(bars(1, 5, 6), reopen=True)
    book.replace("2024-08-10", bars(2, 7), reason="the right one", inputs=[pin])
    book.append(bars(3, 1, 9), completeness="complete", reopen=True)
    book.compact(operations.derived[key], "2024-08-11")
    book.append(bars(3, 4), reopen=True)
    return book


def deleted(analysis: Store) -> tuple[Book, Any]:
    """One dataset that is gone, and one that was made again, which goes on counting; the pin of what is gone."""
    surface = analysis.derived
    lost = surface.create(GONE, TICKS)
    lost.append(as_given(told(TICKS), ticks(0, 3)))
    pin = lost.pin()
    surface.delete(GONE, reason="recomputed elsewhere")
    book = Book(surface.create(AGAIN, TICKS, attributes={"formula": 1}), TICKS, {"formula": 1})
    book.append(ticks(0, 4), token=("job", 7), completeness="complete")
    book.add_file(b"first", "notes.txt", "text/plain")
    surface.delete(AGAIN, reason="wrong formula")
    book.emptied("delete")
    book.dataset, book.attributes = surface.create(AGAIN, TICKS, attributes={"formula": 2}), {"formula": 2}
    book.note("create")
    book.append(ticks(10, 2), token=("job", 0))
    book.add_file(b"second", "notes.txt", "text/plain")
    return book, pin


def reviewed(quality: Store, raw: Book) -> Iterable[Book]:
    """A case with evidence and notes that is released into canonical; one that is held twice, rejected, and held anew."""
    surface, key = quality.quarantine, ("venue", "trades", "X")
    into = Book(quality.canonical.create(key, TICKS), TICKS)
    book = Book(surface.create(key, TICKS), TICKS)
    case = {"reason": "sequence-gap", "failed_checks": ["ids"], "source": "raw/venue/all/r1"}
    pin = raw.dataset.pin()

    def hold(rows: Json, window: str, files: dict[str, bytes], history: list[Json], **more: Any) -> Json:
        """Hold rows of one window; what is to be told of them."""
        surface.hold(key, as_given(told(TICKS), rows), schema=TICKS, inputs=[pin], evidence=files, **case, **more)
        found = surface.case(key, window)
        names = [name for name in found.evidence if name.rpartition("/")[2] in files]
        assert len(names) == len(files)
        for name in names:
            book.noted_file(files[name.rpartition("/")[2]], name, "application/json")
        return {"state": "held", **case, "held": found.held, "evidence": names} | ({"history": history} if history else {})

    def decided(window: str) -> Json:
        found = surface.case(key, window)
        return {"decided": found.decided, "decided_by": found.decided_by}

    first = hold(ticks(0, 3), "2024-08-08", {"gap.json": b"[1]"}, [], coverage=("2024-08-08", "2024-08-09"))
    options = {"completeness": "complete", "inputs": [pin]}
    book.added("", ticks(0, 3), "append", **options, coverage=[("2024-08-08", "2024-08-09")], window_attributes=first)
    surface.note(key, "2024-08-08", "asked the venue: é")
    notes = [{"time": note.time, "role": note.role, "text": note.text} for note in surface.case(key, "2024-08-08").notes]
    book.touch("2024-08-08", {"window_attributes": {"notes": notes}})
    book.note("update")
    surface.release(key, "2024-08-08", into=into.dataset, note="it was theirs")
    held = quality.quarantine[key]
    source = held.at(4).pin(window="2024-08-08")
    promoted = ticks(0, 3)
    token = (f"quarantine {held.uuid} 2024-08-08", 4)
    into.added("", promoted, "append", inputs=[source], completeness="complete", coverage=[("2024-08-08", "2024-08-09")], token=token)
    pinned = as_json(quality.canonical[key].at(2).pin())
    released = {"state": "released", "released_into": [pinned], "note": "it was theirs", **decided("2024-08-08")}
    book.touch("2024-08-08", {"window_attributes": released})
    book.note("update")

    window = "2024-08-09"
    before = hold(ticks(0, 2, START + DAY), window, {"a.json": b"{}"}, [])
    book.added("", ticks(0, 2, START + DAY), "append", **options, window_attributes=before)
    again = hold(ticks(5, 1, START + DAY), window, {"b.json": b"{}"}, [])
    again |= {"held": before["held"], "evidence": [*before["evidence"], *again["evidence"]], "history": [ordered(before)]}
    book.added("", ticks(5, 1, START + DAY), "append", completeness="complete", reopen=True, window_attributes=again)
    surface.reject(key, window, note="duplicates")
    rejected = {"state": "rejected", "note": "duplicates", **decided(window)}
    book.touch(window, {"window_attributes": rejected})
    book.note("update")
    earlier = [again["history"][0], ordered({**{name: again[name] for name in again if name != "history"}, **rejected})]
    anew = hold(ticks(9, 1, START + DAY), window, {"c.json": b"{}"}, earlier)
    book.emptied_window(window)
    book.added("", ticks(9, 1, START + DAY), "replace", **options, window_attributes=anew)
    return into, book


def ordered(case: Json) -> Json:
    """What a history tells of a case."""
    names = ("state", "reason", "failed_checks", "source", "held", "evidence", "note", "decided", "decided_by")
    return {name: case[name] for name in names if name in case}


def tried(backtesting: Store, source: Book) -> Iterable[Book]:
    """A run that failed and was begun again, and one whose process was given up."""
    curve = Schema(name="curve", window="whole", columns=(TIME, Column(name="equity")))
    longer = Schema(name="curve", window="whole", columns=(*curve.columns, Column(name="cash", nullable=True)))
    surface, given = backtesting.experiments, {"params": {"width": 3, "fast": True}, "definition": {"code": "abc"}}
    rows = {"time": [START, START + 1], "equity": [1.0, 2.0]}
    try:
        with surface.run("grid", "r1", **given) as run:
            book = Book(run.dataset, None, {"state": "running", "attempt": 1, **given})
            run.write("curve", as_given(told(curve), rows), curve)
            book.series("curve", curve)
            book.added("curve", rows, "append")
            raise ValueError("no data")
    except ValueError:
        book.touch_all({"completeness": "complete"})
        book.attributes = {**book.attributes, "state": "failed", "error": "ValueError: no data", "metrics": {}}
        book.note("seal")
    with surface.run("grid", "r1", retry=True) as run:
        book.emptied("retry")
        book.attributes = {"state": "running", "attempt": 2, **given}
        book.note("create")
        pin = run.read(backtesting.canonical[source.dataset.key], columns=["time", "x"]).pin
        run.write("curve", as_given(told(curve), rows), curve)
        book.added("curve", rows, "append")
        run.write("note", as_given(told(longer), {**rows, "cash": ([0, 3], [False, True])}), longer)
        book.series("note", longer)
        book.added("note", {**rows, "cash": ([0, 3], [False, True])}, "append")
        run.add_file(b"<html>", "report.html")
        book.noted_file(b"<html>", "report.html", "text/html")
        run.log(sharpe=1.5)
        moments = [moment for moment, _, _ in run._metrics]
        book.dataset = run.dataset
    book.series("metrics", arraystore.schema_by_name("metrics"))
    book.added("metrics", {"time": moments, "name": ["sharpe"], "value": [1.5]}, "seal", quiet=True)
    book.touch_all({"completeness": "complete", "inputs": [pin]})
    book.attributes = {**book.attributes, "state": "finished", "metrics": {"sharpe": 1.5}}
    book.note("seal")
    yield book
    run = surface.run("grid", "r2")
    book = Book(run.dataset, None, {"state": "running", "attempt": 1, "params": {}, "definition": {}})
    surface.abandon(("grid", "r2"), "its host is gone", force=True)
    book.attributes = {**book.attributes, "state": "abandoned", "note": "its host is gone"}
    book.note("seal")
    yield book
    run._stop()


def traded(live: Store) -> Iterable[Book]:
    """Orders and fills of a session under way; a fill is corrected, another taken back."""
    columns = (
        TIME,
        Column(name="sequence", dtype="uint64"),
        Column(name="account", kind="dictionary"),
        Column(name="instrument", kind="dictionary"),
        Column(name="fill_id", kind="text"),
        Column(name="ref_fill_id", kind="text", nullable=True),
        Column(name="size"),
    )
    fills = Schema(name="own_fills", order="arrival", columns=columns)
    orders = Schema(name="own_orders", order="arrival", columns=(TIME, columns[1], Column(name="status", kind="dictionary")))
    session, books, sequence = live.execution_records.session("live", "2024-08-08 #2"), {}, 1

    def fill(name: str, ref: str | None, size: float) -> Json:
        return {"account": ["main"], "instrument": ["X"], "fill_id": [name], "ref_fill_id": [ref], "size": [size]}

    records = [("orders", orders, {"status": ["new"]})]
    records += [("fills", fills, fill(*each)) for each in (("a", None, 1.0), ("b", None, 2.0), ("c", "a", 0.5), ("d", "b", 0.0))]
    records += [("orders", orders, {"status": ["filled"]})]
    for record, schema, values in records:
        rows = {"time": [START + sequence * SECOND], **values}
        book = books.setdefault(record, Book(None, schema))
        session.append(record, as_given(told(schema), rows), schema)
        book.added("", {**rows, "sequence": [sequence]}, "append")
        sequence += 1
    for record, book in books.items():
        book.dataset = live.execution_records["live", "2024-08-08 #2", record]
    return books.values()


def tell(root: Path) -> list[Book]:
    """Write the store at `root`; the books say what is in it."""
    arraystore.init_store(root)
    stores = {role: arraystore.open_store(root, role=role) for role in Role}
    quality, analysis = stores[Role.DATA_QUALITY], stores[Role.ANALYSIS]
    raw = received(stores[Role.DATA_RECORDING])
    canonical = grown(quality, raw)
    then = canonical.dataset.at(3).pin("2024-08-08", "2024-08-09", ["x", "side"])
    again, gone = deleted(analysis)
    analysis.tag("release/2024-08 é", [then, gone], reason="monthly")
    books = [raw, canonical, renewed(quality, canonical), withdrawn(analysis, stores[Role.OPERATIONS], canonical), again]
    books += reviewed(quality, raw)
    books += [*tried(stores[Role.BACKTESTING], canonical), *traded(stores[Role.LIVE])]
    analysis.tag("release/2024-08 é", [canonical.dataset.pin(), again.dataset.pin()])
    for store, name in ((quality, "canonical"), (analysis, "derived")):
        store.surface(name).find(schema="ticks")  # which keeps what it learned
    return books
